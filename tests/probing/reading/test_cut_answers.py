"""The stop strings of the prompt sets' `solve` lose nothing: with and without the cut the reader gives the same definition of the entry."""

from __future__ import annotations

import ast
import gzip
import json
from pathlib import Path

import pytest

from probing.prompts.templates import load_prompt_set
from probing.reading import read_program
from probing.samplers.base import cut_at_stop

REAL = Path(__file__).parents[3] / "bench" / "data" / "real"
SETS = ("instruct", "completion")
FENCE = "```python\n"
HELPER = "import math\n\ndef check_prime(n):\n    return n > 1 and all(n % d for d in range(2, math.isqrt(n) + 1))\n\n"
SAID_AGAIN = '"""Add one.\nassert f(1) == 2\n"""\nimport os\n'
TESTS = (
    "\n# Example usage:\nprint(f(3))",
    "\nprint(f(3))",
    "\n# Check function to verify the solution\ndef check_f():\n    assert f(3) == 4\n\ncheck_f()",
    "\n# Test the function\nassert f(3) == 4",
    "\n# Test cases\nfor x in (1, 2):\n    print(f(x))",
    "\n# Test with a negative number\nprint(f(-1))",
    '\nif __name__ == "__main__":\n    print(f(3))',
    "\n```\n\nThis adds one.\n\n```python\nf(3)\n```",
)


def entry_of(answer: str, entry: str) -> str | None:
    """The definitions of the entry in the program of an answer; None where it has none, or does not parse."""
    try:
        tree = ast.parse(read_program(answer, entry) or "")
    except SyntaxError:
        return None
    found = [ast.dump(node) for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == entry]
    return "\n".join(found) or None


def cut(name: str, answer: str) -> str:
    """An answer as a sampler would have ended it. The fence is the prefill: no stop string is looked for in it."""
    return FENCE + cut_at_stop(answer.removeprefix(FENCE), tuple(load_prompt_set(name).settings["solve"]["stop"]))


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("tests", TESTS)
def test_tests_and_demo_calls_end_an_answer(name: str, tests: str) -> None:
    answer = f"{FENCE}def f(x: int) -> int:\n    return x + 1\n{tests}"
    assert cut(name, answer).rstrip() == f"{FENCE}def f(x: int) -> int:\n    return x + 1"
    assert entry_of(cut(name, answer), "f") == entry_of(answer, "f") is not None


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("entry", ["check_min_heap", "test_duplicate", "check", "main", "print_all", "usage"])
@pytest.mark.parametrize("before", ["import heapq\n\n", HELPER, "# Check whether it is one\n", SAID_AGAIN])
def test_what_stands_before_the_function_ends_no_answer(name: str, entry: str, before: str) -> None:
    """Entries that are called as tests are (MBPP has twenty), helpers, comments, and a statement that is said again."""
    answer = f"{FENCE}{before}def {entry}(x):\n    return x + 1\n"
    assert cut(name, answer) == answer


@pytest.mark.parametrize("file", ["greedy.jsonl.gz", "smollm2.jsonl.gz"])
def test_real_answers_keep_their_functions(file: str) -> None:
    """A third of two models' answers to HumanEval+ and MBPP+: every function in their code but those that test another."""
    cut_off = 0
    with gzip.open(REAL / file, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines][::3]
    for row in rows:
        answer = FENCE + (row.get("text") or row["completion"]).partition(FENCE)[2]
        short = cut("instruct", answer)
        for entry in functions(answer) if short != answer else ():
            cut_off += 1
            assert entry_of(short, entry) == entry_of(answer, entry), (row, entry)
    assert cut_off > 10


def functions(answer: str) -> list[str]:
    """The functions of the code behind the fence that are no tests; none where it does not parse."""
    try:
        tree = ast.parse(answer.removeprefix(FENCE).partition("\n```")[0])
    except SyntaxError:
        return []
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    return [name for name in names if name not in ("main", "check") and not name.startswith(("check_", "test_"))]
