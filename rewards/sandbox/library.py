"""Where the standard library and the shared libraries lie, and the installed packages beside them, which are not a program's to see."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

_SHARED = ("/lib", "/lib64", "/usr/lib", "/usr/lib64")
_PACKAGES = ("site-packages", "dist-packages")
_OTHERS = ("envs", "pkgs")  # in a prefix: other environments, and what they were unpacked from


def other_packages(roots: Iterable[str]) -> list[str]:
    """The folders of installed packages below these, sorted. roots: an interpreter's, /usr, or folders of libraries, each as it is mounted
    (a root may be a link; below it links are not followed).
    """
    patterns = [f"{above}python*/{name}" for above in ("", "lib*/", "local/lib*/") for name in _PACKAGES]
    found = {(Path(root), path) for root in roots for pattern in (*patterns, *_OTHERS) for path in Path(root).glob(pattern)}
    return sorted({str(path) for root, path in found if path.is_dir() and path.resolve() == root.resolve() / path.relative_to(root)})


def readable(prefix: str, version: tuple[int, int, int]) -> list[str]:
    """The files and folders of the standard library and of shared libraries, for rules that hold for all that lies beneath a path.

    prefix: folder of an interpreter. Where packages lie in a folder, what else is in it is named one by one.
    """
    root = Path(prefix).resolve()
    found: dict[str, None] = {}
    for folder in dict.fromkeys(map(os.path.realpath, _SHARED)):
        found.update(dict.fromkeys(_without_python(folder)))
    for home in (root / "lib", root / "lib64"):
        found.update(dict.fromkeys(str(path) for path in _entries(home) if path.is_file() and ".so" in path.name))
        found.update(dict.fromkeys(str(path) for path in _entries(home / f"python{version[0]}.{version[1]}") if path.name not in _PACKAGES))
    for path in (root / "lib" / f"python{version[0]}{version[1]}.zip", root / "share" / "zoneinfo"):
        found[str(path)] = None
    return list(found)


def _without_python(folder: str) -> Iterator[str]:
    """A folder of shared libraries; where an interpreter keeps its own there, all but that."""
    entries = list(_entries(Path(folder)))
    if any(path.name.startswith("python") for path in entries):
        yield from (str(path) for path in entries if not path.name.startswith("python"))
    else:
        yield folder


def _entries(folder: Path) -> Iterator[Path]:
    """What is in a folder, links left out: what they lead to is not the folder's. Nothing of one that is not there."""
    if folder.is_dir():
        yield from (path for path in sorted(folder.iterdir()) if not path.is_symlink())
