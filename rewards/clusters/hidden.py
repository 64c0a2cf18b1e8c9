"""How far may programs of one cluster still differ? A limit that holds although the inputs were selected.

A cluster is "equal on the kept inputs". Those were picked out of a pool because they tell the programs apart, so they are not
independent draws, and theorem 2.4 (`rewards.clusters.theorem`) cannot be applied to them. The pool can be used, where it was written
without a look at the programs: for two given programs that differ on a share d of all inputs like the pool's, the number of pool inputs
on which they differ is binomial(M, d). One exact (Clopper-Pearson) limit at level error / pairs for each pair of programs holds for all
pairs at once, hence for whichever pairs a selection puts into one cluster. The selection has no price, because the union is over pairs of
programs and not over subsets of inputs; it may only lose differences that the pool shows, and those are counted (`observed`).

    with confidence 1 − error, any two programs of one cluster differ on at most `share` of the inputs that are drawn like the pool

It is no statement about right and wrong: a cluster may be equal and wrong (docs/method.md, "What can be learnt without labels"). Programs
that did not run on the pool, such as GRPO's rollouts, are covered only as far as they behave like one that did.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rewards.clusters.clustering import Clustering
from rewards.clusters.signatures import MISSING, OutcomeMatrix

TOLERANCE = 0.05  # share of inputs that `HiddenDifference.needed` is about
BISECTIONS = 60  # of [0, 1]: far below float precision


@dataclass(frozen=True)
class HiddenDifference:
    """What one problem's clusters may hide."""

    programs: int  # distinct programs that ran on the whole pool
    pool: int  # M, inputs they ran on
    kept: int  # inputs that the clusters are made on
    error: float  # 1 − confidence, over all pairs of programs together
    observed: int  # most pool inputs on which two programs of one cluster differ; 0: the kept inputs part them as the pool does
    share: float | None  # the limit, in [0, 1]; None with fewer than two programs
    needed: int | None  # pool inputs for a limit of TOLERANCE where nothing is observed; None with fewer than two programs

    def sentence(self) -> str:
        """The limit in words."""
        if self.share is None:
            return "Hidden differences: fewer than two distinct programs ran, there is nothing to compare."
        lost = f" ({self.observed} of the pool's inputs part programs that the kept ones do not)" if self.observed else ""
        return (
            f"Hidden differences: two programs of one cluster differ on at most {100 * self.share:.1f} % of inputs like these{lost}, with "
            f"{100 * (1 - self.error):g} % confidence; {self.needed} inputs in the pool would make it {100 * TOLERANCE:g} %."
        )


def hidden_difference(pool: OutcomeMatrix, clustering: Clustering, error: float = 0.05, kept: int | None = None) -> HiddenDifference:
    """The limit for the clusters of one problem.

    pool: outcomes of n programs on all M inputs, dead ones too. clustering: of the same rows, on inputs selected from them (`kept` many;
    default: all). error: chance that the statement fails for any pair. ValueError where it is not strictly between 0 and 1.
    """
    if not 0 < error < 1:
        raise ValueError(f"error is a probability and must lie strictly between 0 and 1, got {error}")
    ran = ~pool.missing
    programs, inputs = int(ran.sum()), pool.n_inputs
    kept = inputs if kept is None else kept
    pairs = programs * (programs - 1) // 2
    if not pairs or not inputs:
        return HiddenDifference(programs, inputs, kept, error, 0, None, None)
    groups = [pool.codes[ran & (clustering.labels == label)] for label in range(clustering.n_clusters)]
    observed = max((most_apart(group) for group in groups), default=0)
    share = difference_limit(observed, inputs, error / pairs)
    return HiddenDifference(programs, inputs, kept, error, observed, share, pool_needed(pairs, TOLERANCE, error))


def most_apart(codes: np.ndarray) -> int:
    """The largest number of inputs on which two rows of codes int32[n, M] differ; two errors do not differ, an error and a value do."""
    assert not (codes == MISSING).any()
    rows = np.unique(codes, axis=0) if len(codes) else codes
    return max((int((rows[i + 1 :] != rows[i]).sum(axis=1).max()) for i in range(len(rows) - 1)), default=0)


def difference_limit(observed: int, inputs: int, level: float) -> float:
    """Exact upper limit on a rate of which `observed` of `inputs` independent draws were hits: it is too low with chance `level` at most.

    The rate at which so few hits have chance `level` (Clopper and Pearson, 1934); 1 − level^(1/M) where none was observed. Raises
    ValueError for figures out of range.

    >>> round(difference_limit(0, 48, 0.05 / 45), 3)
    0.132
    """
    if not 0 <= observed <= inputs or inputs < 1 or not 0 < level < 1:
        raise ValueError(f"need 0 <= observed <= inputs, inputs >= 1 and 0 < level < 1, got {observed}, {inputs} and {level}")
    if observed == inputs:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        few = math.fsum(math.exp(_log_binomial(j, inputs, middle)) for j in range(observed + 1))
        low, high = (middle, high) if few > level else (low, middle)
    return high


def _log_binomial(hits: int, draws: int, rate: float) -> float:
    """Log of the binomial probability; in logs, so that thousands of draws do not overflow."""
    ways = math.lgamma(draws + 1) - math.lgamma(hits + 1) - math.lgamma(draws - hits + 1)
    return ways + hits * math.log(rate) + (draws - hits) * math.log1p(-rate)


def pool_needed(pairs: int, share: float, error: float) -> int:
    """The least number of pool inputs for a limit of `share` over so many pairs of programs, where nothing is observed. Raises ValueError
    for figures out of range.

    >>> pool_needed(45, 0.05, 0.05)
    133
    """
    if pairs < 1 or not 0 < share < 1 or not 0 < error < 1:
        raise ValueError(f"need at least one pair, and share and error strictly between 0 and 1, got {pairs}, {share} and {error}")
    return math.ceil(math.log(error / pairs) / math.log1p(-share) - 1e-9)
