"""Problems of the user's own: statements alone, from which the rounds draw in turn.

A row becomes a problem, or a reason why it cannot be used. Its signature may be without types, or absent: stage 3 writes what is missing
(`rl.own.signatures`). With `problems.io: stdin` it becomes one whose solution is a program, and has no signature. Rows that overlap a
benchmark are dropped, and it is said which and with what.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from datasketch import MinHashLSH

from probing.parsing.proposals import LEAST_WORDS, Unreadable, header_line, header_of, read_signature
from probing.parsing.stdin_texts import example_of
from probing.records import STDIN, Problem, short_hash
from probing.stages.problems import PERMUTATIONS, Funnel, ngrams, sketch
from rl.own.source import ENTRY, EXAMPLE, ROW_ID, SIGNATURE, STATEMENT, TITLE, Rows, example_text, first_text, half_characters
from rl.solve.statement import entry_in

TOPIC = "own"
OVERLAP = "benchmark overlap"
SAME_ID = "duplicate id"


def read_problem(row: Mapping[str, Any], place: str, io: str = "function") -> Problem:
    """The problem of a row. `signature` is untyped or "" where the row says no more, `entry` "" where nothing names it.

    place: its provenance. io: what a solution is (`problems.io`). Raises Unreadable with the reason why the row cannot be used.
    """
    description = first_text(row, STATEMENT)
    if len(description.split()) < LEAST_WORDS:
        raise Unreadable("no statement")
    if any(half_characters(row.get(name)) for name in (*STATEMENT, *SIGNATURE, *EXAMPLE, *TITLE, *ROW_ID)):
        raise Unreadable("broken characters")
    if io == "stdin":
        entry, signature, example = STDIN, "", _program_example(row)
    else:
        example = example_text(row)
        entry, signature = _signature(row, description, example)
    return Problem(
        id=short_hash(description + signature + entry),
        title=first_text(row, TITLE).split("\n")[0] or (entry if entry != STDIN else "") or " ".join(description.split()[:6]),
        description=description,
        entry=entry,
        signature=signature,
        example=example,
        topic=TOPIC,
        source=place,
    )


def _program_example(row: Mapping[str, Any]) -> str:
    """A row's example of input and output, "" where it has none. Raises Unreadable for one that is no such thing."""
    given = row.get(EXAMPLE[0])
    try:
        return "" if given is None else example_of(given)
    except ValueError:
        raise Unreadable("unreadable example") from None


def _signature(row: Mapping[str, Any], description: str, example: str) -> tuple[str, str]:
    """(entry, signature), as far as a row says them."""
    named = next((str(row[key]).strip() for key in ENTRY if str(row.get(key) or "").strip().isidentifier()), "")
    stated = first_text(row, SIGNATURE)
    if stated and header_of(stated) is None:
        stated = f"def {stated}"
        if header_of(stated) is None:
            raise Unreadable("unreadable signature")
    text = stated or (description if header_of(description) is not None else "")
    try:
        function = read_signature(text, f"{example}\n{description}")
        entry, signature = function.name, header_line(function)
    except Unreadable as reason:
        if str(reason) != "untyped signature":
            if stated:
                raise Unreadable("unreadable signature" if str(reason) == "no signature" else str(reason)) from None
            return named or entry_in(example), ""
        header = header_of(text) or ""
        entry, signature = re.findall(r"def\s+(\w+)", header)[0], f"{header}:"
    return (entry, signature) if stated or named in ("", entry) else (named, "")  # a text may show other functions too


class Benchmarks:
    """What is too like a benchmark's statement: a long run of words shared with one, or a near duplicate of one."""

    def __init__(self, statements: Mapping[str, str], words: int, near_duplicate: float) -> None:
        """statements: text -> name of its task. words: length of a run. near_duplicate: Jaccard similarity of word 3-grams."""
        self.words = words
        self.runs: dict[str, str] = {}
        self.near = MinHashLSH(threshold=near_duplicate, num_perm=PERMUTATIONS)
        for text, task in statements.items():
            for run in ngrams(text, words):
                self.runs.setdefault(run, task)
            if task not in self.near:
                self.near.insert(task, sketch(text))

    def overlap(self, text: str) -> str | None:
        """The task that a text overlaps; None where there is none."""
        shared = sorted(self.runs[run] for run in ngrams(text, self.words) if run in self.runs)
        return next(iter([*shared, *sorted(self.near.query(sketch(text)))]), None)


@dataclass(frozen=True)
class CheckedRow:
    """What became of a row of the source."""

    place: str
    problem: Problem | None  # None: it cannot be used
    reason: str = ""  # why
    overlaps: str = ""  # the benchmark's task that it overlaps


def check_rows(
    rows: Rows, benchmarks: Benchmarks, unusable: Callable[[Problem], str] | None = None, io: str = "function"
) -> Iterator[CheckedRow]:
    """What becomes of each row, in order. unusable: why a problem cannot be used all the same, "" where it can. io: what solutions are."""
    seen: set[str] = set()
    places: set[str] = set()  # provenance and collected samples go by it
    for index, row in enumerate(rows.rows):
        place = rows.place(index)
        try:
            problem = read_problem(row, place, io)
        except Unreadable as error:
            yield CheckedRow(place, None, str(error))
            continue
        if problem.id in seen:
            yield CheckedRow(place, None, "duplicate row")
        elif place in places:
            yield CheckedRow(place, None, SAME_ID)
            continue
        elif (task := benchmarks.overlap(problem.description)) is not None:
            yield CheckedRow(place, None, OVERLAP, task)
        elif unusable is not None and (reason := unusable(problem)):
            yield CheckedRow(place, None, reason)
        else:
            yield CheckedRow(place, problem)
        seen.add(problem.id)
        places.add(place)


class OwnProblems:
    """The rows in a random order, dealt out to the rounds in turn: every usable row comes once before any comes again."""

    def __init__(self, rows: Sequence[CheckedRow], seed: int) -> None:
        self.rows = list(rows)
        order = random.Random(f"{seed} own problems").sample(self.rows, len(self.rows))
        self.deals: list[tuple[Problem, list[str]]] = []  # a problem, and why the unusable rows beside it are dropped
        before: list[str] = []
        for row in order:
            if row.problem is not None:
                self.deals.append((row.problem, before))
                before = []
            elif self.deals:
                self.deals[-1][1].append(row.reason)
            else:
                before.append(row.reason)

    @property
    def dropped(self) -> Counter[str]:
        """How many rows of the whole source cannot be used, by reason."""
        return Counter(row.reason for row in self.rows if row.problem is None)

    def draw(self, number: int, start: int, count: int, funnel: Funnel) -> list[Problem]:
        """The problems of round `number`: `count` of them from place `start` on, or all where there are fewer. After the last one comes the
        first again. Unusable rows that were met on the way are counted in the funnel.
        """
        start, count = (start, count) if count < len(self.deals) else (0, len(self.deals))
        drawn = []
        for place in range(start, start + count):
            problem, dropped = self.deals[place % len(self.deals)]
            funnel.proposed += 1 + len(dropped)
            funnel.dropped.update(dropped)
            drawn.append(replace(problem, id=f"r{number:02d}-{problem.id}"))
        return drawn
