"""BigCodeBench: unit tests in the sandbox, tasks that cannot be had here, prompts, formats."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from probing.prompt import Prompt
from probing.samplers.base import Completion
from rewards.records import Execution, Kind, Outcome, Program
from rewards.sandbox import Sandbox, SandboxConfig
from rewards.sandbox.layers import choose_layers
from rl.benchmarks import bigcodebench
from rl.benchmarks.base import Benchmark, Unavailable, load_benchmark
from rl.benchmarks.bigcodebench import BigCodePrompt
from rl.benchmarks.bigcodebench_scoring import INSTALL, LIBRARIES, SANDBOX, VARIABLE, BigCodeBenchmark, BigCodeTask, settings
from rl.benchmarks.external import scorable
from rl.config.evals import EvalsConfig
from rl.evals.metrics import tasks_left_out
from rl.evals.runner import EvalResult, score
from tests.evals.toys import fenced

pytestmark = pytest.mark.slow

TESTS = """
import unittest
class TestCases(unittest.TestCase):
    def test_root(self):
        self.assertEqual(task_func(9), 3)
    def test_each(self):
        for i in range(3):
            with self.subTest(i=i):
                self.assertEqual(task_func(i * i), i)
"""
HEAD = "import math\ndef task_func(x):\n"
STATEMENT = '    """The square root of x."""\n'
ROW = {
    "task_id": "BigCodeBench/0",
    "complete_prompt": f"import math\n\ndef task_func(x):\n{STATEMENT}",
    "instruct_prompt": f"The square root of x.\nYou should write self-contained code starting with:\n```\n{HEAD}```",
    "canonical_solution": "    return math.sqrt(x)",
    "code_prompt": HEAD,
    "test": TESTS,
    "entry_point": "task_func",
    "libs": "['math']",
}


def task(**changes: Any) -> BigCodeTask:
    known = BigCodeTask(
        id="BigCodeBench/0",
        prompt=Prompt("Write it."),
        entry="task_func",
        inputs=(),
        reference=ROW["complete_prompt"] + ROW["canonical_solution"],
        statement="The square root of x.",
        given=ROW["complete_prompt"],
        head=HEAD,
        tests=TESTS,
    )
    return replace(known, **changes)


def run(sandbox: Sandbox, tasks: list[BigCodeTask], *answers: list[str], **changes: Any) -> EvalResult:
    if "private scratch" not in sandbox.describe():
        pytest.skip("official tests write files, and only bubblewrap gives programs a folder of their own for that")
    own = SANDBOX | {"packages": (), "environment": None} | changes
    benchmark = BigCodeBenchmark("bigcodebench_complete_hard", tuple(tasks), "tests", own)
    completions = [[Completion(text, (0,), (0.0,), True) for text in group] for group in answers]
    return score(benchmark, completions, sandbox, EvalsConfig(samples=len(answers[0])))


ANSWERS = {
    "right": ("def task_func(x):\n    return math.sqrt(x)", "passed"),  # math comes with the prompt's own imports
    "wrong": ("def task_func(x):\n    return x / 3", "wrong"),
    "wrong in a subtest only": ("def task_func(x):\n    return 3 if x == 9 else 7", "wrong"),
    "an error in a test": ("def task_func(x):\n    return undefined", "wrong"),
    "a function of another name": ("def other(x):\n    return x ** 0.5", "wrong"),
    "an error before the tests": ("LIMIT = 1 / 0\ndef task_func(x):\n    return math.sqrt(x) + 0 * LIMIT", "exception"),
    "a module that is not there": ("import numpy_like\ndef task_func(x):\n    return numpy_like.sqrt(x)", "module not offered: numpy_like"),
    "a module that is not there, late": ("def task_func(x):\n    import numpy_like\n    return x", "module not offered: numpy_like"),
    "leaves": ("import os\ndef task_func(x):\n    os._exit(0)", "killed"),
    "leaves by exception": ("def task_func(x):\n    raise SystemExit(0)", "wrong"),
    "reads standard input": ("def task_func(x):\n    return int(input())", "wrong"),
    "prints much": ("def task_func(x):\n    print('x' * 10_000_000)\n    return math.sqrt(x)", "passed"),
}


def test_passed_is_what_passes_every_test(sandbox: Sandbox) -> None:
    result = run(sandbox, [task()], [fenced(code) for code, _ in ANSWERS.values()])
    found = {name: sample.outcome for name, sample in zip(ANSWERS, result.samples, strict=True)}
    assert found == {name: outcome for name, (_, outcome) in ANSWERS.items()}
    assert result.metrics["pass@1"] == pytest.approx(2 / len(ANSWERS)) and result.metrics["missing"] == 0


def test_a_test_that_never_ends_is_a_timeout(sandbox: Sandbox) -> None:
    limits = {"seconds_per_input": 1.0, "seconds_per_program": 2.0}
    result = run(sandbox, [task()], [fenced("def task_func(x):\n    while True: pass")], **limits)
    assert [sample.outcome for sample in result.samples] == ["timeout"]


def test_nothing_is_said_of_behaviour(sandbox: Sandbox) -> None:
    result = run(sandbox, [task()], [fenced(ANSWERS["wrong"][0])] * 4)
    assert not {key for key in (*result.tasks[0], *result.metrics) if key.startswith(("majority", "entropy", "top_share"))}


def test_a_task_whose_own_solution_fails_here_is_left_out(sandbox: Sandbox) -> None:
    network = "import socket\ndef task_func(x):\n    socket.create_connection(('example.org', 80))\n    return math.sqrt(x)"
    resource = "import a_library\ndef task_func(x):\n    return a_library.sqrt(x)"
    tasks = [task(), task(id="BigCodeBench/1", reference=f"import math\n{network}"), task(id="BigCodeBench/2", reference=resource)]
    right = [fenced(ANSWERS["right"][0])] * 2
    result = run(sandbox, tasks, right, right, right)
    assert [row["n"] for row in result.tasks] == [2, 0, 0]
    assert result.metrics["pass@1"] == 1.0 and result.metrics["tasks_unavailable"] == 2
    assert (result.metrics["missing"], result.metrics["tasks_missing"]) == (0, 0)
    assert result.metrics["outcomes"] == {"passed": 2, "unavailable": 4}
    said = tasks_left_out(result.tasks)
    assert said.startswith("2 of 3 tasks are unavailable here and left out: BigCodeBench/1 (test_each: ")
    assert "BigCodeBench/2 (not_offered a_library)" in said


class LosesFirst:
    """A sandbox that fails on the first program that it is given, a reference, and finds nothing wrong with the others."""

    config = SandboxConfig()

    def __init__(self) -> None:
        self.ran = 0

    def run(self, programs: Sequence[Program]) -> Iterator[Execution]:
        for _ in programs:
            self.ran += 1
            yield Execution((Outcome(Kind.INFRASTRUCTURE, "lost") if self.ran == 1 else Outcome(Kind.VALUE, "{}"),))


def test_a_solution_on_which_our_infrastructure_failed_makes_its_task_missing() -> None:
    sandbox = LosesFirst()
    own = {"packages": (), "environment": None}
    benchmark = BigCodeBenchmark("bigcodebench_complete_hard", (task(), task(id="BigCodeBench/1")), "tests", own)
    answers = [Completion(text, (0,), (0.0,), True) for text in (fenced(ANSWERS["right"][0]), "I do not know.")]
    metrics = score(benchmark, [answers, answers], cast(Sandbox, sandbox), EvalsConfig(samples=2)).metrics
    assert "tasks_unavailable" not in metrics
    assert (metrics["tasks_missing"], metrics["missing"], metrics["pass@1"]) == (1, 2, 0.5), "the one that was not lost"


def test_files_can_be_written_copied_and_dated(sandbox: Sandbox) -> None:
    if choose_layers(SandboxConfig()).bwrap is None:
        pytest.skip("nothing can be written without bubblewrap")
    tests = """
