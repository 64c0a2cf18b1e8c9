"""The isolation layers of this machine, and the command that starts a zygote behind them."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rewards.sandbox import library, syscalls
from rewards.sandbox.config import SandboxConfig, SandboxError
from rewards.sandbox.inside.confine import landlock_version
from rewards.sandbox.namespaces import Bubblewrap, can_drop_uid, working_bwrap
from rewards.sandbox.packages import Offer, PackagesError, make_offer

SCRATCH = "/tmp"  # where programs have a folder of their own inside bubblewrap
OVERHEAD_BYTES = 192 << 20  # address space of the interpreter and the mapped slots
BOOTSTRAP = (
    "import builtins, os, sys, types\n"
    "os.register_at_fork = lambda **hooks: None\n"  # random would seed itself anew in every child
    "package = types.ModuleType('rewards')\n"
    "for name in ('rewards', 'rewards.outcomes', 'rewards.sandbox', 'rewards.sandbox.inside'):\n"
    "    sys.modules[name] = package\n"
    "for name, path in {0!r}:\n"
    "    module = types.ModuleType(name)\n"
    "    module.__dict__['__builtins__'] = dict(vars(builtins))\n"  # a program that patches builtins patches its own
    "    sys.modules[name] = module\n"
    "    exec(compile(open(path).read(), path, 'exec'), module.__dict__)\n"
    "    setattr(package, name.rpartition('.')[2], module)\n"
    "module.main({1})\n"
)
_ROOT = Path(__file__).resolve().parents[2]
_MODULES = (  # in the order in which they import each other
    "rewards.outcomes.typed",
    "rewards.sandbox.inside.wire",
    "rewards.sandbox.inside.clock",
    "rewards.sandbox.inside.tame",
    "rewards.sandbox.inside.confine",
    "rewards.sandbox.inside.child",
    "rewards.sandbox.inside.warm",
    "rewards.sandbox.inside.zygote",
)
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")
_FOR_PACKAGES = ("rewards.outcomes.arrays", "rewards.sandbox.inside.offered")  # in front of the zygote, where packages are offered
_THREADS = ("OPENBLAS", "OMP", "MKL", "NUMEXPR", "BLIS", "VECLIB_MAXIMUM")  # one thread each: a program's cores are counted by its workers


@dataclass(frozen=True)
class Layers:
    """The layers that are on."""

    bwrap: Bubblewrap | None
    reason: str  # why there is no bubblewrap
    seccomp: bytes  # the filter; empty for none
    landlock: int  # version of the kernel's interface; 0 for none
    real_uid: bool  # we are root: children drop to a uid of their own
    offer: Offer  # the interpreter that runs programs, and the packages that it offers them

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
        if self.offer.wanted:
            on.append("offering " + " ".join(self.offer.tops))
        return "sandbox: " + ", ".join(on)


def choose_layers(config: SandboxConfig) -> Layers:
    """The layers that this machine and the config allow. Raises SandboxError when nothing would hold, or packages are not here."""
    try:
        offer = make_offer(config.packages, config.environment)
    except PackagesError as error:
        raise SandboxError(str(error)) from error
    found = "sandbox.isolation is nobwrap" if config.isolation == "nobwrap" else working_bwrap(tuple(mounts(offer)))
    bwrap, reason = (None, found) if isinstance(found, str) else (found, "")
    if bwrap is None and config.isolation == "bwrap":
        raise SandboxError(f"sandbox.isolation is bwrap, but {reason}: install or allow it, or use auto")
    if bwrap is not None and (hidden := [path for path in (offer.prefix, *offer.paths) if path.startswith(f"{SCRATCH}/")]):
        raise SandboxError(
            f"{hidden[0]} lies under {SCRATCH}, where programs have their scratch folder: put the environment elsewhere, or use "
            "sandbox.isolation: nobwrap"
        )
    seccomp = syscalls.compile_filter(bwrap is not None, config.file_modes) if syscalls.available() else b""
    if bwrap is None and not seccomp and not config.unsafe:
        raise SandboxError(
            f"neither namespaces ({reason}) nor seccomp work here, so model-written code would run unconfined: install bubblewrap or "
            "libseccomp, or accept it with sandbox.unsafe: true"
        )
    return Layers(bwrap, reason, seccomp, landlock_version(), can_drop_uid(), offer)


def inside(offer: Offer) -> list[tuple[str, str]]:
    """(name, path) of our own modules that a zygote runs, in the order in which they import each other."""
    names = [*_MODULES[:-1], *(_FOR_PACKAGES if offer.wanted else ()), _MODULES[-1]]
    return [(name, str(_ROOT.joinpath(*name.split(".")).with_suffix(".py"))) for name in names]


def mounts(offer: Offer) -> list[str]:
    """bubblewrap's options for what is seen inside: the Python library, shared libraries, offered packages, our own files; read-only."""
    arguments = []
    shown = ["/usr", "/bin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime"]
    prefixes = [offer.prefix, os.path.realpath(offer.prefix)]
    ours = [file for _, file in inside(offer)]
    above = {parent for path in [*shown, *_DEVICES, *prefixes, *ours, *offer.paths] for parent in Path(path).parents}
    for parent in sorted(map(str, above)):
        arguments += ["--dir", parent]  # bubblewrap would make them for itself alone
    for path in dict.fromkeys([*shown, *prefixes]):
        arguments += ["--ro-bind-try", path, path]
    covered = library.other_packages([*shown, *prefixes])
    for folder in covered:
        arguments += ["--tmpfs", folder]
    for parent in sorted({str(parent) for path in offer.paths for parent in Path(path).parents}):
        if any(Path(parent).is_relative_to(folder) for folder in covered):
            arguments += ["--dir", parent]
    for path in offer.paths:
        arguments += ["--ro-bind-try", path, path]
    for folder in covered:
        arguments += ["--remount-ro", folder]
    for file in ours:
        arguments += ["--ro-bind", file, file]
    for device in _DEVICES:
        arguments += ["--dev-bind", device, device]
    return [*arguments, "--dir", SCRATCH, "--remount-ro", "/", "--chdir", SCRATCH]


