"""Program texts: the normal form under which two of them count as one program (so that it is executed once)."""

from __future__ import annotations

import ast


def normal_form(code: str) -> str:
    """The program without comments, layout, docstrings and redundant parentheses; a text that does not parse stands for itself.

    >>> normal_form("def f(x):  # twice\\n  return (x*2)") == normal_form("def f(x):\\n    'Doubles.'\\n    return x * 2")
    True
    """
    try:
        tree = ast.parse(code)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module) and ast.get_docstring(node) is not None:
                node.body = node.body[1:] or [ast.Pass()]
        return ast.unparse(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return code
