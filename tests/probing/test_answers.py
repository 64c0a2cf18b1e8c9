"""Programs and sections in answers."""

import pytest

from probing.answers import code_block, extract_code, headed_sections


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("```python\ndef f():\n    return 1\n```", "def f():\n    return 1"),
        ("Text\n```py\ndef f(): pass\n```\nmore\n```python\ndef f():\n    return 22222\n```", "def f():\n    return 22222"),
        ("```python\ndef f():\n    return 1", "def f():\n    return 1"),
        ("def f():\n    return 1\n", "def f():\n    return 1"),
        ("```python\nprint(1)\n```", None),
        ("no code", None),
        ("", None),
    ],
)
def test_the_program_in_an_answer(answer, code):
    assert extract_code(answer) == code


def test_sections_end_at_the_next_heading():
    assert headed_sections("### Title\na\nb\n### Problem\nc") == {"Title": "a\nb", "Problem": "c"}


def test_the_first_of_equal_headings_counts():
    assert headed_sections("### Title\na\n### Title\nb")["Title"] == "a"


def test_no_code_block_is_none():
    assert code_block("plain") is None
