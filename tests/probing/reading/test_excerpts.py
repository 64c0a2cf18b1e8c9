"""What of a program is said again behind it is no version of it; a corrected version is."""

from __future__ import annotations

import textwrap

import pytest

from probing.reading import read_program

F = "def f(xs):\n    if not xs:\n        return 0\n    total = 0\n    for x in xs:\n        total += x\n    return total"
EXCERPTS = [
    "def f(xs):\n    if not xs:\n        return 0",
    "def f(xs: list[int]) -> int:\n    '''Sum them.'''\n    if not xs:  # nothing to add\n        return 0",
    "def f(xs):\n    # ... same as before\n    return total",
    "def f(xs):\n    xs = list(xs)\n    # … the rest is the same",
    "def f(xs):\n    if not xs:\n        return 0\n    ...",
    "def f(xs):\n    for x in xs:\n        ...\n    return 1",
    "def f(xs):\n    total = 0\n    for x in xs:\n        total += x",
    "def f(xs):\n    for x in xs:\n        total += x\n    return total",
    "def f(xs):\n    return total",
]
CORRECTIONS = [
    "def f(xs):\n    return sum(xs)",
    "def f(xs):\n    total = 0\n    for x in xs:\n        total += x\n    return total",
    "def f(xs):\n    try:\n        return sum(xs)\n    except TypeError:\n        ...\n    return 0",
    "def f(xs):\n    # add ... them all\n    return sum(xs, '...' == '# ...')",
    "def f(xs):\n    return added(xs)",
]


def fence(code: str) -> str:
    return f"```python\n{code}\n```"


def method(code: str) -> str:
    """The function as a method of a class."""
    return "class Solution:\n" + textwrap.indent(code.replace("f(xs", "f(self, xs"), "    ")


def answers(first: str, second: str) -> list[str]:
    """Answers that hold both, one behind the other."""
    return [f"{fence(first)}\nAnd then:\n{fence(second)}\nDone.", f"{first}\n\nAnd then (again):\n\n{second}\n\nThat is it (all)."]


@pytest.mark.parametrize("excerpt", EXCERPTS)
def test_an_excerpt_behind_the_function_is_not_the_function(excerpt: str) -> None:
    for answer in answers(F, excerpt):
        assert read_program(answer, "f") == F
    for answer in answers(method(F), method(excerpt)):
        assert (read_program(answer, "f") or "").startswith(method(F))


@pytest.mark.parametrize("corrected", CORRECTIONS)
def test_a_corrected_version_counts_even_if_it_is_shorter(corrected: str) -> None:
    helper = "def added(xs):\n    return sum(xs)"
    for answer in answers(f"{helper}\n\n\n{F}", corrected):
        assert (read_program(answer, "f") or "").endswith(corrected)
    for answer in answers(f"{helper}\n\n\n{method(F)}", method(corrected) + "\n\n    # ... other methods"):
        assert method(corrected) in (read_program(answer, "f") or "")


def test_the_excerpt_of_a_corrected_version_is_not_taken_for_another_one() -> None:
    corrected = F.replace("return 0", "return None")
    start = corrected[: corrected.index("    total")]
    answer = f"{fence(F)}\nNo:\n{fence(corrected)}\nThat begins:\n{fence(start)}\nIt began:\n{fence(EXCERPTS[0])}"
    assert read_program(answer, "f") == corrected


def test_an_excerpt_is_the_program_where_there_is_no_other() -> None:
    for excerpt in EXCERPTS:
        assert read_program(fence(excerpt), "f") is not None
    assert read_program(f"{fence(EXCERPTS[0])}\nIn full:\n{fence(F)}", "f") == F


def test_names_that_a_star_import_may_bind_are_not_missed() -> None:
    later = "from math import *\n\n\ndef f(xs):\n    return fsum(xs)"
    assert (read_program(f"{fence(F)}\nBetter:\n{fence(later)}", "f") or "").endswith(later)
