"""The records that scoring adds: programs, outcomes, executions, clusters and scores (no torch)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

ABSENT_SHOWN = 8  # modules that a sentence names


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
    NOT_OFFERED = "not_offered"  # imports a module that programs are not offered (sandbox.packages); payload: its top-level name
    INFRASTRUCTURE = "infrastructure"  # our failure: missing, never a wrong answer


@dataclass(frozen=True, slots=True)
class Outcome:
    """o(r, x) in docs/method.md: a canonical value, or an error kind.

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
    """What the sandbox runs: one function on several inputs, or one whole program on several texts for its standard input."""

    code: str  # Python source that defines `entry`
    entry: str  # function to call; probing.records.STDIN: the code is a program that reads standard input and prints
    inputs: tuple[str, ...]  # each a Python literal: the list of positional arguments; for STDIN the text


@dataclass(frozen=True)
class Execution:
    """σ(r) in docs/method.md: one outcome for each input of the program, in order."""

    outcomes: tuple[Outcome, ...]
    seconds: float = 0.0  # wall time in the child, for statistics only

    @property
    def missing(self) -> bool:
        """True when our own infrastructure failed: the program must be left out, not marked wrong."""
        return any(o.kind is Kind.INFRASTRUCTURE for o in self.outcomes)

    @property
    def absent_module(self) -> str | None:
        """The first module that the program failed for because it is not offered; None where there was none."""
        return next((o.payload for o in self.outcomes if o.kind is Kind.NOT_OFFERED), None)

    def as_row(self) -> dict[str, Any]:
        """How every file keeps it: outcomes as `kind:payload`, seconds to a tenth of a millisecond.

        >>> Execution((Outcome(Kind.VALUE, "int:3"), Outcome(Kind.TIMEOUT))).as_row()
        {'outcomes': ['value:int:3', 'timeout:'], 'seconds': 0.0}
        """
        return {"outcomes": [f"{o.kind}:{o.payload}" for o in self.outcomes], "seconds": round(self.seconds, 4)}

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Self:
        """The execution that `as_row` wrote."""
        parts = (text.partition(":") for text in row["outcomes"])
        return cls(tuple(Outcome(Kind(kind), payload) for kind, _, payload in parts), row["seconds"])


def absent_modules(executions: Iterable[tuple[Execution, int]]) -> dict[str, int]:
    """How many programs failed for each module that is not offered, the most wanted first. executions: each with its multiplicity."""
    counts: Counter[str] = Counter()
    for execution, times in executions:
        if (name := execution.absent_module) is not None:
            counts[name] += times
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def absence(counts: Mapping[str, int], of: int, what: str = "answers", remedy: str = "sandbox.packages") -> str:
    """A sentence on what modules that are not offered have cost; empty for nothing. remedy: the key or option that offers them.

    >>> absence({"numpy": 7}, 542)
    '7 of 542 answers import numpy, which is not offered: sandbox.packages'
    """
    if not counts:
        return ""
    if len(counts) == 1:
        listed, are = next(iter(counts)), "which is"
    else:
        listed, are = ", ".join(f"{name} ({counts[name]})" for name in [*counts][:ABSENT_SHOWN]), "which are"
        listed += f" and {len(counts) - ABSENT_SHOWN} more" if len(counts) > ABSENT_SHOWN else ""
    return f"{sum(counts.values())} of {of} {what} import {listed}, {are} not offered: {remedy}"
