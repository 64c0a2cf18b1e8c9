"""Shared by all tests: one thread, no network, no terminal; an open sandbox."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from rewards.sandbox import Sandbox

os.environ.update(
    {
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "WANDB_MODE": "offline",
        "WANDB_SILENT": "true",
        "NO_COLOR": "1",
        "COLUMNS": "160",
    }
)

# The same examples on every machine, and no verdict that depends on how busy it is.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("quick", parent=settings.get_profile("repeatable"), max_examples=10)  # make test-fast
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    from rewards.sandbox import Sandbox, SandboxConfig

    with Sandbox(SandboxConfig(workers=1, seconds_per_input=1.0, seconds_per_program=4.0)) as opened:
        yield opened
