"""A griffe extension: what the sources say of themselves beside docstrings, for the reference.

- Fields have no docstrings here: a config's field is described by `Field(description=...)`, a record's by the comment behind it.
- Examples in docstrings (`>>> ...`) are shown as code. Markdown would take them for quotations.
"""

from __future__ import annotations

import ast
import re
from typing import Any

import griffe

EXAMPLE = re.compile(r"(?:^>>> .*\n(?:^(?!>>> )\S.*\n|^(?:\.\.\.|[ \t]).*\n)*)+", re.MULTILINE)
COMMENT = re.compile(r"  # (.+)$")


def fenced(text: str) -> str:
    r"""The text with each run of examples and their results in a block of code.

    >>> fenced("Adds.\n\n>>> 1 + 1\n2\n")
    'Adds.\n\n```pycon\n>>> 1 + 1\n2\n```\n'
    """
    return EXAMPLE.sub(lambda found: f"```pycon\n{found[0].rstrip()}\n```\n", text + "\n").rstrip("\n") + "\n"


def description(value: str) -> str | None:
    """What the source of a call of `Field` says: the description, and the default; None for any other value.

    >>> description("Field(1, ge=0, description='a ' 'count')"), description("3")
    ('A count. Default: `1`.', None)
    """
    call = ast.parse(value, mode="eval").body
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Field"):
        return None
    text = next((ast.literal_eval(word.value) for word in call.keywords if word.arg == "description"), None)
    default = f" Default: `{ast.unparse(call.args[0])}`." if call.args else ""
    return None if text is None else f"{text[0].upper()}{text[1:]}.{default}"


class Docstrings(griffe.Extension):
    """Rewrites and adds docstrings while modules are loaded."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring is not None and ">>>" in obj.docstring.value:
            obj.docstring.value = fenced(obj.docstring.value)

    def on_attribute_instance(self, *, attr: griffe.Attribute, **kwargs: Any) -> None:
        if attr.docstring is None and isinstance(attr.parent, griffe.Class) and (text := self.text_of(attr)) is not None:
            attr.docstring = griffe.Docstring(text, lineno=attr.lineno, parent=attr)

    def text_of(self, attr: griffe.Attribute) -> str | None:
        """What is said of a field in its own lines; None where nothing is."""
        if attr.value is not None and (said := description(str(attr.value))) is not None:
            return said
        lines = attr.source.splitlines()
        found = COMMENT.search(lines[0]) if lines else None
        return found[1] if found else None
