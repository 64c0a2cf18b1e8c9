"""The real vLLM, where it is installed (a GPU, or its CPU build): its engine, its server killed and started again, and a whole run.

    make .venv/.installed-vllm && .venv/bin/pytest tests/probing/samplers/test_real_vllm.py       # about 5 minutes on 2 cores

Everywhere else `test_vllm.py` holds the same code against doubles.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch

from probing.models.loading import load_model
from probing.samplers.base import Completion, SamplingParams
from probing.samplers.config import HttpConfig, SamplingConfig, VllmConfig
from probing.samplers.engines.http import HttpSampler
from probing.samplers.engines.vllm import VllmSampler, engine_environment
from tests.loop.runs import start

pytest.importorskip("vllm", reason="vLLM is not installed (make .venv/.installed-vllm)")

pytestmark = pytest.mark.slow
SEEDLING = str(Path(__file__).resolve().parents[3] / "seedling" / "weights")
# together more tokens than one step of the engine takes
PROMPTS = [f"### Instruction:\nWrite a function that adds {i} to a number.{' Take care.' * 12}\n\n### Response:\n" for i in range(40)]
PARAMS = SamplingParams(max_new_tokens=48)
PATIENCE = 600.0  # seconds that an engine may take to start on a busy machine


def check_logprobs(prompts: Sequence[str], drawn: list[list[Completion]], some: int) -> None:
    """The logprobs of a few answers are those that transformers gives them."""
    model, tokenizer = load_model(SEEDLING, "cpu", "float32")
    for prompt, group in list(zip(prompts, drawn, strict=True))[:some]:
        for completion in group:
            ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
            with torch.no_grad():
                logprobs = torch.log_softmax(model(torch.tensor([ids + list(completion.token_ids)])).logits[0].float(), -1)
            mine = logprobs[len(ids) - 1 : -1].gather(1, torch.tensor(completion.token_ids)[:, None])[:, 0]
            torch.testing.assert_close(torch.tensor(completion.logprobs), mine, atol=2e-3, rtol=0)


def test_the_engine_passes_parity_and_samples_whole_groups_by_seed() -> None:
    config = SamplingConfig(backend="vllm", device="cpu", dtype="float32", vllm=VllmConfig(start_seconds=PATIENCE))
    sampler = VllmSampler(config, SEEDLING)  # the parity check is made at its start
    try:
        drawn = sampler.sample(PROMPTS, 8, PARAMS, 1)
        assert [len(group) for group in drawn] == [8] * len(PROMPTS)
        assert all(len({c.token_ids for c in group}) > 1 for group in drawn)
        check_logprobs(PROMPTS, drawn, 3)
        again = sampler.sample(PROMPTS, 8, PARAMS, 1)
        same = [a.token_ids == b.token_ids for g, h in zip(drawn, again, strict=True) for a, b in zip(g, h, strict=True)]
        assert sum(same) >= 0.9 * len(same)  # a near tie may fall otherwise in another batch
    finally:
        sampler.close()


class Served:
    """`vllm serve` of the seedling on a loopback port."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.log = (folder / "served.log").open("ab")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        # what `vllm serve` starts; that command itself does not work in the CPU build, which goes by another package name
        words = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", SEEDLING, "--host", "127.0.0.1"]
        words += ["--port", str(self.port), "--dtype", "float32", "--max-num-seqs", "64", "--generation-config", "vllm"]
        if not torch.cuda.is_available():
            words += ["--enforce-eager", "--no-enable-chunked-prefill", "--max-num-batched-tokens", "4096"]  # see docs/scale.md, "Samplers"
        environment = engine_environment(SamplingConfig(backend="vllm"))
        self.process = subprocess.Popen(words, env=environment, stdout=self.log, stderr=self.log, start_new_session=True)

    def kill(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    server = Served(tmp_path)
    yield server
    server.kill()


def test_a_server_killed_midway_and_started_again_costs_no_sample(served: Served) -> None:
    served.start()
    http = HttpConfig(url=f"http://127.0.0.1:{served.port}/v1", patience=PATIENCE, requests=4, parity_prompts=2)
    sampler = HttpSampler(SamplingConfig(backend="http", device="cpu", dtype="float32", http=http), SEEDLING)
    restarts: list[float] = []
    counted: list[int] = []

    def restart() -> None:
        served.kill()
        restarts.append(time.monotonic())
        served.start()

    def count(samples: int) -> None:
        counted.append(samples)
        if len(counted) == 5:
            threading.Thread(target=restart).start()

    drawn = sampler.sample(PROMPTS, 8, PARAMS, 1, count)
    finished = time.monotonic()
    assert len(restarts) == 1 and finished > restarts[0]
    assert [len(group) for group in drawn] == [8] * len(PROMPTS) and sum(counted) == 8 * len(PROMPTS)
    check_logprobs(PROMPTS[-3:], drawn[-3:], 3)  # the second server's
    calm = sampler.sample(PROMPTS, 8, PARAMS, 1)
    same = [a.token_ids == b.token_ids for g, h in zip(drawn, calm, strict=True) for a, b in zip(g, h, strict=True)]
    assert sum(same) >= 0.9 * len(same)


def test_a_run_samples_with_vllm_from_end_to_end(tmp_path: Path) -> None:
    """The short form of `make run-vllm`."""
    folder = tmp_path / "run"
    small = ("--problems.count", "20", "--evals.limit", "4", "--grpo.steps", "1", "--guards.held_out_problems", "0")
    process = start(folder, "--sampling.backend", "vllm", *small)
    try:
        assert process.wait(2 * PATIENCE) == 0, (tmp_path / "run.log").read_text()[-3000:]
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    summary = json.loads((folder / "summary.json").read_text())
    assert len(summary["rounds"]) == 1 and (folder / "round_01" / "candidates.jsonl").stat().st_size > 0
    assert "vllm" in (folder / "versions.json").read_text()
