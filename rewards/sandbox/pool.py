"""Worker processes under one hash seed: who is busy, who has died, and what was lost with them."""

from __future__ import annotations

import logging
import select
import time
from collections import Counter

from rewards.records import Program
from rewards.sandbox import layers as isolation
from rewards.sandbox.cache import ExecutionCache
from rewards.sandbox.config import SandboxConfig, SandboxError
from rewards.sandbox.worker import Reply, Unit, Worker

logger = logging.getLogger(__name__)
MAX_STARTS = 3  # consecutive failures to start a worker before giving up


class Pool:
    """Workers under one hash seed."""

    def __init__(self, config: SandboxConfig, layers: isolation.Layers, hash_seed: int) -> None:
        self.config, self.layers, self.hash_seed = config, layers, hash_seed
        self.counts: Counter[str] = Counter()  # programs by lane, worker deaths, outcomes by kind
        self.workers = [self._start() for _ in range(config.workers)]
        self.failed_starts = 0
        self.fast_lane = config.fast_lane
        self.packages = tuple(f"{word} {top}" for top in layers.offer.tops for word in ("import", "from"))  # found in the strict lane alone
        self.cache = ExecutionCache(config.cache_dir, config, layers.offer, hash_seed) if config.cache_dir is not None else None

    def _start(self) -> Worker:
        return Worker(self.config, self.layers, self.hash_seed)

    def wait_ready(self) -> None:
        """Block until every worker answers."""
        while any(not worker.ready for worker in self.workers):
            self.collect(0.1)

    def replace(self, worker: Worker) -> list[Unit]:
        """End a worker, start another in its place, and return the units that the first had not answered.

        Raises SandboxError when workers do not start.
        """
        owed = worker.outstanding()
        words = worker.last_words()
        worker.close()
        self.counts["worker_deaths"] += 1
        self.failed_starts = self.failed_starts + 1 if not worker.ready else 0
        if self.failed_starts >= MAX_STARTS * len(self.workers):
            raise SandboxError(f"sandbox workers do not start: {words}")
        self.workers[self.workers.index(worker)] = self._start()
        return owed

    def collect(self, seconds: float) -> tuple[list[Reply], list[Unit]]:
        """Wait for replies at most so long: (replies, units lost with a worker that died or missed its deadline)."""
        replies: list[Reply] = []
        lost: list[Unit] = []
        waiting = {worker.fileno(): worker for worker in self.workers}
        poller = select.poll()  # select.select knows no descriptor from 1,024 on, and the process may have as many
        for descriptor in waiting:
            poller.register(descriptor, select.POLLIN)
        for descriptor, _ in poller.poll(1000 * seconds):
            worker = waiting[descriptor]
            try:
                reply = worker.receive()
            except SandboxError:
                lost += self.replace(worker)
                continue
            if reply is not None:
                replies.append(reply)
        now = time.monotonic()
        for worker in [w for w in self.workers if w.overdue(now)]:
            lost += self.replace(worker)
        return replies, lost

    def close_fast_lane(self, program: Program) -> None:
        """The two lanes disagreed: from now on every program gets a child of its own."""
        self.counts["lane_disagreements"] += 1
        self.fast_lane = False
        logger.error("sandbox: the fast lane is closed, since the strict lane saw something else of this program:\n%s", program.code[:2000])

    def close(self) -> None:
        for worker in self.workers:
            worker.close()
        if self.cache is not None:
            self.cache.close()
