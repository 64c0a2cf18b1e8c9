"""What a problem's inputs have in common, which mutants of them have to keep (stage 4).

A statement promises more than types: a grid has rows of one length, a text is made of 0 and 1, `n` is the length of the list. Right
programs may behave differently where such a promise is broken, and an input on which they do looks like one that tells programs apart.
So what holds for all inputs that the model wrote is taken for a promise where there is enough to tell it by, and a mutant that breaks it
is brought back.

    kept                                             told by
    size of integers: at most twice the largest      any integer
    rows of one length; as many rows as columns      a grid with a row of two or more; grids of two sizes, or one of three rows
    arguments of one length                          two lengths, or one of three or more
    an argument that is another's length             two lengths, or one of five or more
    sorted lists                                     a statement that says so; two lists of three or more, or one of four
    texts of two different signs, such as 0 and 1    four characters
    kinds of characters, nothing empty, the sign     FEW inputs or more: the model was asked for edge cases, and wrote none of these
    of an argument that is an integer

The sign of integers in lists is not kept: negative ones tell too many wrong programs.
"""

from __future__ import annotations

import random
import re
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

FEW = 4  # inputs; with fewer, that something does not occur in them says nothing
_LARGE = 100  # integers up to this size are tried whatever was written
_SORTED = re.compile(r"\b(sorted|ascending|increasing)\b", re.IGNORECASE)
_CLASSES = (string.ascii_lowercase, string.ascii_uppercase, string.digits)

Arguments = Sequence[Any]  # of one call: literal values


@dataclass(frozen=True)
class ArgumentDomain:
    """What holds for all values of one argument, however deep they lie in it; levels are depths in nested lists and tuples."""

    largest: int  # absolute value of integers
    least: int | None  # an integer that is the argument itself is not below; None: any sign
    letters: str | None  # texts are made of these; None: of anything
    filled: frozenset[int]  # levels on which nothing is empty; texts are on the level below their list
    ascending: frozenset[int]  # levels on which lists are sorted
    rectangular: bool  # lists of lists have rows of one length
    square: bool  # and as many rows as columns

    @classmethod
    def of(cls, values: Sequence[Any], says_sorted: bool = False) -> ArgumentDomain:
        parts = [part for value in values for part in _parts(value)]
        integers = [value for value, _ in parts if type(value) is int]
        containers = [(value, level) for value, level in parts if isinstance(value, list | tuple | dict | set | frozenset | str)]
        grids = [value for value, _ in parts if _is_grid(value) and len(value) > 1 and max(map(len, value)) > 1]
        rectangular = bool(grids) and all(len(set(map(len, grid))) == 1 for grid in grids)
        known = len(values) >= FEW
        levels = {level for _, level in containers}
        alone = [value for value in values if type(value) is int]
        return cls(
            largest=max([_LARGE, *(2 * abs(value) for value in integers)]),
            least=min(*alone, 1) if len(set(alone)) >= FEW and min(alone) >= 0 else None,
            letters=_letters([value for value, _ in parts if isinstance(value, str)], known),
            filled=frozenset(level for level in levels if known and all(value for value, at in containers if at == level)),
            ascending=frozenset(
                level for level in levels if says_sorted and _ascending([v for v, at in containers if at == level and type(v) is list])
            ),
            rectangular=rectangular,
            square=rectangular and _square(grids),
        )

    def keep(self, value: Any, before: Any, rng: random.Random, level: int = 0) -> Any:
        """The value, brought back; `before`: what it was made of, where nothing else will do."""
        if level in self.filled and isinstance(value, list | tuple | dict | set | frozenset | str) and not value:
            return before
        if type(value) is int:
            return self._number(value, self.least if level == 0 else None)
        if isinstance(value, str):
            return value if self.letters is None else "".join(self._letter(letter) for letter in value)
        if isinstance(value, dict):
            return {self.keep(k, k, rng, level + 1): self.keep(v, v, rng, level + 1) for k, v in value.items()}
        if isinstance(value, set | frozenset):
            return type(value)(self.keep(item, item, rng, level + 1) for item in value)
        if not isinstance(value, list | tuple):
            return value
        items = [self.keep(item, item, rng, level + 1) for item in value]
        if level + 1 in self.filled and isinstance(value, list):  # a part has no value that it was made of
            items = [item for item in items if item or not isinstance(item, list | tuple | dict | set | frozenset | str)]
        if self.rectangular and isinstance(value, list) and _is_grid(items):  # a tuple keeps its number of items
            items = _with_equal_rows(items, self.square, rng)
        if level in self.ascending and type(value) is list:
            items.sort()
        return before if level in self.filled and not items else type(value)(items)

    def _number(self, value: int, least: int | None) -> int:
        if abs(value) > self.largest:
            value = value % (self.largest + 1)
        return value if least is None or value >= least else max(abs(value), least)

    def _letter(self, letter: str) -> str:
        assert self.letters is not None
        for known in (letter, letter.swapcase()):
            if known in self.letters:
                return known
        return self.letters[ord(letter) % len(self.letters)] if self.letters else letter


