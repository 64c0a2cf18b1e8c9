"""The ranks of a run (one process a device, started by `accelerate launch`): their numbers, what the first alone does, and which are alive.

Every rank samples, executes, judges, reads hidden states and trains its share. Rank 0 alone opens the run folder, writes the files of
stages and rounds, grades benchmarks in its sandbox, fits the probe, logs, and writes reports. The others wait for its files, never in
a collective.

Every rank beats in the launcher's store and watches the others there. One that dies, fails or stays silent ends the run within a
minute, by name, also when the rest is blocked in a collective (which would otherwise wait for hours).
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Protocol

import torch
from accelerate import PartialState

BEAT_SECONDS = 3.0
PATIENCE_SECONDS = 40.0  # of silence, after which a rank counts as dead
GRACE_SECONDS = 10.0  # for a clean end, once another rank is known to be lost
COLLECTIVE_HOURS = 2  # a deadline for collectives; the dead are noticed much sooner
EXIT_LOST = 70  # exit status of a rank that ended because another was lost


class RankError(RuntimeError):
    """Another rank of the run is lost."""


class Store(Protocol):
    """What is used of torch's TCPStore."""

    def set(self, key: str, value: str) -> None: ...
    def check(self, keys: list[str]) -> bool: ...
    def get(self, key: str) -> bytes: ...


def distributed_state() -> PartialState:
    """accelerate's state, made here alone: the backend that this machine and the launch config call for, with a deadline."""
    timeout = timedelta(hours=COLLECTIVE_HOURS)
    if torch.cuda.is_available():
        return PartialState(timeout=timeout)
    if deepspeed_launched():  # accelerate leaves DeepSpeed out when it is told that there is no GPU
        return PartialState(backend="gloo", timeout=timeout)
    return PartialState(cpu=True, timeout=timeout)


def deepspeed_launched() -> bool:
    return os.environ.get("ACCELERATE_USE_DEEPSPEED", "false").lower() == "true"


class Ranks:
    """This rank and the others. `start` it once the run is open, `close` it at the end.

    on_lost: called when another rank is lost and this one has not ended by itself in time; ends the process.
    """

    def __init__(
        self,
        number: int,
        count: int,
        local_count: int = 1,
        store: Store | None = None,
        beat: float = BEAT_SECONDS,
        patience: float = PATIENCE_SECONDS,
        grace: float = GRACE_SECONDS,
        on_lost: Callable[[str], None] | None = None,
    ) -> None:
        self.number, self.count, self.local_count = number, count, local_count
        self.store, self.beat, self.patience, self.grace = store, beat, patience, grace
        self.on_lost = on_lost or _end
        self.stage = "starting"  # what this rank is at, for the others to name
        self.lost: str | None = None  # which rank is lost, and how
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @classmethod
    def of(cls, state: PartialState) -> Ranks:
        """The ranks of a launched process; alone, there is nothing to watch."""
        count = state.num_processes
        if count == 1:
            return cls(0, 1)
        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = torch.distributed.TCPStore(address, port, is_master=False, timeout=timedelta(seconds=PATIENCE_SECONDS))
        return cls(state.process_index, count, int(os.environ.get("LOCAL_WORLD_SIZE", count)), store)

    @property
    def main(self) -> bool:
        return self.number == 0

    def start(self) -> None:
        """Begin to beat and to watch."""
        if self.store is not None:
            self._say("beat", 0)
            self._thread = threading.Thread(target=self._watch, daemon=True, name="ranks")
            self._thread.start()

    def at(self, stage: str) -> None:
        """Note what this rank is doing."""
        self.stage = stage

    def check(self) -> None:
        """Raises RankError when another rank is lost."""
        if self.lost is not None:
            raise RankError(self.lost)

    def fail(self, error: BaseException) -> None:
        """Tell the others that this rank fails, and why, so that they need not wait for its silence."""
        self.close()  # a further heartbeat would overwrite the message
        if self.store is not None and self.lost is None:
            with contextlib.suppress(RuntimeError):
                text = str(error).strip().splitlines()
                self._say("failed", f"{type(error).__name__}: {text[0] if text else ''}")

    def close(self) -> None:
        """Stop watching. A rank that ends normally says so: the others do not take it for dead."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def finish(self) -> None:
        """The end of a run that went well."""
        self.close()
        if self.store is not None:
            with contextlib.suppress(RuntimeError):  # rank 0 may have taken the store along
                self._say("done", "")

    def _say(self, kind: str, value: Any) -> None:
        assert self.store is not None
        content = {"kind": kind, "value": value, "stage": self.stage, "host": socket.gethostname(), "pid": os.getpid()}
        self.store.set(f"ucoder/rank/{self.number}", json.dumps(content))

    def _watch(self) -> None:
        others = [r for r in range(self.count) if r != self.number]
        heard = {r: time.monotonic() for r in others}
        last: dict[int, dict[str, Any]] = {}
        beats, woke = 0, time.monotonic()
        while not self._stop.wait(self.beat):
            beats, slept, woke = beats + 1, time.monotonic() - woke, time.monotonic()
            for r in others:  # while this process itself was paused, it could hear nobody
                heard[r] += max(0.0, slept - 2 * self.beat)
            try:
                self._say("beat", beats)
                for r in others:
                    self._listen(r, heard, last)
            except RuntimeError:  # torch's DistStoreError is one
                self.lost = "the store of the ranks is gone: the launcher, or the machine of rank 0, has died"
            if self.lost is not None:
                if not self._stop.wait(self.grace):
                    self.on_lost(self.lost)
                return

    def _listen(self, r: int, heard: dict[int, float], last: dict[int, dict[str, Any]]) -> None:
        """Look at what rank r said last."""
        assert self.store is not None
        key = f"ucoder/rank/{r}"
        said = json.loads(self.store.get(key)) if self.store.check([key]) else None
        if said != last.get(r) and said is not None:
            last[r], heard[r] = said, time.monotonic()
        who = f"rank {r}" + (f" (host {said['host']}, pid {said['pid']})" if said else "")
        if said is not None and said["kind"] == "failed":
            self.lost = f"{who} failed in {said['stage']}: {said['value']}"
        elif (said is None or said["kind"] != "done") and time.monotonic() - heard[r] > self.patience:
            where = f" in {said['stage']}" if said else ""
            self.lost = f"{who} has died{where}: nothing was heard of it for {self.patience:.0f} s"


def _end(lost: str) -> None:
    """End this process although its main thread may be blocked in a collective."""
    print(f"the run stopped: {lost}\nwhat is finished is kept; the same command goes on from there", file=sys.stderr, flush=True)
    os._exit(EXIT_LOST)
