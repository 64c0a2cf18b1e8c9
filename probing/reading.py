"""Reading the program in a model's answer: one reader for training, `ucoder judge` and evaluations. Nothing is executed."""

from __future__ import annotations

from probing.answers import extract_code


def read_program(answer: str, entry: str | None = None, given: str = "") -> str | None:
    """The program in an answer (its prefill included), or None when there is none.

    entry: name of the function that is called. given: code that the prompt gave, such as imports and helper functions.
    """
    return extract_code(answer)
