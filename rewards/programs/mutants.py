"""First-order mutants of a Python program: one small fault each, by named operators on its syntax tree.

They measure inputs (a good set of inputs tells a program from its mutants, `rewards.clusters.inputs.quality_report`) and fill the judge's
benchmark with realistic wrong programs. Nothing is executed here. A mutant may by chance behave like the original.
"""

from __future__ import annotations

import ast
import copy
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rewards.programs.normal_form import normal_form


@dataclass(frozen=True)
class Mutant:
    """A program with one fault."""

    code: str
    operator: str  # name of the operator that made it


Node = ast.expr | ast.stmt
_COMPARE: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq, ast.GtE),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
_ARITHMETIC: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Add, ast.Pow),
    ast.Div: (ast.FloorDiv, ast.Mult),
    ast.FloorDiv: (ast.Div, ast.Mod),
    ast.Mod: (ast.FloorDiv,),
    ast.Pow: (ast.Mult,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
    ast.BitXor: (ast.BitOr,),
}
_CALLS = {
    "min": "max",
    "max": "min",
    "any": "all",
    "all": "any",
    "sum": "len",
    "len": "sum",
    "sorted": "list",
    "set": "list",
    "int": "float",
    "round": "int",
    "upper": "lower",
    "lower": "upper",
    "startswith": "endswith",
    "endswith": "startswith",
    "strip": "lstrip",
    "isdigit": "isalnum",
    "isalpha": "isalnum",
    "isupper": "islower",
    "islower": "isupper",
    "append": "extend",
    "find": "rfind",
    "index": "count",
    "ceil": "floor",
    "floor": "ceil",
}
_UNWRAP = frozenset({"sorted", "set", "abs", "list", "reversed", "int", "round", "str"})


def _shifted(node: ast.expr, by: int) -> ast.expr:
    """The expression plus or minus one."""
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return ast.Constant(node.value + by)
    return ast.BinOp(node, ast.Add() if by > 0 else ast.Sub(), ast.Constant(abs(by)))


def _comparison(node: Node, names: list[str]) -> Iterator[Node]:
    """`<` becomes `<=`, `==` becomes `!=`, …"""
    if isinstance(node, ast.Compare):
        for i, op in enumerate(node.ops):
            for swap in _COMPARE[type(op)]:
                yield ast.Compare(node.left, [*node.ops[:i], swap(), *node.ops[i + 1 :]], node.comparators)


def _arithmetic(node: Node, names: list[str]) -> Iterator[Node]:
    """`+` becomes `-`, `/` becomes `//`, …"""
    if isinstance(node, ast.BinOp):
        for swap in _ARITHMETIC.get(type(node.op), ()):
            yield ast.BinOp(node.left, swap(), node.right)
    elif isinstance(node, ast.AugAssign):
        for swap in _ARITHMETIC.get(type(node.op), ()):
            yield ast.AugAssign(node.target, swap(), node.value)


def _connective(node: Node, names: list[str]) -> Iterator[Node]:
    """`and` becomes `or`; one operand is forgotten; `not x` and `-x` become `x`."""
    if isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        yield from node.values
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        yield node.operand


def _condition(node: Node, names: list[str]) -> Iterator[Node]:
    """A test is negated."""
    if isinstance(node, ast.If):
        yield ast.If(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)
    elif isinstance(node, ast.IfExp):
        yield ast.IfExp(node.test, node.orelse, node.body)


def _filter(node: Node, names: list[str]) -> Iterator[Node]:
    """A comprehension forgets its condition."""
    if isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp) and any(g.ifs for g in node.generators):
        bare = [ast.comprehension(g.target, g.iter, [], g.is_async) for g in node.generators]
        yield type(node)(node.elt, bare)


def _constant(node: Node, names: list[str]) -> Iterator[Node]:
    """A number is off by one, a truth value flipped, a text emptied."""
    if not isinstance(node, ast.Constant):
        return
    if type(node.value) is bool:
        yield ast.Constant(not node.value)
    elif type(node.value) is int:
        yield ast.Constant(node.value + 1)
        yield ast.Constant(node.value - 1)
    elif type(node.value) is float:
        yield ast.Constant(node.value + 1.0)
    elif type(node.value) is str:
        yield ast.Constant("" if node.value else " ")


