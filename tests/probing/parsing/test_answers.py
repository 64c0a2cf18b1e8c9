"""Code blocks in answers."""

from probing.parsing.answers import code_block


def test_the_first_block_counts_whatever_its_tag():
    forms = [
        "```py\na\n```\n```\nb\n```",
        "Calls:\n```\npython\na\n```",
        "```python3\r\na\r\n",
        "~~~\na\n~~~",
        "<think>```\nb\n```</think>```\na```",
    ]
    for answer in forms:
        assert code_block(answer) == "a"


def test_no_code_block_is_none():
    assert code_block("plain") is None
