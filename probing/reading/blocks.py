"""The blocks of an answer: what stands between fences or tags, and the text around them, in order.

Fences are read as people and models write them, not only as CommonMark has them: any tag or attributes, code on the fence's own line, in
lists and quotes, closed by a fence at the end of a line of code, cut off, or closed without having been opened. A fence inside a Python
string or comment is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from probing.reading.parsing import NEUTRAL, Parser, fences, scan

PYTHON_WORD = r"(?:python|py|pypy|ipython|sage)[ \t]*[\d.]*"
_CODE = (
    r"(?:(?:async[ \t]+)?def[ \t]+\w+[ \t]*\(|class[ \t]+\w+[ \t]*[:(]|import[ \t]+\w|from[ \t]+[\w.]+[ \t]+import\b|@\w+|\w+[ \t]+=[ \t]"
    r"|\w+=(?:[\[({]|lambda\b|\w+\())"  # no attribute of a fence: those are quoted, or plain words
)
_OPENING = re.compile(r"^[ \t]*(?:(?:>|[-*+]|\d{1,3}[.)])[ \t]+)*(?P<tilde>~{3,})(?=[^\n~]*$)|(?P<tick>`{3,})", re.MULTILINE)
_CLOSING_LINE = re.compile(r"^[ \t>]*(`{3,}|~{3,})[ \t]*$", re.MULTILINE)
_PREFIX = re.compile(r"[ \t]*(?:(?:>|[-*+]|\d{1,3}[.)])[ \t]*)*")
_QUOTED = re.compile(r"""(?<!\w)[fFrRbBuU]{0,2}("|')(?:\\.|(?!\1)[^\\\n])*\1""")  # a string of one line; no apostrophe in a word
_STARTS_WITH_CODE = re.compile(
    rf"[ \t]*(?:{PYTHON_WORD}[ \t]*(?=(?-i:def|import|from|class) )|{PYTHON_WORD}[ \t]+)?(?={_CODE})", re.IGNORECASE
)
_LANGUAGE_LINE = re.compile(rf"\s*(?:{PYTHON_WORD})[ \t]*(?:Copy(?:[ \t]code)?[ \t]*)?\n", re.IGNORECASE)
_LANGUAGE_WORD = re.compile(rf"[ \t]*(?:{PYTHON_WORD})[ \t]+", re.IGNORECASE)
_TAG = re.compile(r"[ \t]*\{?[ \t]*\.?([\w+#-]*)")
_TAGGED = re.compile(
    r"^[ \t]*(?:\[(?P<square>BEGIN|PYTHON|CODE|ANSWER|SOLUTION)\]|<(?P<angle>code|python|answer|solution)>)", re.MULTILINE | re.IGNORECASE
)
_NOT_PYTHON = frozenset(
    (
        *("bash", "sh", "shell", "zsh", "console", "terminal", "powershell", "cmd", "dockerfile", "makefile", "diff", "patch"),
        *("text", "txt", "plaintext", "plain", "output", "stdout", "stdin", "input", "json", "yaml", "yml", "toml", "xml", "csv", "ini"),
        *("html", "css", "latex", "tex", "mermaid", "javascript", "js", "typescript", "ts", "java", "kotlin", "scala", "c", "cpp", "c++"),
        *("c#", "csharp", "go", "rust", "swift", "ruby", "php", "perl", "lua", "sql", "r", "matlab", "julia", "haskell"),
    )
)
_MARKDOWN = frozenset(("markdown", "md", "mdx"))
_HEAD = re.compile(r"^\ufeff*([ \t]*)(?:(?:async[ \t]+)?def|class)[ \t]+\w", re.MULTILINE)
_ENDS = 12  # lines with which a definition may end that are tried
_LOOKS_AHEAD = 50  # blocks of an answer for whose end strings are looked at; later ones end at the first fence
_NESTING = 3


