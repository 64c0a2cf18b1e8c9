"""Forms of statements that tell by themselves whether they are a part of a program: guards, stubs, imports, plain functions."""

from __future__ import annotations

import ast
import sys

_FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef


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
