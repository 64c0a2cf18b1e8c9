"""A candidate's way from sampler to gradient: at most forty files, and docs/candidate-path.md lists them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "candidate-path.md"
MOST_FILES = 40
MOVED_ON = {"probing/reading/program.py", "rl/loop/asking.py", "rl/loop/update.py"}  # the page says why


def test_the_page_lists_the_files_of_a_traced_round(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.loop.candidate_path", str(tmp_path / "run"), str(tmp_path / "found.txt")]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    traced = {line.split()[0] for line in (tmp_path / "found.txt").read_text(encoding="utf-8").splitlines()}
    listed = re.findall(r"^\|[^|]*\| `([^`]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(listed) == len(set(listed)) <= MOST_FILES
    assert traced - set(listed) == set() and set(listed) - traced == MOVED_ON - traced