@dataclass(frozen=True)
class Block:
    """A part of an answer."""

    text: str
    fenced: bool  # it stood between fences or tags
    tag: str = ""  # language on the fence, lower case
    python: bool = True  # False where the tag names something else


def blocks_of(text: str, parser: Parser, nesting: int = _NESTING) -> list[Block]:
    """The blocks of a text, in order; empty ones are left out."""
    if "```" in text and "\n~~~" not in text and parser.body(text):
        return [Block(text, False)]  # a program, with fences in its strings
    blocks = _fenced(text, parser)
    if len(blocks) == 1 and not blocks[0].fenced:
        blocks = _tagged(text)
    flat: list[Block] = []
    for block in blocks:
        if nesting and block.fenced and _holds_fences(block, parser):
            flat += blocks_of(block.text, parser, nesting - 1)
        elif block.text.strip():
            flat.append(block)
    return flat


def _holds_fences(block: Block, parser: Parser) -> bool:
    """Whether the block is Markdown with blocks of its own."""
    if "```" not in block.text and "~~~" not in block.text:
        return False
    return block.tag in _MARKDOWN or (next(fences(block.text, 0), None) is not None and parser.body(block.text) is None)


def without_language_line(text: str) -> str:
    """The text without a first line that names the language."""
    line = _LANGUAGE_LINE.match(text)
    return text[line.end() :] if line else text


def _fenced(text: str, parser: Parser) -> list[Block]:
    closing_lines = _CLOSING_LINE.finditer(text)
    closing = next(closing_lines, None)
    blocks: list[Block] = []
    behind = place = seen = 0  # where the last block ended; where to look for the next
    while (opening := _OPENING.search(text, place)) is not None:
        fence = opening["tilde"] or opening["tick"]
        at = opening.end() - len(fence)
        line, end_of_line = text.rfind("\n", 0, at) + 1, _line_end(text, at)
        quoted = [found.span() for found in _QUOTED.finditer(text, line, end_of_line)]
        place = opening.end()
        if any(start < at < end for start, end in quoted):
            continue
        blocks.append(Block(text[behind:at], False))
        if opening["tick"] and (one_line := _fence_behind(text, place, end_of_line, fence, quoted)) is not None:
            inside = text[place:one_line]
            word = _LANGUAGE_WORD.match(inside)
            blocks.append(Block(inside[word.end() :] if word else inside, True))
            behind = place = one_line + len(fence)
            continue
        info = text[place:end_of_line]
        code, found = _STARTS_WITH_CODE.match(info), _TAG.match(info)
        start = place + code.end() if code else min(end_of_line + 1, len(text))
        tag = "" if code or found is None else found[1].lower()
        while closing is not None and (closing.start() < start or not closing[1].startswith(fence)):
            closing = next(closing_lines, None)
        seen += 1
        prefix = _PREFIX.fullmatch(text, line, at)
        margin = prefix.group() if prefix else ""
        end, place = _end_of_block(text, start, fence, margin, closing, parser if seen <= _LOOKS_AHEAD else None)
        behind = place
        blocks.append(Block(_unprefixed(text[start:end], margin), True, tag, tag not in _NOT_PYTHON))
    return [*blocks, Block(text[behind:], False)] if blocks else [Block(text, False)]


def _fence_behind(text: str, start: int, end: int, fence: str, quoted: list[tuple[int, int]]) -> int | None:
    """Where on a line, from `start` on, a fence stands that is in no string."""
    while (found := text.find(fence, start, end)) >= 0:
        if not any(first < found < last for first, last in quoted):
            return found
        start = found + len(fence)
    return None


