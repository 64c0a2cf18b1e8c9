"""Programs in which code outside of `f` decides what `f` returns: `f(1)` is 2 where the reader keeps it. name: program."""

from __future__ import annotations

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
    "memory begun by the function that fills it": """
memory = {}

def put(k, v):
    memory[k] = v
    return v

put(0, 1)
put(1, 2)

def f(x):
    return memory[x] if x in memory else put(x, f(x - 1) + 1)
""",
    "handlers registered by what the function calls too": """
handlers = {}

def register(name, handler):
    handlers[name] = handler

register('add', lambda x: x + 1)

def f(x):
    register('keep', lambda x: x)
    return handlers['add'](x)
""",
    "structure filled by what the function calls too": """
root = {}

def insert(node, word):
    for letter in word:
        node = node.setdefault(letter, {})

for word in ('a', 'bc'):
    insert(root, word)

def f(x):
    insert(root, 'bd')
    return len(root) * x
""",
    "subclasses that register themselves": """
class Shape:
    kinds = {}

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        cls.kinds[cls.__name__] = cls

class Polygon(Shape):
    corners = 0

class Digon(Polygon):
    corners = 2

def f(x):
    return Shape.kinds['Digon'].corners * x
""",
    "subclasses registered in a table": """
KINDS = []

class Shape:
    def __init_subclass__(cls):
        KINDS.append(cls)

class Point(Shape):
    size = 1

def f(x):
    return KINDS[0].size + x
""",
    "subclasses that a metaclass registers": """
class Registry(type):
    kinds = {}

    def __new__(mcs, name, bases, space):
        made = super().__new__(mcs, name, bases, space)
        mcs.kinds[name] = made
        return made

class Shape(metaclass=Registry):
    size = 0

class Point(Shape):
    size = 1

def f(x):
    return Shape.kinds['Point'].size + x
""",
    "method that fills a table": """
TABLE = []

class Builder:
    def build(self):
        self.one(1)

    def one(self, x):
        TABLE.append(x)

builder = Builder()
builder.build()

def f(x):
    return x + TABLE[0]
""",
    "method under another name": """
TABLE = []
push, last = TABLE.append, None
push(4)
push(1)

def f(x):
    return x + TABLE[x]
""",
    "function given to another": """
TABLE = []

def add(x):
    TABLE.append(x)

list(map(add, range(3)))

def f(x):
    return x + TABLE[x]
""",
    "function given to a method": """
import functools
TABLE = [0]

def add(x, y):
    TABLE.append(x + y)
    return y

functools.reduce(add, [0, 1])

def f(x):
    return x + TABLE[x]
""",
    "lambda given to another": """
from functools import reduce
TABLE = []
reduce(lambda _, x: TABLE.append(x), range(3), None)

def f(x):
    return x + TABLE[x]
""",
    "iterator moved on": """
it = iter([5, 1, 7])
next(it)
step = next(it)

def f(x):
    return x + step
""",
    "object set up by a function": """
class Tree:
    def __init__(self):
        self.steps = []

    def grow(self):
        self.steps.append(1)

tree = Tree()

def setup():
    tree.grow()

setup()

def f(x):
    return x + tree.steps[0]
""",
    "set up in a program that looks names up": """
steps = {}

def put(k, v):
    steps[k] = v

put('step', 1)

def f(x):
    put('other', 2)
    return x + globals()['steps']['step']
""",
    "recursion limit that may fail": """
import sys
try:
    sys.setrecursionlimit(4000)
except Exception:
    pass

def f(x):
    return x + (sys.getrecursionlimit() == 4000)
""",
    "recursion limit that may be high enough": """
import sys
if sys.getrecursionlimit() != 4000:
    sys.setrecursionlimit(4000)

def f(x):
    return x + (sys.getrecursionlimit() == 4000)
""",
    "recursion limit of a star": """
from sys import *
setrecursionlimit(4000)

def f(x):
    import sys
    return x + (sys.getrecursionlimit() == 4000)
""",
    "recursion limit under another name": """
from sys import setrecursionlimit as srl, getrecursionlimit
srl(4000)

def f(x):
    return x + (getrecursionlimit() == 4000)
""",
    "recursion limit of a guarded import": """
try:
    import sys as system
    system.setrecursionlimit(4000)
except ImportError:
    system = None

def f(x):
    import sys
    return x + (sys.getrecursionlimit() == 4000)
""",
    "precision of a named context": """
from decimal import Decimal, getcontext
context = getcontext()
context.prec = 1

def f(x):
    return x + (Decimal(1) / 3 == Decimal('0.3'))
""",
    "first day of the week": """
import calendar
calendar.setfirstweekday(calendar.SUNDAY)

def f(x):
    return x + len(calendar.monthcalendar(2015, 2)) - 3
""",
}
