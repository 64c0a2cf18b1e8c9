"""Programs that hang on hash order, the clock or chance do not vote; only those that might are run twice."""

from __future__ import annotations

import pytest

from rewards.judge.determinism import Steady, may_vary, without_state
from rewards.records import Execution, Kind, Outcome, Program
from rewards.sandbox import Sandbox, SandboxConfig
from rewards.sandbox.jobs import both

WORDS = "['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']"


@pytest.mark.parametrize(
    "body",
    [
        "return list(set(xs))",
        "return [x for x in {x for x in xs}]",
        "return list({1, 2} | frozenset(xs))",
        "return hash(xs[0])",
        "import random\n    return random.choice(xs)",
        "from time import time\n    return time()",
        "import os.path\n    return xs",
        "return list(a.keys() & b.keys())",
        "x = a.keys()\n    y = b.keys()\n    return list(x & y)",
        "x, y = a.keys(), b.keys()\n    return list(x - y)",
        "return eval('se' + 't')(xs)",
        "return str(object())",
        "class A: pass\n    return str(A())",
    ],
)
def test_what_may_vary_is_suspected(body: str) -> None:
    assert may_vary(f"def f(xs, a={{}}, b={{}}):\n    {body}")


@pytest.mark.parametrize(
    "body",
    [
        "return sorted(xs)[0]",
        "return {x: 1 for x in xs}",
        "import math\n    return math.sqrt(len(xs))",
        "from collections import Counter\n    return Counter(xs).most_common(1)",
        "return (len(xs) - 1) & 3",
        "return [k for k, v in a.items()]",
        "return [v - 1 for k, v in a.items() if v & 1]",
        "settings = xs\n    return settings",
    ],
)
def test_ordinary_programs_are_run_once(body: str) -> None:
    assert not may_vary(f"def f(xs, a={{}}):\n    {body}")


def test_a_text_that_is_no_program_is_not_suspected() -> None:
    assert not may_vary("def f(: set")


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(SandboxConfig(workers=1)) as found:
        yield found


def programs(*codes: str) -> list[Program]:
    return [Program(code, "f", (f"[{WORDS}]", "[[]]")) for code in codes]


def test_order_of_sets_has_no_vote_and_what_is_steady_keeps_its_outcome(sandbox: Sandbox) -> None:
    steady = Steady(sandbox, "suspects")
    found = list(steady.run(programs("def f(xs): return list(set(xs))", "def f(xs): return sorted(set(xs))", "def f(xs): return xs")))
    steady.close()
    assert [e.outcomes[0].kind for e in found] == [Kind.NONDETERMINISTIC, Kind.VALUE, Kind.VALUE]
    assert found[0].outcomes[1].kind is Kind.VALUE  # of an empty list there is one order
    assert (steady.counts["run_twice"], steady.counts["varying"]) == (2, 1)


def test_nothing_is_run_twice_that_has_no_vote_or_cannot_vary(sandbox: Sandbox) -> None:
    steady = Steady(sandbox, "suspects")
    before = steady.counts["run_twice"]
    list(steady.run(programs("def f(xs): return set(xs)[0]", "def f(xs): return xs", "def f(: set")))
    assert steady.counts["run_twice"] == before and steady._second is None


@pytest.mark.parametrize(("recheck", "kind"), [("never", Kind.VALUE), ("always", Kind.NONDETERMINISTIC)])
def test_the_config_decides(sandbox: Sandbox, recheck: str, kind: Kind) -> None:
    steady = Steady(sandbox, recheck)
    [execution] = steady.run(programs("def f(xs): return list(set(xs))"))
    steady.close()
    assert execution.outcomes[0].kind is kind


@pytest.mark.parametrize("body", ["import time\n    return int(time.time())", "import random\n    return random.random()"])
def test_clock_and_chance_have_no_vote(sandbox: Sandbox, body: str) -> None:
    steady = Steady(sandbox, "suspects")
    [execution] = steady.run(programs(f"def f(xs):\n    {body}"))
    steady.close()
    assert {outcome.kind for outcome in execution.outcomes} == {Kind.NONDETERMINISTIC}


@pytest.mark.parametrize(
    "body",
    [
        "return str(reversed(xs))",
        "return str(map(len, xs))",
        "return f'{(x for x in xs)}'",
        "return repr(lambda: xs).upper()",
        "return str(iter(xs)).split()",
        "return 'x' * 2000 + str(reversed(xs))",  # a digest stands for it
    ],
)
def test_an_address_has_no_vote_whatever_shows_it(sandbox: Sandbox, body: str) -> None:
    """Children of one zygote have addresses in common, so that programs that show them would agree."""
    steady = Steady(sandbox, "suspects")
    (found,) = steady.run(programs(f"def f(xs): {body}"))
    steady.close()
    assert {o.kind for o in found.outcomes} == {Kind.NONDETERMINISTIC}


def test_the_order_of_a_set_that_is_given_has_no_vote_either(sandbox: Sandbox) -> None:
    steady = Steady(sandbox, "suspects")
    [execution] = steady.run([Program("def f(xs): return list(xs)", "f", (f"[set({WORDS})]".replace("set([", "{").replace("])", "}"),))])
    steady.close()
    assert execution.outcomes[0].kind is Kind.NONDETERMINISTIC


def outcome(kind: Kind, text: str = "") -> Outcome:
    return Outcome(kind, text)


def test_a_recursion_too_deep_in_the_second_order_is_no_difference() -> None:
    """A program that remembers its results goes deeper for its last input where that one comes first."""
    found = Execution((outcome(Kind.VALUE, "1"), outcome(Kind.VALUE, "2")), 0.0)
    reordered = Execution((outcome(Kind.EXCEPTION, "RecursionError"), outcome(Kind.VALUE, "1")), 0.0)
    assert without_state(found, reordered) == found


def test_another_exception_in_the_second_order_is_one() -> None:
    found = Execution((outcome(Kind.VALUE, "1"), outcome(Kind.VALUE, "2")), 0.0)
    reordered = Execution((outcome(Kind.EXCEPTION, "KeyError"), outcome(Kind.VALUE, "1")), 0.0)
    assert {o.kind for o in without_state(found, reordered).outcomes} == {Kind.NONDETERMINISTIC}


@pytest.mark.parametrize(
    ("second", "kind"), [(Kind.TIMEOUT, Kind.VALUE), (Kind.MEMORY, Kind.VALUE), (Kind.EXCEPTION, Kind.NONDETERMINISTIC)]
)
def test_a_second_run_that_was_slow_takes_no_value_away(second: Kind, kind: Kind) -> None:
    merged = both(Execution((outcome(Kind.VALUE, "1"),), 0.0), Execution((outcome(second),), 0.0))
    assert merged.outcomes[0].kind is kind
