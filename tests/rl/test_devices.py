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
from accelerate.utils import DistributedType
from trl import import_utils

from probing.samplers.base import SamplingParams
from probing.samplers.engines.transformers import TransformersSampler
from rl import devices, train
from rl.config.schema import load_config
from rl.console import UserError
from rl.devices import check_batches, check_devices
from rl.models.checkpoints import load_policy
from rl.training.trainer import PolicyTrainer
from tests.rl.tiny import save_tiny_policy

pytestmark = pytest.mark.slow

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
    [
        ("sampling.backend", "vllm", "vllm"),
        ("grpo.rollouts", "vllm_server", "vllm"),  # TRL wants it there for its client too
        ("sampling.backend", "ray", "ray"),
        ("execution.backend", "ray", "ray"),
    ],
)
def test_a_library_that_is_not_there_is_named_with_its_extra(key: str, value: str, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=f"{library} is not installed") as caught:
        check_devices(load_config(None, [f"--{key}", value]))
    assert f"ucoder[{library}]" in caught.value.remedy


@pytest.mark.parametrize(("key", "where"), [("sampling.weights", "sampling.weights"), ("evals.dtype", "evals.dtype")])
def test_8_bit_weights_are_refused_where_there_are_none(key: str, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config(None, [f"--{key}", "int8", "--sampling.device", "cpu"])
    check_devices(config)
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    with pytest.raises(UserError, match="for x86 CPUs, and the device is cpu on aarch64") as caught:
        check_devices(config)
    assert caught.value.where == where


def test_deepspeed_is_looked_for_when_the_launcher_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    monkeypatch.setattr(devices.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="deepspeed is not installed"):
        check_devices(load_config(None))


def launched(kind: str, gpus: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(
        devices,
        "distributed_state",
        lambda: SimpleNamespace(distributed_type=DistributedType(kind), is_main_process=True, num_processes=gpus),
    )


def test_one_process_that_sees_several_gpus_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    launched("NO", 8, monkeypatch)
    with pytest.raises(UserError, match="one process sees 8 GPUs") as caught:
        check_devices(load_config(None))
    assert "one_gpu.yaml" in caught.value.remedy and "zero2.yaml" in caught.value.remedy


@pytest.mark.parametrize(("kind", "gpus"), [("NO", 1), ("MULTI_GPU", 8), ("FSDP", 8)])
def test_a_process_for_each_gpu_is_not(kind: str, gpus: int, monkeypatch: pytest.MonkeyPatch) -> None:
    launched(kind, gpus, monkeypatch)
    check_devices(load_config(None))


@pytest.mark.parametrize(
    ("words", "processes", "said"),
    [
        (["--grpo.rollouts_per_step", "512"], 6, ("grpo.rollouts_per_step (512)", "6 processes", "510 or 516")),
        (["--grpo.rollouts_per_step", "64", "--grpo.micro_batch", "6"], 4, ("grpo.micro_batch (6)", "16 of 64", "1, 2, 4, 8, 16")),
        (["--consolidation", "sft", "--sft.batch", "100"], 8, ("sft.batch (100)", "96 or 104")),
        (["--consolidation", "sft+grpo", "--sft.batch", "100"], 8, ("sft.batch (100)",)),
        (["--proposer.batch", "10"], 4, ("proposer.batch (10)", "8 or 12")),
        (["--proposer.batch", "12", "--grpo.micro_batch", "2"], 4, ("grpo.micro_batch (2)", "proposer.batch (3 of 12)")),
        (["--grpo.rollouts", "vllm_colocate", "--grpo.vllm_tensor_parallel", "3"], 8, ("grpo.vllm_tensor_parallel", "divisor of 8")),
    ],
)
def test_a_batch_that_the_processes_cannot_share_is_refused_with_what_they_can(
    words: list[str], processes: int, said: tuple[str, ...]
) -> None:
    with pytest.raises(UserError) as caught:
        check_batches(load_config(None, words), processes)
    text = f"{caught.value.what} {caught.value.where} {caught.value.remedy}"
    assert all(part in text for part in said), text


@pytest.mark.parametrize(
    "words",
    [
        ["--sft.batch", "100"],  # nothing is trained on it
        ["--consolidation", "sft", "--grpo.rollouts_per_step", "12", "--grpo.group_size", "4"],
        ["--grpo.micro_batch", "64"],  # more than a share: the whole share
        ["--grpo.vllm_tensor_parallel", "3"],  # no engine spans anything
    ],
)
def test_batches_that_fit_or_are_not_asked_for_are_let_be(words: list[str]) -> None:
    check_batches(load_config(None, words), 8)


def test_the_devices_check_looks_at_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    launched("MULTI_GPU", 6, monkeypatch)
    with pytest.raises(UserError, match="6 processes"):
        check_devices(load_config(None, ["--grpo.rollouts_per_step", "512"]))


def test_it_is_refused_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr("rl.run.open_run", lambda config: pytest.fail("the run began"))
    with pytest.raises(SystemExit) as caught:
        train.main(["--config", str(ROOT / "configs" / "seedling.yaml"), "--run_dir", str(tmp_path / "run")])
    assert caught.value.code == 2


@pytest.mark.parametrize(
    ("version", "rollouts", "warned"),
    [("0.32.0", "vllm_server", True), ("0.31.0+cu130", "vllm_server", False), ("0.21.0", "vllm_server", True), ("0.32.0", "policy", False)],
)
def test_a_vllm_that_trl_was_not_made_for_is_told_of(
    version: str, rollouts: str, warned: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(devices.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(import_utils, "_is_package_available", lambda name, return_version=False: (True, version))
    check_devices(load_config(None, ["--grpo.rollouts", rollouts]))
    said = capsys.readouterr().err
    assert all((word in said) == warned for word in (version, "0.22.0", "0.31.0", rollouts)), said


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

    monkeypatch.setattr("rl.training.trainer.load_policy", load)
    for prepare in ("prepare_deepspeed", "prepare_fsdp"):
        monkeypatch.setattr(f"rl.training.trainer.{prepare}", lambda model, accelerator: model)
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


def test_the_config_for_one_gpu_lets_a_process_see_one(tmp_path: Path) -> None:
    (tmp_path / "see.py").write_text("import os; print(os.environ['CUDA_VISIBLE_DEVICES'])")
    words = [sys.executable, "-m", "accelerate.commands.launch", "--quiet", "--config_file", "configs/accelerate/one_gpu.yaml"]
    for chosen, seen in ((), "0"), (("--gpu_ids", "3"), "3"):
        done = subprocess.run([*words, *chosen, str(tmp_path / "see.py")], cwd=ROOT, capture_output=True, text=True, check=True)
        assert done.stdout.split()[-1] == seen


def test_packages_that_are_not_installed_are_refused_before_any_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        train.main(["--run_dir", str(tmp_path / "run"), "--sandbox.packages", "[numpy, no-such-package]"])
    assert caught.value.code == 2 and not (tmp_path / "run").exists()
    assert "no-such-package is not installed" in capsys.readouterr().err
