"""The candidates of one problem after execution: which of them are the same program, and what each did on every input.

Programs run once (`run_programs`). They can be judged again and again afterwards (`rewards.judge.ranking`), for example after some of
them have been ruled out (`Programs.only`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from rewards.clusters.signatures import OutcomeMatrix, no_program
from rewards.outcomes.literals import argument_outcomes
from rewards.programs.normal_form import normal_form
from rewards.records import Execution, Outcome, Program


class Executor(Protocol):
    """What judging needs of the sandbox; `rewards.judge.determinism.Steady` is the one that votes are taken from.

    One that does not write values as the default settings do has an attribute `canonical`, the Canonicaliser that writes like it.
    """

    def run(self, programs: Iterable[Program]) -> Iterator[Execution]: ...


@dataclass(frozen=True, eq=False)
class Programs:
    """n candidates as d distinct programs on m inputs."""

    entry: str  # function that is called
    inputs: tuple[str, ...]  # length m, each a Python literal: the list of positional arguments
    codes: tuple[str | None, ...]  # length d; None: the candidates in which no program was found
    executions: tuple[Execution, ...]  # length d
    matrix: OutcomeMatrix  # [d, m]; a program's weight is the number of its candidates
    row_of: np.ndarray  # int64[n]: the row of each candidate
    places: np.ndarray  # int64[n]: the number of each candidate among those that were given at first
    logprobs: np.ndarray  # float64[n]: mean token logprob in nats, -inf where it is unknown; 0 for all where none was given

    def only(self, rows: np.ndarray) -> Programs:
        """The candidates whose programs are among some of the rows, bool[d]."""
        kept, remain = np.flatnonzero(rows), rows[self.row_of]
        return Programs(
            entry=self.entry,
            inputs=self.inputs,
            codes=tuple(self.codes[i] for i in kept),
            executions=tuple(self.executions[i] for i in kept),
            matrix=self.matrix.select_programs(kept),
            row_of=(np.cumsum(rows) - 1)[self.row_of[remain]],
            places=self.places[remain],
            logprobs=self.logprobs[remain],
        )

    @property
    def best_logprobs(self) -> np.ndarray:
        """float64[d]: the greatest mean logprob among the candidates of each program."""
        best = np.full(len(self.codes), -np.inf)
        np.maximum.at(best, self.row_of, self.logprobs)
        return best


def run_programs(
    programs: Sequence[str | None],
    entry: str,
    inputs: Sequence[str],
    executor: Executor,
    *,
    expected: Sequence[Outcome | None] | None = None,
    logprobs: Sequence[float] | None = None,
) -> Programs:
    """Execute n candidates (programs that define `entry`; None where an answer holds no program) on inputs.

    expected: outputs claimed by asserts. logprobs: mean token logprobs in nats. Programs that are the same but for layout are executed
    once. ValueError without candidates or inputs.
    """
    if not programs or not inputs:
        raise ValueError(f"nothing to judge: {len(programs)} candidates, {len(inputs)} inputs")
    rows: dict[str | None, int] = {}
    row_of = np.array([rows.setdefault(None if code is None else normal_form(code), len(rows)) for code in programs])
    first, weights = np.unique(row_of, return_index=True)[1], np.bincount(row_of)
    distinct = tuple(programs[i] for i in first)
    ran = iter(list(executor.run([Program(code, entry, tuple(inputs)) for code in distinct if code is not None])))
    executions = tuple(no_program(len(inputs)) if code is None else next(ran) for code in distinct)
    arguments = argument_outcomes(inputs, getattr(executor, "canonical", None))
    given = np.zeros(len(programs)) if logprobs is None else np.nan_to_num(np.asarray(logprobs, dtype=np.float64), nan=-np.inf)
    return Programs(
        entry=entry,
        inputs=tuple(inputs),
        codes=distinct,
        executions=executions,
        matrix=OutcomeMatrix.from_executions(executions, weights, arguments, expected),
        row_of=row_of,
        places=np.arange(len(programs)),
        logprobs=given,
    )
