"""Logistic fits of the probe (scikit-learn), on centred features with length regressed out, and its calibration."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression

from probing.probe.contrasts import Bools, Floats, Ints, group_means, numbered, sizes, spread


def fit_contrasts(x_NF: Floats, basis_NZ: Floats, targets_N: Floats, groups_N: Ints, c: float, free: int) -> Floats:
    """float64[Z + F]: weights on (basis, features) of a logistic regression that sees only contrasts inside a group.

    Features and basis come centred within groups; the basis (length terms, or no column at all) is regressed out of the features. A sample
    counts as right with weight t (1 - m) and as wrong with weight (1 - t) m, for its target t in [0, 1] and its group's mean target m: this
    centres the labels, and leaves groups of one kind out. With all samples in one group it is an ordinary, class-balanced regression.
    The last `free` features hardly feel the penalty (see `contrasts.sizes`).
    """
    n_basis, n_features = basis_NZ.shape[1], x_NF.shape[1]
    mean_N = group_means(targets_N[:, None], groups_N)[:, 0]
    weights_2N = np.stack([targets_N * (1 - mean_N), (1 - targets_N) * mean_N])
    if not weights_2N.any():
        return np.zeros(n_basis + n_features)  # no contrast, nothing to learn
    weighted_NZ = basis_NZ * weights_2N.sum(0)[:, None]
    coef_ZF = np.linalg.pinv(weighted_NZ.T @ basis_NZ, hermitian=True) @ (weighted_NZ.T @ x_NF)
    rest_NF = x_NF - basis_NZ @ coef_ZF
    scale_F = spread(weights_2N.sum(0) @ rest_NF**2, float(weights_2N.sum())) / sizes(n_features, free)
    right, wrong = (np.flatnonzero(row) for row in weights_2N)
    model = LogisticRegression(C=c, fit_intercept=False, solver="newton-cholesky", max_iter=50)
    model.fit(
        rest_NF[np.concatenate([right, wrong])] / scale_F,
        np.repeat([1, 0], [len(right), len(wrong)]),
        sample_weight=np.concatenate([weights_2N[0][right], weights_2N[1][wrong]]),
    )
    weights_F = model.coef_[0] / scale_F
    return np.concatenate([-coef_ZF @ weights_F, weights_F])


def out_of_fold(
    features: list[Floats], c_of_fold: list[float], basis_NZ: Floats, targets_N: Floats, groups_N: Ints, fold_N: Ints, free: int
) -> Floats:
    """float64[N]: each sample's log-odds from a fit that saw nothing of its problem, on fold i's choice of features and C.

    Samples without a target (NaN) are scored and not learnt from.
    """
    logits_N = np.empty(len(targets_N))
    for fold, (x_NF, c) in enumerate(zip(features, c_of_fold, strict=True)):
        train, test = (fold_N != fold) & np.isfinite(targets_N), fold_N == fold
        weights = fit_contrasts(x_NF[train], basis_NZ[train], targets_N[train], numbered(groups_N[train]), c, free)
        logits_N[test] = np.concatenate([basis_NZ[test], x_NF[test]], axis=1) @ weights
    return logits_N


def calibrate(logits_N: Floats, labels_N: Bools) -> tuple[float, float]:
    """Slope and intercept of Platt's scaling; a negative slope (log-odds that point the wrong way) is held at 0."""
    scale = float(logits_N.std()) or 1.0
    model = LogisticRegression(C=1e6).fit(logits_N[:, None] / scale, labels_N)
    slope, intercept = float(model.coef_[0, 0]) / scale, float(model.intercept_[0])
    if slope < 0:
        share = float(labels_N.mean())
        return 0.0, float(np.log(share / (1 - share)))
    return slope, intercept


def calibration_error(probabilities_N: Floats, labels_N: Bools, bins: int = 10) -> float:
    """Expected calibration error (Guo et al. 2017) over equal-width bins."""
    bin_N = np.minimum((probabilities_N * bins).astype(int), bins - 1)
    gap = np.bincount(bin_N, weights=probabilities_N - labels_N, minlength=bins)
    return float(np.abs(gap).sum() / len(labels_N))


def sigmoid(x: Floats) -> Floats:
    """Logistic function without overflow."""
    return 0.5 * (1 + np.tanh(x / 2))
