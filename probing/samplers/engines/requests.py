"""What an engine in another process is asked for: one request a prompt, with all of the prompt's samples.

What the samplers on vLLM and on a server share; our own decoding shares `check_lengths`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from probing.samplers.base import PromptError, SamplingParams
from probing.samplers.randomness import row_keys

SHOWN_TOKENS = 24  # of a prompt that is refused


@dataclass(frozen=True)
class Requests:
    """One request for each prompt."""

    prompt_ids: list[list[int]]
    seeds: list[int]  # from which an engine counts up for a prompt's samples
    draws: int  # samples of a request
    copies: int  # of each sample: greedy answers are all the same, and drawn once


def prepare(
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    n: int,
    params: SamplingParams,
    seed: int,
    indices: Sequence[int] | None,
    limit: int | None,
) -> Requests:
    """The requests for a call of `Sampler.sample`. limit: tokens that the engine's context holds; None: not known.

    Raises ValueError for n < 1, PromptError for a prompt that is empty or too long.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, not {n}")
    prompt_ids = tokenizer(list(prompts), add_special_tokens=False)["input_ids"] if prompts else []
    check_lengths(prompt_ids, params.max_new_tokens, limit, tokenizer)
    draws = 1 if params.temperature == 0 else n
    return Requests(prompt_ids, request_seeds(seed, range(len(prompts)) if indices is None else indices), draws, n // draws)


def request_seeds(seed: int, prompts: Sequence[int]) -> list[int]:
    """One seed a prompt, from which an engine counts up for the prompt's samples: 61 bits, so that none overflows."""
    keys = row_keys(seed, list(prompts), [0] * len(prompts))
    return [int(key) >> 3 for key in keys]


def check_lengths(
    prompts: Sequence[Sequence[int]], new_tokens: int, limit: int | None, tokenizer: PreTrainedTokenizerBase, whose: str = "engine"
) -> None:
    """Raises PromptError for a prompt that is empty, or too long for the context. whose: limit it is, for the message."""
    for place, ids in enumerate(prompts):
        if not len(ids):
            raise PromptError(f"prompt {place} has no tokens")
        if limit is not None and len(ids) + new_tokens > limit:
            middle = tokenizer.decode(list(ids[len(ids) // 2 :][:SHOWN_TOKENS]))  # prompts begin and end alike
            raise PromptError(
                f"prompt {place} has {len(ids)} tokens, which with max_new_tokens={new_tokens} passes the {whose}'s {limit}; "
                f"in its middle it says {middle!r}"
            )
