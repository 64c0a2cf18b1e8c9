"""What a person sees in the terminal: the error screen, and a progress bar per stage. The tables: `rl.round_tables`.

Written for both a terminal (rich bars) and a log file (a plain line now and then, no control characters).
It decides nothing: the loop tells it what happened.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn
from rich.progress import Progress as Bar
from rich.text import Text

from probing.samplers.base import Progress
from rewards.user_error import UserError

EXIT_USER_ERROR = 2  # the status that every mistake of the user's ends in
TRAIN_REMEDY = "pip install 'ucoder[train]'"
_TRAIN = (
    "torch transformers huggingface_hub tokenizers safetensors tqdm trl accelerate datasets peft wandb sklearn threadpoolctl "
    "datasketch matplotlib"
)
TRAIN_LIBRARIES = frozenset(_TRAIN.split())  # import names of the distributions in the extra `train`
NO_HOME = "Could not determine home directory."  # what pathlib says of ~NAME
LOG_EVERY_SECONDS = 10.0  # between two progress lines when stdout is not a terminal
LOG_WIDTH = 160  # columns assumed when stdout is not a terminal, so that tables are not cut


def fail(error: UserError, console: Console | None = None) -> NoReturn:
    """Print one clear screen to stderr and leave with status 2. No traceback."""
    err = console or Console(stderr=True)
    parts = [(name, text) for name, text in (("what", error.what), ("where", error.where), ("do", error.remedy)) if text]
    if err.is_terminal:
        body = Text()
        for i, (name, text) in enumerate(parts):
            body.append("\n" if i else "")
            body.append(f"{name:<7}", style="dim")
            body.append(text.replace("\n", "\n" + " " * 7), style="bold" if name == "what" else "")
        err.print(Panel(body, title="ucoder cannot start", title_align="left", border_style="red", padding=(1, 2)))
    else:
        lines = [f"{name:<7}" + text.replace("\n", "\n" + " " * 7) for name, text in parts]
        print("ucoder cannot start", *lines, sep="\n", file=err.file)
    raise SystemExit(EXIT_USER_ERROR)


@contextmanager
def error_screen() -> Iterator[None]:
    """Turn a `UserError` raised in the block into the error screen and exit status 2; so also the import of a library that a light install
    (`pip install ucoder`) does not have, and a path in the home of nobody.
    """
    try:
        yield
    except UserError as error:
        fail(error)
    except RuntimeError as error:
        if str(error) != NO_HOME:
            raise
        fail(
            UserError("a path begins with ~ and a name that no user of this machine has", "command line or config", "write the whole path")
        )
    except ModuleNotFoundError as error:
        library = (error.name or "").split(".")[0]
        if library not in TRAIN_LIBRARIES:
            raise
        fail(UserError(f"{library} is not installed: this needs the libraries that train models", "this environment", TRAIN_REMEDY))


def make_console(quiet: bool = False, stderr: bool = False) -> Console:
    """The console for progress and tables: stdout (or stderr), wide enough for a table when that is a file.

    quiet: print nothing (ranks other than the first).
    """
    console = Console(quiet=quiet, stderr=stderr)
    if console.is_terminal:
        return console
    return Console(quiet=quiet, stderr=stderr, width=max(console.width, LOG_WIDTH), no_color=True, highlight=False)


def duration(seconds: float) -> str:
    """Human text for a time in seconds.

    >>> duration(4.24), duration(95), duration(7260)
    ('4.2 s', '1 min 35 s', '2 h 01 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


class _Pace:
    """What a stage has done and what is left of it: a `Progress`. Tokens are counted where samples are drawn."""

    def __init__(self, total: int, clock: Callable[[], float]) -> None:
        self.total, self.clock, self.start = total, clock, clock()
        self.done = self.tokens = 0
        self.left: tuple[float, float] | None = None  # seconds that were left at a time, as a sampler said last

    def advance(self, count: int, tokens: int = 0, seconds_left: float | None = None) -> float:
        """Add what is done; returns the time."""
        now = self.clock()
        self.done, self.tokens = self.done + count, self.tokens + tokens
        self.left = None if seconds_left is None else (seconds_left, now)
        return now

    def eta(self, now: float) -> float | None:
        """Seconds until the end: what the sampler has said, else in proportion to what is done; None where nothing is known."""
        if self.left is not None:
            return None if math.isinf(self.left[0]) else max(0.0, self.left[0] - (now - self.left[1]))
        return (now - self.start) * (self.total - self.done) / self.done if self.done else None

    def text(self, now: float) -> str:
        """Tokens and their rate, where there are any; the time that is left."""
        eta = self.eta(now)
        tokens = f"{self.tokens:,} tokens, {self.tokens / max(now - self.start, 1e-9):,.0f}/s  " if self.tokens else ""
        return f"{tokens}{duration(now - self.start)}, ETA {'?' if eta is None else duration(eta)}"


class _LogLine:
    """Progress as plain lines: the first after `LOG_EVERY_SECONDS`, one when done."""

    def __init__(self, console: Console, name: str, total: int, unit: str, clock: Callable[[], float]) -> None:
        self.console, self.name, self.unit, self.pace = console, name, unit, _Pace(total, clock)
        self.last = self.pace.start

    def advance(self, samples: int, tokens: int = 0, seconds_left: float | None = None) -> None:
        now = self.pace.advance(samples, tokens, seconds_left)
        if now - self.last >= LOG_EVERY_SECONDS and self.pace.done < self.pace.total:
            self.last = now
            self._line(f"{100 * self.pace.done // self.pace.total:3d} %  {self.pace.text(now)}")

    def close(self, failed: bool) -> None:
        now, tokens = self.pace.clock(), self.pace.tokens
        rate = f"  {tokens:,} tokens, {tokens / max(now - self.pace.start, 1e-9):,.0f}/s" if tokens else ""
        self._line(f"{'stopped after' if failed else 'done in'} {duration(now - self.pace.start)}{rate}")

    def _line(self, tail: str) -> None:
        self.console.print(f"  {self.name:<28} {self.pace.done:,}/{self.pace.total:,} {self.unit}  {tail}", markup=False)


class _PaceColumn(ProgressColumn):
    """Tokens, time spent and time left of a bar."""

    def __init__(self, pace: _Pace) -> None:
        super().__init__()
        self.pace = pace

    def render(self, task: Task) -> Text:
        return Text(self.pace.text(self.pace.clock()))


@contextmanager
def stage(
    name: str, total: int, unit: str = "items", console: Console | None = None, clock: Callable[[], float] = time.monotonic
) -> Iterator[Progress]:
    """A progress bar for one stage; yields `advance(count)`, which adds `count` finished items, and is a sampler's `Progress`.

    name: shown in front, "round 1 · solutions". total: items expected. unit: their plural noun.
    """
    out = console or make_console()
    if not out.is_terminal or out.quiet:
        line = _LogLine(out, name, total, unit, clock)
        try:
            yield line.advance
        except BaseException:
            line.close(failed=True)
            raise
        line.close(failed=False)
        return
    pace = _Pace(total, clock)
    columns = TextColumn("{task.description:<28}"), BarColumn(bar_width=32), MofNCompleteColumn(), TextColumn(unit), _PaceColumn(pace)
    with Bar(*columns, console=out) as bar:
        task = bar.add_task(name, total=total)

        def advance(samples: int, tokens: int = 0, seconds_left: float | None = None) -> None:
            pace.advance(samples, tokens, seconds_left)
            bar.advance(task, samples)

        yield advance


def warn(message: str, console: Console | None = None) -> None:
    """One line to stderr that does not stop the run."""
    out = console or Console(stderr=True, width=None if sys.stderr.isatty() else LOG_WIDTH)
    out.print(f"warning: {message}", markup=False, highlight=False, soft_wrap=True, style="yellow")
