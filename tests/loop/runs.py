"""Starts the small run of these tests as a person would: in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE = 300  # seconds until a start that shows no progress fails the test
SMALL = Path(__file__).with_name("small.yaml")


def start(folder: Path, *overrides: str, config: Path = SMALL) -> subprocess.Popen:
    command = [sys.executable, "rl/train.py", "--config", str(config), "--run_dir", str(folder), *overrides]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    log = (folder.parent / f"{folder.name}.log").open("ab")
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)


def finish(folder: Path, *overrides: str) -> None:
    process = start(folder, *overrides)
    try:
        assert process.wait(PATIENCE) == 0, (folder.parent / f"{folder.name}.log").read_text()[-3000:]
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
