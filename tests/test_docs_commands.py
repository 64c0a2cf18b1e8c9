"""The commands of the documentation pages work, and print what the pages say.

A page marks its blocks by a comment on the line before:

    <!-- run -->            the block (bash or python) is run; the blocks of a page run in order, in one folder
    <!-- file: NAME -->     the block's text is what NAME holds when the next block runs
    <!-- prints -->         each line of the block stands in what the last block that was run printed

Only what takes seconds is marked. The folder holds links to the checkout's own folders, so commands are written as from its root.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
MARKED = re.compile(r"^<!-- (run|prints|file: [\w.]+) -->\n```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINKED = ("bench", "configs", "docs", "examples", "models", "rl", "seedling")
SECONDS = 300  # a block takes some ten on a machine that has nothing else to do

PAGES = {path: MARKED.findall(path.read_text(encoding="utf-8")) for path in sorted(ROOT.glob("docs/**/*.md"))}


def run(language: str, code: str, folder: Path) -> str:
    """What a block prints; fails the test where it ends with another status than 0."""
    environment = os.environ | {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    command = {"bash": ["bash", "-euo", "pipefail", "-c", code], "python": [sys.executable, "-c", code]}[language]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def make_folder(folder: Path) -> None:
    """The folder that a page's commands run in, with `ucoder` and `python` of this environment."""
    for name in LINKED:
        (folder / name).symlink_to(ROOT / name)
    (folder / "bin").mkdir()
    for name, words in (("python", ""), ("ucoder", "-m rl.cli ")):
        script = folder / "bin" / name
        script.write_text(f'#!/bin/sh\nexec {sys.executable} {words}"$@"\n')
        script.chmod(0o755)


def plain(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


@pytest.mark.parametrize("page", [path for path, blocks in PAGES.items() if blocks], ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_of_the_page_work(page: Path, tmp_path: Path) -> None:
    make_folder(tmp_path)
    printed = ""
    for kind, language, text in PAGES[page]:
        if kind == "run":
            printed = run(language, text, tmp_path)
        elif kind == "prints":
            lines = {plain(line) for line in printed.splitlines()}
            missing = [line for line in text.splitlines() if plain(line) not in lines]
            assert not missing, f"the page says {missing}, and this was printed:\n{printed}"
        else:
            (tmp_path / kind.removeprefix("file: ")).write_text(text, encoding="utf-8")


def test_every_mark_stands_before_a_block() -> None:
    for path, blocks in PAGES.items():
        marks = re.findall(r"^<!-- (?:run|prints|file)", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert len(marks) == len(blocks), f"{path}: a mark without a block below it"


def test_the_first_pages_are_among_them() -> None:
    """A marker that nobody finds any more would leave the pages unchecked."""
    checked = {path.name for path, blocks in PAGES.items() if any(kind == "run" for kind, _, _ in blocks)}
    assert {"tutorial.md", "sandbox.md", "judge-in-trainers.md", "own-problems.md", "solve.md"} <= checked
