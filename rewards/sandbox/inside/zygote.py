"""The zygote: a small process that forks a confined child per unit, keeps its deadlines, and never sees a program.

It maps the slots without reading them: requests are read, and zeroed, by the child alone, and results by the parent. Of the shared memory
it reads two progress words. It talks to the parent over one socket; its death, or the parent's, ends everything below it.

Started by `worker.py` as `python -s -S -B -P -c BOOTSTRAP`; standard library only.
"""

from __future__ import annotations

import _socket  # the C module alone: the other brings selectors and 700 names of constants
import array
import contextlib
import gc
import json
import os
import select
import signal
import sys
import time
import warnings
from typing import Any

from rewards.sandbox.inside import child, clock, confine, warm, wire

RECURSION_LIMIT = 1000
GC_THRESHOLDS = (5_000, 20, 50)  # short-lived children: collecting early only copies pages
CLOCK_FACTOR = 4  # a call may take so many times its processor time by the clock (sleep, or a busy machine)
_processor_time, _now = time.clock_gettime, time.monotonic  # programs get another clock


class Slot:
    """One mapped slot: request, progress words, results."""

    def __init__(self, descriptor: int) -> None:
        self.address, self.view = confine.map_shared(descriptor, wire.SLOT_BYTES)
        os.close(descriptor)
        start = wire.REQUEST_BYTES
        self.request = self.view[:start]
        self.progress = self.view[start : start + 8].cast("I")
        self.results = self.view[start + wire.PROGRESS_BYTES :]

    def take_request(self) -> bytes:
        """The request, wiped from shared memory."""
        (length,) = wire.LENGTH.unpack(self.request[: wire.LENGTH.size])
        end = wire.LENGTH.size + length
        data = bytes(self.request[wire.LENGTH.size : end])
        self.request[:end] = bytes(end)
        return data


class Zygote:
    """Forks, watches and reaps children, one at a time."""

    def __init__(self, control: _socket.socket, slots: list[Slot], settings: dict[str, Any]) -> None:
        self.control, self.slots, self.settings, self.pid = control, slots, settings, os.getpid()
        self.confined_read, self.confined_write = os.pipe2(os.O_NONBLOCK)
        code = bytes.fromhex(settings["seccomp"])
        self.seccomp = confine.SeccompProgram(code) if code else None
        self.poller = select.poll()
        self.poller.register(control.fileno(), 0)  # reports only that the parent is gone
        self.ruleset, self.processor = -1, confine.Limit()
        self.runner: child.Runner
        self.filling: list[bytes] = []
        self.fresh_scratch()

    def fresh_scratch(self) -> None:
        """An empty scratch folder, and a ruleset that knows it."""
        if self.settings["scratch"]:
            os.chdir("/")
            confine.mount_scratch(self.settings["scratch"], self.settings["scratch_mb"])
            os.chdir(self.settings["scratch"])
            self.scratch_fresh = self.scratch_state()
        if self.ruleset >= 0:
            os.close(self.ruleset)
        writable = [self.settings["scratch"]] if self.settings["scratch"] else []
        self.ruleset = confine.landlock_ruleset(self.settings["readable"], writable) if self.settings["landlock"] else -1
        self.steps = confine.steps(self.settings, self.ruleset, self.processor)

    def scratch_state(self) -> tuple[int, ...]:
        """What changes with whatever is done in the scratch folder, or to it."""
        status = os.stat(self.settings["scratch"])
        return status.st_size, status.st_nlink, status.st_atime_ns, status.st_mtime_ns, status.st_ctime_ns, status.st_mode

    def serve(self) -> None:
        """Run units until the parent hangs up."""
        while message := self.control.recv(wire.COMMAND.size):
            slot, strict, per_input, per_program, processor = wire.COMMAND.unpack(message)
            started = _now()
            pid = os.fork()
            if pid == 0:
                self.be_child(slot, bool(strict), processor)
            end = self.watch(pid, self.slots[slot].progress, per_input, per_program, processor)
            self.clean_up(pid)
            self.control.send(wire.REPLY.pack(slot, *end, self.was_confined(), _now() - started))

    def clean_up(self, pid: int) -> None:
        """Leave nothing of the last child to the next: no process, no file."""
        with contextlib.suppress(ChildProcessError):  # orphans become ours: without a child of ours, nothing is left
            while os.waitpid(-1, os.WNOHANG)[0] or self.kill_rest(pid):
                pass
        if self.settings["scratch"] and self.scratch_state() != self.scratch_fresh:
            self.fresh_scratch()

    def kill_rest(self, pid: int) -> bool:
        """Kill what outlived its child, where no filter refused to fork. False when there is nobody whom we know of."""
        own_pids: bool = self.settings["own_pids"]
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(-1 if own_pids else -pid, signal.SIGKILL)  # everything in this pid namespace but its first two processes
        if own_pids:
            return True
        left = confine.children()  # those that left the group
        for orphan in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(orphan, signal.SIGKILL)
        return bool(left)

    def be_child(self, slot: int, strict: bool, processor: float) -> None:
        """Confine this process, run the unit, and end without any clean-up that a program could hook."""
        try:
            for other in self.slots:
                if other is not self.slots[slot]:
                    confine.libc.munmap(other.address, wire.SLOT_BYTES)
            self.confine(processor)
            os.write(self.confined_write, b"c")
            confine.close_from(3)
        except BaseException as error:
            os.write(2, f"sandbox child: {error}\n".encode())
            os._exit(1)
        mine = self.slots[slot]
        request = child._loads(mine.take_request())
        self.runner.run(request, mine.results, mine.progress, strict)
        child._exit(0)

    def confine(self, processor: float) -> None:
        """What the zygote, which has to fork, mount and kill, could not give up for its children."""
        null = os.open("/dev/null", os.O_RDWR)  # of this child's own: flags and locks of an open file outlive who set them
        seconds = min(int(processor) + 1, self.settings["most_processor"])  # rounded up: a net under the zygote's deadlines
        self.processor.soft = self.processor.hard = seconds
        confine.take(self.steps)
        if os.getppid() != self.pid:  # the zygote died before the kernel was told to end this child with it
            os._exit(1)
        if self.seccomp is not None:
            self.seccomp.load()
        for number in (0, 1, 2):
            os.dup2(null, number)

    def was_confined(self) -> int:
        """1 when the last child reported, before it read its request, that it is confined."""
        try:
            return len(os.read(self.confined_read, 1))
        except BlockingIOError:
            return 0

    def watch(self, pid: int, progress: memoryview, per_input: float, per_program: float, per_unit: float) -> tuple[int, int, int, int]:
        """How the child ended: (end, exit code or signal, program, input). Kills it at its deadline.

        A call is timed by the processor time of the child, so that a busy machine does not turn answers into timeouts, but gets at most
        CLOCK_FACTOR times as much by the clock. A hostile program may write the progress words: per_unit binds whatever they say.
        """
        descriptor = os.pidfd_open(pid)
        self.poller.register(descriptor, select.POLLIN)
        interval = max(1, int(min(per_input / 4, 0.1) * 1000))
        clock_id = (~pid << 3) | 2  # CPUCLOCK_SCHED of that process
        where, input_start, input_processor = (-1, -1), 0.0, 0.0
        start = program_start = _now()
        killed = None
        while not (events := self.poller.poll(interval)):
            now, processor = _now(), _processor_time(clock_id)
            seen = (progress[0], progress[1])
            if seen[0] != where[0]:
                program_start = now
            if seen != where:
                where, input_start, input_processor = seen, now, processor
            late = processor - input_processor >= per_input or now - input_start >= CLOCK_FACTOR * per_input
            if late or now - program_start >= per_program or now - start >= per_unit:
                os.kill(pid, signal.SIGKILL)
                killed = wire.INPUT_TIMEOUT if late else wire.PROGRAM_TIMEOUT
                break
        self.poller.unregister(descriptor)
        os.close(descriptor)
        if killed is None and all(number != descriptor for number, _ in events):  # the parent is gone
            os.kill(pid, signal.SIGKILL)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        if killed is not None:
            return killed, 0, *where
        where = (progress[0], progress[1])
        if os.WIFSIGNALED(status):
            return wire.SIGNALLED, os.WTERMSIG(status), *where
        return wire.EXITED, os.WEXITSTATUS(status), *where


