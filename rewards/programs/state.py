"""Whether a program could carry state from one call of its entry to the next, read from its text.

What outlives a call hangs on the module: what its names are bound to, the defaults and attributes of its functions, and the modules that
it imports. A program cannot keep state where all of that is of kinds that cannot change, and nothing in it could bind or set anything
anew. Whatever is not known to be of such a kind counts as state: saying yes costs one more run, a false no would cost a vote.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from types import ModuleType

# Modules in which no call leaves anything behind that another call could see; with what is named below left out.
_STATELESS = """
__future__ array bisect cmath collections collections.abc copy fractions functools heapq itertools json math numbers operator re
statistics string typing unicodedata
"""
_BUILTINS = "__import__ breakpoint compile delattr eval exec getattr globals input locals open setattr vars"
_HELD = "attrgetter get_overloads methodcaller no_type_check update_wrapper wraps"  # by those modules
# Attributes that reach far: abstract base classes keep a list, NormalDist draws from `random`, frames lead to the globals.
FAR_REACHING = ("register", "samples", "gi_frame", "cr_frame", "ag_frame", "tb_frame")
_CONSTRUCTORS = "abs bool bytes chr complex float frozenset int len ord pow range round str"
STATELESS_MODULES = frozenset(_STATELESS.split())
HELD = frozenset(_HELD.split())  # by these, attributes are reached unseen
REACHING = HELD | frozenset(_BUILTINS.split())  # by these, names and files too
CONSTRUCTORS = frozenset(_CONSTRUCTORS.split())  # whose results cannot change
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)

FIXED = ast.Constant(None)  # stands for any value that cannot change

Bindings = dict[str, list[ast.expr | None]]  # name -> every value that it is bound to; None: of an unknown kind


@lru_cache(maxsize=4096)
def may_keep_state(code: str, entry: str) -> bool:
    """Whether what a call of `entry` does could depend on earlier calls; False for what does not compile.

    >>> may_keep_state("def f(x, seen=[]): seen.append(x); return len(seen)", "f"), may_keep_state("def f(x): return [x]", "f")
    (True, False)
    """
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    try:
        modules = dict(_imported(tree))
        if any(_reaches_out(node, modules) for node in ast.walk(tree)) or _handed_on(tree, modules):
            return True
        bindings: Bindings = {}
        for name, value in _bindings(tree.body):
            bindings.setdefault(name, []).append(value)
        used = {entry} | {node.id for node in _inside_functions(tree) if isinstance(node, ast.Name)}
        return "" in bindings or bool(_changeable(bindings, modules) & used)
    except RecursionError:
        return True


def _imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """(name in the program, module) of modules that are imported whole."""
    for node in ast.walk(tree):
        for alias in node.names if isinstance(node, ast.Import) else ():
            yield alias.asname or alias.name.split(".")[0], alias.name if alias.asname else alias.name.split(".")[0]


@lru_cache(maxsize=1024)
def _is_open(module: str, name: str) -> bool:
    """Whether a stateless module shows something under this name that has state of its own: a module, or a container."""
    value = getattr(importlib.import_module(module), name, None)
    return name.startswith("_") or isinstance(value, ModuleType | list | dict | set)


def _reaches_out(node: ast.AST, modules: dict[str, str]) -> bool:
    """Whether the node could set, or reach, what outlives a call."""
    match node:
        case ast.Global() | ast.ClassDef():
            return True
        case ast.Name(id=name):
            return name in REACHING or (name.startswith("__") and name != "__name__")
        case ast.Attribute(value=ast.Name(id=base), attr=name) if isinstance(node.ctx, ast.Load) and base in modules:
            known = modules[base] in STATELESS_MODULES and f"{modules[base]}.{name}" in STATELESS_MODULES
            return name in HELD or (not known and _is_open(modules[base], name))
        case ast.Attribute(attr=name, ctx=context):
            return not isinstance(context, ast.Load) or name in FAR_REACHING or name.startswith("_")
        case ast.MatchClass(kwd_attrs=names):  # `case object(__dict__=d)` reads an attribute too
            return any(name in FAR_REACHING or name.startswith("_") for name in names)
        case ast.Import(names=names):
            return any(alias.name not in STATELESS_MODULES for alias in names)
        case ast.ImportFrom(module=module, names=names, level=level):
            if level or module not in STATELESS_MODULES:
                return True
            return any(alias.name in HELD or (alias.name != "abc" and _is_open(module, alias.name)) for alias in names)
        case _:
            return False


def _handed_on(tree: ast.Module, modules: dict[str, str]) -> bool:
    """Whether a module is used as a value, so that its attributes could be reached under another name."""
    bases = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names = (node for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load))
    return any(node.id in modules and id(node) not in bases for node in names)


def _inside_functions(tree: ast.Module) -> Iterator[ast.AST]:
    """What runs when functions are called."""
    for node in ast.walk(tree):
        if isinstance(node, FUNCTIONS):
            for part in node.body if isinstance(node.body, list) else [node.body]:
                yield from ast.walk(part)


def _bindings(body: list[ast.stmt]) -> Iterator[tuple[str, ast.expr | None]]:
    """(name, a value on which its kind hangs) of module-level statements, those inside `if`, `try` and loops too. The name is empty where
    a statement binds in a way that is not looked into.
    """
    for statement in body:
        match statement:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name, None if statement.decorator_list else FIXED
                yield from ((name, default) for default in _defaults(statement.args))
                yield from _walrus([statement.args, *statement.decorator_list, *filter(None, [statement.returns])])
                continue
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                yield from ((alias.asname or alias.name.split(".")[0], FIXED) for alias in names)
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    yield from _targets(target, value)
            case ast.AnnAssign(target=target, value=value) if value is not None:
                yield from _targets(target, value)
            case ast.AugAssign(target=target, value=value):
                yield from _targets(target, value)
            case ast.For(target=target, iter=iterable):
                yield from _targets(target, iterable)
            case ast.With(items=items):
                yield from (("", None) for item in items if item.optional_vars is not None)
            case ast.Match() | ast.AsyncFor() | ast.AsyncWith():
                yield "", None
            case ast.Try(handlers=handlers) | ast.TryStar(handlers=handlers):
                for handler in handlers:
                    yield from ((handler.name, None) for _ in [0] if handler.name)
                    yield from _walrus([handler.type] if handler.type else [])
                    yield from _bindings(handler.body)
        yield from _walrus([n for n in ast.iter_child_nodes(statement) if not isinstance(n, ast.stmt | ast.ExceptHandler)])
        for field in ("body", "orelse", "finalbody"):
            yield from _bindings(getattr(statement, field, []))


def _defaults(arguments: ast.arguments) -> list[ast.expr]:
    return [default for default in (*arguments.defaults, *arguments.kw_defaults) if default is not None]


def _targets(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr | None]]:
    """What an assignment binds. Elements of what cannot change cannot change either; a starred name gets a list."""
    for node in ast.walk(target):
        if isinstance(node, ast.Starred):
            yield "", None
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, value


def _walrus(parts: Sequence[ast.AST]) -> Iterator[tuple[str, ast.expr | None]]:
    for node in (node for part in parts for node in ast.walk(part)):
        if isinstance(node, ast.NamedExpr):
            yield node.target.id, node.value


def _changeable(bindings: Bindings, modules: dict[str, str]) -> set[str]:
    """The names that may be bound to something that can change."""
    found: set[str] = set()
    while True:
        more = {name for name, values in bindings.items() if not all(_is_fixed(value, found, bindings, modules) for value in values)}
        if more == found:
            return found
        found = more


def _is_fixed(node: ast.expr | None, changeable: set[str], bindings: Bindings, modules: dict[str, str]) -> bool:
    """Whether an expression's value is of a kind that cannot change, in itself and in all that it holds."""

    def fixed(*parts: ast.expr | None) -> bool:
        return all(_is_fixed(part, changeable, bindings, modules) for part in parts)

    match node:
        case ast.Constant() | ast.JoinedStr() | ast.Compare():
            return True
        case ast.Name(id=name):
            return name not in changeable
        case ast.Lambda(args=arguments):
            return fixed(*_defaults(arguments))
        case ast.Tuple(elts=parts) | ast.BoolOp(values=parts):
            return fixed(*parts)
        case ast.BinOp(left=one, right=other) | ast.IfExp(body=one, orelse=other):
            return fixed(one, other)
        case ast.UnaryOp(operand=value) | ast.Subscript(value=value) | ast.NamedExpr(value=value) | ast.Attribute(value=value):
            return fixed(value)
        case ast.Call(func=ast.Name(id="frozenset"), args=parts):  # of plain values: functions, too, can be members
            inside = [part for argument in parts for part in ast.walk(argument)]
            names = {part.id for part in inside if isinstance(part, ast.Name)}
            return "frozenset" not in bindings and not names & changeable and not any(isinstance(p, ast.Lambda | ast.Call) for p in inside)
        case ast.Call(func=ast.Name(id=name)):
            return name in CONSTRUCTORS and name not in bindings
        case ast.Call(func=ast.Attribute(value=ast.Name(id=base), attr=name)) if base not in changeable:
            return (modules.get(base) in ("math", "cmath") and name != "prod") or (modules.get(base), name) == ("re", "compile")
        case _:
            return False
