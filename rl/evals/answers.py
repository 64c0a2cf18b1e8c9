"""The program in an answer to a benchmark's prompt: a chat answer with a code block, a bare program, or a continuation of the prompt.

After evalplus 0.3.1, `evalplus/sanitize.py` (the part of an answer that parses) and `evalplus/provider/utility.py` (what ends a
continuation). Texts only; nothing is executed.
"""

from __future__ import annotations

import ast
import re
import warnings

_FENCE = re.compile(r"```[ \t]*[\w+-]*[ \t]*\r?\n(.*?)(?:\n[ \t]*```|\Z)", re.DOTALL)
_START = re.compile(r"^(?:def |class |import |from |@|async def )", re.MULTILINE)
STOPS = ("\ndef ", "\nclass ", "\nimport ", "\nfrom ", "\nassert ", "\nif __name__", "\nprint(", "\n#", "\n```", "<|endoftext|>", "</s>")
TRIES = 400  # lines dropped from the end in search of a text that parses


def parses(code: str) -> bool:
    """Whether the text is Python. Warnings about it are nobody's concern."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def blocks(text: str) -> list[str]:
    """Fenced code blocks, in order; one that was cut off counts too."""
    return [match.group(1).rstrip() for match in _FENCE.finditer(text)]


def longest_parsing_start(code: str) -> str:
    """The text without the last lines that keep it from parsing; the whole text when nothing of it parses."""
    lines = code.splitlines()
    for end in range(len(lines), max(len(lines) - TRIES, 0), -1):
        start = "\n".join(lines[:end]).rstrip()
        if parses(start):
            return start or code
    return code


def defines(code: str, entry: str) -> bool:
    return (
        re.search(rf"^[ \t]*(?:async[ \t]+)?(?:def|class)[ \t]+{re.escape(entry)}\b|^{re.escape(entry)}[ \t]*=", code, re.MULTILINE)
        is not None
    )


def solution_of(answer: str, entry: str, prompt: str | None = None) -> str | None:
    """The program in an answer; None when there is none. prompt: the code that a continuation continues, None where there is no such form.

    >>> solution_of("Sure:\\n```python\\ndef f(x):\\n    return x\\n```\\nDone.", "f")
    'def f(x):\\n    return x'
    >>> solution_of("    return x + 1\\n\\nprint(f(1))", "f", "def f(x):\\n")
    'def f(x):\\n    return x + 1'
    """
    fenced = blocks(answer)
    whole = [block for block in fenced if defines(block, entry)]
    if whole:
        return longest_parsing_start(max(whole, key=len))
    if not fenced and defines(answer, entry):
        start = _START.search(answer)
        return longest_parsing_start(answer[start.start() if start else 0 :])
    body = fenced[0] if fenced else answer
    if prompt is not None and body.strip():
        cut = min((place for stop in STOPS if (place := body.find(stop)) >= 0), default=len(body))
        continued = prompt.rstrip() + "\n" + body[:cut].strip("\n")
        if parses(continued):
            return continued.rstrip()
    return longest_parsing_start(max(fenced, key=len)) if fenced else None
