"""Is the run alive, finished, failed or killed, and how does it go on? From progress.json, and for runs without one from the files."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rl.config.run_folder import CUT
from rl.console import UserError, duration
from rl.progress import EVERY_SECONDS, is_alive
from rl.run_data import Row, launch_command

State = Literal["running", "silent", "finished", "failed", "interrupted", "killed", "unknown"]
SILENT_SECONDS = 60.0  # without a word, after which a run on another machine counts as ended (clocks may differ by some seconds)
GONE_SECONDS = 3 * EVERY_SECONDS  # the same where the process itself can be looked up, and is not there
ACTIVE_SECONDS = 300.0  # since a file was written, within which a run without progress.json is taken for running
KEYS: dict[str, Any] = {"state": str, "host": str, "pid": int, "process_started": float, "written": (int, float), "started": (int, float)}


@dataclass(frozen=True)
class Status:
    """How a run stands. text: the sentence that `state` begins. remedy: what to do; empty where nothing is."""

    state: State
    text: str
    remedy: str = ""

    @property
    def ended(self) -> bool:
        """Nothing more will be written, as far as can be known."""
        return self.state in ("finished", "failed", "interrupted", "killed")


def check_progress(progress: Row, path: Path) -> Row:
    """The same progress. Raises UserError when it is not what a run writes."""
    wrong = [key for key, kind in KEYS.items() if progress and not isinstance(progress.get(key), kind)]
    if wrong:
        raise UserError(f"a run's progress has other fields ({', '.join(wrong)})", str(path), CUT)
    return progress


def status_of(
    progress: Row,
    folder: Path,
    done: bool,
    config: Row,
    now: float | None = None,
    alive: Callable[[str, int, float], bool | None] = is_alive,
) -> Status:
    """The status of a run.

    progress: of progress.json, empty where there is none. done: all rounds are evaluated, or a guard ended the run. now: Unix seconds.
    """
    now = time.time() if now is None else now
    if not progress:
        return _without_progress(folder, done, config, now)
    age = max(0.0, now - progress["written"])
    again = command(folder, config, int(progress.get("ranks", 1)))
    go_on = f"what is finished is kept; the same command goes on from there, with its own --config_file if it had one: {again}"
    match progress["state"]:
        case "finished":
            return Status("finished", f"{duration(age)} ago")
        case "interrupted":
            return Status("interrupted", f"by hand, {duration(age)} ago{_where(progress)}", go_on)
        case "failed":
            error = progress.get("error") or {}
            text = f"{duration(age)} ago{_where(progress)}: {error.get('kind', 'error')}: {error.get('text', '')}"
            return Status("failed", text.rstrip(": \n"), f"mend that; {go_on}")
    here = alive(progress["host"], progress["pid"], progress["process_started"])
    who = f"{progress['host']}, process {progress['pid']}"
    if here is False and age > GONE_SECONDS:
        return Status("killed", f"no update for {duration(age)}{_where(progress)}, and its process is gone ({who})", go_on)
    if here is None and age > SILENT_SECONDS:
        doubt = "if that machine still runs it, this one's clock or its view of the disk is behind"
        return Status("killed", f"or lost: no update for {duration(age)}{_where(progress)} ({who}; {doubt})", go_on)
    if age > SILENT_SECONDS:
        return Status("silent", f"no update for {duration(age)}, though its process is there ({who}): it is paused, or the disk is slow")
    return Status("running", f"for {duration(max(0.0, now - progress['started']))} ({who})")


def _where(progress: Row) -> str:
    stage = progress.get("stage")
    return f" in round {stage['round']}, {stage['name']}" if isinstance(stage, dict) else ""


def _without_progress(folder: Path, done: bool, config: Row, now: float) -> Status:
    """Runs of versions that wrote no progress.json, or a folder that holds a run's results alone."""
    if done and (folder / "report.html").is_file():
        return Status("finished", "")
    age = max(0.0, now - last_written(folder))
    why = "it says nothing of itself: it has no progress.json"
    if age < ACTIVE_SECONDS:
        return Status("unknown", f"probably running: a file was written {duration(age)} ago ({why})")
    remedy = f"if it has ended, go on with: {command(folder, config)}" if config else ""
    return Status("unknown", f"not finished, and nothing was written for {duration(age)} ({why})", remedy)


def last_written(folder: Path) -> float:
    """When the newest file of the run, its rounds and what they hold was written, in Unix seconds."""
    newest = folder.stat().st_mtime
    for pattern in ("*", "round_*/*", "round_*/*/*", "round_*/*/*/*"):
        for path in folder.glob(pattern):
            try:
                newest = max(newest, path.stat().st_mtime)
            except OSError:  # finished parts are removed meanwhile
                continue
    return newest


def command(folder: Path, config: Row, ranks: int = 1) -> str:
    """What goes on with the run."""
    moved = Path(str(config.get("run_dir", folder))).expanduser().resolve() != folder.resolve()
    return launch_command(folder, *(["--run_dir", folder] if moved else []), ranks=ranks)
