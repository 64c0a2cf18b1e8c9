"""Stage 5, solution space probing: many samples a problem, with token logprobs, and the program in each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from probing.prompt import Question
from probing.prompts.asking import Ask, stream_answers
from probing.reading import read_voter
from probing.records import Candidate, Problem
from probing.samplers.base import Completion, Progress, Sampler, SamplingParams
from probing.stages.config import SolutionsConfig

TYPING = "from typing import Any, Callable, Dict, FrozenSet, Iterable, List, Optional, Sequence, Set, Tuple, Union\n"


def given_code(problem: Problem) -> str:
    """What a program may use without saying so: names of `typing`, which models write in annotations and forget to import, and the
    interface. A program (`Problem.reads_stdin`) says all that it uses.
    """
    if problem.reads_stdin:
        return ""
    return TYPING + (problem.interface or problem.signature)


def shown_example(problem: Problem) -> str:
    """A program's example of input and output as prompts show it; "" where the statement holds it already."""
    return "" if problem.example in problem.description else problem.example


def solve_question(ask: Ask, problem: Problem) -> Question:
    """The question for a solution: the same in stage 5 and in training."""
    if problem.reads_stdin:
        return ask("solve_stdin", description=problem.description, example=shown_example(problem))
    return ask("solve", description=problem.description, interface=problem.interface or problem.signature, entry=problem.entry)


def sample_solutions(
    sampler: Sampler,
    ask: Ask,
    problems: Sequence[Problem],
    config: SolutionsConfig,
    seed: int,
    progress: Progress | None = None,
) -> Iterator[Candidate]:
    """`config.samples` candidates of each problem, problem after problem; those of one at a time, where the sampler can stream."""
    params = SamplingParams(config.temperature, config.top_p, config.max_new_tokens)
    answers = stream_answers(sampler, [solve_question(ask, p) for p in problems], config.samples, params, seed, progress)
    return (candidate for problem, group in zip(problems, answers, strict=True) for candidate in candidates_of(problem, group))


def candidates_of(problem: Problem, answers: Sequence[Completion]) -> list[Candidate]:
    """A problem's candidates from the answers to it."""
    return [
        Candidate(
            problem_id=problem.id,
            index=index,
            completion=answer.text,
            code=read_voter(answer.text, problem.entry, given_code(problem), answer.finished),
            token_ids=answer.token_ids,
            logprobs=tuple(round(p, 4) for p in answer.logprobs),
            finished=answer.finished,
        )
        for index, answer in enumerate(answers)
    ]
