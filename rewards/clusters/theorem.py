"""Theorem 2.4 of the paper as a calculator: how many inputs consensus needs, and whether its bound says anything (arXiv 2512.17385).

What it says of a problem here (`optimistic_bound`) is **optimistic**, and kept for comparison with the paper: our inputs are selected
because they part programs; p is estimated on them, from behaviours that they part; and where many samples share a wrong behaviour, two
wrong samples agree everywhere. `rewards.clusters.hidden` has a limit that survives the selection; docs/method.md, "What can be learnt
without labels", compares the two.

n candidates, at least k of them right with probability 1 − δ, any two wrong ones agree on one input with probability at most p, the
inputs independent: the largest cluster is right with probability >= 1 − δ − n² p^m for m inputs.

At the paper's own m = log(n/k)/(−log p) the error term is n·k, so the bound is vacuous there. Solving n² p^m <= error instead gives, for
n = 128 and error 0.05, 57 inputs at p = 0.8, 121 at p = 0.9 and 248 at p = 0.95:

    python -m rewards.clusters.theorem --n 128 --error 0.05 --p 0.8 0.9 0.95
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rewards.clusters.clustering import Clustering
from rewards.clusters.signatures import OutcomeMatrix

MAX_BEHAVIOURS = 256  # wrong behaviours compared pairwise; the most frequent ones, so that the work stays bounded


def inputs_needed(n: int, p: float, error: float, delta: float = 0.0) -> int | None:
    """The least m with δ + n² p^m <= error; None when no number of inputs reaches it (p = 1, or error <= δ). Raises ValueError for
    figures out of range.

    >>> [inputs_needed(128, p, 0.05) for p in (0.8, 0.9, 0.95)]
    [57, 121, 248]
    """
    _check(n, p, delta)
    if not 0 < error < 1:
        raise ValueError(f"error is a probability and must lie strictly between 0 and 1, got {error}")
    if error <= delta or p >= 1:
        return None
    if p == 0:
        return 1
    return max(1, math.ceil(math.log(n * n / (error - delta)) / -math.log(p) - 1e-9))


def inputs_of_the_paper(n: int, k: int, p: float) -> float:
    """The paper's condition |T| >= log(n/k)/(−log p), as it stands (not rounded). Raises ValueError for figures out of range."""
    _check(n, p, 0.0)
    if not 1 <= k <= n or not 0 < p < 1:
        raise ValueError(f"need 1 <= k <= n and 0 < p < 1, got k = {k}, n = {n}, p = {p}")
    return math.log(n / k) / -math.log(p)


def lower_bound(n: int, p: float, m: float, delta: float = 0.0) -> float:
    """1 − δ − n² p^m, at least 0: a bound of 0 is vacuous, it says nothing."""
    _check(n, p, delta)
    return max(0.0, 1.0 - delta - n * n * p**m)


def _check(n: int, p: float, delta: float) -> None:
    if n < 1:
        raise ValueError(f"n counts candidates and must be at least 1, got {n}")
    if not 0 <= p <= 1 or not 0 <= delta <= 1:
        raise ValueError(f"p and delta are probabilities, got p = {p}, delta = {delta}")


@dataclass(frozen=True)
class AgreementOfWrong:
    """p, estimated: how often two wrong programs agree on one input."""

    n_wrong: int  # wrong samples (multiplicities counted)
    n_behaviours: int  # distinct wrong behaviours
    p_samples: float  # mean over pairs of wrong samples, the same behaviour twice included; NaN with fewer than two samples
    p_mean: float  # mean over pairs of different wrong behaviours; NaN with fewer than two
    p_max: float  # largest over those pairs: the theorem's "at most p"; NaN with fewer than two
    same_share: float  # share of pairs of wrong samples that agree everywhere: no number of inputs of this kind parts them; NaN likewise


