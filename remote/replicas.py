"""Workers on a Ray cluster, and the only importer of Ray (`pip install 'ucoder[ray]'`).

Tasks are handed to replicas one at a time; one whose replica or node dies goes to another; every task's result is handed out once, in
the order of the tasks. So a node that is killed costs time, and nothing else.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

try:
    import ray
    from ray.exceptions import RayActorError, RayTaskError
except ImportError as error:
    raise ImportError("the ray backends need Ray: pip install 'ucoder[ray]'") from error

TRIES = 3  # replicas that a task may take down before it is given up
WAIT_SECONDS = 0.5


class ClusterError(RuntimeError):
    """The cluster does not do its work."""


@ray.remote
class _Replica:
    """Holds what `make` makes, a callable, and calls it. Made in its own process, on a node of Ray's choice."""

    def __init__(self, make: Callable[..., Callable[[Any], Any]], arguments: tuple[Any, ...]) -> None:
        self.work = make(*arguments)

    def ready(self) -> str:
        return ray.get_runtime_context().get_node_id()

    def do(self, task: Any) -> Any:
        return self.work(task)


def connect(address: str | None) -> None:
    """Join the cluster at `address` (None: as Ray finds it, else one of this machine's own), once in a process. Raises ClusterError."""
    if not ray.is_initialized():
        path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), *sys.path]))
        try:
            ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False, runtime_env={"env_vars": {"PYTHONPATH": path}})
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ClusterError(f"no Ray cluster at {address or 'this machine'}: {error}") from error


@dataclass
class _Batch:
    """The tasks of one `map` call."""

    tasks: Iterator[Any]
    again: deque[tuple[int, Any]] = field(default_factory=deque)  # lost with a replica
    tries: dict[int, int] = field(default_factory=dict)
    results: dict[int, Any] = field(default_factory=dict)  # done, and not yet their turn
    drawn: int = 0
    handed: int = 0
    exhausted: bool = False

    def next(self) -> tuple[int, Any] | None:
        """The next task with its number; None when there is none to give."""
        if self.again:
            return self.again.popleft()
        for task in self.tasks:
            self.drawn += 1
            return self.drawn - 1, task
        self.exhausted = True
        return None


class Replicas:
    """`count` replicas of a worker. make(*arguments) gives the worker, task -> result; both travel to the nodes.

    start_seconds: how long the pool may stay without one live replica before it gives up.
    """

    def __init__(
        self,
        make: Callable[..., Callable[[Any], Any]],
        arguments: tuple[Any, ...],
        count: int,
        cpus: float,
        gpus: float = 0.0,
        address: str | None = None,
        start_seconds: float = 600.0,
    ) -> None:
        connect(address)
        self.start_seconds = start_seconds
        self.deaths = 0
        remote: Any = _Replica
        self._new = lambda: remote.options(num_cpus=cpus, num_gpus=gpus, scheduling_strategy="SPREAD").remote(make, arguments)
        self.starting: dict[Any, Any] = {}  # reference to `ready` -> replica
        self.idle: list[Any] = []
        self.busy: dict[Any, tuple[Any, int, Any]] = {}  # reference to a result -> replica, number, task
        self.alive_at = time.monotonic()
        for _ in range(count):
            self._start()

    def map(self, tasks: Iterable[Any]) -> Iterator[Any]:
        """Results in the order of the tasks. Raises ClusterError, or what the worker raised."""
        batch = _Batch(iter(tasks))
        try:
            while True:
                while batch.handed in batch.results:
                    yield batch.results.pop(batch.handed)
                    batch.handed += 1
                while self.idle and (task := batch.next()) is not None:
                    replica = self.idle.pop()
                    self.busy[replica.do.remote(task[1])] = (replica, *task)
                if batch.exhausted and not self.busy and not batch.again and not batch.results:
                    return
                self._listen(batch)
        finally:
            for replica, _, _ in self.busy.values():  # the caller left early: what is under way belongs to nobody
                ray.kill(replica)
                self._start()
            self.busy.clear()

    def close(self) -> None:
        """End all replicas."""
        for replica in [*self.idle, *self.starting.values(), *(replica for replica, _, _ in self.busy.values())]:
            ray.kill(replica)
        self.idle, self.starting, self.busy = [], {}, {}

    def _start(self) -> None:
        replica = self._new()
        self.starting[replica.ready.remote()] = replica

    def _listen(self, batch: _Batch) -> None:
        """Take in what has happened: replicas that are ready, results, deaths."""
        waiting = [*self.busy, *self.starting]
        done, _ = ray.wait(waiting, num_returns=1, timeout=WAIT_SECONDS)
        for reference in done:
            if reference in self.starting:
                self._greet(reference)
            else:
                self._collect(reference, batch)
        if self.busy or self.idle:
            self.alive_at = time.monotonic()
        elif time.monotonic() - self.alive_at > self.start_seconds:
            raise ClusterError(f"not one worker could be started on the Ray cluster in {self.start_seconds:.0f} s: see `ray status`")

    def _greet(self, reference: Any) -> None:
        replica = self.starting.pop(reference)
        try:
            ray.get(reference)
        except RayActorError as error:
            self.deaths += 1
            cause = getattr(error, "cause", None) or error
            if "creation task" in str(error) or isinstance(cause, RayTaskError):
                raise ClusterError(f"a worker on the Ray cluster does not start: {str(error).strip().splitlines()[-1]}") from error
            self._start()
        else:
            self.idle.append(replica)

    def _collect(self, reference: Any, batch: _Batch) -> None:
        replica, number, task = self.busy.pop(reference)
        try:
            batch.results[number] = ray.get(reference)
        except RayActorError as error:
            self.deaths += 1
            batch.tries[number] = batch.tries.get(number, 0) + 1
            if batch.tries[number] >= TRIES:
                raise ClusterError(f"task {number} has taken {TRIES} workers of the Ray cluster down: {error}") from error
            batch.again.append((number, task))
            self._start()
        except RayTaskError as error:
            self.idle.append(replica)
            raise error.as_instanceof_cause() from None
        else:
            self.idle.append(replica)
