"""Literal calls in the lines that models write."""

import pytest

from probing.parsing.calls import LiteralCall, call_in, value_after


@pytest.mark.parametrize(
    ("line", "arguments", "rest"),
    [
        ("f([1, 2], 'a)')", [[1, 2], "a)"], ""),
        ("assert f([(1, 2)], {}) == {1: (2,)}", [[(1, 2)], {}], " == {1: (2,)}"),
        ("print(f(-1, None))  # 3", [-1, None], ")  # 3"),
        ("f([1], k=2) -> [1]", [[1], 2], " -> [1]"),
        ("`f(1, 2)` returns `3`.", [1, 2], "` returns `3`."),
        ("x = f(f(1, 1), 2) or f(1, 2)", [1, 1], ", 2) or f(1, 2)"),
    ],
)
def test_a_call_is_read_whatever_surrounds_it(line: str, arguments: list, rest: str) -> None:
    assert call_in(line, "f", ("xs", "k")) == LiteralCall(arguments, rest)


@pytest.mark.parametrize("line", ["g(1)", "self.f(1)", "f(x)", "f(2021-01-03", "f(*[1])", "f(1, z=2)", "f(1, xs=2)", "def f(a: int):", ""])
def test_what_is_no_literal_call_is_none(line: str) -> None:
    assert call_in(line, "f", ("xs", "k")) is None


def test_a_long_line_is_cut_and_read_in_time() -> None:
    assert call_in("f(" + "(" * 100_000 + ")" * 100_000, "f") is None


@pytest.mark.parametrize(("rest", "value"), [(" == 3", 3), ("  # [1]", [1]), ("` returns `'a'`.", "a"), ("", None), (" == g(2)", None)])
def test_the_value_after_a_call(rest: str, value: object) -> None:
    assert value_after(rest) == value
