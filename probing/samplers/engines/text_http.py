"""The `http` sampler for servers of which no more than text can be asked (`sampling.http.text_only`): llama.cpp's, Ollama, a hosted API.

They need `/v1/models` and `/v1/completions` alone. Prompts go as text, and each answer is a request of its own, since many servers refuse
`n`. Where a server gives no logprobs, those of its answers stay unknown. No weights are loaded here, and nothing is held against them:
what an answer is worth, its execution decides. So this is for `ucoder solve`, not for training.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from probing.samplers.base import Completion, SamplerError, SamplingParams, cut_at_stop
from probing.samplers.engines.http import MOST_STOPS, HttpSampler
from probing.samplers.engines.requests import Requests


class TextSampler(HttpSampler):
    """A `Sampler` over a server that gives text. Raises SamplerError when it stays away, or answers what cannot be used."""

    reads_text = True

    def _tasks(self, prompts: Sequence[str], asked: Requests, params: SamplingParams) -> list[Callable[[], list[Completion]]]:
        """One request an answer. Token ids are those of this machine's tokenizer."""
        return [
            functools.partial(self._answer, prompt, params, (its_seed + place) % 2**31)
            for prompt, its_seed in zip(prompts, asked.seeds, strict=True)
            for place in range(asked.draws)
        ]

    def _answer(self, prompt: str, params: SamplingParams, seed: int) -> list[Completion]:
        body: dict[str, Any] = {
            "model": self.name,
            "prompt": prompt,
            "max_tokens": params.max_new_tokens,
            "temperature": params.temperature,
            "top_p": params.top_p,
            "seed": seed,
            "logprobs": 1,
        }
        if params.stop:
            body["stop"] = list(params.stop[:MOST_STOPS])
        choices = self._persist("completions", body).get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict) or not isinstance(choice.get("text"), str):
            raise SamplerError(f"the server at {self.http.url} answers without a text: is it one with /v1/completions?")
        return [self._read(choice, params.stop)]

    def _read(self, choice: Mapping[str, Any], stop: Sequence[str]) -> Completion:
        """One answer; further stop strings cut its text here. A known logprob is spread evenly over the tokens."""
        whole: str = choice["text"]
        text = cut_at_stop(whole, stop)
        finished = choice.get("finish_reason") == "stop" or len(text) < len(whole)
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        if self.tokenizer.eos_token_id is not None and (not ids or (finished and not stop)):
            ids = [*ids, self.tokenizer.eos_token_id]
        mean = _mean_logprob(choice)
        return Completion(text, tuple(int(i) for i in ids), () if mean is None else (mean,) * len(ids), finished)


def _mean_logprob(choice: Mapping[str, Any]) -> float | None:
    """Nats a token of the server's, in either of the forms that OpenAI's API has; None where it gives none.

    >>> _mean_logprob({"logprobs": {"token_logprobs": [-1.0, -3.0]}}), _mean_logprob({"logprobs": {"content": [{"logprob": -0.5}]}})
    (-2.0, -0.5)
    >>> _mean_logprob({"text": "x"}) is None
    True
    """
    given = choice.get("logprobs") or {}
    values = given.get("token_logprobs") or [token.get("logprob") for token in given.get("content") or ()]
    known = [float(value) for value in values if value is not None]
    return sum(known) / len(known) if known else None
