"""Stage 5, solution space probing: many samples a problem, with token logprobs, and the program in each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from probing.answers import extract_code
from probing.config import SolutionsConfig
from probing.problems import Chat
from probing.records import Candidate, Problem
from probing.samplers.base import Completion, Sampler, SamplingParams, StreamingSampler
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
) -> Iterator[Candidate]:
    """`config.samples` candidates of each problem, problem after problem; those of one at a time, where the sampler can stream."""
    params = SamplingParams(config.temperature, config.top_p, config.max_new_tokens)
    prompts = [solve_prompt(chat, p) for p in problems]
    draw = sampler.stream if isinstance(sampler, StreamingSampler) else sampler.sample
    answers = draw(prompts, config.samples, params, seed, progress)
    return (candidate for problem, group in zip(problems, answers, strict=True) for candidate in candidates_of(problem, group))


def candidates_of(problem: Problem, answers: Sequence[Completion]) -> list[Candidate]:
    """A problem's candidates from the answers to it."""
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
        for index, answer in enumerate(answers)
    ]
