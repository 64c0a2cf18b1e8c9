"""An example of what fills each prompt: shown by `ucoder config --prompts`, and what a prompt set has to take when it is loaded.

A template gets the fields below and no others; one that asks for another field could be filled by no stage.
"""

from __future__ import annotations

from typing import Any

FIELDS: dict[str, tuple[str, ...]] = {  # of each skill; those that invent problems also get the set's worked examples
    "invent": ("topic", "variant"),
    "rate": ("description",),
    "interface": ("description", "entry", "signature"),
    "tests": ("description", "interface", "entry", "call"),
    "asserts": ("description", "interface", "entry", "call"),
    "solve": ("description", "interface", "entry"),
    "signature": ("description", "entry", "argument"),
    "deepen": ("title", "description", "signature", "example", "variant"),
    "invent_stdin": ("topic", "variant"),
    "tests_stdin": ("description", "example", "input"),
    "solve_stdin": ("description", "example"),
    "deepen_stdin": ("title", "description", "input", "output", "variant"),
}
FUNCTION = {
    "topic": "lists of integers",
    "variant": 0,
    "title": "Sum of Evens",
    "description": "Given a list of integers, return the sum of its even numbers. An empty list gives 0.",
    "signature": "def sum_of_evens(numbers: list[int]) -> int:",
    "example": "sum_of_evens([1, 2, 4]) == 6",
    "interface": 'def sum_of_evens(numbers: list[int]) -> int:\n    """Sum of the even numbers; 0 for an empty list."""',
    "entry": "sum_of_evens",
    "argument": "numbers",
    "call": "sum_of_evens([1, 2, 4])",
}
PROGRAM = {
    "topic": "lists of integers",
    "variant": 0,
    "title": "Sum of Evens",
    "description": "The first line holds n, the second line n integers. Print the sum of those that are even, 0 if there is none.",
    "example": "Input:\n3\n1 2 4\nOutput:\n6",
    "input": "3\n1 2 4\n",
    "output": "6\n",
}


def example_fields(skill: str) -> dict[str, Any]:
    """What a stage would give the template of a skill.

    >>> sorted(example_fields("rate"))
    ['description']
    """
    example = PROGRAM if skill.endswith("_stdin") else FUNCTION
    return {name: example[name] for name in FIELDS[skill]}
