"""Stage 4 for problems whose solutions are programs: texts for standard input, by the statement's examples, the model, and a mutator.

An input is a Python literal of its text. No expected outputs: an example's output is shown in prompts, and nothing is compared with it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from probing.parsing.stdin_texts import LONGEST, inputs_in, stdin_examples_in
from probing.parsing.text_mutants import mutate_input
from probing.prompt import Question
from probing.prompts.asking import Ask
from probing.reading.text import answer_text
from probing.records import Problem, TestSuite
from probing.samplers.base import Completion
from probing.stages.config import SuitesConfig
from probing.stages.solutions import shown_example

_TRIES = 12  # mutations tried for each input wanted, before a small input space is accepted as exhausted


def statement_inputs(problem: Problem) -> list[str]:
    """The inputs that a problem shows: those of its example, and of the samples in its statement."""
    found = [*stdin_examples_in(problem.example), *stdin_examples_in(problem.description, statement=True)]
    return list(dict.fromkeys(example.input for example in found))


def stdin_tests_question(ask: Ask, problem: Problem) -> Question:
    """The question for test inputs. The answer begins with an input of the statement, where that shows one."""
    shown = next(iter(statement_inputs(problem)), "")
    return ask("tests_stdin", description=problem.description, example=shown_example(problem), input=shown)


def stdin_suite(problem: Problem, answers: Sequence[Completion], config: SuitesConfig, seed: int) -> TestSuite | None:
    """The problem's pool: the statement's inputs first, then those that the model wrote, then mutants of both; None without any."""
    shown = statement_inputs(problem)[: config.pool]
    written = [text for answer in answers for text in inputs_in(answer_text(answer.text), answer.finished)]
    written = [text for text in dict.fromkeys(written) if text not in shown][: config.pool - len(shown)]
    if not shown and not written:
        return None
    rng = random.Random(f"{seed} {problem.id}")
    pool = extend_texts([*shown, *written], config.pool, rng)
    origins = ("statement",) * len(shown) + ("model",) * len(written) + ("mutated",) * (len(pool) - len(shown) - len(written))
    return TestSuite(problem.id, tuple(map(repr, pool)), origins)


def extend_texts(texts: Sequence[str], wanted: int, rng: random.Random) -> list[str]:
    """Mutants of the given texts (and of mutants), until there are `wanted` distinct ones or the space seems exhausted."""
    pool = list(texts)
    seen = set(pool)
    for _ in range(_TRIES * max(wanted - len(pool), 0)):
        if len(pool) >= wanted:
            break
        text = rng.choice(pool)
        for _ in range(rng.choice((1, 1, 2))):
            text = mutate_input(text, rng)
        if text not in seen and len(text) <= LONGEST:
            seen.add(text)
            pool.append(text)
    return pool
