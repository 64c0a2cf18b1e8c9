"""The count of answers without a program: what a reader finds is told apart in four kinds, and what is left is listed."""

from __future__ import annotations

import pytest

from bench.reading.__main__ import KINDS, NOW, kind_of, markdown, measure
from probing.reading import read_program
from rl.benchmarks.base import EvalTask

TASK = EvalTask("toy/0", "", "f", ("[1]",), "", "")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("import math\n\n\ndef f(x):\n    return x", "program"),
        ("f = lambda x: x", "program"),
        ("def g(f):\n    return f", "another name"),
        ("def f(x)\n    return x", "not compiling"),
        ("\x00", "not compiling"),
        (None, "none"),
    ],
)
def test_what_a_reader_finds_has_a_kind(code: str | None, kind: str) -> None:
    assert kind_of(code, "f") == kind


def test_answers_that_stay_without_a_program_are_listed() -> None:
    answers = [(TASK, "def f(x):\n    return x"), (TASK, "No."), (TASK, "```python\ndef f(x)\n    return x\n```"), (TASK, "def g(): pass")]
    found = measure(answers, {"blind": lambda *_: None, NOW: read_program})
    assert list(found["counts"][NOW].values()) == [1, 1, 1, 1] and tuple(found["counts"][NOW]) == KINDS
    assert (found["none_share"]["blind"], found["none_share"][NOW]) == (1.0, 0.25)
    assert [(row["kind"], row["end"]) for row in found["left"]] == [("none", "No."), ("not compiling", answers[2][1])]
    assert "| toy | 4 | blind | 100.0 % | 0 | 0 | 0 | 4 |" in markdown([{"answers_of": "toy", **found}])
