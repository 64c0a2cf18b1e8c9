"""The attacks once more, started by a user without rights: children then have the zygote's own user, and fewer layers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox import ordinary

ROOT = Path(__file__).resolve().parents[2]
FILES = ("attacks/test_attacks.py", "attacks/test_more_attacks.py", "test_clean_up.py", "test_layers.py")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="these tests run as an ordinary user already"),
]


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder of that user's own, where it can reach it (pytest's are closed to others)."""
    folder = Path(tempfile.mkdtemp(prefix="ucoder-ordinary-"))
    os.chown(folder, ordinary.UID, ordinary.UID)
    yield folder
    shutil.rmtree(folder)


def as_ordinary_user(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """This Python with these arguments, as that user."""
    folders = (sys.base_prefix, sys.prefix, str(ROOT), str(home))
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "HOME", "TMP"))}
    environment |= {"HOME": str(home), "USER": "ordinary", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(Path(ordinary.__file__)), *folders, "--", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)


@pytest.mark.parametrize("isolation", ["nobwrap", "bwrap"])
def test_every_attack_is_survived(home: Path, isolation: str) -> None:
    first = as_ordinary_user(home, "-c", "import os, pytest, psutil, rewards.sandbox; print(os.getresuid())")
    if first.returncode:
        pytest.skip(f"no ordinary user can run this Python here: {first.stderr.strip().splitlines()[-1]}")
    assert first.stdout.strip() == str((ordinary.UID,) * 3)
    files = [str(Path(__file__).parent / name) for name in FILES]
    options = f"-p no:cacheprovider -n 2 -rs --tb=short --basetemp {home}/pytest".split()  # two at once: they mostly wait
    found = as_ordinary_user(home, "-m", "pytest", *options, "-k", f"[{isolation}", *files)
    assert found.returncode == 0, found.stdout[-5000:] + found.stderr[-2000:]
    summary = found.stdout
    if isolation == "bwrap" and "bubblewrap" in summary and "passed" not in summary:
        pytest.skip("bubblewrap makes no namespaces for an ordinary user here")
    assert int(re.search(r"(\d+) passed", summary).group(1)) > 100, summary[-3000:]
