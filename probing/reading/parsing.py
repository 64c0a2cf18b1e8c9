"""Python in texts that may be none: where its strings, comments and brackets lie, and `ast.parse` with an end to the work.

Failures are answers here, never errors.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

_TOKEN = re.compile(
    r"""(?P<triple>\"{3}|'{3})|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?|\#[^\n]*|(?P<fence>`{3,})|(?P<open>[(\[{])|(?P<close>[)\]}])""",
    re.DOTALL | re.VERBOSE,
)
_ENDS = {delimiter: re.compile(rf"\\.|{delimiter}", re.DOTALL) for delimiter in ('"""', "'''")}

State = tuple[str, int]  # the triple quote that is open ("": none), brackets that are open
NEUTRAL: State = ("", 0)


def _end_of_string(text: str, start: int, delimiter: str) -> int:
    """Where the string ends whose inside begins at `start`; -1 when it does not."""
    for found in _ENDS[delimiter].finditer(text, start):
        if found.group() == delimiter:
            return found.end()
    return -1


def scan(text: str, state: State = NEUTRAL) -> State:
    """The state behind the text, read from a state in front of it."""
    delimiter, depth = state
    place = 0
    while True:
        if delimiter:
            place = _end_of_string(text, place, delimiter)
            if place < 0:
                return delimiter, depth
            delimiter = ""
        token = _TOKEN.search(text, place)
        if token is None:
            return "", depth
        place = token.end()
        if token["triple"]:
            delimiter = token["triple"]
        elif token["open"]:
            depth += 1
        elif token["close"]:
            depth = max(depth - 1, 0)


def fences(text: str, start: int) -> Iterator[re.Match[str]]:
    """Runs of three and more backticks from `start` on that lie in no string and no comment."""
    place = start
    while (token := _TOKEN.search(text, place)) is not None:
        place = token.end()
        if token["triple"]:
            place = _end_of_string(text, place, token["triple"])
            if place < 0:
                return
        elif token["fence"]:
            yield token


class Parser:
    """Parses parts of one answer until its budget is spent; from then on nothing parses.

    Without an end, a text of n lines could ask for n² of them to be parsed.
    """

    def __init__(self, size: int) -> None:
        """size: length of the answer in characters."""
        self.characters = 8 * size + 200_000
        self.calls = 4_000
        self._seen: dict[str, tuple[list[ast.stmt] | None, int | None]] = {}

    def spend(self, characters: int) -> None:
        """Account for so many characters of work."""
        self.characters -= characters

    @property
    def spent(self) -> bool:
        """Whether nothing is left to spend."""
        return self.characters <= 0 or self.calls <= 0

    def attempt(self, code: str) -> tuple[list[ast.stmt] | None, int | None]:
        """(statements, None), or (None, line of the error, counted from 1, where it is known)."""
        if code in self._seen:
            return self._seen[code]
        if self.spent:
            return None, None
        self.calls -= 1
        self.spend(len(code))
        found: tuple[list[ast.stmt] | None, int | None]
        try:
            found = ast.parse(code).body, None
        except SyntaxError as error:
            found = None, error.lineno
        except (ValueError, RecursionError, MemoryError):
            found = None, None
        self._seen[code] = found
        return found

    def body(self, code: str) -> list[ast.stmt] | None:
        """The statements of a text; None when it does not parse."""
        return self.attempt(code)[0]

    def longest_start(self, lines: Sequence[str], tries: int = 60) -> int:
        """How many of the lines, from the first, make the longest start that parses and holds a statement; 0: none does."""
        end = len(lines)
        for _ in range(tries):
            while end and not lines[end - 1].strip():
                end -= 1
            if not end:
                return 0
            body, line = self.attempt("\n".join(lines[:end]))
            if body is not None:
                return end if body else 0
            end = min(end - 1, end if line is None else line - 1)  # no start that holds the line of the error parses
        return 0
