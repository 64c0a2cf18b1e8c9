"""Rows of the user's own that are too long for the model: left out when a round draws them, where one alone would end the run.

What is not written yet (a signature, an interface) cannot be counted, so a prompt that it makes too long still ends the run, on one screen.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from probing.models.loading import adapter_base, is_adapter
from probing.prompts.asking import Asker
from probing.records import SELF_MADE, Problem
from probing.samplers.config import SamplingConfig
from probing.stages.problems import Funnel
from probing.stages.solutions import solve_question
from probing.stages.suites import tests_question
from rl.config.schema import Config

TOO_LONG = "too long"


class Contexts(NamedTuple):
    """Tokens of prompt and answer together; None: not known."""

    sampler: int | None  # that the run's sampler takes
    policy: int | None  # that the policy takes, which draws its rollouts itself


def contexts_of(sampling: SamplingConfig, checkpoint: str) -> Contexts:
    """The limits that samplers check prompts against."""
    from transformers import AutoConfig

    path = os.path.expanduser(adapter_base(checkpoint) if is_adapter(checkpoint) else checkpoint)
    policy = getattr(AutoConfig.from_pretrained(path), "max_position_embeddings", None)
    engine = sampling.ray.engine if sampling.backend == "ray" else sampling.backend
    if engine == "http":  # the server says
        return Contexts(None, policy)
    return Contexts((sampling.vllm.max_length if engine == "vllm" else None) or policy, policy)


def fitting(problems: Sequence[Problem], ask: Asker, config: Config, contexts: Contexts, funnel: Funnel) -> list[Problem]:
    """The problems whose prompts fit; the others are counted as `too long`."""
    kept = []
    for problem in problems:
        if any(limit is not None and tokens > limit for tokens, limit in _lengths(problem, ask, config, contexts)):
            funnel.drop(TOO_LONG)
        else:
            kept.append(problem)
    return kept


def _lengths(problem: Problem, ask: Asker, config: Config, contexts: Contexts) -> Iterator[tuple[int, int | None]]:
    """(tokens of a prompt and its answer, the limit that they are held against) of what the stages will ask about a problem."""

    def count(text: str) -> int:
        return len(ask.tokenizer(text, add_special_tokens=False)["input_ids"])

    claims = config.consensus.needs_expected_outputs
    yield count(tests_question(ask, problem, claims).text) + config.suites.max_new_tokens, contexts.sampler
    if not problem.reads_stdin:
        question = ask("interface", description=problem.description, entry=problem.entry, signature=problem.signature)
        yield count(question.text) + config.problems.interface_max_new_tokens, contexts.sampler
    solve = count(solve_question(ask, problem).text)
    if config.solutions.source == SELF_MADE:
        longest = max(count(solve_question(ask, problem, view).text) for view in range(config.solutions.views))
        yield longest + config.solutions.max_new_tokens, contexts.sampler
    if "grpo" in config.consolidation and config.grpo.rollouts == "policy":
        yield solve + config.grpo.max_new_tokens, contexts.policy
