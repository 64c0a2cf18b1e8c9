"""One program on its way to an execution, and the rules that turn a child's reply into outcomes."""

from __future__ import annotations

import signal
import struct
import zlib
from collections.abc import Sequence

from rewards.records import Execution, Kind, Outcome, Program
from rewards.sandbox.config import SandboxConfig
from rewards.sandbox.inside import wire
from rewards.sandbox.worker import Reply
from rewards.user_error import UserError

INPUT_BYTES = 16 << 20  # all input texts of one program, at most four bytes a character
ITEM_BYTES = 16  # what a request needs beside each text, at most
KINDS = {
    wire.VALUE: Kind.VALUE,
    wire.EXCEPTION: Kind.EXCEPTION,
    wire.MEMORY: Kind.MEMORY,
    wire.TOO_LARGE: Kind.TOO_LARGE,
    wire.UNSERIALISABLE: Kind.UNSERIALISABLE,
    wire.REFUSED: Kind.REFUSED,
    wire.NOT_OFFERED: Kind.NOT_OFFERED,
}
LOAD_DEPENDENT = frozenset({Kind.TIMEOUT, Kind.MEMORY, Kind.INFRASTRUCTURE, Kind.KILLED})
GIVEN_UP = Outcome(Kind.TIMEOUT, "given up after earlier timeouts")
WILD = ("import os", "import sys", "import subprocess", "import threading", "import time", "getattr(", "eval(", "exec(", "open(")
MALFORMED = Outcome(Kind.KILLED, "malformed result")
TEXT_SLACK = 200  # characters of an outcome's text beside its value
INTERNED_CHARACTERS = 200
_interned: dict[str, Outcome] = {}


def outcome(text: str, limit: int) -> Outcome:
    """The outcome of a child's text of at most so many characters; equal short texts share one object."""
    found = _interned.get(text)
    if found is None:
        kind = KINDS.get(text[:1])
        found = Outcome(kind, text[1:]) if kind and len(text) <= limit else MALFORMED
        if len(text) <= INTERNED_CHARACTERS:
            if len(_interned) > 50_000:
                _interned.clear()
            _interned[text] = found
    return found


def differ(ones: Sequence[Outcome | None], others: Sequence[Outcome | None]) -> bool:
    """Whether two accounts of one program differ in what does not depend on the machine's load."""
    pairs = zip(ones, others, strict=True)
    return any(a != b and a is not None and b is not None and not {a.kind, b.kind} & LOAD_DEPENDENT for a, b in pairs)


def both(first: Execution, second: Execution) -> Execution:
    """One execution out of two under different hash seeds: a value that differed is nondeterministic.

    A timeout or a death by memory is the machine's load and no difference: what the first run gave stays.
    """

    def merge(a: Outcome, b: Outcome) -> Outcome:
        if a == b:
            return a
        if Kind.INFRASTRUCTURE in (a.kind, b.kind):
            return a if a.kind is Kind.INFRASTRUCTURE else b
        if Kind.VALUE in (a.kind, b.kind) and not {a.kind, b.kind} & LOAD_DEPENDENT:
            return Outcome(Kind.NONDETERMINISTIC, f"{a.kind} under one hash seed, {b.kind} under another")
        return a

    return Execution(tuple(merge(a, b) for a, b in zip(first.outcomes, second.outcomes, strict=True)), first.seconds + second.seconds)


