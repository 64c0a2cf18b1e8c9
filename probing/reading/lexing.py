"""Where Python's strings, comments and brackets lie in a text that may not be Python. One pass, never an error."""

from __future__ import annotations

import re
from collections.abc import Iterator

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
