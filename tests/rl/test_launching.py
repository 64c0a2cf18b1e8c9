"""Launching: what a person sees under `accelerate launch` when a run cannot start."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
CODE = ("rl/**/*.py", "rl/**/*.jinja", "bench/**/*.py", "probing/**/*.py", "rewards/**/*.py", "seedling/**/*.py", "examples/*.py")
TEXTS = ("Makefile", ".ci/run", "*.md", "docs/**/*.md", "configs/**/*.yaml", *CODE)
LAUNCHED = re.compile(r"accelerate launch(?: --quiet)? (?:--\w+|rl/train\.py)|accelerate\.commands\.launch", re.ASCII)


def test_every_command_that_we_give_keeps_accelerates_own_trace_quiet() -> None:
    found = [(path, path.read_text()) for pattern in TEXTS for path in sorted(ROOT.glob(pattern))]
    commands = [(path, text[at.start() : at.end() + 40]) for path, text in found for at in LAUNCHED.finditer(text)]
    assert len(commands) > 20
    assert [(path, command) for path, command in commands if "--quiet" not in command] == []


@pytest.mark.parametrize(("launcher", "status"), [((), 2), (("-m", "accelerate.commands.launch", "--quiet"), 1)], ids=["alone", "launched"])
def test_a_mistake_is_one_screen_without_a_trace(tmp_path: Path, launcher: tuple[str, ...], status: int) -> None:
    """And with our exit status, which accelerate makes its own 1 of (docs/scale.md says so)."""
    launched = [*launcher, "--config_file", str(ROOT / "configs/accelerate/cpu.yaml")] if launcher else []
    command = [sys.executable, *launched, str(ROOT / "rl" / "train.py"), "--grpo.learning_rte", "1"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == status
    assert "ucoder cannot start\nwhat   unknown key grpo.learning_rte" in done.stderr
    assert "Traceback" not in done.stderr
