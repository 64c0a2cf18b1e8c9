"""A run whose sampler goes away midway says so on one screen, keeps what was drawn, and goes on when it is back."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.loop.runs import PATIENCE, ROOT, start
from tests.probing.doubles.server import Server

# the first evaluation has two parts of two problems each, at temperature 1 alone
SMALL = (
    *("--sampling.backend", "http", "--sampling.part", "4", "--sampling.http.parity_prompts", "1"),
    *("--evals.limit", "4", "--evals.greedy", "false", "--evals.chosen_on", "null"),
)


def begin(folder: Path, server: Server) -> tuple[int | None, str]:
    """Start the run, until it ends or has made its first evaluation. Its status, and what it said this time."""
    log = folder.parent / f"{folder.name}.log"
    log.unlink(missing_ok=True)
    process = start(folder, *SMALL, "--sampling.http.url", server.url, "--sampling.http.patience", "1")
    deadline = time.monotonic() + PATIENCE
    try:
        while process.poll() is None and not (folder / "round_00" / "eval.json").exists():
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.05)
        return process.poll(), log.read_text()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.slow
def test_a_run_outlives_its_sampler(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with Server(str(ROOT / "seedling" / "weights")) as server:
        server.longest = 1024
        server.faults = [None] * 3 + ["drop"] * 1000  # gone after the parity check and the first part
        status, said = begin(folder, server)
        assert status == 1 and "Traceback" not in said, said[-3000:]
        for words in ("the model cannot be sampled from", "no answer from the server", "the same command goes on"):
            assert words in said, said[-3000:]
        assert [path.name for path in folder.glob("round_00/parts/samples-*/*")] == ["00000"]
        server.faults, server.completions = [], 0
        status, said = begin(folder, server)
        assert (folder / "round_00" / "eval.json").exists(), said[-3000:]
        assert server.completions == 3  # the parity check and the second part: the first is not drawn again
