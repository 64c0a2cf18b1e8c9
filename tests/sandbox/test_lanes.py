"""The two lanes: what may share a child, and that sharing changes no verdict."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench.judging.pools import data_folder
from bench.speed.lanes import distinct_mutants, references
from rewards.records import Execution, Kind, Outcome, Program
from rewards.sandbox import Sandbox, SandboxConfig
from rewards.sandbox.inside.tame import is_tame
from rewards.sandbox.jobs import LOAD_DEPENDENT

pytestmark = pytest.mark.slow

WILD = [
    "import os",
    "import sys",
    "from os import path",
    "import collections.abc",
    "from math import *\nimport os",
    "def f(): return open('x')",
    "def f(): return eval('1')",
    "def f(x): return getattr(x, 'y')",
    "def f(x): return x.__class__",
    "def f(x): return f.__globals__",
    "def f(x): return '{0.__class__}'.format(x)",
    "def f(x): return map(str.format, x)",
    "def f(x): return (i for i in x).gi_frame",
    "def f(x):\n    try: x()\n    except Exception as e: return e.__traceback__",
    "def f(x): return x.tb_frame.f_back",
    "class A:\n    def __eq__(self, o): return True",
    "class A:\n    def __del__(self): pass",
    "import math\ndef f(): math.pi = 3",
    "import math\nclass A: pass\ndef f(): A().x = 3",
    "from collections import Counter\ndel Counter.update",
    "async def f(): pass",
    "def f(x):\n    match x:\n        case object(real=y): return y",
    "def f(): return globals()",
    "def f(): return __builtins__",
    "def f(): return type.mro(int)",
    "def f(): return vars()",
    "import math\ndef f(): return math._x",
    "def f(): return memoryview(b'')",
    "def f(x): return \uff45val('1')",  # a letter that Python reads as e
    "def f(x): return x.gi_\uff46rame",
]
TAME = [
    "def f(x): return x + 1",
    "import math\nfrom typing import List\ndef f(xs: List[int]) -> float:\n    return math.sqrt(sum(xs))",
    "from collections import Counter, defaultdict\ndef f(x): return Counter(x).most_common(1)",
    "class Box:\n    def __init__(self, x): self.x = x\n    def get(self): return self.x\ndef f(x): return Box(x).get()",
    "def f(x):\n    try: return int(x)\n    except ValueError as e: return str(e)\n    finally: print(f'{x!r:>10}')",
    "def _help(x): return [y async_ for async_ in x]".replace("y async_", "async_"),
    "if __name__ == '__main__':\n    print(1)\ndef f(x): return sorted(x, key=lambda p: -p)[:3]",
]


@pytest.mark.parametrize("code", WILD)
def test_wild_programs_do_not_share(code: str) -> None:
    runtime_only = code in ("import os", "import sys", "from os import path", "import collections.abc", "from math import *\nimport os")
    assert runtime_only or not is_tame(compile(code, "p", "exec"))


@pytest.mark.parametrize("code", TAME)
def test_ordinary_programs_share(code: str) -> None:
    assert is_tame(compile(code, "p", "exec"))


@pytest.fixture(scope="module")
def lanes() -> Iterator[tuple[Sandbox, Sandbox]]:
    limits = {"workers": 2, "seconds_per_input": 2.0, "seconds_per_program": 20.0, "max_timeouts": 1}
    with (
        Sandbox(SandboxConfig(fast_lane=True, recheck_share=0, **limits)) as fast,
        Sandbox(SandboxConfig(fast_lane=False, **limits)) as strict,
    ):
        yield fast, strict


def same(one: Execution, other: Execution) -> bool:
    """Equal where neither outcome depends on the machine's load."""
    return all(a == b or {a.kind, b.kind} & LOAD_DEPENDENT for a, b in zip(one.outcomes, other.outcomes, strict=True))


def assert_lanes_agree(lanes: tuple[Sandbox, Sandbox], programs: list[Program]) -> None:
    fast, strict = (list(sandbox.run(programs)) for sandbox in lanes)
    different = [(p.code, a.outcomes, b.outcomes) for p, a, b in zip(programs, fast, strict, strict=True) if not same(a, b)]
    assert not different, different[0]


EXTRA = [
    "import random\ndef f(x):\n    return random.random(), random.choice([1, 2, 3])",
    "def f(x):\n    return undefined_name",
    "import re\ndef f(x):\n    return re.enum.__name__",
    "import math\ndef f(x):\n    return math.nothing",
    "from math import nothing\ndef f(x):\n    return 1",
    "def f(x):\n    return compile('1', '', 'eval') is None",
    "def f(x):\n    return f(x + 1)",
    "seen = []\ndef f(x):\n    seen.append(x)\n    return seen",
    "def f(x):\n    return {3, 1, 2}, {'b': 1, 'a': 2}",
    "def f(x):\n    return 'a' * 10 ** 10",
    "def f(x):\n    while x: pass\n    return x",
    "def f(x):\n    try:\n        import os\n    except BaseException: return 'no'\n    return 'yes'",
    "class Node:\n    def __init__(self, v): self.v, self.next = v, None\n"
    "def f(x):\n    n = Node(x); n.next = Node(x + 1)\n    return n.next.v",
    *(f"{code}\n" + ("" if "def f" in code else "def f(x): return 1") for code in [*WILD, *TAME]),
]


def test_lanes_agree_on_tricky_programs(lanes) -> None:
    assert_lanes_agree(lanes, [Program(code, "f", ("[1]", "[0]", "['a']", "[[1, 2]]")) for code in EXTRA])


@pytest.fixture(scope="module")
def benchmark() -> list[Program]:
    """The references of every HumanEval+ and MBPP+ row at hand."""
    folder = data_folder()
    found = references(folder, 4) if folder is not None else []
    if not found:
        pytest.skip("no benchmark data: set UCODER_DATA")
    return found


def test_lanes_agree_on_benchmark_references(lanes, benchmark: list[Program]) -> None:
    assert_lanes_agree(lanes, benchmark)


def test_lanes_agree_on_mutants(lanes, benchmark: list[Program]) -> None:
    """A part of `python -m bench.speed.lanes`, which takes all inputs and 10,000 mutants."""
    assert_lanes_agree(lanes, distinct_mutants(benchmark, 250, 4))


def test_a_neighbour_cannot_change_a_module(lanes) -> None:
    spoil = Program("import math\ndef f(x):\n    math.sqrt = lambda v: 0\n    return 1", "f", ("[4]",))
    use = Program("import math\ndef f(x):\n    return math.sqrt(x)", "f", ("[4]",))
    executions = list(lanes[0].run([spoil, use, spoil, use]))
    assert executions[1].outcomes == executions[3].outcomes == (Outcome(Kind.VALUE, "2.0"),)


def test_recheck_counts_and_closes_the_lane() -> None:
    with Sandbox(SandboxConfig(workers=1, recheck_share=1.0)) as sandbox:
        programs = [Program(f"def f(x):\n    return x + {i}", "f", ("[1]",)) for i in range(20)]
        assert [e.outcomes[0].payload for e in sandbox.run(programs)] == [str(i + 1) for i in range(20)]
        assert sandbox.counts["rechecked"] == 20
        assert sandbox.counts["lane_disagreements"] == 0
