"""A file of marks, as the report's problem browser exports it, held against the run that it is about.

{"format": "ucoder-marks", "version": 1, "run": "0f3c...", "name": "seedling",
 "marks": [{"problem": "r01-20eb698c2f", "round": 1, "winner": "9a7b...", "mark": "right"}, ...]}
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rewards.text import json_fault
from rl.console import UserError
from rl.report.browser import winner_digest
from rl.run_data import Row, RunData, run_id

FORMAT, VERSION = "ucoder-marks", 1
MARKS = ("right", "wrong", "unclear")
EXPORT = "mark labels in the run's report (ucoder report RUN) and export them there"
NAMED = 5  # problems that an error names


@dataclass(frozen=True)
class Marked:
    """A problem with its vote and a person's word on the winner."""

    problem: str
    round: int
    mark: str  # of MARKS; "unclear": it cannot be told
    winner: str  # digest of the program that was looked at
    verdict: Row  # of clusters.jsonl


def read_marks(path: Path, run: RunData) -> list[Marked]:
    """The marks of a file. Raises UserError unless every one of them is about a vote of this run."""
    entries = _entries(path, run)
    marks: dict[str, Row] = {}
    for place, entry in enumerate(entries, 1):
        if not isinstance(entry, dict) or not isinstance(entry.get("problem"), str) or entry.get("mark") not in MARKS:
            raise UserError(f"a mark names a problem and is one of {', '.join(MARKS)}", f"{path}, mark {place}", EXPORT)
        if (before := marks.setdefault(entry["problem"], entry))["mark"] != entry["mark"]:
            raise UserError(
                f"{entry['problem']} is marked {before['mark']} and {entry['mark']}", f"{path}, mark {place}", "keep one of them"
            )
    return _joined(marks, path, run)


def _entries(path: Path, run: RunData) -> list[Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"the marks cannot be read: {error.strerror}", str(path), EXPORT) from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"the marks are not valid JSON: {json_fault(error)}", str(path), EXPORT) from None
    if not isinstance(found, dict) or found.get("format") != FORMAT or not isinstance(found.get("marks"), list):
        raise UserError("this is no file of marks", str(path), EXPORT)
    if found.get("version") != VERSION:
        raise UserError(f"the marks are of version {found.get('version')!r}, and {VERSION} is known", str(path), "export them again")
    if found.get("run") != run_id(run.rounds):
        name, page = found.get("name", "of no name"), run.folder / "report.html"
        raise UserError(f"these are marks of another run ({name!r})", str(path), f"give marks that were made in {page}")
    if not found["marks"]:
        raise UserError("no label is marked there", str(path), EXPORT)
    entries: list[Any] = found["marks"]
    return entries


def _joined(marks: dict[str, Row], path: Path, run: RunData) -> list[Marked]:
    """The marks with their votes; reads the programs of marked problems alone."""
    joined, changed = [], []
    for files in run.rounds:
        verdicts = {row["problem_id"]: row for row in files.rows("clusters") if row["problem_id"] in marks}
        programs = files.by_problem("executions", verdicts)
        for problem, verdict in verdicts.items():
            winner, entry = winner_digest(verdict, programs.get(problem, ())), marks[problem]
            if winner is None or winner != entry.get("winner"):
                changed.append(problem)
            else:
                joined.append(Marked(problem, files.number, entry["mark"], winner, verdict))
    unknown = sorted(set(marks) - {marked.problem for marked in joined} - set(changed))
    if unknown:
        raise UserError(
            f"the run has no vote on {_named(unknown)}", str(path), "were they marked in the report of this run? export them again"
        )
    if changed:
        raise UserError(f"another program was marked than the one that wins now: {_named(changed)}", str(path), "mark these again")
    return joined


def _named(problems: Sequence[str]) -> str:
    return ", ".join(problems[:NAMED]) + (f" and {len(problems) - NAMED} more" if len(problems) > NAMED else "")
