"""What of a program its function needs: module level that it does not need never decides a verdict."""

from __future__ import annotations

import builtins
from typing import Any

import pytest

from probing.reading import read_program

F = "def f(x):\n    return x + 1"


def returned(answer: str, *arguments: object) -> Any:
    """What the program in an answer returns. Asking for input is an error, as in the sandbox."""
    code = read_program(answer, "f")
    assert code is not None

    def nothing_to_read(*_: object) -> str:
        raise EOFError

    space: dict[str, Any] = {"__name__": "program", "__builtins__": {**vars(builtins), "input": nothing_to_read}}
    exec(code, space)
    return space["f"](*arguments)


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
    ],
)
def test_what_is_not_needed_does_not_decide(unneeded: str) -> None:
    for program in (f"{F}\n\n{unneeded}", f"{F}\n\n\n# Usage\n{unneeded}\n"):
        assert returned(program, 1) == 2
        assert returned(f"```python\n{program}\n```", 1) == 2
    if "f(" not in unneeded and "f =" not in unneeded:
        assert returned(f"{unneeded}\n\n{F}", 1) == 2


NEEDED = {
    "constant": """
STEP = 1

def f(x):
    return x + STEP
""",
    "constant behind": """
def f(x):
    return x + STEP

STEP = 1
""",
    "chain": """
A = 1
B = [A]
C = {'b': B}

def f(x):
    return x + C['b'][0]
""",
    "unpacked": """
A, (B, *C) = 0, (1, 2)

def f(x):
    return x + B
""",
    "augmented": """
STEP = 0
STEP += 1

def f(x):
    return x + STEP
""",
    "item": """
TABLE = {}
TABLE['step'] = 1

def f(x):
    return x + TABLE['step']
""",
    "loop": """
TABLE = []
for i in range(9):
    TABLE.append(i + 1)

def f(x):
    return TABLE[x]
""",
    "nested loop": """
TABLE = [[0] * 3 for _ in range(3)]
for i in range(3):
    for j in range(3):
        TABLE[i][j] = i + j

def f(x):
    return TABLE[x][1]
""",
    "while": """
n = 0
while n < 1:
    n += 1

def f(x):
    return x + n
""",
    "method": """
STEPS = [3]
STEPS.insert(0, 1)

def f(x):
    return x + STEPS[0]
""",
    "filled by a function": """
TABLE = []

def fill():
    for i in range(9):
        TABLE.append(i + 1)

fill()

def f(x):
    return TABLE[x]
""",
    "filled through two": """
TABLE = {}

def one(i):
    TABLE[i] = i + 1

def fill():
    for i in range(9):
        one(i)

fill()

def f(x):
    return TABLE[x]
""",
    "argument filled": """
def fill(table):
    table.append(1)

STEPS = []
fill(STEPS)

def f(x):
    return x + STEPS[0]
""",
    "global set": """
step = 0

def setup():
    global step
    step = 1

setup()

def f(x):
    return x + step
""",
    "heap": """
import heapq
HEAP = [2, 1]
heapq.heapify(HEAP)

def f(x):
    return x + HEAP[0]
""",
    "guarded import": """
try:
    from unheard_of import step
except ImportError:
    step = 1

def f(x):
    return x + step
""",
    "conditional": """
import sys
if sys.version_info >= (3,):
    def g(x):
        return x + 1
else:
    g = None

def f(x):
    return g(x)
""",
    "with": """
import contextlib
with contextlib.suppress(ZeroDivisionError):
    STEP = 1
    1 / 0

def f(x):
    return x + STEP
""",
    "helper": """
def g(x):
    return x + 1

def f(x):
    return g(x)
""",
    "helper behind": """
def f(x):
    return g(x)

def g(x):
    return h(x)

def h(x):
    return x + 1
""",
    "class": """
class Adder:
    step = 1

    def add(self, x):
        return x + self.step

def f(x):
    return Adder().add(x)
""",
    "base class": """
class Base:
    def add(self, x):
        return x + 1

class Adder(Base):
    pass

def f(x):
    return Adder().add(x)
""",
    "decorator": """
def plus(g):
    return lambda x: g(x) + 1

@plus
def f(x):
    return x
""",
    "decorated behind": """
def plus(g):
    return lambda x: g(x) + 1

def f(x):
    return x

f = plus(f)
""",
    "cached": """
from functools import lru_cache

@lru_cache(maxsize=None)
def g(x):
    return x + 1

f = lambda x: g(x)
""",
    "registered": """
STEPS = {}

def register(name):
    def keep(g):
        STEPS[name] = g
        return g
    return keep

@register('add')
def _(x):
    return x + 1

def f(x):
    return STEPS['add'](x)
""",
    "dispatch": """
from functools import singledispatch

@singledispatch
def g(x):
    return None

@g.register(int)
def _(x):
    return x + 1

def f(x):
    return g(x)
""",
    "default": """
STEP = 1

def f(x, step=STEP):
    return x + step
""",
    "annotation": """
from typing import List
Number = int

def f(x: Number) -> Number:
    return x + 1
""",
    "alias": """
def g(x):
    return x + 1

f = g
""",
    "partial": """
from functools import partial
from operator import add

f = partial(add, 1)
""",
    "tuple of functions": """
def g(x):
    return x + 1

f, h = g, None
""",
    "in a string": """
def g_add(x):
    return x + 1

def f(x):
    return globals()['g_' + 'add'](x)
""",
    "eval": """
STEP = 1

def f(x):
    return eval('x + STEP')

assert f(1) == 3
print(input())
""",
    "exec": """
exec('def g(x): return x + 1')

def f(x):
    return g(x)
""",
    "star": """
from math import *

def f(x):
    return x + int(cos(0))
""",
    "star over a builtin": """
from cmath import *
from math import *

def f(x):
    return int(pow(x, 1)) + 1
""",
    "module with a dot": """
import os.path
import xml.etree.ElementTree

def f(x):
    return x + len(os.path.join('', 'a'))
""",
    "recursion limit": """
import sys
sys.setrecursionlimit(4000)

def f(x):
    return x + (sys.getrecursionlimit() == 4000)
""",
    "precision": """
from decimal import Decimal, getcontext
getcontext().prec = 1

def f(x):
    return x + (Decimal(1) / 3 == Decimal('0.3'))
""",
    "seed": """
import random
random.seed(1)
FIRST = random.random()
random.seed(1)

def f(x):
    return x + (random.random() == FIRST)
""",
    "walrus": """
print(step := 1)

def f(x):
    return x + step
""",
    "object set up": """
class Tree:
    def __init__(self):
        self.steps = []

    def grow(self):
        self.steps.append(1)

tree = Tree()
tree.grow()

def f(x):
    return x + tree.steps[0]
""",
    "attribute": """
def f(x):
    return x + f.step

f.step = 1
""",
    "memory that a demonstration would fill": """
memory = {}

def f(x):
    if x not in memory:
        memory[x] = x + 1
    return memory[x]

assert f(1) == 3
f(unheard_of)
""",
    "local names like global ones": """
i = unheard_of

def f(x):
    for i in range(1):
        x += 1
    return [j for j in [x]][0]

j = unheard_of
""",
    "two on a line": """
A = 1; B = unheard_of

def f(x):
    return x + A
""",
    "redefined": """
def f(x):
    return x

def f(x):
    return x + 1
""",
    "summary behind": """
def f(x):
    return x + 1

def f(x):
    '''Adds one.'''
""",
    "match": """
match 1:
    case step:
        pass

def f(x):
    return x + step
""",
    "async": """
import asyncio

async def g(x):
    return x + 1

def f(x):
    return asyncio.run(g(x))
""",
    "nonlocal": """
def make():
    n = 0
    def g(x):
        nonlocal n
        n += 1
        return x + 1
    return g

f = make()
""",
    "docstring": """
'''Module.'''
from __future__ import annotations

def f(x: Unheard) -> Unheard:
    return x + 1
""",
}


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
