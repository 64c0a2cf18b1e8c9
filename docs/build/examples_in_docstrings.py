"""A griffe extension: examples in docstrings (`>>> ...`) are shown as code. Markdown would take them for quotations."""

from __future__ import annotations

import re
from typing import Any

import griffe

EXAMPLE = re.compile(r"(?:^>>> .*\n(?:^(?!>>> )\S.*\n|^(?:\.\.\.|[ \t]).*\n)*)+", re.MULTILINE)


def fenced(text: str) -> str:
    r"""The text with each run of examples and their results in a block of code.

    >>> fenced("Adds.\n\n>>> 1 + 1\n2\n")
    'Adds.\n\n```pycon\n>>> 1 + 1\n2\n```\n'
    """
    return EXAMPLE.sub(lambda found: f"```pycon\n{found[0].rstrip()}\n```\n", text + "\n").rstrip("\n") + "\n"


class ExamplesInDocstrings(griffe.Extension):
    """Rewrites docstrings while they are loaded."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring is not None and ">>>" in obj.docstring.value:
            obj.docstring.value = fenced(obj.docstring.value)
