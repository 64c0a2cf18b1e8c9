"""The estimators against brute force over every subset."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest

from rl.evals.passk import bootstrap_interval, majority_at_k, pass_at_k, wilson_interval


@pytest.mark.parametrize(("n", "correct"), [(5, 0), (5, 2), (6, 6), (7, 1)])
def test_pass_at_k_is_the_share_of_subsets_with_a_correct_sample(n: int, correct: int) -> None:
    samples = [True] * correct + [False] * (n - correct)
    for k in range(1, n + 1):
        subsets = list(itertools.combinations(samples, k))
        assert pass_at_k(n, correct, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


def test_pass_at_k_stays_exact_for_many_samples() -> None:
    assert pass_at_k(1000, 3, 64) == pytest.approx(1 - math.prod((1000 - 64 - i) / (1000 - i) for i in range(3)))


@pytest.mark.parametrize(("n", "correct", "k"), [(4, 2, 5), (4, 5, 2), (4, 2, 0), (0, 0, 1)])
def test_pass_at_k_refuses_what_is_not_defined(n: int, correct: int, k: int) -> None:
    with pytest.raises(ValueError, match="not defined"):
        pass_at_k(n, correct, k)


def brute_majority(labels: list[int], correct: list[bool], k: int) -> float:
    verdicts = []
    right = {c: np.mean([ok for label, ok in zip(labels, correct, strict=True) if label == c]) for c in set(labels)}
    for places in itertools.combinations(range(len(labels)), k):
        votes = Counter(labels[i] for i in places if labels[i] >= 0)
        winners = [c for c, v in votes.items() if v == max(votes.values())]
        verdicts.append(np.mean([right[c] for c in winners]) if winners else 0.0)
    return float(np.mean(verdicts))


def test_majority_is_the_mean_over_all_subsets_ties_shared() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        n = int(rng.integers(1, 8))
        labels = rng.integers(-1, 3, n)
        correct = rng.random(n) < 0.5
        for k in range(1, n + 1):
            assert majority_at_k(labels, correct, k) == pytest.approx(brute_majority(labels.tolist(), correct.tolist(), k))


def test_sampled_subsets_come_close_and_repeat() -> None:
    rng = np.random.default_rng(1)
    labels = rng.choice([0, 0, 0, 1, 1, 2, -1], 24)
    correct = labels == 0
    exact = majority_at_k(labels, correct, 4, limit=10**6)
    drawn = majority_at_k(labels, correct, 4, limit=2000, seed=3)
    assert drawn == majority_at_k(labels, correct, 4, limit=2000, seed=3)
    assert drawn == pytest.approx(exact, abs=0.04)


def test_bootstrap_interval_is_that_of_the_normal_law_for_many_tasks() -> None:
    values = np.random.default_rng(2).random(400)
    low, high = bootstrap_interval(values, 4000, seed=5)
    half = 1.96 * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.004)
    assert (low, high) == bootstrap_interval(values, 4000, seed=5)


def test_an_interval_of_nothing_is_unknown() -> None:
    assert all(map(math.isnan, bootstrap_interval([])))
    assert all(map(math.isnan, wilson_interval(0, 0)))


def test_wilson_interval_solves_its_equation() -> None:
    z = 1.959963984540054
    for successes, trials in [(0, 7), (3, 7), (7, 7), (130, 164)]:
        for bound in wilson_interval(successes, trials):
            if 0 < bound < 1:
                assert abs(successes / trials - bound) == pytest.approx(z * math.sqrt(bound * (1 - bound) / trials))
