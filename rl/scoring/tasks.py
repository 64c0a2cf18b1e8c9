"""What training knows of a problem, and what scores its rollouts before the probe is mixed in: the vote, or in an ablation chance."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from rewards.clusters.signatures import OutcomeMatrix
from rewards.records import Execution, Outcome
from rewards.rules.base import Rule


@dataclass(frozen=True, eq=False)
class GrpoTask:
    """One problem to train on. It holds no reference: nothing that a label-free run may not know."""

    problem_id: str  # unique within the run
    prompt: str  # rendered through the chat template
    entry: str  # name of the function to write, or probing.records.STDIN
    inputs: tuple[str, ...]  # m Python literals, each a list of positional arguments, or a text for standard input
    bank: OutcomeMatrix | None = None  # outcomes of stage 5's candidates on the same m inputs; None: the group votes alone
    known: Mapping[str, Execution] = field(
        default_factory=dict
    )  # executions of the bank's programs by `normal_form`, to spare running them again
    arguments: tuple[tuple[Outcome, ...], ...] | None = None  # canonical arguments of each input, to find echoes
    expected: tuple[Outcome | None, ...] | None = None  # outputs claimed by model-written asserts (rules codet and passfail)
    prefill: str = ""  # the start of the answer that the prompt ends with; programs are read from it and the completion
    stop: tuple[str, ...] = ()  # strings that end an answer
    given: str = ""  # code that the prompt gave
    weight: float = 1.0  # how much its rewards count beside those of other problems

    def matrix(self, executions: Sequence[Execution]) -> OutcomeMatrix:
        """Outcome matrix of some rollouts of this task, int32[n, m]."""
        return OutcomeMatrix.from_executions(executions, None, self.arguments, self.expected)


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
        """See `Signal.scores`."""
        return self.rule.scores(task.matrix(executions), task.bank)


@dataclass(frozen=True)
class RandomSignal:
    """The random arm of the ablation: uniform in [0, 1), repeatable; missing stays missing."""

    seed: int

    def scores(self, task: GrpoTask, executions: Sequence[Execution], key: str) -> np.ndarray:
        """See `Signal.scores`."""
        draw = random.Random(f"{self.seed}/{key}")
        values = np.array([draw.random() for _ in executions])
        return np.where([e.missing for e in executions], np.nan, values)


def make_signal(reward: Literal["label_free", "random"], rule: Rule, seed: int) -> Signal:
    """The signal of a run without references. That of the oracle arm is made where references may be seen (`rl.labels.audit`)."""
    return ConsensusSignal(rule) if reward == "label_free" else RandomSignal(seed)
