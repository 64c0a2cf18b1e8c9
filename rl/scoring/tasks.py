"""What training needs to know of a problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rewards.clusters.signatures import OutcomeMatrix
from rewards.records import Execution, Outcome


@dataclass(frozen=True, eq=False)
class GrpoTask:
    """One problem to train on. It holds no reference: nothing that a label-free run may not know."""

    problem_id: str  # unique within the run
    prompt: str  # rendered through the chat template
    entry: str  # name of the function to write
    inputs: tuple[str, ...]  # m Python literals, each a list of positional arguments
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
