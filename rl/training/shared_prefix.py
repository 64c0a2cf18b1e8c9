"""Token logprobs of a GRPO batch without doing the same work twice: exact, and several times faster where prompts outweigh answers.

A group's rollouts share their prompt, many are the same text, and lengths differ. So: each distinct prompt runs once and its
keys and values (with their gradients) serve all its rollouts; each distinct rollout runs once; rollouts run in passes of like
length; rollouts whose advantage is 0 run without gradient. Shapes: B rows, P prompt places (padded left), T completion places
(padded right), U distinct rows, G distinct prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

CHUNK_ROWS = 32  # distinct rollouts in one pass at most
# What another pass costs, in tokens that could have been computed meanwhile: a GPU has hardly begun by then, a CPU counts every one.
PASS_TOKENS = {"cpu": 128, "cuda": 4096}


def can_share_prefix(model: PreTrainedModel) -> bool:
    """Whether a plain cache of all keys and values is right for this architecture (no sliding window, no recurrent layers)."""
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    sliding = getattr(config, "sliding_window", None) if getattr(config, "layer_types", None) is None else None
    return kinds == {"full_attention"} and sliding is None


def _select(cache: DynamicCache, rows: torch.Tensor) -> DynamicCache:
    """The cache of some of its rows (repeats allowed); gradients flow back to the original."""
    chosen = DynamicCache()
    for i, layer in enumerate(cache.layers):
        assert isinstance(layer, DynamicLayer)
        assert layer.keys is not None and layer.values is not None
        chosen.update(layer.keys[rows], layer.values[rows], i)
    return chosen


def passes(lengths: Sequence[int], pass_tokens: int, most: int = CHUNK_ROWS) -> list[int]:
    """How many rows each pass takes, in order: the cut with the least padding, where a pass itself costs `pass_tokens`.

    lengths: tokens of each row, ascending. A pass pads its rows to the longest, and takes `most` rows at most.
    """
    cost, first = [0] * (len(lengths) + 1), [0] * (len(lengths) + 1)  # of the first i rows; where the last pass of those begins
    for i in range(1, len(lengths) + 1):
        cost[i], first[i] = min((cost[j] + (i - j) * lengths[i - 1] + pass_tokens, j) for j in range(max(0, i - most), i))
    sizes, end = list[int](), len(lengths)
    while end:
        sizes.append(end - first[end])
        end = first[end]
    return sizes[::-1]


def shared_prefix_logps(
    model: Any,
    backbone: PreTrainedModel,
    ids_BL: torch.Tensor,
    mask_BL: torch.Tensor,
    n_completion: int,
    active_B: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logprobs (tempered as the fused head is) and entropies of the completion tokens, float[B, T] each; 0 at padding.

    model: takes TRL's `fused_lm_head` (may be wrapped for data parallelism). backbone: the same weights without head and wrapper.
    ids_BL, mask_BL: int[B, P + T], T = n_completion, P >= 1. active_B: bool[B], rows that need a gradient (None: all).
    """
    n_rows, width = ids_BL.shape
    n_prompt = width - n_completion
    both_UL, row_B = torch.unique(torch.cat([ids_BL, mask_BL], dim=1), dim=0, return_inverse=True)
    ids_UL, mask_UL = both_UL[:, :width], both_UL[:, width:]
    prompts_GP, prompt_U = torch.unique(torch.cat([ids_UL[:, :n_prompt], mask_UL[:, :n_prompt]], dim=1), dim=0, return_inverse=True)
    cache: DynamicCache | None = None
    if n_prompt > 1:  # the last prompt token runs with the completions: it predicts their first token
        cache = DynamicCache()
        backbone(
            input_ids=prompts_GP[:, : n_prompt - 1],
            attention_mask=prompts_GP[:, n_prompt:-1],
            past_key_values=cache,
            use_cache=True,
        )

    needs_grad_U = torch.ones(len(ids_UL), dtype=torch.bool, device=ids_BL.device)
    if active_B is not None:
        needs_grad_U = torch.zeros_like(needs_grad_U).index_put_((row_B[active_B],), torch.tensor(True, device=ids_BL.device))
        needs_grad_U[0] |= ~needs_grad_U.any()  # a backward pass needs something to go through (its gradient is 0)
    length_U = mask_UL[:, n_prompt:].sum(1)
    logps, entropies, order = [], [], []
    for with_grad in (True, False):
        rows = torch.nonzero(needs_grad_U == with_grad).squeeze(1)
        rows = rows[torch.argsort(length_U[rows], stable=True)]
        sizes = passes(length_U[rows].tolist(), PASS_TOKENS.get(ids_BL.device.type, PASS_TOKENS["cuda"]), CHUNK_ROWS)
        for chunk in rows.split(sizes) if sizes else ():
            longest = max(1, int(length_U[chunk].max()))
            places = slice(n_prompt - 1, n_prompt + longest)
            labels = ids_UL[chunk, places].masked_fill(mask_UL[chunk, places] == 0, -100)
            labels[:, 0] = -100
            with nullcontext() if with_grad else torch.no_grad():
                output = model(
                    input_ids=ids_UL[chunk, places],
                    attention_mask=mask_UL[chunk, : n_prompt + longest],
                    past_key_values=None if cache is None else _select(cache, prompt_U[chunk]),
                    labels=labels,
                    fused_lm_head=True,
                )
            padding = (0, n_completion - longest)
            logps.append(torch.nn.functional.pad(output.log_probs, padding))
            entropies.append(
                torch.nn.functional.pad(output.entropy, padding) if output.entropy is not None else torch.zeros_like(logps[-1])
            )
            order.append(chunk)
    place_U = torch.argsort(torch.cat(order))
    back_B = place_U[row_B]
    assert len(back_B) == n_rows
    return torch.cat(logps)[back_B], torch.cat(entropies)[back_B]
