"""Excerpts: what an answer says again of its program, and is no program itself.

A later version replaces an earlier one, so an excerpt in the explanation behind a program must not count as a version. It is told by what a
correction never does: it stops where the program goes on, says `...` for what it leaves out, or reads names that nobody binds. A shorter
version that ends as a program does is a correction, even if all its lines stood there before.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from probing.reading.facts import facts_of
from probing.reading.needs import KNOWN

MOST = 200  # versions that are compared with one another; of more, the last ones are
_FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef
_ELISION = re.compile(r"#\s*(?:\.{3}|…)")


@dataclass(frozen=True, eq=False)
class Version:
    """Statements that may be a version of the program: the definition of a function, or a whole program."""

    text: str  # as they were written
    body: Sequence[ast.stmt]

    @cached_property
    def lines(self) -> list[str]:
        """Its lines without layout, comments and docstrings; of one function alone, those of its body."""
        inner = self.body[0].body if len(self.body) == 1 and isinstance(self.body[0], _FUNCTIONS) else self.body
        lines = [ast.unparse(s).split("\n") for s in inner if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
        return [line for part in lines for line in part]

    @cached_property
    def elides(self) -> bool:
        """Whether `...` stands for lines of it: as a statement, or as a comment of its own line."""
        return any(_elides(node) for statement in self.body for node in ast.walk(statement)) or _has_elision(self.text)

    @cached_property
    def unbound(self) -> frozenset[str]:
        """Names that it reads and does not bind, and variables that it counts up and never sets."""
        facts = [facts_of(statement) for statement in self.body]
        if any(fact.star or fact.by_name for fact in facts):
            return frozenset()
        bound = {name for fact in facts for name in fact.binds}
        counted = {name for s in self.body for node in ast.walk(s) if isinstance(node, _FUNCTIONS) for name in _only_counted(node)}
        return frozenset({name for fact in facts for name in fact.reads} - bound - KNOWN | counted)

    @cached_property
    def falls_off(self) -> bool:
        """Whether its function can end without a return."""
        return len(self.body) == 1 and isinstance(self.body[0], _FUNCTIONS) and not returns_always(self.body[0])


def is_excerpt(part: Version, whole: Version, bound: set[str] | None) -> bool:
    """Whether a version of a function is an excerpt of another one.

    bound: names that the rest of the answer, or the prompt, binds; None where that cannot be told.
    """
    try:
        if lacks(part, whole, bound):
            return True
        if len(part.lines) >= len(whole.lines):
            return False
        if part.lines == whole.lines[: len(part.lines)]:
            return True
        return part.falls_off and not whole.falls_off and _in_order(part.lines, whole.lines)
    except RecursionError:  # nested too deep to be looked at
        return False


def lacks(part: Version, whole: Version, bound: set[str] | None) -> bool:
    """Whether a version leaves something out that the other one has: by `...`, or names that nobody binds. Raises RecursionError."""
    if part.elides and not whole.elides:
        return True
    return bound is not None and bool(part.unbound - bound) and not whole.unbound - bound


def last_version(versions: Sequence[Version], bound: set[str] | None) -> int:
    """The place of the last version of a function that is no excerpt of an earlier one."""
    first = max(len(versions) - MOST, 0)
    for place in range(len(versions) - 1, first, -1):
        if not any(is_excerpt(versions[place], whole, bound) for whole in versions[first:place]):
            return place
    return first


def returns_always(statement: ast.stmt) -> bool:
    """Whether the statement is a function that cannot end without a return, or a class whose last statement is one."""
    if isinstance(statement, ast.ClassDef):
        return returns_always(statement.body[-1])
    return isinstance(statement, _FUNCTIONS) and _leaves(statement.body)


def _in_order(part: Sequence[str], whole: Sequence[str]) -> bool:
    """Whether the lines are lines of the other text, in its order."""
    rest = iter(whole)
    return all(line in rest for line in part)


def _elides(node: ast.AST) -> bool:
    """Whether a block of the node holds a bare `...`; not one that is all of a handler, a class or a function, where it means `pass`."""
    for name in ("body", "orelse", "finalbody"):
        block = getattr(node, name, None)
        if not isinstance(block, list) or not any(map(_is_dots, block)):
            continue
        if len(block) > 1 or not isinstance(node, ast.ExceptHandler | ast.ClassDef | _FUNCTIONS):
            return True
    return False


def _is_dots(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) and statement.value.value is ...


def _has_elision(text: str) -> bool:
    """Whether a comment that has its line to itself begins with `...`."""
    if _ELISION.search(text) is None:
        return False
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, SyntaxError):
        return False
    return any(t.type == tokenize.COMMENT and _ELISION.match(t.string) and not t.line[: t.start[1]].strip() for t in tokens)


def _only_counted(function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    """Variables that a function changes by `+=` and its like, and that nothing in it sets."""
    counted = {node.target.id for node in ast.walk(function) if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name)}
    if not counted:
        return counted
    targets = {id(node.target) for node in ast.walk(function) if isinstance(node, ast.AugAssign)}
    for node in ast.walk(function):
        match node:
            case ast.Name(ctx=ast.Store()) if id(node) not in targets:
                counted.discard(node.id)
            case ast.arg(arg=name) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.ExceptHandler(name=str(name)):
                counted.discard(name)
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                counted.difference_update(names)
            case ast.alias():
                counted.discard(node.asname or node.name.partition(".")[0])
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                counted.discard(node.name)
    return counted


def _leaves(body: Sequence[ast.stmt]) -> bool:
    """Whether a block always ends in a return or an exception, or never ends."""
    match body[-1]:
        case ast.Return() | ast.Raise():
            return True
        case ast.If(body=one, orelse=other):
            return bool(other) and _leaves(one) and _leaves(other)
        case ast.With(body=inner) | ast.AsyncWith(body=inner):
            return _leaves(inner)
        case ast.Try(body=inner, handlers=handlers, orelse=other, finalbody=last):
            whole = _leaves(other or inner) and all(_leaves(handler.body) for handler in handlers)
            return whole or (bool(last) and _leaves(last))
        case ast.Match(cases=cases):
            return any(c.guard is None and isinstance(c.pattern, ast.MatchAs) and c.pattern.pattern is None for c in cases) and all(
                _leaves(c.body) for c in cases
            )
        case ast.While(test=ast.Constant(value=value)):
            return bool(value) and not any(isinstance(node, ast.Break) for node in ast.walk(body[-1]))
    return False
