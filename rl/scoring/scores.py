"""What the scorer says of a batch of rollouts."""

from __future__ import annotations

from dataclasses import dataclass

from rewards.mixed import RewardBreakdown
from rewards.records import Execution


@dataclass(frozen=True)
class RolloutScore:
    """One rollout, judged. `reward` holds every part; its total is None for a missing one."""

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
