"""State carried from call to call decides no vote: a program that could keep some is run with its inputs in a second order."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.judge.determinism import ORDER_OF_CALLS, Steady, second_order, without_state
from rewards.programs.state import may_keep_state
from rewards.records import Execution, Kind, Outcome, Program
from rewards.sandbox import Sandbox, SandboxConfig

# What each of these gives for an input depends on the calls before it.
CARRYING = [
    "def f(x, seen=[]):\n    seen.append(x)\n    return sum(seen)",
    "def f(x, *, seen={}):\n    return seen.setdefault('n', x)",
    "n = 0\ndef f(x):\n    global n\n    n += 1\n    return n",
    "seen = []\ndef f(x):\n    seen.append(x)\n    return len(seen)",
    "up = False\ndef f(x):\n    global up\n    up = not up\n    return x if up else -x",
    "def f(x):\n    f.n = getattr(f, 'n', 0) + x\n    return f.n",
    "def f(x):\n    f.n += x\n    return f.n\nf.n = 0",
    "class A:\n    seen = []\ndef f(x):\n    A.seen.append(x)\n    return sum(A.seen)",
    "def make():\n    n = 0\n    def g(x):\n        nonlocal n\n        n += x\n        return n\n    return g\nf = make()",
    "from itertools import count\nc = count()\ndef f(x):\n    return next(c)",
    "it = iter(range(100))\ndef f(x):\n    return next(it)",
    "import random\nrandom.seed(0)\ndef f(x):\n    return random.random()",
    "import random\nr = random.Random(0)\ndef f(x):\n    return r.random()",
    "cache = {}\ndef f(x):\n    k = len(str(x))\n    if k not in cache:\n        cache[k] = x\n    return cache[k]",
    "def g(x, acc=[]):\n    acc.append(x)\n    return acc\ndef f(x):\n    return len(g(x))",
    "f = lambda x, acc=[]: acc.append(x) or sum(acc)",
    "f = (lambda acc: lambda x: acc.append(x) or sum(acc))([])",
    "from functools import cache\n@cache\ndef g(n):\n    return []\ndef f(x):\n    r = g(0)\n    r.append(x)\n    return sum(r)",
    "def deco(g):\n    n = []\n    def h(x):\n        n.append(x)\n        return g(sum(n))\n    return h\n@deco\ndef f(x):\n    return x",
    "import sys\ndef f(x):\n    sys.n = getattr(sys, 'n', 0) + x\n    return sys.n",
    "def f(x):\n    globals()['n'] = globals().get('n', 0) + x\n    return n",
    "def f(x):\n    f.__dict__['n'] = f.__dict__.get('n', 0) + x\n    return f.__dict__['n']",
    "def f(x):\n    __builtins__['n'] = __builtins__.get('n', 0) + x\n    return n",
    "from decimal import *\ndef f(x):\n    getcontext().prec += 1\n    return getcontext().prec",
    "t = ([], 1)\ndef f(x):\n    t[0].append(x)\n    return sum(t[0])",
    "a, *b = (1, 2, 3)\ndef f(x):\n    b.append(x)\n    return sum(b)",
    "if (s := []) is not None: pass\ndef f(x):\n    s.append(x)\n    return sum(s)",
    "for s in [[]]: pass\ndef f(x):\n    s.append(x)\n    return sum(s)",
    "try:\n    s = []\nexcept ValueError:\n    pass\ndef f(x):\n    s.append(x)\n    return sum(s)",
    "s = q = []\ndef f(x):\n    q.append(x)\n    return sum(q)",
    "s = []\nadd = s.append\ntotal = s.__len__\ndef f(x):\n    add(x)\n    return total()",
    "s = 'a'.split()\ndef f(x):\n    s.append(x)\n    return len(s)",
    "def str(x): return x\ns = str([])\ndef f(x):\n    s.append(x)\n    return sum(s)",
    "from copy import copy as str\ns = str([])\ndef f(x):\n    s.append(x)\n    return sum(s)",
    "S = frozenset([lambda x, a=[]: a.append(x) or sum(a)])\ndef f(x):\n    return [g(x) for g in S][0]",
    "import statistics\ndef f(x):\n    return statistics.random.random()",
    "from statistics import random\nrandom.seed(1)\ndef f(x):\n    return random.random()",
    "import statistics as s\nt = s\ndef f(x):\n    return t.random.random()",
    "from statistics import NormalDist\ndef f(x):\n    return NormalDist().samples(1)",
    "from operator import attrgetter\ndef f(x):\n    d = attrgetter('__dict__')(f)\n    d['n'] = d.get('n', 0) + x\n    return d['n']",
    "def g():\n    yield\ndef f(x):\n    d = g().gi_frame.f_globals\n    d['n'] = d.get('n', 0) + x\n    return d['n']",
    "def f(x):\n    match f:\n        case object(__dict__=d):\n            d['n'] = d.get('n', 0) + x\n            return d['n']",
    "with memoryview(s := bytearray(b'a')): pass\ndef f(x):\n    s.append(x)\n    return sum(s)",
    "try:\n    1 // 0\nexcept (s := [], ZeroDivisionError)[1]: pass\ndef f(x):\n    s.append(x)\n    return sum(s)",
    "import json\nd = json.encoder.ESCAPE_DCT\ndef f(x):\n    d['n'] = d.get('n', 0) + x\n    return d['n']",
]
# These could keep state, as far as the check sees, and their outcomes do not depend on it.
CACHING = [
    "from functools import lru_cache\n@lru_cache(maxsize=None)\ndef f(n):\n    return n if n < 2 else f(n - 1) + f(n - 2)",
    "memo = {}\ndef f(n):\n    if n not in memo:\n        memo[n] = n if n < 2 else f(n - 1) + f(n - 2)\n    return memo[n]",
    "def f(n, memo={}):\n    if n not in memo:\n        memo[n] = n * n\n    return memo[n]",
    "class Box:\n    def __init__(self, x):\n        self.x = x\ndef f(x):\n    return Box(x).x",
    "calls = 0\ndef f(x):\n    global calls\n    calls += 1\n    return x",
    "TABLE = {1: 'I', 5: 'V'}\ndef f(x):\n    return TABLE.get(x, '?')",
    "import random\ndef f(x):\n    random.seed(x)\n    return random.random()",
]
STATELESS = [
    "def f(x):\n    return sorted([x])",
    "MOD = 10**9 + 7\ndef f(x):\n    return x % MOD",
    "from typing import List, Optional\nGrid = List[List[int]]\n"
    "def f(x: Grid, k: Optional[int] = None, s: str = 'a', t: tuple = (1, -2)):\n    seen = []\n    seen.append(x)\n    return seen",
    "def f(n):\n    memo = {}\n    count = 0\n    def g(k, extra=[]):\n        nonlocal count\n        count += 1\n"
    "        memo[k] = count\n        return memo\n    return g(n)",
    "import math\nPI = math.pi\nROOT = math.sqrt(2)\nINF = float('inf')\ndef f(x):\n    return PI * x + ROOT",
    "import re\nP = re.compile('a+')\ndef f(x):\n    return re.sub('b', 'c', P.sub('', str(x)))",
    "from collections import Counter, defaultdict, deque\nimport heapq\nfrom functools import reduce, lru_cache\ndef f(x):\n"
    "    @lru_cache(None)\n    def g(i):\n        return i\n    return Counter([x]).most_common(1), reduce(lambda a, b: a + b, [x]), g(3)",
    "VOWELS = 'aeiou'\nPAIRS = (('a', 1), ('b', 2))\nSMALL = frozenset('abc')\ndef f(x):\n    return [c for c in str(x) if c in VOWELS]",
    "import collections.abc\nimport string\ndef f(x):\n    return isinstance(x, collections.abc.Sequence), string.ascii_letters",
    "def helper(a, b=1):\n    return a + b\nOPS = (helper, max)\ndef f(x):\n    return OPS[0](x)",
    "xs = [1, 2, 3]\nprint(xs)\ndef f(x):\n    return x",
    "for i in range(3): pass\ndef f(x):\n    return i + x",
    "from math import *\ndef f(x):\n    return sqrt(x)",
]


@pytest.mark.parametrize("code", CARRYING + CACHING)
def test_what_could_keep_state_is_suspected(code: str) -> None:
    assert may_keep_state(code, "f")


@pytest.mark.parametrize("code", STATELESS)
def test_what_cannot_keep_state_runs_once(code: str) -> None:
    assert not may_keep_state(code, "f")


@pytest.mark.parametrize("depth", [50, 900, 5000])
def test_a_text_that_is_no_program_keeps_none_and_a_deep_one_does_no_harm(depth: int) -> None:
    assert not may_keep_state("def f(: global", "f")
    assert may_keep_state("n = " + "1 + " * depth + "1\ndef f(x):\n    return n", "f") in (True, False)


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(SandboxConfig(workers=2)) as found:
        yield found


def run(sandbox: Sandbox, codes: list[str], n: int, recheck: str = "suspects") -> list[Execution]:
    steady = Steady(sandbox, recheck)
    try:
        return list(steady.run([Program(code, "f", tuple(f"[{i}]" for i in range(1, n + 1))) for code in codes]))
    finally:
        steady.close()


@pytest.mark.parametrize("n", [2, 3, 4, 7])
def test_state_has_no_vote(sandbox: Sandbox, n: int) -> None:
    left = [code for code, e in zip(CARRYING, run(sandbox, CARRYING, n), strict=True) if Kind.VALUE in {o.kind for o in e.outcomes}]
    assert left == []


def test_a_cache_that_changes_no_result_goes_on_voting(sandbox: Sandbox) -> None:
    before = Counter(sandbox.counts)
    for code, execution in zip(CACHING + STATELESS, run(sandbox, CACHING + STATELESS, 5), strict=True):
        assert {outcome.kind for outcome in execution.outcomes} == {Kind.VALUE}, code
    counted = sandbox.counts - before
    assert (counted["reordered"], counted["order_dependent"]) == (len(CACHING), 0)
    assert counted["value"] == 5 * len(CACHING + STATELESS)  # outcomes are counted once, however often they were looked at


def test_outcomes_of_calls_that_raise_stay_what_they_are(sandbox: Sandbox) -> None:
    code = "seen = []\ndef f(x):\n    seen.append(x)\n    if x == 2:\n        raise ValueError\n    return len(seen)"
    [execution] = run(sandbox, [code], 3)
    assert execution.outcomes == (ORDER_OF_CALLS, Outcome(Kind.EXCEPTION, "ValueError"), ORDER_OF_CALLS)


def test_the_config_decides(sandbox: Sandbox) -> None:
    [never] = run(sandbox, CARRYING[:1], 3, "never")
    assert [outcome.payload for outcome in never.outcomes] == ["1", "3", "6"]
    before = sandbox.counts["reordered"]
    run(sandbox, STATELESS[:2], 3, "always")
    assert sandbox.counts["reordered"] - before == 2


def test_one_input_has_no_order(sandbox: Sandbox) -> None:
    before = sandbox.counts["reordered"]
    [execution] = run(sandbox, CARRYING[:1], 1)
    assert execution.outcomes[0] == Outcome(Kind.VALUE, "1") and sandbox.counts["reordered"] == before


def test_giving_up_after_timeouts_is_not_taken_for_state() -> None:
    """The calls that come after two timeouts are not made, and in a second order those are others."""
    code = "seen = {}\ndef f(x):\n    seen[x] = x\n    while x > 3: pass\n    return x"
    with Sandbox(SandboxConfig(workers=1, seconds_per_input=0.1, fast_seconds=0.1)) as sandbox:
        [execution] = run(sandbox, [code], 6)
    assert [o.kind for o in execution.outcomes] == [Kind.VALUE] * 3 + [Kind.TIMEOUT] * 3


@given(st.integers(2, 40), st.integers(2, 5))
def test_the_second_order_swaps_every_pair_and_shows_every_period(n: int, period: int) -> None:
    order = second_order(n)
    place = {j: k for k, j in enumerate(order)}  # the last, where an input comes twice
    assert set(order) == set(range(n))
    assert all(place[i] > place[j] for i, j in itertools.combinations(range(n), 2))
    assert any(j % period != place[j] % period for j in range(n))


class Table:
    """A sandbox whose executions are given, first those in input order."""

    def __init__(self, *runs: list[Outcome]) -> None:
        self.runs, self.counts, self.config = iter(runs), Counter(), SandboxConfig()

    def run(self, programs: Iterable[Program]) -> Iterator[Execution]:
        return iter([Execution(tuple(next(self.runs))) for _ in programs])


def test_a_lost_second_run_leaves_the_program_missing_and_not_right() -> None:
    values, lost = [Outcome(Kind.VALUE, "1")] * 2, [Outcome(Kind.INFRASTRUCTURE, "lost")] * 2
    [execution] = Steady(Table(values, lost), "suspects").run([Program(CARRYING[0], "f", ("[1]", "[2]"))])
    assert execution.missing and Kind.VALUE not in {outcome.kind for outcome in execution.outcomes}


def test_what_hash_order_explains_is_not_laid_to_the_order_of_calls() -> None:
    varying, steady = Outcome(Kind.NONDETERMINISTIC, "hash order"), Outcome(Kind.VALUE, "1")
    first = Execution((varying, steady))
    assert without_state(first, Execution((steady, Outcome(Kind.VALUE, "2")))) == first
