"""Scores of answers: read off without a fit, or from probes that saw nothing of the answer's own task.

Every fit sees contrasts inside tasks alone (`probing.probe.contrasts`): features and targets are differences from the task's mean. Tasks
lie in folds. A fold is scored by a probe of the other folds, whose layer, pooling and penalty were chosen on those too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from threadpoolctl import threadpool_limits

from probing.probe.contrasts import Bools, Floats, Ints, centred, length_terms, numbered, problem_folds, select
from probing.probe.held_out import logprob_terms, principal
from probing.probe.hidden_states import LAST, StateFeatures
from probing.probe.logistic import fit_contrasts, out_of_fold

LEAST_VOTES, LEAST_MARGIN = 2, 0.1  # of a winning cluster whose labels are learnt from
POOLING_NAMES = {"end": "last token of the code", "mean": "mean over the code", LAST: "end of the answer"}

MEAN_LOGPROB = "mean logprob"
STATES, PAIRS = "states", "states, contrast pairs"
WITH_LOGPROBS, CONTROLS = "states + logprobs", "logprobs + length"
WITH_CONTROLS, RESIDUAL = "states + logprobs + length", "states, logprobs and length regressed out"


@dataclass(frozen=True)
class FitSettings:
    folds: int = 5
    pca: int = 256  # most principal axes of one layer and pooling
    c_grid: tuple[float, ...] = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)


@dataclass(frozen=True)
class Answers:
    """N answers to G tasks, with what votes and references say of them."""

    features: StateFeatures
    groups: Ints  # [N], task, 0..G-1
    voted: Floats  # [N], 1 in the winning cluster, else 0; NaN without a clear winner or a verdict
    share: Floats  # [N], share of the vote of the answer's own cluster, 0 without a vote
    right: Floats  # [N], 1 or 0 by the references, NaN without a verdict


def votes(clusters: Sequence[int], passed: Sequence[bool | None]) -> tuple[Floats, Floats]:
    """What a probe may learn of a task's n answers: winner or not, float64[n], and the share of the vote of each one's cluster, float64[n].

    clusters: of equal outputs, the largest is 0, -1 has no vote. passed: looked at for None alone, where our infrastructure failed.
    """
    labels_N, missing_N = np.asarray(clusters), np.array([verdict is None for verdict in passed])
    counts = np.bincount(labels_N[labels_N >= 0], minlength=2)
    n_valid = max(int(counts.sum()), 1)
    clear = counts[0] >= LEAST_VOTES and (counts[0] - counts[1:].max()) / n_valid >= LEAST_MARGIN
    winner_N = (labels_N == 0).astype(np.float64) if clear else np.full(len(labels_N), np.nan)
    share_N = np.where(labels_N >= 0, counts[labels_N] / n_valid, 0.0)
    return np.where(missing_N, np.nan, winner_N), np.where(missing_N, np.nan, share_N)


def bears(clusters: Sequence[int], passed: Sequence[bool | None], read: int) -> bool:
    """Whether the states of a task's first `read` answers enter any figure: some pass and some fail, or the vote is for some of them alone.
    Other tasks are never learnt from and have no AUROC.
    """
    known = [verdict for verdict in passed[:read] if verdict is not None]
    winner_n = votes(clusters, passed)[0][:read]
    return len(set(known)) > 1 or len(set(winner_n[np.isfinite(winner_n)].tolist())) > 1


def contrasts(labels_N: Floats, groups_N: Ints) -> Bools:
    """bool[G]: tasks with both kinds of answer among those whose label is known."""
    known = [labels_N[(groups_N == group) & np.isfinite(labels_N)] for group in range(int(groups_N.max()) + 1)]
    return np.array([len(np.unique(of_task)) > 1 for of_task in known])


def bare_scores(answers: Answers) -> dict[str, Floats]:
    """float64[N] of each score that nothing was fitted for. Lengths count from short to long: short answers score high."""
    f = answers.features
    mean_N = f.mean_logprob.astype(np.float64)
    return {
        MEAN_LOGPROB: mean_N,
        "sum logprob": mean_N * f.lengths,
        "least logprob": f.min_logprob.astype(np.float64),
        "length, the shorter the better": -f.lengths.astype(np.float64),
        "share of the vote": answers.share,
    }


class Fitted:
    """Cross-fitted scores on one set of targets. Make it once for several splits: the principal axes do not depend on them."""

    def __init__(self, answers: Answers, settings: FitSettings, seed: int) -> None:
        f, self.groups, self.settings, self.seed = answers.features, answers.groups, settings, seed
        self.places = [(layer, pooling) for layer in range(len(f.layers)) for pooling in range(len(f.poolings))]
        self.names = [f"{STATES}, layer {f.layers[layer]}, {POOLING_NAMES[f.poolings[pooling]]}" for layer, pooling in self.places]
        self.states = [principal(centred(f.states[:, i, j], self.groups), settings.pca, seed)[0] for i, j in self.places]
        self.logprobs = centred(logprob_terms(f), self.groups)
        total_N1 = (f.mean_logprob * f.lengths).astype(np.float64)[:, None]
        self.controls = centred(np.concatenate([logprob_terms(f), total_N1, length_terms(f.lengths)], axis=1), self.groups)

    @threadpool_limits.wrap(limits=1)  # many small products: threads gain nothing
    def scores(self, targets_N: Floats, split: int) -> dict[str, Floats]:
        """float64[N] by name: log-odds out of fold. targets_N: 1, 0, or NaN: not learnt from. split: another one cuts other folds."""
        informative_G = contrasts(targets_N, self.groups)
        folds = min(self.settings.folds, int(informative_G.sum()))
        fold_N = problem_folds(self.groups, informative_G, folds, np.random.default_rng([self.seed, split]))
        none = self.controls[:, :0]
        found = {name: self._fit([x], none, targets_N, fold_N, 0)[0] for name, x in zip(self.names, self.states, strict=True)}
        found[STATES], choices = self._fit(self.states, none, targets_N, fold_N, 0)
        found[PAIRS] = self._fit_pairs(choices, targets_N, fold_N)
        found[WITH_LOGPROBS], _ = self._fit(self._beside(self.logprobs), none, targets_N, fold_N, self.logprobs.shape[1])
        found[CONTROLS], _ = self._fit([self.controls], none, targets_N, fold_N, self.controls.shape[1])
        found[WITH_CONTROLS], _ = self._fit(self._beside(self.controls), none, targets_N, fold_N, self.controls.shape[1])
        found[RESIDUAL], _ = self._fit(self.states, self.controls, targets_N, fold_N, 0)
        return found

    def _beside(self, others_NF: Floats) -> list[Floats]:
        return [np.concatenate([x, others_NF], axis=1) for x in self.states]

    def _fit(
        self, candidates: list[Floats], basis_NZ: Floats, targets_N: Floats, fold_N: Ints, free: int
    ) -> tuple[Floats, list[tuple[int, float]]]:
        """Scores, and the (candidate, C) of each fold, chosen without it. free: last columns of a candidate that feel no penalty."""
        column, grid = targets_N[:, None], self.settings.c_grid
        chosen = select(candidates, basis_NZ, column, column, self.groups, fold_N, grid, free).per_fold
        choices = [(place, grid[c]) for place, c in chosen]
        features, cs = [candidates[place] for place, _ in choices], [c for _, c in choices]
        return out_of_fold(features, cs, basis_NZ, targets_N, self.groups, fold_N, free), choices

    def _fit_pairs(self, choices: list[tuple[int, float]], targets_N: Floats, fold_N: Ints) -> Floats:
        """Scores of logistic regressions on differences: every right answer less every wrong one of its task, in both directions."""
        scores_N = np.empty(len(targets_N))
        for fold, (place, c) in enumerate(choices):
            x_NF, train = self.states[place], (fold_N != fold) & np.isfinite(targets_N)
            right, wrong = pairs_of(targets_N, self.groups, train)
            n = len(right)
            half_PF = (x_NF[right] - x_NF[wrong]) / 2
            # a pair is a group of two: its mean is 0. C goes by the sum of weights, which is that of the fit on answers times P / before
            before = sum(2 * t.mean() * (1 - t.mean()) * len(t) for t in _by_task(targets_N, self.groups, train))
            pair = np.tile(np.arange(n), 2)
            targets = np.repeat([1.0, 0.0], n)
            both_PF = np.concatenate([half_PF, -half_PF])
            weights_F = fit_contrasts(both_PF, both_PF[:, :0], targets, pair, c * before / n, 0)
            scores_N[fold_N == fold] = x_NF[fold_N == fold] @ weights_F
        return scores_N


def pairs_of(targets_N: Floats, groups_N: Ints, among_N: Bools) -> tuple[Ints, Ints]:
    """int64[P] twice: places of the right and the wrong answer of every pair inside a task, of the answers in `among_N`."""
    found: list[tuple[int, int]] = []
    for group in np.unique(groups_N[among_N]):
        for i, j in combinations(np.flatnonzero((groups_N == group) & among_N), 2):
            if targets_N[i] != targets_N[j]:
                found.append((i, j) if targets_N[i] > targets_N[j] else (j, i))
    pairs_P2 = np.array(found, dtype=np.int64).reshape(-1, 2)
    return pairs_P2[:, 0], pairs_P2[:, 1]


def _by_task(targets_N: Floats, groups_N: Ints, among_N: Bools) -> list[Floats]:
    groups = numbered(groups_N[among_N])
    return [targets_N[among_N][groups == group] for group in range(int(groups.max()) + 1)]
