"""The vote on a problem's candidates, and how it changes with what is known of single inputs.

A `Vote` holds the candidates that are left, and their ranking (`rewards.judge.ranking`). What the statement's examples or a person say
of an input rules candidates out (`Vote.with_examples`, `Vote.rule_out`); the others are judged again.
"""

from __future__ import annotations

import ast
import cmath
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from probing.records import STDIN
from rewards.clusters.inputs import InputsConfig
from rewards.judge.programs import Executor, Programs
from rewards.judge.ranking import Ranking, rank_programs
from rewards.records import Execution, Kind, Outcome
from rewards.rules.consensus import ConsensusConfig
from rl.grading.values import Undecodable, decode
from rl.solve.statement import Example

MUTANTS = 20  # of the winner, that the report on the inputs is measured with


@dataclass(frozen=True)
class Known:
    """What somebody said of one input, and what followed."""

    input: str  # Python literal: the list of positional arguments, or a program's input text
    said: str  # the value, or what it is not, in words
    by: Literal["statement", "person"]
    ruled_out: int  # candidates that it ruled out, of those that were left


@dataclass(frozen=True)
class InputQuestion:
    """An input, and what the candidates return there."""

    column: int  # of the programs' inputs
    input: str
    options: tuple[tuple[Outcome, int], ...]  # what candidates with a vote return there, and how many of them, the most frequent first

    def rank(self) -> tuple[float, int]:
        """The less, the better."""
        n = sum(count for _, count in self.options)
        return round(sum(count / n * math.log(count / n) for _, count in self.options), 9), len(self.input)


@dataclass(frozen=True, eq=False)
class Vote:
    """Candidates with their ranking. Immutable: `with_examples` and `rule_out` give another one."""

    programs: Programs
    ranking: Ranking
    executor: Executor
    consensus: ConsensusConfig
    selection: InputsConfig
    known: tuple[Known, ...] = ()

    @classmethod
    def of(cls, programs: Programs, executor: Executor, consensus: ConsensusConfig, selection: InputsConfig) -> Vote:
        """The vote of all candidates."""
        return cls(programs, rank_programs(programs, executor, consensus, selection, n_mutants=MUTANTS), executor, consensus, selection)

    @property
    def winner(self) -> int | None:
        """The row of the program to be handed out: the winning cluster's representative, else the first of the ranking; None where no
        candidate has a vote.
        """
        found = self.ranking.judgement.clustering
        if found.top >= 0:
            return int(found.representatives[found.top])
        if not found.n_valid:
            return None
        return int(next(self.programs.row_of[i] for i in self.ranking.order if self.ranking.no_vote[i] is None))

    @property
    def is_won(self) -> bool:
        """Whether a cluster wins."""
        return self.ranking.judgement.clustering.top >= 0

    @property
    def code(self) -> str | None:
        """The program to be handed out."""
        return None if self.winner is None else self.programs.codes[self.winner]

    @property
    def _mute(self) -> np.ndarray:
        """bool[d]: programs without a value anywhere, and those that our infrastructure failed on. They have no vote, and they stay, to be
        counted.
        """
        return self.programs.matrix.missing | (self.programs.matrix.value_share == 0)

    def rule_out(self, column: int, keep: np.ndarray, said: str) -> Vote | None:
        """The vote of the candidates whose programs are kept by a person, bool[d]; None where none of them could have a vote."""
        mute = self._mute
        if not (keep & ~mute).any():
            return None
        keep = keep | mute
        known = Known(self.programs.inputs[column], said, "person", self._count(~keep))
        # What a person confirmed needs no second candidate that says the same.
        return self._of(keep, [known], self.consensus.model_copy(update={"tau": 1}))

    def _of(self, keep: np.ndarray, known: Sequence[Known], consensus: ConsensusConfig) -> Vote:
        left = self.programs.only(keep)
        ranking = rank_programs(left, self.executor, consensus, self.selection, n_mutants=MUTANTS)
        return Vote(left, ranking, self.executor, consensus, self.selection, (*self.known, *known))

    def _count(self, rows: np.ndarray) -> int:
        """The number of candidates of some programs, bool[d]."""
        return int(rows[self.programs.row_of].sum())

    def outcomes_at(self, column: int) -> list[Outcome]:
        """What each program gave on one input, length d."""
        return [execution.outcomes[column] for execution in self.programs.executions]

    def with_examples(self, examples: Sequence[Example]) -> tuple[Vote, list[Example], list[Example]]:
        """The vote of the candidates that meet the most of a statement's examples; the examples that no candidate meets, which rule nobody
        out; and those in conflict: candidates meet them, but not all that are left, since none meets all. The order does not matter.
        """
        voters = ~self._mute
        met: list[tuple[Example, np.ndarray]] = []  # with the programs that meet it, bool[d]
        unmet: list[Example] = []
        for example in examples:
            if not example.known or example.input not in self.programs.inputs:
                continue
            outcomes = self.outcomes_at(self.programs.inputs.index(example.input))
            meets = voters & [returns(outcome, example.value) for outcome in outcomes]
            if meets.any():
                met.append((example, meets))
            else:
                unmet.append(example)
        if not met:
            return self, unmet, []
        counts = np.sum([meets for _, meets in met], axis=0)
        best = voters & (counts == counts.max())
        known, left = [], voters
        for example, meets in met:
            after = left & (meets | best)
            known.append(Known(example.input, repr(example.value), "statement", self._count(left & ~after)))
            left = after
        conflicting = [example for example, meets in met if not meets[best].all()]
        return self._of(~voters | best, known, self.consensus), unmet, conflicting

    def question(self, asked: Sequence[int]) -> InputQuestion | None:
        """The input that separates the two largest clusters and splits the candidates best, of those that are not asked yet; None: there is
        none, or only one cluster.
        """
        judgement = self.ranking.judgement
        clustering, matrix = judgement.clustering, judgement.matrix
        if clustering.n_clusters < 2:
            return None
        first, second = (matrix.codes[clustering.representatives[k]] for k in range(2))
        parting = {column for place, column in enumerate(judgement.kept.tolist()) if first[place] != second[place]}
        return next((q for q in self.questions() if q.column in parting and q.column not in asked), None)

    def questions(self) -> list[InputQuestion]:
        """The kept inputs, those that split the candidates best in front.

        Best is the greatest entropy of the split of all candidates with a vote; of equals the shortest text, which a person reads fastest.
        """
        return sorted((self._question(column) for column in self.ranking.judgement.kept.tolist()), key=InputQuestion.rank)

    def _question(self, column: int) -> InputQuestion:
        counts: dict[Outcome, int] = {}
        labels, weights = self.ranking.judgement.clustering.labels, self.programs.matrix.weights
        for execution, label, weight in zip(self.programs.executions, labels, weights, strict=True):
            if label >= 0:
                outcome = shown_outcome(execution, column)
                counts[outcome] = counts.get(outcome, 0) + int(weight)
        options = tuple(sorted(counts.items(), key=lambda item: -item[1]))
        return InputQuestion(column, self.programs.inputs[column], options)


