"""Which inputs tell candidates apart, and how good a set of inputs is.

Inputs matter more than the voting rule (SemanticVote, arXiv 2605.08680; docs/method.md, "Neighbours").

Selection is greedy on split entropy: take the input that most refines the partition of the candidates by their outcomes so far, until no
input refines it; then begin a new pass over the inputs that are left, so that every distinction is made more than once (the bound of
theorem 2.4 falls with the number of inputs on which two wrong programs would have to agree).
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from probing.section import Section
from rewards.clusters.clustering import Clustering, group_rows
from rewards.clusters.signatures import OutcomeMatrix

TIE = 1e-12  # nats


class InputsConfig(Section):
    """How inputs are selected."""

    keep: int = Field(32, ge=1, description="inputs kept of each problem, at most")
    max_error_share: float = Field(0.9, gt=0, le=1, description="an input on which more than this share of programs errs is dropped")


@dataclass(frozen=True)
class InputQuality:
    """How well a set of inputs tests the candidates of one problem. Shares are of samples (multiplicities counted)."""

    n_inputs: int  # m
    rank: int  # rank of the agreement matrix [n, m] with the winner: ways to differ from it; 1 = inputs all say the same, 0 = none
    n_behaviours: int  # distinct signatures among programs that gave any value
    split_entropy: float  # entropy of that partition, nats
    mutants_killed: float | None  # share of the winner's mutants that differ from it somewhere; None without mutants
    dead_share: float  # share of inputs on which nearly everything errs (more than max_error_share)
    error_share: float  # mean share of errors over programs and inputs
    duplicate_share: float  # share of inputs whose outcome column splits the programs exactly as an earlier one does


def _error_shares(matrix: OutcomeMatrix) -> np.ndarray:
    """float64[m]: share of samples that err on each input, missing ones left out; 1 where nothing is known."""
    known = np.where(matrix.missing, 0, matrix.weights)
    if not known.sum():
        return np.ones(matrix.n_inputs)
    return known @ (matrix.codes < 0) / known.sum()


def dead_inputs(matrix: OutcomeMatrix, config: InputsConfig) -> np.ndarray:
    """bool[m]: inputs on which nearly everything errs, or of which nothing is known: they are never selected."""
    return _error_shares(matrix) > config.max_error_share


def _columns(matrix: OutcomeMatrix) -> tuple[np.ndarray, np.ndarray]:
    """Dense outcome classes int64[n', m] of the programs that are not missing (all errors one class: here they only split), weights."""
    rows = ~matrix.missing
    codes = matrix.codes[rows]
    dense = np.empty(codes.shape, dtype=np.int64)
    for j in range(codes.shape[1]):
        dense[:, j] = np.unique(codes[:, j], return_inverse=True)[1]
    return dense, matrix.weights[rows].astype(np.float64)


def _entropy(labels: np.ndarray, weights: np.ndarray) -> float:
    mass = np.bincount(labels, weights=weights)
    share = mass[mass > 0] / weights.sum()
    return float(-(share * np.log(share)).sum())


def select_inputs(matrix: OutcomeMatrix, config: InputsConfig) -> np.ndarray:
    """int64[k]: columns to keep, the most telling first; k <= config.keep. No labels are used.

    Inputs on which nearly everything errs are never kept. Where nothing tells the candidates apart, the first inputs are kept as they are.
    Ties go to the earlier input. Inputs that split the candidates alike are looked at as one, and only while they could still be the best
    (what an input adds to a partition only falls as that is refined), so that time grows about linearly with inputs.
    """
    dense, weights = _columns(matrix)
    everyone = np.ones(len(dense), dtype=bool)
    alike: dict[bytes, _Split] = {}
    for j in np.flatnonzero(~dead_inputs(matrix, config)).tolist():
        labels = group_rows(dense[:, j, None], everyone)
        alike.setdefault(labels.tobytes(), _Split(labels, _entropy(labels, weights), deque())).inputs.append(j)
    chosen: list[int] = []
    while len(chosen) < config.keep:
        found = _one_pass([split for split in alike.values() if split.inputs], weights, config.keep - len(chosen))
        if not found:  # no input that is left splits anything
            chosen += sorted(j for split in alike.values() for j in split.inputs)[: config.keep - len(chosen)]
            break
        chosen += found
    return np.array(chosen, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class _Split:
    """Inputs that split the candidates in the same way."""

    labels: np.ndarray  # int64[n']
    entropy: float  # nats
    inputs: deque[int]  # those that are left, the earliest first


def _one_pass(splits: Sequence[_Split], weights: np.ndarray, most: int) -> list[int]:
    """Take inputs out of the splits, each the one that refines the partition so far most, until none does or there are `most`."""
    chosen: list[int] = []
    partition: np.ndarray | None = None
    reached = 0.0
    bounds = [(-split.entropy, split.inputs[0], split) for split in splits]  # no split can add more
    heapq.heapify(bounds)
    while bounds and len(chosen) < most:
        looked_at: list[tuple[float, int, _Split, np.ndarray]] = []
        best = 0.0
        while bounds and -bounds[0][0] >= best - TIE:
            _, j, split = heapq.heappop(bounds)
            refined, gain = split.labels, split.entropy
            if partition is not None:
                width = int(split.labels.max(initial=0)) + 1
                refined = np.unique(partition * width + split.labels, return_inverse=True)[1]
                gain = _entropy(refined, weights) - reached
            looked_at.append((gain, j, split, refined))
            best = max(best, gain)
        if best <= TIE:
            break
        gain, j, split, partition = min((row for row in looked_at if row[0] > best - TIE), key=lambda row: row[1])
        reached += gain
        chosen.append(split.inputs.popleft())
        for other_gain, other, other_split, _ in looked_at:
            if other != j and other_gain > TIE:
                heapq.heappush(bounds, (-other_gain, other, other_split))
    return chosen


def agreement_rank(matrix: OutcomeMatrix, winner: int) -> int:
    """Rank over the reals of the 0/1 matrix "program i agrees with program `winner` on input j": a pass matrix with consensus as oracle.

    ZeroCoder (arXiv 2604.07864) drops problems whose pass matrix has a low rank. Equal rows and columns are removed first.
    """
    agrees = (matrix.codes == matrix.codes[winner]) & (matrix.codes >= 0)
    agrees = np.unique(np.unique(agrees[~matrix.missing], axis=0), axis=1)
    return int(np.linalg.matrix_rank(agrees.astype(np.float64))) if agrees.size else 0


def killed_share(winner: Sequence[int] | np.ndarray, mutants: np.ndarray) -> float:
    """Share of mutants (codes int32[k, m]) that differ from the winner's codes int32[m] on at least one input where either gave a value."""
    return float((mutants != np.asarray(winner)).any(axis=1).mean())


def quality_report(
    matrix: OutcomeMatrix, clustering: Clustering, config: InputsConfig, mutants: OutcomeMatrix | None = None
) -> InputQuality:
    """The report on the inputs of one problem.

    mutants: executions of mutated representatives of the winner on the same inputs, stacked so that codes are comparable (`concatenate`,
    then `select_programs`). Without a winner the rank is 0 and mutants_killed is None.
    """
    m = matrix.n_inputs
    dense, weights = _columns(matrix)
    gave_any = (matrix.codes[~matrix.missing] >= 0).any(axis=1)
    dense, weights = dense[gave_any], weights[gave_any]
    partition = np.unique(dense, axis=0, return_inverse=True)[1].reshape(-1) if dense.size else np.zeros(len(dense), dtype=np.int64)
    errors = _error_shares(matrix)
    everyone = np.ones(len(dense), dtype=bool)
    splits = {group_rows(column[:, None], everyone).tobytes() for column in dense.T}
    rank, killed = 0, None
    if clustering.top >= 0:
        winner = int(clustering.representatives[clustering.top])
        rank = agreement_rank(matrix, winner)
        if mutants is not None and mutants.n_programs:
            killed = killed_share(matrix.codes[winner], mutants.codes[~mutants.missing])
    return InputQuality(
        n_inputs=m,
        rank=rank,
        n_behaviours=len(np.unique(partition)),
        split_entropy=_entropy(partition, weights) if len(partition) else 0.0,
        mutants_killed=killed,
        dead_share=float(dead_inputs(matrix, config).mean()) if m else 0.0,
        error_share=float(errors.mean()) if m else 0.0,
        duplicate_share=1.0 - len(splits) / m if m else 0.0,
    )
