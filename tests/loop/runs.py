"""Starts the small run of these tests as a person would: in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
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


def kill_at(folder: Path, milestone: str, *overrides: str) -> None:
    """Start the run, and kill it with -9 once it has left a file."""
    process = start(folder, *overrides)
    deadline = time.monotonic() + PATIENCE
    while not (folder / milestone).exists():
        assert process.poll() is None, (folder.parent / f"{folder.name}.log").read_text()[-3000:]
        assert time.monotonic() < deadline, f"{milestone} never came"
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
