"""Stage 1's questions: new problems by topic, and steps beyond problems that earlier rounds solved (`problems.depth`).

    drawn = propose(sampler, ask, config, seed, solved)     # read and selected by `probing.stages.problems.select_proposals`

A solved problem is one to which nearly all answers behave alike (`rl.loop.asking.solved_problems`). Nothing is left to learn there, but
its statement seems to say what is wanted: a problem one step harder may be neither hopeless nor settled.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from probing.parsing.stdin_texts import stored_sample
from probing.prompt import Question
from probing.prompts.asking import Ask, answers_to
from probing.records import Problem
from probing.samplers.base import Completion, Progress, Sampler, SamplingParams
from probing.stages.config import ProblemsConfig

PROPOSALS_PER_PROMPT = 128  # samples of one topic's prompt that are drawn together, at most
LEAST_PER_PROMPT = 6  # and at least, where a set words its prompt in several ways
PER_SOLVED = 4  # proposals beyond one solved problem, each asked for another kind of step: samples of one prompt are too much alike


@dataclass(frozen=True)
class Drawn:
    """One answer of stage 1, not read yet."""

    topic: str
    prompt: str  # rendered
    answer: Completion
    beyond: str | None = None  # id of the solved problem that it was asked to go beyond; None: asked for by topic


def propose(
    sampler: Sampler, ask: Ask, config: ProblemsConfig, seed: int, solved: Sequence[Problem] = (), progress: Progress | None = None
) -> list[Drawn]:
    """Stage 1: `config.count` proposals: first those by topic, topics in turn, then those beyond `solved`."""
    params = SamplingParams(config.temperature, config.top_p, config.max_new_tokens)
    fresh, beyond = counts(config, len(solved))
    questions, each = _by_topic(ask, config, seed, fresh), _blocks(config, ask.variants, fresh)[1]
    # its estimate would leave out the second half of the work
    shown = _without_estimate(progress) if beyond and progress is not None else progress
    answers = answers_to(sampler, questions, each, params, seed, shown)
    drawn = [
        Drawn(topic, questions[place].text, answers[place][sample])
        for topic, place, sample in _places(config, ask.variants, fresh)
    ]  # fmt: skip
    if beyond:
        parents = [parent for parent in _drawn_from(solved, beyond // PER_SOLVED, seed) for _ in range(PER_SOLVED)]
        steps = [_step_beyond(ask, config, parent, seed % 9973 + i) for i, parent in enumerate(parents)]
        groups = answers_to(sampler, steps, 1, params, seed ^ 1, progress)
        for parent, question, (answer,) in zip(parents, steps, groups, strict=True):
            drawn.append(Drawn(parent.topic, question.text, answer, parent.id))
    return drawn


def counts(config: ProblemsConfig, solved: int) -> tuple[int, int]:
    """(proposals by topic, proposals beyond solved problems), of `config.count`. solved: the problems that there are.

    >>> counts(ProblemsConfig(count=100, depth=0.5), 3)
    (88, 12)
    """
    beyond = PER_SOLVED * min(int(config.depth * config.count) // PER_SOLVED, solved)  # depth is below 1: some are asked for by topic
    return config.count - beyond, beyond


def proposals_asked(config: ProblemsConfig, variants: int, solved: int = 0) -> int:
    """Samples that `propose` draws: a few more than `config.count` where topics and prompts do not divide it."""
    fresh, beyond = counts(config, solved)
    blocks, each = _blocks(config, variants, fresh)
    return len(config.topics) * blocks * each + beyond


def _by_topic(ask: Ask, config: ProblemsConfig, seed: int, count: int) -> list[Question]:
    """Each topic's prompts, topic after topic."""
    blocks, _ = _blocks(config, ask.variants, count)
    first = seed % 9973  # other rounds meet other variants
    skill = "invent_stdin" if config.io == "stdin" else "invent"
    return [ask(skill, topic=t, variant=first + i + b * len(config.topics)) for i, t in enumerate(config.topics) for b in range(blocks)]


def _places(config: ProblemsConfig, variants: int, count: int) -> Iterator[tuple[str, int, int]]:
    """For each proposal, topics in turn: (topic, place of its question, place among that question's samples)."""
    blocks, each = _blocks(config, variants, count)
    for i in range(count):
        taken, place = divmod(i, len(config.topics))
        yield config.topics[place], place * blocks + taken // each, taken % each


def _blocks(config: ProblemsConfig, variants: int, count: int) -> tuple[int, int]:
    """(prompts of each topic, samples of each): many samples of one prompt, which is computed once for all of them, but as many prompts
    as the set has variants, and no more samples together than ranks can share.
    """
    each = math.ceil(count / len(config.topics))
    blocks = max(math.ceil(each / PROPOSALS_PER_PROMPT), min(variants, math.ceil(each / LEAST_PER_PROMPT)))
    return blocks, math.ceil(each / blocks)


def _without_estimate(progress: Progress) -> Progress:
    def told(samples: int, tokens: int = 0, seconds_left: float | None = None) -> None:
        progress(samples, tokens)

    return told


def _drawn_from(solved: Sequence[Problem], count: int, seed: int) -> list[Problem]:
    """`count` of the solved problems, none twice."""
    order = np.random.default_rng(seed).permutation(len(solved))
    return [solved[place] for place in order[:count]]


def _step_beyond(ask: Ask, config: ProblemsConfig, problem: Problem, variant: int) -> Question:
    """The question for an exercise that goes one step beyond a problem. variant: which kind of step the prompt suggests."""
    shown = {"title": problem.title, "description": problem.description, "variant": variant}
    if config.io == "stdin":
        sample = stored_sample(problem.example)
        return ask("deepen_stdin", input=sample.input, output=sample.output or "", **shown)
    return ask("deepen", signature=problem.signature, example=problem.example, **shown)
