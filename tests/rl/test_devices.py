"""Backends for many devices: what is refused before any work, and what can be checked of them without a GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml

from probing.samplers.base import SamplingParams
from probing.samplers.transformers import TransformersSampler
from rl import devices
from rl.checkpoints import load_policy
from rl.config import load_config
from rl.console import UserError
from rl.devices import check_devices
from rl.grpo_trainer import PolicyTrainer
from tests.rl.tiny import save_tiny_policy

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_colocate_is_refused_on_a_cpu_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices.importlib.util, "find_spec", lambda name: object())
    with pytest.raises(UserError, match="weight_loader") as caught:
        check_devices(load_config(None, ["--grpo.rollouts", "vllm_colocate"]))
    assert "grpo.rollouts: policy" in caught.value.remedy
    with pytest.raises(UserError, match="no CUDA device"):
        check_devices(load_config(None, ["--sampling.device", "cuda:0"]))


@pytest.mark.parametrize(
    ("key", "value", "library"),
    [("sampling.backend", "vllm", "vllm"), ("sampling.backend", "ray", "ray"), ("execution.backend", "ray", "ray")],
)
def test_a_library_that_is_not_there_is_named_with_its_extra(key: str, value: str, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=f"{library} is not installed") as caught:
        check_devices(load_config(None, [f"--{key}", value]))
    assert f"ucoder[{library}]" in caught.value.remedy


def test_deepspeed_is_looked_for_when_the_launcher_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    monkeypatch.setattr(devices.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="deepspeed is not installed"):
        check_devices(load_config(None))


def test_no_launch_config_has_ranks_load_zeros() -> None:
    configs = [yaml.safe_load(path.read_text()) for path in (ROOT / "configs" / "accelerate").glob("*.yaml")]
    fsdp = [config["fsdp_config"] for config in configs if config["distributed_type"] == "FSDP"]
    assert fsdp and all(section["fsdp_cpu_ram_efficient_loading"] is False for section in fsdp)  # left out, accelerate asks for true


@pytest.mark.parametrize("backend", ["deepspeed", "fsdp", "ddp"])
def test_the_reference_comes_as_its_backend_takes_it(backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def load(path: Path, dtype: str, sharded: bool) -> Any:
        asked.append(sharded)
        return load_policy(path, dtype)

    monkeypatch.setattr("rl.grpo_trainer.load_policy", load)
    for prepare in ("prepare_deepspeed", "prepare_fsdp"):
        monkeypatch.setattr(f"rl.grpo_trainer.{prepare}", lambda model, accelerator: model)
    accelerator = SimpleNamespace(prepare_model=lambda model, evaluation_mode: model)
    policy = load_policy(save_tiny_policy(tmp_path))[0]
    trainer: Any = SimpleNamespace(ref_model=None, _reference=None, start=tmp_path, policy=policy, temperature=1.0, accelerator=accelerator)
    trainer.is_deepspeed_enabled, trainer.is_fsdp_enabled = backend == "deepspeed", backend == "fsdp"
    assert not PolicyTrainer.reference(trainer).training
    assert asked == [backend == "deepspeed"]  # under FSDP a rank cuts its shard out of what it holds itself


@pytest.mark.slow
def test_ranks_sample_a_model_that_fsdp_has_sharded_each_for_as_long_as_it_likes(tmp_path: Path) -> None:
    policy = save_tiny_policy(tmp_path / "policy")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "tests/rl/sharded_case.py"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, str(policy), str(tmp_path)], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    sampler = TransformersSampler(*load_policy(policy))
    for rank in (0, 1):
        said = json.loads((tmp_path / f"rank_{rank}.json").read_text())
        whole = sampler.sample(["abc", "def"][: rank + 1], 3, SamplingParams(max_new_tokens=4 + 6 * rank), seed=0)
        assert said["sharded"] and said["drawn"][0] == [[list(c.token_ids) for c in group] for group in whole]
        assert said["drawn"][1] != said["drawn"][0]
