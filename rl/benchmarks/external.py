"""Benchmarks whose official scoring needs more than Python and a sandbox: samples are written in the official format, and the official
scorer is called where it is there. Where it is not, the result is `unavailable` with what to install, never a number.
"""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rl.benchmarks.base import Benchmark, EvalTask, Unavailable

Answers = Sequence[tuple[EvalTask, Sequence[str]]]  # each task with its completions
Verdicts = list[list[bool | None]]  # None: the scorer said nothing about it


@dataclass(frozen=True)
class ExternalTask(EvalTask):
    """A task that something else scores."""

    row: dict[str, Any] = field(default_factory=dict, hash=False)  # the official row


class ExternalBenchmark(Benchmark, ABC):
    """A benchmark that is scored elsewhere."""

    @abstractmethod
    def score_answers(self, answers: Answers) -> Verdicts:
        """The official scorer's verdicts."""


def scorable(benchmark: Benchmark | Unavailable) -> Benchmark | Unavailable:
    """The benchmark, or why it cannot be scored: asked before anything is sampled for it."""
    return benchmark if isinstance(benchmark, Unavailable) else benchmark.unavailable() or benchmark


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

    def score_answers(self, answers: Answers) -> Verdicts:
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
