"""Samples written by `ucoder eval --export evalplus` are accepted by the public tool, and it reaches our verdicts."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from probing.samplers.base import Completion
from rewards.sandbox import Sandbox
from rl.benchmarks.evalplus import SANDBOX, PlusBenchmark, task_of
from rl.config.evals import EvalsConfig
from rl.evals.runner import score
from rl.evals.samples_file import write_export
from tests.evals.toys import fenced


def row(task_id: str, entry: str, body: str, base: list[Any], plus: list[Any], atol: float = 0) -> dict[str, Any]:
    return {
        "task_id": task_id,
        "entry_point": entry,
        "prompt": f'def {entry}(x):\n    """Do it."""\n',
        "contract": "",
        "atol": atol,
        "canonical_solution": f"    return {body}\n",
        "base_input": base,
        "plus_input": plus,
    }


ROWS = {  # the public data's schema
    "humaneval": [
        row("HumanEval/0", "double", "x * 2", [[1]], [[-3], [0]]),
        row("HumanEval/1", "third", "x / 3", [[1]], [[2.5]]),
    ],
    "mbpp": [
        row("Mbpp/9998", "double", "x * 2", [[1]], [[-3], [0]]),
        row("Mbpp/9999", "similar_elements", "(4, 5)", [[1]], [[2]]),
    ],
}
ANSWERS = {
    "double": (
        fenced("def double(x):\n    return x + x"),
        fenced("def double(x):\n    return 2"),  # passes the base input only
        fenced("def double(x):\n    return x +"),
        "I do not know.",
        "    return x * 2\n\nprint(double(2))",  # a bare continuation
    ),
    "third": (fenced("def third(x):\n    return x / 3 + 1e-9"), fenced("def third(x):\n    return x // 3"), "", "", ""),
    "similar_elements": (
        *(fenced("def similar_elements(x):\n    return [5, 4, 4]"), fenced("def similar_elements(x):\n    return (4,)")),
        *("", "", ""),
    ),
}


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("evalplus") is None, reason="evalplus is not installed: pip install 'ucoder[evals]'")
def test_evalplus_accepts_the_samples_and_agrees(sandbox: Sandbox, tmp_path: Path) -> None:
    ours: dict[str, list[bool | None]] = {}
    running = []
    for name, rows in ROWS.items():
        benchmark = PlusBenchmark(f"{name}_plus", tuple(task_of(r, name == "mbpp") for r in rows), "tests", SANDBOX)
        answers = [[Completion(text, (0,), (0.0,), True) for text in ANSWERS[r["entry_point"]]] for r in rows]
        result = score(benchmark, answers, sandbox, EvalsConfig(samples=5))
        samples = write_export(benchmark.name, benchmark, result, tmp_path)
        for sample in result.samples:
            ours.setdefault(sample.task_id, []).append(sample.passed)
        data = tmp_path / f"{name}-data.jsonl"
        data.write_text("".join(json.dumps(r) + "\n" for r in rows))
        command = [sys.executable, "-m", "evalplus.evaluate", "--dataset", name, "--samples", str(samples)]
        command += ["--parallel", "1", "--min_time_limit", "20"]
        places = {f"{name.upper()}_OVERRIDE_PATH": str(data), "XDG_CACHE_HOME": str(tmp_path / "cache")}
        running.append((samples, subprocess.Popen(command, env={**os.environ, **places}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)))
    theirs: dict[str, list[bool]] = {}
    for samples, process in running:
        said, _ = process.communicate(timeout=300)
        assert process.returncode == 0, said.decode()
        for task, found in json.loads(samples.with_name(f"{samples.stem}_eval_results.json").read_text())["eval"].items():
            theirs[task] = [one["base_status"] == one["plus_status"] == "pass" for one in found]
    assert theirs == ours
    assert ours["HumanEval/0"] == [True, False, False, False, True]
    assert ours["Mbpp/9999"][:2] == [True, False]
