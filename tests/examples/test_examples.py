"""The examples run, and show what their pages say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rewards import ConsensusReward
from rewards.sandbox import SandboxConfig

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def run(folder: Path, *words: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_the_sandbox_shows_every_kind_of_end(tmp_path: Path) -> None:
    shown = {line[:18].strip(): line[18:].split() for line in run(tmp_path, str(ROOT / "examples" / "sandbox_programs.py")).splitlines()}
    assert shown["adds"] == ["value", "7", "value", "1", "exception", "TypeError"]
    assert shown["never ends"][0] == "timeout" and shown["takes memory"][0] == "memory"
    assert shown["opens a file"][0] == shown["opens a socket"][0] == "exception"
    assert shown["does not compile"][0] == "refused"


@pytest.mark.slow
def test_trl_trains_on_consensus(tmp_path: Path) -> None:
    pytest.importorskip("trl")
    words = ("--steps", "1", "--problems", "8", "--out", str(tmp_path / "out"))
    shown = run(tmp_path, str(ROOT / "examples" / "trl_grpo.py"), *words)
    assert "'rewards/ConsensusReward/mean'" in shown and "'consensus/majority_share'" in shown and "'rewards/accuracy/mean'" in shown
    consensus = next(line for line in shown.splitlines() if line.startswith("consensus "))
    assert 0 < float(consensus.split()[-1]) <= 1


@pytest.mark.slow
def test_a_group_over_two_ranks_of_trl_is_scored_as_one(tmp_path: Path) -> None:
    pytest.importorskip("trl")
    launcher = ("-m", "accelerate.commands.launch", "--quiet", "--config_file", "configs/accelerate/cpu2.yaml", "--main_process_port", "0")
    run(ROOT, *launcher, "tests/examples/trl_case.py", str(tmp_path))
    first, second = (json.loads((tmp_path / f"rank_{rank}.json").read_text()) for rank in range(2))
    assert first["prompts"][-1] == second["prompts"][0]  # a group lies on both
    slices = [{name: values for name, values in part.items() if name != "rewards"} for part in (first, second)]
    rows = {name: slices[0][name] + slices[1][name] for name in slices[0]}
    with ConsensusReward(sandbox=SandboxConfig(workers=1)) as alone:
        assert alone(**rows) == first["rewards"] + second["rewards"]
        assert alone(**slices[0]) != first["rewards"] or alone(**slices[1]) != second["rewards"]  # a slice alone would say something else
