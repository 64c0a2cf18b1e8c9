"""Official tests recorded on the reference and replayed with a candidate's outcomes."""

from __future__ import annotations

import pytest

from probing.samplers.base import Completion
from rewards.sandbox import Sandbox
from rl.benchmarks.base import Unavailable, load_benchmark
from rl.benchmarks.replay import SANDBOX, TestedBenchmark, TestedTask
from rl.config.evals import EvalsConfig
from rl.evals.runner import score
from tests.evals.toys import fenced

HELPER = "def shift(s):\n    return s[1:] + s[:1]\n\n\n"
CHECK = """
def check(candidate):
    from random import choice
    for _ in range(5):
        text = "".join(choice("abc") for _ in range(6))
        assert candidate(shift(text)) == text
    assert abs(len(candidate("ab")) - 2.0) < 1e-6
    assert candidate("") is not None
"""
BACK = TestedTask(
    id="toy/back",
    prompt="Undo shift.",
    entry="back",
    inputs=(),
    reference=HELPER + "def back(s):\n    return s[-1:] + s[:-1]",
    statement="",
    tests=CHECK + "\ncheck(back)\n",
    given=HELPER + "def back(s):\n",
)
ASSERTS = TestedTask(
    id="toy/asserts",
    prompt="",
    entry="area",
    inputs=(),
    reference="import math\ndef area(r, unit=1):\n    return math.pi * r * r",
    statement="",
    tests="import math\nassert math.isclose(area(10), 314.159, rel_tol=0.001)\nassert area(2 * 0) == 0\nassert set([area(1)]) != set()",
)


def verdicts(sandbox: Sandbox, task: TestedTask, *codes: str) -> list[bool | None]:
    benchmark = TestedBenchmark("tested", (task,), "tests", SANDBOX)
    answers = [[Completion(fenced(code), (0,), (0.0,), True) for code in codes]]
    return [s.passed for s in score(benchmark, answers, sandbox, EvalsConfig(samples=len(codes))).samples]


def test_tests_with_helpers_and_chance_are_replayed(sandbox: Sandbox) -> None:
    right, other = "def back(s):\n    return s[-1:] + s[:-1]", "def back(text):\n    return ''.join([*text[-1:], *text[:-1]])"
    wrong, raising = "def back(s):\n    return s[1:] + s[:1]", "def back(s):\n    raise ValueError"
    assert verdicts(sandbox, BACK, right, other, wrong, raising) == [True, True, False, False]


def test_tests_may_compare_in_any_way(sandbox: Sandbox) -> None:
    right, near = "def area(r):\n    return 3.14159 * r * r", "def area(r):\n    return 3.1416 * r ** 2"
    far, no_value = "def area(r):\n    return 3.2 * r * r", "def area(r):\n    print(r)"
    assert verdicts(sandbox, ASSERTS, right, near, far, no_value) == [True, True, False, False]


@pytest.mark.parametrize(
    "body",
    [
        "import sys\ndef back(s):\n    sys.exit(0)",
        "import os\nos._exit(0)\ndef back(s):\n    return s",
        "class Yes(str):\n    def __eq__(self, other):\n        return True\ndef back(s):\n    return Yes('xx')",
        "def shift(s):\n    return s\ndef back(s):\n    return s",
        "import builtins\nbuiltins.AssertionError = None\ndef check(candidate):\n    pass\ndef back(s):\n    return 'x'",
        "def verdict(outcomes):\n    return True\ndef back(s):\n    return verdict",
        "class Unrecorded(BaseException):\n    pass\ndef back(s):\n    raise Unrecorded",  # a missing verdict would be a gift too
        "import os\ndef back(s):\n    os.closerange(0, 256)",
    ],
)
def test_no_verdict_can_be_forged(sandbox: Sandbox, body: str) -> None:
    assert verdicts(sandbox, BACK, body) == [False]


def test_tests_that_cannot_be_recorded_leave_the_task_missing(sandbox: Sandbox) -> None:
    task = TestedTask("toy/broken", "", "f", (), "def f(x):\n    return x", "", tests="assert f(lambda: 0) is not None")
    assert verdicts(sandbox, task, "def f(x):\n    return x") == [None]


def test_an_assert_whose_message_calls_again_is_wrong_not_missing(sandbox: Sandbox) -> None:
    tests = "assert f(1) == 2, 'got ' + str(f(1)) + str(f(7))\nassert f(3) == 4"
    task = TestedTask("toy/message", "", "f", (), "def f(x):\n    return x + 1", "", tests=tests)
    codes = ("def f(x):\n    return 1 + x", "def f(x):\n    return x", "def f(x):\n    return 2")
    assert verdicts(sandbox, task, *codes) == [True, False, False]


def test_a_call_that_depends_on_the_candidates_answer_is_missing_not_wrong(sandbox: Sandbox) -> None:
    task = TestedTask("toy/nested", "", "f", (), "def f(x):\n    return x + 1", "", tests="assert f(f(1)) == 3")
    assert verdicts(sandbox, task, "def f(x):\n    return x + 1", "def f(x):\n    return x + 2") == [True, None]


@pytest.mark.parametrize(("name", "step"), [("humaneval", 12), ("mbpp", 30)])
def test_references_pass_on_the_data_at_hand(sandbox: Sandbox, name: str, step: int) -> None:
    benchmark = load_benchmark(name)
    if isinstance(benchmark, Unavailable):
        pytest.skip(benchmark.reason)
    tasks = benchmark.tasks[::step]
    answers = [[Completion(fenced(t.reference), (0,), (0.0,), True)] for t in tasks]
    result = score(TestedBenchmark(name, tasks, "tests", SANDBOX), answers, sandbox, EvalsConfig(samples=1))
    assert [r["id"] for r in result.tasks if r["correct"] != 1] == []
