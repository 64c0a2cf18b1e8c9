"""A run: what every stage needs (config, folder, ranks, sandbox, monitor, console), and what has been spent.

How the ranks share the work is said in `rl.ranks.ranks` and `rl.ranks.shards`.
"""

from __future__ import annotations

import functools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

import psutil
import torch

import probing.samplers.base
from probing.models.loading import ModelError, load_tokenizer
from rewards.judge.determinism import Steady
from rewards.sandbox.config import SandboxConfig
from rewards.sandbox.execution import make_sandbox
from rewards.sandbox.packages import PackagesError, make_offer
from rl.benchmarks.presence import check_any, check_same_texts, forget_scorable, keep_presence, look_for_benchmarks
from rl.config.chat_check import check_chat
from rl.config.run_folder import open_run
from rl.config.run_lock import RunLock
from rl.config.schema import Config
from rl.console import UserError, make_console, stage
from rl.devices import check_devices
from rl.labels.oracle import Oracle, load_oracle
from rl.models.source import GIVE, KEPT, check_model, resolve_model
from rl.own.opening import check_same, keep_record, open_own
from rl.progress import ProgressFile, read_progress
from rl.ranks.ranks import RankError, Ranks, distributed_state
from rl.ranks.shards import wait_for
from rl.round_files import Stage
from rl.stage_times import StageTimes
from rl.tracking.monitor import Monitor

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Written = TypeVar("Written")
Kept = TypeVar("Kept")
DOING = "while at: "  # begins the note that tells what a run was doing when its memory was full, or a prompt too long


class PeakMemory:
    """The most memory that this process and its children held at once, in MB, looked at twice a second."""

    def __init__(self, before: float = 0.0) -> None:
        self.megabytes = before
        self.now = 0.0
        self._since = 0.0
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
            self.now = total / 2**20
            self.megabytes, self._since = max(self.megabytes, self.now), max(self._since, self.now)

    def since_mark(self) -> float:
        """The most since the last call, which starts the next span; 0 where the span was too short for a look."""
        most, self._since = self._since, 0.0
        return most

    def close(self) -> float:
        self._stop.set()
        self._thread.join()
        return self.megabytes


