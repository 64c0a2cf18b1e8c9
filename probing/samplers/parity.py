"""Does an engine hold the checkpoint that it should? Its greedy answers against those of transformers, token by token.

Engines round differently, so where two tokens are almost equally likely either may come first: a different token counts as a mismatch
only when transformers holds it for less likely than its best by more than a tolerance. Stale or wrong weights miss by whole nats.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from probing.models.chat_template import render_chat
from probing.samplers.base import Sampler, SamplerError, SamplingParams

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

TOKENS = 16  # compared in each answer
QUESTIONS = (
    "Write a Python function that returns the sum of the even numbers of a list.",
    "Reverse the words of a sentence in Python.",
    "def f(xs: list[int]) -> int:",
    "What is the longest word of a list? Answer with code.",
    "Count the vowels of a text in Python.",
    "Write a Python function that merges two dictionaries.",
    "Return the second largest of some integers.",
    "Is a string a palindrome? Answer with a Python function.",
)


@dataclass(frozen=True)
class GreedyTrace:
    """What transformers answers greedily: prompts, and for each its tokens (T at most) and the logprobs of all V tokens at each place."""

    prompts: tuple[str, ...]
    tokens: tuple[tuple[int, ...], ...]
    logprobs_TV: tuple[npt.NDArray[np.float32], ...]
    dtype: torch.dtype


def greedy_trace(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, count: int, length: int = TOKENS) -> GreedyTrace:
    """Greedy answers to the first `count` questions, through the model's own `generate`."""
    generator: Any = model
    prompts, tokens, logprobs = [], [], []
    for question in [QUESTIONS[i % len(QUESTIONS)] for i in range(count)]:
        prompt = render_chat(tokenizer, question)
        ids_1P = tokenizer(prompt, add_special_tokens=False, return_tensors="pt")["input_ids"].to(model.device)
        found = generator.generate(
            ids_1P,
            attention_mask=torch.ones_like(ids_1P),
            do_sample=False,
            max_new_tokens=length,
            repetition_penalty=1.0,  # a checkpoint's generation config may have one, and generate applies it to greedy answers too
            output_logits=True,
            return_dict_in_generate=True,
            pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id,
        )
        prompts.append(prompt)
        tokens.append(tuple(found.sequences[0, ids_1P.shape[1] :].tolist()))
        logprobs.append(torch.log_softmax(torch.cat(found.logits).float(), dim=-1).cpu().numpy())
    return GreedyTrace(tuple(prompts), tuple(tokens), tuple(logprobs), model.dtype)


def default_tolerance(dtype: torch.dtype) -> float:
    """Nats by which an engine's logprobs may differ from transformers' through rounding alone."""
    return 1e-3 if dtype == torch.float32 else 0.3


def check_parity(sampler: Sampler, trace: GreedyTrace, engine: str, tolerance: float | None = None) -> None:
    """Raises SamplerError when the engine's greedy answers are not those of transformers."""
    allowed = default_tolerance(trace.dtype) if tolerance is None else tolerance
    longest = max(map(len, trace.tokens))
    answers = sampler.sample(trace.prompts, 1, SamplingParams(temperature=0.0, max_new_tokens=longest), seed=0)
    for number, ((answer,), expected, logprobs_TV) in enumerate(zip(answers, trace.tokens, trace.logprobs_TV, strict=True)):
        problem = _difference(answer.token_ids, answer.logprobs, expected, logprobs_TV, allowed)
        if problem is not None:
            raise SamplerError(
                f"{engine} does not answer as transformers does with the same checkpoint (prompt {number}, {problem}; allowed: {allowed} "
                "nats): it holds other weights, or computes them wrongly. Nothing was sampled with it"
            )


def _difference(
    tokens: Sequence[int], logprobs: Sequence[float], expected: Sequence[int], logprobs_TV: npt.NDArray[np.float32], allowed: float
) -> str | None:
    """The first place where an answer is not what transformers would say, in words; None where it is."""
    for place, (token, logprob) in enumerate(zip(tokens, logprobs, strict=True)):
        if place >= len(expected):
            return f"it goes on after the end at token {place}"
        known = logprobs_TV[place]
        if token >= len(known):
            return f"token {place} is {token}, beyond the vocabulary"
        if known.max() - known[token] > allowed:
            return f"token {place} is {known.max() - known[token]:.3g} nats less likely than the best"
        if abs(logprob - known[token]) > allowed:
            return f"the logprob of token {place} is {abs(logprob - known[token]):.3g} nats off"
        if token != expected[place]:
            return None  # as good as the best: from here on the two answers are different texts
    return None if len(tokens) == len(expected) else f"it ends after {len(tokens)} tokens instead of {len(expected)}"
