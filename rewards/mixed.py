"""The mixed reward: R(r) = w_c · consensus(r) + w_q · g · probe(r), each part normalised within its group.

The symbols are those of docs/method.md, "The quantities".

Normalisation is TRL's for `multi_objective_aggregation="normalize_then_sum"`: (x − mean) / (std + 1e-4), std with n − 1, missing left out.
It is done here and not there because of two rules that TRL has no place for: a part whose scores are all equal gives 0 and not noise, and
a group whose consensus scores are all equal gets no gradient from the probe alone. It needs whole groups: gather across ranks first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import Field, model_validator

from probing.section import Section

STD_EPSILON = 1e-4  # TRL's
FLAT = 1e-6  # a standard deviation below this is no contrast at all


class MixedConfig(Section):
    """Weights of the parts of the reward."""

    w_consensus: float = Field(1.0, ge=0, description="weight of execution consensus (w_c)")
    w_quality: float = Field(
        0.0,
        ge=0,
        description="weight of the quality probe (w_q), before it is multiplied by the weight g that it earned; 0: it is fitted and "
        "reported, not trained on",
    )
    rarity: float = Field(
        0.0, ge=0, lt=1, description="share of the vote's score that a group's likeliest rollout loses; the others lose less by rank"
    )
    by_margin: float = Field(0.0, ge=0, description="power of the vote's margin that scales a problem's rewards; 0: all alike")
    contest: float = Field(
        0.0,
        ge=0,
        le=1,
        description="a cluster of the bank with at least this share of the winner's votes may be right as well: rollouts that behave like "
        "it are left out of the update (label-free reward only); 0: no cluster is",
    )

    @model_validator(mode="after")
    def _something_counts(self) -> MixedConfig:
        if self.w_consensus == 0 and self.w_quality == 0:
            raise ValueError("w_consensus and w_quality are both 0: there would be no reward at all")
        return self


@dataclass(frozen=True, slots=True)
class RewardBreakdown:
    """How one sample's reward came about. None means missing, never zero."""

    group: int  # id of the group (problem)
    consensus: float | None  # the rule's score, in [0, 1]
    consensus_normed: float | None  # the same, less what `rarity` takes, normalised within the group
    probe: float | None  # calibrated probability, in [0, 1]; None also in flat groups, where it has no weight
    probe_normed: float | None  # the same, normalised within the group; 0 where the group may not learn from the probe
    gate: float  # g, the weight that the probe earned on held-out problems, in [0, 1]
    flat: bool  # the group's consensus scores are all equal (unanimous, or nobody agrees), those of contested samples aside
    total: float | None  # R(r); None leaves the sample out of the update
    contested: bool = False  # left out because its cluster is not clearly beaten (`contest`); what was scored is still here

    @property
    def missing(self) -> bool:
        """Whether a part that counts could not be had: our failure, where a contested sample is left out on purpose."""
        return self.total is None and not self.contested