class Run:
    """The context of a run. Use it as a context manager; open it on every rank."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.state = distributed_state()
        self.ranks = Ranks.of(self.state)
        self.main = self.ranks.main
        self.folder = Path(config.run_dir).expanduser()
        self.lock = RunLock(self.folder)  # rank 0 takes it
        self.model = check_model(config.model, self.folder / KEPT)
        self.console = make_console(quiet=not self.main)
        self.oracle: Oracle | None = load_oracle(config.oracle) if config.oracle else None
        self.ranks.start()
        with self._told_to_others():
            check_devices(config)
            if config.execution.backend == "local":  # elsewhere each node has packages of its own
                check_packages(config.sandbox)
            self.benchmarks = look_for_benchmarks(config, score=self.main)
            self.own = open_own(config)  # the user's problems and solutions; None: the model makes them
            if self.main:
                check_any(self.benchmarks, self.folder)
                open_run(config, self.lock)
                self.benchmarks.warn()
                keep_presence(self.benchmarks, self.folder)
                forget_scorable(self.folder)
                if self.own is not None:
                    keep_record(self.own, self.folder)
                resolve_model(config.model, self.folder / KEPT, self.console)
                check_chat(_tokenizer_of(self.model, config.model), config)
        self.started = time.monotonic()

    def __enter__(self) -> Self:
        self.state.wait_for_everyone()
        with self._told_to_others():
            self._open()
        return self

    def _open(self) -> None:
        if not (self.folder / "config.yaml").is_file():
            remedy = "put --run_dir on a disk that all machines share"
            raise UserError(f"rank {self.ranks.number} does not see the run folder", str(self.folder.resolve()), remedy)
        if not self.main:
            check_same_texts(self.benchmarks, self.folder)
            if self.own is not None:
                check_same(self.own, self.folder)
        self.times = StageTimes(self.folder)
        if self.main:
            self.times.take_over(read_progress(self.folder))
        self._before = self.times.total()
        self.memory = PeakMemory(self.times.peak_memory)
        workers = max(1, self.config.sandbox.workers // self.ranks.local_count)  # a machine's workers, shared by its ranks
        self.sandbox = make_sandbox(self.config.execution, self.config.sandbox.model_copy(update={"workers": workers}))
        self.sandbox.__enter__()
        open_second = functools.partial(make_sandbox, self.config.execution)
        self.executor = Steady(self.sandbox, self.config.consensus.recheck, open_second)  # what votes, or trains, goes through it
        self.monitor = Monitor(self.folder, self.config, main=self.main)
        self.progress = ProgressFile(self.folder if self.main else None, self.ranks.count, lambda: self.memory.now)
        self.progress.start()
        self.ranks.on_lost = functools.partial(self._lost, self.ranks.on_lost)
        self.console.print(f"sandbox          {self.sandbox.describe()}", markup=False, soft_wrap=True)
        self.console.print(self.benchmarks.describe(), markup=False, soft_wrap=True)
        for line in self.own.describe() if self.own is not None else ():
            self.console.print(line, markup=False, soft_wrap=True)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            self.ranks.fail(error)
        self.progress.close(error)
        self.monitor.close()
        self.executor.close()
        self.sandbox.__exit__(None, None, None)
        self.memory.close()
        self.lock.release()
        if error is None:
            self.ranks.finish()

    def _lost(self, end: Callable[[str], None], lost: str) -> None:
        """Another rank is lost while this one is blocked, and the process ends: note it in progress.json first."""
        self.progress.close(RankError(lost))
        end(lost)

    @contextmanager
    def _told_to_others(self) -> Iterator[None]:
        """What goes wrong in the block is told to the other ranks, which would wait for this one otherwise."""
        try:
            yield
        except BaseException as error:
            self.ranks.fail(error)
            raise

    def round_folder(self, index: int, make: bool = True) -> Path:
        folder = self.folder / f"round_{index:02d}"
        if self.main and make:
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def loop_seconds(self) -> float:
        """Wall time of the run: this session's, and the stages of those before it."""
        return self._before + time.monotonic() - self.started

    @contextmanager
    def timed(self, index: int, name: str) -> Iterator[None]:
        """Adds the block's wall time to the round's seconds for `name`, and notes the most memory held in it."""
        start = time.monotonic()
        self.memory.since_mark()
        with self.progress.stage(index, name):
            yield
        self.times.add(index, name, time.monotonic() - start, self.memory.since_mark() or self.memory.now)
        self.times.peak_memory = self.memory.megabytes
        if self.main:
            self.times.write()

    def once(
        self,
        index: int,
        stage: Stage[Written, Kept],
        compute: Callable[[], Written],
        write: Callable[[Path, Written], None] | None = None,
    ) -> Kept:
        """What a stage left in round `index`: read when its file is there. Otherwise every rank computes, sharing the work, and the first
        writes. write: in place of the stage's own, where something is counted on the way."""
        path = self.round_folder(index) / stage.file
        if not path.exists():
            self.ranks.at(f"round {index}, {stage.name}")
            with self.timed(index, stage.name):
                result = compute()
                if self.main:
                    (write or stage.write)(path, result)
            if self.main and not stage.read_back:
                return cast(Kept, result)  # a test holds that reading gives the same
        wait_for(path, self.ranks)
        return stage.read(path)

    @contextmanager
    def bar(self, index: int, name: str, total: int, unit: str) -> Iterator[probing.samplers.base.Progress]:
        """A progress bar with counts and ETA, in the terminal and in progress.json."""
        with (
            stage(f"round {index} · {name}", total, unit, self.console) as show,
            self.progress.task(index, name, total, unit) as note,
        ):

            def advance(samples: int, tokens: int = 0, seconds_left: float | None = None) -> None:
                show(samples, tokens, seconds_left)
                note(samples, tokens, seconds_left)

            try:
                yield advance
            except (torch.OutOfMemoryError, probing.samplers.base.PromptError) as error:
                error.add_note(f"{DOING}{name}")  # what would help depends on it
                raise

    def log(self, stage_name: str, index: int, figures: Mapping[str, Any]) -> None:
        self.monitor.log(stage_name, index, figures)

    def log_outcomes(self, index: int, counts: Counter[str]) -> None:
        """What the sandboxes of all ranks counted in a stage."""
        self.monitor.log("sandbox", index, dict(counts))


def _tokenizer_of(path: str, name: str) -> PreTrainedTokenizerBase:
    """The tokenizer of the run's model. Raises UserError where it cannot be loaded."""
    try:
        return load_tokenizer(path)
    except ModelError as error:
        raise UserError(str(error), f"model: {name}", GIVE) from None


def check_packages(sandbox: SandboxConfig) -> None:
    """Raises UserError when a package that programs are to be offered is not installed."""
    try:
        make_offer(sandbox.packages, sandbox.environment)
    except PackagesError as error:
        raise UserError(str(error), "sandbox.packages", "install it there, name another sandbox.environment, or take it out") from None
