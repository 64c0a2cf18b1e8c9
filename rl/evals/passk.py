"""Figures over tasks and samples: unbiased pass@k, majority@k, and intervals.

pass@k: Chen et al. (2021), "Evaluating Large Language Models Trained on Code", section 2.1. Wilson: Wilson (1927). NumPy only.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

SUBSETS = 256  # random subsets behind a majority@k of more than k samples; all of them when there are no more


def pass_at_k(n: int, correct: int, k: int) -> float:
    """Chance that at least one of k samples drawn from n without replacement is correct: 1 − C(n−c, k) / C(n, k).

    Raises ValueError when k is not in 1..n or `correct` not in 0..n.

    >>> pass_at_k(4, 1, 2)
    0.5
    """
    if not 1 <= k <= n or not 0 <= correct <= n:
        raise ValueError(f"pass@{k} of {n} samples, {correct} of them correct, is not defined")
    return 1.0 - math.comb(n - correct, k) / math.comb(n, k)


def wilson_interval(successes: float, trials: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """95 % score interval of a proportion; (nan, nan) without trials.

    >>> [round(x, 3) for x in wilson_interval(8, 10)]
    [0.49, 0.943]
    """
    if trials == 0:
        return math.nan, math.nan
    share = successes / trials
    scale = 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return 0.0 if successes == 0 else centre - half, 1.0 if successes == trials else centre + half


def interval_of_equals(value: float, count: int, lowest: float, highest: float) -> tuple[float, float]:
    """95 % bound on the mean where `count` tasks all gave the same value, and a bootstrap would have no width.

    At most a share u of all tasks has another value, by Wilson's bound for none of `count`; those may lie anywhere in lowest..highest.

    >>> [round(x, 3) for x in interval_of_equals(0.0, 5, -1.0, 1.0)]
    [-0.434, 0.434]
    """
    other = wilson_interval(0, count)[1]
    low, high = ((1 - other) * value + other * end for end in (lowest, highest))
    return max(low, lowest), min(high, highest)


def bootstrap_interval(values: Sequence[float] | np.ndarray, resamples: int = 2000, seed: int = 0) -> tuple[float, float]:
    """95 % percentile interval of the mean of float[T] over T tasks, drawn with replacement; (nan, nan) without tasks."""
    value_T = np.asarray(values, dtype=np.float64)
    if not len(value_T):
        return math.nan, math.nan
    counts_BT = np.random.default_rng(seed).multinomial(len(value_T), np.full(len(value_T), 1 / len(value_T)), size=resamples)
    low, high = np.quantile(counts_BT @ value_T / len(value_T), [0.025, 0.975])
    return float(low), float(high)


def _subsets(n: int, k: int, limit: int, seed: int) -> np.ndarray:
    """int64[s, k]: all k-subsets of n places when there are at most `limit`, else `limit` random ones."""
    if math.comb(n, k) <= limit:
        return np.array(list(itertools.combinations(range(n), k)), dtype=np.int64)
    return np.random.default_rng(seed).random((limit, n)).argsort(axis=1)[:, :k]


def majority_at_k(
    labels: Sequence[int] | np.ndarray, correct: Sequence[bool] | np.ndarray, k: int, limit: int = SUBSETS, seed: int = 0
) -> float:
    """Expected correctness of the largest behaviour cluster of k of the n samples, averaged over subsets.

    labels: int[n], cluster of each sample, -1 where it has no vote (no program, or nothing but errors). correct: bool[n]. A subset in which
    nobody votes is wrong; equal clusters share the verdict evenly. Exact when C(n, k) <= limit, else over `limit` subsets that depend on
    the seed alone. Raises ValueError when k is not in 1..n.

    >>> majority_at_k([0, 0, 1], [True, True, False], 3)
    1.0
    """
    label_N, correct_N = np.asarray(labels, dtype=np.int64), np.asarray(correct, dtype=np.float64)
    n = len(label_N)
    if not 1 <= k <= n:
        raise ValueError(f"majority@{k} of {n} samples is not defined")
    clusters = int(label_N.max(initial=-1)) + 1
    if clusters == 0:
        return 0.0
    voting = label_N >= 0
    sizes = np.bincount(label_N[voting], minlength=clusters)
    right_C = np.bincount(label_N[voting], weights=correct_N[voting], minlength=clusters) / np.maximum(sizes, 1)
    drawn_SK = label_N[_subsets(n, k, limit, seed)]
    votes_SC = np.zeros((len(drawn_SK), clusters), dtype=np.int64)
    subset, place = np.nonzero(drawn_SK >= 0)
    np.add.at(votes_SC, (subset, drawn_SK[subset, place]), 1)
    most_S1 = votes_SC.max(axis=1, keepdims=True)
    winners_SC = (votes_SC == most_S1) & (most_S1 > 0)
    return float(((winners_SC * right_C).sum(axis=1) / np.maximum(winners_SC.sum(axis=1), 1)).mean())
