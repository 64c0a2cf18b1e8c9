"""A benchmark scored elsewhere: the official format out, the official scorer's verdicts in, and no number without it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from probing.samplers.base import Completion
from rewards.sandbox import Sandbox
from rl.benchmarks import fullstackbench
from rl.benchmarks.base import Benchmark, load_benchmark
from rl.config.evals import EvalsConfig
from rl.evals.runner import EvalResult, score
from rl.evals.samples_file import write_export

FULL = [
    {"id": 7, "content": "Write hello in Go.", "labels": {"programming_language": "go"}, "test": {"code": "x"}, "canonical_solution": ""}
]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "fullstackbench").mkdir()
    (tmp_path / "fullstackbench" / "fsb_en.jsonl").write_text("".join(json.dumps(r) + "\n" for r in FULL))
    monkeypatch.setenv("UCODER_DATA", str(tmp_path))
    monkeypatch.delenv("SANDBOX_FUSION_URL", raising=False)
    fullstackbench.load.cache_clear()
    return tmp_path


def run(sandbox: Sandbox, name: str, *answers: list[str]) -> EvalResult:
    benchmark = load_benchmark(name)
    assert isinstance(benchmark, Benchmark)
    completions = [[Completion(text, (0,), (0.0,), True) for text in group] for group in answers]
    return score(benchmark, completions, sandbox, EvalsConfig(samples=len(answers[0])))


def test_without_its_scorer_a_benchmark_gives_no_number(data: Path, sandbox: Sandbox) -> None:
    metrics = run(sandbox, "fullstackbench", ["x"]).metrics
    assert "pass@1" not in metrics and metrics["unavailable"] and metrics["remedy"]


def test_answers_that_nothing_here_can_score_are_exported_whole(data: Path, sandbox: Sandbox, tmp_path: Path) -> None:
    result = run(sandbox, "fullstackbench", ["say hello", "say nothing"])
    assert {(s.passed, s.outcome) for s in result.samples} == {(None, "unavailable")}
    benchmark = load_benchmark("fullstackbench")
    assert isinstance(benchmark, Benchmark)
    rows = [json.loads(line) for line in write_export("fullstackbench", benchmark, result, tmp_path).read_text().splitlines()]
    assert rows == [{"id": 7, "completion": "say hello"}, {"id": 7, "completion": "say nothing"}]


@pytest.fixture
def fusion(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """A stand-in for the SandboxFusion server that accepts what says hello."""
    seen: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append({"path": self.path, **body})
            reply = json.dumps({"accepted": "hello" in body["completion"]} if "break" not in body["completion"] else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *_: object) -> None:
            return None

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("SANDBOX_FUSION_URL", f"http://127.0.0.1:{server.server_port}")
    yield seen
    server.shutdown()
    server.server_close()


def test_fullstackbench_asks_the_server_in_its_own_terms(data: Path, sandbox: Sandbox, fusion: list[dict[str, Any]]) -> None:
    fullstackbench.load.cache_clear()
    result = run(sandbox, "fullstackbench", ["say hello", "say nothing", "break"])
    assert [s.passed for s in result.samples] == [True, False, None]
    assert result.metrics["pass@1"] == 0.5 and result.metrics["missing"] == 1
    first = fusion[0]
    assert (first["path"], first["dataset"], first["id"]) == ("/submit", "FullStackBench", 7)
    assert first["config"]["provided_data"] == FULL[0] and first["config"]["dataset_type"] == "AutoEvalDataset"


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "nonsense"])
def test_a_server_that_does_not_answer_gives_no_number(data: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("SANDBOX_FUSION_URL", url)
    fullstackbench.load.cache_clear()
    metrics = run(sandbox, "fullstackbench", ["x"]).metrics
    assert url in metrics["unavailable"] and "pass@1" not in metrics
