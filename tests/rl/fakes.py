"""Outcomes and executors that run nothing, for tests of the training stage (no torch)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from probing.samplers.base import Completion
from rewards.records import Execution, Kind, Outcome, Program


def value(payload: object) -> Outcome:
    return Outcome(Kind.VALUE, str(payload))


def error() -> Outcome:
    return Outcome(Kind.EXCEPTION, "ValueError")


def missing() -> Outcome:
    return Outcome(Kind.INFRASTRUCTURE, "worker lost")


class LetterExecutor:
    """Runs nothing: the outcome on input i is i and whether the program holds the letter `a`. Counts what it was given."""

    def __init__(self) -> None:
        self.programs: list[Program] = []

    def run(self, programs: Iterable[Program]) -> Iterator[Execution]:
        for program in programs:
            self.programs.append(program)
            yield Execution(tuple(value(f"{i}:{'a' in program.code}") for i in range(len(program.inputs))))


class TableExecutor:
    """Looks a program's outcomes up in a table."""

    def __init__(self, table: dict[str, tuple[Outcome, ...]]) -> None:
        self.table, self.programs = table, list[Program]()

    def run(self, programs: Iterable[Program]) -> Iterator[Execution]:
        for program in programs:
            self.programs.append(program)
            yield Execution(self.table[program.code])


def completion(text: str, n_tokens: int = 3) -> Completion:
    return Completion(text, tuple(range(2, 2 + n_tokens)), (-0.5,) * n_tokens, True)
