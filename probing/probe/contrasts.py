"""Learning from contrasts inside a problem: centring, removing length, and choosing states and penalty by nested cross-validation.

Choosing needs thousands of fits, so it is done on the first Newton step of the logistic regression from zero, which is a ridge regression
on centred labels: its moments add up over folds, and one eigendecomposition serves every penalty and every shuffle of the labels. The
probe itself is fitted with scikit-learn (`probing.probe.quality`).

Shapes: N samples, F features, Z length terms, K label columns (the first is real, the rest are shuffles), J penalties, G problems.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from probing.probe.auroc import auroc_by_group

FREE = 30.0  # the two logprobs, last columns of a candidate, count so many times their size: their penalty is 1/900 of a state's

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


def numbered(groups: npt.ArrayLike) -> Ints:
    """int64[N]: groups of any kind numbered 0..G-1."""
    return np.unique(np.asarray(groups), return_inverse=True)[1].astype(np.int64)


def group_means(x_NF: npt.NDArray[np.floating], groups_N: Ints) -> Floats:
    """float64[N, F]: for each sample, the mean of its problem. `groups_N` numbers the problems 0..G-1."""
    sums_GF = np.zeros((int(groups_N.max()) + 1, x_NF.shape[1]))
    order = np.argsort(groups_N, kind="stable")
    starts = np.searchsorted(groups_N[order], np.arange(len(sums_GF)))
    sums_GF[:] = np.add.reduceat(x_NF[order].astype(np.float64), starts, axis=0)
    return (sums_GF / np.bincount(groups_N)[:, None])[groups_N]


def centred(x_NF: npt.NDArray[np.floating], groups_N: Ints) -> Floats:
    """float64[N, F]: features as differences from their problem's mean."""
    return x_NF - group_means(x_NF, groups_N)


def length_terms(lengths_N: npt.NDArray[np.integer]) -> Floats:
    """float64[N, 2]: the length and its logarithm, which span the dependence that is removed."""
    tokens = lengths_N.astype(np.float64)
    return np.stack([tokens / 100, np.log1p(tokens)], axis=1)


def shuffled_within(groups_N: Ints, shuffles: int, rng: np.random.Generator) -> Ints:
    """int64[N, 1 + shuffles]: places of the samples; column 0 in order, the others permuted inside each group."""
    columns = [np.arange(len(groups_N))]
    order = np.argsort(groups_N, kind="stable")
    for _ in range(shuffles):
        shuffled = np.empty_like(order)
        shuffled[order] = order[np.lexsort((rng.random(len(order)), groups_N[order]))]
        columns.append(shuffled)
    return np.stack(columns, axis=1)


def problem_folds(groups_N: Ints, informative_G: Bools, folds: int, rng: np.random.Generator) -> Ints:
    """int64[N] fold of each sample. A problem lies in one fold; those with both kinds of sample are spread evenly."""
    order = rng.permutation(len(informative_G))
    order = order[np.argsort(~informative_G[order], kind="stable")]
    fold_G = np.empty(len(order), dtype=np.int64)
    fold_G[order] = np.arange(len(order)) % folds
    return fold_G[groups_N]


@dataclass(frozen=True)
class Selection:
    """What nested cross-validation chose, and how the same search fares on shuffled labels."""

    per_fold: tuple[tuple[int, int], ...]  # (candidate, penalty) for each outer fold, chosen without it
    final: tuple[int, int]  # (candidate, penalty) chosen on all folds, for the probe that is kept
    achieved: float  # out-of-fold AUROC within problems of the whole search (by the ridge stand-in)
    null: Floats  # [shuffles], the same on shuffled labels


