"""Calls with literal arguments, as models write them in examples and tests: `f([1], k=2) == 3`, `print(f(1))  # 1`, `f(1) -> 2`."""

from __future__ import annotations

import ast
import cmath
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

_LONGEST = 4_000  # characters of a line that are looked at
_ENDS = 40  # closing brackets at which a call may end, tried from the first


@dataclass(frozen=True)
class LiteralCall:
    """A call that could be made, and what stands after it."""

    arguments: list[Any]
    rest: str


def call_in(line: str, entry: str, names: Sequence[str] = ()) -> LiteralCall | None:
    """The first call of `entry` with literal arguments in a line, whatever surrounds it; None when there is none.

    names: the parameters, for calls with keywords.

    >>> call_in("assert f([1], k=2) == 3", "f", ("xs", "k"))
    LiteralCall(arguments=[[1], 2], rest=' == 3')
    """
    line = line[:_LONGEST]
    for start in re.finditer(rf"(?<![\w.]){re.escape(entry)}\s*\(", line):
        text = line[start.start() :]
        for end in islice((bracket.end() for bracket in re.finditer(r"\)", text)), _ENDS):
            arguments = _arguments(text[:end], names)
            if arguments is not None:
                return LiteralCall(arguments, text[end:])
    return None


def _arguments(text: str, names: Sequence[str]) -> list[Any] | None:
    """The arguments of a call in the order of the parameters; None where the text is no call with literals alone."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call = ast.parse(text, mode="eval").body
        if not isinstance(call, ast.Call):
            return None
        found = [ast.literal_eval(argument) for argument in call.args]
        by_name = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return None
    rest = names[len(found) :]
    if set(by_name) != set(rest[: len(by_name)]):
        return None
    return found + [by_name[name] for name in rest[: len(by_name)]]


def finite(value: Any) -> bool:
    """Whether all numbers in a literal value are finite. `1e400` is infinity, whose text `inf` is no literal.

    >>> finite([1.5, {"a": (2,)}]), finite([{"a": (1e400,)}])
    (True, False)
    """
    if isinstance(value, dict):
        return all(finite(key) and finite(inner) for key, inner in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(finite, value))
    return not isinstance(value, float | complex) or cmath.isfinite(value)


_SAID = re.compile(r"\s*[`)]*\s*(?:==|=>|->|→|#|returns?|should return|is|=)\s*`?(.+?)`?[.;]?\s*$")


def value_after(rest: str) -> Any:
    """The literal that a text such as ` == 3` or `  # 3` says a call gives; None where it says none."""
    said = _SAID.match(rest)
    try:
        return ast.literal_eval(said[1].strip()) if said else None
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return None
