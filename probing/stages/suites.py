"""Stage 4, test understanding probing: the model writes inputs, a typed mutator extends them. No expected outputs.

An answer is a code block of calls, one a line, with literal arguments; asserts are kept too where a rule wants them. Which of
the pooled inputs are kept is decided after execution, by how well they tell candidates apart (`rewards.clusters.inputs`).
"""

from __future__ import annotations

import ast
import random
from collections.abc import Sequence
from typing import Any

from probing.parsing.answers import code_block
from probing.parsing.calls import call_in, finite
from probing.parsing.domains import Domain
from probing.parsing.proposals import parse_signature
from probing.parsing.typed_values import fits, mutate
from probing.prompt import Question
from probing.prompts.asking import Ask, answers_to
from probing.reading.text import answer_text
from probing.records import Problem, TestSuite
from probing.samplers.base import Progress, Sampler, SamplingParams
from probing.stages.config import SuitesConfig
from probing.stages.problems import Funnel
from probing.stages.stdin_suites import stdin_suite, stdin_tests_question

_TRIES = 12  # mutations tried for each input wanted, before a small input space is accepted as exhausted
_LONGEST = 2_000  # characters of one input


def calls_of(text: str, entry: str, signature: str = "", finished: bool = True) -> tuple[list[list[Any]], list[str], int]:
    """(argument lists of literal calls of `entry`, asserts about it, lines that could not be read) in an answer.

    signature: for calls with keywords. finished: whether the answer came to its end; else its last line is cut, and not counted.
    """
    function = parse_signature(signature) if signature else None
    names = [argument.arg for argument in function.args.args] if function else []
    calls: list[list[Any]] = []
    asserts: list[str] = []
    unread = 0
    lines = [line.strip() for line in (code_block(text) or answer_text(text)).split("\n")]
    for line in lines if finished else lines[:-1]:
        if not line or line.startswith("#"):
            continue
        call = call_in(line, entry, names)
        if call is None:
            unread += 1
            continue
        calls.append(call.arguments)
        if line.startswith("assert"):
            asserts.append(line)
    return calls, asserts, unread


def example_call(problem: Problem) -> str:
    """The call in a problem's example, where it fits the signature; empty where there is none."""
    for line in problem.example.split("\n"):
        call = call_in(line, problem.entry)
        if call is not None and callable_with(problem.signature, call.arguments):
            return f"{problem.entry}({', '.join(map(repr, call.arguments))})"
    return ""


def tests_question(ask: Ask, problem: Problem, with_asserts: bool = False) -> Question:
    """The question for test inputs. with_asserts: for asserts, with the outputs that are expected (of functions alone)."""
    if problem.reads_stdin:
        assert not with_asserts
        return stdin_tests_question(ask, problem)
    fields = {"description": problem.description, "interface": problem.interface or problem.signature, "entry": problem.entry}
    return ask("asserts" if with_asserts else "tests", call=example_call(problem), **fields)


def callable_with(signature: str, arguments: Sequence[Any]) -> bool:
    """Whether the arguments fit the signature in number and type, and are finite: `1e400` is infinity, which no literal gives back."""
    function = parse_signature(signature)
    if function is None or len(function.args.args) != len(arguments) or not finite(list(arguments)):
        return False
    return all(fits(value, a.annotation) for value, a in zip(arguments, function.args.args, strict=True))


def extend(inputs: Sequence[str], wanted: int, rng: random.Random, statement: str = "") -> list[str]:
    """Mutants of the given inputs (and of mutants), until there are `wanted` distinct ones or the space seems exhausted.

    They keep what the given inputs have in common (`probing.parsing.domains`). statement: of the problem; it may say that lists are sorted.
    """
    pool = list(inputs)
    seen = set(pool)
    written = [ast.literal_eval(text) for text in inputs]
    # by the number of arguments: examples of a statement may leave optional ones out
    domains = {n: Domain.of([given for given in written if len(given) == n], statement) for n in {len(given) for given in written}}
    for _ in range(_TRIES * max(wanted - len(pool), 0)):
        if len(pool) >= wanted:
            break
        text = rng.choice(pool)
        arguments = ast.literal_eval(text)
        if not arguments:
            break
        place = 0
        for _ in range(rng.choice((1, 1, 2, 3))):
            place = rng.randrange(len(arguments))
            arguments[place] = mutate(arguments[place], rng)
        text = repr(domains[len(arguments)].keep(arguments, ast.literal_eval(text), place, rng))
        if text not in seen and len(text) <= _LONGEST:
            seen.add(text)
            pool.append(text)
    return pool


def extend_suite(problem: Problem, written: Sequence[str], config: SuitesConfig, seed: int, asserts: Sequence[str] = ()) -> TestSuite:
    """The problem's pool: distinct model-written inputs first, then mutants of them."""
    model_written = list(written)[: config.pool]
    pool = extend(model_written, config.pool, random.Random(f"{seed} {problem.id}"), problem.description)
    origins = ("model",) * len(model_written) + ("mutated",) * (len(pool) - len(model_written))
    return TestSuite(problem.id, tuple(pool), origins, tuple(asserts))


def write_suites(
    sampler: Sampler,
    ask: Ask,
    problems: Sequence[Problem],
    config: SuitesConfig,
    seed: int,
    funnel: Funnel,
    progress: Progress | None = None,
    with_asserts: bool = False,
) -> list[TestSuite]:
    """A pool of inputs for each problem, model-written first, then mutants; problems without one callable input get no suite.

    with_asserts: ask for asserts instead of bare calls, and keep them. For programs: `probing.stages.stdin_suites`.
    """
    params = SamplingParams(config.temperature, config.top_p, config.max_new_tokens)
    questions = [tests_question(ask, p, with_asserts) for p in problems]
    answers = answers_to(sampler, questions, config.samples, params, seed, progress)
    suites = []
    for problem, group in zip(problems, answers, strict=True):
        if problem.reads_stdin:
            suite = stdin_suite(problem, group, config, seed)
            if suite is None:
                funnel.drop("no test inputs")
            else:
                suites.append(suite)
            continue
        written: dict[str, None] = {}
        asserts: list[str] = []  # repeated ones count
        for answer in group:
            calls, claimed, _ = calls_of(answer.text, problem.entry, problem.signature, answer.finished)
            asserts += claimed if with_asserts else []
            written.update((repr(c), None) for c in calls if callable_with(problem.signature, c) and len(repr(c)) <= _LONGEST)
        if not written:
            funnel.drop("no test inputs")
            continue
        suites.append(extend_suite(problem, list(written), config, seed, asserts))
    funnel.kept = len(suites)
    return suites
