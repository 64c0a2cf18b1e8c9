"""What a run is doing now, for other processes to read (`ucoder watch`): RUN/progress.json.

Rank 0 alone writes it, from a thread, every two seconds: the run itself only counts in memory. The file is replaced whole, so a reader
never sees half of it. It is no record: what a run has done stands in metrics.jsonl, times.json and the rounds' own files.

    {"state": "running", "stage": {"round": 1, "name": "solutions", ...}, "task": {"done": 512, "total": 4096, ...}, "written": 1.8e9, ...}
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

import probing.samplers.base
from rl.config.run_folder import write_atomically

NAME = "progress.json"
EVERY_SECONDS = 2.0
LONGEST_ERROR = 2000  # characters of an error's text that are kept
State = Literal["running", "finished", "failed", "interrupted"]


@dataclass
class RunningStage:
    """A stage of a round, as `Run.timed` names it. Times here are Unix seconds."""

    round: int
    name: str
    started: float


@dataclass
class RunningTask:
    """What is counted within a stage: a progress bar. On several ranks it counts rank 0's share until the others' is known."""

    round: int
    name: str
    unit: str
    total: int
    started: float
    done: int = 0
    advanced: float | None = None  # when `done` last grew
    tokens: int = 0  # drawn so far, of unfinished samples too; 0 where nothing is drawn
    left: float | None = None  # seconds until the end as the sampler expected at `left_at`; None: not to be told yet
    left_at: float | None = None  # None: no sampler says anything of it


class ProgressFile:
    """Keeps progress.json up to date from `start` to `close`. Without a folder (ranks other than 0) it writes nothing.

    ranks: how many processes the run has. memory: megabytes held now. clock: Unix seconds.
    """

    def __init__(
        self,
        folder: Path | None,
        ranks: int = 1,
        memory: Callable[[], float] = lambda: 0.0,
        every: float = EVERY_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = None if folder is None else folder / NAME
        self.memory, self.every, self.clock = memory, every, clock
        process = psutil.Process()
        self._who = {"host": socket.gethostname(), "pid": process.pid, "process_started": process.create_time(), "ranks": ranks}
        self._started = clock()
        self._stage: RunningStage | None = None
        self._task: RunningTask | None = None
        self._state: State = "running"
        self._error: dict[str, str] | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Write the file for the first time, and go on writing it."""
        if self.path is None:
            return
        self._write()
        self._thread = threading.Thread(target=self._keep_writing, daemon=True, name="progress")
        self._thread.start()

    @contextmanager
    def stage(self, index: int, name: str) -> Iterator[None]:
        """The block is a stage. After an error it stays the current one: that is where the run failed."""
        self._stage = RunningStage(index, name, self.clock())
        yield
        self._stage = self._task = None

    @contextmanager
    def task(self, index: int, name: str, total: int, unit: str) -> Iterator[probing.samplers.base.Progress]:
        """The block works through `total` items; yields `advance(count)`, which is a sampler's progress too."""
        task = self._task = RunningTask(index, name, unit, total, self.clock())

        def advance(samples: int, tokens: int = 0, seconds_left: float | None = None) -> None:
            now = self.clock()
            task.tokens += tokens
            if samples:
                task.done, task.advanced = task.done + samples, now
            task.left_at = None if seconds_left is None else now
            task.left = None if seconds_left is None or math.isinf(seconds_left) else seconds_left

        yield advance
        self._task = None

    def close(self, error: BaseException | None = None) -> None:
        """The end of the run: finished, or failed with an error. A later call changes nothing."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        if self.path is None or self._state != "running":
            return
        if error is None:
            self._state = "finished"
        else:
            self._state = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
            self._error = {"kind": type(error).__name__, "text": str(error)[:LONGEST_ERROR]}
        with contextlib.suppress(OSError):  # a full disk must not hide the error that ends the run
            self._write()

    def _keep_writing(self) -> None:
        while not self._stop.wait(self.every):
            with contextlib.suppress(OSError):  # the stages write to the same disk and say so; the next turn tries again
                self._write()

    def _write(self) -> None:
        assert self.path is not None
        stage, task = self._stage, self._task
        found: dict[str, Any] = {
            "state": self._state,
            **self._who,
            "started": self._started,
            "written": self.clock(),
            "every": self.every,
            "stage": None if stage is None else asdict(stage),
            "task": None if task is None else asdict(task),
            "memory_mb": round(self.memory()),
            "error": self._error,
        }
        write_atomically(self.path, json.dumps(found, indent=1))


def read_progress(folder: Path) -> dict[str, Any]:
    """What a run's last process left in its progress.json; {} where nothing can be read: it is no record."""
    try:
        return dict(json.loads((folder / NAME).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def is_alive(host: str, pid: int, process_started: float) -> bool | None:
    """Whether the process that wrote a progress file still runs; None on another host, where it cannot be looked up."""
    if host != socket.gethostname():
        return None
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - process_started) < 5.0  # seconds: the clock may have been set since
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return os.path.exists(f"/proc/{pid}")
