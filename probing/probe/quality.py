"""The quality probe: a calibrated probability, from frozen hidden states, that an answer belongs to the right cluster.

It is fitted on consensus labels and learns from contrasts inside a problem only, since GRPO only ever compares samples of one group:
features and labels are centred within the problem (a pooled probe mostly learns which problems are hard). Length is regressed out. Layer,
pooling and penalty are chosen by cross-validation that keeps problems apart; every figure of the report is out-of-fold, with that choice
made anew inside each fold. What it has earned is one number in [0, 1], from its length-controlled AUROC within held-out problems.

Not trusted further than that: with too little data the probe says so and has no weight.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from probing.probe.auroc import auroc_within
from probing.probe.config import ProbeConfig
from probing.probe.contrasts import Bools, Floats, Ints, centred, length_terms, numbered, problem_folds, select, shuffled_within
from probing.probe.held_out import design, held_out_scores, logprob_terms, pooled_aurocs
from probing.probe.hidden_states import StateFeatures
from probing.probe.logistic import calibrate, calibration_error, fit_contrasts, out_of_fold, sigmoid

NAN = float("nan")


@dataclass(frozen=True)
class ProbeReport:
    """How good the probe is, out of fold. Figures are AUROCs unless said otherwise; NaN means not measured."""

    available: bool
    reason: str = ""  # why there is no probe; empty when there is one
    samples: int = 0  # with finite features and a label
    problems: int = 0
    informative: int = 0  # problems with both kinds of sample: the AUROCs within are averaged over these
    positive_share: float = NAN  # of the labels
    source: str = "margin"  # what it learnt from, see `label_sources`
    sources: dict[str, float] = field(default_factory=dict)  # AUROC within of each source that was tried, see `compare_targets`
    earned_weight: float = 0.0  # g in docs/method.md, in [0, 1]
    within: dict[str, float] = field(default_factory=dict)  # controlled, raw, states, length, mean_logprob, min_logprob
    within_se: float = NAN  # standard error of within["controlled"] over problems
    pooled: dict[str, float] = field(default_factory=dict)  # controlled, raw, length, mean_logprob: of a probe that is not centred
    null_mean: float = NAN  # AUROC within, the whole search repeated on labels shuffled inside problems
    null_sd: float = NAN
    calibration_error: float = NAN  # expected calibration error, ten equal-width bins, probabilities calibrated on the other folds
    layer: int = -1  # place among the model's hidden states, as in StateFeatures.layers
    pooling: str = ""
    c: float = NAN
    seconds: float = 0.0


@dataclass(frozen=True)
class Probe:
    """A fitted probe: linear in centred features, then a logistic calibration. Save and load without pickle."""

    report: ProbeReport
    place: tuple[int, int] = (0, 0)  # layer (place in StateFeatures.layers) and pooling that it reads
    state_weights: Floats = field(default_factory=lambda: np.zeros(0))  # [D]
    logprob_weights: Floats = field(default_factory=lambda: np.zeros(2))  # mean, least
    length_weights: Floats = field(default_factory=lambda: np.zeros(2))  # takes out what the others owe to length
    calibration: tuple[float, float] = (0.0, 0.0)  # slope >= 0 and intercept of the log-odds

    def evidence(self, features: StateFeatures) -> Floats:
        """float64[N] log-odds of each answer by itself, up to a constant of its problem; NaN where a feature is."""
        evidence_N = features.states[:, self.place[0], self.place[1]].astype(np.float64) @ self.state_weights
        evidence_N += logprob_terms(features) @ self.logprob_weights + length_terms(features.lengths) @ self.length_weights
        return np.where(np.isfinite(evidence_N), evidence_N, NAN)

    def probability(self, centred_evidence: Floats) -> Floats:
        """float64[N]: calibrated probability of being right, from evidence less its problem's mean; NaN without a probe or evidence."""
        if not self.report.available:
            return np.full(len(centred_evidence), NAN)
        slope, intercept = self.calibration
        return sigmoid(slope * centred_evidence + intercept)

    def score(self, features: StateFeatures, groups: npt.ArrayLike) -> Floats:
        """float64[N]: calibrated probability that each answer is right, centred with the answers given: pass whole problems."""
        if not self.report.available:
            return np.full(len(features.lengths), NAN)
        evidence_N, groups_N = self.evidence(features), numbered(groups)
        seen = np.isfinite(evidence_N)
        if seen.any():
            evidence_N[seen] = centred(evidence_N[seen, None], numbered(groups_N[seen]))[:, 0]
        return self.probability(evidence_N)

    def save(self, folder: Path) -> None:
        """Write `probe.npz` (weights) and `probe.json` (report) into an existing folder."""
        np.savez(
            folder / "probe.npz",
            place=np.array(self.place),
            state_weights=self.state_weights,
            logprob_weights=self.logprob_weights,
            length_weights=self.length_weights,
            calibration=np.array(self.calibration),
        )
        plain = _without(NAN, None, asdict(self.report))  # JSON has no NaN
        (folder / "probe.json").write_text(json.dumps(plain, indent=1, allow_nan=False) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Probe:
        """Read what `save` wrote. Raises OSError when it is not there, ValueError when it is not a probe."""
        report = ProbeReport(**_without(None, NAN, json.loads((folder / "probe.json").read_text())))
        with np.load(folder / "probe.npz", allow_pickle=False) as stored:
            return cls(
                report=report,
                place=(int(stored["place"][0]), int(stored["place"][1])),
                state_weights=stored["state_weights"],
                logprob_weights=stored["logprob_weights"],
                length_weights=stored["length_weights"],
                calibration=(float(stored["calibration"][0]), float(stored["calibration"][1])),
            )


def _without(old: float | None, new: float | None, fields: dict[str, Any]) -> dict[str, Any]:
    """The fields with one mark of what was not measured in the place of the other, inside nested fields too."""

    def swap(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: swap(item) for name, item in value.items()}
        return new if value is old or (old is NAN and value != value) else value

    return {name: swap(value) for name, value in fields.items()}


def earned_weight(auroc_within_controlled: float, null_mean: float, null_sd: float, config: ProbeConfig) -> float:
    """g in [0, 1]: 0 up to the floor (or two spreads above the null, if that is higher), 1 from `config.full`, straight in between.

    >>> [round(earned_weight(a, 0.5, 0.01, ProbeConfig(floor=0.6, full=0.8)), 2) for a in (0.55, 0.6, 0.7, 0.9)]
    [0.0, 0.0, 0.5, 1.0]
    """
    if not np.isfinite(auroc_within_controlled):
        return 0.0
    floor = max(config.floor, null_mean + 2 * null_sd) if np.isfinite(null_mean) else config.floor
    if auroc_within_controlled <= floor:
        return 0.0
    return float(min(1.0, (auroc_within_controlled - floor) / max(config.full - floor, 1e-9)))


def fit_probe(
    features: StateFeatures,
    labels: npt.ArrayLike,
    groups: npt.ArrayLike,
    config: ProbeConfig,
    seed: int,
    targets: npt.ArrayLike | None = None,
) -> Probe:
    """Fit a probe to consensus labels.

    Args: features of N answers; `labels` float[N] of 0 and 1, which judge it; `groups` [N], the problem of each; `targets` float[N] in
    [0, 1], which it learns from (default: the labels). NaN in either leaves an answer out of that, and is never counted as wrong.
    Data too poor for a probe (few problems with both kinds) gives a `Probe` whose report says why, with weight 0.
    Raises ValueError for lengths that differ or values out of range.
    """
    started = time.perf_counter()
    seen, labels_N, (targets_N,), groups_N = _checked(features, labels, [labels if targets is None else targets], groups)
    judged, learnt = _contrasts(labels_N, groups_N), _contrasts(targets_N, groups_N)
    if min(judged.sum(), learnt.sum()) >= config.min_problems:
        probe = _fit(features.take(seen), labels_N, targets_N, groups_N, judged, config, seed)
    else:
        reason = f"{min(judged.sum(), learnt.sum())} problems have both right and wrong samples; a probe needs {config.min_problems}"
        probe = Probe(ProbeReport(available=False, reason=reason))
    report = replace(
        probe.report,
        samples=int(np.isfinite(labels_N).sum()),
        problems=len(judged),
        informative=int(judged.sum()),
        positive_share=float(np.nanmean(labels_N)) if np.isfinite(labels_N).any() else NAN,
        seconds=time.perf_counter() - started,
    )
    return replace(probe, report=report)


def compare_targets(
    features: StateFeatures, labels: npt.ArrayLike, targets: Sequence[npt.ArrayLike], groups: npt.ArrayLike, config: ProbeConfig, seed: int
) -> list[float]:
    """For each of several targets, the length-controlled AUROC within held-out problems, on `labels`, of a probe that learns from them.

    By the search's stand-in for the logistic regression, which costs a small part of a whole `fit_probe`. NaN where the data are too poor.
    """
    seen, labels_N, targets_of, groups_N = _checked(features, labels, targets, groups)
    judged = _contrasts(labels_N, groups_N)
    enough = [min(judged.sum(), _contrasts(targets_N, groups_N).sum()) >= config.min_problems for targets_N in targets_of]
    if not any(enough):
        return [NAN] * len(targets_of)
    fold_N = problem_folds(groups_N, judged, min(config.folds, int(judged.sum())), np.random.default_rng(seed))
    data = design(features.take(seen), labels_N, labels_N, groups_N, fold_N, config.pca, seed)
    candidates = [np.concatenate([states, data.logprobs_N2], axis=1) for states in data.states]
    found = []
    for targets_N, usable in zip(targets_of, enough, strict=True):
        columns = targets_N[:, None], labels_N[:, None]
        found.append(select(candidates, data.basis_NZ, *columns, groups_N, fold_N, config.c_grid).achieved if usable else NAN)
    return found


def _checked(
    features: StateFeatures, labels: npt.ArrayLike, targets: Sequence[npt.ArrayLike], groups: npt.ArrayLike
) -> tuple[Bools, Floats, list[Floats], Ints]:
    """(answers with finite features and something known of them bool[N]; of those: labels, each of the targets, numbered groups)."""
    labels_N, targets_of = np.asarray(labels, dtype=np.float64), [np.asarray(t, dtype=np.float64) for t in targets]
    groups_N = np.asarray(groups)
    if not np.isin(labels_N[np.isfinite(labels_N)], (0.0, 1.0)).all():
        raise ValueError("labels must be 0, 1 or NaN")
    for targets_N in targets_of:
        sizes = len(features.lengths), len(labels_N), len(targets_N), len(groups_N)
        if len(set(sizes)) > 1:
            raise ValueError("{} answers but {} labels, {} targets, {} groups".format(*sizes))
        if (np.abs(targets_N[np.isfinite(targets_N)] - 0.5) > 0.5).any():
            raise ValueError("targets must lie in [0, 1] or be NaN")
    seen = features.finite() & np.any([np.isfinite(values) for values in (labels_N, *targets_of)], axis=0)
    return seen, labels_N[seen], [targets_N[seen] for targets_N in targets_of], numbered(groups_N[seen])


def _contrasts(values_N: Floats, groups_N: Ints) -> Bools:
    """bool[G]: groups whose known values are not all the same."""
    if not len(groups_N):
        return np.zeros(0, dtype=bool)
    known = np.isfinite(values_N)
    low, high = np.full(groups_N.max() + 1, np.inf), np.full(groups_N.max() + 1, -np.inf)
    np.minimum.at(low, groups_N[known], values_N[known])
    np.maximum.at(high, groups_N[known], values_N[known])
    return high > low


def _fit(
    features: StateFeatures, labels_N: Floats, targets_N: Floats, groups_N: Ints, informative_G: Bools, config: ProbeConfig, seed: int
) -> Probe:
    """The search, the out-of-fold figures and the final fit, on clean data with enough contrasts."""
    rng = np.random.default_rng(seed)
    fold_N = problem_folds(groups_N, informative_G, min(config.folds, int(informative_G.sum())), rng)
    learnt_N, judged_N = np.isfinite(targets_N), np.isfinite(labels_N)
    permuted_NK = shuffled_within(groups_N * 4 + 2 * learnt_N + judged_N, config.null_shuffles, rng)  # what is missing stays where it is
    data = design(features, labels_N, targets_N, groups_N, fold_N, config.pca, seed)
    candidates = [np.concatenate([states, data.logprobs_N2], axis=1) for states in data.states]
    chosen = select(candidates, data.basis_NZ, targets_N[permuted_NK], labels_N[permuted_NK], groups_N, fold_N, config.c_grid)
    choices = [(place, config.c_grid[c]) for place, c in chosen.per_fold]
    right_N, judged_groups = labels_N[judged_N] > 0.5, groups_N[judged_N]
    scores = {name: scores_N[judged_N] for name, scores_N in held_out_scores(data, choices).items()}
    within = {name: auroc_within(scores_N, right_N, judged_groups) for name, scores_N in scores.items()}
    pooled_data = design(features, labels_N, targets_N, groups_N, fold_N, config.pca, seed, pooled=True)

    place, c = chosen.final[0], config.c_grid[chosen.final[1]]
    n_folds, probability_N = len(choices), np.empty(len(right_N))
    # Calibrated at the final choice: log-odds of fits with other penalties lie on other scales.
    evidence_N = out_of_fold([candidates[place]] * n_folds, [c] * n_folds, data.basis_NZ, targets_N, groups_N, fold_N, 2)[judged_N]
    for fold in range(n_folds):
        test = fold_N[judged_N] == fold
        slope, intercept = calibrate(evidence_N[~test], right_N[~test])
        probability_N[test] = sigmoid(slope * evidence_N[test] + intercept)

    weights = fit_contrasts(candidates[place][learnt_N], data.basis_NZ[learnt_N], targets_N[learnt_N], numbered(groups_N[learnt_N]), c, 2)
    n_basis = data.basis_NZ.shape[1]
    null_mean, null_sd = float(chosen.null.mean()), float(chosen.null.std(ddof=1))
    report = ProbeReport(
        available=True,
        earned_weight=earned_weight(within["controlled"][0], null_mean, null_sd, config),
        within={name: mean for name, (mean, _) in within.items()},
        within_se=within["controlled"][1],
        pooled=pooled_aurocs(pooled_data, choices),
        null_mean=null_mean,
        null_sd=null_sd,
        calibration_error=calibration_error(probability_N, right_N),
        layer=features.layers[data.places[place][0]],
        pooling=features.poolings[data.places[place][1]],
        c=c,
    )
    return Probe(
        report=report,
        place=data.places[place],
        state_weights=data.axes[place] @ weights[n_basis:-2],
        logprob_weights=weights[-2:],
        length_weights=weights[:n_basis],
        calibration=calibrate(evidence_N, right_N),
    )
