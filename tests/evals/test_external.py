"""Benchmarks scored elsewhere: official formats out, the official scorer's verdicts in, and no number without it."""

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
from rl.config import EvalsConfig
from rl.evals import bigcodebench, fullstackbench
from rl.evals.base import Benchmark, Unavailable, load_benchmark
from rl.evals.runner import EvalResult, score
from tests.evals.toys import fenced

BIG = [
    {
        "task_id": f"BigCodeBench/{i}",
        "complete_prompt": f'import math\n\ndef task_func(x):\n    """Task {i}."""\n',
        "instruct_prompt": f"Write task {i}.\nStart with:\n```\nimport math\ndef task_func(x):\n```",
        "canonical_solution": "    return x",
        "code_prompt": "import math\ndef task_func(x):\n",
        "test": "import unittest",
        "entry_point": "task_func",
        "doc_struct": "{}",
        "libs": "['math']",
    }
    for i in range(2)
]
FULL = [
    {"id": 7, "content": "Write hello in Go.", "labels": {"programming_language": "go"}, "test": {"code": "x"}, "canonical_solution": ""}
]
SCORER = """#!/usr/bin/env python3
import json, sys
path = sys.argv[sys.argv.index("--samples") + 1]
assert sys.argv[sys.argv.index("--split") + 1] == "complete" and sys.argv[sys.argv.index("--subset") + 1] == "hard"
found = {}
for row in map(json.loads, open(path)):
    status = "pass" if "return x" in row["solution"] else "fail"
    found.setdefault(row["task_id"], []).append({"task_id": row["task_id"], "solution": row["solution"], "status": status, "details": {}})
json.dump({"date": "", "eval": found}, open(path.replace(".jsonl", "_eval_results.json"), "w"))
"""


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for folder, name, rows in (("bigcodebench", "BigCodeBench-Hard.jsonl", BIG), ("fullstackbench", "fsb_en.jsonl", FULL)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text("".join(json.dumps(r) + "\n" for r in rows))
    monkeypatch.setenv("UCODER_DATA", str(tmp_path))
    monkeypatch.delenv("SANDBOX_FUSION_URL", raising=False)
    bigcodebench.load.cache_clear()
    fullstackbench.load.cache_clear()
    return tmp_path


def run(sandbox: Sandbox, name: str, *answers: list[str]) -> EvalResult:
    benchmark = load_benchmark(name)
    assert isinstance(benchmark, Benchmark)
    completions = [[Completion(text, (0,), (0.0,), True) for text in group] for group in answers]
    return score(benchmark, completions, sandbox, EvalsConfig(samples=len(answers[0])))


RIGHT, WRONG = fenced("def task_func(x):\n    return x"), fenced("def task_func(x):\n    pass")


def test_without_its_scorer_a_benchmark_gives_no_number(data: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(data))
    for name, answers in (("bigcodebench_complete_hard", [[RIGHT], [WRONG]]), ("fullstackbench", [["x"]])):
        metrics = run(sandbox, name, *answers).metrics
        assert "pass@1" not in metrics and metrics["unavailable"] and metrics["remedy"]


def test_bigcodebench_scorer_is_called_when_it_is_there(data: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = data / "bigcodebench.evaluate"
    tool.write_text(SCORER)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(data), prepend=":")
    result = run(sandbox, "bigcodebench_complete_hard", [RIGHT, WRONG], [WRONG, WRONG])
    assert [r["correct"] for r in result.tasks] == [1, 0]
    assert result.metrics["pass@1"] == 0.25


def test_bigcodebench_prompts_and_export(data: Path) -> None:
    complete, instruct = load_benchmark("bigcodebench_complete_hard"), load_benchmark("bigcodebench_instruct_hard")
    assert isinstance(complete, Benchmark) and isinstance(instruct, Benchmark)
    assert "```\nimport math" in complete.tasks[0].prompt and "Task 0." in complete.tasks[0].prompt
    assert instruct.tasks[0].prompt.startswith("Please provide a self-contained") and "Write task 0." in instruct.tasks[0].prompt
    rows = [json.loads(line) for line in complete.export([(complete.tasks[0], [(RIGHT, None), ("    return x", None)])]).splitlines()]
    assert rows[0] == {"task_id": "BigCodeBench/0", "solution": "def task_func(x):\n    return x"}
    assert rows[1]["solution"].endswith('"""Task 0."""\n    return x'), "a bare continuation is put behind the prompt"
    assert isinstance(load_benchmark("bigcodebench_complete"), Unavailable)


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
