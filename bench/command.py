"""The command behind a result, as the result's JSON shows it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path


def shown(*words: str) -> str:
    """A command line without the folders of the machine that it ran on: an absolute path is shown by its last name.

    >>> shown("ucoder", "eval", "--model", "/data/models/a-model", "--json", "evals/a.json")
    'ucoder eval --model a-model --json evals/a.json'
    """
    return shlex.join(Path(word).name if word.startswith("/") else word for word in words)


def module_command(module: str, words: Iterable[str]) -> str:
    """The same of `python -m MODULE WORDS`."""
    return shown("python", "-m", module, *words)
