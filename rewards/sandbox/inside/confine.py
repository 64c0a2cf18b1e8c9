"""What a child gives up before it reads a program: limits, identity, capabilities, the file system, system calls.

Standard library and libc only (runs in the zygote, which has no site-packages). Every step fails loudly: a child that could not be confined
never runs a program.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct
from typing import Any

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 36, 38
PID_PLACEHOLDER = 0x5AFE5AFE  # stands in the seccomp program for the child's own pid
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446  # the same numbers on every machine
_LANDLOCK_RIGHTS = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 5: 0xFFFF}  # file rights that each version of the kernel interface knows
_READ, _WRITE_EXTRA = 0b1100, 0b110110010  # READ_FILE READ_DIR; WRITE_FILE REMOVE_DIR REMOVE_FILE MAKE_DIR MAKE_REG
_SCRATCH_FLAGS, _MNT_DETACH = 2 | 4 | 8 | 1024, 2  # MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_NOATIME
_CLONE_THREAD, _NEW_MOUNTS, _BIND, _RECURSIVE, _PRIVATE = 0x10000, 0x20000, 0x1000, 0x4000, 1 << 18
_MEASURED_BELOW = 1 << 37  # bytes; the address space of every machine holds as much in one piece
_CLOSE_RANGE, _CAPSET = 436, {"x86_64": 126, "aarch64": 91}

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_NO_ADDRESS = (None, ctypes.c_void_p(-1).value)
libc.prctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_ulong]


def check(result: int, what: str) -> int:
    """The result of a libc call, or OSError."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def prctl(option: int, value: int, pointer: Any = None) -> None:
    check(libc.prctl(option, value, pointer, 0, 0), f"prctl {option}")


def close_from(lowest: int) -> None:
    """Close every descriptor from this number on."""
    if libc.syscall(_CLOSE_RANGE, lowest, 0xFFFFFFFF, 0) != 0:  # Linux before 5.9
        os.closerange(lowest, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def map_shared(descriptor: int, size: int) -> tuple[int, memoryview]:
    """Address and view of a shared mapping of `size` bytes that keeps no descriptor open. Raises OSError."""
    address = libc.mmap(None, size, 3, 1, descriptor, 0)  # PROT_READ | PROT_WRITE, MAP_SHARED
    if address in _NO_ADDRESS:
        raise OSError(ctypes.get_errno(), "mmap")
    return address, memoryview((ctypes.c_ubyte * size).from_address(address)).cast("B")


def has_room(size: int) -> bool:
    """Whether this process could still map so many bytes (RLIMIT_AS)."""
    address = libc.mmap(None, size, 0, 0x4022, -1, 0)  # PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
    if address in _NO_ADDRESS:
        return False
    libc.munmap(address, size)
    return True


def address_space() -> int:
    """Bytes of address space that this process has taken. Lasts for a moment: RLIMIT_AS must not bind yet.

    Told by the largest mapping that a known limit still allows, for want of a /proc in namespaces of our own.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = _MEASURED_BELOW if hard == resource.RLIM_INFINITY else min(hard, _MEASURED_BELOW)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    low, high = 0, limit
    while high - low > 4096:
        middle = (low + high) // 2
        low, high = (middle, high) if has_room(middle) else (low, middle)
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    return limit - low


def limit_address_space(size: int) -> None:
    """Bind RLIMIT_AS for good, to so many bytes or to what it was, whichever is less."""
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    size = size if hard == resource.RLIM_INFINITY else min(size, hard)
    resource.setrlimit(resource.RLIMIT_AS, (size, size))


def is_single_threaded() -> bool:
    """Whether this process has no thread but this one."""
    return bool(libc.unshare(_CLONE_THREAD) == 0)  # which the kernel grants, as doing nothing, to such a process alone


class SeccompProgram:
    """A classic BPF program, made by libseccomp outside, that is loaded with the child's own pid filled in."""

    def __init__(self, code: bytes) -> None:
        self.buffer = ctypes.create_string_buffer(code, len(code))
        self.places = [i + 4 for i in range(0, len(code), 8) if code[i + 4 : i + 8] == struct.pack("<I", PID_PLACEHOLDER)]
        pointer = struct.pack("@HxxxxxxQ", len(code) // 8, ctypes.addressof(self.buffer))
        self.program = ctypes.create_string_buffer(pointer, len(pointer))

    def load(self) -> None:
        """Irrevocably filter this process (needs no_new_privs)."""
        for place in self.places:
            struct.pack_into("<I", self.buffer, place, os.getpid())
        prctl(PR_SET_SECCOMP, 2, ctypes.addressof(self.program))


def landlock_version() -> int:
    """Version of the kernel's Landlock interface; 0 when there is none."""
    return max(0, libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1))


def landlock_ruleset(readable: list[str], writable: list[str]) -> int:
    """Descriptor of a ruleset that lets a process read and write beneath these paths, and nothing elsewhere; -1 without Landlock."""
    version = landlock_version()
    if version == 0:
        return -1
    rights = _LANDLOCK_RIGHTS[max(v for v in _LANDLOCK_RIGHTS if v <= version)]
    attributes = struct.pack("=QQQ", rights, 3 if version >= 4 else 0, 3 if version >= 6 else 0)  # files, TCP, abstract sockets and signals
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = check(libc.syscall(_LANDLOCK_CREATE, attributes, ctypes.c_size_t(size), 0), "landlock_create_ruleset")
    for paths, wanted in ((readable, _READ), (writable, _READ | _WRITE_EXTRA | 0x4000)):
        for path in filter(os.path.exists, paths):
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
            allowed = wanted & rights if os.path.isdir(path) else wanted & rights & 0x4006
            check(libc.syscall(_LANDLOCK_ADD, ruleset, 1, struct.pack("=Qi", allowed, descriptor), 0), f"landlock_add_rule {path}")
            os.close(descriptor)
    return ruleset


def mount_scratch(path: str, megabytes: int) -> None:
    """Put a fresh, empty, bounded file system on a folder; whatever lay there is gone, however much it was."""
    libc.umount2(path.encode(), _MNT_DETACH)
    options = f"size={megabytes}m,nr_inodes=4096,mode=1777".encode()
    check(libc.mount(b"scratch", path.encode(), b"tmpfs", _SCRATCH_FLAGS, options), "mount")


def uncover(paths: list[str]) -> bool:
    """Let other users reach these paths where a folder above them is closed to others, in mounts of this process's own.

    The topmost closed folder is covered by an empty one, in which nothing but the paths can be seen. False where nothing may be mounted.
    """
    hidden = {path: top for path in map(os.path.realpath, paths) if os.path.exists(path) and (top := _closed_above(path))}
    if not hidden or libc.unshare(_NEW_MOUNTS) != 0 or libc.mount(b"none", b"/", None, _RECURSIVE | _PRIVATE, None) != 0:
        return not hidden
    kept = [(path, os.open(path, os.O_PATH | os.O_CLOEXEC)) for path in sorted(hidden)]
    for top in set(hidden.values()):
        check(libc.mount(b"none", top.encode(), b"tmpfs", 0, b"mode=755"), f"mount on {top}")
    for path, descriptor in kept:
        source = f"/proc/self/fd/{descriptor}"
        if os.path.isdir(source):
            os.makedirs(path, exist_ok=True)
        else:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_CLOEXEC, 0o644))
        check(libc.mount(source.encode(), path.encode(), None, _BIND | _RECURSIVE, None), f"mount on {path}")
        os.close(descriptor)
    return True


