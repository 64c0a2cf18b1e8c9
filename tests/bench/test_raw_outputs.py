"""Raw answers beside their sanitised programs: what counts as a difference, and what a second look settles."""

from __future__ import annotations

import pytest

from bench.reading.raw_outputs import FORMS, Row, differs, summary, verdicts_on
from rewards.records import Program
from rewards.sandbox import Sandbox, SandboxConfig
from rl.benchmarks.base import Benchmark, EvalTask


def row(task: str, published: bool | None, *passed: bool | None) -> Row:
    return Row(task, published, dict(zip(FORMS, passed, strict=True)), dict.fromkeys(FORMS, ""))


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (row("a", True, True, True, True), False),
        (row("a", True, True, True, None), False),  # no sanitizer is here: nothing is known of its form
        (row("a", True, True, True, False), True),
        (row("a", False, True, True, True), True),
        (row("a", None, True, True, True), False),  # nothing is published for these tests
    ],
)
def test_what_is_not_known_is_no_difference(case: Row, expected: bool) -> None:
    assert differs(case) is expected


def test_the_second_look_counts_and_what_it_leaves_is_listed() -> None:
    rows = [row("a", True, True, True, True), row("b", True, False, True, True), row("c", False, True, False, False)]
    found = summary("toy", "all", rows, {"b": row("b", True, True, True, True), "c": rows[2]})
    assert (found["raw_pass"], found["solution_pass"], found["published_pass"]) == (3, 2, 2)
    assert found["raw_differs_from_solution"] == found["raw_differs_from_published"] == ["c"]
    assert [(r["task"], r["reason"]) for r in found["differing"]] == [("b", "settled by more time"), ("c", "unexplained")]


def test_forms_are_judged_each_by_its_own_text() -> None:
    task = EvalTask("t", "", "f", ("[1]", "[2]"), "def f(x):\n    return x + 1", "")
    texts = ["def f(x):\n    return x + 1", "def f(x):\n    return x", "def f(x):\n    return x + 1\nn = int(input())", None]
    programs = [(task, None if text is None else Program(text, "f", task.inputs)) for text in texts]
    with Sandbox(SandboxConfig(workers=1)) as sandbox:
        found = verdicts_on(Benchmark("toy", (task,), "here"), programs, sandbox)
    assert [verdict.passed for verdict, _ in found] == [True, False, False, False]
