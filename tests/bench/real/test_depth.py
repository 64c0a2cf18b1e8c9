"""The bench of `problems.depth`: where a vote lies, and what its intervals are made of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.real.depth import PLACES, bootstrap, ends, grouped_counts, kind_row, place_of, shown
from probing.records import Problem
from rl.config.schema import Config
from rl.round_files import Verdict

CONFIG = Config(solutions={"band_low": 0.5, "band_high": 0.9})
IN_BAND = Verdict("x", (0,), (0, 0, 1), (2, 1), 0, 0.67, 0.33, 0.6, 3, True)


@pytest.mark.parametrize(
    ("verdict", "place"),
    [
        (IN_BAND, "in band"),
        (None, "no inputs"),
        (replace(IN_BAND, top=-1, top_share=0.0, kept=False), "no winner"),
        (replace(IN_BAND, top_share=1.0, kept=False), "above"),
        (replace(IN_BAND, top_share=0.4, kept=False), "below"),
        (replace(IN_BAND, kept=False, repeats="y"), "left out"),
    ],
)
def test_where_a_vote_lies(verdict: Verdict | None, place: str) -> None:
    assert place_of(verdict, CONFIG) == place and place in PLACES


def test_a_proposal_that_gave_no_problem_counts_against_its_kind() -> None:
    problems = [Problem(name, "T", "Do it.", "f", "def f(x: int) -> int:", "", "graphs") for name in ("a", "b")]
    row = kind_row(problems, {"a": replace(IN_BAND, problem_id="a")}, 8, CONFIG)
    assert (
        row["of_proposals"] == 1 / 8
        and row["of_problems"] == 1 / 2
        and row["problems"] == 2
        and row["votes"] == {"in band": 1, "no inputs": 1}
    )
    assert row["mean_top_share"] == pytest.approx(0.67) and row["distinct_behaviours"] == 2


def test_the_intervals_are_those_of_shares() -> None:
    counts = np.array([[1, 1, 1]] * 30 + [[1, 1, 0]] * 30 + [[1, 0, 0]] * 40)
    drawn = bootstrap(counts, np.random.default_rng(0))
    for column, share, of in ((0, 0.5, 60), (1, 0.3, 100)):
        low, high = ends(drawn[:, column])
        half = 1.96 * (share * (1 - share) / of) ** 0.5
        assert low == pytest.approx(share - half, abs=0.02) and high == pytest.approx(share + half, abs=0.02)


def test_proposals_beyond_one_problem_stay_together() -> None:
    problems = [
        Problem(name, "T", "Do it.", "f", "def f(x: int) -> int:", "", "graphs", beyond=beyond)
        for name, beyond in (("a", "s"), ("b", "s"), ("c", "t"))
    ]
    verdicts = {name: replace(IN_BAND, problem_id=name) for name in ("a", "c")}
    assert grouped_counts(problems, verdicts, 3, 4, CONFIG).tolist() == [[4, 2, 1], [4, 1, 1], [4, 0, 0]]


def test_both_kinds_and_their_difference_are_shown() -> None:
    kind = {"proposals": 8, "problems": 2, "votes": {"in band": 1}, "of_problems": 0.5, "of_problems_ci": [0.1, 0.9]}
    kind |= {"of_proposals": 0.125, "of_proposals_ci": [0.0, 0.375]}
    gains = {f"gain_{of}": 0.125 for of in ("of_problems", "of_proposals")} | {
        f"gain_{of}_ci": [-0.1, 0.3] for of in ("of_problems", "of_proposals")
    }
    text = shown({"by_topic": kind, "beyond": kind, **gains})
    assert "| by topic | 8 | 2 | 1 | 0 | 0 | 0 | 0 | 0 | 50.0 % [10.0, 90.0] | 12.5 % [0.0, 37.5] |" in text
    assert "| +12.5 [-10.0, 30.0] | +12.5 [-10.0, 30.0] |" in text
