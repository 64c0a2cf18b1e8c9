"""`ucoder audit RUN marks.json`: how often the labels of a run are right, by the marks that a person made in its report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from rewards.user_error import Options
from rewards.user_files import check_writable
from rl.config.run_folder import write_atomically
from rl.console import make_console
from rl.marking.accuracy import HALF_WIDTH, label_accuracy
from rl.marking.marks import read_marks
from rl.report import write_report
from rl.run_data import AUDIT, read_run, run_id

UNCLEAR_SHARE = 0.2  # of all marks, from which those that cannot be told are worth a remark


def main(argv: Sequence[str]) -> int:
    """Run the command; returns its exit status. Raises UserError for what the user has to put right."""
    parser = Options(
        prog="ucoder audit",
        description="Label accuracy of a run with a 95 % interval, by the marks that a person made in its report.",
        epilog="It writes RUN/audit.json, and the report again with these figures.",
    )
    parser.add_argument("run_dir", type=Path, help="folder of the run, finished or not")
    parser.add_argument("marks", type=Path, help="exported from the problem browser of RUN/report.html")
    args = parser.parse_args(argv)
    run = read_run(args.run_dir)
    path = run.folder / AUDIT
    check_writable(path, "the audit")
    found = {"run": run_id(run.rounds), "name": run.name, **label_accuracy(run, read_marks(args.marks, run))}
    write_atomically(path, json.dumps(found, indent=1) + "\n")
    report = write_report(run.folder)
    console = make_console()
    console.print(accuracy_table(found))
    for line in remarks(found):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(f"written          {path}, {report}", markup=False, highlight=False, soft_wrap=True)
    return 0


def accuracy_table(found: Mapping[str, Any]) -> Table:
    """Everything that is marked, the training band, and the bands of the vote's share."""
    table = Table(title="Label accuracy by a person's marks (Wilson 95 %)", title_justify="left")
    table.add_column("problems with a winner")
    for name in ("in the run", "marked", "right", "wrong", "cannot tell", "accuracy [95 %]"):
        table.add_column(name, justify="right", no_wrap=True)
    rows = [("all", found["all"]), ("in the training band", found["kept"])]
    rows += [(f"winner has {100 * band['low']:.0f} to {100 * band['high']:.0f} % of the votes", band) for band in found["bands"]]
    for name, figures in rows:
        counts = [figures["right"], figures["wrong"], figures["unclear"]]
        table.add_row(name, f"{figures['problems']:,}", str(sum(counts)), *map(str, counts), accuracy_text(figures))
    return table


def accuracy_text(figures: Mapping[str, Any]) -> str:
    """`71.4 % [60.9, 80.0]`; a dash where nothing is marked right or wrong."""
    if figures["accuracy"] is None:
        return "–"
    low, high = figures["interval"]
    return f"{100 * figures['accuracy']:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def remarks(found: Mapping[str, Any]) -> list[str]:
    """How many were marked, whether that is enough, and whether they are a random sample."""
    lines = []
    for name, figures in (("all problems", found["all"]), ("the training band", found["kept"])):
        known = figures["right"] + figures["wrong"]
        if figures["enough"]:
            lines.append(f"{name}: {known} marks are enough (the interval is within ±{100 * HALF_WIDTH:.0f} points)")
        else:
            what = f"mark about {figures['left']} more" if figures["left"] > 0 else "and there is none left to mark"
            lines.append(f"{name}: {known} marks are not enough for an interval within ±{100 * HALF_WIDTH:.0f} points: {what}")
        if known and not figures["random_sample"]:
            lines.append(
                f"{name}: the marked ones are no random sample: mark in the browser's random order, from the top, for a fair figure"
            )
    total = sum(found["all"][mark] for mark in ("right", "wrong", "unclear"))
    if found["all"]["unclear"] > UNCLEAR_SHARE * total:
        share = found["all"]["unclear"] / total
        lines.append(f"{share:.0%} cannot be told: statements are vague, and the accuracy is of the clear ones alone")
    return lines
