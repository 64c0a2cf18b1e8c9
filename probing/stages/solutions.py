"""Stage 5, solution space probing: many samples a problem, with token logprobs, and the program in each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from probing.parsing.interfaces import interface_of
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


def has_two_views(problem: Problem) -> bool:
    """Whether `solutions.views: 2` has something else to show: programs have no docstring, and problems of your own may have no title."""
    return not problem.reads_stdin and bool(problem.title.strip())


def titled_interface(problem: Problem) -> str:
    """The problem's signature with its title as docstring.

    Both were written before the statement's interface: where that says something else than the statement, they rarely say the same.
    """
    return interface_of(problem.signature, f"{' '.join(problem.title.split()).rstrip('.')}.")


def solve_question(ask: Ask, problem: Problem, view: int = 0) -> Question:
    """The question for a solution: the same in stage 5 and in training. view: 1 shows the title as docstring (`solutions.views`)."""
    if problem.reads_stdin:
        return ask("solve_stdin", description=problem.description, example=shown_example(problem))
    interface = titled_interface(problem) if view and has_two_views(problem) else problem.interface or problem.signature
    return ask("solve", description=problem.description, interface=interface, entry=problem.entry)


def sample_solutions(
    sampler: Sampler,
    ask: Ask,
    problems: Sequence[Problem],
    config: SolutionsConfig,
    seed: int,
    progress: Progress | None = None,
) -> Iterator[Candidate]:
    """`config.samples` candidates of each problem, problem after problem; those of one at a time, where the sampler can stream.

    Those of the first view come first.
    """
    params, views = SamplingParams(config.temperature, config.top_p, config.max_new_tokens), config.views
    questions = [solve_question(ask, p, view) for p in problems for view in range(views)]
    answers = iter(stream_answers(sampler, questions, config.samples // views, params, seed, progress))
    return (c for p in problems for view in range(views) for c in candidates_of(p, next(answers), view))


def candidates_of(problem: Problem, answers: Sequence[Completion], view: int = 0) -> list[Candidate]:
    """A problem's candidates from equally many answers to each of its views, of which this is one."""
    return [
        Candidate(
            problem_id=problem.id,
            index=view * len(answers) + place,
            completion=answer.text,
            code=read_voter(answer.text, problem.entry, given_code(problem), answer.finished),
            token_ids=answer.token_ids,
            logprobs=tuple(round(p, 4) for p in answer.logprobs),
            finished=answer.finished,
            view=view,
        )
        for place, answer in enumerate(answers)
    ]
