"""Sandboxes on a Ray cluster behind the interface of one. Each node confines programs with the layers that it has, as a machine of its
own would; a sandbox or node that dies costs time, and no outcome (`remote.replicas`).
"""

from __future__ import annotations

import atexit
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from types import TracebackType

from remote.replicas import ClusterError, Replicas
from rewards.records import Execution, Program
from rewards.sandbox.config import RayExecutionConfig, SandboxConfig, SandboxError
from rewards.sandbox.sandbox import Sandbox

TASK_PROGRAMS = 64  # in one task: what a dead replica costs

Result = tuple[list[Execution], Counter[str]]


def make_worker(config: SandboxConfig) -> Callable[[list[Program]], Result]:
    """Runs on a node: a sandbox of its own, open until the process ends."""
    sandbox = Sandbox(config).__enter__()
    atexit.register(sandbox.close)

    def execute(programs: list[Program]) -> Result:
        sandbox.counts.clear()
        executions = list(sandbox.run(programs))
        return executions, Counter(sandbox.counts)

    return execute


class RaySandbox(Sandbox):
    """A sandbox whose workers are on a cluster. Raises SandboxError when the cluster fails."""

    def __init__(self, config: SandboxConfig, execution: RayExecutionConfig) -> None:
        self.config, self.execution = config, execution
        self.counts: Counter[str] = Counter()
        self._replicas: Replicas | None = None

    def __enter__(self) -> RaySandbox:
        there = self.config.model_copy(update={"workers": max(1, int(self.execution.cpus))})
        try:
            self._replicas = Replicas(make_worker, (there,), self.execution.replicas, self.execution.cpus, address=self.execution.address)
        except ClusterError as error:
            raise SandboxError(str(error)) from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        if self._replicas is not None:
            self._replicas.close()
            self._replicas = None

    def describe(self) -> str:
        return f"{self.execution.replicas} sandboxes on a Ray cluster, each confined with the layers of its node"

    def run(self, programs: Iterable[Program], progress: Callable[[int], None] | None = None) -> Iterator[Execution]:
        """See `Sandbox.run`."""
        if self._replicas is None:
            raise SandboxError("the sandbox is not open: use it as a context manager")
        finished = 0
        try:
            source = iter(programs)
            batches = iter(lambda: list(islice(source, TASK_PROGRAMS)), [])
            for executions, counts in self._replicas.map(batches):
                self.counts.update(counts)
                for execution in executions:
                    finished += 1
                    if progress is not None:
                        progress(finished)
                    yield execution
        except ClusterError as error:
            raise SandboxError(str(error)) from error
