"""Clusters of equal signatures, their shares, margin and behavioural entropy (the paper's stage 5; docs/method.md, "The quantities")."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rewards.clusters.signatures import OutcomeMatrix, Signature, signature_rows


@dataclass(frozen=True, eq=False)
class Clustering:
    """The clusters of one problem, the largest first; cluster `top` is the winner.

    >>> import numpy as np
    >>> from rewards.records import Execution, Kind, Outcome
    >>> runs = [Execution((Outcome(Kind.VALUE, a), Outcome(Kind.VALUE, b))) for a, b in [("1", "2"), ("1", "2"), ("1", "3")]]
    >>> c = cluster(OutcomeMatrix.from_executions(runs))
    >>> c.labels.tolist(), c.top, round(c.top_share, 2), round(c.margin, 2)
    ([0, 0, 1], 0, 0.67, 0.33)
    """

    labels: np.ndarray  # int64[n]: cluster of each program, -1 where it is not valid or missing
    shares: np.ndarray  # float64[k]: s = weighted members / n_valid, in descending order
    counts: np.ndarray  # int64[k]: weighted members
    representatives: np.ndarray  # int64[k]: a row of each cluster, the one with the best quality (the first without one)
    degenerate: np.ndarray  # bool[k]: only constant or echoing programs
    top: int  # the winning cluster, -1 when none may win
    top_share: float  # share of the winner, 0 when there is none
    margin: float  # share of the winner minus the largest other share; negative when a degenerate cluster outnumbers it
    entropy: float  # H(q) = −Σ share·log share, nats: 0 when all agree, log n_valid when nobody does; 0 when nothing is valid
    n_valid: int  # valid samples (weighted)
    n_missing: int  # samples left out because our infrastructure failed (weighted)

    @property
    def n_clusters(self) -> int:
        return len(self.shares)

    def in_band(self, low: float, high: float) -> bool:
        """Whether the problem is worth training on: a winner, neither hopeless nor unanimous (low <= top share <= high).

        Not one whose winner is outnumbered by constant or echoing programs: there the right answer may itself be constant on these inputs.
        """
        return self.top >= 0 and self.margin >= 0 and low <= self.top_share <= high


def group_rows(rows: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """int64[n]: labels 0.. of equal rows in order of first appearance, -1 outside the mask. Linear in the size of `rows`."""
    rows = np.ascontiguousarray(rows)
    seen: dict[bytes, int] = {}
    labels = np.full(len(rows), -1, dtype=np.int64)
    for i in np.flatnonzero(mask):
        labels[i] = seen.setdefault(rows[i].tobytes(), len(seen))
    return labels


def cluster(
    matrix: OutcomeMatrix, rho: float = 0.8, tau: int = 2, quality: np.ndarray | None = None, signature: Signature = "outputs"
) -> Clustering:
    """Cluster the valid programs by equal signatures.

    rho: least share of inputs that must give a value. tau: least number of samples (multiplicities counted) of a winner. quality: float[n],
    picks each cluster's representative (the paper: least perplexity, so give the mean logprob); NaN is never picked before a number.
    A cluster of only constant or echoing programs wins only where no other cluster exists; where the others are all smaller than tau
    there is no winner. signature: what is compared; under `passfail` nothing is degenerate. Ties go to the cluster that appears first.

    Raises ValueError for a tau below 1, a quality of another length, or `passfail` without an assert.
    """
    if tau < 1:
        raise ValueError(f"tau is a number of samples and must be at least 1, got {tau}")
    if quality is not None and len(quality) != matrix.n_programs:
        raise ValueError(f"{len(quality)} qualities for {matrix.n_programs} programs")
    n_missing = int(matrix.weights[matrix.missing].sum())
    first_labels = group_rows(signature_rows(matrix, signature), matrix.valid(rho))
    valid = first_labels >= 0
    k = int(first_labels.max(initial=-1)) + 1
    counts = np.bincount(first_labels[valid], weights=matrix.weights[valid], minlength=k).astype(np.int64)
    order = np.argsort(-counts, kind="stable")
    rename = np.empty(k + 1, dtype=np.int64)
    rename[order], rename[k] = np.arange(k), -1  # label -1 reads the last entry
    labels, counts = rename[first_labels], counts[order]

    ranked = np.arange(matrix.n_programs)
    if quality is not None:
        ranked = np.argsort(-np.nan_to_num(np.asarray(quality, dtype=np.float64), nan=-np.inf), kind="stable")
    ranked = ranked[labels[ranked] >= 0]
    representatives = np.zeros(k, dtype=np.int64)
    representatives[labels[ranked[::-1]]] = ranked[::-1]  # the best is written last
    degenerate = matrix.degenerate[representatives]  # programs of equal outputs share the mark
    if signature == "passfail":
        degenerate = np.zeros(k, dtype=bool)  # those of equal bits may not, and the paper bars none

    n_valid = int(counts.sum())
    shares = counts / max(n_valid, 1)
    eligible = np.flatnonzero(~degenerate) if (~degenerate).any() else np.arange(k)
    top = int(eligible[0]) if len(eligible) and counts[eligible[0]] >= tau else -1
    top_share = float(shares[top]) if top >= 0 else 0.0
    others = np.delete(shares, top) if top >= 0 else shares
    margin = top_share - float(others.max(initial=0.0)) if top >= 0 else 0.0
    entropy = abs(float(-(shares * np.log(shares)).sum()))
    return Clustering(labels, shares, counts, representatives, degenerate, top, top_share, margin, entropy, n_valid, n_missing)


def winner_of(matrix: OutcomeMatrix, rho: float = 0.8, tau: int = 2, signature: Signature = "outputs") -> OutcomeMatrix | None:
    """The one row that stands for the winning cluster; None where nobody wins. Arguments: see `cluster`."""
    found = cluster(matrix, rho, tau, signature=signature)
    return matrix.select_programs([found.representatives[found.top]]) if found.top >= 0 else None


def rivals_of(
    matrix: OutcomeMatrix, contest: float, rho: float = 0.8, tau: int = 2, signature: Signature = "outputs"
) -> OutcomeMatrix | None:
    """A row for each cluster that the winner has not clearly beaten; None where there is none, or where nobody wins.

    Those are the other clusters with at least `contest` times as many samples as the winner. Clusters of constant or echoing programs,
    which may not win beside others, are no rivals. Arguments: see `cluster`.
    """
    found = cluster(matrix, rho, tau, signature=signature)
    if found.top < 0:
        return None
    close = found.counts >= contest * found.counts[found.top] - 1e-9
    close &= ~found.degenerate | found.degenerate[found.top]
    close[found.top] = False
    return matrix.select_programs(found.representatives[close]) if close.any() else None