def _variable(node: Node, names: list[str]) -> Iterator[Node]:
    """A local variable is taken for another."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in names:
        for other in names:
            if other != node.id:
                yield ast.Name(other, ast.Load())


def _call(node: Node, names: list[str]) -> Iterator[Node]:
    """`max` for `min`, `all` for `any`; `sorted(x)` becomes `x`; a keyword such as `reverse=True` is forgotten."""
    if not isinstance(node, ast.Call):
        return
    if isinstance(node.func, ast.Name):
        if node.func.id in _CALLS:
            yield ast.Call(ast.Name(_CALLS[node.func.id], ast.Load()), node.args, node.keywords)
        if node.func.id in _UNWRAP and len(node.args) == 1:
            yield node.args[0]
    elif isinstance(node.func, ast.Attribute):
        if node.func.attr in _CALLS:
            yield ast.Call(ast.Attribute(node.func.value, _CALLS[node.func.attr], ast.Load()), node.args, node.keywords)
        if node.func.attr in ("strip", "lower", "upper") and not node.args:
            yield node.func.value
    for keyword in node.keywords:
        yield ast.Call(node.func, node.args, [k for k in node.keywords if k is not keyword])


def _boundary(node: Node, names: list[str]) -> Iterator[Node]:
    """A range, a slice or an index begins or ends one off."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range" and node.args:
        end = min(1, len(node.args) - 1)
        for by in (-1, 1):
            yield ast.Call(node.func, [*node.args[:end], _shifted(node.args[end], by), *node.args[end + 1 :]], [])
        if len(node.args) == 1:
            yield ast.Call(node.func, [ast.Constant(1), node.args[0]], [])
    elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        if isinstance(node.slice, ast.Slice):
            cut = node.slice
            for bound in (cut.lower, cut.upper):
                if bound is not None:
                    yield ast.Subscript(node.value, _slice_without(cut, bound, None), ast.Load())
                    yield ast.Subscript(node.value, _slice_without(cut, bound, _shifted(bound, 1)), ast.Load())
        elif not isinstance(node.slice, ast.Constant | ast.UnaryOp | ast.Tuple):
            yield ast.Subscript(node.value, _shifted(node.slice, -1), ast.Load())


def _slice_without(cut: ast.Slice, bound: ast.expr, replacement: ast.expr | None) -> ast.Slice:
    lower = replacement if cut.lower is bound else cut.lower
    upper = replacement if cut.upper is bound else cut.upper
    return ast.Slice(lower, upper, cut.step)


def _statement(node: Node, names: list[str]) -> Iterator[Node]:
    """A statement is forgotten: a special case, an update, a call; a loop is left or goes on at the wrong place."""
    if isinstance(node, ast.AugAssign) or (isinstance(node, ast.If) and not node.orelse):
        yield ast.Pass()
    elif isinstance(node, ast.If) and node.orelse:
        yield ast.If(node.test, node.body, [])
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield ast.Pass()
    elif isinstance(node, ast.Break):
        yield ast.Continue()
    elif isinstance(node, ast.Continue):
        yield ast.Break()


OPERATORS: dict[str, Callable[[Node, list[str]], Iterator[Node]]] = {
    "comparison": _comparison,
    "arithmetic": _arithmetic,
    "connective": _connective,
    "condition": _condition,
    "filter": _filter,
    "constant": _constant,
    "variable": _variable,
    "call": _call,
    "boundary": _boundary,
    "statement": _statement,
}


def _local_names(function: ast.AST) -> list[str]:
    """Parameters and assigned names, in order of first appearance."""
    found: dict[str, None] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.arg):
            found[node.arg] = None
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found[node.id] = None
    return list(found)


@dataclass(frozen=True, eq=False)
class _Site:
    """A place for one fault."""

    operator: str
    old: Node
    new: Node


def _sites(tree: ast.Module) -> Iterator[_Site]:
    for function in tree.body:
        if not isinstance(function, ast.FunctionDef):
            continue
        names = _local_names(function)
        for statement in function.body:
            for node in ast.walk(statement):
                if isinstance(node, ast.expr | ast.stmt):
                    for operator, mutate in OPERATORS.items():
                        for new in mutate(node, names):
                            yield _Site(operator, node, new)


def _plant(tree: ast.Module, site: _Site) -> Mutant:
    mutated = copy.deepcopy(tree, {id(site.old): site.new})  # the memo puts `new` where `old` was
    return Mutant(ast.unparse(ast.fix_missing_locations(mutated)), site.operator)


def mutants(code: str, limit: int, seed: int = 0) -> list[Mutant]:
    """At most `limit` distinct mutants, each operator drawn from in turn so that a frequent one does not crowd out the rest.

    Repeats exactly for the same seed. Programs that do not parse have no mutants. A fault that cannot be written out (the program is nested
    too deep for it, or holds a number too long for decimal digits) is left out.
    """
    original = normal_form(code)
    try:
        tree = ast.parse(original)
        sites = list(_sites(tree))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    rng = random.Random(seed)
    rng.shuffle(sites)
    by_operator: dict[str, list[_Site]] = {name: [] for name in OPERATORS}
    for site in sites:
        by_operator[site.operator].append(site)
    queues = [queue for queue in by_operator.values() if queue]
    chosen: dict[str, Mutant] = {}
    while queues and len(chosen) < limit:
        rng.shuffle(queues)
        for queue in queues:
            if len(chosen) < limit:
                try:
                    mutant = _plant(tree, queue.pop())
                except (RecursionError, ValueError, MemoryError):  # what parses may still be too deep to be copied or written
                    continue
                if mutant.code != original:
                    chosen.setdefault(mutant.code, mutant)
        queues = [queue for queue in queues if queue]
    return list(chosen.values())
