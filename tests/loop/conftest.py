"""One finished run for all tests of the loop, watched by every tracker that is installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.loop.runs import finish

TRACKERS = tuple(name for name in ("wandb", "tensorboard", "trackio") if importlib.util.find_spec(name) is not None)


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    finish(folder, "--tracking.report_to", f"[{', '.join(TRACKERS)}]", "--tracking.artifacts", "true")
    return folder
