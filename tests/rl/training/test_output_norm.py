from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from rl.training.trainer import give_own_rate, output_norm_gain
from tests.rl.tiny import save_tiny_policy
from tests.rl.training.test_grpo import CONFIG, train, weights

pytestmark = pytest.mark.slow


def moved(start: Path, end: Path) -> dict[str, float]:
    """Largest change of any value, by tensor."""
    before, after = weights(start), weights(end)
    return {name: float((after[name] - before[name]).abs().max()) for name in before}


def test_output_norm_takes_steps_of_its_own_size_and_no_other_tensor_does(tmp_path: Path) -> None:
    policy = save_tiny_policy(tmp_path / "policy")
    config = CONFIG.model_copy(update={"steps": 1, "save_every": 1, "learning_rate": 1e-3, "lr_schedule": "constant"})
    result = train(policy, tmp_path / "out", config.model_copy(update={"output_norm_lr_scale": 50.0}))
    change = moved(policy, Path(result.checkpoint))
    gain = change.pop("model.norm.weight")
    # Adam's first step is the learning rate in every coordinate that has a gradient
    assert gain == pytest.approx(0.05, rel=0.05)
    assert max(change.values()) == pytest.approx(0.001, rel=0.05)


def test_optimizer_keeps_every_parameter_once(tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(save_tiny_policy(tmp_path))
    gain = output_norm_gain(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    give_own_rate(optimizer, gain, 7.0)
    held = [p for group in optimizer.param_groups for p in group["params"]]
    assert len(held) == len({id(p) for p in held}) == len(list(model.parameters()))
    assert [group["lr"] for group in optimizer.param_groups if any(p is gain for p in group["params"])] == [pytest.approx(0.7)]


def test_frozen_output_norm_is_refused_by_name(tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(save_tiny_policy(tmp_path))
    model.requires_grad_(False)
    with pytest.raises(ValueError, match="output_norm_lr_scale"):
        output_norm_gain(model)
