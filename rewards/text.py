"""Text in and out: JSON lines split on newlines alone, UTF-8 on stdout and stderr whatever the locale, files written whole, texts cut to a
width.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

BOM = "\ufeff"


def json_lines(text: str) -> Iterator[tuple[int, str]]:
    r"""(number from 1, line) of the lines that are not blank, without a byte order mark.

    JSON allows U+2028, U+2029 and U+0085 raw inside a string, and `str.splitlines` would cut there.

    >>> list(json_lines('\ufeff"a\u2028b"\r\n\n"c"'))
    [(1, '"a\u2028b"\r'), (3, '"c"')]
    """
    for number, line in enumerate(text.removeprefix(BOM).split("\n"), 1):
        if line.strip():
            yield number, line


def json_fault(error: ValueError | RecursionError) -> str:
    """Why `json.loads`, or the decoding before it, refuses a text: for a message. With the place, where the text has several lines.

    >>> try:
    ...     json.loads('{"a": 1,}')
    ... except ValueError as error:
    ...     json_fault(error)
    'Expecting property name enclosed in double quotes'
    """
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} (line {error.lineno})" if "\n" in error.doc.strip() else error.msg
    if isinstance(error, UnicodeDecodeError):
        return f"it is not UTF-8 (byte {error.start})"
    if isinstance(error, RecursionError):
        return "lists or objects are nested thousands deep"
    return "an integer has more digits than Python reads"


def read_fault(error: Exception) -> str:
    """Why a file cannot be read: for a message that names the file elsewhere.

    >>> try:
    ...     open("/", encoding="utf-8")
    ... except OSError as error:
    ...     read_fault(error)
    'Is a directory'
    """
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, UnicodeDecodeError):
        return f"it is not {error.encoding.upper()} (byte {error.start})"
    return str(error)


def discarding() -> TextIO:
    """A stream for the rest of the process that takes everything and keeps nothing."""
    return open(os.devnull, "w", encoding="utf-8")


def print_utf8() -> None:
    """Make stdout and stderr of this process UTF-8, whatever the locale or PYTHONIOENCODING says.

    What has no UTF-8 form (half a surrogate pair) is written as an escape, so that printing raises no UnicodeEncodeError. Streams that
    something else has put in their place (a notebook's, say) are left alone. One that is closed takes everything and keeps nothing.
    """
    if sys.stdout is None:
        sys.stdout = discarding()
    if sys.stderr is None:
        sys.stderr = discarding()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def argument_text(word: str) -> str:
    """A word of the command line, read as UTF-8 whatever the locale says."""
    return os.fsencode(word).decode("utf-8", "surrogateescape")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path to write to, whose file becomes that of `path` when the block ends: a reader, or a kill, sees the old file or the new one,
    never half of it.

    What is no file, such as a pipe or /dev/null, is written to itself. A link stays a link.
    """
    if str(path).startswith(("/dev/", "/proc/")) or (path.exists() and not path.is_file()):
        yield path
        return
    whole = path.resolve()
    part = whole.with_name(f".{whole.name}.{os.getpid()}")
    try:
        yield part
        os.replace(part, whole)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def shorten(text: str, width: int) -> str:
    """The text, or its first `width` - 1 characters and an ellipsis where it has more than `width`.

    >>> shorten("abcdef", 6), shorten("abcdef", 5)
    ('abcdef', 'abcd…')
    """
    return text if len(text) <= width else text[: width - 1] + "…"
