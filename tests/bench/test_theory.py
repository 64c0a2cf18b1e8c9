"""The theory's statements: all hold on fewer draws, the record and the page name the same ones, and a wrong formula is found out."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from bench.theory import inputs, updates, vote
from bench.theory.__main__ import RESULTS, check, main
from bench.theory.statement import Statement, close
from bench.theory.vote import winner_chances

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "method.md"


@pytest.fixture(scope="module")
def found() -> dict[str, Statement]:
    return {s.name: s for part in check(seed=3, scale=0.2).values() for s in part}


def test_every_statement_holds(found) -> None:
    assert [s for s in found.values() if not s.holds] == []


def test_the_record_has_the_same_statements_and_all_hold(found) -> None:
    record = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert [s["name"] for s in record["statements"]] == list(found)
    assert all(s["holds"] for s in record["statements"])


def test_the_page_names_every_statement_and_no_other(found) -> None:
    section = PAGE.read_text(encoding="utf-8").split("## What can be learnt without labels")[1].split("\n## ")[0]
    assert set(re.findall(r"`([a-z]+(?:-[a-z]+)+)`", section)) == set(found)


def test_the_figures_that_the_page_quotes_are_the_records() -> None:
    record = {s["name"]: s["measured"] for s in json.loads(RESULTS.read_text(encoding="utf-8"))["statements"]}
    stated, right = record["optimistic-bound"]["stated, mean"], record["optimistic-bound"]["winner all right"]
    assert f"a stated mean of\n  {stated:.2f} stands against {right:.2f}" in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("n", [1, 2, 5])
def test_chances_to_win_equal_a_sum_over_all_ballots(n) -> None:
    shares = np.array([0.5, 0.2, 0.2])  # and a tenth without a vote
    every = np.array(np.meshgrid(*[range(4)] * n)).reshape(n, -1).T
    brute = np.zeros(3)
    for ballots in every:
        counts = np.bincount(ballots, minlength=4)[:3]
        if counts.any():
            leaders = counts == counts.max()
            brute += np.prod(np.array([*shares, 0.1])[ballots]) * leaders / leaders.sum()
    assert winner_chances(shares, n) == pytest.approx(brute)


def test_a_wrong_formula_does_not_hold(monkeypatch) -> None:
    monkeypatch.setattr(updates, "expected_update", lambda shares, reward: shares * reward(shares))  # without the baseline
    assert not updates.sampled_update(np.random.default_rng(0), 2000).holds
    monkeypatch.setattr(vote, "winner_chances", lambda shares, n: shares)  # a vote that is worth nothing
    assert not vote.exact_vote(np.random.default_rng(0), 2000).holds


def test_a_limit_for_one_pair_would_be_found_out(monkeypatch) -> None:
    drawn = inputs.cases(np.random.default_rng(0), 60)
    limit = inputs.hidden_difference
    monkeypatch.setattr(inputs, "hidden_difference", lambda *args: limit(args[0].select_programs([0, 1]), limit_clusters(), *args[2:]))

    def limit_clusters():
        return inputs.cluster(drawn[0].pool.select_programs([0, 1]))

    assert not inputs.hidden_limit(drawn).holds


def test_figures_further_apart_than_the_error_are_not_equal() -> None:
    assert close("a", "", [1.0, 2.0], [1.0, 2.1], 0.1 + 1e-12).holds
    assert not close("a", "", [1.0, 2.0], [1.0, 2.1], 0.05).holds


def test_the_command_fails_where_a_statement_does(monkeypatch, tmp_path, capsys) -> None:
    for holds, status in ((True, 0), (False, 1)):
        monkeypatch.setattr("bench.theory.__main__.check", lambda seed, holds=holds: {"vote": [Statement("a", "", {}, {"x": 1.0}, holds)]})
        assert main(["--out", str(tmp_path / "theory.json")]) == status
        assert json.loads((tmp_path / "theory.json").read_text())["statements"][0]["holds"] is holds
