"""The sandbox as its callers see it: programs in, executions out."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType

from rewards.records import Execution, Program
from rewards.sandbox import layers as isolation
from rewards.sandbox.config import SandboxConfig, SandboxError
from rewards.sandbox.jobs import both
from rewards.sandbox.pool import Pool
from rewards.sandbox.stream import Stream


class Sandbox:
    """Runs untrusted programs, each in a child process behind isolation layers (docs/security.md). A context manager: worker processes live
    as long as its block, and none of them is left after it.

    Args:
        config: Limits, isolation and workers. None: the defaults, one worker for each core.

    Attributes:
        config: The same.
        counts: What happened since the start: outcomes by kind, programs by lane, deaths of workers.

    Raises:
        SandboxError: With neither namespaces nor seccomp on this machine, unless `config.unsafe`; where `config.isolation` asks for
            bubblewrap and it does not work; where workers do not start.

    >>> with Sandbox(SandboxConfig(workers=1)) as sandbox:                                     # doctest: +SKIP
    ...     [execution] = sandbox.run([Program("def f(x):\\n    return x + 1", "f", ("[1]", "['a']"))])
    >>> execution.outcomes                                                                     # doctest: +SKIP
    (Outcome(VALUE, '2'), Outcome(EXCEPTION, 'TypeError'))
    """

    def __init__(self, config: SandboxConfig | None = None) -> None:
        self.config = config or SandboxConfig()
        self.layers = isolation.choose_layers(self.config)
        self.counts: Counter[str] = Counter()  # what happened since the start, for metrics
        self._pools: list[Pool] = []
        self._running = False

    def __enter__(self) -> Sandbox:
        seeds = self.config.hash_seeds if self.config.check_determinism else self.config.hash_seeds[:1]
        try:
            for seed in seeds:
                self._pools.append(Pool(self.config, self.layers, seed))
            for pool in self._pools:
                pool.wait_ready()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End all workers. Nothing of them is left when this returns."""
        for pool in self._pools:
            pool.close()
        self._pools = []

    def describe(self) -> str:
        """One line that says which layers are on."""
        return self.layers.describe()

    def run(self, programs: Iterable[Program], progress: Callable[[int], None] | None = None) -> Iterator[Execution]:
        """Executions of the programs, in input order, as they become ready.

        Leaving the iterator early discards what is under way. One run at a time.

        Args:
            programs: Any iterable, also an endless one: programs are drawn from it as workers get free.
            progress: Called with the number of programs finished so far.

        Yields:
            One execution for each program, with one outcome for each of its inputs. `Execution.missing` tells that the sandbox itself has
            lost it.

        Raises:
            ValueError: A program cannot be sent, since its inputs are too long.
            SandboxError: The sandbox is not open, already has a run under way, or cannot keep its workers alive.
        """
        if not self._pools:
            raise SandboxError("the sandbox is not open: use it as a context manager")
        if self._running:
            raise SandboxError("this sandbox already has a run under way")
        self._running = True
        try:
            if len(self._pools) == 1:
                stream = Stream(self._pools[0], programs).executions()
            else:
                first, second = itertools.tee(programs)
                pairs = zip(Stream(self._pools[0], first).executions(), Stream(self._pools[1], second).executions(), strict=True)
                stream = (both(a, b) for a, b in pairs)
            for number, execution in enumerate(stream, 1):
                self.counts.update(outcome.kind.value for outcome in execution.outcomes)
                if progress is not None:
                    progress(number)
                yield execution
        finally:
            self._running = False
            for pool in self._pools:
                self.counts.update(pool.counts)  # lanes, rechecks, worker deaths
                pool.counts.clear()
            for pool in self._pools:
                for worker in [w for w in pool.workers if w.outstanding()]:
                    pool.replace(worker)
