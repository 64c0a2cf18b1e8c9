"""What a row of a trainer's dataset says of its problem: the function to write, or that a program is wanted, and the test inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from probing.records import STDIN
from rewards.outcomes.literals import input_literals, input_texts
from rewards.text import shorten

CALLS = "write [[[1, 2], 3], [[4], 5]] for the calls f([1, 2], 3) and f([4], 5)"
TEXTS = 'write ["3\\n1 2 3\\n", "1\\n7\\n"], one text for each standard input'
SHOWN = 80  # characters of a value that cannot be read


@dataclass(frozen=True)
class RewardProblem:
    """What a group's samples share.

    >>> read_problem("a", "<stdin>", ["7\\n"], "", "row 0")
    RewardProblem(key='a', entry='<stdin>', inputs=("'7\\\\n'",), given='')
    """

    key: str  # names the group, on every rank
    entry: str  # the function, or probing.records.STDIN
    inputs: tuple[str, ...]  # Python literals: lists of positional arguments; of a program, texts
    given: str  # code that the prompt gave


def read_problem(key: str, entry: Any, inputs: Any, given: str, where: str) -> RewardProblem:
    """The problem of a row. where: names the row and its columns in an error. Raises ValueError for what cannot be used."""
    if entry == STDIN:
        if given:
            raise ValueError(f"{where}: code is given for the entry {STDIN}, whose answers are whole programs: leave it out")
        texts = input_texts(inputs)
        if texts is None:
            raise ValueError(f"{where}: {shorten(str(inputs), SHOWN)!r} is no list of texts for standard input: {TEXTS}")
        return RewardProblem(key, STDIN, texts, "")
    if not isinstance(entry, str) or not entry.isidentifier():
        raise ValueError(f"{where}: {entry!r} is no name of a function, and not {STDIN}, which stands for a program")
    literals = input_literals(inputs)
    if literals is None:
        raise ValueError(f"{where}: {shorten(str(inputs), SHOWN)!r} is no list of inputs: {CALLS}")
    return RewardProblem(key, entry, literals, given)
