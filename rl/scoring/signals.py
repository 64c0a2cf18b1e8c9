"""What a group's rollouts are scored by before the probe is mixed in: the vote, or in an ablation chance."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from rewards.records import Execution
from rewards.rules.base import Rule
from rl.scoring.tasks import GrpoTask


class Signal(Protocol):
    """What stands in the place of "consensus" in the reward: the vote itself, or an ablation's substitute."""

    def scores(self, task: GrpoTask, executions: Sequence[Execution], key: str) -> np.ndarray:
        """float64[n] in [0, 1] for the n rollouts of one group, NaN where missing. `key` names step and group."""
        ...


@dataclass(frozen=True)
class ConsensusSignal:
    """The label-free reward: the configured rule, whose anchor says whether bank, group or both vote."""

    rule: Rule

    def scores(self, task: GrpoTask, executions: Sequence[Execution], key: str) -> np.ndarray:
        return self.rule.scores(task.matrix(executions), task.bank)


@dataclass(frozen=True)
class RandomSignal:
    """The ablation arm that knows nothing: uniform in [0, 1), repeatable; missing stays missing."""

    seed: int

    def scores(self, task: GrpoTask, executions: Sequence[Execution], key: str) -> np.ndarray:
        draw = random.Random(f"{self.seed}/{key}")
        values = np.array([draw.random() for _ in executions])
        return np.where([e.missing for e in executions], np.nan, values)


def make_signal(reward: Literal["label_free", "random"], rule: Rule, seed: int) -> Signal:
    """The signal of a run without references. That of the oracle arm is made where references may be seen (`rl.labels.audit`)."""
    return ConsensusSignal(rule) if reward == "label_free" else RandomSignal(seed)