class Job:
    """A program with what is decided about it so far."""

    __slots__ = (
        "config",
        "fast",
        "fast_outcomes",
        "losses",
        "outcomes",
        "program",
        "recalled",
        "request_bytes",
        "seconds",
        "strict_outcomes",
        "timeouts",
        "todo",
        "undecided",
    )

    def __init__(self, program: Program, config: SandboxConfig) -> None:
        self.program, self.config = program, config
        self.outcomes: list[Outcome | None] = [None] * len(program.inputs)
        self.undecided = len(program.inputs)
        self.todo: tuple[int, ...] | None = None  # positions under way; None means all
        self.seconds, self.timeouts, self.losses = 0.0, 0, 0
        self.recalled = False  # from the disk cache
        self.fast_outcomes: list[Outcome | None] | None = None  # what the fast lane said, while the strict lane checks it
        self.strict_outcomes: list[Outcome | None] | None = None  # what the strict lane said first, when that was something else
        self.fast = config.fast_lane and not any(words in program.code for words in WILD)  # a guess; the child's check (tame.py) decides
        input_bytes = 4 * sum(map(len, program.inputs)) + ITEM_BYTES * len(program.inputs)
        self.request_bytes = input_bytes + 4 * (len(program.code) + len(program.entry)) + 4 * ITEM_BYTES  # at most
        if len(program.code) > config.source_kb << 10:
            self.finish(Outcome(Kind.REFUSED, f"source longer than {config.source_kb} KB"))
        elif input_bytes > INPUT_BYTES:
            said = f"the inputs of one program exceed {INPUT_BYTES >> 22} million characters, {ITEM_BYTES // 4} for each input included"
            raise UserError(said, f"inputs of {program.entry}", "give shorter ones, or fewer")

    @property
    def done(self) -> bool:
        return self.undecided == 0

    def recall(self, execution: Execution) -> None:
        """Take an execution from the disk cache."""
        self.outcomes, self.undecided, self.seconds, self.recalled = list(execution.outcomes), 0, execution.seconds, True

    def begin(self) -> tuple[int, ...] | None:
        """Positions still to run (None: all of them)."""
        self.todo = None if self.undecided == len(self.outcomes) else tuple(i for i, o in enumerate(self.outcomes) if o is None)
        return self.todo

    def seconds_left(self) -> float:
        """Seconds that the program may still take, at least a quarter of those of one input."""
        return max(self.config.seconds_per_program - self.seconds, self.config.seconds_per_input / 4)

    def restart(self) -> None:
        """Forget everything and go to the strict lane."""
        self.fast = False
        self.outcomes, self.undecided, self.seconds = [None] * len(self.outcomes), len(self.outcomes), 0.0

    def chosen_for_recheck(self) -> bool:
        """Whether this program belongs to the share of the fast lane that the strict lane repeats; a function of its text."""
        return zlib.crc32(self.program.code.encode("utf-8", "surrogatepass")) % 10_000 < self.config.recheck_share * 10_000

    def ask_again(self) -> None:
        """Keep what the strict lane said and let it speak once more, under other addresses: does it agree with itself?"""
        self.strict_outcomes = self.outcomes
        self.restart()

    def decide(self, position: int, result: Outcome) -> None:
        """Record the outcome of one input, unless it has one already."""
        if self.outcomes[position] is None:
            self.outcomes[position] = result
            self.undecided -= 1

    def finish(self, result: Outcome) -> None:
        """The same outcome for everything undecided."""
        self.outcomes = [result if o is None else o for o in self.outcomes]
        self.undecided = 0

    def longest_text(self) -> int:
        """Characters of the longest outcome text that an honest child writes."""
        return min(self.config.output_kb << 10, self.config.digest_over) + TEXT_SLACK

    def take(self, first: int, texts: list[str]) -> None:
        """Record outcome texts of consecutive positions of `todo`, from the `first`-th. Raises ValueError for too many."""
        limit = self.longest_text()
        if self.todo is None and first == 0 and len(texts) == len(self.outcomes):
            self.outcomes = [outcome(text, limit) for text in texts]
            self.undecided = 0
            return
        positions = (range(len(self.outcomes)) if self.todo is None else self.todo)[first : first + len(texts)]
        if len(positions) != len(texts):
            raise ValueError("more results than inputs")
        for position, text in zip(positions, texts, strict=True):
            self.decide(position, outcome(text, limit))

    def record(self, kind: int, payload: bytes, seconds: float) -> None:
        """What one frame says of this program. seconds: what its child took, by another's clock. Raises ValueError or struct.error."""
        if kind == wire.RESULTS:
            (first,) = wire.FIRST.unpack(payload[: wire.FIRST.size])
            if payload.count(b"\n") > len(self.outcomes) + wire.FIRST.size:  # not to be split: it would fill our memory
                raise ValueError("more results than inputs")
            self.take(first, payload[wire.FIRST.size :].decode().split("\n"))
        elif kind == wire.WHOLE:
            self.finish(outcome(payload.decode(), self.longest_text()))
        elif kind == wire.DONE:
            (claimed,) = wire.SECONDS.unpack(payload)
            self.seconds += claimed if 0 <= claimed <= seconds else seconds

    def blame(self, position: int, result: Outcome) -> None:
        """The child ended at this input. What comes from a child's own words may be false: then the first undecided input is taken."""
        if position == wire.LOADING:
            self.finish(result)
            return
        if position >= len(self.outcomes) or self.outcomes[position] is not None:
            position = self.outcomes.index(None)
        self.decide(position, result)
        if result.kind is Kind.TIMEOUT:
            self.timeouts += 1
            if self.timeouts >= self.config.max_timeouts or self.seconds >= self.config.seconds_per_program:
                for later in range(position + 1, len(self.outcomes)):  # earlier ones were quick: their frame was lost, they run again
                    self.decide(later, GIVEN_UP)

    def execution(self) -> Execution:
        assert self.undecided == 0
        return Execution(tuple(o for o in self.outcomes if o is not None), self.seconds)