def _end_of_block(text: str, start: int, fence: str, margin: str, line: re.Match[str] | None, parser: Parser | None) -> tuple[int, int]:
    """(end of the block that starts at `start`, where to go on): at the end of the text for a block that was cut off.

    margin: what stands in front of the opening fence. line: the first line that is a closing fence, in a string or not.
    """
    first = None if line is None else (line.start(), line.end())
    if fence[0] == "~" or parser is None:
        return first or (len(text), len(text))
    found = _closing_fence(text, start, len(fence))
    parser.spend(((found[0] if found else len(text)) - start) // 4)
    if first is None or found == first:
        return found or (len(text), len(text))
    if found is None:
        return (len(text), len(text)) if scan(text[start:]) == NEUTRAL else first
    # A string that is never closed must not swallow what follows.
    inside = unindented(_unprefixed(text[start : found[0]], margin))
    if found[0] < first[0] or parser.body(inside) is not None or _in_a_string(text, start, first, found[0], margin, parser):
        return found
    return first


def _in_a_string(text: str, start: int, fence: tuple[int, int], end: int, margin: str, parser: Parser) -> bool:
    """Whether a fence between `start` and `end` lies in a string of a definition that parses, whatever stands around that."""
    heads = list(_HEAD.finditer(text, start, fence[0]))
    if not heads:
        return False
    head = heads[-1]
    behind = re.compile(rf"^[ \t]{{0,{len(head[1])}}}\S", re.MULTILINE)
    ends = [line.start() for line, _ in zip(behind.finditer(text, fence[1], end), range(_ENDS), strict=False)]
    return any(parser.body(unindented(_unprefixed(text[head.start(1) : place], margin))) for place in [*ends, end])


def _closing_fence(text: str, start: int, length: int) -> tuple[int, int] | None:
    """The first fence of that length outside of strings. One that carries a language opens the next block instead of ending its line."""
    for found in fences(text, start):
        if len(found.group()) < length:
            continue
        line = text.rfind("\n", 0, found.start()) + 1
        rest = text[found.end() : _line_end(text, found.end())].strip()
        own_line = _PREFIX.fullmatch(text, line, found.start()) is not None
        tag = _TAG.match(rest)
        opens = own_line and rest and tag is not None and _opens(tag[1].lower(), rest)
        return (max(line, start) if own_line else found.start()), (max(line, start) if opens else found.end())
    return None


def _opens(tag: str, rest: str) -> bool:
    return (re.fullmatch(PYTHON_WORD, tag) is not None or tag in _NOT_PYTHON or tag in _MARKDOWN) and len(rest.split()) <= 3


def _unprefixed(text: str, prefix: str) -> str:
    """The lines of a block without the quote marks or the indentation that its fence has."""
    if not prefix:
        return text
    lines = text.split("\n")
    if ">" in prefix:
        return "\n".join(re.sub(r"^[ \t]*(?:>[ \t]?)+", "", line) for line in lines)
    return "\n".join(re.sub(rf"^[ \t]{{1,{len(prefix)}}}", "", line) for line in lines)


def unindented(text: str) -> str:
    """The lines without the indentation of the first of them that has any content."""
    first = re.match(r"(?:[ \t\f]*\n)*([ \t]+)\S", text)
    return re.sub(rf"(?m)^{re.escape(first[1])}", "", text) if first else text


def _line_end(text: str, place: int) -> int:
    end = text.find("\n", place)
    return len(text) if end < 0 else end


def _tagged(text: str) -> list[Block]:
    """Blocks between tags such as [BEGIN] and [DONE]; the text itself where there are none."""
    return list(_tagged_parts(text)) if _TAGGED.search(text) else [Block(text, False)]


def _tagged_parts(text: str) -> Iterator[Block]:
    place = 0
    while (opening := _TAGGED.search(text, place)) is not None:
        yield Block(text[place : opening.start()], False)
        name = opening["square"] or opening["angle"]
        closing = rf"\[(?:/{name}|DONE|END)\]" if opening["square"] else rf"</{name}>"
        own_line = re.compile(rf"^[ \t]*{closing}", re.IGNORECASE | re.MULTILINE).search(text, opening.end())
        found = own_line or re.compile(closing, re.IGNORECASE).search(text, opening.end())
        end, place = (found.start(), found.end()) if found else (len(text), len(text))
        yield Block(text[opening.end() : end], True)
    yield Block(text[place:], False)
