"""The theorem calculator against the figures of docs/method.md and brute force."""

import itertools
import math

import numpy as np
import pytest

from rewards.clusters.clustering import cluster
from rewards.clusters.theorem import estimate_agreement, inputs_needed, inputs_of_the_paper, lower_bound, main, optimistic_bound
from tests.rewards.pools import matrix


@pytest.mark.parametrize(("p", "needed"), [(0.8, 57), (0.9, 121), (0.95, 248)])
def test_inputs_needed_for_128_candidates(p, needed):
    assert inputs_needed(128, p, 0.05) == needed
    assert 128**2 * p**needed <= 0.05 < 128**2 * p ** (needed - 1)


@pytest.mark.parametrize("k", [1, 16, 100])
def test_the_papers_own_number_of_inputs_gives_an_error_term_of_n_times_k(k):
    m = inputs_of_the_paper(128, k, 0.9)
    assert 128**2 * 0.9**m == pytest.approx(128 * k)
    assert lower_bound(128, 0.9, m) == 0.0


def test_delta_is_part_of_the_error():
    assert inputs_needed(128, 0.9, 0.05, delta=0.025) == inputs_needed(128, 0.9, 0.025)
    assert inputs_needed(128, 0.9, 0.05, delta=0.05) is None
    assert inputs_needed(128, 1.0, 0.05) is None


def test_estimates_equal_brute_force_over_pairs():
    rng = np.random.default_rng(1)
    rows = ["right" * 2] * 6 + ["".join(r) for r in rng.choice(list("rig!"), p=[0.4, 0.3, 0.25, 0.05], size=(8, 10))] + ["wrongwrong"] * 3
    m = matrix(*rows)
    wrong = np.array([r != "right" * 2 for r in rows])
    got = estimate_agreement(m, cluster(m, rho=0.1))

    def agree(a, b):
        return sum(x == y != "!" for x, y in zip(a, b, strict=True)) / len(a)

    samples = list(itertools.combinations([r for r, w in zip(rows, wrong, strict=True) if w], 2))
    behaviours = list(itertools.combinations(sorted({r for r, w in zip(rows, wrong, strict=True) if w}), 2))
    assert got.n_wrong == 11
    assert got.p_samples == pytest.approx(np.mean([agree(*pair) for pair in samples]))
    assert got.p_mean == pytest.approx(np.mean([agree(*pair) for pair in behaviours]))
    assert got.p_max == pytest.approx(max(agree(*pair) for pair in behaviours))
    assert got.same_share == pytest.approx(np.mean([a == b for a, b in samples]))


def test_unknown_is_nan_and_the_bound_then_says_nothing():
    m = matrix("ab", "ab")
    assert math.isnan(estimate_agreement(m, cluster(m)).p_max)
    report = optimistic_bound(m, cluster(m))
    assert report.vacuous and report.needed is None and "says nothing" in report.sentence()


def test_without_a_winner_no_bound_is_stated_for_it():
    m = matrix("ab" * 30, "b" + "c" * 59, "x" + "y" * 59)  # enough inputs, had one of them won
    report = optimistic_bound(m, cluster(m, tau=2))
    assert report.vacuous and report.needed is None and "says nothing" in report.sentence()


def test_a_vacuous_bound_is_called_vacuous():
    m = matrix("abcd", "abcd", "abcx", "abyx")
    report = optimistic_bound(m, cluster(m))
    assert report.vacuous and report.needed > 4 and "vacuous" in report.sentence()


def test_a_bound_that_holds_is_stated():
    rows = ["a" * 60, "b" + "c" * 59, "x" + "y" * 59]
    m = matrix("ab" * 30, *rows, weights=[5, 1, 1, 1])
    report = optimistic_bound(m, cluster(m))
    assert not report.vacuous and report.bound > 0.95


def test_command_prints_the_figures(capsys):
    assert main([]) == 0
    assert [line.split(": ")[1].split()[0] for line in capsys.readouterr().out.splitlines()] == ["57", "121", "248"]
    with pytest.raises(SystemExit) as stop:
        main(["--p", "1.5"])
    assert stop.value.code == 2
