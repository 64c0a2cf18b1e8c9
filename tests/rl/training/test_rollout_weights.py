"""Rollouts from other weights than the policy's: the loss is corrected for them; and which rollouts count as cut off."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from pydantic import ValidationError
from torch.backends.cuda import cudnn_sdp_enabled
from transformers import AutoModelForCausalLM

from probing.samplers.base import Completion
from probing.samplers.engines.int8 import has_int8
from rl.config.training import GrpoConfig
from rl.training import rollouts
from rl.training.grpo import GrpoResult, train_grpo
from rl.training.importance import importance_weights
from tests.rl.grpo_case import RecordingScorer, make_tasks
from tests.rl.tiny import PlainSampler, save_tiny_policy

pytestmark = pytest.mark.slow

CONFIG = GrpoConfig(steps=3, group_size=4, rollouts_per_step=16, max_new_tokens=6, learning_rate=2e-2, save_every=3, lr_schedule="constant")
INT8 = CONFIG.model_copy(update={"rollout_weights": "int8"})
ONE_STEP: dict[str, Any] = {"steps": 1, "save_every": 1}


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_policy(tmp_path_factory.mktemp("policy"))


def train(policy: Path, out: Path, config: GrpoConfig, change: Callable[[Completion], Completion] = lambda c: c) -> GrpoResult:
    """A short run whose sampler says of each completion what `change` makes of it."""

    class Changed(PlainSampler):
        def sample(self, *args: Any, **kwargs: Any) -> list[list[Completion]]:
            return [[change(c) for c in group] for group in super().sample(*args, **kwargs)]

    tasks = make_tasks()
    return train_grpo(policy, out, tasks, RecordingScorer(tasks, with_probe=False), config, 1, lambda record: None, make_sampler=Changed)


def lowered(by: float) -> Callable[[Completion], Completion]:
    """The sampler says that each token was less likely than the policy finds it, by so many nats."""
    return lambda c: replace(c, logprobs=tuple(logprob - by for logprob in c.logprobs))


def test_weights_are_the_truncated_ratios_of_the_tokens_that_count() -> None:
    policy, sampler = torch.tensor([[-1.0, -2.0, -9.0]]), torch.tensor([[-1.5, -1.0, -1.0]])
    weights, figures = importance_weights(policy, sampler, torch.tensor([[1, 1, 0]]), 1.5, Accelerator(cpu=True))
    assert weights.tolist()[0] == pytest.approx([1.5, math.exp(-1), 1.0])  # e^0.5 is over the cap; the last token is masked
    assert figures["importance_ratio"] == pytest.approx((1.5 + math.exp(-1)) / 2) and figures["importance_capped"] == 0.5
    assert figures["sampler_kl"] == pytest.approx((math.exp(0.5) - 1.5 + math.exp(-1)) / 2)


def test_no_token_gives_no_figure() -> None:
    weights, figures = importance_weights(*[torch.zeros(1, 2)] * 2, torch.zeros(1, 2), 2.0, Accelerator(cpu=True))
    assert weights.tolist() == [[1.0, 1.0]] and not figures


def test_a_copy_that_is_the_policy_trains_as_the_policy_does(policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollouts, "int8_copy", lambda model: model)
    plain, corrected = train(policy, tmp_path / "plain", CONFIG), train(policy, tmp_path / "int8", INT8)
    for one, other in zip(plain.history, corrected.history, strict=True):
        assert other["loss"] == pytest.approx(one["loss"], abs=1e-5) and other["grad_norm"] == pytest.approx(one["grad_norm"], rel=1e-3)
        assert other["importance_ratio"] == pytest.approx(1, abs=1e-5) and other["sampler_kl"] == pytest.approx(0, abs=1e-8)
        assert "importance_ratio" not in one
    before, after = (AutoModelForCausalLM.from_pretrained(result.checkpoint).state_dict() for result in (plain, corrected))
    assert all(torch.allclose(before[name], after[name], atol=1e-3) for name in before)


@pytest.mark.parametrize(("by", "weight"), [(math.log(1.5), 1.5), (-math.log(2), 0.5), (math.log(4), 2.0)])
@pytest.mark.parametrize("micro_batch", [None, 4])
def test_the_gradient_is_weighed_by_policy_over_sampler_up_to_the_cap(
    policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: float, weight: float, micro_batch: int | None
) -> None:
    monkeypatch.setattr(rollouts, "int8_copy", lambda model: model)
    config = INT8.model_copy(update={**ONE_STEP, "micro_batch": micro_batch})
    plain = train(policy, tmp_path / "plain", CONFIG.model_copy(update=ONE_STEP)).history[0]
    weighed = train(policy, tmp_path / "weighed", config, lowered(by)).history[0]
    assert weighed["grad_norm"] == pytest.approx(weight * plain["grad_norm"], rel=1e-3)
    assert weighed["importance_ratio"] == pytest.approx(weight, rel=1e-4)
    assert weighed["sampler_kl"] == pytest.approx(math.exp(by) - 1 - by, rel=1e-3)


def test_two_passes_over_a_batch_are_both_weighed_by_the_policy_of_the_draw(
    policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollouts, "int8_copy", lambda model: model)
    config = INT8.model_copy(update={"steps": 2, "save_every": 2, "num_iterations": 2})
    history = train(policy, tmp_path, config, lowered(math.log(1.5))).history
    assert [record["importance_ratio"] for record in history] == pytest.approx([1.5, 1.5], rel=1e-4)


def test_the_copy_is_of_the_policy_of_each_step(policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gains: list[float] = []

    def note(model: Any) -> Any:
        gains.append(float(sum(p.double().sum() for p in model.parameters())))
        return model

    monkeypatch.setattr(rollouts, "int8_copy", note)
    train(policy, tmp_path, INT8)
    assert len(gains) == len(set(gains)) == 3


@pytest.mark.skipif(not has_int8(torch.device("cpu")), reason="8-bit weights are for x86 CPUs")
@pytest.mark.parametrize("lora", [None, {"rank": 2}])
def test_a_real_copy_is_near_the_policy_and_costs_what_is_logged(policy: Path, tmp_path: Path, lora: dict[str, int] | None) -> None:
    result = train(policy, tmp_path, GrpoConfig(**INT8.model_dump() | {"lora": lora}))
    for record in result.history:
        assert record["importance_ratio"] == pytest.approx(1, abs=0.1) and 0 < record["sampler_kl"] < 0.01
        assert record["copy_seconds"] > 0


def test_training_leaves_out_cudnn_s_attention(policy: Path, tmp_path: Path) -> None:
    seen: set[bool] = set()

    def note(completion: Completion) -> Completion:
        seen.add(cudnn_sdp_enabled())
        return completion

    train(policy, tmp_path, CONFIG.model_copy(update=ONE_STEP), note)
    assert seen == {False} and cudnn_sdp_enabled()


def test_what_the_copy_cannot_be_used_with_is_refused() -> None:
    for wrong in ({"temperature": 0.8}, {"rollouts": "vllm_server"}, {"weights_dtype": "bfloat16"}):
        with pytest.raises(ValidationError, match=next(iter(wrong))):
            GrpoConfig(rollout_weights="int8", **wrong)  # type: ignore[arg-type]


def test_a_rollout_that_a_stop_string_ended_is_not_cut_off(policy: Path, tmp_path: Path) -> None:
    one_step, masked = CONFIG.model_copy(update=ONE_STEP), CONFIG.model_copy(update={**ONE_STEP, "mask_truncated": True})
    stopped = lambda c: replace(c, finished=True)  # noqa: E731 -- none of the tiny policy's rollouts needs an end token then
    plain = train(policy, tmp_path / "plain", one_step, stopped).history[0]
    kept = train(policy, tmp_path / "kept", masked, stopped).history[0]
    assert plain["truncated"] == kept["truncated"] == 0
    assert kept["grad_norm"] == pytest.approx(plain["grad_norm"], rel=1e-5) and kept["grad_norm"] > 0


def test_a_rollout_that_was_cut_off_is_left_out_of_the_loss(policy: Path, tmp_path: Path) -> None:
    masked = CONFIG.model_copy(update={**ONE_STEP, "mask_truncated": True})
    gone = train(policy, tmp_path / "gone", masked, lambda c: replace(c, finished=False)).history[0]
    some = train(policy, tmp_path / "some", masked, lambda c: replace(c, finished=len(c.token_ids) % 2 == 0)).history[0]
    every = train(policy, tmp_path / "every", CONFIG.model_copy(update=ONE_STEP)).history[0]
    assert gone["truncated"] == 1 and gone["grad_norm"] == 0
    assert 0 < some["truncated"] < 1 and some["grad_norm"] not in (0, every["grad_norm"])
