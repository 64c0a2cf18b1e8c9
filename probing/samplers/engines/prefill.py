"""Reading prompts: a few at a time, and what all of them begin with only once.

Shapes: G prompts, C tokens that all prompts of the call begin with, P longest prompt, V tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MOST_TOKENS = {"cpu": 2048}  # in one forward pass, padding included: more would not be faster, and progress could not be shown meanwhile
MOST_TOKENS_ELSEWHERE = 8192
SHARED_TOKENS = 16  # a shorter beginning is not worth a pass of its own


class Prefill:
    """Reads the prompts of one call, a non-empty list of token ids each."""

    def __init__(self, model: PreTrainedModel, prompts: Sequence[Sequence[int]]) -> None:
        self.model = model
        ordered = sorted(list(prompt) for prompt in prompts)
        first, last = ordered[0], ordered[-1]  # what these two share, in the order of words, all between them share
        alike = next((place for place, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
        shared = min(alike, min(map(len, prompts)) - 1) if len(prompts) > 1 else 0  # every prompt has a token to go on from
        self.shared = list(prompts[0][:shared]) if shared >= SHARED_TOKENS else []
        self.start: DynamicCache | None = None  # keys and values of the shared tokens

    def batches(self, prompts: Sequence[Sequence[int]]) -> Iterator[range]:
        """Neighbouring prompts, the longest first, that are read together."""
        most = MOST_TOKENS.get(self.model.device.type, MOST_TOKENS_ELSEWHERE)
        start = 0
        while start < len(prompts):
            each = max(1, most // (len(prompts[start]) - len(self.shared)))
            yield range(start, min(start + each, len(prompts)))
            start += each

    def read(self, prompts: Sequence[Sequence[int]]) -> tuple[torch.Tensor, DynamicCache]:
        """Logits after each prompt, [G, V], and the keys and values of its tokens, [G, heads, P, D] in each layer.

        Prompts are padded on the right, where a causal model never sees it.
        """
        if self.shared and self.start is None:
            self.start = DynamicCache()
            self._forward(np.array([self.shared]), self.start, np.array([len(self.shared) - 1]))
        width, shared = max(map(len, prompts)), len(self.shared)
        ids_GP = np.zeros((len(prompts), width - shared), dtype=np.int64)
        for row, prompt in enumerate(prompts):
            ids_GP[row, : len(prompt) - shared] = prompt[shared:]
        ends_G = np.array([len(prompt) - shared - 1 for prompt in prompts])
        kept = np.unique(ends_G)  # logits of a few places only: a whole [G, P, V] would be the largest tensor of the run
        cache = DynamicCache()
        if self.start is not None:
            for layer, part in enumerate(self.start.layers):
                assert isinstance(part, DynamicLayer) and part.keys is not None and part.values is not None
                keys, values = part.keys, part.values
                cache.update(keys.expand(len(prompts), -1, -1, -1), values.expand(len(prompts), -1, -1, -1), layer)
        logits_GKV = self._forward(ids_GP, cache, kept)
        return logits_GKV[torch.arange(len(prompts)), torch.as_tensor(np.searchsorted(kept, ends_G))], cache

    def _forward(self, ids_GP: np.ndarray, cache: DynamicCache, kept: np.ndarray) -> torch.Tensor:
        device = self.model.device
        output = self.model(
            input_ids=torch.as_tensor(ids_GP, device=device),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=torch.as_tensor(kept, device=device),
        )
        logits_GKV: torch.Tensor = output.logits
        return logits_GKV