def _closed_above(path: str) -> str | None:
    """The topmost folder above a path that others may not enter."""
    folders = [path[:place] for place in range(1, len(path)) if path[place] == "/"]
    return next((folder for folder in folders if os.stat(folder).st_mode & 0o005 != 0o005), None)


class Limit(ctypes.Structure):
    """struct rlimit, soft equal to hard: it binds for good."""

    _fields_ = (("soft", ctypes.c_ulong), ("hard", ctypes.c_ulong))


def steps(settings: dict[str, Any], ruleset: int, processor: Limit) -> list[tuple[Any, tuple[Any, ...]]]:
    """What a child gives up, as calls of libc in their order; each returns less than 0 when it fails.

    One list, made beforehand, since whatever a child touches it has to copy. A real user: RLIMIT_NPROC and file permissions do not bind
    root. ruleset: Landlock's, -1 for none (it needs no_new_privs, which the zygote has set).
    """
    uid = settings["uid"]
    limits = [(number, Limit(value, value)) for number, value in settings["child_limits"]]
    calls: list[tuple[Any, tuple[Any, ...]]] = [(libc.setpgid, (0, 0))]
    calls += [(libc.setrlimit, (number, ctypes.byref(limit))) for number, limit in [*limits, (resource.RLIMIT_CPU, processor)]]
    if uid is not None:
        calls.append((libc.setresuid, (uid, uid, uid)))
    calls += [(libc.prctl, (PR_SET_PDEATHSIG, signal.SIGKILL, None, 0, 0)), (libc.prctl, (PR_SET_DUMPABLE, 0, None, 0, 0))]
    calls.append((libc.syscall, (_CAPSET[settings["machine"]], struct.pack("=Ii", 0x20080522, 0), bytes(24))))  # none at all
    if ruleset >= 0:
        calls.append((libc.syscall, (_LANDLOCK_RESTRICT, ruleset, 0)))
    return calls


def take(calls: list[tuple[Any, tuple[Any, ...]]]) -> None:
    """Make these calls. Raises OSError at the first that fails."""
    for function, arguments in calls:
        if function(*arguments) < 0:
            check(-1, f"{function.__name__}{arguments}")


def set_limits(limits: list[tuple[int, int]]) -> None:
    """(resource, value) pairs that bind from now on, for good: soft equals hard."""
    for number, value in limits:
        resource.setrlimit(number, (value, value))


def drop_groups(gid: int) -> None:
    """Keep no group but this one."""
    os.setgroups([])
    os.setresgid(gid, gid, gid)


def steady_heap() -> None:
    """Let malloc keep what is freed: giving it back and taking it again costs page faults. Does nothing where libc is not GNU's."""
    mallopt = getattr(libc, "mallopt", lambda option, value: 1)
    for option, value in ((_M_MMAP_THRESHOLD, 32 << 20), (_M_TRIM_THRESHOLD, 256 << 20)):
        mallopt(option, value)


def children() -> list[int]:
    """Pids of this thread's children, orphans that were given to it included; empty where the kernel does not tell."""
    try:
        with open("/proc/thread-self/children") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return []
