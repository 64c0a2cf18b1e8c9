"""Every figure of a run, to the run folder's metrics.jsonl and to the trackers.

    with Monitor(folder, config) as monitor:
        monitor.log("solutions", 1, metrics={"tokens_per_second": 4400.0})
        train_grpo(..., log=monitor.training_log(1))
        monitor.round(row, 1)                            # a row of summary.json

A line of metrics.jsonl is one flat JSON object: round, stage, step (optimizer steps in this round, or null), time (Unix seconds),
then the figures. Missing is null, never 0. A stage that was killed and repeated writes its lines again: readers keep the last
(`read_metrics`), while the trackers got the first, and get no second. What a tracker lost in a kill is sent to it again.

A training that goes on from its checkpoint of step K makes the later steps again, and not always the same ones. A line of the stage
`resumed` says so; the lines that the killed start had logged of those steps, its guards' actions among them, count no more:

    {"round": 1, "stage": "resumed", "step": null, "time": ..., "training": "grpo", "from_step": 3}
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from rewards.text import json_lines
from rl.config.run_folder import flatten
from rl.config.schema import Config
from rl.tracking.tracker import STEP_GROUPS, Point, Tracker
from rl.tracking.trackers import make_trackers

KEYS = ("round", "stage", "step", "time")
TRAINING_STAGES = ("sft", "grpo")  # in the order in which a round goes through them
RESUMED = "resumed"
GUARDED = "grpo"  # the training whose steps the stage `guards` speaks of

# keys of a summary row -> group at the trackers; what is in no group goes to `eval`
ROW_GROUPS = {
    "label_accuracy": "consensus",
    "probe_auroc_within_raw": "probe",
    "probe_auroc_within_controlled": "probe",
    "probe_auroc_pooled": "probe",
    "length_auroc_within": "probe",
    "logprob_auroc_within": "probe",
    "seconds": "",  # nested: its own group
    "funnel": "",
}


class Monitor:
    """Writes figures down. On ranks other than the first (`main=False`) it does nothing.

    clock: Unix seconds. trackers: for tests; by default those of `config.tracking`.
    """

    def __init__(
        self,
        folder: Path,
        config: Config,
        main: bool = True,
        trackers: Sequence[Tracker] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.main, self.config, self.clock, self.path = main, config, clock, folder / "metrics.jsonl"
        self.trackers: list[Tracker] = [] if not main else list(trackers) if trackers is not None else make_trackers(config, folder)
        self._points, self._lines = Points(), 0
        self._earlier: set[tuple[Any, ...]] = set()  # what earlier starts logged
        self._reached: dict[tuple[int, str], int] = {}  # (round, training) -> the last step that they logged
        if main:
            _mend_last_line(self.path)
            self._catch_up()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def log(self, stage: str, index: int, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Figures of one stage. Nested mappings become dotted names with a slash; text is kept in the JSONL only."""
        if not self.main:
            return
        figures = {name.replace(".", "/"): clean(value) for name, value in flatten(metrics).items() if name not in KEYS}
        row = self._write(index, stage, step, figures)
        if _key(row) not in self._earlier:
            self._send(self._lines - 1, row)

    def _write(self, index: int, stage: str, step: int | None, figures: Mapping[str, Any]) -> dict[str, Any]:
        """Append a line, and return it."""
        row = {"round": index, "stage": stage, "step": step, "time": self.clock(), **figures}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, allow_nan=False) + "\n")
        self._lines += 1
        return row

    def _send(self, line: int, row: Mapping[str, Any]) -> None:
        self._points.note(row)
        numbers, axis = self._points.of(row)
        point = Point(line, row["time"], row["round"], axis, numbers)
        for tracker in self.trackers if numbers else ():
            if line >= tracker.delivered:
                tracker.log(point)

    def _catch_up(self) -> None:
        """Send each tracker the lines of earlier starts that it does not hold."""
        for line, row in _numbered_rows(self.path):
            self._lines = line + 1
            if row is None or row["stage"] == RESUMED:
                continue
            if row["step"] is not None:
                training = row["round"], _training_of(row)
                self._reached[training] = max(self._reached.get(training, 0), row["step"])
            if _key(row) not in self._earlier:
                self._earlier.add(_key(row))
                self._send(line, row)

    def training_log(self, index: int, stage: str = "grpo") -> Callable[[Mapping[str, Any]], None]:
        """A log function for training: records carry their `step`; a guard's action goes to the stage `guards`."""

        def log(record: Mapping[str, Any]) -> None:
            where, step = "guards" if "guard_action" in record else stage, record.get("step")
            reached = None if step is None else self._reached.pop((index, stage), None)
            if step is not None and reached is not None and step <= reached:  # this start's first record is of a step made before
                self._write(index, RESUMED, None, {"training": stage, "from_step": step - 1})
            self.log(where, index, record, step=step)

        return log

    def round(self, row: Mapping[str, Any], index: int) -> None:
        """The figures of a finished round (round 0: the base), as in summary.json."""
        if not self.main:
            return
        grouped: dict[str, Any] = {}
        for name, value in row.items():
            if name in ("round", "training"):  # what training did is logged step by step
                continue
            if name == "benchmarks":
                grouped |= {f"eval/{benchmark}": figures for benchmark, figures in value.items()}
                continue
            if isinstance(value, (list, tuple)) and len(value) == 2 and name.endswith("_ci"):
                value = {"low": value[0], "high": value[1]}
            group = ROW_GROUPS.get(name, "eval")
            grouped[f"{group}/{name}" if group else name] = value
        self.log("round", index, grouped)

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], index: int) -> None:
        """A small table for the trackers (the rows themselves lie in the round's files)."""
        for tracker in self.trackers:
            tracker.table(name, columns, rows, index)

    def artifact(self, path: Path, name: str, kind: str, aliases: Sequence[str]) -> None:
        """A checkpoint, probe or report, under aliases such as latest, best, round-3. Only with `tracking.artifacts`."""
        if self.config.tracking.artifacts:
            for tracker in self.trackers:
                tracker.artifact(path, name, kind, aliases)

    def close(self) -> None:
        for tracker in self.trackers:
            tracker.close()
        self.trackers = []


