"""Verdicts on HumanEval+ and MBPP+ rows, hand-checked, and on the data where it is here."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from probing.samplers.base import Completion
from rewards.outcomes.literals import literal
from rewards.sandbox import Sandbox
from rl.benchmarks import evalplus
from rl.benchmarks.base import Benchmark, Unavailable, load_benchmark
from rl.benchmarks.evalplus import SANDBOX, PlusBenchmark, task_of, tolerance
from rl.config.evals import EvalsConfig
from rl.evals.runner import score
from tests.evals.toys import fenced


def row(entry: str, solution: str, base: list[Any], plus: list[Any], atol: float = 0, number: int = 9999) -> dict[str, Any]:
    prompt = f'def {entry}(x):\n    """Do it."""\n'
    return {
        "task_id": f"Mbpp/{number}",
        "prompt": prompt,
        "entry_point": entry,
        "canonical_solution": solution,
        "base_input": base,
        "plus_input": plus,
        "atol": atol,
    }


def verdicts(sandbox: Sandbox, data: dict[str, Any], *codes: str, mbpp: bool = False) -> list[bool | None]:
    benchmark = PlusBenchmark("plus", (task_of(data, mbpp),), "tests", SANDBOX)
    answers = [[Completion(fenced(code), (0,), (0.0,), True) for code in codes]]
    return [s.passed for s in score(benchmark, answers, sandbox, EvalsConfig(samples=len(codes))).samples]


def test_equality_is_pythons_not_the_types(sandbox: Sandbox) -> None:
    data = row("f", "    return x > 0", [[1]], [[-1]])
    same = "def f(x):\n    return int(x > 0)"
    assert verdicts(sandbox, data, same, "def f(x):\n    return x", "def f(x):\n    return [x > 0]") == [True, False, False]


def test_floats_have_a_tolerance_and_only_floats(sandbox: Sandbox) -> None:
    data = row("f", "    return x / 3", [[1]], [[2]])
    near, far = "def f(x):\n    return x / 3 + 5e-7", "def f(x):\n    return x / 3 + 5e-5"
    assert verdicts(sandbox, data, near, far) == [True, False]
    exact = row("f", "    return [x, 0.5]", [[1]], [[2]])
    assert verdicts(sandbox, exact, "def f(x):\n    return [x, 0.5 + 1e-9]") == [False]


def test_tolerance_sticks_from_the_first_float_on() -> None:
    assert tolerance(0, [1, 2.0, 3]) == [0, 1e-6, 1e-6]
    assert tolerance(0.01, [1, 2.0]) == [0.01, 0.01]
    assert tolerance(0, [[], (1.0,), "a"]) == [0, 1e-6, 1e-6]


def test_the_base_tests_are_judged_on_their_own(sandbox: Sandbox) -> None:
    benchmark = PlusBenchmark("plus", (task_of(row("f", "    return abs(x)", [[1], [2]], [[-1]]), False),), "tests", SANDBOX)
    codes = ["def f(x):\n    return abs(x)", "def f(x):\n    return x", "def f(x):\n    return -x"]
    answers = [[*(Completion(fenced(code), (0,), (0.0,), True) for code in codes), Completion("No.", (0,), (0.0,), True)]]
    result = score(benchmark, answers, sandbox, EvalsConfig(samples=4))
    assert [(s.passed, s.base) for s in result.samples] == [(True, True), (False, True), (False, False), (False, False)]
    assert (result.metrics["pass@1"], result.metrics["pass@1_base"], result.metrics["no_program"]) == (0.25, 0.5, 0.25)


def test_long_results_are_compared_whole(sandbox: Sandbox) -> None:
    data = row("f", "    return [v / 7 for v in range(x)]", [[2000]], [])
    near = "def f(x):\n    return [v / 7 + 1e-8 for v in range(x)]"
    assert verdicts(sandbox, data, near, near.replace("range(x)", "range(x - 1)")) == [True, False]


def test_special_oracles(sandbox: Sandbox) -> None:
    as_sets = row("similar_elements", "    return (4, 5)", [[1]], [], number=1)
    assert verdicts(sandbox, as_sets, "def similar_elements(x):\n    return [5, 4, 4]", mbpp=True) == [True]
    not_none = row("check_str", "    import re\n    return re.search('a', x)", [["a"], ["b"]], [])
    right, wrong = "def check_str(x):\n    return 'a' in x", "def check_str(x):\n    return 'b' in x"
    match = "import re\ndef check_str(x):\n    return re.match('.*a', x)"
    assert verdicts(sandbox, not_none, right, wrong, match, mbpp=True) == [True, False, True]
    zero = row("find_zero", "    return -x[0] / x[1]", [[[3, 1]]], [], atol=1e-4)
    assert verdicts(sandbox, zero, "def find_zero(x):\n    return -3.00001", "def find_zero(x):\n    return -3.1") == [True, False]


@pytest.mark.parametrize(
    "body",
    [
        "import sys\ndef f(x):\n    sys.exit(0)",
        "import os\ndef f(x):\n    os._exit(0)",
        "class Yes:\n    def __eq__(self, other):\n        return True\ndef f(x):\n    return Yes()",
        "import builtins\nbuiltins.AssertionError = BaseException\nbuiltins.all = lambda rows: True\ndef f(x):\n    return None",
        "class L(list):\n    def __eq__(self, other):\n        return True\ndef f(x):\n    return L()",
    ],
)
def test_no_verdict_can_be_forged(sandbox: Sandbox, body: str) -> None:
    assert verdicts(sandbox, row("f", "    return [x]", [[1]], [[2]]), body) == [False]


def test_a_reference_that_fails_makes_its_task_missing(sandbox: Sandbox) -> None:
    assert verdicts(sandbox, row("f", "    return 1 // x", [[1]], [[0]]), "def f(x):\n    return 1") == [None]


def test_infinite_inputs_have_a_literal() -> None:
    assert literal([float("inf"), [-float("inf"), (1,), {"a": 2.5}], "inf"]) == "[1e999, [-1e999, (1,), {'a': 2.5}], 'inf']"
    with pytest.raises(ValueError, match="NaN"):
        literal([float("nan")])


@pytest.mark.parametrize(("name", "least"), [("humaneval_plus", 164), ("mbpp_plus", 378)])
def test_every_reference_passes_on_the_data_at_hand(sandbox: Sandbox, name: str, least: int) -> None:
    benchmark = load_benchmark(name)
    if isinstance(benchmark, Unavailable):
        pytest.skip(benchmark.reason)
    some = [task for task in benchmark.tasks[:: max(len(benchmark.tasks) // 12, 1)] if task.id != "HumanEval/130"]  # a million floats: slow
    assert len(benchmark.tasks) >= least
    chosen = PlusBenchmark(name, some, "tests", benchmark.sandbox)
    answers = [[Completion(fenced(t.reference), (0,), (0.0,), True)] for t in some]
    result = score(chosen, answers, sandbox, EvalsConfig(samples=1))
    assert [r["id"] for r in result.tasks if r["correct"] != 1] == []


def test_a_part_of_the_benchmark_does_not_pass_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """evalplus's own copy, which is whole, is not passed over for it either."""
    (tmp_path / "mbppplus").mkdir()
    with gzip.open(tmp_path / "mbppplus" / "MbppPlus-first60.jsonl.gz", "wt") as file:
        file.write("")
    monkeypatch.setattr("rl.benchmarks.data.data_folders", lambda: [tmp_path])
    monkeypatch.setattr(evalplus, "package_data", lambda name: None)
    assert isinstance(evalplus.load.__wrapped__("mbpp_plus"), Unavailable)


def test_decontamination_sees_the_statements() -> None:
    benchmark = load_benchmark("humaneval_plus")
    if isinstance(benchmark, Unavailable):
        pytest.skip(benchmark.reason)
    assert isinstance(benchmark, Benchmark)
    assert any("any two numbers closer to each other" in t.statement for t in benchmark.tasks)
