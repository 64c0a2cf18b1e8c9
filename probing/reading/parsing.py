"""`ast.parse` for texts of any kind: failures are answers, and there is an end to the work that one answer can make."""

from __future__ import annotations

import ast
from collections.abc import Sequence


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
