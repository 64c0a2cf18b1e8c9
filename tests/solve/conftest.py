"""One open sandbox for the tests of solving."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rewards.sandbox import Sandbox, SandboxConfig


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(SandboxConfig(workers=1, seconds_per_input=1.0, seconds_per_program=4.0)) as opened:
        yield opened
