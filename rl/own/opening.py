"""Opens what the user brings to a run before any work: reads it, says what is of use, and leaves RUN/own_problems.json.

{"source": "mine.jsonl", "sha256": "...", "rows": 120, "usable": 97, "dropped": {"benchmark overlap": 20, ...},
 "overlaps": [{"row": "mine.jsonl#17", "task": "mbpp Mbpp/3"}, ...], "not_read": ["tests"], "solutions": "more.jsonl", ...}
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probing.records import SELF_MADE
from rl.benchmarks.base import benchmark_statements
from rl.config.run_folder import read_json, write_atomically
from rl.config.schema import Config
from rl.console import UserError, warn
from rl.own.problems import OVERLAP, SAME_ID, Benchmarks, OwnProblems, check_rows
from rl.own.samples import CollectedSamples
from rl.own.source import Rows, read_source

FILE = "own_problems.json"
KEY = "problems.source"
# What to do when most rows are dropped for one of these reasons.
REMEDIES = {
    OVERLAP: "these statements are in a benchmark: bring others",
    "no samples": "give solutions.source rows with the id or the exact statement of these problems",
    "one sample alone": "give at least two candidates for each problem in solutions.source",
    "no entry for its samples": "add a signature or an entry to the rows",
    SAME_ID: "give each problem an id of its own, or none",
    "unreadable example": 'write an example as text, or as {"input": "3\\n1 2 3\\n", "output": "6\\n"} (docs/own-problems.md)',
}


@dataclass(frozen=True)
class Own:
    """What the user brought."""

    problems: OwnProblems
    samples: CollectedSamples | None  # None: the policy samples solutions
    record: dict[str, Any]  # what own_problems.json holds

    def describe(self) -> list[str]:
        """Lines for the console."""
        record = self.record
        dropped = ", ".join(f"{reason} {count}" for reason, count in record["dropped"].items())
        lines = [
            f"own problems     {record['source']}: {record['usable']} of {record['rows']} rows"
            + (f"; dropped: {dropped}" if dropped else "")
        ]
        if record["overlaps"]:
            lines.append(f"                 overlaps with benchmarks are listed in {FILE}")
        if record["not_read"]:
            lines.append(f"                 fields that look like tests or answers are not read: {', '.join(record['not_read'])}")
        if self.samples is not None:
            lines.append(f"own solutions    {self.samples.label}")
        return lines


def open_own(config: Config) -> Own | None:
    """The user's problems and samples; None for a run that makes its own. Raises UserError when there is nothing of use."""
    if config.problems.source == SELF_MADE:
        return None
    rows = read_source(config.problems.source, KEY)
    samples = None if config.solutions.source == SELF_MADE else CollectedSamples(config.solutions.source, rows)
    statements = benchmark_statements(config.evals.benchmarks)
    benchmarks = Benchmarks(statements, config.problems.decontamination_ngram, config.problems.near_duplicate)
    judged = list(check_rows(rows, benchmarks, samples.unusable if samples is not None else None, config.problems.io))
    problems = OwnProblems(judged, config.seed)
    dropped = dict(sorted(problems.dropped.items()))
    if not problems.deals:
        said = ", ".join(f"{reason} {count}" for reason, count in dropped.items())
        most = max(dropped, key=lambda reason: dropped[reason])
        remedy = REMEDIES.get(most) or _remedy(rows)
        raise UserError(f"not one of {len(rows.rows)} rows can be used: {said}", f"{KEY}: {config.problems.source}", remedy)
    record = {
        "source": rows.label,
        "sha256": rows.digest,
        "rows": len(rows.rows),
        "usable": len(problems.deals),
        "dropped": dropped,
        "overlaps": [{"row": row.place, "task": row.overlaps} for row in judged if row.overlaps],
        "not_read": rows.unread,
        "solutions": None if samples is None else samples.label,
        "solutions_sha256": None if samples is None else samples.digest,
    }
    return Own(problems, samples, record)


def _remedy(rows: Rows) -> str:
    fields = ", ".join(sorted({name for row in rows.rows[:100] for name in row})[:20])
    return f"a row needs a statement under description, prompt, text, statement or question (docs/own-problems.md); fields here: {fields}"


def check_same(own: Own, folder: Path) -> None:
    """Raises UserError where this rank has other rows than the first, which left its record in the run's folder."""
    first = read_json(folder / FILE)
    if any(first.get(name) != own.record[name] for name in ("sha256", "solutions_sha256", "dropped")):
        remedy = "give every machine the same files and the same benchmark data ($UCODER_DATA); a new --run_dir if they have changed"
        raise UserError("this rank reads other problems than the first", str(folder / FILE), remedy)


def keep_record(own: Own, folder: Path) -> None:
    """Leave own_problems.json in the run's folder. Raises UserError when the run was started on other rows."""
    path = folder / FILE
    if path.is_file():
        before = read_json(path)
        for name, key in (("sha256", KEY), ("solutions_sha256", "solutions.source")):
            if before.get(name) != own.record[name]:
                raise UserError(f"the rows of {key} are not those that the run was started on", str(path), "choose another --run_dir")
        if before.get("dropped") != own.record["dropped"]:
            warn(f"other rows of {KEY} can be used than when the run was started: has benchmark data come or gone ($UCODER_DATA)?")
            write_atomically(path, json.dumps(own.record, indent=1) + "\n")
        return
    write_atomically(path, json.dumps(own.record, indent=1) + "\n")
