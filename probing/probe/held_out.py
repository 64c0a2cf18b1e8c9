"""The probe's held-out figures: scores from fits that saw nothing of the problem, for the probe and for what it must beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import PCA

from probing.probe.auroc import auroc
from probing.probe.contrasts import Floats, Ints, centred, length_terms
from probing.probe.hidden_states import StateFeatures
from probing.probe.logistic import out_of_fold

KINDS = ("controlled", "raw", "states", "logprobs", "length", "mean_logprob", "min_logprob")
POOLED_KINDS = ("controlled", "raw", "length", "mean_logprob")  # each fit costs as much as one within: no more than are reported


@dataclass(frozen=True)
class Design:
    """The data of one fit: finite features, and everything centred within its group."""

    features: StateFeatures
    labels_N: Floats  # 0 or 1, or NaN: not judged
    targets_N: Floats  # in [0, 1], or NaN: not learnt from
    groups_N: Ints  # 0..G-1
    fold_N: Ints
    basis_NZ: Floats  # length terms
    logprobs_N2: Floats  # mean, least
    places: tuple[tuple[int, int], ...]  # (layer, pooling) of each candidate
    states: tuple[Floats, ...]  # [N, F] of each candidate, at most `pca` principal axes
    axes: tuple[Floats, ...]  # [D, F]: from those back to the states


def design(
    features: StateFeatures, labels_N: Floats, targets_N: Floats, groups_N: Ints, fold_N: Ints, pca: int, seed: int, pooled: bool = False
) -> Design:
    """Lay out a fit. `pooled` centres over all samples, not within problems, and counts the prompt's length among the length terms."""
    within_N = np.zeros_like(groups_N) if pooled else groups_N
    basis_NZ = length_terms(features.lengths)
    if pooled:
        basis_NZ = np.concatenate([basis_NZ, length_terms(features.prompt_lengths)], axis=1)
    places = tuple((layer, pooling) for layer in range(len(features.layers)) for pooling in range(len(features.poolings)))
    reduced = [principal(centred(features.states[:, layer, pooling], within_N), pca, seed) for layer, pooling in places]
    return Design(
        features=features,
        labels_N=labels_N,
        targets_N=targets_N,
        groups_N=within_N,
        fold_N=fold_N,
        basis_NZ=centred(basis_NZ, within_N),
        logprobs_N2=centred(logprob_terms(features), within_N),
        places=places,
        states=tuple(states for states, _ in reduced),
        axes=tuple(axes for _, axes in reduced),
    )


def held_out_scores(data: Design, choices: list[tuple[int, float]], kinds: Sequence[str] = KINDS) -> dict[str, Floats]:
    """float64[N] of each kind, out of fold. `choices[i]` is the (candidate, C) that fold i is judged with, chosen without it.

    controlled: states and logprobs, length regressed out; raw: length left in; states: without logprobs; logprobs: without states;
    length: the length terms alone; mean_logprob, min_logprob: the bare figure, nothing fitted.
    """
    cs = [c for _, c in choices]
    none_N0 = data.basis_NZ[:, :0]
    states = [data.states[place] for place, _ in choices]
    joined = {place: np.concatenate([data.states[place], data.logprobs_N2], axis=1) for place in {place for place, _ in choices}}
    both = [joined[place] for place, _ in choices]
    fits: dict[str, tuple[list[Floats], Floats, int]] = {
        "controlled": (both, data.basis_NZ, 2),
        "raw": (both, none_N0, 2),
        "states": (states, data.basis_NZ, 0),
        "logprobs": ([data.logprobs_N2] * len(cs), data.basis_NZ, 2),
        "length": ([data.basis_NZ] * len(cs), none_N0, 0),
    }
    bare = {"mean_logprob": data.features.mean_logprob, "min_logprob": data.features.min_logprob}
    return {
        kind: out_of_fold(fits[kind][0], cs, fits[kind][1], data.targets_N, data.groups_N, data.fold_N, fits[kind][2])
        if kind in fits
        else bare[kind].astype(np.float64)
        for kind in kinds
    }


def pooled_aurocs(data: Design, choices: list[tuple[int, float]]) -> dict[str, float]:
    """AUROC over all samples of a `pooled` design, by the same names. It flatters: much of it is knowledge of which problems are hard."""
    judged_N = np.isfinite(data.labels_N)
    spread_N, found = np.empty(len(judged_N)), {}
    for name, scores_N in held_out_scores(data, choices, POOLED_KINDS).items():
        for fold in range(len(choices)):  # fits of different folds lie on different scales
            spread_N[data.fold_N == fold] = float(scores_N[data.fold_N == fold].std()) or 1.0
        comparable_N = scores_N if name.endswith("_logprob") else scores_N / spread_N
        found[name] = auroc(comparable_N[judged_N], data.labels_N[judged_N] > 0.5)
    return found


def principal(x_ND: Floats, most: int, seed: int) -> tuple[Floats, Floats]:
    """Centred states on at most `most` principal axes (chosen without labels): float64[N, F], and the axes float64[D, F]."""
    if x_ND.shape[1] <= most:
        return x_ND, np.eye(x_ND.shape[1])
    axes_DF = PCA(min(most, len(x_ND)), svd_solver="randomized", random_state=seed).fit(x_ND).components_.T
    return x_ND @ axes_DF, axes_DF


def logprob_terms(features: StateFeatures) -> Floats:
    """float64[N, 2]: mean and least token logprob, nats."""
    return np.stack([features.mean_logprob, features.min_logprob], axis=1).astype(np.float64)
