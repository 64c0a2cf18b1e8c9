"""One open sandbox for each isolation, shared by the tests of a session."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import psutil
import pytest

from rewards.records import Execution, Kind, Outcome, Program
from rewards.sandbox import Sandbox, SandboxConfig
from rewards.sandbox.layers import choose_layers

NO_BWRAP = choose_layers(SandboxConfig(unsafe=True)).reason
ISOLATIONS = ["nobwrap", pytest.param("bwrap", marks=pytest.mark.skipif(bool(NO_BWRAP), reason=NO_BWRAP))]
QUICK = {"workers": 2, "seconds_per_input": 0.4, "seconds_per_program": 4.0, "memory_mb": 256}

HONEST = Program("def f(x):\n    return x * 2", "f", ("[21]", "['ab']"))
RIGHT = (Outcome(Kind.VALUE, "42"), Outcome(Kind.VALUE, "'abab'"))
HEADER = "import os, sys, time\ndef f(*a):\n"  # os keeps a program out of the fast lane

Run = Callable[..., Execution]


@pytest.fixture(scope="session", params=ISOLATIONS)
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with Sandbox(SandboxConfig(isolation=request.param, **QUICK)) as opened:
        yield opened


@pytest.fixture
def run(sandbox: Sandbox) -> Run:
    """Run one program: run(code, "[1]", "[2]", entry="f")."""

    def once(code: str, *inputs: str, entry: str = "f") -> Execution:
        [execution] = sandbox.run([Program(code, entry, inputs or ("[]",))])
        return execution

    return once


@pytest.fixture
def first(run: Run) -> Callable[..., Outcome]:
    """The outcome of one call."""

    def outcome(code: str, text: str = "[]", entry: str = "f") -> Outcome:
        return run(code, text, entry=entry).outcomes[0]

    return outcome


def processes() -> set[int]:
    """Processes below this one."""
    return {child.pid for child in psutil.Process().children(recursive=True) if child.status() != psutil.STATUS_ZOMBIE}


@pytest.fixture
def survive(sandbox: Sandbox) -> Callable[[set[Kind], str], Outcome]:
    """survive(kinds, body): f() with this body has such an outcome, its neighbours have theirs, no worker dies, nothing is left."""

    def check(kinds: set[Kind], body: str) -> Outcome:
        hostile = Program(HEADER + "\n".join("    " + line for line in body.splitlines()), "f", ("[]",))
        before, files = processes(), set(os.listdir("/tmp"))
        executions = list(sandbox.run([HONEST, hostile, HONEST, HONEST]))
        outcome = executions[1].outcomes[0]
        assert outcome.kind in kinds, outcome
        assert [executions[index].outcomes for index in (0, 2, 3)] == [RIGHT] * 3
        assert processes() == before
        assert "owned" not in os.listdir("/tmp")
        assert not {f for f in set(os.listdir("/tmp")) - files if f.isdigit() or f in ("etc", "disk")}
        return outcome

    return check
