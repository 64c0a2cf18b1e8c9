"""Interfaces: a function's header and docstring (stage 3), read from answers and put together."""

from __future__ import annotations

import ast
import re
import warnings

from probing.parsing.answers import code_block
from probing.parsing.proposals import header_line
from probing.reading.text import answer_text

_NO_SOURCE = re.compile("[\x00\r\ud800-\udfff]")  # what a docstring says by escapes alone
_QUOTES = re.compile(r'"{3}|"\Z')  # in a docstring: what would end it


def parse_interface(text: str, entry: str) -> str | None:
    """Signature and docstring of `entry` from an answer, or None when they are not valid Python with typed arguments.

    A body after the docstring is dropped; a docstring that a stop string left open is closed.
    """
    code = code_block(text) or answer_text(text)
    function = _function(code) or _function(code.rstrip() + '"""') or _function(code.rstrip() + '\n    """')
    if function is None or function.name != entry or not all(a.annotation for a in function.args.args):
        return None
    words = ast.get_docstring(function)
    if not words or not words.strip():
        return None
    return interface_of(header_line(function), words)


def interface_of(header: str, words: str) -> str:
    """The interface with this header and docstring.

    >>> parse_interface(interface_of("def f(x: int) -> int:", "The square."), "f") == interface_of("def f(x: int) -> int:", "The square.")
    True
    """
    return f"{header}\n    {_docstring(words)}"


def _docstring(words: str) -> str:
    """A docstring of these words as it stands in a function: whatever they hold, they are read back from it."""
    text = _QUOTES.sub(lambda found: found.group().replace('"', '\\"'), words.rstrip().replace("\\", "\\\\"))
    text = _NO_SOURCE.sub(lambda found: f"\\u{ord(found.group()):04x}", text)
    return '"""' + "\n    ".join(text.split("\n")) + '"""'


def _function(code: str) -> ast.FunctionDef | None:
    """The only function of a program without anything else but imports; None when there is no such thing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            body = [node for node in ast.parse(code).body if not isinstance(node, ast.Import | ast.ImportFrom)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return body[0] if len(body) == 1 and isinstance(body[0], ast.FunctionDef) else None
