"""In which dtype training computes: what the config says, what the hardware has, and that it is told apart where the two differ."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from safetensors.torch import load_file

import rl.loop.update
from rl.config.training import GrpoConfig, SftConfig
from rl.loop.round import Round
from rl.loop.update import Update, note_compute_dtype
from rl.training.grpo import train_grpo
from rl.training.sft import SftPair, train_sft
from rl.training.trainer_parts import compute_dtype
from tests.rl.grpo_case import RecordingScorer, make_tasks
from tests.rl.tiny import PlainSampler, save_tiny_policy

GRPO = GrpoConfig(steps=1, group_size=4, rollouts_per_step=16, max_new_tokens=6, learning_rate=1e-3, lr_schedule="constant")


def hardware(monkeypatch: pytest.MonkeyPatch, gpu: bool, **capabilities: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)


@pytest.mark.parametrize(
    ("asked", "gpu", "capabilities", "wanted"),
    [
        ("auto", True, {}, torch.bfloat16),
        ("auto", False, {"avx512_bf16": True}, torch.float32),
        ("float32", True, {}, torch.float32),
        ("bfloat16", False, {"avx512_bf16": True}, torch.bfloat16),
        ("bfloat16", False, {"amx_bf16": True}, torch.bfloat16),
        ("bfloat16", False, {"avx2": True, "avx512_bf16": False}, torch.float32),
    ],
)
def test_the_dtype_is_what_was_asked_for_where_the_hardware_has_it(
    monkeypatch: pytest.MonkeyPatch, asked: Any, gpu: bool, capabilities: dict[str, bool], wanted: torch.dtype
) -> None:
    hardware(monkeypatch, gpu, **capabilities)
    assert compute_dtype(SftConfig(compute_dtype=asked)) == wanted


@pytest.mark.parametrize(("has", "warnings"), [(True, 0), (False, 1)])
def test_another_dtype_than_the_one_asked_for_is_named(monkeypatch: pytest.MonkeyPatch, has: bool, warnings: int) -> None:
    hardware(monkeypatch, False, avx512_bf16=has)
    said: list[str] = []
    monkeypatch.setattr(rl.loop.update, "warn", said.append)
    update = Update(Path("policy"))
    current = cast(Round, SimpleNamespace(run=SimpleNamespace(main=True)))
    note_compute_dtype(current, "sft", SftConfig(compute_dtype="bfloat16"), update)
    assert update.figures["sft_compute_dtype"] == ("bfloat16" if has else "float32")
    assert len(said) == warnings and all("computes in float32, not bfloat16" in text for text in said)


@pytest.fixture
def products(monkeypatch: pytest.MonkeyPatch) -> set[torch.dtype]:
    """The dtypes of what the linear layers return, in passes that a gradient follows."""
    seen: set[torch.dtype] = set()
    linear = torch.nn.Linear.forward

    def forward(self: torch.nn.Linear, x: torch.Tensor) -> torch.Tensor:
        found = linear(self, x)
        if torch.is_grad_enabled():
            seen.add(found.dtype)
        return found

    monkeypatch.setattr(torch.nn.Linear, "forward", forward)
    return seen


@pytest.mark.slow
@pytest.mark.parametrize(("asked", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_grpo_multiplies_in_it_and_keeps_its_weights(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, products: set[torch.dtype], asked: Any, dtype: torch.dtype
) -> None:
    hardware(monkeypatch, False, avx512_bf16=True)
    tasks, records = make_tasks(), list[dict[str, Any]]()
    config = GRPO.model_copy(update={"compute_dtype": asked})
    policy, scorer = save_tiny_policy(tmp_path / "policy"), RecordingScorer(tasks, with_probe=False)
    found = train_grpo(policy, tmp_path / "run", tasks, scorer, config, 1, records.append, make_sampler=PlainSampler)
    assert products == {dtype} and math.isfinite(records[0]["grad_norm"])
    assert {t.dtype for t in load_file(found.checkpoint / "model.safetensors").values()} == {torch.float32}


@pytest.mark.slow
@pytest.mark.parametrize(("asked", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_sft_multiplies_in_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, products: set[torch.dtype], asked: Any, dtype: torch.dtype
) -> None:
    hardware(monkeypatch, False, avx512_bf16=True)
    pairs = [SftPair(f"p{i}", "abc", (2 + i, 3, 1), 1.0, -1.0) for i in range(4)]
    config = SftConfig(epochs=1, batch=2, learning_rate=1e-3, compute_dtype=asked)
    train_sft(save_tiny_policy(tmp_path / "policy"), tmp_path / "run", pairs, config, 1, lambda record: None)
    assert products == {dtype}
