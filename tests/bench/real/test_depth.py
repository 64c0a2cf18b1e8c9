"""The bench of `problems.depth`: where a vote lies, and what its intervals are made of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.real.depth import PLACES, bootstrap, ends, kind_row, place_of, shown
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
    assert row["in_band"] == 1 / 8 and row["problems"] == 2 and row["votes"] == {"in band": 1, "no inputs": 1}
    assert row["mean_top_share"] == pytest.approx(0.67) and row["distinct_behaviours"] == 2


def test_the_interval_is_that_of_a_mean() -> None:
    low, high = ends(bootstrap([1.0] * 30 + [0.0] * 70, np.random.default_rng(0)))
    half = 1.96 * (0.3 * 0.7 / 100) ** 0.5
    assert low == pytest.approx(0.3 - half, abs=0.015) and high == pytest.approx(0.3 + half, abs=0.015)


def test_both_kinds_and_their_difference_are_shown() -> None:
    kind = {"proposals": 8, "problems": 2, "votes": {"in band": 1}, "in_band": 0.125, "in_band_ci": [0.0, 0.375]}
    text = shown({"by_topic": kind, "beyond": kind | {"in_band": 0.25}, "gain": 0.125, "gain_ci": [-0.1, 0.3]})
    assert "| by topic | 8 | 2 | 1 | 0 | 0 | 0 | 0 | 0 | 12.5 % [0.0, 37.5] |" in text and "+12.5 [-10.0, 30.0]" in text
