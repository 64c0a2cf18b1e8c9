"""Reads a run's folder for the report and what else looks at runs. What a run did not write is absent here, never made up.

Files (see `rl.loop.round`, `rl.round_files`): summary.json, metrics.jsonl, config.yaml, versions.json and, in each round_XX/,
problems.jsonl, suites.jsonl, candidates.jsonl, executions.jsonl, clusters.jsonl, scores.jsonl, probe.json, metrics.json. After an audit
by a person also audit.json.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from probing.records import short_hash
from rewards.text import json_fault
from rl.config.run_folder import CUT, read_json
from rl.console import UserError
from rl.tracking.monitor import TRAINING_STAGES, place_of, read_metrics

Row = dict[str, Any]
AUDIT = "audit.json"  # written by `ucoder audit`


# What the readers of a round's files rely on.
FIELDS: dict[str, dict[str, Any]] = {
    "problems": {"id": str, "title": str, "description": str},
    "suites": {"problem_id": str, "inputs": list},
    "executions": {"problem_id": str, "program": str, "candidates": list, "outcomes": list},
    "clusters": {"problem_id": str, "inputs": list, "labels": list, "counts": list, "top": int, "top_share": float | int, "kept": bool},
    "scores": {"problem_id": str, "index": int},
}


@dataclass(frozen=True)
class RoundFiles:
    """One round's folder."""

    number: int
    folder: Path

    def rows(self, name: str) -> Iterator[Row]:
        """The lines of one of its files; none where the stage has not run. Raises UserError for a line that a run does not write."""
        path = self.folder / f"{name}.jsonl"
        if path.is_file():
            with path.open("rb") as file:
                for number, line in enumerate(file, 1):
                    yield _row(line, FIELDS.get(name, {}), f"{path}, line {number}")

    def by_problem(self, name: str, wanted: Container[str] | None = None) -> dict[str, list[Row]]:
        """The same, grouped by problem_id, in order; only the wanted problems, where they are named."""
        groups: dict[str, list[Row]] = {}
        for row in self.rows(name):
            if wanted is None or row["problem_id"] in wanted:
                groups.setdefault(row["problem_id"], []).append(row)
        return groups

    @property
    def probe(self) -> Row:
        """probe.json; empty where there is none."""
        return read_json(self.folder / "probe.json")


@dataclass(frozen=True)
class RunData:
    """Everything that is shown of one run."""

    folder: Path
    rows: Sequence[Row]  # quality by round, as in summary.json; row 0 is the base; each has "round"
    final: Row  # the round whose checkpoint is the result
    finished: bool  # all rounds are done, or a guard ended the run
    summary: Row
    metrics: Sequence[Row]  # metrics.jsonl, repeats of a resumed stage once
    config: Row
    versions: Row
    rounds: Sequence[RoundFiles] = field(default_factory=tuple)
    audit: Row = field(default_factory=dict)  # audit.json: what a person said of the labels (`rl.marking`)

    @property
    def name(self) -> str:
        return self.folder.resolve().name

    @property
    def base(self) -> Row:
        return self.rows[0]

    @property
    def kept_base(self) -> bool:
        """Whether rounds were done and the base is still what the run ends with: there is no result to compare with it."""
        return len(self.rows) > 1 and bool(self.final["round"] == self.base["round"])

    @property
    def guard_events(self) -> list[Row]:
        return [row for row in self.metrics if row["stage"] == "guards"]

    def training_steps(self) -> list[Row]:
        """One row a step of training, with `global_step` counted over all rounds, in order: SFT's steps of a round before GRPO's."""
        steps = [row for row in self.metrics if row["stage"] in TRAINING_STAGES and row["step"] is not None]
        lengths: dict[tuple[int, int], int] = {}
        for row in steps:
            lengths[place_of(row)] = max(lengths.get(place_of(row), 0), row["step"])
        before = {place: sum(n for other, n in lengths.items() if other < place) for place in lengths}
        return sorted(({**row, "global_step": before[place_of(row)] + row["step"]} for row in steps), key=lambda row: row["global_step"])

    @property
    def marked(self) -> tuple[str, Row]:
        """Which labels a person marked (`ucoder audit`): those in the training band or, where none of these is, all. And its figures."""
        band: Row = self.audit.get("kept") or {}
        if band.get("accuracy") is not None:
            return "in the training band", band
        return "of all", self.audit.get("all") or {}


def read_run(folder: Path) -> RunData:
    """Read a run's folder, finished or not. Raises UserError when it holds no evaluated round."""
    if not folder.is_dir():
        raise UserError("there is no such run folder", str(folder), "give the run_dir of a run")
    summary, rounds = read_summary(folder / "summary.json"), rounds_of(folder)
    rows = read_rounds(summary, rounds)
    if not rows:
        raise UserError("the run has not evaluated anything yet", str(folder), "wait until round_00 is evaluated, then try again")
    config = read_config(folder / "config.yaml")
    return RunData(
        folder=folder,
        rows=rows,
        final=summary.get("final") or rows[-1],
        finished=is_done(rows, config),
        summary=summary,
        metrics=tuple(read_logged(folder / "metrics.jsonl")),
        config=config,
        versions=read_json(folder / "versions.json"),
        rounds=rounds,
        audit=read_audit(folder / AUDIT, rounds),
    )


