"""The card of the five skills that stages 1 to 5 ask a model for, on held-out statements of seedling-bench.

Printed by `ucoder eval --skills`. A figure of 0.9 means that nine in ten answers are usable, not that they are good.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from probing.asking import Ask, answers_to
from probing.auroc import auroc
from probing.config import ProblemsConfig, SuitesConfig
from probing.problems import parse_interface, parse_proposal, propose, ratings_of, words_of
from probing.records import Problem
from probing.samplers.base import Sampler, SamplingParams
from probing.suites import callable_with, calls_of
from rl.evals.seedling import problems, rated_statements

# figure: what it is, and the least that a usable base model shows (None: for information)
SKILL_FLOORS: dict[str, tuple[str, float | None]] = {
    "compile": ("solve: programs that compile", 0.95),
    "invent_parses": ("invent: problems that parse", 0.90),
    "invent_distinct": ("invent: of those, distinct", 0.60),
    "interface_valid": ("interface: valid typed signatures", None),
    "tests_callable": ("tests: inputs that are callable", 0.95),
    "rating_auroc": ("rate: intact against corrupted, AUROC", 0.80),
}
PROPOSALS = 200
SUITES = 120  # problems for which inputs and interfaces are asked
RATINGS_PER_PROBLEM = 4

Bar = Callable[[str, int, str], AbstractContextManager[Callable[[int], None]]]  # (name, total, unit) -> advance


def measure_skills(
    sampler: Sampler,
    ask: Ask,
    seed: int,
    bar: Bar,
    proposals: int = PROPOSALS,
    suites: int = SUITES,
    ratings_per_problem: int = RATINGS_PER_PROBLEM,
) -> dict[str, Any]:
    """Figures by the names of `SKILL_FLOORS` (without `compile`, which is a benchmark's), and beside each, as NAME_of, how many answers
    it is a share of. None where nothing could be measured. Temperature 1 throughout, interfaces greedy, as in the loop.
    """
    held_out = problems()[:suites]
    statements = rated_statements()
    topics = tuple(dict.fromkeys(p.topic for p in held_out))
    config = ProblemsConfig(count=proposals, topics=topics, ratings_per_problem=ratings_per_problem)
    asked = math.ceil(proposals / len(topics)) * len(topics)
    with bar("skill invent", asked, "proposals") as advance:
        invented = invent_figures([(t, c.text) for t, c in propose(sampler, ask, config, seed, advance)])
    with bar("skill interface", len(held_out), "problems") as advance:
        interfaces = interface_figures(sampler, ask, held_out, config, seed, advance)
    with bar("skill tests", len(held_out), "answers") as advance:
        tests = tests_figures(sampler, ask, held_out, SuitesConfig(), seed, advance)
    with bar("skill rate", len(statements) * ratings_per_problem, "ratings") as advance:
        ratings = ratings_of(sampler, ask, [text for text, _ in statements], config, seed, advance)
    return {**invented, **interfaces, **tests, **rating_figures(ratings, [intact for _, intact in statements])}


def share(count: int, total: int) -> float | None:
    return count / total if total else None


def invent_figures(answers: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """answers: (topic, text). Two problems are the same when their statements have the same words in the same order."""
    parsed = [p for p in (parse_proposal(text, topic, "skill") for topic, text in answers) if p is not None]
    distinct = {tuple(words_of(p.description)) for p in parsed}
    return {
        "invent_parses": share(len(parsed), len(answers)),
        "invent_parses_of": len(answers),
        "invent_distinct": share(len(distinct), len(parsed)),
        "invent_distinct_of": len(parsed),
    }


def interface_figures(
    sampler: Sampler, ask: Ask, asked: Sequence[Problem], config: ProblemsConfig, seed: int, progress: Callable[[int], None]
) -> dict[str, Any]:
    """Share of problems whose interface parses, with types and a docstring."""
    questions = [ask("interface", description=p.description, entry=p.entry) for p in asked]
    answers = answers_to(sampler, questions, 1, SamplingParams(0.0, 1.0, config.interface_max_new_tokens), seed, progress)
    valid = sum(parse_interface(answer.text, p.entry) is not None for p, (answer,) in zip(asked, answers, strict=True))
    return {"interface_valid": share(valid, len(asked)), "interface_valid_of": len(asked)}


def tests_figures(
    sampler: Sampler, ask: Ask, asked: Sequence[Problem], config: SuitesConfig, seed: int, progress: Callable[[int], None]
) -> dict[str, Any]:
    """Share of written lines that are calls with as many arguments, and of such types, as the signature wants."""
    questions = [ask("tests", description=p.description, interface=p.interface or p.signature, entry=p.entry) for p in asked]
    answers = answers_to(sampler, questions, 1, SamplingParams(config.temperature, config.top_p, config.max_new_tokens), seed, progress)
    fitting = written = 0
    for problem, (answer,) in zip(asked, answers, strict=True):
        calls, _, unread = calls_of(answer.text, problem.entry)
        fitting += sum(callable_with(problem.signature, call) for call in calls)
        written += max(len(calls) + unread, 1)  # an empty answer is one input that cannot be called
    return {"tests_callable": share(fitting, written), "tests_callable_of": written}


def rating_figures(ratings: Sequence[float | None], intact: Sequence[bool]) -> dict[str, Any]:
    """AUROC of the ratings that could be read; the others are counted."""
    read = [(rating, label) for rating, label in zip(ratings, intact, strict=True) if rating is not None]
    area = auroc(np.array([r for r, _ in read]), np.array([label for _, label in read], dtype=bool)) if read else math.nan
    known = None if math.isnan(area) else area
    return {"rating_auroc": known, "rating_auroc_of": len(read), "rating_unread": len(ratings) - len(read)}