def import_packages(zygote: Zygote, settings: dict[str, Any]) -> int:
    """Offer packages to programs (after the clock is set: what they take of chance is the same each time). Returns their address space."""
    from rewards.outcomes import arrays as array_outcomes
    from rewards.sandbox.inside import offered

    try:
        taken = offered.offer(settings["modules"], settings["records"], settings["wanted"])
    except offered.ImportFails as error:
        sys.exit(str(error))  # the worker's last words
    if "numpy" in sys.modules:
        array_outcomes.register_numpy(sys.modules["numpy"])
    if settings["scratch"]:
        zygote.fresh_scratch()
    return taken


def main(control_descriptor: int) -> None:
    """Take settings and slots from the parent, prepare, say so, serve."""
    control = _socket.socket(fileno=os.dup(control_descriptor))  # the lowest free number
    confine.close_from(control.fileno() + 1)  # whatever number the parent gave it, and what bubblewrap left open
    _, ancillary, _, _ = control.recvmsg(1, _socket.CMSG_SPACE(4 * (1 + wire.SLOTS)))
    described, *descriptors = array.array("i", b"".join(data for _, _, data in ancillary))
    with open(described, "rb") as file:
        settings = json.load(file)
    del os.environ["LD_BIND_NOW"]
    warnings.simplefilter("ignore")
    confine.prctl(confine.PR_SET_DUMPABLE, 0)
    confine.prctl(confine.PR_SET_PDEATHSIG, signal.SIGKILL)
    confine.prctl(confine.PR_SET_CHILD_SUBREAPER, 1)
    confine.prctl(confine.PR_SET_NO_NEW_PRIVS, 1)
    if settings["uid"] is not None:
        confine.drop_groups(settings["uid"])
    confine.set_limits(settings["limits"])
    confine.steady_heap()
    reachable = confine.uncover(settings["uncovered"])
    warm.preload(more=not reachable)
    warm.remember_library()
    zygote = Zygote(control, [Slot(d) for d in descriptors], settings)
    clock.install(int(os.environ["PYTHONHASHSEED"]), settings["real_clock"])  # a second run differs in all three: hash order, clock, chance
    sys.setrecursionlimit(RECURSION_LIMIT)
    imported = import_packages(zygote, settings) if settings["wanted"] else 0
    confine.limit_address_space(settings["address_space"] + imported)
    warm.touch_common_pages()
    zygote.runner = child.Runner(settings)
    for name in [n for n in sys.modules if n == "rewards" or n.startswith("rewards.")]:
        del sys.modules[name]
    gc.collect()
    zygote.filling = warm.fill_pools()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    control.send(b"ready")
    zygote.serve()
