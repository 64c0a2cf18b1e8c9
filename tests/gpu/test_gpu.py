"""What only a GPU can show: the same code in bfloat16 on CUDA gives what it gives on the CPU, within rounding. Needs no TRL but for one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from probing.models.loading import load_model, pick_dtype
from probing.probe.hidden_states import HiddenStates
from probing.samplers.base import SamplingParams
from probing.samplers.config import SamplingConfig
from probing.samplers.engines.transformers import TransformersSampler
from probing.samplers.parity import check_parity, greedy_trace

SEEDLING = str(Path(__file__).resolve().parents[2] / "seedling" / "weights")
PROMPT = "### Instruction:\nWrite a function\n\n### Response:\n"
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


def test_bf16_is_chosen_on_a_gpu_that_has_it() -> None:
    assert pick_dtype("auto", torch.device("cuda")) == torch.bfloat16


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_our_sampler_is_greedy_as_transformers_is(dtype: str) -> None:
    model, tokenizer = load_model(SEEDLING, "cuda", dtype)
    check_parity(TransformersSampler(model, tokenizer), greedy_trace(model, tokenizer, 8), "our sampler")


def test_bf16_samples_are_as_likely_as_fp32_ones() -> None:
    """Mean logprob of 2,000 answers of each under the fp32 model on the CPU."""
    params, judge = SamplingParams(max_new_tokens=48), HiddenStates(*load_model(SEEDLING, "cpu"), layers=1)
    means, errors = [], []
    for dtype in ("float32", "bfloat16"):
        model, tokenizer = load_model(SEEDLING, "cuda", dtype)
        drawn = TransformersSampler(model, tokenizer, 1024).sample([PROMPT], 2000, params, seed=1)[0]
        ids = tokenizer(PROMPT, add_special_tokens=False)["input_ids"]
        found = judge.extract([ids] * len(drawn), [c.token_ids for c in drawn])
        total = found.mean_logprob.astype(np.float64) * found.lengths
        means.append(total.mean())
        errors.append(total.std() / len(total) ** 0.5)
    assert abs(means[0] - means[1]) < 4 * (errors[0] ** 2 + errors[1] ** 2) ** 0.5


def test_hidden_states_agree_with_the_cpu_s() -> None:
    answers = [[5, 9, 11, 3], [7, 7, 3]]
    found = [HiddenStates(*load_model(SEEDLING, device, "float32")).extract([[4, 5]] * 2, answers) for device in ("cpu", "cuda")]
    np.testing.assert_allclose(found[0].states, found[1].states, atol=1e-3)
    np.testing.assert_allclose(found[0].mean_logprob, found[1].mean_logprob, atol=1e-3)


@pytest.mark.skipif(torch.cuda.device_count() > 1, reason="TRL trains in a process that sees one GPU: CUDA_VISIBLE_DEVICES=0")
def test_a_grpo_step_on_the_gpu(tmp_path: Path) -> None:
    pytest.importorskip("trl")
    from rl.training.grpo import GrpoConfig, train_grpo
    from tests.rl.grpo_case import RecordingScorer, make_tasks
    from tests.rl.tiny import save_tiny_policy

    records: list[dict[str, object]] = []
    config = GrpoConfig(steps=2, group_size=4, rollouts_per_step=16, max_new_tokens=6, learning_rate=1e-2)
    tasks = make_tasks()
    train_grpo(save_tiny_policy(tmp_path / "p"), tmp_path / "o", tasks, RecordingScorer(tasks, with_probe=False), config, 1, records.append)
    assert len(records) == 2 and all(record["loss"] is not None for record in records)


def test_vllm_on_the_gpu_is_greedy_as_transformers_is() -> None:
    pytest.importorskip("vllm")
    from probing.samplers.engines.vllm import VllmSampler

    sampler = VllmSampler(SamplingConfig(backend="vllm"), SEEDLING)  # the check is made at its start
    assert len(sampler.sample([PROMPT], 4, SamplingParams(max_new_tokens=8), 0)[0]) == 4
    sampler.close()


@pytest.mark.parametrize("width", [448, 512])
def test_attention_in_training_has_finite_gradients_for_scores_far_below_zero(width: int) -> None:
    """At 448 cuDNN's backward pass gives NaN on Hopper with torch 2.11 to 2.13 (pytorch issue 196678)."""
    from rl.training.trainer_parts import sound_attention

    generator = torch.Generator("cuda").manual_seed(0)
    query, key, value = (torch.randn(1, 1, width, 64, device="cuda", dtype=torch.bfloat16, generator=generator) * 0.1 for _ in range(3))
    query[..., 0], key[..., 0] = 8.0, -120.0  # every score is about -120
    query.requires_grad_()
    causal = torch.ones(width, width, dtype=torch.bool, device="cuda").tril()[None, None]
    with sound_attention():
        torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=causal).float().square().sum().backward()
    assert query.grad is not None and bool(torch.isfinite(query.grad).all())
