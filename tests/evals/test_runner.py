"""What a benchmark's figures count: hand-checked answers, run in the sandbox."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

import pytest

from rewards.records import Execution, Kind, Outcome, Program
from rewards.sandbox import Sandbox
from rl.benchmarks.base import Benchmark, EvalTask
from rl.config.evals import EvalsConfig
from rl.evals.metrics import modules_not_offered
from rl.evals.runner import EvalResult, evaluate
from tests.evals.toys import DOUBLE, TOKENIZER, TOY, ListSampler, fenced

RIGHT, SAME = fenced("def double(x):\n    return x * 2"), fenced("def double(x):\n    # twice\n    return (x*2)")
OTHER_RIGHT, WRONG = fenced("def double(x):\n    return x + x"), fenced("def double(x):\n    return x + 1")
BROKEN, TALK = fenced("def double(x)\n    return x"), "I would rather not."
SQUARE_FIRST = [fenced("def first(xs):\n    return xs[0] if xs else None")] * 6


def run(sandbox: Sandbox, *answers: Sequence[str], benchmark: Benchmark = TOY, **options: Any) -> EvalResult:
    config = EvalsConfig(samples=len(answers[0]), **options)
    return evaluate(ListSampler(*answers), TOKENIZER, sandbox, benchmark, config)


def test_figures_of_a_hand_checked_benchmark(sandbox: Sandbox) -> None:
    result = run(sandbox, [RIGHT, WRONG, SAME, BROKEN, TALK, OTHER_RIGHT], SQUARE_FIRST)
    double, first = result.tasks
    assert (double["n"], double["correct"], double["missing"]) == (6, 3, 0)
    assert first["correct"] == 6, "an input on which the reference fails does not count"
    metrics = result.metrics
    assert metrics["pass@1"] == pytest.approx(0.75)
    assert metrics["pass@1_ci"] == [0.5, 1.0]
    assert "pass@16" not in metrics and metrics["pass@4"] == pytest.approx(1.0)
    assert metrics["compile_rate"] == pytest.approx(10 / 12)
    assert metrics["outcomes"] == {"does not compile": 1, "no program": 1, "passed": 9, "wrong": 1}
    assert metrics["majority@6"] == 1.0 and metrics["majority_wrong"] == 0.0
    assert double["entropy"] == pytest.approx(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    assert double["top_share"] == pytest.approx(0.5)
    assert [s.label for s in result.samples[:6]] == [0, 1, 0, -1, -1, 0]


class Wrapping(Benchmark):
    """Compiles a program inside another one, as BigCodeBench does."""

    def wrapped(self, task: EvalTask, program: Program) -> Program:
        return Program(
            f"def {task.entry}(x):\n    exec({program.code!r}, space := {{}})\n    return space[{task.entry!r}](x)", task.entry, task.inputs
        )


def test_a_program_that_its_benchmark_compiles_may_not_compile(sandbox: Sandbox) -> None:
    inside = fenced("def double(x):\n    return eval('(')")
    metrics = run(sandbox, [RIGHT, BROKEN, inside], benchmark=Wrapping("toy", (DOUBLE,), "tests")).metrics
    assert metrics["outcomes"] == {"does not compile": 1, "exception": 1, "passed": 1}
    assert metrics["compile_rate"] == pytest.approx(2 / 3)


def test_answers_that_miss_a_module_are_counted_by_its_name(sandbox: Sandbox) -> None:
    numpy, inside = (
        fenced(code) for code in ("import numpy\ndef double(x):\n    return int(numpy.add(x, x))", "def double(x):\n    import pandas.x")
    )
    metrics = run(sandbox, [numpy, numpy, inside, RIGHT], SQUARE_FIRST[:4]).metrics
    assert metrics["outcomes"] == {"module not offered: numpy": 2, "module not offered: pandas": 1, "passed": 5}
    assert metrics["missing"] == 0, "they count as wrong"
    said = "3 of 8 answers import numpy (2), pandas (1), which are not offered: sandbox.packages"
    assert modules_not_offered(metrics) == said
    offered = Sandbox(sandbox.config.model_copy(update={"packages": ("numpy",)}))
    with offered:
        metrics = run(offered, [numpy, numpy, inside, RIGHT], SQUARE_FIRST[:4]).metrics
    assert modules_not_offered(metrics) == "1 of 8 answers import pandas, which is not offered: sandbox.packages"


def test_result_is_json_and_repeats(sandbox: Sandbox) -> None:
    answers = [RIGHT, WRONG, TALK] * 6, [*SQUARE_FIRST, *SQUARE_FIRST, *SQUARE_FIRST]
    one, two = run(sandbox, *answers), run(sandbox, *answers)
    assert json.dumps([one.metrics, one.tasks], allow_nan=False) == json.dumps([two.metrics, two.tasks])


def test_a_majority_that_is_wrong_is_said_to_be(sandbox: Sandbox) -> None:
    result = run(sandbox, [WRONG, WRONG, RIGHT], SQUARE_FIRST[:3])
    assert result.metrics["majority_wrong"] == 0.5


def test_a_few_tasks_that_all_fail_do_not_prove_zero(sandbox: Sandbox) -> None:
    nothing = run(sandbox, [WRONG], [fenced("def first(xs):\n    return 9")]).metrics
    assert nothing["pass@1"] == 0.0 and nothing["pass@1_ci"] == pytest.approx([0.0, 0.6576], abs=1e-4)  # Wilson, 0 of 2
    everything = run(sandbox, [RIGHT], SQUARE_FIRST[:1]).metrics
    assert everything["pass@1_ci"] == pytest.approx([0.3424, 1.0], abs=1e-4)
    half = run(sandbox, [RIGHT, WRONG], [*SQUARE_FIRST[:1], fenced("def first(xs):\n    return 9")]).metrics
    assert half["pass@1"] == 0.5 and half["pass@1_ci"] == pytest.approx([0.1712, 0.8288], abs=1e-4), "two tasks, both half right"


def test_greedy_asks_once_and_reports_all_progress(sandbox: Sandbox) -> None:
    sampler, done = ListSampler([RIGHT] * 4, SQUARE_FIRST[:4]), []
    result = evaluate(sampler, TOKENIZER, sandbox, TOY, EvalsConfig(samples=4, temperature=0.0), done.append)
    assert sampler.asked[0][1] == 1 and result.metrics["samples"] == 2
    assert sum(done) == 2


def test_prompts_go_through_the_chat_template(sandbox: Sandbox) -> None:
    sampler = ListSampler([RIGHT], SQUARE_FIRST[:1])
    evaluate(sampler, TOKENIZER, sandbox, TOY, EvalsConfig(samples=1, seed=7, max_new_tokens=9))
    prompts, n, params, seed = sampler.asked[0]
    assert prompts == ["<Double x.>", "<First of xs.>"]
    assert (n, params.max_new_tokens, seed) == (1, 9, 7)


class CountingSandbox:
    """Passes programs on, and loses those that hold a marked word."""

    def __init__(self, inner: Sandbox, lost: str = "\0") -> None:
        self.inner, self.config, self.lost = inner, inner.config, lost
        self.seen: list[Program] = []

    def run(self, programs: Iterable[Program], progress: Any = None) -> Iterator[Execution]:
        for program in programs:
            self.seen.append(program)
            if self.lost in program.code:
                yield Execution((Outcome(Kind.INFRASTRUCTURE, "lost"),) * len(program.inputs))
            else:
                yield from self.inner.run([program])


def test_identical_programs_run_once(sandbox: Sandbox) -> None:
    counting = CountingSandbox(sandbox)
    run(cast(Sandbox, counting), [RIGHT, SAME, RIGHT, WRONG], benchmark=Benchmark("toy", (DOUBLE,), "tests"))
    assert len(counting.seen) == 3, "two distinct programs and the reference"


def test_what_the_sandbox_lost_is_left_out_and_counted(sandbox: Sandbox) -> None:
    lossy = cast(Sandbox, CountingSandbox(sandbox, lost="x + 1"))
    result = run(lossy, [RIGHT, WRONG, WRONG, OTHER_RIGHT], benchmark=Benchmark("toy", (DOUBLE,), "tests"))
    assert result.metrics["pass@1"] == 1.0
    assert (result.metrics["missing"], result.tasks[0]["n"]) == (2, 2)
    assert "pass@4" not in result.metrics, "two known samples do not make a pass@4"


def test_a_lost_reference_makes_the_task_missing_not_wrong(sandbox: Sandbox) -> None:
    lossy = cast(Sandbox, CountingSandbox(sandbox, lost="x * 2"))
    result = run(lossy, [WRONG, OTHER_RIGHT], benchmark=Benchmark("toy", (DOUBLE,), "tests"))
    assert result.metrics["tasks_missing"] == 1
    assert "pass@1" not in result.metrics and "compile_rate" not in result.metrics


@pytest.mark.parametrize(
    "body",
    [
        "import os\ndef double(x):\n    os._exit(0)",
        "import sys\ndef double(x):\n    sys.exit(0)",
        "class Yes:\n    def __eq__(self, other):\n        return True\ndef double(x):\n    return Yes()",
        "import builtins\nbuiltins.AssertionError = Exception\ndef double(x):\n    return None",
        "class Number(int):\n    def __eq__(self, other):\n        return True\ndef double(x):\n    return Number(7)",
    ],
)
def test_no_verdict_can_be_forged_from_inside(sandbox: Sandbox, body: str) -> None:
    result = run(sandbox, [fenced(body)], benchmark=Benchmark("toy", (DOUBLE,), "tests"))
    assert result.metrics["pass@1"] == 0.0
