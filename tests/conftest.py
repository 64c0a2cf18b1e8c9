"""Fixtures shared by all tests: one thread, no network, no terminal."""

from __future__ import annotations

import os

from hypothesis import settings

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
