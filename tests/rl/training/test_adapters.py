"""LoRA: what is trained, what a round leaves, and that the next round goes on from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from probing.models.loading import ModelError, is_adapter, load_model
from rl.config.training import LoraSection, SftConfig
from rl.models.checkpoints import damage, load_policy
from rl.training.adapters import copy_policy, load_for_training
from rl.training.grpo import GrpoConfig, GrpoResult, train_grpo
from rl.training.sft import SftPair, train_sft
from tests.rl.grpo_case import RecordingScorer, make_tasks
from tests.rl.tiny import PlainSampler, save_tiny_policy

pytestmark = pytest.mark.slow

MERGED, ADAPTER = LoraSection(rank=4, alpha=8), LoraSection(rank=4, alpha=8, checkpoint="adapter")
CONFIG = GrpoConfig(steps=3, group_size=4, rollouts_per_step=16, max_new_tokens=6, learning_rate=2e-2, save_every=1, lr_schedule="constant")


class Kill(BaseException):
    """Ends a run where a real kill would: nothing catches it."""


def train(policy: Path, out: Path, log: Any = lambda record: None, **changes: Any) -> GrpoResult:
    config, tasks = CONFIG.model_copy(update=changes), make_tasks()
    return train_grpo(policy, out, tasks, RecordingScorer(tasks, with_probe=False), config, 1, log, make_sampler=PlainSampler)


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_model(str(path), "cpu")[0].state_dict()


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_policy(tmp_path_factory.mktemp("policy"))


@pytest.fixture(scope="module")
def adapter(policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(policy, tmp_path_factory.mktemp("adapter"), lora=ADAPTER).checkpoint


def test_a_merged_checkpoint_is_an_ordinary_model(policy: Path, tmp_path: Path, adapter: Path) -> None:
    found = train(policy, tmp_path, lora=MERGED).checkpoint
    assert not is_adapter(str(found)) and damage(found) is None
    plain = AutoModelForCausalLM.from_pretrained(found).state_dict()
    before, as_adapter = weights(policy), weights(adapter)
    assert plain.keys() == before.keys()
    changed = {name for name in plain if not torch.equal(plain[name], before[name])}
    assert changed and all("proj" in name for name in changed)  # embeddings, norms and head are not trained
    for name, tensor in plain.items():
        torch.testing.assert_close(tensor, as_adapter[name], atol=1e-5, rtol=1e-4)


def test_an_adapter_checkpoint_holds_little_and_names_its_base(policy: Path, adapter: Path) -> None:
    assert is_adapter(str(adapter)) and not (adapter / "model.safetensors").exists() and damage(adapter) is None
    stored = load_file(adapter / "adapter_model.safetensors")
    assert stored and all("lora_" in name for name in stored)
    assert str(policy.resolve()) in (adapter / "adapter_config.json").read_text()


def test_the_next_round_goes_on_training_the_same_adapter(policy: Path, tmp_path: Path, adapter: Path) -> None:
    second = train(adapter, tmp_path, lora=ADAPTER).checkpoint
    assert str(policy.resolve()) in (second / "adapter_config.json").read_text()  # not an adapter on an adapter
    first, now = load_file(adapter / "adapter_model.safetensors"), load_file(second / "adapter_model.safetensors")
    assert first.keys() == now.keys() and any(not torch.equal(first[name], now[name]) for name in first)


def test_all_weights_can_be_trained_from_an_adapter(tmp_path: Path, adapter: Path) -> None:
    found = train(adapter, tmp_path, steps=1, learning_rate=1e-9).checkpoint
    assert not is_adapter(str(found))
    for name, tensor in weights(adapter).items():
        torch.testing.assert_close(weights(found)[name], tensor, atol=1e-5, rtol=1e-4)


def test_a_killed_run_goes_on_to_the_same_adapter(policy: Path, tmp_path: Path, adapter: Path) -> None:
    def log(record: dict[str, Any]) -> None:
        if record["step"] == 2:
            raise Kill

    with pytest.raises(Kill):
        train(policy, tmp_path, log, lora=ADAPTER)
    found = load_file(train(policy, tmp_path, lora=ADAPTER).checkpoint / "adapter_model.safetensors")
    assert all(torch.equal(found[name], tensor) for name, tensor in load_file(adapter / "adapter_model.safetensors").items())


def test_kl_to_the_start_is_measured_with_an_adapter(policy: Path, tmp_path: Path) -> None:
    records: list[dict[str, Any]] = []
    train(policy, tmp_path, records.append, lora=MERGED, beta=0.1)
    assert records[0]["kl"] == pytest.approx(0, abs=1e-5) and records[-1]["kl"] > 1e-5


def test_sft_trains_an_adapter(policy: Path, tmp_path: Path) -> None:
    pairs = [SftPair(f"p{i}", "abc", (2 + i, 3, 1), 1.0, -1.0) for i in range(4)]
    config = SftConfig(epochs=2, batch=2, learning_rate=1e-2, lora=ADAPTER)
    found = train_sft(policy, tmp_path, pairs, config, 1, lambda record: None)
    assert is_adapter(str(found.checkpoint))


@pytest.mark.parametrize("lora", [None, MERGED], ids=["all", "lora"])
def test_recomputed_activations_change_nothing_but_memory(policy: Path, tmp_path: Path, lora: LoraSection | None) -> None:
    records: list[list[dict[str, Any]]] = [[], []]
    for found, checkpointing in zip(records, (False, True), strict=True):
        folder = tmp_path / str(checkpointing)
        train(policy, folder, found.append, gradient_checkpointing=checkpointing, steps=2, lora=lora, learning_rate=1e-3)
    for plain, recomputed in zip(*records, strict=True):
        for figure in ("loss", "grad_norm", "consensus"):
            assert recomputed[figure] == pytest.approx(plain[figure], rel=1e-3, abs=1e-6), figure


def test_weights_can_be_kept_in_bfloat16(policy: Path, tmp_path: Path) -> None:
    found = train(policy, tmp_path, weights_dtype="bfloat16", steps=1).checkpoint
    assert {tensor.dtype for tensor in load_file(found / "model.safetensors").values()} == {torch.bfloat16}


def test_only_what_is_trained_may_be_loaded_in_shards(policy: Path, tmp_path: Path, adapter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy, and a merge, are made by one rank alone: shards would have it wait for the others."""
    asked: list[bool] = []

    def load(path: Any, *args: Any, sharded: bool = False) -> Any:
        asked.append(sharded)
        return load_policy(path, *args)

    for module in ("rl.training.adapters", "rl.training.trainer"):
        monkeypatch.setattr(f"{module}.load_policy", load)
    for start, lora in ((policy, ADAPTER), (adapter, ADAPTER), (policy, None)):
        load_for_training(start, CONFIG.model_copy(update={"lora": lora}))
    assert asked == [True, True, True]
    copy_policy(adapter, tmp_path / "copy", CONFIG)
    train(policy, tmp_path / "merged", lora=MERGED, steps=1)
    assert asked[3:] == [False, True, False]  # the copy; the training's model; the merge


def test_an_adapter_without_its_base_is_named(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="does not name its base"):
        load_model(str(tmp_path), "cpu")
