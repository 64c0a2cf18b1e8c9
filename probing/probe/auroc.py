"""AUROC, within problems and pooled. Within is the one that counts: GRPO compares samples of one group only."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def auroc_by_group(scores_NK: npt.NDArray[np.floating], labels_NK: npt.NDArray[np.bool_], groups_N: npt.NDArray[np.int64]) -> Floats:
    """float64[G, K]: AUROC of each column inside each of the G groups (in the order of their numbers), ties counted half (Mann-Whitney).

    NaN where a group has one kind only. Agrees with `sklearn.metrics.roc_auc_score`, over all groups and columns in one sort.
    """
    by_group = np.argsort(groups_N, kind="stable")
    sorted_N = groups_N[by_group]
    starts_G = np.flatnonzero(np.concatenate([[True], sorted_N[1:] != sorted_N[:-1]]))
    sizes_G = np.diff(np.append(starts_G, len(sorted_N)))
    # inside each group by score: sort all by score, then, keeping that order, by group
    by_score_NK = np.argsort(scores_NK, axis=0, kind="stable")
    order_NK = np.take_along_axis(by_score_NK, np.argsort(groups_N[by_score_NK], axis=0, kind="stable"), axis=0)
    ordered_NK = np.take_along_axis(scores_NK, order_NK, axis=0)
    # rank of each place: the mean over its run of equal scores
    place_N1 = np.arange(len(sorted_N))[:, None]
    first_NK = np.ones(ordered_NK.shape, dtype=bool)
    first_NK[1:] = (ordered_NK[1:] != ordered_NK[:-1]) | (sorted_N[1:] != sorted_N[:-1])[:, None]
    last_NK = np.concatenate([first_NK[1:], np.ones((1, ordered_NK.shape[1]), dtype=bool)])
    begin_NK = np.maximum.accumulate(np.where(first_NK, place_N1, 0), axis=0)
    end_NK = np.minimum.accumulate(np.where(last_NK, place_N1, len(sorted_N))[::-1], axis=0)[::-1]
    rank_NK = (begin_NK + end_NK) / 2 - np.repeat(starts_G, sizes_G)[:, None] + 1

    positive_NK = np.take_along_axis(labels_NK, order_NK, axis=0)
    positives_GK = np.add.reduceat(positive_NK.astype(np.float64), starts_G, axis=0)
    wins_GK = np.add.reduceat(np.where(positive_NK, rank_NK, 0.0), starts_G, axis=0) - positives_GK * (positives_GK + 1) / 2
    pairs_GK = positives_GK * (sizes_G[:, None] - positives_GK)
    return np.divide(wins_GK, pairs_GK, out=np.full(pairs_GK.shape, np.nan), where=pairs_GK > 0)


def auroc(scores_N: npt.NDArray[np.floating], labels_N: npt.NDArray[np.bool_]) -> float:
    """Pooled AUROC of N scores; NaN when the labels are all of one kind."""
    return float(auroc_by_group(scores_N[:, None], labels_N[:, None], np.zeros(len(scores_N), dtype=np.int64))[0, 0])


def auroc_within(
    scores_N: npt.NDArray[np.floating], labels_N: npt.NDArray[np.bool_], groups_N: npt.NDArray[np.int64]
) -> tuple[float, float]:
    """Mean AUROC over the groups that have both kinds, and its standard error over them; NaN where there are too few."""
    by_group = auroc_by_group(scores_N[:, None], labels_N[:, None], groups_N)[:, 0]
    by_group = by_group[~np.isnan(by_group)]
    mean = float(by_group.mean()) if len(by_group) else float("nan")
    return mean, float(by_group.std(ddof=1) / len(by_group) ** 0.5) if len(by_group) > 1 else float("nan")
