"""One program from the statements that are kept: the text as it was written, without the lines of the others."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from itertools import groupby


def kept_text(text: str, body: Sequence[ast.stmt], kept: Sequence[bool]) -> str:
    """The text of the kept statements, with the comments right above them; the whole text where all are kept.

    body: the statements of `text`, in order. kept: bool for each.
    """
    if all(kept):
        return text.strip("\n").rstrip()
    lines = text.split("\n")
    pieces: list[tuple[int, int, str]] = []  # first line, line behind the last, text
    behind = 0
    for group in _sharing_lines(list(zip(body, kept, strict=True))):
        start, end = first_line(group[0][0]), max(_last_line(s) for s, _ in group)
        while start > behind and lines[start - 1].startswith("#"):
            start -= 1
        behind = end
        if all(keep for _, keep in group):
            pieces.append((start, end, "\n".join(lines[start:end])))
        elif any(keep for _, keep in group):
            pieces.append((start, -1, "\n".join(ast.unparse(s) for s, keep in group if keep)))
        else:
            pieces.append((start, end, ""))
    joined = ""
    before = -1  # the line behind the last piece, where it is kept as it was written
    for start, end, part in pieces:
        if not part:
            before = -1
            continue
        gap = "\n" + "".join(f"{line}\n" for line in lines[before:start]) if before >= 0 else "\n\n\n"
        joined += (gap if joined else "") + part
        before = end
    return joined


def join(parts: Sequence[str]) -> str:
    """The parts as one program, with `from __future__` in front."""
    parts = [part for part in parts if part]
    if len(parts) <= 1:
        return "".join(parts)
    future: list[str] = []
    rest: list[str] = []
    for part in parts:
        lines = part.split("\n")
        future += [line for line in lines if line.startswith("from __future__ import")]
        rest.append("\n".join(line for line in lines if not line.startswith("from __future__ import")).strip("\n"))
    joined = "\n".join(dict.fromkeys(future))
    for part in filter(None, rest):
        imports = part.startswith(("import ", "from ")) and "\n" not in part
        last = joined.rpartition("\n")[2]
        joined += ("" if not joined else "\n" if imports and last.startswith(("import ", "from ")) else "\n\n\n") + part
    return joined


def import_of(statement: ast.ImportFrom, name: str) -> str:
    """An import of one of the names that the statement imports."""
    aliases = [alias for alias in statement.names if (alias.asname or alias.name) == name]
    return ast.unparse(ast.ImportFrom(statement.module, aliases, statement.level))


def indent_behind(head: str) -> str:
    """The indentation of the body of the function that the text ends in."""
    last = head.rstrip().rsplit("\n", 1)[-1]
    margin = last[: len(last) - len(last.lstrip())]
    return margin + "    " if last.endswith(":") else margin or "    "


def first_line(statement: ast.stmt) -> int:
    """The statement's first line, decorators included, counted from 0."""
    decorators = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(d.lineno for d in decorators)]) - 1


def statement_text(text: str, statement: ast.stmt) -> str:
    """The statement as it was written, with the comments behind it that stand further right than it does."""
    lines, end = text.split("\n"), _last_line(statement)
    while end < len(lines) and (not lines[end].strip() or _is_comment(lines[end], statement.col_offset)):
        end += 1
    return "\n".join(lines[first_line(statement) : end])


def _is_comment(line: str, margin: int) -> bool:
    """Whether the line is a comment that stands further right than the margin."""
    return line.lstrip().startswith("#") and len(line) - len(line.lstrip()) > margin


def _last_line(statement: ast.stmt) -> int:
    """The line behind the statement, counted from 0."""
    return statement.end_lineno or statement.lineno


def _sharing_lines(statements: Sequence[tuple[ast.stmt, bool]]) -> list[list[tuple[ast.stmt, bool]]]:
    """Statements in groups: those that share a line (`a = 1; b = 2`) together."""
    number, behind = 0, -1
    numbered = []
    for statement, keep in statements:
        number += first_line(statement) >= behind
        behind = max(behind, _last_line(statement))
        numbered.append((number, (statement, keep)))
    return [[pair for _, pair in group] for _, group in groupby(numbered, key=lambda item: item[0])]