def normalise_within(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """float64[n]: (x − mean) / (std + 1e-4) within each group over what is present; 0 in groups with no spread; NaN stays NaN."""
    normed = np.full(len(values), np.nan)
    for group in np.unique(groups):
        here = np.flatnonzero((groups == group) & ~np.isnan(values))
        present = values[here]
        std = present.std(ddof=1) if len(present) > 1 else 0.0
        normed[here] = (present - present.mean()) / (std + STD_EPSILON) if std > FLAT else 0.0
    return normed


def flat_groups(consensus: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """bool[n]: samples of groups whose consensus scores are all equal, or that have fewer than two; NaN is left out."""
    flat = np.zeros(len(consensus), dtype=bool)
    for group in np.unique(groups):
        here = groups == group
        present = consensus[here & ~np.isnan(consensus)]
        flat[here] = len(present) < 2 or bool(present.std(ddof=1) <= FLAT)
    return flat


def centred_within(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """float64[n]: values less their group's mean over what is present; NaN stays NaN."""
    centred = np.full(len(values), np.nan)
    for group in np.unique(groups):
        here = np.flatnonzero((groups == group) & ~np.isnan(values))
        centred[here] = values[here] - values[here].mean() if len(here) else 0.0
    return centred


def less_the_likely(scores: np.ndarray, logprobs: np.ndarray, groups: np.ndarray, rarity: float) -> np.ndarray:
    """float64[n]: each score times 1 − rarity · (share of its group that is at most as likely), so that of two programs with equally
    many votes the rarer is worth more (the "unlikeliness reward" of He et al., arXiv 2506.02355, with votes in the place of a verifier).

    logprobs: float[n], nats, of whole rollouts under the policy that drew them. Rollouts alike in logprob share their mean rank; a logprob
    that is not finite is unknown, and counts as alike to every other.
    """
    weighed = scores.copy()
    known = np.where(np.isfinite(logprobs), logprobs, np.nan)
    for group in np.unique(groups):
        here = np.flatnonzero(groups == group)
        above = np.nansum(np.sign(known[here, None] - known[None, here]), axis=1)  # rollouts less likely, minus those likelier
        weighed[here] *= 1 - rarity * (above + len(here) + 1) / 2 / len(here)
    return weighed


def mix(
    consensus: Sequence[float] | np.ndarray,
    probe: Sequence[float] | np.ndarray | None,
    groups: Sequence[int] | np.ndarray,
    gate: float,
    config: MixedConfig,
    weights: Sequence[float] | np.ndarray | None = None,
    logprobs: Sequence[float] | np.ndarray | None = None,
    contested: Sequence[bool] | np.ndarray | None = None,
) -> list[RewardBreakdown]:
    """One record a sample, in order.

    consensus: float[n], NaN = missing. probe: float[n], NaN = missing, or None when there is no probe (then gate must be 0).
    groups: int[n], samples of one problem share an id. gate: g in [0, 1]. A part with no weight (w_c = 0, w_q · g = 0, the probe in a flat
    group) may be missing; a missing part that counts makes the total None. weights: float[n], scale the normalised parts (None: 1
    each). logprobs: float[n], nats a rollout, which `config.rarity` needs. contested: bool[n], samples that are left out of their group's
    mean and deviation, and whose total is None (None: none is). Raises ValueError on lengths that differ, a gate outside [0, 1], or rarity
    without logprobs.
    """
    scores = np.asarray(consensus, dtype=np.float64)
    ids = np.asarray(groups)
    quality = np.full(len(scores), np.nan) if probe is None else np.asarray(probe, dtype=np.float64)
    left_out = np.zeros(len(scores), dtype=bool) if contested is None else np.asarray(contested, dtype=bool)
    if not len(scores) == len(ids) == len(quality) == len(left_out):
        raise ValueError(
            f"{len(scores)} consensus scores, {len(quality)} probe scores, {len(ids)} group ids and {len(left_out)} marks of contested "
            "samples must be equally many"
        )
    if not 0.0 <= gate <= 1.0:
        raise ValueError(f"the probe's gate must lie in [0, 1], got {gate}")
    if probe is None and gate > 0:
        raise ValueError(f"gate is {gate}, but there are no probe scores")
    if config.rarity and logprobs is None:
        raise ValueError(f"rarity is {config.rarity}, but there are no logprobs")
    heard = np.where(left_out, np.nan, scores)
    weighed = less_the_likely(heard, np.asarray(logprobs, dtype=np.float64), ids, config.rarity) if config.rarity else heard
    consensus_normed, probe_normed = normalise_within(weighed, ids), normalise_within(np.where(left_out, np.nan, quality), ids)
    flat = flat_groups(heard, ids)
    if probe is not None:
        probe_normed = np.where(flat & ~left_out, 0.0, probe_normed)
    if weights is not None:
        consensus_normed, probe_normed = (part * np.asarray(weights, dtype=np.float64) for part in (consensus_normed, probe_normed))
    w_c, w_q = config.w_consensus, config.w_quality * gate
    total = np.zeros(len(scores))
    if w_c > 0:
        total = total + w_c * consensus_normed
    if w_q > 0:
        total = total + w_q * probe_normed
    total = np.where(left_out, np.nan, total)

    def known(value: float) -> float | None:
        return None if np.isnan(value) else float(value)

    return [
        RewardBreakdown(
            group=int(ids[i]),
            consensus=known(scores[i]),
            consensus_normed=known(consensus_normed[i]),
            probe=known(quality[i]),
            probe_normed=known(probe_normed[i]),
            gate=float(gate),
            flat=bool(flat[i]),
            total=known(total[i]),
            contested=bool(left_out[i]),
        )
        for i in range(len(scores))
    ]
