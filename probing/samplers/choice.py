"""From logits to a token: temperature, nucleus, inverse-CDF draw, and the logprob that the untempered policy gave it."""

from __future__ import annotations

import torch


def choose_tokens(
    logits_BV: torch.Tensor, uniforms_B: torch.Tensor, temperature: float = 1.0, top_p: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """One token a row and its logprob.

    Args: logits (any float dtype), one uniform in [0, 1) a row (float64), temperature (0 is greedy), top_p.
    Returns int64[B] tokens and float32[B] logprobs in nats at temperature 1 and top_p 1, whatever the arguments.
    A row whose logits are not finite gives a logprob that is not finite: the caller checks.
    """
    logits_BV = logits_BV.float()
    logZ_B = torch.logsumexp(logits_BV, dim=-1)
    if temperature == 0:
        token_B = logits_BV.argmax(dim=-1)
    elif top_p < 1:
        p_BV, order_BV = torch.softmax(logits_BV / temperature, dim=-1).sort(dim=-1, descending=True)
        # A token stays while the mass before it is short of top_p: the smallest set that reaches it.
        p_BV = p_BV.masked_fill(p_BV.cumsum(dim=-1) - p_BV >= top_p, 0.0)
        token_B = order_BV.gather(1, _inverse_cdf(p_BV, uniforms_B)[:, None])[:, 0]
    else:
        scaled_BV = logits_BV if temperature == 1 else logits_BV / temperature
        token_B = _inverse_cdf((scaled_BV - scaled_BV.amax(dim=-1, keepdim=True)).exp(), uniforms_B)
    return token_B, logits_BV.gather(1, token_B[:, None])[:, 0] - logZ_B


def _inverse_cdf(weights_BV: torch.Tensor, uniforms_B: torch.Tensor) -> torch.Tensor:
    """int64[B]: the first place where the running sum passes u times the total. Places of weight 0 are never chosen."""
    cdf_BV = weights_BV.cumsum(dim=-1, dtype=torch.float64)
    target_B1 = uniforms_B[:, None] * cdf_BV[:, -1:]
    return torch.searchsorted(cdf_BV, target_B1, right=True)[:, 0].clamp_(max=weights_BV.shape[1] - 1)
