"""Votes of two electorates on the same problems: whose band holds better labels, and whether agreement tells which are right."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from bench.ablate.revote import Vote, band_difference, compare, four_votes, pooled, right_in, told_by_agreement
from rl.config.schema import load_config
from rl.console import UserError


def vote(right: bool, in_band: bool = True, unanimous: bool = False, winner: str = "a") -> Vote:
    return Vote(right, in_band, unanimous, (winner,))


def test_shares_are_of_the_votes_in_each_part() -> None:
    votes = {"p": vote(True), "q": vote(False), "r": vote(True, in_band=False, unanimous=True), "s": vote(False, in_band=False)}
    assert right_in(votes, "all") == {"problems": 4, "right": 0.5}
    assert right_in(votes, "band") == {"problems": 2, "right": 0.5}
    assert right_in(votes, "unanimous") == {"problems": 1, "right": 1.0}
    assert right_in({}, "all") == {"problems": 0, "right": None}


def test_the_difference_is_of_the_labels_in_each_ones_own_band() -> None:
    base = {"p": vote(True), "q": vote(False, in_band=False), "r": vote(True), "s": vote(False)}
    policy = {"p": vote(True), "q": vote(False), "r": vote(True, in_band=False), "t": vote(False)}
    found = band_difference([base], [policy])
    assert found["difference"] == pytest.approx(2 / 3 - 1 / 3)


def test_equal_electorates_differ_by_nothing_in_every_draw() -> None:
    votes = {str(i): vote(i % 3 == 0, in_band=i % 4 > 0) for i in range(40)}
    assert band_difference([votes, votes], [votes, votes]) == {"difference": 0.0, "difference_ci": [0.0, 0.0]}


def test_an_interval_narrows_with_the_problems() -> None:
    def width(count: int) -> float:
        base, policy = ({str(i): vote((i + shift) % 3 == 0) for i in range(count)} for shift in (0, 1))
        low, high = band_difference([base], [policy])["difference_ci"]
        return high - low

    assert width(4000) < 0.2 * width(40)


def test_agreement_is_counted_where_the_policy_would_train() -> None:
    policy = {"p": vote(True), "q": vote(False), "r": vote(True, in_band=False), "s": vote(False)}
    base = {"p": vote(True, in_band=False), "q": vote(True, winner="b"), "r": vote(True), "s": vote(False)}
    found = told_by_agreement(policy, base)
    assert found == {"problems": 3, "elected_by_both": 2 / 3, "right_if_both": 0.5, "right_if_not": 0.0}


def test_problems_of_two_runs_are_not_mixed_up() -> None:
    assert len(pooled([{"p": vote(True)}, {"p": vote(False)}])) == 2


def test_every_run_and_all_together_have_their_figures() -> None:
    votes = {"p": vote(True), "q": vote(False)}
    four = {(problems, side): votes for problems in ("first", "last") for side in ("base", "policy")}
    found = compare({"five-0": four, "five-1": four})
    assert found["together"]["last, base"]["band"] == {"problems": 4, "right": 0.5}
    assert found["runs"]["five-1"]["first, policy"]["all"] == {"problems": 2, "right": 0.5}


@pytest.mark.parametrize(("keys", "said"), [((), "two rounds or more"), (("--teacher.decay", "0.5"), "is not its policy")])
def test_a_run_that_says_nothing_of_it_is_refused(tmp_path: Path, keys: tuple[str, ...], said: str) -> None:
    config = load_config(None, ["--audit", "true", "--oracle", "seedling.grammar:reference_for", *keys])
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
    (tmp_path / "summary.json").write_text('{"rounds": [{}' + (", {}" if keys else "") + "]}")
    with pytest.raises(UserError, match=said):
        four_votes(tmp_path, tmp_path / "out")
