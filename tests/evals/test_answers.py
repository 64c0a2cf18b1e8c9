"""Which program is taken from an answer."""

from __future__ import annotations

import pytest

from rl.evals.answers import solution_of
from rl.evals.livecodebench import last_block

F = "def f(x):\n    return x + 1"
PROMPT = 'def f(x):\n    """Add one."""\n'


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (f"Here:\n```python\n{F}\n```\nIt adds one.", F),
        (f"```\n{F}\n```", F),
        (f"```python\n{F}", F),  # cut off before the closing fence
        (f"```python\nprint(1)\n```\nthen\n```python\n{F}\n```", F),
        (f"```python\n{F}\n```\nUse it:\n```python\nprint(f(1))\n```", F),
        (F, F),
        (f"Sure, here it is.\n\n{F}\n\nThis adds one to x.", F),
        (f"import math\n\n\n{F}", f"import math\n\n\n{F}"),
        (f"```python\n{F}\n\ndef g(x):\n    return (", F),  # cut off in the middle of something else
        ("```python\ndef g(x):\n    return x\n```", "def g(x):\n    return x"),  # wrong name: the sandbox will say so
        ("f = lambda x: x + 1", "f = lambda x: x + 1"),
        ("I cannot do that.", None),
        ("", None),
    ],
)
def test_program_of_an_answer(answer: str, expected: str | None) -> None:
    assert solution_of(answer, "f") == expected


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        ("    return x + 1\n", "    return x + 1"),
        ("    return x + 1\n\n\nprint(f(3))\n", "    return x + 1"),
        ("    y = x + 1\n    return y\n\ndef test():\n    assert f(1) == 2", "    y = x + 1\n    return y"),
        ("```python\n    return x + 1\n```", "    return x + 1"),
    ],
)
def test_a_continuation_is_put_behind_its_prompt(answer: str, body: str) -> None:
    assert solution_of(answer, "f", PROMPT) == PROMPT + body


def test_a_whole_program_is_not_taken_for_a_continuation() -> None:
    assert solution_of(f"```python\n{F}\n```", "f", PROMPT) == F


def test_livecodebench_takes_the_last_block() -> None:
    assert last_block("```python\na\n```\nand\n```python\nb\n```") == "b"
    assert last_block("no block, one ``` fence") is None
