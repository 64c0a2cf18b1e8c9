"""Candidates given as texts, for `ucoder judge` and `ucoder solve`: judge (`rewards.judge.judging`) and rank them, say which have no vote
and why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from probing.reading import read_voter
from rewards.clusters.hidden import HiddenDifference, hidden_difference
from rewards.clusters.inputs import InputQuality, InputsConfig, quality_report
from rewards.clusters.signatures import OutcomeMatrix, concatenate, no_program
from rewards.clusters.theorem import OptimisticBound, optimistic_bound
from rewards.judge.determinism import ORDER_OF_CALLS
from rewards.judge.judging import Judgement, judge
from rewards.judge.programs import Executor, Programs, run_programs
from rewards.programs.mutants import mutants
from rewards.records import Execution, Kind, Outcome, Program, absent_modules
from rewards.rules.consensus import ConsensusConfig, get_rule

# why a sample has no vote -> in words
NO_VOTE = {
    "lost": "lost by the sandbox",
    "no_program": "no program was found in them, or one that is cut off",
    "refused": "they do not define the entry, or do not compile",
    "not_offered": "they need a module that is not offered (--packages)",
    "order_of_calls": "outcomes depend on the order of calls (state is kept between them)",
    "varying": "outcomes differ under another hash seed, clock or chance",
    "few_values": "too few inputs give a value",
}


@dataclass(frozen=True, eq=False)
class Ranking:
    """One problem's n candidates, the best first."""

    programs: Programs
    judgement: Judgement  # one row a distinct program
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
    n_mutants: mutants of the winner that the report on the inputs is measured with. error: of both bounds. ValueError without candidates or
    inputs.
    """
    read = [read_voter(code, entry, given) for code in codes]
    programs = run_programs(read, entry, inputs, executor, expected=expected, logprobs=logprobs)
    return rank_programs(programs, executor, consensus, selection, n_mutants=n_mutants, error=error)


def rank_programs(
    programs: Programs,
    executor: Executor,
    consensus: ConsensusConfig,
    selection: InputsConfig,
    *,
    n_mutants: int = 0,
    error: float = 0.05,
) -> Ranking:
    """Rank candidates that have been executed; only the winner's mutants still run. See `rank`."""
    everything, row_of, logprob = programs.matrix, programs.row_of, programs.logprobs
    judgement = judge(everything, consensus, selection, programs.best_logprobs)
    matrix, clustering = judgement.matrix, judgement.clustering

    agreed = get_rule(consensus).scores(matrix) if matrix.n_inputs else np.zeros(matrix.n_programs)
    scores = np.where(everything.missing, np.nan, agreed)[row_of]
    sizes = np.append(clustering.counts, 0)[clustering.labels][row_of]
    order = np.lexsort((-logprob, -matrix.value_share[row_of], -sizes, -np.nan_to_num(scores, nan=-1.0)))

    reasons = [why_no_vote(e) if label < 0 else None for e, label in zip(programs.executions, clustering.labels, strict=True)]
    mutated = None
    if n_mutants and clustering.top >= 0:
        winner = programs.codes[clustering.representatives[clustering.top]]
        assert winner is not None, "what has no program has no vote"
        kept = tuple(programs.inputs[j] for j in judgement.kept)
        if made := [Program(mutant.code, programs.entry, kept) for mutant in mutants(winner, n_mutants)]:
            stacked = concatenate(matrix, OutcomeMatrix.from_executions(list(executor.run(made))))
            mutated = stacked.select_programs(np.arange(matrix.n_programs, stacked.n_programs))
    quality = quality_report(matrix, clustering, selection, mutated)
    if judgement.dead_share is not None:
        quality = replace(quality, dead_share=judgement.dead_share)  # of all that were given: none of them is kept
    no_vote = tuple(reasons[row] for row in row_of)
    absent = absent_modules(zip(programs.executions, everything.weights.tolist(), strict=True))
    hidden, bound = hidden_difference(everything, clustering, error, len(judgement.kept)), optimistic_bound(matrix, clustering, error)
    return Ranking(programs, judgement, scores, order, no_vote, quality, hidden, bound, absent)


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
