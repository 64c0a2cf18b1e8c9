"""Each kind of outcome, and what belongs to none of the others."""

from __future__ import annotations

from collections import Counter

import pytest

from rewards.records import Kind, Outcome, Program
from rewards.sandbox import Sandbox

pytestmark = pytest.mark.slow

F = "def f(*a):\n    "

# a class that says of itself to be any other
POSING = "class M(type):\n    __hash__ = lambda cls: hash(MemoryError)\n    __eq__ = lambda cls, other: True\n"
POSING += "class Posing(Exception, metaclass=M):\n    __repr__ = lambda self: 'right'\n"


@pytest.mark.parametrize(
    ("code", "kind", "payload"),
    [
        (F + "return a", Kind.VALUE, "()"),
        (F + "raise KeyError(1)", Kind.EXCEPTION, "KeyError"),
        (F + "raise SystemExit", Kind.EXCEPTION, "SystemExit"),
        (F + "import sys\n    sys.exit(0)", Kind.EXCEPTION, "SystemExit"),
        ("class Odd(Exception): pass\n" + F + "raise Odd", Kind.EXCEPTION, "Odd"),
        (POSING + F + "raise Posing", Kind.EXCEPTION, "Posing"),
        (POSING + F + "return [Posing(), 1]", Kind.UNSERIALISABLE, None),
        (F + "while True: pass", Kind.TIMEOUT, None),
        (F + "import time\n    time.sleep(60)", Kind.TIMEOUT, None),
        ("while True: pass\n" + F + "return 1", Kind.TIMEOUT, None),
        (F + "return bytearray(1 << 31)", Kind.MEMORY, ""),
        (F + "import os\n    os._exit(0)", Kind.KILLED, None),
        (F + "import os, signal\n    os.kill(os.getpid(), signal.SIGKILL)", Kind.KILLED, "SIGKILL"),
        (F + "import ctypes\n    ctypes.string_at(0)", Kind.KILLED, "SIGSEGV"),
        (F + "return 'x' * 10_000_000", Kind.TOO_LARGE, None),
        (F + "print('x' * 10_000_000)", Kind.TOO_LARGE, None),
        (F + "return object()", Kind.UNSERIALISABLE, None),
        ("def f(:", Kind.REFUSED, None),
        ("x = 1", Kind.REFUSED, None),
        ("f = 1", Kind.REFUSED, None),
        ("def f():\n    return 1\n\x00", Kind.REFUSED, None),
        ("'\ud800'\n" + F + "return 1", Kind.REFUSED, None),
        (F + "import no_such_module.inner", Kind.NOT_OFFERED, "no_such_module"),
        ("from no_such_module import x\n" + F + "return 1", Kind.NOT_OFFERED, "no_such_module"),
        (F + "import json.nothing", Kind.EXCEPTION, "ModuleNotFoundError"),
        (F + "raise ModuleNotFoundError('numpy')", Kind.EXCEPTION, "ModuleNotFoundError"),
        (F + "raise ModuleNotFoundError(name='a\\nb')", Kind.EXCEPTION, "ModuleNotFoundError"),
        ("1/0\n" + F + "return 1", Kind.EXCEPTION, "ZeroDivisionError"),
        ("#" + "x" * 10_000_000 + "\n" + F + "return 1", Kind.REFUSED, None),
    ],
)
def test_kind(first, code: str, kind: Kind, payload: str | None) -> None:
    outcome = first(code)
    assert outcome.kind is kind
    if payload is not None:
        assert outcome.payload == payload


def test_a_bad_input_spoils_only_itself(run) -> None:
    outcomes = run("def f(x):\n    return x", "[1]", "[", "open('x')", "[2]").outcomes
    assert [o.kind for o in outcomes] == [Kind.VALUE, Kind.REFUSED, Kind.REFUSED, Kind.VALUE]


def test_outcomes_stand_beside_their_inputs(run) -> None:
    code = "import os\ndef f(x):\n    if x == 1:\n        os._exit(0)\n    while x == 3: pass\n    return x * 10"
    outcomes = run(code, "[0]", "[1]", "[2]", "[3]", "[4]").outcomes
    assert outcomes[0] == Outcome(Kind.VALUE, "0")
    assert [o.kind for o in outcomes] == [Kind.VALUE, Kind.KILLED, Kind.VALUE, Kind.TIMEOUT, Kind.VALUE]
    assert outcomes[4] == Outcome(Kind.VALUE, "40")


@pytest.mark.parametrize(
    "text",
    [
        "[1, 2.5, 'a', [True, None]]",
        '["\\u00e9", "a/b"]',
        "[{'a': (1,)}]",
        "[1e400]",
        "[-0.0]",
        "['\\ud83d\\ude00']",
        "(1, 2)",
        "[b'x', {1, 2}, ...]",
        '["x\\/"]',
    ],
)
def test_inputs_mean_what_python_literals_mean(run, text: str) -> None:
    import ast

    from rewards.outcomes.typed import Canonicaliser, Unserialisable

    try:
        wanted = Canonicaliser().text(list(ast.literal_eval(text)))
    except Unserialisable:
        assert run("def f(*a):\n    return list(a)", text).outcomes[0].kind is Kind.UNSERIALISABLE
        return
    assert run("def f(*a):\n    return list(a)", text).outcomes[0] == Outcome(Kind.VALUE, wanted)


def test_arguments_are_fresh_for_every_call(run) -> None:
    outcomes = run("def f(xs):\n    xs.append(1)\n    return xs", "[[]]", "[[]]").outcomes
    assert outcomes[0] == outcomes[1] == Outcome(Kind.VALUE, "[1]")


def test_every_outcome_is_counted_by_its_kind(sandbox: Sandbox) -> None:
    bodies = ["return a", "1 / 0", "while True: pass", "return bytearray(1 << 31)", "import os\n    os._exit(0)", "return 'x' * 10**7"]
    bodies += ["return object()", "import no_such_module"]
    programs = [*(Program(F + body, "f", ("[1]", "[2]")) for body in bodies), Program("def f(:", "f", ("[1]",))]
    before = sandbox.counts.copy()
    seen = Counter(outcome.kind for execution in sandbox.run(programs) for outcome in execution.outcomes)
    assert set(seen) == set(Kind) - {Kind.NONDETERMINISTIC, Kind.INFRASTRUCTURE}  # these have tests of their own
    assert {kind: sandbox.counts[kind.value] - before[kind.value] for kind in Kind if kind in seen} == seen
