"""Asserts hold of a canonical outcome exactly where Python says that they hold of the value."""

from __future__ import annotations

import ast

import pytest

from rewards.clusters.signatures import OutcomeMatrix, pass_bits
from rewards.outcomes.literals import parse_assert
from rewards.outcomes.typed import Canonicaliser
from rewards.records import Execution, Kind, Outcome

VALUES = [2, 2.0, True, 1, 1.0, False, 0, 0.0, None, "", "2", "True", [], [2], [2.0], (2,), {1: 2}, {True: 2.0}, {1, 2}, {1.0, 2}, set()]
VALUES += [frozenset(), frozenset({1}), b"", bytearray(), iter([]), float("nan"), float("inf"), "x" * 2000, [2.5] * 400]
TESTS = ["f() == 2", "f() == 2.0", "f() == True", "f() == 0", "f() is True", "f() is None", "f() == None", "f()", "not f()", "f() == [2]"]
TESTS += ["f() == {1: 2}", "f() == {2, 1}", "f() == '2'", "f() == (2.0,)", "f() == 1e999", "f() == " + repr("x" * 2000)]


@pytest.mark.parametrize("test", TESTS, ids=range(len(TESTS)))
def test_programs_pass_the_asserts_that_python_lets_pass(test: str) -> None:
    found = parse_assert(f"assert {test}", "f")
    assert found is not None
    texts = [Canonicaliser().text(value) for value in VALUES]
    matrix = OutcomeMatrix.from_executions([Execution((Outcome(Kind.VALUE, t),)) for t in texts], expected=[found[1]])
    assert pass_bits(matrix)[:, 0].tolist() == [bool(eval(test, {"f": lambda v=value: v})) for value in VALUES]


def test_a_program_that_returns_none_may_have_changed_its_arguments() -> None:
    found = parse_assert("assert f([1]) is None", "f")
    assert found is not None and ast.literal_eval(found[0]) == [[1]]
    left = Execution((Outcome(Kind.VALUE, Canonicaliser().result(None, [[1]])),))
    assert pass_bits(OutcomeMatrix.from_executions([left], expected=[found[1]])).all()
