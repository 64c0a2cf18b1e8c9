"""AUROC, within problems and pooled. Within is the one that counts: GRPO compares samples of one group only."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

Floats = npt.NDArray[np.float64]


def auroc_columns(scores_NK: npt.NDArray[np.floating], labels_NK: npt.NDArray[np.bool_]) -> Floats:
    """float64[K]: AUROC of each column, ties counted half (Mann-Whitney). NaN where a column has one kind only.

    Agrees with `sklearn.metrics.roc_auc_score`, over many columns at once.
    """
    positives_K = labels_NK.sum(axis=0).astype(np.float64)
    negatives_K = len(labels_NK) - positives_K
    rank_sum_K = np.where(labels_NK, rankdata(scores_NK, axis=0), 0.0).sum(axis=0)
    pairs_K = positives_K * negatives_K
    wins_K = rank_sum_K - positives_K * (positives_K + 1) / 2
    return np.divide(wins_K, pairs_K, out=np.full(len(pairs_K), np.nan), where=pairs_K > 0)


def auroc(scores_N: npt.NDArray[np.floating], labels_N: npt.NDArray[np.bool_]) -> float:
    """Pooled AUROC of N scores; NaN when the labels are all of one kind."""
    return float(auroc_columns(scores_N[:, None], labels_N[:, None])[0])


def auroc_by_group(scores_NK: npt.NDArray[np.floating], labels_NK: npt.NDArray[np.bool_], groups_N: npt.NDArray[np.int64]) -> Floats:
    """float64[G, K]: AUROC inside each of the G groups (in the order of their numbers), NaN where it has one kind only."""
    order = np.argsort(groups_N, kind="stable")
    cuts = np.flatnonzero(np.diff(groups_N[order])) + 1
    return np.array([auroc_columns(scores_NK[rows], labels_NK[rows]) for rows in np.split(order, cuts)])


def auroc_within(
    scores_N: npt.NDArray[np.floating], labels_N: npt.NDArray[np.bool_], groups_N: npt.NDArray[np.int64]
) -> tuple[float, float]:
    """Mean AUROC over the groups that have both kinds, and its standard error over them; NaN where there are too few."""
    by_group = auroc_by_group(scores_N[:, None], labels_N[:, None], groups_N)[:, 0]
    by_group = by_group[~np.isnan(by_group)]
    mean = float(by_group.mean()) if len(by_group) else float("nan")
    return mean, float(by_group.std(ddof=1) / len(by_group) ** 0.5) if len(by_group) > 1 else float("nan")