def start_zygote(layers: Layers, control: int, **options: Any) -> subprocess.Popen[bytes]:
    """Start one zygote behind its namespaces. control: number of its socket's descriptor; options: for subprocess.Popen."""
    command = [layers.offer.python, "-s", "-S", "-B", "-P", "-X", "utf8", "-c", BOOTSTRAP.format(inside(layers.offer), control)]
    if layers.bwrap is None:
        return subprocess.Popen(command, pass_fds=[control], **options)
    return layers.bwrap.start([*mounts(layers.offer), *command], [control], **options)


def readable_paths(offer: Offer) -> list[str]:
    """What a program may read: the standard library, shared libraries, time zones, harmless devices, the offered packages."""
    system = ["/usr/share/zoneinfo", "/etc/ld.so.cache", "/etc/localtime"]
    return [*library.readable(offer.prefix, offer.version), *system, *offer.paths, *_DEVICES]


def environment(hash_seed: int, offer: Offer) -> dict[str, str]:
    """The whole environment of a zygote. (`python -I` would ignore the hash seed; symbols are bound once, not by each child.)"""
    threads = {f"{library}_NUM_THREADS": "1" for library in _THREADS if offer.wanted}
    return threads | {
        "LD_BIND_NOW": "1",
        "PYTHONHASHSEED": str(hash_seed),
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "HOME": "/tmp",
        "PATH": "/nowhere",
    }


def resource_limits(config: SandboxConfig) -> list[tuple[int, int]]:
    """(resource, value) for every zygote, and so for its children; RLIMIT_AS is set when what it imports beforehand is there."""
    wanted = {
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
