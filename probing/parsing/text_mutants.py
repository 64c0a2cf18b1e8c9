"""Mutants of texts for standard input (stage 4) that keep to their format.

Programs may rely on the format: one reads as many numbers as the first line says, another all that there are, and both are right. So a
number that counts what follows it is never changed by itself: it changes with what it counts, or stays. Other numbers stay about in the
range of those that the text holds, and below one of the first line that may bound them; words keep to its letters, and lines keep their
number of words.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal

_INTEGER = re.compile(r"[+-]?\d{1,18}")
_FLOAT = re.compile(r"[+-]?\d{1,12}\.\d{1,12}")

Lines = list[list[str]]  # the words of each line


def mutate_input(text: str, rng: random.Random) -> str:
    """A text of the same format, a little different: other numbers or words, another order, one item more or less.

    >>> mutate_input("2\\n5 9\\n", random.Random(1)).split("\\n")[0] in ("1", "2", "3")
    True
    """
    lines = [line.split() for line in text.rstrip("\n").split("\n")]
    counts = counting(lines)
    move = rng.choice((_change, _change, _change, _reorder, _resize, _resize))
    changed = move([list(line) for line in lines], counts, rng)
    return "\n".join(" ".join(line) for line in changed) + "\n"


def counting(lines: Lines) -> dict[tuple[int, int], str]:
    """Places (line, word) of integers that may count what follows: "items" of the next line, its "characters", all "lines" that follow,
    "groups" of them (test cases, perhaps), or "several" of these.

    >>> counting([["2", "3"], ["7", "8", "9"], ["4", "5", "6"]])
    {(0, 0): 'lines', (0, 1): 'items'}
    """
    found: dict[tuple[int, int], str] = {}
    for place, line in enumerate(lines):
        below = lines[place + 1 :]
        for position, word in enumerate(line):
            if not below or not _INTEGER.fullmatch(word) or int(word) < 0:
                continue
            number, follows = int(word), lines[place + 1]
            lone = len(follows) == 1 and not _is_number(follows[0])
            kinds = ["lines"] * (place == 0 and number == len(below)) + ["items"] * (len(line) <= 3 and number == len(follows))
            kinds += ["characters"] * (len(line) <= 3 and lone and number == len(follows[0]))
            if not kinds and place == 0 and len(line) <= 3 and number and len(below) % number == 0:
                kinds = ["groups"]
            if kinds:
                found[place, position] = kinds[0] if len(kinds) == 1 else "several"
    return found


def _change(lines: Lines, counts: dict[tuple[int, int], str], rng: random.Random) -> Lines:
    """One to three numbers or words changed, or all of a line."""
    places = [(i, j) for i, line in enumerate(lines) for j in range(len(line)) if (i, j) not in counts]
    if not places:
        return lines
    chosen = rng.sample(places, min(len(places), rng.choice((1, 1, 2, 3))))
    if rng.random() < 0.3:
        chosen = [(i, j) for i, j in places if i == chosen[0][0]]
    words = [lines[i][j] for i, j in places]
    rest = _integers(lines[i][j] for i, j in places if i > 0)
    most = _most(lines, rest or _integers(words))
    bounds = [(0, j) for i, j in chosen if i == 0 and rest and _INTEGER.fullmatch(lines[0][j]) and int(lines[0][j]) >= max(rest)]
    for i, j in bounds or chosen:
        lines[i][j] = _larger(int(lines[i][j]), max(rest), rng) if bounds else _changed(lines[i][j], words, most, rng)
    return lines


def _integers(words: Iterable[str]) -> list[int]:
    return [int(word) for word in words if _INTEGER.fullmatch(word)]


def _most(lines: Lines, values: Sequence[int]) -> int:
    """The largest integer that a changed one may be. Where the first line holds one that no value exceeds, it may bound them, as the number
    of nodes bounds those of edges.
    """
    high = max(values, default=0)
    bounds = [bound for bound in _integers(lines[0]) if bound >= high] if len(lines) > 1 else []
    return min(bounds, default=max(2 * high, 10))


def _larger(bound: int, least: int, rng: random.Random) -> str:
    """Another number that is no smaller than any of those which it may bound."""
    return str(rng.choice((bound + 1, rng.randint(least, max(2 * bound, least + 1)))))


def _reorder(lines: Lines, counts: dict[tuple[int, int], str], rng: random.Random) -> Lines:
    """The items of a line in another order, or two lines of the same form exchanged."""
    free = [i for i, line in enumerate(lines) if (i or len(lines) == 1) and not any((i, j) in counts for j in range(len(line)))]
    if not free:
        return lines
    chosen = rng.choice(free)
    alike = [i for i in free if i != chosen and [*map(_form, lines[i])] == [*map(_form, lines[chosen])]]
    if alike and rng.random() < 0.5:
        other = rng.choice(alike)
        lines[chosen], lines[other] = lines[other], lines[chosen]
    elif len({*map(_form, lines[chosen])}) == 1:
        rng.shuffle(lines[chosen])
    return lines


def _resize(lines: Lines, counts: dict[tuple[int, int], str], rng: random.Random) -> Lines:
    """One item, line or character more or less, where a number counts them; the number follows."""
    sure = [(place, what) for place, what in counts.items() if what in ("lines", "characters")]
    sure += [
        (place, what) for place, what in counts.items() if what == "items" and len(lines) == 2
    ]  # else each of many lines may have them
    sure = [(place, what) for place, what in sure if sum(what == other for _, other in sure) == 1]
    if not sure:
        return _change(lines, counts, rng)
    (i, j), what = rng.choice(sure)
    more = rng.random() < 0.5
    if what == "lines" and len({tuple(map(_form, line)) for line in lines[i + 1 :]}) == 1:
        first = i + 1
        if more:
            lines.insert(rng.randint(first, len(lines)), list(rng.choice(lines[first:])))
        elif len(lines) > first + 1:
            del lines[rng.randrange(first, len(lines))]
        lines[i][j] = str(len(lines) - first)
    elif what == "items":
        items = lines[i + 1]
        if more:
            items.insert(rng.randint(0, len(items)), _changed(rng.choice(items), items, _most(lines, _integers(items)), rng))
        elif len(items) > 1:
            del items[rng.randrange(len(items))]
        lines[i][j] = str(len(items))
    elif what == "characters":
        word = lines[i + 1][0]
        at = rng.randrange(len(word))
        word = word[:at] + rng.choice(word) + word[at:] if more else word[:at] + word[at + 1 :]
        if word:
            lines[i + 1][0], lines[i][j] = word, str(len(word))
    return lines


def _changed(word: str, others: Sequence[str], most: int, rng: random.Random) -> str:
    """Another word of the same form. others: the words that are free to change, itself among them. most: see `_most`."""
    if _INTEGER.fullmatch(word):
        numbers, value = _integers(others), int(word)
        least = min(*numbers, 1)
        most = max(most, least)
        options = (value + 1, value - 1, value // 2, value * 2, rng.choice(numbers), rng.randint(least, most), rng.randint(least, most))
        return str(min(max(rng.choice(options), least), most))
    if _FLOAT.fullmatch(word):
        unit, value_f = Decimal(1).scaleb(-len(word.split(".")[1])), Decimal(word)
        return str(rng.choice((value_f * 2, value_f / 2, value_f + 1, rng.randint(1, 1000) * unit)).quantize(unit))
    letters = "".join(other for other in others if _form(other) == _form(word))
    place = rng.randrange(len(word))
    as_long = [other for other in others if len(other) == len(word) and _form(other) == _form(word)]  # its length may be counted somewhere
    spelt = word[:place] + rng.choice(letters) + word[place + 1 :]
    return rng.choice((spelt, "".join(rng.sample(word, len(word))), word[::-1], rng.choice(as_long)))


def _is_number(word: str) -> bool:
    return _INTEGER.fullmatch(word) is not None or _FLOAT.fullmatch(word) is not None


def _form(word: str) -> str:
    """What kind of word it is: an integer, a decimal number, letters, or else."""
    if _INTEGER.fullmatch(word):
        return "integer"
    if _FLOAT.fullmatch(word):
        return "decimal"
    return "letters" if word.isalpha() else "other"
