"""Virtual environments with small packages of our own making, for tests of what is offered to programs."""

from __future__ import annotations

import venv
from collections.abc import Mapping
from pathlib import Path


def make_environment(folder: Path) -> Path:
    """An environment without any package."""
    venv.create(folder, with_pip=False, symlinks=True)
    folder.chmod(0o755)
    return folder


def install(environment: Path, name: str, files: Mapping[str, str], requires: tuple[str, ...] = ()) -> None:
    """Install a distribution, version 1.0, of these files (path below site-packages: text), as an installer would leave it."""
    [site] = environment.glob("lib/python*/site-packages")
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n" + "".join(f"Requires-Dist: {r}\n" for r in requires)
    record = f"{name.replace('-', '_')}-1.0.dist-info"
    files = {**files, f"{record}/METADATA": metadata}
    files[f"{record}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{record}/RECORD"])
    for path, text in files.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text)
