"""Which walls stand on this machine, and the command that starts a zygote behind them."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rewards.sandbox import syscalls
from rewards.sandbox.config import SandboxConfig, SandboxError
from rewards.sandbox.confine import landlock_version
from rewards.sandbox.namespaces import Bubblewrap, can_drop_uid, working_bwrap

OVERHEAD_BYTES = 192 << 20  # address space of the interpreter and the mapped slots
BOOTSTRAP = (
    "import builtins, os, sys, types\n"
    "os.register_at_fork = lambda **hooks: None\n"  # random would seed itself anew in every child
    "sys.modules['rewards'] = sys.modules['rewards.sandbox'] = types.ModuleType('rewards')\n"
    "for name, path in {0!r}:\n"
    "    module = types.ModuleType(name)\n"
    "    module.__dict__['__builtins__'] = dict(vars(builtins))\n"  # a program that patches builtins patches its own
    "    sys.modules[name] = module\n"
    "    exec(compile(open(path).read(), path, 'exec'), module.__dict__)\n"
    "    setattr(sys.modules['rewards.sandbox'], name.rpartition('.')[2], module)\n"
    "module.main({1})\n"
)
_HERE = Path(__file__).resolve().parent
_MODULES = (  # in the order in which they import each other
    "../outcomes.py",
    "wire.py",
    "clock.py",
    "tame.py",
    "confine.py",
    "child.py",
    "zygote.py",
)
_INSIDE = [("rewards." + ("" if "/" in file else "sandbox.") + Path(file).stem, str((_HERE / file).resolve())) for file in _MODULES]


@dataclass(frozen=True)
class Layers:
    """The walls that are on."""

    bwrap: Bubblewrap | None
    reason: str  # why there is no bubblewrap
    seccomp: bytes  # the filter; empty for none
    landlock: int  # version of the kernel's interface; 0 for none
    real_uid: bool  # we are root: children drop to a uid of their own

    def describe(self) -> str:
        """One line for the log."""
        on = [
            f"bubblewrap ({self.bwrap.namespaces()})" if self.bwrap else f"NO namespaces ({self.reason})",
            "seccomp" if self.seccomp else "NO seccomp",
            f"Landlock {self.landlock}" if self.landlock else "NO Landlock",
            "own uid" if self.real_uid else "same uid",
            "rlimits",
            "private scratch" if self.bwrap else "nothing writable" if self.seccomp or self.landlock else "NO file protection",
        ]
        return "sandbox: " + ", ".join(on)


def choose(config: SandboxConfig) -> Layers:
    """The layers that this machine and the config allow. Raises SandboxError when nothing would hold."""
    found = "sandbox.isolation is nobwrap" if config.isolation == "nobwrap" else working_bwrap(tuple(mounts()))
    bwrap, reason = (None, found) if isinstance(found, str) else (found, "")
    if bwrap is None and config.isolation == "bwrap":
        raise SandboxError(f"sandbox.isolation is bwrap, but {reason}: install or allow it, or use auto")
    seccomp = syscalls.compile_filter(writable=bwrap is not None) if syscalls.available() else b""
    if bwrap is None and not seccomp and not config.unsafe:
        raise SandboxError(
            f"neither namespaces ({reason}) nor seccomp work here, so model-written code would run unconfined: install bubblewrap or "
            "libseccomp, or accept it with sandbox.unsafe: true"
        )
    return Layers(bwrap, reason, seccomp, landlock_version(), can_drop_uid())


def mounts() -> list[str]:
    """bubblewrap's options for what is seen inside: the Python library, the shared libraries, our own files, all read-only."""
    arguments = []
    shown = ["/usr", "/bin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime"]
    prefixes = [sys.base_prefix, os.path.realpath(sys.base_prefix)]
    for parent in dict.fromkeys(str(p) for path in [*prefixes, str(_HERE)] for p in reversed(Path(path).parents)):
        arguments += ["--dir", parent]  # bubblewrap would make them for itself alone
    for path in dict.fromkeys([*shown, *prefixes]):
        arguments += ["--ro-bind-try", path, path]
    for _, file in _INSIDE:
        arguments += ["--ro-bind", file, file]
    for device in ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random"):
        arguments += ["--dev-bind", device, device]
    return [*arguments, "--dir", "/tmp", "--remount-ro", "/", "--chdir", "/tmp"]


def start_zygote(layers: Layers, control: int, **options: Any) -> subprocess.Popen[bytes]:
    """Start one zygote behind its namespaces. control: number of its socket's descriptor; options: for subprocess.Popen."""
    python = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    command = [python, "-s", "-S", "-B", "-P", "-X", "utf8", "-c", BOOTSTRAP.format(_INSIDE, control)]
    if layers.bwrap is None:
        return subprocess.Popen(command, pass_fds=[control], **options)
    return layers.bwrap.start([*mounts(), *command], [control], **options)


def readable_paths() -> list[str]:
    """What a program may read: the standard library, shared libraries, time zones, harmless devices."""
    system = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo", "/etc/ld.so.cache", "/etc/localtime"]
    return [*system, os.path.realpath(sys.base_prefix), "/dev/null", "/dev/zero", "/dev/urandom", "/dev/random"]


def readable_by_others(path: str) -> bool:
    """True when a user without rights can reach this folder."""
    return all(folder.stat().st_mode & 0o005 == 0o005 for folder in (Path(path), *Path(path).resolve().parents))


def environment(hash_seed: int) -> dict[str, str]:
    """The whole environment of a zygote. (`python -I` would ignore the hash seed; symbols are bound once, not by each child.)"""
    return {"LD_BIND_NOW": "1", "PYTHONHASHSEED": str(hash_seed), "LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": "/tmp", "PATH": "/nowhere"}


def resource_limits(config: SandboxConfig) -> list[tuple[int, int]]:
    """(resource, value) for every zygote, and so for its children."""
    wanted = {
        resource.RLIMIT_AS: (config.memory_mb << 20) + OVERHEAD_BYTES,
        resource.RLIMIT_NOFILE: 64,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_STACK: 8 << 20,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    return within_our_own(wanted)


def child_limits(config: SandboxConfig, layers: Layers) -> list[tuple[int, int]]:
    """(resource, value) for children alone: a zygote writes its last words to a file, and has to fork however much its user runs.

    Processor time is set for each unit.
    """
    own = layers.real_uid or layers.bwrap is not None  # else the limit counts all that the user runs
    wanted = {
        resource.RLIMIT_FSIZE: (config.scratch_mb << 20) if layers.bwrap else 0,
        resource.RLIMIT_NPROC: 64 if own else threads_of_user() + 512,
    }
    return within_our_own(wanted)


def within_our_own(wanted: dict[int, int]) -> list[tuple[int, int]]:
    """Limits as pairs; where this process has a tighter one, that: it takes rights to raise it."""
    found = []
    for number, value in wanted.items():
        hard = resource.getrlimit(number)[1]
        found.append((number, value if hard == resource.RLIM_INFINITY else min(value, hard)))
    return found


def threads_of_user() -> int:
    """Threads that this user runs now, in all processes."""
    count, uid = 0, os.getuid()
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                count += len(os.listdir(f"{entry.path}/task")) if entry.stat().st_uid == uid else 0
    return count