def shown_outcome(execution: Execution, column: int) -> Outcome:
    """An outcome as it is offered to a person: of errors without a value only the kind counts, of exceptions the type too."""
    outcome = execution.outcomes[column]
    return outcome if outcome.kind in (Kind.VALUE, Kind.EXCEPTION) else Outcome(outcome.kind)


def returns(outcome: Outcome, value: Any) -> bool:
    """Whether an outcome is the value, as Python's `==` says, floats to nine digits wherever they stand. True too where only the outcome's
    digest is known: it cannot be told then.

    >>> returns(Outcome(Kind.VALUE, "2.0"), 2), returns(Outcome(Kind.VALUE, "[1]"), (1,)), returns(Outcome(Kind.TIMEOUT), None)
    (True, False, False)
    """
    if outcome.kind is not Kind.VALUE:
        return False
    try:
        return _equal(decode(outcome.payload), value)
    except Undecodable:
        return True


def _equal(found: Any, value: Any) -> bool:
    if isinstance(found, float | complex) and isinstance(value, int | float | complex):
        try:
            return cmath.isclose(found, value, rel_tol=1e-9, abs_tol=1e-12)
        except OverflowError:  # an integer larger than every float
            return False
    if type(found) is type(value) and isinstance(value, list | tuple):
        return len(found) == len(value) and all(map(_equal, found, value))
    if isinstance(found, dict) and isinstance(value, dict):
        return _equal_in_some_order(list(found.items()), list(value.items()))
    if isinstance(found, set | frozenset) and isinstance(value, set | frozenset):
        return _equal_in_some_order(list(found), list(value))
    return bool(found == value)


def _equal_in_some_order(found: list[Any], value: list[Any]) -> bool:
    """Whether each item found has one of the value's as its own. By trial, since rounded floats have other hashes."""
    left = list(value)
    for item in found:
        place = next((i for i, other in enumerate(left) if _equal(item, other)), None)
        if place is None:
            return False
        del left[place]
    return not left


def in_words(outcome: Outcome) -> str:
    """An outcome for a person.

    >>> in_words(Outcome(Kind.VALUE, "[1, 2]")), in_words(Outcome(Kind.EXCEPTION, "ValueError")), in_words(Outcome(Kind.TIMEOUT))
    ('[1, 2]', 'raises ValueError', 'no value (timeout)')
    """
    if outcome.kind is Kind.VALUE:
        return outcome.payload
    return f"raises {outcome.payload}" if outcome.kind is Kind.EXCEPTION else f"no value ({outcome.kind.value.replace('_', ' ')})"


def call_text(entry: str, text: str) -> str:
    """An input as the call that it stands for; that of a program as it is.

    >>> call_text("f", "[[1, 2], 'a']")
    "f([1, 2], 'a')"
    """
    return text if entry == STDIN else f"{entry}({', '.join(map(repr, ast.literal_eval(text)))})"
