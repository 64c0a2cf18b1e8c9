"""One process at a time works in a run folder: RUN/.lock, held by rank 0 for the life of the run.

Two starts of one run would write each other's files. The lock is a POSIX one (`fcntl.lockf`): the kernel lets go of it when its process
ends, however that ends, and no child has a share in it, be it forked or started anew; so nothing that outlives a killed run keeps it from
going on. Commands that read a run do not look at it.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
from pathlib import Path
from typing import IO

from rl.console import UserError, warn

NAME = ".lock"
TAKEN = (errno.EACCES, errno.EAGAIN)  # what the kernel says of a lock that another process holds


class RunLock:
    """The lock of a run folder, which must be there when it is taken.

    A process that holds it opens RUN/.lock nowhere else: closing any of its descriptors would release the lock.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._file: IO[str] | None = None

    def take(self) -> None:
        """Raises UserError when another process holds it. Where the disk has no locks, a warning says so."""
        file = self.path.open("a+", encoding="utf-8")
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = _holder(file)
            file.close()
            if error.errno in TAKEN:
                remedy = "wait for it, or stop it, or choose another --run_dir"
                raise UserError(f"another process is running this run{holder}", str(self.path.parent), remedy) from None
            warn(f"{self.path} cannot be locked ({error.strerror}): take care that no second process runs this run")
            return
        file.truncate(0)
        file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}) + "\n")
        file.flush()
        self._file = file

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _holder(file: IO[str]) -> str:
    """Who wrote the file, in words; empty where that cannot be told."""
    try:
        file.seek(0)
        found = json.loads(file.read())
        return f" (pid {found['pid']} on {found['host']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
