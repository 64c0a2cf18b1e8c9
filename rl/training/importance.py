"""Truncated importance sampling: what the loss is weighed by where rollouts were not drawn from the policy itself.

A token that was drawn with probability q by the sampler counts min(p / q, cap) times, with p the policy's probability at the time of the
draw. Without the cap the gradient's expectation is the policy's own; the cap bounds its variance (Ionides, "Truncated importance
sampling", 2008; for samplers of other precision: Yao et al., "Your efficient RL framework secretly brings you off-policy RL training",
2025). TRL has this for vLLM alone, and runs the policy once more for p; here p comes from the pass that the loss makes anyway.

Shapes: B rollouts, T tokens.
"""

from __future__ import annotations

import torch
from accelerate import Accelerator


def importance_weights(
    policy_BT: torch.Tensor, sampler_BT: torch.Tensor, mask_BT: torch.Tensor, cap: float, accelerator: Accelerator
) -> tuple[torch.Tensor, dict[str, float]]:
    """Weights float[B, T], 1 at masked places, and figures over the tokens of all ranks.

    policy_BT, sampler_BT: logprobs of the drawn tokens, nats. mask_BT: 1 at tokens that count. Figures: `importance_ratio`, the mean
    weight; `importance_capped`, the share of tokens at the cap; `sampler_kl`, KL(sampler || policy) in nats a token (Schulman's k3). None
    of them where there is no token.
    """
    log_BT = torch.where(mask_BT.bool(), policy_BT.float() - sampler_BT.float(), 0.0)
    ratio_BT = log_BT.exp()
    weight_BT = ratio_BT.clamp(max=cap)
    k3_BT = ratio_BT - 1 - log_BT
    own = torch.stack([(x * mask_BT).sum() for x in (weight_BT, (ratio_BT > cap).float(), k3_BT)] + [mask_BT.sum().float()])
    *sums, count = accelerator.reduce(own, reduction="sum").tolist()
    names = "importance_ratio", "importance_capped", "sampler_kl"
    return weight_BT, {name: total / count for name, total in zip(names, sums, strict=True)} if count else {}