def settle(jobs: list[Job], reply: Reply) -> list[Job]:
    """Record a reply and return the jobs that have to run (on), in order."""
    before = [job.undecided for job in jobs]
    to_strict = set()
    for kind, index, payload in reply.frames:
        try:
            jobs[index].record(kind, payload, reply.seconds)
        except (IndexError, ValueError, struct.error):
            break  # a program that found the key wrote this: nothing after it counts
        if kind == wire.STRICT:
            to_strict.add(index)
    if not reply.unit.strict:
        return unfinished_batch(jobs, reply, to_strict)
    [job] = jobs
    if not job.done:
        job.seconds += reply.seconds
        stuck = reply.end == wire.EXITED and reply.code == wire.EXIT_FULL and job.undecided < before[0]
        if not stuck:
            job.blame(reply.input, outcome_at_end(reply))
        if not job.done and reply.end == wire.PROGRAM_TIMEOUT:
            job.finish(Outcome(Kind.TIMEOUT, "the program's time is over"))
    return [] if job.done else [job]


def unfinished_batch(jobs: list[Job], reply: Reply, to_strict: set[int]) -> list[Job]:
    """Jobs of a shared child that did not finish. The one at which it ended, and those it handed back, go to the strict lane, afresh."""
    if reply.end != wire.EXITED or reply.code not in (0, wire.EXIT_FULL):
        culprit = reply.program if reply.program < len(jobs) and not jobs[reply.program].done else None
        to_strict.update(i for i, job in enumerate(jobs) if not job.done and (culprit is None or i == culprit))
    rest = []
    for index, job in enumerate(jobs):
        if index in to_strict:
            job.restart()
        elif job.done and job.chosen_for_recheck():
            fast_outcomes = job.outcomes
            job.restart()
            job.fast_outcomes = fast_outcomes
        if not job.done:
            rest.append(job)
    return rest[::-1]


def outcome_at_end(reply: Reply) -> Outcome:
    """What a child's end says about the input that it was at."""
    if reply.end in (wire.INPUT_TIMEOUT, wire.PROGRAM_TIMEOUT):
        return Outcome(Kind.TIMEOUT)
    if reply.end == wire.SIGNALLED:
        if reply.code == signal.SIGXCPU:
            return Outcome(Kind.TIMEOUT, "processor time")
        return Outcome(Kind.KILLED, signal.Signals(reply.code).name if reply.code in set(signal.Signals) else f"signal {reply.code}")
    return Outcome(Kind.KILLED, "left without a result" if reply.code == 0 else f"exit status {reply.code}")
