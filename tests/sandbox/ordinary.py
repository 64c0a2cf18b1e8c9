"""Run this Python as an ordinary user, as root: `python ordinary.py FOLDER ... -- -m pytest ...`.

Root's Python and checkout often lie where others may not look (under /root). In a mount namespace of its own, such a folder is covered by
an empty one, and the FOLDERs below it are put back: every path stays what it was, and others may follow it.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

UID = 54321  # nobody's
NEW_MOUNTS, BIND, RECURSIVE, PRIVATE = 0x20000, 0x1000, 0x4000, 1 << 18
libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    if libc.mount(source.encode(), target.encode(), kind.encode(), flags, options.encode()):
        raise OSError(ctypes.get_errno(), f"mount {target}")


def hidden_above(folder: Path) -> Path | None:
    """The topmost folder above this one that others may not enter."""
    return next((above for above in reversed(folder.parents) if above.stat().st_mode & 0o005 != 0o005), None)


def open_the_way(folders: list[Path]) -> None:
    """Let others reach these folders, in this process and those that it becomes."""
    if libc.unshare(NEW_MOUNTS):
        raise OSError(ctypes.get_errno(), "unshare")
    mount("none", "/", "", RECURSIVE | PRIVATE)
    kept = [(folder, top, os.open(folder, os.O_PATH)) for folder in folders if (top := hidden_above(folder))]
    for top in {top for _, top, _ in kept}:
        mount("none", str(top), "tmpfs", 0, "mode=755")
    for folder, _, descriptor in sorted(kept):
        folder.mkdir(parents=True, exist_ok=True)
        mount(f"/proc/self/fd/{descriptor}", str(folder), "", BIND | RECURSIVE)
        os.close(descriptor)


def main() -> None:
    end = sys.argv.index("--")
    open_the_way(sorted({Path(name).resolve() for name in sys.argv[1:end]}))
    os.setgroups([])
    os.setresgid(UID, UID, UID)
    os.setresuid(UID, UID, UID)
    os.execv(sys.executable, [sys.executable, *sys.argv[end + 1 :]])


if __name__ == "__main__":
    main()
