"""What a program in the fast lane may try upon those that share its child: nothing of it may reach them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rewards.records import Kind, Outcome, Program
from rewards.sandbox import Sandbox, SandboxConfig
from rewards.sandbox.inside.tame import is_tame

END = "\ndef f(x):\n    return 1"
LEAVE = "\ndef f(x):\n    it = g()\n    next(it)\n    cycle = [it]\n    cycle.append(cycle)\n    return 1"

# name: (what the program does to others, whether the check lets it share at all)
SPOILERS: dict[str, tuple[str, bool]] = {
    "a class registered with a shared ABC": ("from typing import Iterable\nIterable.register(int)" + END, False),
    "a number registered as a fraction": ("from fractions import Fraction\nFraction.register(str)" + END, False),
    "a shared alias initialised anew": ("from typing import List\nList.__init__(dict, 2)" + END, False),
    "a special form initialised anew": ("from typing import Optional\nOptional.__init__(lambda self, x: 5)" + END, False),
    "the same through super": ("from typing import List\nsuper(type(List), List).__init__(dict, 2)" + END, False),
    "a note in a shared function's annotations": ("import json\njson.dumps.__annotations__['x'] = 1" + END, False),
    "an abandoned generator that prints": (
        "def g():\n    try:\n        yield 1\n    finally:\n        print('x' * 500_000)" + LEAVE,
        False,
    ),
    "an abandoned generator that catches its end": (
        "def g():\n    try:\n        yield 1\n    except BaseException:\n        print('x' * 500_000)" + LEAVE,
        False,
    ),
    "an abandoned generator that draws lots": (
        "import random\ndef g():\n    try:\n        yield 1\n    finally:\n        random.seed(77)" + LEAVE,
        False,
    ),
    "an abandoned `yield from` with a close of its own": (
        "class M(map):\n    def close(self): print('x' * 500_000)\ndef g():\n    yield from M(str, [1, 2])" + LEAVE,
        False,
    ),
    "a class with a finaliser, made by a call": (
        "A = type('A', (), {'__de' + 'l__': lambda self: print('x' * 500_000)})\n"
        "def f(x):\n    cycle = [A()]\n    cycle.append(cycle)\n    return 1",
        True,
    ),
    "the same with the metaclass of another": (
        "from fractions import Fraction\nA = type(Fraction)('A', (), {'__de' + 'l__': lambda self: print('x' * 500_000)})\n"
        "def f(x):\n    cycle = [A()]\n    cycle.append(cycle)\n    return 1",
        True,
    ),
    "type under another name": ("t = type\nA = t('A', (), {'__e' + 'q__': lambda a, b: True})" + END, False),
    "a metaclass": ("class M(type): pass\nclass A(metaclass=M): pass" + END, False),
    "the list that all calls of deepcopy share": (
        "import copy\nclass Memo(dict):\n    def get(self, key, default):\n        default.append(1)\n        return default\n"
        "def f(x):\n    return len(copy.deepcopy([x], Memo()))",
        True,
    ),
    "a shared generator of numbers": ("import random\nrandom.seed(77)" + END, True),
    "most of the memory, kept": ("def f(x):\n    cycle = [bytes(120 << 20)]\n    cycle.append(cycle)\n    return 1", True),
    "most of the memory, in a shared cache": (
        "from typing import Literal\ndef f(x):\n    Literal[bytes(120 << 20)]\n    return 1",
        True,
    ),
    "what typing remembers": ("from typing import List, Optional\nList[1], Optional[1], List[0.0]" + END, True),
    "what re remembers": ("import re\nre.compile('a', 2)" + END, True),
    "a busy wait that leaves garbage": ("def f(x):\n    for _ in range(40_000):\n        c = []\n        c.append(c)\n    return 1", True),
}
VICTIMS = [
    ("from typing import Iterable\ndef f(x):\n    return isinstance(x, Iterable)", "False"),
    ("from fractions import Fraction\ndef f(x):\n    return isinstance('a', Fraction)", "False"),
    (
        "from typing import List, Optional\ndef f(x):\n    return str(List[int]), str(Optional[int])",
        "('typing.List[int]', 'typing.Optional[int]')",
    ),
    (
        "import random\ndef f(x):\n    for _ in range(9000):\n        c = []\n        c.append(c)\n    return random.random()",
        "0.8444218515",
    ),
    ("def f(x):\n    try:\n        return len(bytes(80 << 20))\n    except Exception:\n        return 'too little'", "83886080"),
    ("import copy\ndef f(x):\n    return copy.deepcopy([[x]])", "[[3]]"),
    (
        "from typing import List\ndef f(x):\n    return str(List[True]), str(List[-0.0])",
        "('typing.List[True]', 'typing.List[-0.0]')",
    ),
    (
        "import re\ndef f(x):\n    try:\n        return str(re.match('a', 'A', 2.0))\n    except TypeError:\n        return 'odd flags'",
        "'odd flags'",
    ),
]


@pytest.fixture(scope="module")
def shared() -> Iterator[Sandbox]:
    limits = {"seconds_per_input": 4.0, "seconds_per_program": 30.0, "fast_seconds": 4.0, "memory_mb": 64}
    with Sandbox(SandboxConfig(workers=1, recheck_share=0, **limits)) as opened:
        yield opened


@pytest.mark.parametrize("name", SPOILERS)
def test_neighbours_are_out_of_reach(shared: Sandbox, name: str) -> None:
    code, tame = SPOILERS[name]
    assert is_tame(compile(code, "p", "exec")) is tame
    victims = [Program(f"{text}\n# {copy}", "f", ("[3]",)) for copy in range(2) for text, _ in VICTIMS]
    executions = list(shared.run([Program(code, "f", ("[3]",)), *victims]))
    wanted = [Outcome(Kind.VALUE, payload) for _ in range(2) for _, payload in VICTIMS]
    assert [execution.outcomes[0] for execution in executions[1:]] == wanted


@pytest.mark.parametrize(
    "code",
    [
        "class A: pass\ndef f(x):\n    return str(A())",
        "def f(x):\n    return hash(object())",
        "import random\nrandom.seed()\ndef f(x):\n    return random.random()",
        "import datetime\ndef f(x):\n    return str(datetime.datetime.now()), str(datetime.date.today())",
    ],
)
def test_a_program_that_differs_from_itself_does_not_close_the_lane(code: str) -> None:
    with Sandbox(SandboxConfig(workers=1, recheck_share=1.0)) as sandbox:
        assert [e.outcomes[0].kind for e in sandbox.run([Program(f"{code}\n# {i}", "f", ("[1]",)) for i in range(3)])] == [Kind.VALUE] * 3
        assert sandbox.counts["lane_disagreements"] == 0
        assert sandbox.counts["rechecked"] == 3


def test_a_real_disagreement_closes_the_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Sandbox.__init__.__globals__["Stream"].compare_lanes

    def lie(self, job):  # what a fast lane that is wrong would have said
        job.fast_outcomes = [Outcome(Kind.VALUE, "99")]
        real(self, job)

    monkeypatch.setattr("rewards.sandbox.sandbox.Stream.compare_lanes", lie)
    with Sandbox(SandboxConfig(workers=1, recheck_share=1.0)) as sandbox:
        programs = [Program(f"def f(x):\n    return x + {i}", "f", ("[1]",)) for i in range(4)]
        assert [e.outcomes[0].payload for e in sandbox.run(programs)] == ["1", "2", "3", "4"]
        assert sandbox.counts["lane_disagreements"] >= 1
        [execution] = sandbox.run([Program("def f(x):\n    return x", "f", ("[7]",))])
        assert execution.outcomes == (Outcome(Kind.VALUE, "7"),)
        assert sandbox.counts["strict"] == 1  # the lane stays closed
