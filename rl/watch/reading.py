"""Reads a run's folder for `ucoder watch`, while it is being written: what is there is shown, what is missing stays missing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl.config.run_folder import CUT, read_json
from rl.console import UserError
from rl.progress import NAME as PROGRESS
from rl.round_files import count_lines
from rl.run_data import RoundFiles, Row, is_done, known, read_config, read_logged, read_rounds, read_summary, rounds_of
from rl.watch.status import Status, check_progress, status_of

Times = dict[str, dict[str, float]]  # round -> stage -> seconds, or megabytes


@dataclass(frozen=True)
class FunnelRow:
    """What a round made of its proposals. None: not known yet, or the run did not say."""

    round: int
    proposals: int | None = None
    problems: int | None = None
    inputs: int | None = None
    answers: int | None = None  # drawn in stage 5
    no_program: int | None = None  # of those, without any program
    programs: int | None = None  # distinct ones, executed
    voted: int | None = None  # problems with a winner
    in_band: int | None = None  # of those, in the band of agreement that is trained on
    repeats: int | None = None  # left out of it, since their winner behaves like that of an earlier problem


@dataclass(frozen=True)
class Watched:
    """A run at one moment."""

    folder: Path
    config: Row
    status: Status
    progress: Row  # empty where the run writes none
    rows: list[Row]  # quality by round, the base first
    final: Row  # the round whose checkpoint is the result so far
    funnel: FunnelRow | None  # of the last round that has begun
    steps: list[Row]  # of the last training, one an optimizer step
    guards: list[Row]
    seconds: Times
    memory: Times  # the most held in each stage
    peak_memory: float | None  # megabytes
    now: float  # Unix seconds

    @property
    def rounds(self) -> int | None:
        """How many are to be done."""
        value = self.config.get("rounds")
        return value if isinstance(value, int) else None

    @property
    def round(self) -> int:
        """The round that the run is in, or ended in; 0 before the first."""
        stage = self.progress.get("stage")
        begun = max([int(number) for number in self.seconds], default=0)
        return max(begun, stage["round"]) if isinstance(stage, dict) else max(begun, self.funnel.round if self.funnel else 0)


class Reader:
    """Reads the folder again and again; counts of files that did not change are kept. clock: Unix seconds."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self.folder, self.clock = folder, clock
        self._kept: dict[Path, tuple[tuple[int, int], Any]] = {}

    def read(self) -> Watched:
        """The run now. Raises UserError when the folder holds no run, or one of its files is broken."""
        folder = self.folder
        if not folder.is_dir():
            raise UserError("there is no such run folder", str(folder), "give the run_dir of a run")
        if not any((folder / name).is_file() for name in ("config.yaml", "metrics.jsonl", "summary.json", PROGRESS)):
            remedy = "give the run_dir of a run: the folder that holds config.yaml and metrics.jsonl"
            raise UserError("this folder holds no run", str(folder), remedy)
        config, summary, rounds = read_config(folder / "config.yaml"), read_summary(folder / "summary.json"), rounds_of(folder)
        rows = read_rounds(summary, rounds)
        done = is_done(rows, config)
        progress = check_progress(read_json(folder / PROGRESS), folder / PROGRESS)
        logged = self._once(folder / "metrics.jsonl", read_logged) or []
        steps = [row for row in logged if row["stage"] in ("grpo", "sft") and row["step"] is not None]
        last = max(((row["round"], row["stage"]) for row in steps), default=None, key=lambda pair: (pair[0], pair[1] == "grpo"))
        times = read_json(folder / "times.json")
        begun = [files for files in rounds if files.number > 0]
        now = self.clock()
        return Watched(
            folder=folder,
            config=config,
            status=status_of(progress, folder, done, config, now),
            progress=progress,
            rows=rows,
            final=summary.get("final") or (rows[-1] if rows else {}),
            funnel=self._funnel(begun[-1], logged) if begun else None,
            steps=[row for row in steps if (row["round"], row["stage"]) == last],
            guards=[row for row in logged if row["stage"] == "guards"],
            seconds=_times(times, "stages", folder),
            memory=_times(times, "memory", folder),
            peak_memory=times.get("peak_memory_mb"),
            now=now,
        )

    def _funnel(self, files: RoundFiles, logged: list[Row]) -> FunnelRow:
        """Counted from the round's own files, so that it holds for runs that were put together by hand too; answers as they were logged."""
        funnel = read_json(files.folder / "funnel.json")
        votes = self._once(files.folder / "clusters.jsonl", lambda _: _votes(files)) or (None, None, None)
        answers, no_program = _answers(files.number, logged)
        return FunnelRow(
            round=files.number,
            proposals=funnel.get("proposed"),
            problems=self._once(files.folder / "problems.jsonl", count_lines),
            inputs=self._once(files.folder / "suites.jsonl", lambda _: sum(len(row["inputs"]) for row in files.rows("suites"))),
            answers=answers,
            no_program=no_program,
            programs=self._once(files.folder / "executions.jsonl", count_lines),
            voted=votes[0],
            in_band=votes[1],
            repeats=votes[2],
        )

    def _once(self, path: Path, compute: Callable[[Path], Any]) -> Any:
        """`compute(path)`, again only when the file has changed; None where there is no file."""
        try:
            found = path.stat()
        except OSError:
            return None
        stamp = (found.st_mtime_ns, found.st_size)
        if self._kept.get(path, (None,))[0] != stamp:
            try:
                self._kept[path] = (stamp, compute(path))
            except (KeyError, TypeError) as error:
                raise UserError(f"a line has no field {error}", str(path), CUT) from None
        return self._kept[path][1]


def _answers(number: int, logged: list[Row]) -> tuple[int | None, int | None]:
    """(answers of the round's stage 5, those without a program); the last that was logged, where the stage ran again."""
    row = next((row for row in reversed(logged) if (row["round"], row["stage"]) == (number, "sampling")), {})
    samples, share = known(row, "samples"), known(row, "no_program")
    return None if samples is None else int(samples), None if samples is None or share is None else round(share * samples)


def _votes(files: RoundFiles) -> tuple[int, int, int]:
    rows = list(files.rows("clusters"))
    repeats = sum(row.get("repeats") is not None for row in rows)
    return sum(row["top"] >= 0 for row in rows), sum(bool(row["kept"]) for row in rows), repeats


def _times(times: Mapping[str, Any], key: str, folder: Path) -> Times:
    found = times.get(key) or {}
    if not isinstance(found, dict) or not all(number.isdigit() and isinstance(stages, dict) for number, stages in found.items()):
        raise UserError(f"its {key} are not by round and stage", str(folder / "times.json"), CUT)
    return found
