"""The default sampler: our own decoding loop over any transformers causal LM, on a CPU or a GPU.

Each prompt is computed once for all its samples; a bounded batch of rows decodes one token a step; a row that ends leaves the batch at once
and a waiting one takes its place. Also takes a loaded model, such as the live policy of a GRPO step, and leaves it as it was.

Measured against `generate` by `python -m bench.speed.sampling`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from probing.models.loading import end_token_ids
from probing.samplers.base import Completion, Progress, SamplerError, SamplingParams, cut_at_stop
from probing.samplers.engines.decoding import BatchDecoder, Drawn, evaluation_mode
from probing.samplers.engines.prefill import Prefill
from probing.samplers.engines.requests import check_lengths
from probing.samplers.randomness import row_keys
from probing.samplers.stops import StopWatch

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class TransformersSampler:
    """A `Sampler` over a loaded causal LM. `batch_size` is the most rows decoded at once; the memory for keys and values follows it."""

    can_choose = True

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, batch_size: int = 256) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        if not getattr(model, "_supports_attention_backend", False):
            raise SamplerError(f"{type(model).__name__} does not support transformers' attention interface, which this sampler needs")
        self.model, self.tokenizer, self.batch_size = model, tokenizer, batch_size

    def sample(
        self,
        prompts: Sequence[str],
        n: int,
        params: SamplingParams,
        seed: int,
        progress: Progress | None = None,
        indices: Sequence[int] | None = None,
    ) -> list[list[Completion]]:
        """See `Sampler.sample`. Raises PromptError on an empty or too long prompt, SamplerError when logits stop being finite."""
        prompt_ids = self.tokenizer(list(prompts), add_special_tokens=False)["input_ids"] if prompts else []
        drawn = self.sample_ids(prompt_ids, n, params, seed, progress, indices)
        texts = iter(self.tokenizer.batch_decode([list(ids) for rows in drawn for ids, _, _ in rows], skip_special_tokens=True))
        return [[Completion(cut_at_stop(next(texts), params.stop), *row) for row in rows] for rows in drawn]

    def sample_ids(
        self,
        prompts: Sequence[Sequence[int]],
        n: int,
        params: SamplingParams,
        seed: int,
        progress: Progress | None = None,
        indices: Sequence[int] | None = None,
    ) -> list[list[Drawn]]:
        """As `sample`, from token ids to (token ids, logprobs, finished) triples."""
        if n < 1:
            raise ValueError(f"n must be at least 1, not {n}")
        names_N = np.arange(len(prompts)) if indices is None else np.asarray(indices, dtype=np.int64)
        if len(names_N) != len(prompts):
            raise ValueError(f"{len(prompts)} prompts with {len(names_N)} indices")
        if not len(prompts):
            return []
        limit = getattr(self.model.config, "max_position_embeddings", None)
        check_lengths(prompts, params.max_new_tokens, limit, self.tokenizer, "model")
        prompts_Nn, samples_Nn = np.broadcast_arrays(names_N[:, None], np.arange(n)[None])
        keys_Nn = row_keys(seed, prompts_Nn, samples_Nn)
        rows = min(self.batch_size, len(prompts) * n)
        ends = end_token_ids(self.model, self.tokenizer)
        watch = StopWatch(params.stop, self.tokenizer) if params.stop else None
        with torch.no_grad(), evaluation_mode(self.model):
            return BatchDecoder(self.model, prompts, keys_Nn, params, ends, rows, progress, watch).run()

    def choose(self, prompts: Sequence[str], choices: Sequence[str], progress: Progress | None = None) -> list[tuple[float, ...] | None]:
        """See `ChoosingSampler.choose`."""
        found: list[tuple[float, ...] | None] = [None] * len(prompts)
        encoded: dict[int, list[int]] = {}  # prompt -> its tokens, where its choices are one token each
        ends: dict[int, list[int]] = {}  # prompt -> those tokens
        for place, prompt in enumerate(prompts):
            if (tokens := choice_tokens(self.tokenizer, prompt, choices)) is not None:
                encoded[place], ends[place] = tokens
        if progress is not None and len(ends) < len(prompts):
            progress(len(prompts) - len(ends))
        order = sorted(ends, key=lambda place: -len(encoded[place]))
        if not order:
            return found
        asked = [encoded[place] for place in order]
        prefill = Prefill(self.model, asked)
        with torch.no_grad(), evaluation_mode(self.model):
            for batch in prefill.batches(asked):
                chunk = [order[i] for i in batch]
                logits_GV, _ = prefill.read([encoded[place] for place in chunk])
                ends_GC = torch.tensor([ends[place] for place in chunk], device=self.model.device)
                shares_GC = torch.softmax(logits_GV.float().gather(1, ends_GC), dim=-1).tolist()
                for place, shares in zip(chunk, shares_GC, strict=True):
                    found[place] = tuple(shares)
                if progress is not None:
                    progress(len(chunk))
        return found

    def close(self) -> None:
        """Let go of the model."""
        self.__dict__.pop("model", None)


def choice_tokens(tokenizer: PreTrainedTokenizerBase, prompt: str, choices: Sequence[str]) -> tuple[list[int], list[int]] | None:
    """A prompt's tokens, and the one token that each choice adds to them; None where one adds another number of tokens.

    The blank that a prompt ends with may belong to the choice's token: vocabularies such as GPT-2's have " 9", and split "9" off others.
    """
    longer = [list(ids) for ids in tokenizer([prompt + choice for choice in choices], add_special_tokens=False)["input_ids"]]
    for start in dict.fromkeys((prompt, prompt.removesuffix(" "))):
        ids = list(tokenizer(start, add_special_tokens=False)["input_ids"])
        if all(row[:-1] == ids for row in longer):
            return ids, [row[-1] for row in longer]
    return None
