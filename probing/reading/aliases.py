"""Names that may stand for the same object, or for a part of it: after `row = table[0]`, what changes `row` changes `table`.

Calls go by such names, too.

From the syntax tree alone, in any order of the statements. In doubt a name is added: the only effect is that more statements are kept.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass

# Builtins whose result holds, or gives out, what their arguments hold.
_PASSING = frozenset(
    ("enumerate", "zip", "reversed", "iter", "list", "tuple", "dict", "sorted", "filter", "map", "next", "min", "max", "deque", "cycle")
)

Aliases = dict[str, set[str]]  # name -> names of objects that it, or a part of it, may stand for


@dataclass(frozen=True)
class Call:
    """A call, by the names that stand in it."""

    functions: frozenset[str]  # what is called by its name
    objects: frozenset[str]  # what a method of is called
    arguments: frozenset[str]  # what is given to it, which it may call in turn
    shown: bool = False  # only to be printed or asserted

    @property
    def names(self) -> frozenset[str]:
        """All names of functions, and of objects with functions, that the call may run."""
        return self.functions | self.objects | self.arguments

    def outside(self, own: set[str], aliases: Aliases, shown: bool = False) -> Call:
        """The call as it looks from outside of a scope. own: names of the scope. aliases: what they stand for."""
        functions, objects, given = (frozenset(with_aliases(n, aliases) - own) for n in (self.functions, self.objects, self.arguments))
        return Call(functions, objects, given, self.shown or shown)


def note_alias(aliases: Aliases, target: ast.expr, value: ast.expr) -> None:
    """Add what the names of an assignment's target stand for once the value is bound to it."""
    sources = sources_of(value)
    for node in ast.walk(target) if sources else ():
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            aliases.setdefault(node.id, set()).update(sources - {node.id})


def note_makers(makers: Aliases, target: ast.expr, value: ast.expr) -> None:
    """Add which functions and classes are called to make the objects of an assignment's target."""
    called = {node.func.id for node in ast.walk(value) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    for node in ast.walk(target) if called else ():
        if isinstance(node, ast.Name):
            makers.setdefault(node.id, set()).update(called)


def with_aliases(names: Iterable[str], aliases: Aliases) -> set[str]:
    """The names, and all that they may stand for.

    >>> sorted(with_aliases({"cell"}, {"cell": {"row"}, "row": {"table"}}))
    ['cell', 'row', 'table']
    """
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += aliases.get(name, ())
    return found


def sources_of(value: ast.expr) -> set[str]:
    """Names whose objects the value may be, or be a part of, or hold.

    >>> sorted(sources_of(ast.parse("zip(xs, table.values())", mode="eval").body))
    ['table', 'xs']
    """
    found: set[str] = set()
    waiting: list[ast.expr] = [value]
    while waiting:
        match waiting.pop():
            case ast.Name(id=name):
                found.add(name)
            case ast.Attribute(value=part) | ast.Subscript(value=part) | ast.Starred(value=part) | ast.NamedExpr(value=part):
                waiting.append(part)
            case ast.Call(func=ast.Attribute(value=part), args=parts):
                waiting += [part, *parts]
            case ast.Call(func=ast.Name(id=name), args=parts) if name in _PASSING or name[:1].isupper():  # a class holds its arguments
                waiting += parts
            case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts) | ast.BoolOp(values=parts) | ast.Dict(values=parts):
                waiting += parts
            case ast.IfExp(body=one, orelse=other):
                waiting += [one, other]
            case ast.ListComp(elt=part, generators=loops) | ast.GeneratorExp(elt=part, generators=loops):
                waiting += [part, *(loop.iter for loop in loops)]
    return found