@dataclass(frozen=True)
class Domain:
    """What holds for all inputs of a problem."""

    arguments: tuple[ArgumentDomain, ...]
    alike: tuple[tuple[int, int], ...]  # places of two arguments that are equally long
    counts: tuple[tuple[int, int], ...]  # (place of an integer, place of the argument whose length it is)

    @classmethod
    def of(cls, inputs: Sequence[Arguments], statement: str = "") -> Domain:
        """The domain of inputs that have the same number of arguments.

        >>> Domain.of([[[3, 1, 2], 3], [[5, 5], 2]]).counts
        ((1, 0),)
        """
        columns = list(zip(*inputs, strict=True))
        lengths = {place: [len(v) for v in column] for place, column in enumerate(columns) if all(_has_length(v) for v in column)}
        numbers = {place: list(column) for place, column in enumerate(columns) if all(type(v) is int for v in column)}

        def told(values: Sequence[int], alone: int) -> bool:
            """Whether equal numbers are hardly chance: there are two, or one is `alone` or more."""
            return len(set(values)) > 1 or max(values, default=0) >= alone

        return cls(
            tuple(ArgumentDomain.of(column, _SORTED.search(statement) is not None) for column in columns),
            tuple((a, b) for a in lengths for b in lengths if a < b and lengths[a] == lengths[b] and told(lengths[a], 3)),
            tuple((a, b) for a, column in numbers.items() for b in lengths if column == lengths[b] and told(column, 5)),
        )

    def keep(self, arguments: list[Any], before: Arguments, changed: int, rng: random.Random) -> list[Any]:
        """Arguments brought back into the domain. changed: the place that a mutation has changed, which the others follow."""
        found = [domain.keep(value, old, rng) for domain, value, old in zip(self.arguments, arguments, before, strict=True)]
        for a, b in self.alike:
            leads, follows = (b, a) if changed == b else (a, b)
            found[follows] = resized(found[follows], len(found[leads]))
            if len(found[follows]) != len(found[leads]):  # nothing to fill it with
                found[leads] = resized(found[leads], len(found[follows]))
        for number, container in self.counts:
            found[number] = len(found[container])
        return found


def resized(items: Any, length: int) -> Any:
    """A list, tuple or text of that length: cut, or its items over again; an empty one stays empty."""
    return (items * (length // len(items) + 1))[:length] if len(items) else items


def _parts(value: Any, level: int = 0) -> Iterator[tuple[Any, int]]:
    """The value and all in it, each with its depth."""
    yield value, level
    inner: list[Any] = []
    if isinstance(value, dict):
        inner = [*value, *value.values()]
    elif isinstance(value, list | tuple | set | frozenset):
        inner = list(value)
    for item in inner:
        yield from _parts(item, level + 1)


def _with_equal_rows(rows: list[list[Any]], square: bool, rng: random.Random) -> list[list[Any]]:
    """The rows, all as long as one of them; empty ones are left out where another is not."""
    filled = [row for row in rows if row] or rows
    width = len(rng.choice(filled))
    if square:
        width = min(width, len(filled))
        filled = filled[:width]
    return [resized(row, width) for row in filled]


def _square(grids: Sequence[list[list[Any]]]) -> bool:
    """Whether all grids have as many rows as columns, and not by chance: they are of two sizes, or one has three rows."""
    sizes = {len(grid) for grid in grids}
    return all(len(grid) == len(grid[0]) for grid in grids) and (len(sizes) > 1 or max(sizes) > 2)


def _is_grid(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, list) for row in value)


def _has_length(value: Any) -> bool:
    return isinstance(value, list | tuple | str)


def _ascending(lists: Sequence[list[Any]]) -> bool:
    """Whether lists of numbers or of texts, and enough of them, are all sorted."""
    long = [items for items in lists if len(set(map(repr, items))) > 2]
    if not (len(long) > 1 or any(len(items) > 3 for items in long)):
        return False
    plain = all(len({type(item) for item in items}) <= 1 and isinstance(item, int | float | str) for items in lists for item in items)
    return plain and all(items == sorted(items) for items in lists)


def _letters(texts: Sequence[str], known: bool) -> str | None:
    """What texts are made of: two signs that are no letters, or where enough inputs are known the kinds that occur; None: anything."""
    found = set("".join(texts))
    if len(found) == 2 and sum(map(len, texts)) >= 4 and not any(map(str.isalpha, found)):
        return "".join(sorted(found))
    if not known or not found:
        return None
    for kind in _CLASSES:
        if len(found & set(kind)) > 2:
            found |= set(kind)
    return "".join(sorted(found))
