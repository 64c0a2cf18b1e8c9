"""Judging one problem's candidates from their texts: execute, select inputs, cluster, score, and check the test inputs themselves.

The command `ucoder judge` is this with a file in front and a table behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from rewards.clustering import Clustering, cluster
from rewards.consensus import ConsensusConfig, get_rule
from rewards.inputs import InputQuality, InputsConfig, quality_report, select_inputs
from rewards.literals import argument_outcomes
from rewards.mutants import mutants
from rewards.programs import normal_form
from rewards.records import Execution, Outcome, Program, absent_modules
from rewards.signatures import OutcomeMatrix, concatenate
from rewards.theorem import BoundReport, bound_report


class Executor(Protocol):
    """What judging needs of the sandbox."""

    def run(self, programs: Iterable[Program], progress: Callable[[int], None] | None = None) -> Iterator[Execution]: ...


@dataclass(frozen=True, eq=False)
class Verdict:
    """Everything that execution says about one problem's candidates."""

    matrix: OutcomeMatrix  # one row a distinct program, on the inputs that were kept
    kept_inputs: np.ndarray  # int64[m]: which of the given inputs were kept, the most telling first
    row_of: np.ndarray  # int64[n]: the row of each candidate
    clustering: Clustering  # over rows
    scores: np.ndarray  # float64[n]: the rule's score of each candidate (without its own vote), NaN = missing
    order: np.ndarray  # int64[n]: candidates, the best first
    quality: InputQuality  # of the inputs as they were given
    bound: BoundReport  # what theorem 2.4 says
    not_offered: dict[str, int]  # candidates that failed for a module that is not offered, by its name


def judge(
    codes: Sequence[str],
    entry: str,
    inputs: Sequence[str],
    executor: Executor,
    consensus: ConsensusConfig,
    selection: InputsConfig,
    *,
    expected: Sequence[Outcome | None] | None = None,
    logprobs: Sequence[float] | None = None,
    n_mutants: int = 0,
    error: float = 0.05,
) -> Verdict:
    """Cluster and rank candidates (n programs that define `entry`) by what they do on inputs (Python literals, lists of arguments).

    expected: outputs claimed by asserts, for the rules that compare with them; inputs with one are always kept. logprobs: mean token
    logprobs in nats, break ties. n_mutants: mutants of the winner that the report on the inputs is measured with. error: for the theorem.
    Programs that are the same but for layout are executed once. ValueError without candidates or inputs.
    """
    if not codes or not inputs:
        raise ValueError(f"nothing to judge: {len(codes)} candidates, {len(inputs)} inputs")
    rows: dict[str, int] = {}
    row_of = np.array([rows.setdefault(normal_form(code), len(rows)) for code in codes])
    first = np.unique(row_of, return_index=True)[1]
    weights = np.bincount(row_of)

    def execute(programs: Sequence[str]) -> list[Execution]:
        return list(executor.run([Program(code, entry, tuple(inputs)) for code in programs]))

    executions = execute([codes[i] for i in first])
    everything = OutcomeMatrix.from_executions(executions, weights, argument_outcomes(inputs), expected)
    kept = select_inputs(everything, selection)
    tested = np.array([j for j in range(len(inputs)) if expected is not None and expected[j] is not None], dtype=np.int64)
    kept = np.concatenate([kept, np.setdiff1d(tested, kept)])
    matrix = everything.select_inputs(kept)
    by_row = None if logprobs is None else np.asarray(logprobs, dtype=np.float64)[first]
    clustering = cluster(matrix, consensus.rho, consensus.tau, by_row, consensus.signature)
    scores = get_rule(consensus).scores(matrix)[row_of]

    tie_break = np.zeros(len(codes)) if logprobs is None else np.nan_to_num(np.asarray(logprobs, dtype=np.float64), nan=-np.inf)
    sizes = np.append(clustering.counts, 0)[clustering.labels][row_of]
    order = np.lexsort((-tie_break, -matrix.value_share[row_of], -sizes, -np.nan_to_num(scores, nan=-1.0)))

    mutated = None
    if n_mutants and clustering.top >= 0:
        winner = codes[first[clustering.representatives[clustering.top]]]
        found = [mutant.code for mutant in mutants(winner, n_mutants)]
        if found:
            stacked = concatenate(everything, OutcomeMatrix.from_executions(execute(found)))
            mutated = stacked.select_programs(np.arange(everything.n_programs, stacked.n_programs))
    quality = quality_report(everything, clustering, selection, mutated)
    absent = absent_modules(zip(executions, weights.tolist(), strict=True))
    return Verdict(matrix, kept, row_of, clustering, scores, order, quality, bound_report(matrix, clustering, error), absent)