class Points:
    """Lines of metrics.jsonl as the trackers see them: full names, finite numbers, steps counted over all rounds.

    `note` each line before asking for its point.
    """

    def __init__(self) -> None:
        self.last_step: dict[tuple[int, int], int] = {}  # `place_of` a training -> its optimizer steps
        self.guards_fired = 0

    def note(self, row: Mapping[str, Any]) -> None:
        if row["stage"] in TRAINING_STAGES and row["step"] is not None:
            self.last_step[place_of(row)] = max(self.last_step.get(place_of(row), 0), row["step"])
        if row["stage"] == "guards":
            self.guards_fired += 1

    def of(self, row: Mapping[str, Any]) -> tuple[dict[str, float], int | None]:
        """(figures by full name, optimizer steps over all rounds or None). The curves of a training go on where the last one's ended."""
        figures = {_full_name(row["stage"], name): value for name, value in row.items() if name not in KEYS}
        numbers = {name: float(value) for name, value in figures.items() if isinstance(value, (int, float))}
        if row["step"] is None:
            return numbers, None
        numbers["guards/fired"] = float(self.guards_fired)  # at every step, so that a quiet run shows a zero
        return numbers, sum(steps for earlier, steps in self.last_step.items() if earlier < place_of(row)) + row["step"]


def read_points(rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[dict[str, float], int, int | None]]:
    """(figures, round, step) of the lines of a metrics.jsonl, as the trackers received them."""
    points = Points()
    for row in rows:
        points.note(row)
        numbers, step = points.of(row)
        yield numbers, row["round"], step


def _full_name(stage: str, name: str) -> str:
    """Rounds and training log under several groups, `eval/pass@1` or `audit/accuracy`; other figures get their stage's name in front."""
    own = stage == "round" or (stage in TRAINING_STAGES and name.split("/")[0] in STEP_GROUPS and "/" in name)
    return name if own else f"{stage}/{name}"


def clean(value: Any) -> Any:
    """A JSON value: NaN, infinities and None become None; numpy scalars become numbers; other objects text."""
    if hasattr(value, "item") and not isinstance(value, (str, bytes)):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [clean(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): clean(item) for key, item in value.items()}
    return str(value)


def _mend_last_line(path: Path) -> None:
    """A kill may have cut the last line: close it, so that the next one stands alone."""
    if path.is_file() and path.stat().st_size:
        with path.open("rb+") as file:
            file.seek(-1, 2)
            if file.read(1) != b"\n":
                file.write(b"\n")


def _numbered_rows(path: Path) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """(number from 0, row) of each line of a metrics.jsonl; None for one that was cut."""
    for number, line in json_lines(path.read_text(encoding="utf-8")) if path.is_file() else ():
        try:
            yield number - 1, json.loads(line)
        except (ValueError, RecursionError):
            yield number - 1, None


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """What makes two lines the same: a stage that is repeated after a kill logs them again."""
    action = row.get("guard"), row.get("guard_action")  # one guard may act twice at a step: go back, and stop
    return (row["round"], row["stage"], row["step"], *action, frozenset(row) if row["step"] is None else None)


def place_of(row: Mapping[str, Any]) -> tuple[int, int]:
    """Where a line with a step stands in the run: its round, and how many trainings of the round come before its own."""
    training = _training_of(row)
    return row["round"], TRAINING_STAGES.index(training) if training in TRAINING_STAGES else 0


def _training_of(row: Mapping[str, Any]) -> str:
    """The training that a line with a step belongs to."""
    return GUARDED if row["stage"] == "guards" else row["stage"]


def _undone(row: Mapping[str, Any], resumed: Mapping[str, Any]) -> bool:
    """Whether a training that went on from a checkpoint makes the line's step again."""
    if row["step"] is None or row["round"] != resumed["round"] or row["step"] <= resumed["from_step"]:
        return False
    return _training_of(row) == resumed["training"]


def read_metrics(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a metrics.jsonl, repeated ones (same round, stage, step and kind of figures) once, the last. Left out are cut lines, and
    those of steps that a resumed training did not keep."""
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for _, row in _numbered_rows(path):
        if row is None:
            continue
        if row["stage"] == RESUMED:
            rows = {key: earlier for key, earlier in rows.items() if not _undone(earlier, row)}
            continue
        rows.pop(_key(row), None)
        rows[_key(row)] = row
    yield from rows.values()