import datetime, os, shutil, tempfile, unittest
class TestCases(unittest.TestCase):
    def test_files(self):
        before = datetime.datetime.now().timestamp() - 1
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "a.txt")
            self.assertEqual(task_func(path), 3)
            shutil.move(path, os.path.join(folder, "b.txt"))
            self.assertGreater(os.stat(shutil.copy2(os.path.join(folder, "b.txt"), path)).st_mtime, before)
        self.assertEqual(os.listdir("."), [])
"""
    code = "def task_func(path):\n    with open(path, 'w') as file:\n        return file.write('abc')"
    assert run(sandbox, [task(tests=tests, reference=code)], [fenced(code)]).metrics["pass@1"] == 1.0


def test_without_its_environment_there_is_no_number(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sandbox: Sandbox) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "none"))
    benchmark = BigCodeBenchmark("bigcodebench_complete_hard", (task(),), "tests", settings())
    absent = scorable(benchmark)
    assert isinstance(absent, Unavailable) and "none is no virtual environment" in absent.reason and INSTALL in absent.remedy
    metrics = score(benchmark, [[Completion("x", (0,), (0.0,), True)]], sandbox, EvalsConfig(samples=1)).metrics
    assert "pass@1" not in metrics and INSTALL in metrics["remedy"]


def test_every_library_has_its_version() -> None:
    lines = [line.partition("#")[0].strip() for line in LIBRARIES.read_text().split("\n")]
    assert all(line.count("==") == 1 for line in lines if line)
    assert {"numpy", "pandas", "scikit-learn", "matplotlib.pyplot"} <= set(settings()["packages"])


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "bigcodebench").mkdir()
    monkeypatch.setenv("UCODER_DATA", str(tmp_path))
    bigcodebench.load.cache_clear()
    yield tmp_path / "bigcodebench"
    bigcodebench.load.cache_clear()


@pytest.mark.parametrize("form", ["official lines", "one object"])
def test_data_is_read_in_both_forms(data: Path, form: str) -> None:
    if form == "official lines":
        (data / "BigCodeBench-Hard.jsonl").write_text(json.dumps(ROW) + "\n")
    else:
        (data / "bigcodebench_hard.json.gz").write_bytes(gzip.compress(json.dumps({"BigCodeBench/0": ROW}).encode()))
    benchmark = load_benchmark("bigcodebench_complete_hard")
    assert isinstance(benchmark, BigCodeBenchmark) and benchmark.tasks[0].tests == TESTS


def test_prompts_are_the_official_ones(data: Path) -> None:
    (data / "BigCodeBench-Hard.jsonl").write_text(json.dumps(ROW) + "\n")
    complete, instruct = (load_benchmark(f"bigcodebench_{split}_hard") for split in ("complete", "instruct"))
    assert isinstance(complete, Benchmark) and isinstance(instruct, Benchmark)
    prompts = [benchmark.tasks[0].prompt for benchmark in (complete, instruct)]
    assert all(isinstance(prompt, BigCodePrompt) for prompt in prompts)
    one, two = (prompt.styled("evalplus") for prompt in prompts)
    asked = "Please provide a self-contained Python script that solves the following problem in a markdown code block:\n"
    assert one.user == f"{asked}```\n{ROW['complete_prompt'].strip()}\n```\n" and two.user == f"{asked}{ROW['instruct_prompt']}\n"
    assert one.prefill == two.prefill and one.prefill.endswith("passes corresponding tests:\n```python\n") and "\n```\n" in one.stop
    assert prompts[0].styled("plain").prefill == ""


def test_answers_are_read_by_the_one_reader_and_exported_officially(data: Path) -> None:
    (data / "BigCodeBench-Hard.jsonl").write_text(json.dumps(ROW) + "\n")
    benchmark = load_benchmark("bigcodebench_complete_hard")
    assert isinstance(benchmark, BigCodeBenchmark)
    answers = [(fenced(ANSWERS["wrong"][0]), None), ("    return x", None)]
    rows = [json.loads(line) for line in benchmark.export([(benchmark.tasks[0], answers)]).splitlines()]
    assert rows[0] == {"task_id": "BigCodeBench/0", "solution": ANSWERS["wrong"][0]}
    assert rows[1]["solution"].endswith(f"{STATEMENT}    return x"), "a bare continuation is put behind the prompt"
