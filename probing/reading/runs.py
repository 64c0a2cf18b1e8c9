"""Runs: the lines of a block that parse, as they follow one another.

A text that parses is one run. Elsewhere every statement at the left margin that parses is kept, and a run ends where one does not (prose, a
line that was cut off), after the longest start of it that does. evalplus looks for the longest run of lines in the same way
(`evalplus/sanitize.py` of 0.3.1), by trying every pair of lines.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from probing.reading.blocks import Block, unindented, without_language_line
from probing.reading.parsing import NEUTRAL, Parser, scan
from probing.reading.text import up_to_end_mark

_STARTS = re.compile(r"[^\s#)\]}]")  # a line at the left margin that may begin a statement, unless it goes on with one:
_GOES_ON = re.compile(r"(?:else|elif|except|finally)\b")
_MAY_BE_CODE = re.compile(r"[=(\[@'\":]|(?:import|from|pass|global|del|return|raise)\b")
_BYTE_ORDER_MARK = re.compile(r"^\ufeff+", re.MULTILINE)  # of a file that was put into the answer
_LONGEST_STATEMENT = 400  # statements at the left margin that one bracket may span
_INDENTED_PART = re.compile(r"(?:^[ \t]+\S.*$\n?|^[ \t]*\n)+", re.MULTILINE)
_OPENS_BODY = re.compile(r"^(?:(?:async[ \t]+)?(?:def|for|with)|class|if|elif|else|while|try|except|finally|match)\b.*:$|[\])]:$|->.*:$")
_INDENTED = re.compile(r"([ \t]+)(?:(?:async[ \t]+def|def|class|import|from)\b|@)")


@dataclass(frozen=True)
class CodeRun:
    """Statements that follow one another."""

    text: str
    body: list[ast.stmt]  # not empty; their lines are those of `text`
    fenced: bool
    cut: bool = False  # the last statement is the start of one that does not parse


def runs_of(block: Block, parser: Parser) -> list[CodeRun]:
    """The runs of a block, in order."""
    text = without_language_line(block.text.removeprefix("\ufeff"))
    whole = _whole(text, block, parser) or _whole(unindented(text), block, parser)
    if whole is not None:
        return [whole] if whole.body else []
    text = up_to_end_mark(unindented(_BYTE_ORDER_MARK.sub("", text)))
    lines = text.split("\n")
    found = []
    for start, end, cut in _spans(lines, parser):
        part = "\n".join(lines[start:end])
        body = parser.body(part)
        if body:
            found.append(CodeRun(part, body, block.fenced, cut))
    return found


def indented_runs(block: Block, parser: Parser) -> list[CodeRun]:
    """Runs of code that stands further right than the text around it."""
    lines = block.text.split("\n")
    found: list[CodeRun] = []
    place = 0
    while place < len(lines):
        code = _INDENTED.match(lines[place])
        if code is None:
            place += 1
            continue
        start = place
        while start and (not lines[start - 1].strip() or lines[start - 1].startswith(code[1])):
            start -= 1
        place = next((i for i in range(place, len(lines)) if lines[i].strip() and not lines[i].startswith(code[1])), len(lines))
        part = Block(unindented("\n".join(lines[start:place])), block.fenced)
        found += [run for run in runs_of(part, parser) if not any(map(_is_method, run.body))]
    return found


def indented_parts(text: str) -> list[Block]:
    """The paragraphs of a text that stand further right than the text around them, but for bodies of statements."""
    found = _INDENTED_PART.finditer(text)
    return [Block(part.group(), False) for part in found if not _OPENS_BODY.search(text[: part.start()].rstrip().rpartition("\n")[2])]


def _is_method(statement: ast.stmt) -> bool:
    if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    return bool(statement.args.args) and statement.args.args[0].arg in ("self", "cls")


def _whole(text: str, block: Block, parser: Parser) -> CodeRun | None:
    body = parser.body(text)
    return None if body is None else CodeRun(text, body, block.fenced)


def _spans(lines: Sequence[str], parser: Parser) -> Iterator[tuple[int, int, bool]]:
    """(first line, line behind the last, whether it was cut) of every run."""
    margins = [i for i, line in enumerate(lines) if _STARTS.match(line.lstrip("\f")) and not _GOES_ON.match(line)]
    ends = [*margins[1:], len(lines)]
    place, end = 0, 0
    start: int | None = None
    while place < len(margins) and not parser.spent:
        at = margins[place]
        last = _last_part(lines, margins, ends, place, parser)
        if last is None:  # the statement does not parse: as much of it as does ends the run
            stop = ends[_decorated(lines, margins, place)]
            kept = parser.longest_start(lines[at:stop]) if stop - at > 1 else 0
            if kept:
                yield (at if start is None else start), at + kept, True
            elif start is not None:
                yield start, at, False
            start = None
            place += 1
            continue
        if start is None:
            start = at
        place, end = last + 1, ends[last]
    if start is not None:
        yield start, end, False


def _last_part(lines: Sequence[str], margins: Sequence[int], ends: Sequence[int], place: int, parser: Parser) -> int | None:
    """The place of the margin with which the statement that begins at `place` ends; None when it does not parse.

    A statement goes on over lines at the left margin behind a decorator, in a string and in brackets.
    """
    at = margins[place]
    if not _MAY_BE_CODE.search(lines[at]):
        return None
    last = _decorated(lines, margins, place)
    if parser.body("\n".join(lines[at : ends[last]])):
        return last
    state = scan("\n".join(lines[at : ends[last]]))
    while state != NEUTRAL and not parser.spent and last + 1 < len(margins) and last - place < _LONGEST_STATEMENT:
        last += 1
        part = "\n".join(lines[margins[last] : ends[last]])
        parser.spend(len(part) + 40)
        state = scan(part, state)
    return last if last > place and state == NEUTRAL and parser.body("\n".join(lines[at : ends[last]])) else None


def _decorated(lines: Sequence[str], margins: Sequence[int], place: int) -> int:
    """The place of the margin that the decorators from `place` on belong to; `place` itself where there are none."""
    while lines[margins[place]].startswith("@") and place + 1 < len(margins):
        place += 1
    return place
