"""Stage 5, solution space probing: many samples a problem, with token logprobs, and the program in each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from probing.answers import extract_code
from probing.config import SolutionsConfig
from probing.problems import Chat
from probing.records import Candidate, Problem
from probing.samplers.base import Sampler, SamplingParams
from probing.templates import render


def solve_prompt(chat: Chat, problem: Problem) -> str:
    """The prompt that asks for a solution: the same in stage 5, in training and in evaluations."""
    return chat(render("solve", description=problem.description, interface=problem.interface or problem.signature))


def sample_solutions(
    sampler: Sampler,
    chat: Chat,
    problems: Sequence[Problem],
    config: SolutionsConfig,
    seed: int,
    progress: Callable[[int], None] | None = None,
) -> list[Candidate]:
    """`config.samples` candidates of each problem, problem after problem."""
    params = SamplingParams(config.temperature, config.top_p, config.max_new_tokens)
    answers = sampler.sample([solve_prompt(chat, p) for p in problems], config.samples, params, seed, progress)
    return [
        Candidate(
            problem_id=problem.id,
            index=index,
            completion=answer.text,
            code=extract_code(answer.text),
            token_ids=answer.token_ids,
            logprobs=tuple(round(p, 4) for p in answer.logprobs),
            finished=answer.finished,
        )
        for problem, group in zip(problems, answers, strict=True)
        for index, answer in enumerate(group)
    ]
