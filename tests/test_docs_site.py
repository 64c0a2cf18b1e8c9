"""The documentation site builds without a warning (`make docs`), and its reference shows what the code says."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="mkdocs is not installed: pip install 'ucoder[docs]'")
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr

    def page(name: str) -> str:
        return (tmp_path / "site" / name).read_text(encoding="utf-8")

    assert "usage: ucoder judge" in page("reference/commands.html") and "--seconds-per-input" in page("reference/commands.html")
    assert "grpo.learning_rate" in page("reference/config.html")
    assert "max_missing" in page("reference/judge.html") and "Processor time for one call" in page("reference/sandbox.html")
    assert not (tmp_path / "site" / "build").exists()
