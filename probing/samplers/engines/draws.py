"""From logits to a token: temperature, nucleus, inverse-CDF draw, and the logprob that the untempered policy gave it.

A vocabulary of 150,000 makes this as expensive as many layers of a small model. So a few rows are worked on at a time,
which stay in a CPU's cache, and the running sum is made over blocks of tokens first, then inside of the block that was drawn.
"""

from __future__ import annotations

import torch

BLOCK = 1024  # tokens summed in one; a vocabulary up to this large is one running sum
CACHED_VALUES = 2**21  # logits worked on at a time on a CPU, 8 MiB
NUCLEUS = 1024  # likeliest tokens that are sorted at first; a nucleus that is larger has the whole vocabulary sorted


def choose_tokens(
    logits_BV: torch.Tensor, uniforms_B: torch.Tensor, temperature: float = 1.0, top_p: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """One token a row and its logprob.

    Args: logits (any float dtype), one uniform in [0, 1) a row (float64), temperature (0 is greedy), top_p.
    Returns int64[B] tokens and float32[B] logprobs in nats at temperature 1 and top_p 1, whatever the arguments.
    A row whose logits are not finite gives a logprob that is not finite: the caller checks.
    """
    rows = max(1, CACHED_VALUES // logits_BV.shape[1]) if logits_BV.device.type == "cpu" else len(logits_BV)
    parts = zip(logits_BV.split(rows), uniforms_B.split(rows), strict=True)
    tokens, logprobs = zip(*(_choose(logits, uniforms, temperature, top_p) for logits, uniforms in parts), strict=True)
    return torch.cat(tokens), torch.cat(logprobs)


def _choose(logits_BV: torch.Tensor, uniforms_B: torch.Tensor, temperature: float, top_p: float) -> tuple[torch.Tensor, torch.Tensor]:
    logits_BV = logits_BV.float()
    highest_B1 = logits_BV.amax(dim=-1, keepdim=True)
    weights_BV = (logits_BV - highest_B1).exp_()
    logZ_B = weights_BV.sum(dim=-1).log_() + highest_B1[:, 0]
    if temperature == 0:
        token_B = logits_BV.argmax(dim=-1)
    elif top_p < 1:
        token_B = _nucleus_draw(torch.softmax(logits_BV / temperature, dim=-1), uniforms_B, top_p)
    else:
        if temperature != 1:
            scaled_BV = logits_BV / temperature
            weights_BV = scaled_BV.sub_(scaled_BV.amax(dim=-1, keepdim=True)).exp_()
        token_B = _inverse_cdf(weights_BV, uniforms_B)
    return token_B, logits_BV.gather(1, token_B[:, None])[:, 0] - logZ_B


def _nucleus_draw(p_BV: torch.Tensor, uniforms_B: torch.Tensor, top_p: float) -> torch.Tensor:
    """int64[B]: drawn from the smallest set of likeliest tokens that holds `top_p` of the probability."""
    count = min(NUCLEUS, p_BV.shape[1])
    p_BK, order_BK = p_BV.topk(count, dim=-1)
    if count < p_BV.shape[1] and bool((p_BK.sum(dim=-1) < top_p).any()):
        p_BK, order_BK = p_BV.sort(dim=-1, descending=True)
    # A token stays while the mass before it is short of top_p: the smallest set that reaches it.
    p_BK = p_BK.masked_fill(p_BK.cumsum(dim=-1) - p_BK >= top_p, 0.0)
    return order_BK.gather(1, _inverse_cdf(p_BK, uniforms_B)[:, None])[:, 0]


def _inverse_cdf(weights_BV: torch.Tensor, uniforms_B: torch.Tensor) -> torch.Tensor:
    """int64[B]: the first place where the running sum passes u times the total. Places of weight 0 are never chosen.

    The sums of blocks are float32's, so a draw that falls within 1e-7 of a border may go to the neighbour.
    """
    values = weights_BV.shape[1]
    if values <= 2 * BLOCK:
        cdf_BV = weights_BV.cumsum(dim=-1, dtype=torch.float64)
        return _place(cdf_BV, uniforms_B * cdf_BV[:, -1])
    whole = values // BLOCK * BLOCK
    sums_BN = weights_BV[:, :whole].unflatten(1, (-1, BLOCK)).sum(dim=-1)
    sums_BN = torch.cat([sums_BN, weights_BV[:, whole:].sum(dim=-1, keepdim=True)], dim=-1)
    cdf_BN = sums_BN.cumsum(dim=-1, dtype=torch.float64)
    target_B = uniforms_B * cdf_BN[:, -1]
    block_B = _place(cdf_BN, target_B)
    inside_B = target_B - (cdf_BN - sums_BN).gather(1, block_B[:, None])[:, 0]
    places_BK = block_B[:, None] * BLOCK + torch.arange(BLOCK, device=weights_BV.device)
    chosen_BK = weights_BV.gather(1, places_BK.clamp(max=values - 1)).masked_fill(places_BK >= values, 0.0)
    token_B = block_B * BLOCK + _place(chosen_BK.cumsum(dim=-1, dtype=torch.float64), inside_B.clamp(min=0.0))
    return token_B.clamp_(max=values - 1)  # beyond the end only where weights are not numbers


def _place(cdf_BK: torch.Tensor, target_B: torch.Tensor) -> torch.Tensor:
    """int64[B]: the first place of a running sum that passes the target; the last one of any weight where rounding puts it beyond."""
    passes_B1 = torch.searchsorted(cdf_BK, target_B[:, None], right=True)
    last_B1 = torch.searchsorted(cdf_BK, cdf_BK[:, -1:].contiguous(), right=False)
    return torch.minimum(passes_B1, last_B1)[:, 0].clamp_(max=cdf_BK.shape[1] - 1)
