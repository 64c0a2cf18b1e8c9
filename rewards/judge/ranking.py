"""Candidates given as texts, for `ucoder judge`: run, judge (`rewards.judge.judging`) and rank them, say which have no vote and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from probing.reading import read_program
from rewards.clusters.hidden import HiddenDifference, hidden_difference
from rewards.clusters.inputs import InputQuality, InputsConfig, quality_report
from rewards.clusters.signatures import OutcomeMatrix, concatenate, no_program
from rewards.clusters.theorem import OptimisticBound, optimistic_bound
from rewards.judge.determinism import ORDER_OF_CALLS
from rewards.judge.judging import Judgement, judge
from rewards.outcomes.literals import argument_outcomes
from rewards.programs.mutants import mutants
from rewards.programs.normal_form import normal_form
from rewards.records import Execution, Kind, Outcome, Program, absent_modules
from rewards.rules.consensus import ConsensusConfig, get_rule

# why a sample has no vote -> in words
NO_VOTE = {
    "lost": "lost by the sandbox",
    "no_program": "no program was found in them",
    "refused": "they do not define the entry, or do not compile",
    "not_offered": "they need a module that is not offered (--packages)",
    "order_of_calls": "outcomes depend on the order of calls (state is kept between them)",
    "varying": "outcomes differ under another hash seed, clock or chance",
    "few_values": "too few inputs give a value",
}


class Executor(Protocol):
    """What ranking needs of the sandbox; `rewards.judge.determinism.Steady` is the one that votes are taken from."""

    def run(self, programs: Iterable[Program]) -> Iterator[Execution]: ...


@dataclass(frozen=True, eq=False)
class Ranking:
    """One problem's n candidates, the best first."""

    judgement: Judgement  # one row a distinct program
    row_of: np.ndarray  # int64[n]: the row of each candidate
    scores: np.ndarray  # float64[n]: the rule's score of each candidate (without its own vote), NaN = missing
    order: np.ndarray  # int64[n]: candidates, the best first
    no_vote: tuple[str | None, ...]  # for each candidate, why it has no vote (a key of NO_VOTE); None: it has one
    quality: InputQuality  # of the kept inputs
    hidden: HiddenDifference  # how far programs of one cluster may still differ
    bound: OptimisticBound  # what theorem 2.4 says, were the kept inputs independent draws
    not_offered: dict[str, int]  # candidates that failed for a module that is not offered, by its name


def rank(
    codes: Sequence[str],
    entry: str,
    inputs: Sequence[str],
    executor: Executor,
    consensus: ConsensusConfig,
    selection: InputsConfig,
    *,
    given: str = "",
    expected: Sequence[Outcome | None] | None = None,
    logprobs: Sequence[float] | None = None,
    n_mutants: int = 0,
    error: float = 0.05,
) -> Ranking:
    """Rank candidates (n programs that define `entry`, or answers that hold one) by what they do on inputs (Python literals, lists of
    arguments).

    given: code that the prompt gave (see `probing.reading`).
    expected: outputs claimed by asserts, for the rules that compare with them. logprobs: mean token logprobs in nats, break ties.
    n_mutants: mutants of the winner that the report on the inputs is measured with. error: of both bounds. Programs that are the same
    but for layout are executed once. ValueError without candidates or inputs.
    """
    if not codes or not inputs:
        raise ValueError(f"nothing to judge: {len(codes)} candidates, {len(inputs)} inputs")
    programs = [read_program(code, entry, given) for code in codes]
    rows: dict[str | None, int] = {}
    row_of = np.array([rows.setdefault(None if code is None else normal_form(code), len(rows)) for code in programs])
    first, weights = np.unique(row_of, return_index=True)[1], np.bincount(row_of)
    distinct = [programs[i] for i in first]
    ran = iter(list(executor.run([Program(code, entry, tuple(inputs)) for code in distinct if code is not None])))
    executions = [no_program(len(inputs)) if code is None else next(ran) for code in distinct]
    everything = OutcomeMatrix.from_executions(executions, weights, argument_outcomes(inputs), expected)

    logprob = np.zeros(len(codes)) if logprobs is None else np.nan_to_num(np.asarray(logprobs, dtype=np.float64), nan=-np.inf)
    best = np.full(len(first), -np.inf)
    np.maximum.at(best, row_of, logprob)
    judgement = judge(everything, consensus, selection, best)
    matrix, clustering = judgement.matrix, judgement.clustering

    agreed = get_rule(consensus).scores(matrix) if matrix.n_inputs else np.zeros(matrix.n_programs)
    scores = np.where(everything.missing, np.nan, agreed)[row_of]
    sizes = np.append(clustering.counts, 0)[clustering.labels][row_of]
    order = np.lexsort((-logprob, -matrix.value_share[row_of], -sizes, -np.nan_to_num(scores, nan=-1.0)))

    reasons = [why_no_vote(e) if label < 0 else None for e, label in zip(executions, clustering.labels, strict=True)]
    mutated = None
    if n_mutants and clustering.top >= 0:
        winner = distinct[clustering.representatives[clustering.top]]
        assert winner is not None, "what has no program has no vote"
        kept = tuple(inputs[j] for j in judgement.kept)
        if made := [Program(mutant.code, entry, kept) for mutant in mutants(winner, n_mutants)]:
            stacked = concatenate(matrix, OutcomeMatrix.from_executions(list(executor.run(made))))
            mutated = stacked.select_programs(np.arange(matrix.n_programs, stacked.n_programs))
    quality = quality_report(matrix, clustering, selection, mutated)
    if judgement.dead_share is not None:
        quality = replace(quality, dead_share=judgement.dead_share)  # of all that were given: none of them is kept
    no_vote = tuple(reasons[row] for row in row_of)
    absent = absent_modules(zip(executions, weights.tolist(), strict=True))
    hidden, bound = hidden_difference(everything, clustering, error, len(judgement.kept)), optimistic_bound(matrix, clustering, error)
    return Ranking(judgement, row_of, scores, order, no_vote, quality, hidden, bound, absent)


def why_no_vote(execution: Execution) -> str:
    """A key of NO_VOTE, for a program that belongs to no cluster."""
    kinds = {outcome.kind for outcome in execution.outcomes}
    if execution.missing:
        return "lost"
    if kinds == {Kind.REFUSED}:
        return "no_program" if execution == no_program(len(execution.outcomes)) else "refused"
    if execution.absent_module is not None:
        return "not_offered"
    if ORDER_OF_CALLS in execution.outcomes:
        return "order_of_calls"
    return "varying" if Kind.NONDETERMINISTIC in kinds else "few_values"
