"""Reading an invented problem: its parts under headings in any of the usual forms, and a signature with types.

What cannot be read has a reason, which the funnel counts. Texts only; nothing is executed.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterable, Mapping

from probing.parsing.calls import call_in, value_after
from probing.parsing.typed_values import annotation_of, takes_literals
from probing.reading.text import answer_text
from probing.records import Problem, short_hash

NAMES = {
    "title": "title",
    "name": "title",
    "problem title": "title",
    "problem": "problem",
    "problem statement": "problem",
    "problem description": "problem",
    "description": "problem",
    "statement": "problem",
    "task": "problem",
    "signature": "signature",
    "function signature": "signature",
    "function": "signature",
    "example": "example",
    "examples": "example",
    "example usage": "example",
    "hint": "hint",
    "hints": "hint",
    "constraints": "constraints",
    "solution": "end",
    "end": "end",
}


def heading_pattern(names: Iterable[str], behind: str = "") -> re.Pattern[str]:
    """`### Title`, `## Title: X`, `**Title:** X`, `**Title**`, `1. **Title**: X`, `Title: X`.

    behind: what may follow a name, as a pattern.
    """
    words = "|".join(sorted(map(re.escape, names), key=len, reverse=True))
    return re.compile(
        rf"^[ \t]*(?P<mark>\#{{1,6}}[ \t]*|[*_]{{2}}|\d{{1,2}}[.)][ \t]*(?:[*_]{{2}})?)?[ \t]*(?P<marked>[*_]{{2}})?"
        rf"(?P<name>{words})[ \t]*{behind}(?P<colon>:)?[ \t]*(?:[*_]{{2}})?[ \t]*(?P<late>:)?[ \t]*(?P<rest>.*)$",
        re.IGNORECASE,
    )


_HEADING = heading_pattern(NAMES)
_DEF = re.compile(r"^[ \t>`]*(?:async[ \t]+)?def[ \t]+\w+[ \t]*\(", re.MULTILINE)
_FENCE = re.compile(r"^[ \t]*(?:```|~~~).*$", re.MULTILINE)
LEAST_WORDS = 3  # of a statement: fewer decide nothing


class Unreadable(ValueError):
    """A proposal that is no problem. The message is the reason under which the funnel counts it."""


def sections_of(text: str, names: Mapping[str, str] = NAMES, pattern: re.Pattern[str] = _HEADING) -> dict[str, str]:
    """The text under each heading, by the heading's usual name; the first of equal headings counts, and all ends at `End`.

    names: usual name of each heading, in lower case. pattern: `heading_pattern` of them.

    >>> sections_of("### Title: Twice\\n**Description:** Double it.\\n### End")
    {'title': 'Twice', 'problem': 'Double it.'}
    """
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.split("\n"):
        heading = _heading(line, names, pattern)
        if heading is None:
            current.append(line)
            continue
        name, rest = heading
        if name == "end":
            break
        current = found[name] = [rest] if name not in found else []
    return {name: "\n".join(lines).strip() for name, lines in found.items()}


def _heading(line: str, names: Mapping[str, str], pattern: re.Pattern[str]) -> tuple[str, str] | None:
    """(usual name, text after it) where a line is a heading: one that is marked, or that ends in a colon."""
    match = pattern.match(line)
    if match is None:
        return None
    marked, colon = match["mark"] or match["marked"], match["colon"] or match["late"]
    rest = match["rest"].strip()
    if not colon and (not marked or rest):  # "Title" alone is a word; "### Problem solving" is another heading
        return None
    return names[match["name"].lower()], rest


def parse_signature(line: str) -> ast.FunctionDef | None:
    """The function that a line such as `def f(xs: list[int]) -> int:` declares; every argument must be annotated."""
    function = declared(line)
    if function is None or function.args.defaults or not function.args.args:
        return None
    return function if all(a.annotation for a in function.args.args) else None


def declared(text: str) -> ast.FunctionDef | None:
    """The function with plain arguments that a header declares."""
    try:
        body = ast.parse(text.strip().rstrip(":") + ": pass").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if len(body) != 1 or not isinstance(body[0], ast.FunctionDef):
        return None
    arguments = body[0].args
    return None if arguments.posonlyargs or arguments.kwonlyargs or arguments.vararg or arguments.kwarg else body[0]


def header_of(text: str) -> str | None:
    """The first function header in a text, from `def` to its colon, whatever follows it; None when there is none.

    >>> header_of("```python\\ndef f(x: int,\\n      y: int) -> int:\\n    return x\\n```")
    'def f(x: int,\\n      y: int) -> int'
    """
    start = _DEF.search(text)
    if start is None:
        return None
    tail = text[start.start() :].lstrip(" \t>`")
    depth = 0
    for place, char in enumerate(tail):
        depth += (char in "([{") - (char in ")]}")
        if depth == 0 and (char == ":" or (char == "\n" and place > tail.find("("))):
            return tail[:place].strip()
    return tail.strip() if depth == 0 else None


def read_signature(text: str, example: str = "") -> ast.FunctionDef:
    """The typed header of the first function in a text; missing types are taken from a call with its value in the text or the example.

    Defaults are dropped, since every input gives all arguments. Raises Unreadable.
    """
    header = header_of(text)
    function = declared(header) if header is not None else None
    if function is None:
        raise Unreadable("no signature")
    function.args.defaults = []
    if not function.args.args:
        raise Unreadable("no arguments")
    if not all(a.annotation for a in function.args.args) or function.returns is None:
        _infer_types(function, f"{example}\n{text}")
    for argument in function.args.args:
        if argument.annotation is None:
            raise Unreadable("untyped signature")
        if not takes_literals(argument.annotation):
            raise Unreadable("arguments without literals")
    return function


def _infer_types(function: ast.FunctionDef, text: str) -> None:
    """Annotate what is not annotated, from the first call of the function with literal arguments in a text."""
    parameters = function.args.args
    for line in text.split("\n"):
        call = call_in(line, function.name, [parameter.arg for parameter in parameters])
        if call is None or len(call.arguments) != len(parameters):
            continue
        for parameter, given in zip(parameters, call.arguments, strict=True):
            parameter.annotation = parameter.annotation or annotation_of(given)
        if function.returns is None and (value := value_after(call.rest)) is not None:
            function.returns = annotation_of(value)
        return


def read_proposal(text: str, topic: str, prefix: str) -> Problem:
    """A problem from an answer. Raises Unreadable with the reason."""
    text = answer_text(text)
    sections = sections_of(text)
    description = plain_text(sections.get("problem", ""))
    if constraints := sections.get("constraints"):
        description += "\n\nConstraints:\n" + constraints
    if len(description.split()) < LEAST_WORDS:
        raise Unreadable("no statement")
    example = plain_text(sections.get("example", ""))
    function = read_signature(sections.get("signature") or text, example)
    signature = header_line(function)
    return Problem(
        id=f"{prefix}-{short_hash(description + signature)}",
        title=plain_text(sections.get("title", "")).split("\n")[0] or function.name,
        description=description,
        entry=function.name,
        signature=signature,
        example=example,
        topic=topic,
    )


def header_line(function: ast.FunctionDef) -> str:
    """The function's `def` line alone, with its colon.

    >>> header_line(parse_signature("def f(x:int)->int:"))
    'def f(x: int) -> int:'
    """
    bare = copy.copy(function)
    bare.body, bare.decorator_list = [ast.Pass()], []
    return ast.unparse(bare).split("\n")[0]


def plain_text(text: str) -> str:
    """A text without fences and emphasis around the whole of it."""
    return _FENCE.sub("", text).strip().strip("*_").strip()
