"""Fixtures shared by all tests: one thread, no network, no terminal."""

from __future__ import annotations

import os

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
