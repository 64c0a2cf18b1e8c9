"""The sandbox as its callers see it: programs in, executions out, in order, streamed, with back-pressure.

One thread, no queue of its own beyond a bounded window: programs are drawn from the caller's iterable as workers get free. The parent
decides every verdict; a child's death, silence or garbage turns into the outcome of the input that it was at, never into another program's.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType

from probing.records import STDIN
from rewards.outcomes.typed import Canonicaliser
from rewards.programs.stdin import runnable
from rewards.records import Execution, Kind, Outcome, Program
from rewards.sandbox import layers as isolation
from rewards.sandbox.config import SandboxConfig, SandboxError
from rewards.sandbox.inside import wire
from rewards.sandbox.jobs import Job, both, differ, settle
from rewards.sandbox.pool import Pool
from rewards.sandbox.worker import Reply, Unit

WINDOW = 4096  # programs that may be under way or waiting for their turn to be handed out
LEAST_BATCH = 8  # quick programs in a shared child, while there are so many: below, its fork costs more than waiting for it
WORTH_A_FORK = 0.02  # seconds of work beside which a fork costs little: slow programs spread over the workers in smaller batches


class Stream:
    """One pass over an iterable of programs."""

    def __init__(self, pool: Pool, programs: Iterable[Program]) -> None:
        self.pool, self.config, self.source = pool, pool.config, iter(programs)
        self.window: deque[Job] = deque()  # drawn and not yet handed out, in input order
        self.fast: deque[Job] = deque()
        self.strict: deque[Job] = deque()
        self.known: dict[Program, Job] = {}  # recent programs: an identical one is not run again
        self.exhausted = False
        self.least_batch = LEAST_BATCH
        self.started = time.monotonic()

    def executions(self) -> Iterator[Execution]:
        """Executions in input order."""
        while True:
            self.draw()
            self.dispatch()
            while self.window and self.window[0].done:
                yield self.hand_out(self.window.popleft())
                self.draw()
                self.dispatch()
            if not self.window:
                if self.exhausted:
                    return
                continue
            self.absorb(*self.pool.collect(0.2))
            if self.config.seconds_per_run is not None and time.monotonic() - self.started > self.config.seconds_per_run:
                self.give_up()

    def hand_out(self, job: Job) -> Execution:
        """The execution of a finished job, which the disk cache keeps."""
        execution = job.execution()
        if self.pool.cache is not None and not job.recalled:
            self.pool.cache.put(job.program, execution)
        return execution

    def draw(self) -> None:
        """Take programs from the caller while workers could use them and the window has room."""
        wanted = 2 * self.config.fast_batch * self.config.workers
        while not self.exhausted and len(self.window) < WINDOW and len(self.fast) + len(self.strict) < wanted:
            program = next(self.source, None)
            if program is None:
                self.exhausted = True
                return
            if program.entry == STDIN:
                program = runnable(program)
            job = self.known.get(program)
            if job is None:
                job = self.new_job(program)
            self.window.append(job)

    def new_job(self, program: Program) -> Job:
        """A job for a program that this run does not know yet; done at once if the cache knows it."""
        if len(self.known) >= WINDOW:
            self.known.clear()
        job = self.known[program] = Job(program, self.config)
        if not job.done and self.pool.cache is not None and (execution := self.pool.cache.get(program)) is not None:
            job.recall(execution)
            self.pool.counts["cached"] += 1
        if not job.done:
            job.fast = job.fast and not any(words in program.code for words in self.pool.packages)
            lane = "fast" if job.fast and self.pool.fast_lane else "strict"
            self.pool.counts[lane] += 1
            (self.fast if lane == "fast" else self.strict).append(job)
        return job

    def dispatch(self) -> None:
        """Fill the free slots, first those of idle workers."""
        for level in range(wire.SLOTS, 0, -1):
            for worker in self.pool.workers:
                if worker.free_slots() >= level and (self.fast or self.strict):
                    worker.send(self.next_unit())

    def next_unit(self) -> Unit:
        """One program of the strict lane, else a batch of the fast lane."""
        if self.strict:
            return self.unit([self.strict.popleft()], strict=True)
        size = min(self.config.fast_batch, max(self.least_batch, -(-len(self.fast) // (2 * self.config.workers))))
        jobs, room = [self.fast.popleft()], wire.REQUEST_BYTES - wire.LENGTH.size
        while self.fast and len(jobs) < size and (room := room - jobs[-1].request_bytes) >= self.fast[0].request_bytes:
            jobs.append(self.fast.popleft())
        return self.unit(jobs, strict=False)

    def unit(self, jobs: list[Job], strict: bool) -> Unit:
        """The jobs as one unit; equal suites of inputs are sent once."""
        suites: dict[tuple[str, ...], int] = {}
        programs = [(job.program.code, job.program.entry, suites.setdefault(job.program.inputs, len(suites)), job.begin()) for job in jobs]
        per_program = jobs[0].seconds_left() if strict else self.config.seconds_per_program
        per_input = self.config.seconds_per_input if strict else self.config.fast_seconds
        ballast = strict and jobs[0].strict_outcomes is not None
        return Unit(programs, list(suites), strict, per_input, per_program, jobs, ballast)

    def absorb(self, replies: list[Reply], lost: list[Unit]) -> None:
        """Turn replies into outcomes and send what is unfinished round again."""
        for reply in replies:
            jobs: list[Job] = reply.unit.payload
            if not reply.confined:
                self.lose(jobs)
                continue
            if not reply.unit.strict:
                self.least_batch = max(1, min(LEAST_BATCH, int(WORTH_A_FORK * len(jobs) / max(reply.seconds, 1e-6))))
            for job in settle(jobs, reply):
                stays = job.fast and self.pool.fast_lane
                self.pool.counts["moved"] += not stays and not reply.unit.strict and job.fast_outcomes is None
                (self.fast if stays else self.strict).appendleft(job)
            for job in jobs:
                if job.done and job.fast_outcomes is not None and reply.unit.strict:
                    self.compare_lanes(job)
        for unit in lost:
            self.lose(unit.payload)

    def compare_lanes(self, job: Job) -> None:
        """After a recheck: equal; or different each time, as when addresses are printed; or the fast lane must be closed."""
        assert job.fast_outcomes is not None
        if job.strict_outcomes is None:
            self.pool.counts["rechecked"] += 1
            if differ(job.fast_outcomes, job.outcomes):
                job.ask_again()
                self.strict.appendleft(job)
            return
        agrees_with_itself = not differ(job.strict_outcomes, job.outcomes)
        job.outcomes, job.undecided = job.strict_outcomes, 0
        if agrees_with_itself:
            self.close_fast_lane(job)
        else:
            self.pool.counts["unsteady"] += 1

    def close_fast_lane(self, job: Job) -> None:
        self.pool.close_fast_lane(job.program)
        self.strict.extend(self.fast)
        self.fast.clear()

    def lose(self, jobs: list[Job]) -> None:
        """Our own failure: one more try each, alone, then missing."""
        for job in jobs:
            if not job.done:
                job.fast = False
                job.losses += 1
                if job.losses > 1:
                    job.finish(Outcome(Kind.INFRASTRUCTURE, "the sandbox lost this program twice"))
                else:
                    self.strict.appendleft(job)

    def give_up(self) -> None:
        """The run's own deadline has passed: what is left is missing."""
        for job in self.window:
            if not job.done:
                job.finish(Outcome(Kind.INFRASTRUCTURE, "sandbox.seconds_per_run has passed"))
        self.fast.clear()
        self.strict.clear()
        self.source = iter(())
        self.exhausted = True


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

    @property
    def canonical(self) -> Canonicaliser:
        """Writes values of ours as this sandbox writes those of programs."""
        return self.config.canonicaliser()

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
