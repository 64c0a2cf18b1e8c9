"""Keys and values of a live batch: each prompt stored once, each row's own tokens beside it, and attention over the two.

The n samples of a problem share a prompt. Expanding its keys and values n times costs memory and, at every step, the bandwidth to read them
again; here the rows of a prompt are multiplied with the one copy (shared-prefix attention, Juravsky et al., "Hydragen", 2024), and one
softmax runs over prompt and own tokens together, so the result is plain attention up to rounding.

Works with any architecture that takes its attention from transformers' `AttentionInterface` with full attention in every layer. Others are
refused with a reason, never decoded wrongly.

Shapes: L layers, B live rows, G live prompts, R most rows of one prompt, H key-value heads, Q query heads for each of them, P longest live
prompt, S longest own part, D head width. Stores are allocated for more than is live; the letters mean the live part.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import AttentionInterface, Cache, DynamicCache

from probing.samplers.base import SamplerError

ATTENTION = "ucoder_shared_prefix"  # the name under which transformers knows `prefix_attention`

Ints = npt.NDArray[np.int64]


class PrefixCache(Cache):
    """Room for `rows` sequences of at most `own_length` tokens after prompts of at most `prompt_length`.

    Prompts lie packed in slots 0..G-1 and rows in 0..B-1. The caller owns the bookkeeping (which row has which prompt, how old it is), and
    says so through `lay_out` before each decoding step.
    """

    def __init__(self, rows: int, own_length: int, prompt_length: int) -> None:
        super().__init__(layers=[])
        self.rows, self.own_length, self.prompt_length = rows, own_length, prompt_length
        self.prompts: list[torch.Tensor] = []  # keys and values: two of [L, slots, H, P, D]
        self.own: list[torch.Tensor] = []  # keys and values: two of [L, rows, H, S, D]
        self.calls = 0  # layers attended in this step: tells a model that goes past this cache

    def add_prompts(self, first: int, prefill: DynamicCache) -> None:
        """Copy what a right-padded prefill of some prompts has computed into slots `first`, `first + 1`, ...

        Raises SamplerError for layers whose caches have different shapes.
        """
        for which, name in enumerate(("keys", "values")):
            layers_GHPD = [getattr(layer, name) for layer in prefill.layers]
            if len({tensor.shape for tensor in layers_GHPD}) > 1:
                raise SamplerError("the layers of this model have caches of different shapes, which the transformers sampler cannot decode")
            new_LGHPD = torch.stack(layers_GHPD)
            layers, slots, heads, width, head_dim = new_LGHPD.shape
            if len(self.prompts) <= which:
                self.prompts.append(new_LGHPD.new_zeros(layers, 0, heads, self.prompt_length, head_dim))
                self.own.append(new_LGHPD.new_zeros(layers, self.rows, heads, self.own_length, head_dim))
            short = first + slots - self.prompts[which].shape[1]
            if short > 0:  # at least double, so that the copying stays linear in the slots
                extra = new_LGHPD.new_zeros(layers, max(short, first), heads, self.prompt_length, head_dim)
                self.prompts[which] = torch.cat([self.prompts[which], extra], dim=1)
            self.prompts[which][:, first : first + slots, :, :width] = new_LGHPD

    def move_prompt(self, source: int, target: int) -> None:
        """Overwrite slot `target` with slot `source`."""
        for store in self.prompts:
            store[:, target] = store[:, source]

    def move_rows(self, sources: Ints, targets: Ints, length: int) -> None:
        """Overwrite rows `targets` with rows `sources` (int[K] each), `length` own tokens long at most."""
        for store in self.own:
            at = torch.as_tensor(targets, device=store.device), torch.as_tensor(sources, device=store.device)
            store[:, at[0], :, :length] = store[:, at[1], :, :length]

    def lay_out(self, slot_B: Ints, prompt_length_G: Ints, age_B: Ints, device: torch.device, dtype: torch.dtype) -> None:
        """Prepare one step: each row's prompt slot, the tokens of each prompt, and the tokens that each row has stored already."""
        n_rows, self.G = len(slot_B), len(prompt_length_G)
        self.P, self.S = int(prompt_length_G.max()), int(age_B.max()) + 1
        order = np.argsort(slot_B, kind="stable")
        count_G = np.bincount(slot_B, minlength=self.G)
        rank_B = np.empty(n_rows, dtype=np.int64)
        rank_B[order] = np.arange(n_rows) - np.repeat(np.cumsum(count_G) - count_G, count_G)
        self.R = int(count_G.max())
        row_of_GR = np.zeros((self.G, self.R), dtype=np.int64)  # places without a row repeat row 0 and are dropped again
        row_of_GR[slot_B, rank_B] = np.arange(n_rows)
        hidden_BT = np.concatenate(
            [np.arange(self.P) >= prompt_length_G[slot_B][:, None], np.arange(self.S) > age_B[:, None]],
            axis=1,
        )
        ints = torch.as_tensor(np.concatenate([slot_B, rank_B, age_B, row_of_GR.ravel()]), device=device)
        self.slot_B, self.rank_B, self.age_B = ints[:n_rows], ints[n_rows : 2 * n_rows], ints[2 * n_rows : 3 * n_rows]
        self.row_of_GR = ints[3 * n_rows :]
        self.row_B = torch.arange(n_rows, device=device)
        mask_BT = torch.zeros(hidden_BT.shape, dtype=dtype, device=device)
        mask_BT.masked_fill_(torch.as_tensor(hidden_BT, device=device), torch.finfo(dtype).min)
        self.mask_B11T = mask_BT[:, None, None]
        self.calls = 0

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Store one new token a row ([B, H, 1, D] each) and return the rows' own keys and values, [B, H, S, D]."""
        live: list[torch.Tensor] = []
        for store, new_BH1D in zip(self.own, (key_states, value_states), strict=True):
            store[layer_idx][self.row_B, :, self.age_B] = new_BH1D[:, :, 0].to(store.dtype)  # under autocast values differ from keys
            live.append(store[layer_idx, : len(self.row_B), :, : self.S])
        return live[0], live[1]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Longest live sequence in tokens; positions are given to the model explicitly, so nothing depends on it."""
        return self.P + self.S - 1


def prefix_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    shared_prefix: PrefixCache | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """One query token a row over its prompt and its own tokens: query [B, H*Q, 1, D], key and value [B, H, S, D] -> [B, 1, H*Q, D].

    Raises SamplerError for attention of another kind (sinks, position biases, a window shorter than the sequence).
    """
    if shared_prefix is None:
        raise SamplerError(f"{type(module).__name__} does not hand keyword arguments on to its attention, as the sampler needs")
    cache = shared_prefix
    unknown = [name for name in ("s_aux", "position_bias", "head_mask") if kwargs.get(name) is not None]
    if unknown or (sliding_window is not None and sliding_window < cache.P + cache.S):
        raise SamplerError(f"{type(module).__name__} uses {unknown or 'a sliding window'}, which the transformers sampler does not decode")
    cache.calls += 1
    layer: int = module.layer_idx  # type: ignore[assignment]
    n_rows, heads, _, head_dim = key.shape
    own_k, own_v = key.flatten(0, 1), value.flatten(0, 1)  # [BH, S, D]
    prompt_k, prompt_v = (store[layer, : cache.G, :, : cache.P].flatten(0, 1) for store in cache.prompts)  # [GH, P, D]

    q_BHQD = query.view(n_rows, heads, -1, query.shape[-1]) * (head_dim**-0.5 if scaling is None else scaling)
    own_BHQS = torch.bmm(q_BHQD.flatten(0, 1), own_k.transpose(1, 2)).view(n_rows, heads, -1, cache.S)
    prompt_BHQP = _by_row(torch.bmm(_by_prompt(q_BHQD, cache), prompt_k.transpose(1, 2)), cache)
    scores_BHQT = torch.cat([prompt_BHQP, own_BHQS], dim=-1)
    if softcap is not None:
        scores_BHQT = softcap * torch.tanh(scores_BHQT / softcap)
    weights_BHQT = torch.softmax(scores_BHQT + cache.mask_B11T, dim=-1, dtype=torch.float32).to(query.dtype)
    prompt_BHQP, own_BHQS = weights_BHQT.split([cache.P, cache.S], dim=-1)
    out_BHQD = torch.bmm(own_BHQS.flatten(0, 1), own_v).view(n_rows, heads, -1, own_v.shape[-1])
    out_BHQD = out_BHQD + _by_row(torch.bmm(_by_prompt(prompt_BHQP, cache), prompt_v), cache)
    return out_BHQD.reshape(n_rows, 1, -1, own_v.shape[-1]), None


def _by_prompt(x_BHQX: torch.Tensor, cache: PrefixCache) -> torch.Tensor:
    """Rows gathered under their prompts: [B, H, Q, X] -> [G*H, R*Q, X]."""
    _, heads, per_head, width = x_BHQX.shape
    x_GRHQX = x_BHQX[cache.row_of_GR].view(cache.G, cache.R, heads, per_head, width)
    return x_GRHQX.transpose(1, 2).reshape(cache.G * heads, cache.R * per_head, width)


def _by_row(x: torch.Tensor, cache: PrefixCache) -> torch.Tensor:
    """Back again: [G*H, R*Q, X] -> [B, H, Q, X]."""
    x_GHRQX = x.view(cache.G, x.shape[0] // cache.G, cache.R, -1, x.shape[-1])
    return x_GHRQX[cache.slot_B, :, cache.rank_B]


AttentionInterface.register(ATTENTION, prefix_attention)
