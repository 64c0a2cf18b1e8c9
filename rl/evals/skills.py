"""The card of the skills that stages 1 to 5 ask a model for: what share of its answers the loop can use.

Printed by `ucoder eval --skills`. The stages follow one another as in the loop, each on what the one before has left: invented problems,
their interfaces, test inputs, answers and the vote on them. Ratings are asked for statements of seedling-bench, half of them corrupted. A
figure of 0.9 means that nine in ten answers are usable, not that they are good.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from probing.parsing.interfaces import parse_interface
from probing.probe.auroc import auroc
from probing.prompts.asking import Ask, answers_to
from probing.records import Problem, TestSuite
from probing.samplers.base import Progress, Sampler, SamplingParams
from probing.stages.config import TOPICS, ProblemsConfig, SolutionsConfig, SuitesConfig
from probing.stages.problems import Funnel, ratings_asked, ratings_of, select_proposals
from probing.stages.proposals import proposals_asked, propose
from probing.stages.solutions import sample_solutions
from probing.stages.suites import callable_with, calls_of, extend_suite, tests_question
from rewards.rules.consensus import ConsensusConfig
from rl.benchmarks.seedling import rated_statements
from rl.labels.bank import distinct_programs, execute_bank, verdicts_of

if TYPE_CHECKING:
    from rewards.judge.programs import Executor

PROPOSALS = 192
PROBLEMS = 60  # of the model's own, that the later stages are asked about
ANSWERS = 16  # to each of them

Bar = Callable[[str, int, str], AbstractContextManager[Progress]]  # (name, total, unit) -> advance


def measure_skills(
    sampler: Sampler,
    ask: Ask,
    executor: Executor,
    seed: int,
    bar: Bar,
    proposals: int | None = None,
    max_new_tokens: int = 512,
    answers: int = ANSWERS,
) -> dict[str, Any]:
    """Figures by the names of `rl.evals.tables.SKILLS`, each with NAME_of, the answers it is a share of, and what was dropped and why.

    None where nothing could be measured. Temperatures are the defaults of the loop. proposals: how many are asked for
    (default: PROPOSALS); the later stages shrink with them. executor: runs the programs, in the sandbox.
    """
    proposals = proposals or PROPOSALS
    problems = max(1, proposals * PROBLEMS // PROPOSALS)
    config = ProblemsConfig(count=proposals, topics=ask.topics or TOPICS, max_new_tokens=max_new_tokens)
    funnel = Funnel()
    with bar("skill invent", proposals_asked(config, ask.variants), "proposals") as advance:
        drawn = propose(sampler, ask, config, seed, progress=advance)
    invented = select_proposals(drawn, config, "skill", funnel, ask.examples)
    usable = len(invented) + funnel.dropped["near duplicate"]
    figures: dict[str, Any] = {
        "proposals_usable": share(usable, len(drawn)),
        "proposals_usable_of": len(drawn),
        "proposals_dropped": dict(funnel.dropped),
        "distinct": share(len(invented), usable),
        "distinct_of": usable,
        "mean_proposal_tokens": float(np.mean([len(proposal.answer.token_ids) for proposal in drawn])),
    }
    asked = invented[:problems]
    with bar("skill interface", len(asked), "problems") as advance:
        found, with_interfaces = interface_figures(sampler, ask, asked, config, seed, advance)
    figures |= found
    with bar("skill tests", len(with_interfaces) * SuitesConfig().samples, "answers") as advance:
        found, suites = tests_figures(sampler, ask, with_interfaces, SuitesConfig(max_new_tokens=max_new_tokens), seed, advance)
    figures |= found
    with bar("skill solve", len(suites) * answers, "answers") as advance:
        solutions = SolutionsConfig(samples=answers, max_new_tokens=max_new_tokens)
        figures |= vote_figures(sampler, ask, with_interfaces, suites, solutions, executor, seed, advance)
    statements = rated_statements()
    with bar("skill rate", ratings_asked(sampler, ask, len(statements), config), "ratings") as advance:
        ratings = ratings_of(sampler, ask, [text for text, _ in statements], config, seed, advance)
    figures |= rating_figures(ratings, [intact for _, intact in statements])
    return figures | {"problems": [{"description": p.description, "signature": p.signature, "example": p.example} for p in asked]}


def share(count: int, total: int) -> float | None:
    return count / total if total else None


def interface_figures(
    sampler: Sampler, ask: Ask, asked: Sequence[Problem], config: ProblemsConfig, seed: int, progress: Progress
) -> tuple[dict[str, Any], list[Problem]]:
    """Share of problems whose interface parses, with types and a docstring; and those problems, with it."""
    questions = [ask("interface", description=p.description, entry=p.entry, signature=p.signature) for p in asked]
    answers = answers_to(sampler, questions, 1, SamplingParams(0.0, 1.0, config.interface_max_new_tokens), seed, progress)
    valid = [
        replace(problem, interface=interface)
        for problem, (answer,) in zip(asked, answers, strict=True)
        if (interface := parse_interface(answer.text, problem.entry)) is not None
    ]
    return {"interfaces_valid": share(len(valid), len(asked)), "interfaces_valid_of": len(asked)}, valid


def tests_figures(
    sampler: Sampler, ask: Ask, asked: Sequence[Problem], config: SuitesConfig, seed: int, progress: Progress
) -> tuple[dict[str, Any], list[TestSuite]]:
    """Share of written lines that are calls with as many arguments, and of such types, as the signature wants; and the inputs."""
    questions = [tests_question(ask, p) for p in asked]
    params = SamplingParams(config.temperature, config.top_p, config.max_new_tokens)
    answers = answers_to(sampler, questions, config.samples, params, seed, progress)
    fitting = written = 0
    suites = []
    for problem, group in zip(asked, answers, strict=True):
        distinct: dict[str, None] = {}
        for answer in group:
            calls, _, unread = calls_of(answer.text, problem.entry, problem.signature, answer.finished)
            usable = [call for call in calls if callable_with(problem.signature, call)]
            fitting += len(usable)
            written += max(len(calls) + unread, 1)  # an empty answer is one input that cannot be called
            distinct.update((repr(call), None) for call in usable)
        if distinct:
            suites.append(extend_suite(problem, list(distinct), config, seed))
    per_problem = [sum(origin == "model" for origin in suite.origins) for suite in suites]
    return {
        "inputs_callable": share(fitting, written),
        "inputs_callable_of": written,
        "inputs_per_problem": sum(per_problem) / len(asked) if asked else None,
        "inputs_per_problem_of": len(asked),
    }, suites


def vote_figures(
    sampler: Sampler,
    ask: Ask,
    problems: Sequence[Problem],
    suites: Sequence[TestSuite],
    config: SolutionsConfig,
    executor: Executor,
    seed: int,
    progress: Progress,
) -> dict[str, Any]:
    """Share of answers that hold a program, and of problems whose largest cluster has a share in the band."""
    tested = {suite.problem_id for suite in suites}
    chosen = [problem for problem in problems if problem.id in tested]
    candidates = list(sample_solutions(sampler, ask, chosen, config, seed, progress))
    bank = list(execute_bank(chosen, suites, distinct_programs(candidates), executor))
    verdicts = list(verdicts_of(suites, candidates, bank, ConsensusConfig(), SuitesConfig().inputs, (config.band_low, config.band_high)))
    return {
        "answers_with_program": share(sum(c.code is not None for c in candidates), len(candidates)),
        "answers_with_program_of": len(candidates),
        "answers_finished": share(sum(c.finished for c in candidates), len(candidates)),
        "mean_answer_tokens": float(np.mean([c.n_tokens for c in candidates])) if candidates else None,
        "votes_in_band": share(sum(v.kept for v in verdicts), len(verdicts)),
        "votes_in_band_of": len(verdicts),
        "top_share": float(np.mean([v.top_share for v in verdicts])) if verdicts else None,
    }


def rating_figures(ratings: Sequence[float | None], intact: Sequence[bool]) -> dict[str, Any]:
    """AUROC of the ratings that could be read; the others are counted."""
    read = [(rating, label) for rating, label in zip(ratings, intact, strict=True) if rating is not None]
    area = auroc(np.array([r for r, _ in read]), np.array([label for _, label in read], dtype=bool)) if read else math.nan
    known = None if math.isnan(area) else area
    return {"rating_auroc": known, "rating_auroc_of": len(read), "rating_unread": len(ratings) - len(read)}
