"""An answer that is cut off inside its program has a program that can be run, and none that votes."""

from __future__ import annotations

import pytest

from probing.reading import read_program, read_voter
from probing.records import STDIN, Problem
from probing.samplers.base import Completion
from probing.stages.solutions import candidates_of

HEAD = "```python\ndef f(xs):\n    xs.sort()\n"
F = "def f(xs):\n    xs.sort()\n    return xs[0]"


@pytest.mark.parametrize(
    "answer",
    [
        f"{HEAD}    return xs[len(xs",
        f"{HEAD}    for x in xs:\n        print(x",
        "def f(xs):\n    xs.sort()\n    return '",
        "class Solution:\n    def f(self, xs):\n        xs.sort()\n        return xs[",
        "def f(xs):\n    return least(xs)\n\n\ndef least(xs):\n    xs.sort()\n    return xs[",
    ],
)
def test_what_does_not_parse_to_its_end_has_no_vote(answer: str) -> None:
    assert read_program(answer, "f") is not None
    assert read_voter(answer, "f", finished=False) is read_voter(answer, "f") is None


@pytest.mark.parametrize(
    "answer",
    [
        HEAD,
        HEAD.rstrip(),
        f"{HEAD}    # now the least",
        f"{HEAD}    if xs:\n        return xs[0]\n",
        f"{HEAD}    return xs",
        f"{HEAD}    return",
        "def f(xs):\n    return least(xs)\n\n\ndef least(xs):\n    xs.sort()\n",
        "class Solution:\n    def f(self, xs):\n        xs.sort()\n",
    ],
)
def test_what_an_unfinished_answer_ends_in_has_no_vote(answer: str) -> None:
    assert read_voter(answer, "f", finished=False) is None
    assert read_voter(answer, "f") == read_program(answer, "f") is not None


def test_nor_has_a_body_that_goes_on_where_the_prompt_stops() -> None:
    given = "def f(xs):\n    '''The least.'''\n"
    assert read_voter("    xs.sort()\n", "f", given, finished=False) is read_voter("    xs.sort()\n    return xs[", "f", given) is None
    assert read_voter("    xs.sort()\n    return xs[0]\n", "f", given, finished=False) is not None


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize(
    "behind",
    [
        "\n",
        "\n```",
        "\n```\nIt sorts",
        "\n\n# Test cases",
        "\n\nassert f([",
        "\n\n\ndef test():\n    assert f([1",
        "\n\n\ndef f(xs):\n    xs.sort()\n    re(",
    ],
)
def test_what_is_cut_off_behind_the_function_takes_no_vote(behind: str, finished: bool) -> None:
    assert read_voter(f"```python\n{F}{behind}", "f", finished=finished) == read_program(f"```python\n{F}{behind}", "f") is not None


def test_a_program_on_standard_input_that_is_cut_off_has_no_vote() -> None:
    program = "n = int(input())\nfor i in range(n):\n    print(i)"
    assert read_voter(f"```python\n{program}\n", finished=False) is read_voter(f"```python\n{program}\n    print(", STDIN) is None
    assert read_voter(f"```python\n{program}\n```\nIt", finished=False) == read_voter(program) == program


def test_candidates_that_were_cut_off_have_no_program() -> None:
    """Three heads that agree would win over two right programs."""
    problem = Problem("p", "t", "d", "f", "def f(xs: list[int]) -> int:", "e", "lists")
    texts = [(HEAD, False), (HEAD, False), (HEAD.replace("sort()", "sort(key=abs)"), False), (f"```python\n{F}\n```", True), (F, True)]
    found = candidates_of(problem, [Completion(text, (1,), (0.0,), finished) for text, finished in texts])
    assert [candidate.code for candidate in found] == [None, None, None, F, F]
