"""Label accuracy from a person's marks: Wilson intervals, over the run and by share of the vote, and whether the marks are enough.

The interval holds for a random sample. The report's problem browser lists the problems of all rounds in one random order
(`rl.report.browser.sample_order`); whether the marks follow it is checked here, and said.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from rl.evals.passk import wilson_interval
from rl.marking.marks import Marked
from rl.report.browser import first_in_order
from rl.run_data import Row, RunData

BANDS = (0.0, 0.3, 0.5, 0.7, 0.9, 1.0)  # edges, of the winner's share of the votes
HALF_WIDTH = 0.10  # of the 95 % interval, at which the marks are enough
IN_ORDER = 0.9  # share of the first problems in random order that are marked, from which the marks are a random sample


def label_accuracy(run: RunData, marks: Sequence[Marked]) -> dict[str, Any]:
    """What audit.json holds, but for the run's name: `all` problems with a winner, those in the training band (`kept`), and by `bands`."""
    votes = [row for row in first_in_order([row for files in run.rounds for row in files.rows("clusters")]) if row["top"] >= 0]
    bands = itertools.pairwise(BANDS)
    return {
        "all": _figures(votes, marks, lambda verdict: True),
        "kept": _figures(votes, marks, lambda verdict: bool(verdict["kept"])),
        "bands": [{"low": low, "high": high, **_figures(votes, marks, _in_band(low, high))} for low, high in bands],
        "marks": {marked.problem: {"mark": marked.mark, "winner": marked.winner} for marked in marks},
    }


def _in_band(low: float, high: float) -> Callable[[Row], bool]:
    return lambda verdict: bool(low <= verdict["top_share"] < high or verdict["top_share"] == high == BANDS[-1])


def _figures(votes: Sequence[Row], marks: Sequence[Marked], chosen: Callable[[Row], bool]) -> dict[str, Any]:
    """Of the chosen problems. votes: those of all rounds with a winner, in random order.

    accuracy: right among right and wrong, None without any. needed: more marks that make them enough. left: how many of these
    there are problems for.
    """
    mine = [marked for marked in marks if chosen(marked.verdict)]
    right, wrong, unclear = (sum(marked.mark == mark for marked in mine) for mark in ("right", "wrong", "unclear"))
    known = right + wrong
    low, high = wilson_interval(right, known)
    of, in_order = _sampled(votes, mine, chosen)
    needed = max(0, marks_needed(right / known if known else 0.5) - known)
    return {
        "problems": of,
        "right": right,
        "wrong": wrong,
        "unclear": unclear,
        "accuracy": right / known if known else None,
        "interval": [low, high] if known else None,
        "random_sample": in_order,
        "enough": bool(known) and (high - low) / 2 <= HALF_WIDTH,
        "needed": needed,
        "left": min(needed, of - len(mine)),
    }


def _sampled(votes: Sequence[Row], mine: Sequence[Marked], chosen: Callable[[Row], bool]) -> tuple[int, bool]:
    """(how many problems with a winner are of this kind, whether the marked ones are the first in the random order of all rounds)."""
    marked = {entry.problem for entry in mine}
    ids = [row["problem_id"] for row in votes if chosen(row)]
    first = sum(problem in marked for problem in ids[: len(marked)])
    return len(ids), bool(marked) and first >= IN_ORDER * len(marked)


def marks_needed(accuracy: float) -> int:
    """How many right or wrong marks give an interval of ± `HALF_WIDTH` at an accuracy.

    >>> marks_needed(0.5), marks_needed(0.9)
    (93, 37)
    """

    def half(trials: int) -> float:
        low, high = wilson_interval(accuracy * trials, trials)
        return (high - low) / 2

    return next(trials for trials in itertools.count(1) if half(trials) <= HALF_WIDTH)
