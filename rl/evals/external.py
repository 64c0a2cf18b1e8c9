"""Benchmarks whose official scoring needs more than Python and a sandbox: samples are written in the official format, and the official
scorer is called where it is there. Where it is not, the result is `unavailable` with what to install, never a number.
"""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from probing.reading import read_program
from rl.console import UserError
from rl.evals.base import Benchmark, EvalTask, Unavailable

Answers = Sequence[tuple[EvalTask, Sequence[str]]]  # each task with its completions
Verdicts = list[list[bool | None]]  # None: the scorer said nothing about it
SCORER_HOURS = 12


@dataclass(frozen=True)
class ExternalTask(EvalTask):
    """A task that something else scores."""

    row: dict[str, Any] = field(default_factory=dict, hash=False)  # the official row
    given: str = ""  # the code that the prompt shows


class ExternalBenchmark(Benchmark, ABC):
    """A benchmark that is scored elsewhere."""

    @abstractmethod
    def unavailable(self) -> Unavailable | None:
        """What is missing for scoring; None when the scorer is there."""

    @abstractmethod
    def judge(self, answers: Answers) -> Verdicts:
        """The official scorer's verdicts."""


def scorable(benchmark: Benchmark | Unavailable) -> Benchmark | Unavailable:
    """The benchmark, or why it cannot be scored: asked before anything is sampled for it."""
    return (benchmark.unavailable() if isinstance(benchmark, ExternalBenchmark) else None) or benchmark


class BigCodeBenchmark(ExternalBenchmark):
    """BigCodeBench, scored by `bigcodebench.evaluate` (bigcodebench 0.2) on this machine, in the environment that it asks for."""

    COMMAND = "bigcodebench.evaluate"

    @property
    def split(self) -> str:
        return "instruct" if "instruct" in self.name else "complete"

    @property
    def subset(self) -> str:
        return "hard" if self.name.endswith("_hard") else "full"

    def unavailable(self) -> Unavailable | None:
        if shutil.which(self.COMMAND):
            return None
        remedy = "pip install bigcodebench, and the libraries that its tests use (Requirements/requirements-eval.txt of its repository)"
        return Unavailable(self.name, f"{self.COMMAND} is not installed", remedy)

    def judge(self, answers: Answers) -> Verdicts:
        with tempfile.TemporaryDirectory(prefix="bigcodebench-") as folder:
            samples = Path(folder) / "samples.jsonl"
            samples.write_text(self.export([(t, [(text, None) for text in group]) for t, group in answers]))
            words = [self.COMMAND, "--execution", "local", "--split", self.split, "--subset", self.subset, "--samples", str(samples)]
            try:
                done = subprocess.run(words, capture_output=True, text=True, timeout=SCORER_HOURS * 3600, check=False)
            except subprocess.TimeoutExpired:
                raise UserError(
                    f"{self.COMMAND} was not done after {SCORER_HOURS} hours", self.name, "score fewer samples at a time"
                ) from None
            written = samples.with_name("samples_eval_results.json")
            if done.returncode != 0 or not written.is_file():
                raise UserError(
                    f"{self.COMMAND} failed: {done.stderr.strip()[-500:]}", self.name, "run it by hand on samples from --export official"
                )
            results = json.loads(written.read_text())["eval"]
        return [_statuses(results.get(task.id, []), len(group)) for task, group in answers]

    def export(self, answers: Sequence[tuple[EvalTask, Sequence[tuple[str, str | None]]]]) -> str:
        rows = [{"task_id": t.id, "solution": bigcode_solution(t, text)} for t, group in answers for text, _ in group]
        return "".join(json.dumps(row) + "\n" for row in rows)


def bigcode_solution(task: EvalTask, answer: str) -> str:
    assert isinstance(task, ExternalTask)
    return read_program(answer, task.entry, task.given) or ""


def _statuses(rows: Sequence[dict[str, Any]], n: int) -> list[bool | None]:
    found: list[bool | None] = [row["status"] == "pass" for row in rows]
    return [*found, *[None] * (n - len(found))][:n]


class FullStackBenchmark(ExternalBenchmark):
    """FullStackBench, scored by a SandboxFusion server as in `src/main.py` of github.com/bytedance/FullStackBench at f2b626d."""

    TIMEOUT_SECONDS = 180.0
    GREETING_SECONDS = 10.0

    def unavailable(self) -> Unavailable | None:
        start = "docker run -d --rm -p 8080:8080 volcengine/sandbox-fusion:server-20241202"
        url = str(self.sandbox.get("url") or "")
        if not url:
            return Unavailable(self.name, "no SandboxFusion server is named", f"{start}, then set SANDBOX_FUSION_URL=http://localhost:8080")
        try:
            with urllib.request.urlopen(url, timeout=self.GREETING_SECONDS):
                return None
        except urllib.error.HTTPError:
            return None  # it speaks: that is all that was asked
        except (OSError, http.client.HTTPException, ValueError) as error:
            return Unavailable(self.name, f"no SandboxFusion server answers at SANDBOX_FUSION_URL={url} ({error})", f"start one: {start}")

    def judge(self, answers: Answers) -> Verdicts:
        return [[self._submit(task, text) for text in group] for task, group in answers]

    def _submit(self, task: EvalTask, completion: str) -> bool | None:
        assert isinstance(task, ExternalTask)
        config = {"compile_timeout": 50, "run_timeout": 50, "dataset_type": "AutoEvalDataset", "provided_data": task.row}
        body = {"dataset": "FullStackBench", "id": task.row["id"], "completion": completion, "config": config}
        address = str(self.sandbox["url"]).rstrip("/") + "/submit"
        request = urllib.request.Request(address, json.dumps(body).encode(), {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=self.TIMEOUT_SECONDS) as reply:
                return bool(json.load(reply)["accepted"])
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
            return None

    def export(self, answers: Sequence[tuple[EvalTask, Sequence[tuple[str, str | None]]]]) -> str:
        rows = [{"id": t.row["id"], "completion": text} for t, group in answers if isinstance(t, ExternalTask) for text, _ in group]
        return "".join(json.dumps(row) + "\n" for row in rows)
