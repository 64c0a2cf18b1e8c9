"""One open sandbox for each isolation, shared by the tests of a session."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from rewards.records import Execution, Outcome, Program
from rewards.sandbox import Sandbox, SandboxConfig
from rewards.sandbox.layers import choose

NO_BWRAP = choose(SandboxConfig(unsafe=True)).reason
ISOLATIONS = ["nobwrap", pytest.param("bwrap", marks=pytest.mark.skipif(bool(NO_BWRAP), reason=NO_BWRAP))]
QUICK = {"workers": 2, "seconds_per_input": 0.4, "seconds_per_program": 4.0, "memory_mb": 256}

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