def stopped(rows: Sequence[Row]) -> bool:
    """Whether a guard ended the run in its last round."""
    return bool(rows and (rows[-1].get("training") or {}).get("stop_run"))


def is_done(rows: Sequence[Row], config: Row) -> bool:
    """Whether all rounds are evaluated, or a guard ended the run. A config that is not there tells of no rounds: not done."""
    rounds = config.get("rounds")
    return stopped(rows) or (isinstance(rounds, int) and len(rows) > rounds)


def launch_command(folder: Path, *words: object, ranks: int = 1) -> str:
    """`accelerate launch` on a run's own config, with further words. What was given to `accelerate launch` itself is not known."""
    launch = ["accelerate", "launch", "--quiet", *(["--num_processes", ranks] if ranks > 1 else [])]
    return shlex.join(str(word) for word in [*launch, "rl/train.py", "--config", folder / "config.yaml", *words])


def again(run: RunData) -> str:
    """The command that makes the run once more, in a new folder."""
    return launch_command(run.folder, "--run_dir", f"{run.folder}-again")


def rounds_of(folder: Path) -> tuple[RoundFiles, ...]:
    """The folders of a run's rounds, in order."""
    numbered = ((path.name.removeprefix("round_"), path) for path in sorted(folder.glob("round_[0-9]*")) if path.is_dir())
    return tuple(RoundFiles(int(number), path) for number, path in numbered if number.isdigit())


def run_id(rounds: Sequence[RoundFiles]) -> str | None:
    """Names a run by the problems that its first round invented, wherever its folder lies; None before there are any."""
    first = next((files for files in rounds if files.number == 1), None)
    ids = [row["id"] for row in first.rows("problems")] if first is not None else []
    return short_hash("\n".join(ids), 16) if ids else None


def read_audit(path: Path, rounds: Sequence[RoundFiles]) -> Row:
    """audit.json; empty where nobody has marked labels. Raises UserError when it is of another run, or not what `ucoder audit` writes."""
    audit = read_json(path)
    if audit and audit.get("run") != run_id(rounds):
        raise UserError("this audit is of another run", str(path), "remove it, and give ucoder audit the marks of this run")
    parts = [audit.get(name) for name in ("all", "kept", "marks")]
    if audit and not all(isinstance(part, dict) for part in parts):
        raise UserError("this is not what ucoder audit writes", str(path), "remove it, and run ucoder audit again")
    return audit


def read_rounds(summary: Row, rounds: Sequence[RoundFiles]) -> list[Row]:
    """Quality by round, the base first: from the summary, or where there is none yet from what each round left."""
    if summary:
        rows = [summary["base"], *summary["rounds"]]
    else:
        rows = [row for row in (read_json(files.folder / "metrics.json") for files in rounds) if row]
    return [{"round": number, **row} for number, row in enumerate(rows)]


def read_summary(path: Path) -> Row:
    """summary.json; empty where there is none. Raises UserError when it holds something else."""
    summary = read_json(path)
    rounds = summary.get("rounds")
    if summary and not (isinstance(rounds, list) and all(isinstance(row, dict) for row in (summary.get("base"), *rounds))):
        raise UserError("a run's summary has a base and a list of rounds, and this has not", str(path), CUT)
    return summary


def read_logged(path: Path) -> list[Row]:
    """metrics.jsonl, repeats of a resumed stage once; a line that is still being written is left out. Raises UserError for other lines."""
    try:
        return list(read_metrics(path))
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError):
        raise UserError("its lines are not those of a run's metrics", str(path), CUT) from None


def read_config(path: Path) -> Row:
    """config.yaml; empty where there is none. Raises UserError when it holds no mapping."""
    if not path.is_file():
        return {}
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"not valid YAML: {error}", str(path), CUT) from None
    if not isinstance(value, dict):
        raise UserError("a run's config is a mapping, and this is none", str(path), CUT)
    return value


def _row(line: bytes, fields: Mapping[str, Any], where: str) -> Row:
    try:
        row = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"not valid JSON: {json_fault(error)}", where, CUT) from None
    if not isinstance(row, dict):
        raise UserError("the line is JSON, but no object", where, CUT)
    if wrong := [name for name, kind in fields.items() if not isinstance(row.get(name), kind)]:
        raise UserError(f"the line lacks what a run writes under {', '.join(wrong)}", where, CUT)
    return row


def known(row: Mapping[str, Any], key: str) -> float | None:
    """A figure, or None when it is missing or NaN."""
    value = row.get(key)
    return None if value is None or value != value else float(value)
