"""Texts for standard input, as statements and answers write them: under headings such as `Input:` or `### Sample Input 1`.

    Input:
    3
    1 2 3
    Output:
    6

What stands between fences below a heading is the text; without fences, the lines up to the next heading are, less the backticks around a
single one (Input: `3`). Nothing is executed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

LONGEST = 2_000  # characters of one input
HeadingKind = Literal["input", "output", "examples", "other"]

_SHOWN = ("sample", "example", "test")
_KINDS: dict[str, HeadingKind] = {
    **dict.fromkeys(("input", "standard input", "stdin"), "input"),
    **dict.fromkeys(("output", "standard output", "stdout", "expected output"), "output"),
    **dict.fromkeys(("example", "examples", "sample", "samples", "sample test", "sample tests", "test case", "test cases"), "examples"),
    **dict.fromkeys(("explanation", "explanations", "note", "notes", "constraints", "hint", "solution", "end"), "other"),
    **dict.fromkeys(("input format", "output format"), "other"),
}
_FENCE = re.compile(r"^[ \t]*(```|~~~).*$")
_TICKED = re.compile(r"[ \t]*`([^`\n]+)`[ \t]*")
# `Input:`, `**Input:** 3`, `### Sample Input 1`, `2. Input`, `Example 1:`
_HEADING = re.compile(
    r"^[ \t>]*(?P<mark>#{1,6}[ \t]*|\d{1,2}[.)][ \t]+(?=[A-Za-z*_])|[-*][ \t]+(?=[A-Za-z*_]))?(?P<marked>[*_`]{1,3})?"
    r"(?P<words>[A-Za-z]+(?: [A-Za-z]+){0,2})[ \t]*(?:#?\d{1,3})?[ \t]*"
    r"(?P<colon>:)?[*_`]{0,3}(?P<late>:)?[ \t]*(?P<rest>.*)$"
)


@dataclass(frozen=True)
class StdinExample:
    """An input with what a statement says is printed for it.

    >>> stdin_examples_in("Input: 2\\nOutput: 4")
    [StdinExample(input='2\\n', output='4')]
    """

    input: str  # in the form of `input_text`
    output: str | None  # None: it is not said

    def text(self) -> str:
        """The form in which prompts show it, and `stdin_examples_in` reads it."""
        return f"Input:\n{self.input}" + ("" if self.output is None else f"Output:\n{self.output}\n")


def stored_sample(text: str) -> StdinExample:
    """What `StdinExample.text` wrote, also where its input or output holds lines that look like headings.

    >>> stored_sample("Input:\\nNote: 2\\nOutput:\\n4")
    StdinExample(input='Note: 2\\n', output='4')
    """
    given, found, printed = text.removeprefix("Input:\n").rpartition("\nOutput:\n")
    if not found:
        given, printed = printed, ""
    return StdinExample(given.strip("\n") + "\n", printed.strip("\n") if found else None)


@dataclass
class _Section:
    kind: HeadingKind
    shown: bool  # whether its heading says that it is an example
    lines: list[str]


def input_text(text: str) -> str | None:
    """A text as standard input: no blank lines around it, no space at the ends of lines, a newline at its end.

    None for one that is empty, too long, or cut short with an ellipsis.

    >>> input_text("\\n3 \\n1 2 3"), input_text("1 2 ... 100")
    ('3\\n1 2 3\\n', None)
    """
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    while lines and not lines[0]:
        lines.pop(0)
    while lines and not lines[-1]:
        lines.pop()
    found = "\n".join(lines) + "\n"
    if not lines or len(found) > LONGEST or "\0" in found or _is_cut_short(lines):
        return None
    return found


def _is_cut_short(lines: list[str]) -> bool:
    """Whether an ellipsis stands for a part of the text. Three dots may also be a row of a grid of three columns."""
    words = [line.split() for line in lines]
    if any("…" in line or ("..." in line and len(line) > 1) for line in words):
        return True
    rows = [line[0] for line in words if len(line) == 1 and len(line[0]) == 3 and not line[0].isalnum()]
    return ["..."] in words and len(rows) == 1


def stdin_examples_in(text: str, statement: bool = False) -> list[StdinExample]:
    """The examples of a text, each input once.

    statement: the text is a whole statement, in which a heading `Input` may stand above the format of the input; then only what is called a
    sample or an example counts, or stands below a heading that is.
    """
    found: dict[str, StdinExample] = {}
    sections = list(_sections(text.split("\n")))
    below = False
    for place, section in enumerate(sections):
        below = below or section.kind == "examples"
        if section.kind != "input" or not (section.shown or below or not statement):
            continue
        after = next(iter(sections[place + 1 : place + 2]), None)
        output = _content(after.lines, paragraph=True) if after is not None and after.kind == "output" else None
        if (given := input_text(_content(section.lines))) is not None:
            found.setdefault(given, StdinExample(given, output or None))
    return list(found.values())


def inputs_in(text: str, finished: bool = True) -> list[str]:
    """The distinct inputs of an answer that was asked for some: those under headings, or where it has none, what stands between fences.

    finished: whether the answer came to its end; else what is cut off is left out.
    """
    sections = list(_sections(text.split("\n")))
    if any(section.kind == "input" for section in sections):
        if not finished:
            sections.pop()
        texts: Iterable[str] = (_content(section.lines) for section in sections if section.kind == "input")
    else:
        texts = _fenced(text.split("\n"))
    return list(dict.fromkeys(found for part in texts if (found := input_text(part)) is not None))


def example_of(value: Any) -> str:
    """What a row says under `example`, as text. value: a text, or {"input": ..., "output": ...}, or a list of either.

    Raises ValueError for anything else.
    """
    if isinstance(value, str):
        return value.strip("\n")
    if isinstance(value, list):
        return "\n".join(example_of(item).strip("\n") for item in value)
    if isinstance(value, Mapping) and isinstance(value.get("input"), str) and isinstance(value.get("output", ""), str):
        given = input_text(value["input"])
        if given is not None:
            output = str(value.get("output", "")).strip("\n")
            return StdinExample(given, output or None).text().strip("\n")
    raise ValueError("an example is a text, or {input: TEXT, output: TEXT}")


def _sections(lines: Iterable[str]) -> Iterator[_Section]:
    """The parts of a text, each below a heading; what stands before the first is left out."""
    current: _Section | None = None
    fenced = False
    for line in lines:
        fenced ^= _FENCE.match(line) is not None
        heading = None if fenced else _heading(line)
        if heading is not None:
            if current is not None:
                yield current
            current = heading
        elif current is not None:
            current.lines.append(line)
    if current is not None:
        yield current


def _heading(line: str) -> _Section | None:
    match = _HEADING.match(line)
    if match is None:
        return None
    marked, colon, rest = match["mark"] or match["marked"], match["colon"] or match["late"], match["rest"].strip()
    words = match["words"].lower().split()
    shown = len(words) > 1 and words[0] in _SHOWN and words[-1] in ("input", "output")
    kind = _KINDS.get(" ".join(words[1:] if shown else words))
    if kind is None or (rest and not colon):
        return None
    if kind in ("other", "examples") and not (marked or colon) and words[0] != "examples" and words[0] != "example":
        return None  # a line of its own in an input may be such a word
    return _Section(kind, shown, [rest] if rest else [])


def _content(lines: list[str], paragraph: bool = False) -> str:
    """The text of a section: what stands between its first fences, else its lines, or their first paragraph."""
    if fenced := next(_fenced(lines), None):
        return fenced
    text = "\n".join(line for line in lines if not _FENCE.match(line)).strip("\n")
    text = re.split(r"\n[ \t]*\n", text, maxsplit=1)[0] if paragraph else text
    ticked = _TICKED.fullmatch(text.rstrip())
    return ticked[1] if ticked else text


def _fenced(lines: Iterable[str]) -> Iterator[str]:
    """What stands between fences; a block that is not closed is left out."""
    inside: list[str] | None = None
    for line in lines:
        if _FENCE.match(line):
            if inside is not None:
                yield "\n".join(inside)
            inside = [] if inside is None else None
        elif inside is not None:
            inside.append(line)
