"""What a child gives up before it reads a program: limits, identity, capabilities, the file system, system calls.

Standard library and libc only (runs in the zygote, which has no site-packages). Every step fails loudly: a child that could not be confined
never runs a program.
"""

from __future__ import annotations

import ctypes
import os
import resource
import struct
from typing import Any

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 36, 38
PID_PLACEHOLDER = 0x5AFE5AFE  # stands in the seccomp program for the child's own pid
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_CAPSET = {"x86_64": 126, "aarch64": 91}

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.prctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_ulong]


def check(result: int, what: str) -> int:
    """The result of a libc call, or OSError."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def prctl(option: int, value: int, pointer: Any = None) -> None:
    check(libc.prctl(option, value, pointer, 0, 0), f"prctl {option}")


def map_shared(descriptor: int, size: int) -> tuple[int, memoryview]:
    """Address and view of a shared mapping that keeps no descriptor open."""
    address = libc.mmap(None, size, 3, 1, descriptor, 0)  # PROT_READ | PROT_WRITE, MAP_SHARED
    if address in (None, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), "mmap")
    return address, memoryview((ctypes.c_ubyte * size).from_address(address)).cast("B")


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


def drop_capabilities(machine: str) -> None:
    """Give up every capability of this process."""
    header = struct.pack("=Ii", 0x20080522, 0)
    check(libc.syscall(_CAPSET[machine], header, bytes(24)), "capset")


def set_limits(settings: dict[str, Any], processor: float) -> None:
    """Limits that bind from now on, for good: soft equals hard. processor: seconds, rounded up, a net under the zygote's deadlines."""
    for number, value in settings["rlimits"]:
        resource.setrlimit(number, (value, value))
    seconds = int(processor) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))


def drop_identity(uid: int) -> None:
    """Become a real user without rights: RLIMIT_NPROC and file permissions do not bind root."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
