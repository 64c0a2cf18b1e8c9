"""Helpers for the judge's tests: executions from a table of short strings."""

from __future__ import annotations

from collections.abc import Sequence

from rewards.clusters.signatures import OutcomeMatrix
from rewards.records import Execution, Kind, Outcome

SPECIAL = {"!": Outcome(Kind.EXCEPTION, "ValueError"), "T": Outcome(Kind.TIMEOUT), "?": Outcome(Kind.INFRASTRUCTURE)}


def execution(row: str) -> Execution:
    """One character an input: ! an exception, T a timeout, ? missing, anything else a value."""
    return Execution(tuple(SPECIAL.get(c, Outcome(Kind.VALUE, f"str:{c}")) for c in row))


def matrix(*rows: str, weights: Sequence[int] | None = None, arguments: str | None = None, expected: str | None = None) -> OutcomeMatrix:
    """arguments: the one argument of each input; expected: the output that an assert claims for each, '.' for none."""
    return OutcomeMatrix.from_executions(
        [execution(row) for row in rows],
        weights,
        [[Outcome(Kind.VALUE, f"str:{c}")] for c in arguments] if arguments else None,
        [None if c == "." else Outcome(Kind.VALUE, f"str:{c}") for c in expected] if expected else None,
    )
