"""Forms of statements that tell whether they are a part of a program: guards, stubs, imports, plain functions, settings."""

from __future__ import annotations

import ast
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence

_FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef
# Settings of the interpreter that a function may count on without a name of its own for them.
_SETTINGS = frozenset(
    (
        *("sys.setrecursionlimit", "sys.set_int_max_str_digits", "threading.stack_size", "random.seed"),
        *("decimal.setcontext", "calendar.setfirstweekday"),
    )
)
_CONTEXT = "decimal.getcontext"  # whose attributes are such settings


def is_main_guard(statement: ast.stmt) -> bool:
    """Whether the statement is `if __name__ == ...`, either way round."""
    if not isinstance(statement, ast.If) or not isinstance(statement.test, ast.Compare) or len(statement.test.ops) != 1:
        return False
    sides = (statement.test.left, statement.test.comparators[0])
    names = any(isinstance(side, ast.Name) and side.id == "__name__" for side in sides)
    return names and any(isinstance(side, ast.Constant) and side.value == "__main__" for side in sides)


def is_stub(statement: ast.stmt) -> bool:
    """Whether the statement is a function that says nothing but what it is called: a docstring, `pass`, `...`, a bare `return` or
    NotImplementedError.
    """
    if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Lambda):
        return isinstance(statement.value.body, ast.Constant) and statement.value.body.value is ...
    return isinstance(statement, _FUNCTIONS) and all(map(_says_nothing, statement.body))


def is_open_import(statement: ast.stmt) -> bool:
    """Whether the statement imports names of the standard library that it does not spell out, or changes how annotations are read."""
    opens = isinstance(statement, ast.ImportFrom) and (statement.module == "__future__" or any(a.name == "*" for a in statement.names))
    return opens and is_standard(statement)


def _says_nothing(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Raise):
        return statement.exc is not None and "NotImplemented" in ast.dump(statement.exc)
    if isinstance(statement, ast.Return):
        return statement.value is None
    return isinstance(statement, ast.Pass) or (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))


def is_standard(statement: ast.stmt) -> bool:
    """Whether the statement imports from the standard library alone."""
    if isinstance(statement, ast.ImportFrom):
        return statement.level == 0 and (statement.module or "").partition(".")[0] in sys.stdlib_module_names
    return isinstance(statement, ast.Import) and all(a.name.partition(".")[0] in sys.stdlib_module_names for a in statement.names)


def cannot_fail(statement: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether defining the function does nothing but that."""
    arguments = statement.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    annotations = [statement.returns, *(a.annotation for a in every if a is not None)]
    defaults = [d for d in [*arguments.defaults, *arguments.kw_defaults] if d is not None]
    plain = all(isinstance(d, ast.Constant) for d in defaults)
    return plain and not statement.decorator_list and all(a is None or isinstance(a, ast.Constant) for a in annotations)


def settings(body: Sequence[ast.stmt], binders: Mapping[str, Collection[int]]) -> set[int]:
    """Places of the statements that set up the interpreter by way of the standard library, whatever they call its functions.

    binders: places that bind a name. One that is not bound by its import alone is not the library's.
    """
    return _Settings(body, binders).places()


class _Settings:
    def __init__(self, body: Sequence[ast.stmt], binders: Mapping[str, Collection[int]]) -> None:
        self.body, self.binders = body, binders
        self.parts = [list(_at_once(statement)) for statement in body]
        self.origins: dict[str, str] = {}  # names, with what they are in the library
        self.stars: set[str] = set()  # modules all names of which are imported
        imported: dict[str, set[int]] = {}
        for place, parts in enumerate(self.parts):
            for node in parts:
                for name, origin in _imported(node):
                    imported.setdefault(name, set()).add(place)
                    self.origins[name] = origin
                    if name == "*":
                        self.stars.add(origin.removesuffix(".*"))
        for name, places in imported.items():
            if not places.issuperset(binders.get(name, ())):
                del self.origins[name]

    def places(self) -> set[int]:
        assigned = [node for parts in self.parts for node in parts if isinstance(node, ast.Assign) and self._is_context(node.value)]
        self.contexts = {target.id for node in assigned for target in node.targets if isinstance(target, ast.Name)}
        forms = ast.Expr | ast.Assign | ast.AugAssign | ast.If | ast.Try | ast.With
        found = {place for place, statement in enumerate(self.body) if isinstance(statement, forms) and not is_main_guard(statement)}
        return {place for place in found if any(map(self._sets, self.parts[place]))}

    def _sets(self, node: ast.AST) -> bool:
        if isinstance(node, ast.Call):
            return self._origin(node.func) in _SETTINGS
        if not isinstance(node, ast.Attribute | ast.Subscript) or not isinstance(node.ctx, ast.Store):
            return False
        value: ast.expr = node
        while isinstance(value, ast.Attribute | ast.Subscript):
            value = value.value
        return self._is_context(value) or (isinstance(value, ast.Name) and value.id in self.contexts)

    def _is_context(self, value: ast.expr) -> bool:
        return isinstance(value, ast.Call) and self._origin(value.func) == _CONTEXT

    def _origin(self, node: ast.expr) -> str:
        """What a name, or an attribute of one, is in the standard library; empty where it is not known."""
        if isinstance(node, ast.Attribute):
            return f"{self._origin(node.value)}.{node.attr}"
        if not isinstance(node, ast.Name) or node.id in self.binders:
            return self.origins.get(node.id, "") if isinstance(node, ast.Name) else ""
        return next((name for module in self.stars if (name := f"{module}.{node.id}") in {*_SETTINGS, _CONTEXT}), "")


def _at_once(statement: ast.stmt) -> Iterator[ast.AST]:
    """The nodes of a statement that running it reaches: none inside functions and classes."""
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        if not isinstance(node, _FUNCTIONS | ast.ClassDef | ast.Lambda):
            yield node
            waiting += ast.iter_child_nodes(node)


def _imported(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Names that an import binds, with what they stand for: ("srl", "sys.setrecursionlimit")."""
    if isinstance(node, ast.ImportFrom) and node.level == 0:
        for alias in node.names:
            yield alias.asname or alias.name, f"{node.module}.{alias.name}"
    elif isinstance(node, ast.Import):
        for alias in node.names:
            yield (alias.asname, alias.name) if alias.asname else (alias.name.partition(".")[0],) * 2
