"""Behaviour-preserving rewrites of a program: other names, other layout, the same function (the right candidates of the judge's pools).

They preserve behaviour by construction in all but odd cases (a class with its own `__gt__`, say); the benchmark checks every one against
the reference by execution and never trusts them.
"""

from __future__ import annotations

import ast
import builtins
import random
from collections.abc import Callable

from rewards.programs.normal_form import normal_form

_NAMES = (
    "a",
    "b",
    "c",
    "data",
    "item",
    "items",
    "n",
    "out",
    "res",
    "result",
    "t",
    "temp",
    "tmp",
    "u",
    "v",
    "val",
    "value",
    "w",
    "x",
    "y",
    "z",
)
_FLIPPED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.Gt,
    ast.Gt: ast.Lt,
    ast.LtE: ast.GtE,
    ast.GtE: ast.LtE,
    ast.Eq: ast.Eq,
    ast.NotEq: ast.NotEq,
}
_NEGATED: dict[type[ast.cmpop], type[ast.cmpop]] = {ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In}


def _negation(test: ast.expr) -> ast.expr:
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return test.operand
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and type(test.ops[0]) in _NEGATED:
        return ast.Compare(test.left, [_NEGATED[type(test.ops[0])]()], test.comparators)
    return ast.UnaryOp(ast.Not(), test)


class _FlipComparisons(ast.NodeTransformer):
    """a < b → b > a."""

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        if len(node.ops) == 1 and type(node.ops[0]) in _FLIPPED:
            return ast.Compare(node.comparators[0], [_FLIPPED[type(node.ops[0])]()], [node.left])
        return node


class _SwapBranches(ast.NodeTransformer):
    """if c: A else: B → if not c: B else: A."""

    def visit_If(self, node: ast.If) -> ast.AST:
        self.generic_visit(node)
        return ast.If(_negation(node.test), node.orelse, node.body) if node.orelse else node

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        self.generic_visit(node)
        return ast.IfExp(_negation(node.test), node.orelse, node.body)


class _NameResults(ast.NodeTransformer):
    """return E → answer = E; return answer."""

    def visit_Return(self, node: ast.Return) -> ast.AST | list[ast.AST]:
        if node.value is None or isinstance(node.value, ast.Name | ast.Constant):
            return node
        return [ast.Assign([ast.Name("answer", ast.Store())], node.value), ast.Return(ast.Name("answer", ast.Load()))]


class _SpellOut(ast.NodeTransformer):
    """i += 1 → i = i + 1 for numbers; range(n) → range(0, n)."""

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        if isinstance(node.target, ast.Name) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, int | float):
            return ast.Assign([node.target], ast.BinOp(ast.Name(node.target.id, ast.Load()), node.op, node.value))
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id == "range" and len(node.args) == 1:
            return ast.Call(node.func, [ast.Constant(0), node.args[0]], [])
        return node


class _FlattenElse(ast.NodeTransformer):
    """if c: return a else: B → if c: return a; B."""

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.AST]:
        self.generic_visit(node)
        if node.orelse and isinstance(node.body[-1], ast.Return | ast.Continue | ast.Break | ast.Raise):
            return [ast.If(node.test, node.body, []), *node.orelse]
        return node


class _Rename(ast.NodeTransformer):
    def __init__(self, names: dict[str, str]) -> None:
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Name(self.names.get(node.id, node.id), node.ctx)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        self.generic_visit(node)
        return ast.arg(self.names.get(node.arg, node.arg), node.annotation)


def _rename_locals(function: ast.FunctionDef, rng: random.Random) -> ast.AST:
    """Give every parameter and local variable of a function (inner functions included) a new name."""
    taken = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)} | {
        node.arg for node in ast.walk(function) if isinstance(node, ast.arg)
    }
    outer = {name for node in ast.walk(function) if isinstance(node, ast.Global) for name in node.names}
    keywords = {k.arg for node in ast.walk(function) if isinstance(node, ast.Call) for k in node.keywords}
    own = {node.arg for node in ast.walk(function) if isinstance(node, ast.arg)}
    own |= {node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    fresh = [name for name in _NAMES if name not in taken and not hasattr(builtins, name)]
    rng.shuffle(fresh)
    renamed = sorted(own - outer - keywords)
    fresh += [f"v{i}" for i in range(len(renamed))]
    return _Rename(dict(zip(renamed, [name for name in fresh if name not in taken], strict=False))).visit(function)


_STEPS: tuple[Callable[[], ast.NodeTransformer], ...] = (_FlipComparisons, _SwapBranches, _NameResults, _SpellOut, _FlattenElse)


def rewrites(code: str, limit: int, seed: int = 0) -> list[str]:
    """At most `limit` distinct rewrites, the normal form of the program itself first. Repeats exactly for the same seed."""
    rng = random.Random(seed)
    found = {normal_form(code): None}
    for _ in range(8 * limit):
        if len(found) >= limit:
            break
        tree = ast.parse(normal_form(code))
        for step in _STEPS:
            if rng.random() < 0.4:
                tree = step().visit(tree)
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and rng.random() < 0.7:
                _rename_locals(node, rng)
        found.setdefault(ast.unparse(ast.fix_missing_locations(tree)))
    return list(found)
