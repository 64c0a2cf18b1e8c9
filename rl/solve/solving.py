"""From a statement to a judged pool of candidates: stages 3 to 5, execution, the vote.

solved = solve(sampler, ask, sandbox, read_statement(text), SolveSettings(), bar)
solved.code, solved.vote.ranking.judgement.clustering.top_share
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

import numpy as np

from probing.prompts.asking import Ask
from probing.records import Candidate, TestSuite
from probing.samplers.base import Sampler
from probing.stages.config import SolutionsConfig, SuitesConfig
from rewards.clusters.inputs import InputsConfig
from rewards.judge.determinism import Steady
from rewards.judge.programs import Executor, run_programs
from rewards.rules.consensus import ConsensusConfig
from rewards.sandbox import Sandbox
from rl.console import UserError
from rl.solve.report import Solved
from rl.solve.stages import Bar, WrittenProblem, draw_candidates, write_inputs, write_problems
from rl.solve.statement import Statement
from rl.solve.vote import Vote

Talk = Callable[[Vote], Vote | None]


@dataclass(frozen=True)
class SolveSettings:
    """What is sampled, and how it is judged."""

    solutions: SolutionsConfig = field(default_factory=lambda: SolutionsConfig(samples=32, temperature=0.8))
    suites: SuitesConfig = field(default_factory=SuitesConfig)
    consensus: ConsensusConfig = field(default_factory=ConsensusConfig)
    seed: int = 0
    examples: bool = True  # whether the statement's examples rule candidates out


def solve(
    sampler: Sampler, ask: Ask, sandbox: Sandbox, statement: Statement, settings: SolveSettings, bar: Bar, talk: Talk | None = None
) -> Solved:
    """Solve one statement. talk: goes through single inputs with a person. Raises UserError where a stage gives nothing at all."""
    [written] = write_problems(sampler, ask, [statement], settings.seed, bar)
    if written is None:
        remedy = "give it with --signature 'def f(xs: list[int]) -> int:'"
        raise UserError("the statement shows no signature with types, and the model wrote none that can be used", "signature", remedy)
    suites = write_inputs(sampler, ask, [written], settings.suites, settings.seed, bar)
    suite = suites.get(written.problem.id)
    if suite is None and written.problem.reads_stdin:
        remedy = "show a sample in the statement, below lines `Sample Input` and `Sample Output`"
        raise UserError("the model wrote no test input that can be used", "test inputs", remedy)
    if suite is None:
        said = f"the model wrote no call that fits {written.problem.signature}"
        raise UserError(said, "test inputs", f"show an example in the statement: {written.problem.entry}(…) == …, or mend the signature")
    candidates = draw_candidates(sampler, ask, written.problem, settings.solutions, settings.seed, bar)
    if all(candidate.code is None for candidate in candidates):
        cut_off = sum(not candidate.finished for candidate in candidates)
        defines = "" if written.problem.reads_stdin else f" that defines {written.problem.entry}"
        said = f"none of {len(candidates)} answers holds a program{defines} ({cut_off} were cut off)"
        raise UserError(said, "candidates", "raise --max_new_tokens, lower --temperature, or take another model")
    with closing(Steady(sandbox, settings.consensus.recheck)) as executor:
        vote = vote_of(executor, written, suite, candidates, settings, bar)
        examples = written.statement.examples if settings.examples else ()
        vote, unmet, conflicting = vote.with_examples(examples)
        unused = [e for e in examples if e.known and e.input not in vote.programs.inputs]
        solved = Solved(written, suite, candidates, vote, unmet, conflicting, unused)
        if talk is None or vote.winner is None:
            return solved
        after = talk(vote)
        return replace(solved, vote=vote if after is None else after, ruled_out_all=after is None)


def vote_of(
    executor: Executor, written: WrittenProblem, suite: TestSuite, candidates: Sequence[Candidate], settings: SolveSettings, bar: Bar
) -> Vote:
    """Run the candidates on the inputs, and judge them."""
    logprobs = [candidate.mean_logprob for candidate in candidates]
    with bar("executions", len(candidates), "candidates") as advance:
        programs = run_programs(
            [candidate.code for candidate in candidates],
            written.problem.entry,
            suite.inputs,
            executor,
            logprobs=logprobs if np.isfinite(logprobs).any() else None,  # a server may give none
        )
        advance(len(candidates))
    return Vote.of(programs, executor, settings.consensus, InputsConfig(keep=settings.suites.inputs))
