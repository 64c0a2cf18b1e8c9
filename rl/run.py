"""A run: what every stage needs (config, folder, sandbox, monitor, console), which rank does what, and what has been spent.

Stages 1 to 5 and the evaluations are done by the first rank and left as files; the other ranks wait for the file, not in a
collective, so a long sandbox run cannot time one out. Training (stage 6) is done by all ranks.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

import psutil
import torch
from accelerate import PartialState

from rewards.sandbox import Sandbox
from rl.config import Config, resolve_model
from rl.console import make_console, stage
from rl.monitor import Monitor
from rl.oracle import Oracle, load_oracle
from rl.run_folder import open_run, write_atomically

Result = TypeVar("Result")
_POLL_SECONDS = 0.2


class PeakMemory:
    """The most memory that this process and its children held at once, in MB, looked at twice a second."""

    def __init__(self, before: float = 0.0) -> None:
        self.megabytes = before
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        me = psutil.Process()
        while not self._stop.wait(0.5):
            total = 0
            for process in [me, *me.children(recursive=True)]:
                try:
                    info = process.memory_full_info() if process != me else process.memory_info()
                    total += getattr(info, "pss", 0) or info.rss  # forked workers share pages: count them once
                except (psutil.NoSuchProcess, psutil.AccessDenied):
                    continue
            self.megabytes = max(self.megabytes, total / 2**20)

    def close(self) -> float:
        self._stop.set()
        self._thread.join()
        return self.megabytes


class Run:
    """The context of a run. Use it as a context manager; open it on every rank."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.state = PartialState(cpu=not torch.cuda.is_available())
        self.main = self.state.is_main_process
        self.folder = Path(config.run_dir).expanduser()
        self.model = resolve_model(config.model)
        self.oracle: Oracle | None = load_oracle(config.oracle) if config.oracle else None
        if self.main:
            open_run(config)
        self.console = make_console(quiet=not self.main)
        self._times = self.folder / "times.json"
        self.started = time.monotonic()

    def __enter__(self) -> Self:
        self.state.wait_for_everyone()
        stored: dict[str, Any] = json.loads(self._times.read_text()) if self._times.is_file() else {"stages": {}, "peak_memory_mb": 0.0}
        self.seconds: dict[str, dict[str, float]] = stored["stages"]  # round -> stage -> seconds
        self._before = sum(sum(stages.values()) for stages in self.seconds.values())
        self.memory = PeakMemory(stored["peak_memory_mb"])
        self.sandbox = Sandbox(self.config.sandbox)
        self.sandbox.__enter__()
        self.monitor = Monitor(self.folder, self.config, main=self.main)
        self.console.print(f"sandbox          {self.sandbox.describe()}", markup=False, soft_wrap=True)
        return self

    def __exit__(self, *details: object) -> None:
        self.monitor.close()
        self.sandbox.__exit__(None, None, None)
        self.memory.close()

    def round_folder(self, index: int) -> Path:
        folder = self.folder / f"round_{index:02d}"
        if self.main:
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def loop_seconds(self) -> float:
        """Wall time of the run: this session's, and the stages of those before it."""
        return self._before + time.monotonic() - self.started

    @contextmanager
    def timed(self, round: int, name: str) -> Iterator[None]:
        """Adds the block's wall time to the round's seconds for `name`."""
        start = time.monotonic()
        yield
        stages = self.seconds.setdefault(str(round), {})
        stages[name] = round_half(stages.get(name, 0.0) + time.monotonic() - start)
        if self.main:
            write_atomically(self._times, json.dumps({"stages": self.seconds, "peak_memory_mb": self.memory.megabytes}))

    def once(
        self,
        round: int,
        name: str,
        path: Path,
        compute: Callable[[], Result],
        write: Callable[[Path, Result], None],
        read: Callable[[Path], Result],
    ) -> Result:
        """A stage that leaves one file: read when it is there, computed and written by the first rank otherwise."""
        if not path.exists() and self.main:
            with self.timed(round, name):
                write(path, compute())
        while not path.exists():
            time.sleep(_POLL_SECONDS)
        return read(path)

    @contextmanager
    def bar(self, round: int, name: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        """A progress bar with counts and ETA."""
        with stage(f"round {round} · {name}", total, unit, self.console) as advance:
            yield advance

    def log(self, stage_name: str, round: int, figures: Mapping[str, Any]) -> None:
        self.monitor.log(stage_name, round, figures)

    def log_outcomes(self, round: int, before: Counter[Any]) -> None:
        """Outcome kinds that the sandbox has counted since `before`."""
        now = Counter(self.sandbox.counts)
        now.subtract(before)
        self.monitor.log("sandbox", round, {str(getattr(kind, "value", kind)): count for kind, count in now.items()})


def round_half(seconds: float) -> float:
    """Seconds to a hundredth."""
    return round(seconds, 2)
