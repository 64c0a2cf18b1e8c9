"""The records that scoring adds: programs, outcomes, executions, clusters and scores (middle floor, no torch)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What running a program on one input ended in. Only VALUE can agree with anything."""

    VALUE = "value"
    EXCEPTION = "exception"  # payload: the exception's type name
    TIMEOUT = "timeout"
    MEMORY = "memory"
    KILLED = "killed"  # by a signal, or left by os._exit
    TOO_LARGE = "too_large"  # the output passed the byte limit
    UNSERIALISABLE = "unserialisable"  # a value with no canonical form
    NONDETERMINISTIC = "nondeterministic"  # differed between two runs, or between two orders of calls
    REFUSED = "refused"  # does not compile, has no such entry, or breaks the policy
    INFRASTRUCTURE = "infrastructure"  # our failure: missing, never a wrong answer


@dataclass(frozen=True, slots=True)
class Outcome:
    """o(r, x) in METHOD: a canonical value, or an error kind.

    >>> Outcome(Kind.VALUE, "int:3").agrees(Outcome(Kind.VALUE, "int:3"))
    True
    >>> Outcome(Kind.TIMEOUT).agrees(Outcome(Kind.TIMEOUT))
    False
    """

    kind: Kind
    payload: str = ""  # canonical text of a VALUE (or a digest of a long one); else a short reason

    def agrees(self, other: Outcome) -> bool:
        return self.kind is Kind.VALUE and self == other


@dataclass(frozen=True)
class Program:
    """What the sandbox runs: one function on several inputs."""

    code: str  # Python source that defines `entry`
    entry: str  # function to call
    inputs: tuple[str, ...]  # each a Python literal: the list of positional arguments


@dataclass(frozen=True)
class Execution:
    """σ(r) in METHOD: one outcome for each input of the program, in order."""

    outcomes: tuple[Outcome, ...]
    seconds: float = 0.0  # wall time in the child, for statistics only

    @property
    def missing(self) -> bool:
        """True when our own infrastructure failed: the program must be left out, not marked wrong."""
        return any(o.kind is Kind.INFRASTRUCTURE for o in self.outcomes)
