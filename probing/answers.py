"""Reading a model's answers: headed sections, code blocks, the program in an answer. Texts only; nothing is executed."""

from __future__ import annotations

import re

_HEADING = re.compile(r"^#{2,4}\s*([A-Za-z]+)\s*:?\s*$", re.MULTILINE)
_FENCE = re.compile(r"```[ \t]*(?:python|py)?[ \t]*\r?\n(.*?)(?:\n[ \t]*```|\Z)", re.DOTALL | re.IGNORECASE)


def headed_sections(text: str) -> dict[str, str]:
    """The text under each `### Heading` line; the first of equal headings counts.

    >>> headed_sections("### Title\\nTwice\\n### End")
    {'Title': 'Twice', 'End': ''}
    """
    marks = list(_HEADING.finditer(text))
    ends = [*(mark.start() for mark in marks[1:]), len(text)][: len(marks)]
    sections: dict[str, str] = {}
    for mark, end in zip(marks, ends, strict=True):
        sections.setdefault(mark.group(1).capitalize(), text[mark.end() : end].strip())
    return sections


def code_block(text: str) -> str | None:
    """The first fenced code block, also one that was cut off before its closing fence; None when there is none."""
    match = _FENCE.search(text)
    return match.group(1).rstrip() if match else None
