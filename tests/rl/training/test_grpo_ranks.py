"""Two processes (gloo) against one, with a group that straddles them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.rl.tiny import save_tiny_policy

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]


def launch(policy: Path, out: Path, processes: int) -> list[dict]:
    """Each rank's record of the run."""
    out.mkdir()
    launcher = ["-m", "accelerate.commands.launch", "--quiet", "--config_file", "configs/accelerate/cpu2.yaml", "--main_process_port", "0"]
    command = [sys.executable, *(launcher if processes > 1 else []), "tests/rl/grpo_case.py", str(policy), str(out)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads((out / f"rank_{rank}.json").read_text()) for rank in range(processes)]


@pytest.mark.slow
def test_two_ranks_reward_and_train_as_one(tmp_path: Path) -> None:
    policy = save_tiny_policy(tmp_path / "policy")
    (one,) = launch(policy, tmp_path / "one", 1)
    first, second = launch(policy, tmp_path / "two", 2)
    assert first["rewards"] == second["rewards"]  # every rank judges the whole batch
    for step in range(3):
        assert first["rewards"][step] == pytest.approx(one["rewards"][step])
        joined = first["advantages"][step] + second["advantages"][step]
        assert joined == pytest.approx(one["advantages"][step], abs=1e-6)
        for figure in ("consensus", "quality", "tokens", "loss", "entropy", "grad_norm"):
            assert first["log"][step][figure] == pytest.approx(one["log"][step][figure], abs=1e-4), figure
    assert len({round(r, 4) for r in one["rewards"][0]}) > 2  # there was something to compare
    assert second["log"] == []  # only the first rank speaks
    assert first["executed"] < one["executed"] and second["executed"] < one["executed"]  # the work was shared
    weights = [AutoModelForCausalLM.from_pretrained(tmp_path / name / "grpo" / "checkpoint").state_dict() for name in ("one", "two")]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor, atol=1e-4, rtol=1e-3)