def estimate_agreement(matrix: OutcomeMatrix, clustering: Clustering, wrong: np.ndarray | None = None) -> AgreementOfWrong:
    """Estimate p from executions. wrong: bool[n] where a reference is at hand; None takes every valid program outside the winning cluster.

    The label-free estimate is as good as the winner: if the winner is wrong, the right programs are counted among the wrong ones.
    Pairwise figures use the MAX_BEHAVIOURS most frequent wrong behaviours.
    """
    nan = float("nan")
    if wrong is None:
        wrong = (clustering.labels >= 0) & (clustering.labels != clustering.top)
    wrong = np.asarray(wrong, dtype=bool) & (clustering.labels >= 0)
    weights = matrix.weights[wrong]
    n_wrong, codes = int(weights.sum()), matrix.codes[wrong]
    names, members = np.unique(clustering.labels[wrong], return_inverse=True)
    sizes = np.bincount(members, weights=weights) if len(names) else np.zeros(0)
    pairs = n_wrong * (n_wrong - 1) / 2
    p_samples = same_share = p_mean = p_max = nan
    if pairs and matrix.n_inputs:
        agreeing = 0.0
        for column in codes.T:
            has_value = column >= 0
            counts = np.bincount(np.unique(column[has_value], return_inverse=True)[1], weights=weights[has_value])
            agreeing += float((counts * (counts - 1) / 2).sum())
        p_samples = agreeing / (pairs * matrix.n_inputs)
        same_share = float((sizes * (sizes - 1) / 2).sum() / pairs)
    if len(names) >= 2 and matrix.n_inputs:
        frequent = np.argsort(-sizes, kind="stable")[:MAX_BEHAVIOURS]
        rows = matrix.codes[clustering.representatives[names[frequent]]]
        shares = [((row == rows[i + 1 :]) & (row >= 0)).mean(axis=1) for i, row in enumerate(rows[:-1])]
        between = np.concatenate(shares)
        p_mean, p_max = float(between.mean()), float(between.max())
    return AgreementOfWrong(n_wrong, len(names), p_samples, p_mean, p_max, same_share)


@dataclass(frozen=True)
class OptimisticBound:
    """What theorem 2.4 says about one problem's consensus, with the inputs taken for independent draws and p for known."""

    n: int  # valid samples
    m: int  # inputs
    error: float  # total error asked for
    delta: float  # δ, part of it
    p: float  # the p that was used: the largest pairwise agreement, by the rule of succession; NaN when it could not be estimated
    bound: float  # 1 − δ − n² p^m, at least 0; NaN likewise
    needed: int | None  # inputs for the error asked for; None: no number is enough, or p is unknown

    @property
    def vacuous(self) -> bool:
        """The bound says nothing: it is 0, or p is unknown."""
        return not self.bound > 0

    def sentence(self) -> str:
        """The report in words."""
        name = "Theorem 2.4 (optimistic)"
        if math.isnan(self.p):
            return f"{name}: no winner or fewer than two wrong behaviours on {self.m} inputs: p is unknown, the bound says nothing."
        if self.needed is None:
            return f"{name}: p = {self.p:.3f}; no number of inputs reaches a total error of {self.error:g}, the bound says nothing."
        need = f"{self.needed} inputs are needed for a total error of {self.error:g}"
        if self.vacuous:
            return f"{name}: p = {self.p:.3f}; the bound is vacuous at the {self.m} inputs there are ({need})."
        return (
            f"{name}: p = {self.p:.3f}; were the {self.m} inputs independent draws and no mistake shared by two candidates, the winner "
            f"would be right with probability >= {self.bound:.4f} ({need}). Models do share mistakes: trust the share of the vote first."
        )


def optimistic_bound(matrix: OutcomeMatrix, clustering: Clustering, error: float = 0.05, delta: float = 0.0) -> OptimisticBound:
    """Apply the theorem to one problem, with p estimated from its own candidates and no labels.

    p is the largest pairwise agreement k/m taken as (k + 1)/(m + 2), so that a few inputs without agreement do not pass for p = 0.
    It remains a point estimate, of behaviours that these inputs do part. Without a winner nobody is known to be wrong, so p is unknown.
    """
    largest = estimate_agreement(matrix, clustering).p_max if clustering.top >= 0 else float("nan")
    n, m = max(clustering.n_valid, 1), matrix.n_inputs
    if math.isnan(largest):
        return OptimisticBound(n, m, error, delta, largest, float("nan"), None)
    p = (largest * m + 1) / (m + 2)
    return OptimisticBound(n, m, error, delta, p, lower_bound(n, p, m, delta), inputs_needed(n, p, error, delta))


def main(argv: Sequence[str] | None = None) -> int:
    """Print inputs needed for given n, p and error."""
    parser = argparse.ArgumentParser(
        prog="python -m rewards.clusters.theorem", description="Inputs that theorem 2.4 needs for a stated error."
    )
    parser.add_argument("--n", type=int, default=128, help="candidates")
    parser.add_argument("--k", type=int, default=32, help="right candidates, for the paper's own condition")
    parser.add_argument("--p", type=float, nargs="+", default=[0.8, 0.9, 0.95], help="agreement of two wrong programs on one input")
    parser.add_argument("--error", type=float, default=0.05, help="total error")
    parser.add_argument("--delta", type=float, default=0.0, help="δ, the part of it that fewer than k right candidates take")
    args = parser.parse_args(argv)
    try:
        for p in args.p:
            paper = inputs_of_the_paper(args.n, args.k, p)
            needed = inputs_needed(args.n, p, args.error, args.delta)
            print(
                f"p = {p:g}: {needed if needed is not None else 'no number of'} inputs for a total error of {args.error:g}; "
                f"at the paper's {paper:.1f} the error term is {args.n**2 * p**paper:,.0f}"
            )
    except ValueError as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
