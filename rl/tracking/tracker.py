"""What the monitor sends to trackers, and what it asks of one. How each does it: `rl.tracking.trackers`, `rl.tracking.wandb_tracker`."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rl.config.run_folder import write_atomically
from rl.config.schema import Config

# metric groups by their axis; a name is GROUP/METRIC
STEP_GROUPS = ("grpo", "sft", "proposer", "guards", "audit", "outcomes")
ROUND_GROUPS = (
    *("eval", "problems", "proposals", "funnel", "suites", "sampling", "sandbox", "consensus", "probe"),
    *("held_out", "choice", "seconds", "spent", "programs"),
)


@dataclass(frozen=True)
class Point:
    """The figures of one line of metrics.jsonl."""

    row: int  # number of the line, from 0: what a tracker recognises a point by when a run goes on
    time: float  # Unix seconds
    round: int
    step: int | None  # optimizer steps over all rounds; None: figures of a round
    values: Mapping[str, float]  # finite, by full name


class Tracker(Protocol):
    """What the monitor asks of a tracker."""

    delivered: int  # lines of metrics.jsonl that it held when it was opened; the monitor sends it the later ones again

    def log(self, point: Point) -> None:
        """Take a point; rows come in ascending order."""

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], index: int) -> None:
        """A small table; a tracker without tables leaves it out (the run folder has the rows)."""

    def artifact(self, path: Path, name: str, kind: str, aliases: Sequence[str]) -> None:
        """A file or folder with aliases; a tracker without artifacts leaves it out."""

    def close(self) -> None:
        """Flush and end."""


def tracker_run_id(folder: Path, tracker: str) -> str:
    """The run's id at a tracker: made once, kept in RUN/tracking.json, so that a resumed run continues its own curves."""
    path = folder / "tracking.json"
    ids = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if tracker not in ids:
        ids[tracker] = uuid.uuid4().hex[:12]
        write_atomically(path, json.dumps(ids, indent=2) + "\n")
    return ids[tracker]


def run_name(config: Config, folder: Path) -> str:
    return config.tracking.name or folder.resolve().name
