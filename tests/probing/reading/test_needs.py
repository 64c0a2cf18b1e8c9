"""What of a program its function needs: module level that it does not need never decides a verdict."""

from __future__ import annotations

import builtins
import calendar
import decimal
import sys
from typing import Any

import pytest

from probing.reading import read_program
from tests.probing.reading.needed_programs import NEEDED

F = "def f(x):\n    return x + 1"


def returned(answer: str, *arguments: object) -> Any:
    """What the program in an answer returns. Asking for input is an error, as in the sandbox."""
    code = read_program(answer, "f")
    assert code is not None

    def nothing_to_read(*_: object) -> str:
        raise EOFError

    space: dict[str, Any] = {"__name__": "program", "__builtins__": {**vars(builtins), "input": nothing_to_read}}
    limit, weekday = sys.getrecursionlimit(), calendar.firstweekday()
    try:
        with decimal.localcontext():
            exec(code, space)
            return space["f"](*arguments)
    finally:
        sys.setrecursionlimit(limit)
        calendar.setfirstweekday(weekday)


@pytest.mark.parametrize(
    "unneeded",
    [
        "assert f(1) == 3",
        "assert f(1) == 3, 'wrong'\nassert f(2) == 4",
        "print(f('a'))",
        "print(f(1), 1 / 0)",
        "f('a')",
        "result = f('a')",
        "n = int(input())\nprint(f(n))",
        "n, m = map(int, input().split())",
        "for case in [1, 'a']:\n    print(f(case))",
        "for case, wanted in [(1, 3)]:\n    assert f(case) == wanted",
        "while True:\n    line = input()\n    print(f(line))",
        "with open('data.txt') as file:\n    print(f(file.read()))",
        "try:\n    print(f(int(input())))\nexcept ValueError:\n    print('no number')",
        "if __name__ == '__main__':\n    f(input())",
        "if '__main__' == __name__:\n    f(input())",
        "def main():\n    print(f(int(input())))\n\nmain()",
        "import unheard_of.plotting as plt\n\nplt.plot([f(1)])\nplt.show()",
        "import unheard_of",
        "from unheard_of import g",
        "from unheard_of import *",
        "import unittest\n\nclass TestF(unittest.TestCase):\n    def test_f(self):\n        self.assertEqual(f(1), 3)\n\nunittest.main()",
        "import sys\nsys.exit(f(1))",
        "exit()",
        "quit()",
        "raise SystemExit(f(1))",
        "import doctest\ndoctest.testmod(raise_on_error=True)",
        "def g(x: Unheard) -> None:\n    pass",
        "@unheard_of\ndef g(x):\n    return x",
        "def g(x=unheard_of):\n    return x",
        "class G(Unheard):\n    pass",
        "f = f(1)",
        "f = print(f(1))",
        "for f in [f(1)]:\n    pass",
        "unheard_of",
        "unheard_of.setting = 1",
        "del unheard_of",
        "x = unheard_of",
        "x: Unheard = 1",
        "sum = unheard_of(1)",
        "print(f'{f(1)=}', unheard_of)\n'''a note'''",
        "return f(1)",
        "await f(1)",
        "lambda: unheard_of\nunheard_of()",
        "import unheard_of; unheard_of.run(f)",
        "import random\nif True:\n    random.seed(1)\n    f('a')",
        "import sys\ntry:\n    sys.setrecursionlimit(int(input()))\nexcept ValueError:\n    pass",
        "import sys\nif __name__ == '__main__':\n    sys.setrecursionlimit(unheard_of)",
        "from unheard_of import getcontext\ncontext = getcontext()\ncontext.prec = 1",
    ],
)
def test_what_is_not_needed_does_not_decide(unneeded: str) -> None:
    for program in (f"{F}\n\n{unneeded}", f"{F}\n\n\n# Usage\n{unneeded}\n"):
        assert returned(program, 1) == 2
        assert returned(f"```python\n{program}\n```", 1) == 2
    if "f(" not in unneeded and "f =" not in unneeded:
        assert returned(f"{unneeded}\n\n{F}", 1) == 2


REMEMBERS = """
memory = {}

def put(k, v):
    memory[k] = v
    return v

def f(x):
    return memory[x] if x in memory else put(x, x + 1)
"""


@pytest.mark.parametrize(
    "demonstration",
    [
        "f(unheard_of)",
        "result = f('a')",
        "g = f\ng('a')",
        "list(map(f, ['a']))",
        "sorted(['a'], key=lambda x: f(x))",
        "f('a').sort()",
        "last = f('a').pop()",
        "def main():\n    n = int(input())\n    print(f(n))\n\nmain()",
        "def test():\n    assert f(1) == 3\n\ntest()",
        "print(put(1, unheard_of))",
        "for k in [unheard_of]:\n    print(put(k, 3))",
        "for k in [1]:\n    assert put(k, 3) == 4",
        "def test():\n    assert put(1, 3) == 4\n\ntest()",
        "n = int(input())\nresult = put(n, 3)",
        "import sys\nfor line in sys.stdin:\n    put(int(line), 1 / 0)\nput(int(sys.stdin.readline()), 3)",
        "def main():\n    n = int(input())\n    print(put(n, 3))\n\nmain()",
        "def ask():\n    return int(input())\n\nn = ask()\nput(n, 3)",
    ],
)
def test_what_tries_out_a_function_with_a_memory_does_not_decide(demonstration: str) -> None:
    assert returned(f"{REMEMBERS}\n{demonstration}", 1) == 2


def test_what_tries_out_the_function_that_the_entry_is_another_name_of_does_not_decide() -> None:
    assert returned(REMEMBERS.replace("def f", "def g").replace("f(", "g(") + "\ng(unheard_of)\n\nf = g", 1) == 2


def test_what_tries_out_the_method_that_is_called_does_not_decide() -> None:
    program = "class Solution:\n    def f(self, x):\n        return x + 1\n\nSolution().f('a')\ntried = Solution()\ntried.f('a')"
    assert returned(program, 1) == 2


@pytest.mark.parametrize("name", NEEDED)
def test_what_is_needed_is_kept(name: str) -> None:
    assert returned(NEEDED[name], 1) == 2


@pytest.mark.parametrize("name", [name for name in NEEDED if "unheard_of" not in NEEDED[name] and name not in ("eval", "summary behind")])
def test_a_program_that_needs_everything_is_given_as_it_stands(name: str) -> None:
    assert read_program(f"```python{NEEDED[name]}```", "f") == NEEDED[name].strip()


def test_what_is_kept_is_kept_as_it_was_written() -> None:
    left_out = "# Tests\nassert f(1) == 3\n\n# by\nSTEP = 1  # unused"
    program = f"# Adds one.\nimport math\n\n\n{F}  # so\n\n\n{left_out}\n\n\n# The step.\ndef g(x):\n    return x\n"
    assert read_program(program, "f") == f"# Adds one.\nimport math\n\n\n{F}  # so\n\n\n# The step.\ndef g(x):\n    return x"


def test_a_whole_program_is_not_cut_to_a_function() -> None:
    program = f"{F}\n\nn = int(input())\nprint(f(n))"
    assert read_program(f"```python\n{program}\n```") == program
