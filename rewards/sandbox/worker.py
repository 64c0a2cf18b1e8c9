"""The parent's handle of one zygote: start it, hand it units through shared memory, read what came back, end it."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import marshal
import mmap
import os
import platform
import resource
import secrets
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from typing import Any

from rewards.sandbox import layers as isolation
from rewards.sandbox.config import SandboxConfig, SandboxError
from rewards.sandbox.inside import wire
from rewards.sandbox.namespaces import FIRST_UID, UIDS

START_SECONDS = 120.0
IMPORT_SECONDS = 300.0  # beyond that, for packages that are imported beforehand
SIZE_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL  # reading what was cut off would kill us
_numbers = itertools.count()  # of this process's workers: no two have the same user
GRACE_SECONDS = 5.0  # beyond a unit's own deadlines, before the zygote itself counts as stuck


@dataclass
class Unit:
    """Programs that share a child. payload: what the caller needs back with the reply."""

    programs: list[tuple[str, str, int, tuple[int, ...] | None]]  # (code, entry, suite, positions to run or None for all)
    suites: list[tuple[str, ...]]
    strict: bool
    seconds_per_input: float
    seconds_per_program: float
    payload: Any
    ballast: bool = False  # shift the addresses of the program's objects
    key: bytes = b""
    deadline: float = 0.0  # on time.monotonic(): the watchdog's


@dataclass
class Reply:
    """What is known of a unit after its child ended. frames: (type, program, payload), authentic, in order."""

    unit: Unit
    end: int
    code: int
    program: int
    input: int
    confined: bool
    seconds: float
    frames: list[tuple[int, int, bytes]]


class Worker:
    """One zygote with its slots."""

    def __init__(self, config: SandboxConfig, layers: isolation.Layers, hash_seed: int) -> None:
        self.units: list[Unit | None] = [None] * wire.SLOTS
        self.order: list[int] = []  # slots in the order in which they were sent
        self.errors = os.memfd_create("errors", os.MFD_CLOEXEC)
        descriptors = [os.memfd_create("slot", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING) for _ in range(wire.SLOTS)]
        for descriptor in descriptors:
            os.ftruncate(descriptor, wire.SLOT_BYTES)
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, SIZE_SEALS)
        self.slots = [mmap.mmap(descriptor, wire.SLOT_BYTES) for descriptor in descriptors]
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self.process = isolation.start_zygote(
                layers,
                theirs.fileno(),
                env=isolation.environment(hash_seed, layers.offer),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self.errors,
                cwd="/",
                start_new_session=True,
            )
            with os.fdopen(os.memfd_create("settings", os.MFD_CLOEXEC), "w+") as file:  # with many packages, too much for a message
                json.dump(self._settings(config, layers), file)
                file.seek(0)
                socket.send_fds(self.control, [b"s"], [file.fileno(), *descriptors])
        except OSError as error:
            raise SandboxError(f"a sandbox worker does not start: {error}") from error
        finally:
            theirs.close()
            for descriptor in descriptors:
                os.close(descriptor)
        self.ready = False
        self.deadline = time.monotonic() + START_SECONDS + (IMPORT_SECONDS if layers.offer.wanted else 0.0)

    @staticmethod
    def _settings(config: SandboxConfig, layers: isolation.Layers) -> dict[str, Any]:
        uid = FIRST_UID + (os.getpid() * 1024 + next(_numbers)) % UIDS if layers.real_uid else None
        return {
            "seccomp": layers.seccomp.hex(),
            "uid": uid,
            "scratch": isolation.SCRATCH if layers.bwrap else "",
            "scratch_mb": config.scratch_mb,
            "own_pids": layers.bwrap is not None,
            "landlock": layers.landlock > 0,
            "readable": isolation.readable_paths(layers.offer),
            "machine": platform.machine(),
            "uncovered": [layers.offer.prefix, *layers.offer.paths] if uid is not None and layers.bwrap is None else [],
            "modules": layers.offer.modules,
            "records": layers.offer.records,
            "wanted": layers.offer.wanted,
            "offered": layers.offer.tops,
            "limits": isolation.resource_limits(config),
            "child_limits": isolation.child_limits(config, layers),
            "most_processor": isolation.within_our_own({resource.RLIMIT_CPU: 1 << 30})[0][1],
            "memory_bytes": config.memory_mb << 20,
            "address_space": (config.memory_mb << 20) + isolation.OVERHEAD_BYTES,
            "real_clock": config.clock == "real",
            "digits": config.significant_digits,
            "whole_floats": config.whole_floats,
            "output_bytes": config.output_kb << 10,
            "digest_over": config.digest_over,
        }

    def fileno(self) -> int:
        return self.control.fileno()

    def free_slots(self) -> int:
        return self.units.count(None) if self.ready else 0

    def send(self, unit: Unit) -> None:
        """Put a unit into a free slot. The slot's deadline runs from the moment at which its predecessors must be done."""
        slot = self.units.index(None)
        unit.key = secrets.token_bytes(wire.KEY_BYTES)
        ballast = 1 + secrets.randbelow(200) if unit.ballast else 0
        data = marshal.dumps({"key": unit.key, "programs": unit.programs, "suites": unit.suites, "ballast": ballast})
        assert wire.LENGTH.size + len(data) <= wire.REQUEST_BYTES, "a unit that does not fit its slot"
        area = self.slots[slot]
        area[: wire.LENGTH.size] = wire.LENGTH.pack(len(data))
        area[wire.LENGTH.size : wire.LENGTH.size + len(data)] = data
        processor = unit.seconds_per_program * len(unit.programs)
        before = max([time.monotonic(), *(u.deadline for u in self.units if u is not None)])
        unit.deadline = before + processor + GRACE_SECONDS
        self.units[slot] = unit
        self.order.append(slot)
        command = wire.COMMAND.pack(slot, unit.strict, unit.seconds_per_input, unit.seconds_per_program, processor)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # a dead zygote shows when its reply is read
            self.control.send(command)

    def receive(self) -> Reply | None:
        """The reply that is waiting; None after the zygote's first word. Raises SandboxError when the zygote is gone."""
        try:
            message = self.control.recv(256)
        except ConnectionResetError:
            message = b""
        if not message:
            raise SandboxError("a sandbox worker died: " + self.last_words())
        if message == b"ready":
            self.ready = True
            return None
        slot, end, code, program, which, confined, seconds = wire.REPLY.unpack(message)
        unit = self.units[slot]
        assert unit is not None and self.order and self.order[0] == slot, "a reply to a unit that was not sent"
        start = wire.REQUEST_BYTES + wire.PROGRESS_BYTES
        most = sum(2 + len(unit.suites[suite]) for _, _, suite, _ in unit.programs)
        with memoryview(self.slots[slot]) as whole, whole[start:] as results:
            frames = list(wire.read_frames(results, unit.key, most))
        self.slots[slot].madvise(mmap.MADV_REMOVE)  # the whole slot reads as zeros again
        self.units[slot] = None
        self.order.pop(0)
        return Reply(unit, end, code, program, which, bool(confined), seconds, frames)

    def outstanding(self) -> list[Unit]:
        """Units without a reply, in the order in which they were sent."""
        return [unit for slot in self.order if (unit := self.units[slot]) is not None]

    def overdue(self, now: float) -> bool:
        """True when the zygote missed the watchdog's deadline."""
        waiting = self.outstanding()
        return now > (waiting[0].deadline if waiting else self.deadline if not self.ready else now)

    def last_words(self) -> str:
        lines = os.pread(self.errors, 2000, max(0, os.fstat(self.errors).st_size - 2000)).decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "no message"

    def close(self) -> None:
        """End the zygote and everything below it. Harmless when that was done before."""
        if self.errors < 0:
            return
        self.control.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        for slot in self.slots:
            slot.close()
        os.close(self.errors)
        self.errors = -1