def select(
    candidates: list[Floats],
    basis_NZ: Floats,
    targets_NK: Floats,
    labels_NK: Floats,
    groups_N: Ints,
    fold_N: Ints,
    c_grid: tuple[float, ...],
    free: int = 2,
) -> Selection:
    """Choose among `candidates` (float64[N, F] each, centred within problems) and `c_grid` by AUROC within held-out problems.

    `basis_NZ` (centred length terms) is regressed out of features and targets. `targets_NK` in [0, 1] is what is learnt and `labels_NK`
    what is judged by; NaN in either (the same rows in every column) leaves a sample out of that. A fold's own choice is made on models
    that never saw it (nested); inner models leave out two folds. The last `free` columns of a candidate (its logprobs) hardly feel the
    penalty (see `sizes`).
    """
    folds, n_columns, n_c = int(fold_N.max()) + 1, targets_NK.shape[1], len(c_grid)
    learn_N, judged_N = np.isfinite(targets_NK[:, 0]), np.isfinite(labels_NK[:, 0])
    centred_NK, weight_N1 = np.zeros(targets_NK.shape), np.zeros((len(groups_N), 1))
    learn_groups = numbered(groups_N[learn_N])
    centred_NK[learn_N] = centred(targets_NK[learn_N], learn_groups)
    mean = group_means(targets_NK[learn_N, :1], learn_groups)
    weight_N1[learn_N] = 2 * mean * (1 - mean)  # expected weight of a sample's contrast: the same for every shuffle
    rows_of = [np.flatnonzero(fold_N == fold) for fold in range(folds)]
    judged_of = [np.flatnonzero((fold_N == fold) & judged_N) for fold in range(folds)]
    labels_of = [np.tile(labels_NK[rows] > 0.5, n_c) for rows in judged_of]
    # score[i, j]: AUROC sums over the problems of fold j, from a model that saw neither fold i nor fold j
    score = np.zeros((folds, folds, len(candidates), n_c, n_columns))
    for place, features_NF in enumerate(candidates):
        stacked = np.concatenate([basis_NZ, features_NF], axis=1)
        moment = np.stack([(stacked[rows] * weight_N1[rows]).T @ stacked[rows] for rows in rows_of])
        cross = np.stack([stacked[rows].T @ centred_NK[rows] for rows in rows_of])
        for i in range(folds):
            for j in range(i, folds):
                left_out = [i] if i == j else [i, j]
                kept = [fold for fold in range(folds) if fold not in left_out]
                total = float(weight_N1[~np.isin(fold_N, left_out)].sum())
                weights = _ridge_path(moment[kept].sum(0), cross[kept].sum(0), basis_NZ.shape[1], total, c_grid, free)
                for outer, held in {(i, j), (j, i)}:
                    rows = judged_of[held]
                    by_group = auroc_by_group(stacked[rows] @ weights, labels_of[held], groups_N[rows])
                    score[outer, held, place] = np.nansum(by_group, axis=0).reshape(n_c, n_columns)
    own = score[np.arange(folds), np.arange(folds)]  # [folds, candidates, J, K]: each outer fold, under each choice
    inner = (score.sum(axis=1) - own).reshape(folds, -1, n_columns)
    best = inner.argmax(axis=1)  # [folds, K]
    achieved_K = np.take_along_axis(own.reshape(folds, -1, n_columns), best[:, None], axis=1)[:, 0].sum(axis=0)
    with_both = int(np.isfinite(auroc_by_group(labels_NK[judged_N, :1], labels_NK[judged_N, :1] > 0.5, groups_N[judged_N])).sum())
    final = int(own.sum(axis=0)[..., 0].argmax())
    return Selection(
        per_fold=tuple(divmod(int(choice), n_c) for choice in best[:, 0]),
        final=divmod(final, n_c),
        achieved=float(achieved_K[0] / with_both),
        null=achieved_K[1:] / with_both,
    )


def _ridge_path(moment: Floats, cross_K: Floats, n_basis: int, total_weight: float, c_grid: tuple[float, ...], free: int) -> Floats:
    """float64[Z + F, J * K]: weights on (basis, features) for each penalty and label column, basis partialled out (Frisch-Waugh-Lovell).

    A logistic regression with penalty 1 / (2C) has, at zero, a Hessian of moment / 4 + 1 / C: hence the ridge penalty 4 / C.
    """
    coef_ZF = np.linalg.pinv(moment[:n_basis, :n_basis], hermitian=True) @ moment[:n_basis, n_basis:]
    inner = moment[n_basis:, n_basis:] - moment[n_basis:, :n_basis] @ coef_ZF
    cross = cross_K[n_basis:] - coef_ZF.T @ cross_K[:n_basis]
    scale_F1 = sizes(inner.shape[0], free)[:, None] / spread(np.diag(inner), total_weight)[:, None]
    values, vectors = np.linalg.eigh(inner * scale_F1 * scale_F1.T)
    rotated = vectors.T @ (cross * scale_F1)
    paths = [scale_F1 * (vectors @ (rotated / (np.maximum(values, 0) + 4 / c)[:, None])) for c in c_grid]
    weights_FX = np.concatenate(paths, axis=1)
    return np.concatenate([-coef_ZF @ weights_FX, weights_FX], axis=0)


def sizes(columns: int, free: int) -> Floats:
    """float64[F]: how large each standardised feature is made before the penalty; the last `free` ones hardly feel it."""
    return np.concatenate([np.ones(columns - free), np.full(free, FREE)])


def spread(sums_F: Floats, total_weight: float) -> Floats:
    """float64[F]: standard deviations from weighted sums of squares; 1 for a feature that does not vary."""
    variance_F = np.maximum(sums_F, 0) / max(total_weight, 1e-12)
    return np.where(variance_F > 1e-12, np.sqrt(np.maximum(variance_F, 1e-12)), 1.0)
