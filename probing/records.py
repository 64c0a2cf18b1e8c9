"""The records that flow through a round. Frozen, JSON-serialisable, one line each in the round's files.

    problems → suites → candidates → executions → clusters → probe scores → rewards → update → eval → next round

What scoring adds (`Execution`, `Clustering`, `Score`) lives in `rewards.records`.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

SELF_MADE = "self"  # the source of what the model wrote itself
STDIN = "<stdin>"  # in the place of an entry: the solution is a whole program that reads standard input and prints


@dataclass(frozen=True)
class Problem:
    """A problem that the model invented (stages 1 to 3), one that the user brought, or one of a benchmark.

    >>> Problem("r01-ab12cd34", "Sum of evens", "Given a list xs, return the sum of its even numbers.", "total",
    ...         "def total(xs: list[int]) -> int:", "total([1, 2]) == 2", "lists of integers").entry
    'total'
    """

    id: str  # unique within a run; benchmarks use their own task id
    title: str
    description: str  # the statement that the solver reads
    entry: str  # name of the function to write; STDIN for a program
    signature: str  # one line, "def f(xs: list[int]) -> int:"; "" for a program
    example: str  # as the model wrote it; never trusted as an expected output
    topic: str  # topic the model was asked for; of a step beyond a solved problem, that one's topic
    rating: float | None = None  # own rating in [0, 1]; None before stage 2
    interface: str | None = None  # signature and docstring, valid Python once a body follows; None before stage 3
    source: str = SELF_MADE  # where the statement is from: SELF_MADE, or "FILE#ROW", "hub:DATASET:SPLIT#ROW" (docs/own-problems.md)
    beyond: str | None = None  # id of the solved problem that it was invented to go a step beyond (`problems.depth`)

    @property
    def reads_stdin(self) -> bool:
        """Whether a solution is a program that reads standard input, and no function."""
        return self.entry == STDIN


@dataclass(frozen=True)
class TestSuite:
    """Inputs of one problem (stage 4). No expected outputs: consensus needs none.

    >>> TestSuite("r01-ab12cd34", ("[[1, 2, 3]]", "[[]]"), ("model", "mutated")).inputs[0]
    '[[1, 2, 3]]'
    """

    __test__ = False  # not a pytest class

    problem_id: str
    inputs: tuple[str, ...]  # each a Python literal: the list of positional arguments, or the text for standard input
    origins: tuple[str, ...]  # "model" or "mutated", one for each input; in `ucoder solve` and for programs also "statement"
    asserts: tuple[str, ...] = ()  # model-written, only where consensus compares with them (signature or rule `passfail`, rule `codet`)


@dataclass(frozen=True)
class Candidate:
    """One sampled solution (stage 5)."""

    problem_id: str
    index: int  # 0..n-1 within the problem
    completion: str  # the raw answer, prefill included, special tokens removed
    code: str | None  # the program extracted from it; None when there is none, or one that is cut off
    token_ids: tuple[int, ...]  # length L, as sampled, end token included
    logprobs: tuple[float, ...]  # length L, nats per token under the policy at temperature 1; empty: unknown
    finished: bool  # ended with an end token or a stop string, not by the length limit
    view: int = 0  # of the problem, that the prompt showed (`solutions.views`)

    @property
    def n_tokens(self) -> int:
        return len(self.token_ids)

    @property
    def mean_logprob(self) -> float:
        """Mean token logprob in nats (minus the log of the paper's perplexity f(r)); NaN where the server gave none."""
        if self.token_ids and not self.logprobs:
            return math.nan
        return sum(self.logprobs) / max(len(self.logprobs), 1)


def short_hash(text: str, length: int = 10) -> str:
    """Stable hexadecimal digest of a text, for ids."""
    return hashlib.sha256(text.encode()).hexdigest()[:length]
