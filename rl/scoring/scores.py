"""What the scorer says of a batch of rollouts, and its figures that need no labels: for the log, and for the guards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from rewards.clusters.clustering import cluster
from rewards.mixed import RewardBreakdown
from rewards.records import Execution, Kind
from rl.scoring.tasks import GrpoTask


@dataclass(frozen=True)
class RolloutScore:
    """One rollout, judged. `reward` holds every part; its total is None for one that is missing or contested."""

    problem_id: str
    has_code: bool  # a program was found in the completion
    execution: Execution
    reward: RewardBreakdown
    n_tokens: int


@dataclass(frozen=True)
class BatchScores:
    """A whole step's rollouts over all ranks, group after group, and figures for the log."""

    scores: list[RolloutScore]
    metrics: dict[str, float]


def probe_concordance(rows: Sequence[RolloutScore]) -> float | None:
    """Share of a group's pairs with different consensus that the probe orders alike (ties count half); None without such pairs."""
    known = [(r.reward.consensus, r.reward.probe) for r in rows if r.reward.consensus is not None and r.reward.probe is not None]
    if not known:
        return None
    consensus, probe = np.array(known).T
    above = consensus[:, None] > consensus[None, :] + 1e-9
    return float(((np.sign(probe[:, None] - probe[None, :]) + 1) / 2)[above].mean()) if above.any() else None


def batch_figures(groups: Sequence[tuple[GrpoTask, Sequence[RolloutScore]]], gate: float) -> dict[str, float]:
    """Means of the parts, behaviours a group, counts of every outcome kind.

    Shares lie in [0, 1]; a figure with nothing to average is NaN.
    """
    scores = [score for _, rows in groups for score in rows]
    kinds = Counter(outcome.kind for score in scores for outcome in score.execution.outcomes)
    clusterings = [cluster(task.matrix([s.execution for s in rows]), tau=1) for task, rows in groups]

    def mean(values: Iterable[float | None]) -> float:
        known = [value for value in values if value is not None]
        return float(np.mean(known)) if known else float("nan")

    return {
        "consensus": mean(s.reward.consensus for s in scores),
        "quality": mean(s.reward.probe for s in scores),
        "quality_gate": gate,
        "probe_concordance": mean(probe_concordance(rows) for _, rows in groups),
        "flat_groups": mean(float(rows[0].reward.flat) for _, rows in groups),
        "distinct_behaviours": mean(float(c.n_clusters) for c in clusterings),
        "majority_share": mean(c.top_share for c in clusterings),
        "behavioural_entropy": mean(c.entropy for c in clusterings),
        "tokens": mean(float(s.n_tokens) for s in scores),
        "missing": float(sum(s.reward.missing for s in scores)),
        "no_program": float(sum(not s.has_code for s in scores)),
        **{f"outcomes/{kind.value}": float(kinds.get(kind, 0)) for kind in Kind},
    }
