"""The shortcut gives the logprobs, entropies and gradients of the plain pass over every row."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM
from trl.trainer.utils import add_fused_lm_head

from rl.training import shared_prefix
from rl.training.shared_prefix import passes, shared_prefix_logps
from tests.rl.tiny import save_tiny_policy

N_PROMPT, N_COMPLETION = 5, 7


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Nine rows over three prompts (one padded left), of different lengths, two of them the same, in mixed order."""
    generator = torch.Generator().manual_seed(0)
    prompts = torch.randint(2, 18, (3, N_PROMPT), generator=generator)
    prompt_mask = torch.ones_like(prompts)
    prompt_mask[1, :2] = 0
    rows = torch.tensor([0, 1, 2, 0, 1, 2, 0, 0, 2])
    completions = torch.randint(2, 18, (9, N_COMPLETION), generator=generator)
    lengths = torch.tensor([7, 1, 3, 7, 4, 5, 2, 7, 6])
    completions[3] = completions[0]
    mask = (torch.arange(N_COMPLETION) < lengths[:, None]).long()
    ids = torch.cat([prompts[rows] * prompt_mask[rows], completions * mask], dim=1)
    return ids, torch.cat([prompt_mask[rows], mask], dim=1)


def plain_logps(model: torch.nn.Module, ids: torch.Tensor, mask: torch.Tensor, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    logits = model(input_ids=ids, attention_mask=mask).logits[:, N_PROMPT - 1 : -1] / temperature
    logp = torch.log_softmax(logits, -1)
    entropy = -(logp.exp() * logp).sum(-1)
    keep = mask[:, N_PROMPT:]
    return logp.gather(-1, ids[:, N_PROMPT:, None]).squeeze(-1) * keep, entropy * keep


def padded(lengths: list[int], sizes: Sequence[int], pass_tokens: int) -> int:
    ends = list(itertools.accumulate(sizes))
    return sum(size * lengths[end - 1] + pass_tokens for size, end in zip(sizes, ends, strict=True))


def cuts(n: int, most: int) -> Iterator[tuple[int, ...]]:
    """Every way to cut n rows in a row into passes of 1 to `most`."""
    if n == 0:
        yield ()
    for size in range(1, min(n, most) + 1):
        for rest in cuts(n - size, most):
            yield (size, *rest)


@pytest.mark.parametrize("pass_tokens", [0, 5, 40, 10**6])
@pytest.mark.parametrize("most", [3, 32])
@pytest.mark.parametrize("lengths", [[], [4], [1, 1, 1, 1], [2, 3, 9, 40, 41, 90, 90], [5, 50, 51, 52, 53, 54, 55, 120]])
def test_no_cut_into_passes_pads_less(lengths: list[int], most: int, pass_tokens: int) -> None:
    sizes = passes(lengths, pass_tokens, most)
    assert sum(sizes) == len(lengths) and all(1 <= size <= most for size in sizes)
    assert padded(lengths, sizes, pass_tokens) == min(padded(lengths, cut, pass_tokens) for cut in cuts(len(lengths), most))


@pytest.mark.parametrize("pass_tokens", [0, 8, 10**6])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_equals_the_plain_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, temperature: float, pass_tokens: int) -> None:
    monkeypatch.setattr(shared_prefix, "PASS_TOKENS", {"cpu": pass_tokens, "cuda": pass_tokens})
    model = AutoModelForCausalLM.from_pretrained(save_tiny_policy(tmp_path))
    ids, mask = batch()
    weights = torch.randn(9, N_COMPLETION, generator=torch.Generator().manual_seed(1))
    logps, entropy = plain_logps(model, ids, mask, temperature)
    (logps * weights).sum().backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()

    add_fused_lm_head(model, temperature=temperature, outputs=("log_probs", "entropy"))
    shared, shared_entropy = shared_prefix_logps(model, model.base_model, ids, mask, N_COMPLETION)
    (shared * weights).sum().backward()
    torch.testing.assert_close(shared, logps, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(shared_entropy, entropy, atol=1e-5, rtol=1e-5)
    for name, p in model.named_parameters():
        torch.testing.assert_close(p.grad, gradients[name], atol=1e-5, rtol=1e-4)


def test_rows_without_advantage_give_values_but_no_gradient(tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(save_tiny_policy(tmp_path))
    add_fused_lm_head(model, outputs=("log_probs", "entropy"))
    ids, mask = batch()
    active = torch.tensor([True, False, True, False, False, True, False, False, False])
    full, _ = shared_prefix_logps(model, model.base_model, ids, mask, N_COMPLETION)
    some, _ = shared_prefix_logps(model, model.base_model, ids, mask, N_COMPLETION, active)
    torch.testing.assert_close(some, full, atol=1e-5, rtol=1e-5)
    advantages = torch.where(active, 1.5, 0.0)[:, None]
    expected = torch.autograd.grad((full * advantages).sum(), list(model.parameters()))
    for grad, p in zip(torch.autograd.grad((some * advantages).sum(), list(model.parameters())), expected, strict=True):
        torch.testing.assert_close(grad, p, atol=1e-5, rtol=1e-4)
    assert shared_prefix_logps(model, model.base_model, ids, mask, N_COMPLETION, torch.zeros(9, dtype=torch.bool))[0].requires_grad
