"""What mkdocs does beside its own work when it builds these pages (mkdocs.yml names this file).

- RESULTS.md becomes a page, `results.md`.
- Links that leave docs/ lead to that page, to a copy of the picture that they show, or become plain text: sources are not on the site.
- `<!-- output: ucoder ... -->` becomes what the command prints, so that help texts and config keys are those of the code.
  `<!-- every command -->` becomes a section with the help of each.
"""

from __future__ import annotations

import os
import posixpath
import re
import subprocess
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
RESULTS = "results.md"
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
EVERY = "<!-- every command -->"
OUTPUT = re.compile(r"^<!-- output: ucoder (.*?) -->$", re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page of results, and the pictures outside of docs/ that pages show."""
    files.append(File.generated(config, RESULTS, content=(ROOT / "RESULTS.md").read_text(encoding="utf-8")))
    for picture in sorted((ROOT / "bench" / "results").glob("*.png")):
        files.append(File.generated(config, f"results/{picture.name}", content=picture.read_bytes()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put outputs of commands and links that can be followed into a page."""
    source = "RESULTS.md" if page.file.src_uri == RESULTS else f"docs/{page.file.src_uri}"

    def link(found: re.Match[str]) -> str:
        mark, text, target = found.groups()
        path, _, anchor = target.partition("#")
        if not path or "://" in target or target.startswith("mailto:"):
            return found[0]
        there = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        if there == "RESULTS.md":
            there = f"docs/{RESULTS}"
        elif there.startswith("bench/results/") and there.endswith(".png"):
            there = there.replace("bench/results/", "docs/results/")
        if not there.startswith("docs/"):
            return text
        here = posixpath.dirname(f"docs/{page.file.src_uri}")
        return f"{mark}[{text}]({posixpath.relpath(there, here)}{'#' + anchor if anchor else ''})"

    if EVERY in markdown:
        sections = [f"## ucoder {name}\n\n<!-- output: ucoder {name} --help -->" for name in commands()]
        markdown = markdown.replace(EVERY, "\n\n".join(sections))
    return LINK.sub(link, OUTPUT.sub(output, markdown))


def commands() -> list[str]:
    """The names of all commands that have options: of `sandbox`, its only subcommand."""
    sys.path.insert(0, str(ROOT))
    from rl.cli import COMMANDS

    return ["sandbox run" if name == "sandbox" else name for name in COMMANDS]


def output(found: re.Match[str]) -> str:
    """What a ucoder command prints, as a block."""
    environment = os.environ | {"COLUMNS": "120", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "rl.cli", *found[1].split()]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PluginError(f"ucoder {found[1]} ended with status {done.returncode}: {done.stderr}")
    return f"```text\n{done.stdout.rstrip()}\n```"
