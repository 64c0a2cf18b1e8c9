"""Reading an invented problem in the forms that models write."""

import ast

import pytest

from probing.parsing.proposals import Unreadable, header_of, parse_signature, read_proposal, read_signature, sections_of

STATEMENT = "Given a list of integers, return the sum of the even ones."
SIGNATURE = "def even_sum(numbers: list[int]) -> int:"
EXAMPLE = "even_sum([1, 2, 4]) == 6"
ASKED = f"### Title\nEven Sum\n### Problem\n{STATEMENT}\n### Signature\n{SIGNATURE}\n### Example\n{EXAMPLE}\n### End"
FENCED = f'```python\n{SIGNATURE}\n    """Sum."""\n    return sum(n for n in numbers if n % 2 == 0)\n```'
FORMS = {
    "as asked": ASKED,
    "a title on the heading's line": ASKED.replace("### Title\n", "### Title: "),
    "bold headings": f"**Title:** Even Sum\n**Problem:** {STATEMENT}\n**Signature:**\n{SIGNATURE}\n**Example:** `{EXAMPLE}`",
    "bold headings on lines of their own": f"**Title**\nEven Sum\n\n**Problem**\n{STATEMENT}\n\n**Signature**\n{SIGNATURE}\n",
    "one hash": ASKED.replace("### ", "# "),
    "plain headings with colons": f"Title: Even Sum\nDescription: {STATEMENT}\nFunction Signature: {SIGNATURE}\nExample: {EXAMPLE}",
    "numbered headings": f"1. **Title**: Even Sum\n2. **Problem Statement**: {STATEMENT}\n3. **Signature**: `{SIGNATURE}`",
    "a fenced signature with a docstring and a body": ASKED.replace(SIGNATURE, FENCED),
    "a signature in backticks": ASKED.replace(SIGNATURE, f"`{SIGNATURE}`"),
    "a second problem after the end": ASKED + "\n\n" + ASKED.replace("Even", "Odd").replace("even", "odd"),
    "a draft in its thinking": "<think>\n" + ASKED.replace("Even", "Odd").replace("even", "odd") + "\n</think>\n" + ASKED,
    "no example": ASKED.split("### Example")[0],
    "windows line ends": ASKED.replace("\n", "\r\n"),
}


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_a_problem_is_read_in_every_usual_form(text: str) -> None:
    found = read_proposal(text, "lists", "r01")
    assert (found.title, found.description, found.entry, found.signature) == ("Even Sum", STATEMENT, "even_sum", SIGNATURE)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no statement"),
        (ASKED.replace(STATEMENT, "Sum."), "no statement"),
        (ASKED.replace(SIGNATURE, "even_sum(numbers)"), "no signature"),
        (ASKED.replace(SIGNATURE, "def even_sum() -> int:"), "no arguments"),
        (ASKED.replace(SIGNATURE, "def even_sum(tree: TreeNode) -> int:"), "arguments without literals"),
        (ASKED.replace(SIGNATURE, "def even_sum(*numbers: int) -> int:"), "no signature"),
        (ASKED.replace(SIGNATURE, "def even_sum(numbers):").replace(EXAMPLE, "a list"), "untyped signature"),
    ],
)
def test_what_is_no_problem_has_a_reason(text: str, reason: str) -> None:
    with pytest.raises(Unreadable, match=f"^{reason}$"):
        read_proposal(text, "lists", "r01")


@pytest.mark.parametrize(
    ("example", "signature"),
    [
        ("f([1, 2], 'a') == 3", "def f(a: list[int], b: str) -> int:"),
        ("`f([(1, 2.5)], {'k': [True]})` returns `None`", "def f(a: list[tuple[int, float]], b: dict[str, list[bool]]):"),
        (">>> f('', {1})\n''", "def f(a: str, b: set[int]):"),
        ("f([], 0) -> []", "def f(a: list, b: int) -> list:"),
    ],
)
def test_missing_types_come_from_the_example(example: str, signature: str) -> None:
    assert ast.unparse(read_signature("def f(a, b):", example)).split("\n")[0] == signature


def test_annotations_win_over_the_example() -> None:
    assert "a: float" in ast.unparse(read_signature("def f(a: float, b):", "f(1, 2) == 3"))


def test_defaults_are_dropped() -> None:
    assert ast.unparse(read_signature("def f(a: int, b: int = 3) -> int:")).startswith("def f(a: int, b: int) -> int:")


def test_a_header_may_span_lines() -> None:
    assert (
        header_of("text\n  def f(\n      a: dict[str, int],\n  ) -> int:\n    return 1") == "def f(\n      a: dict[str, int],\n  ) -> int"
    )


def test_a_word_at_the_start_of_a_line_is_no_heading() -> None:
    sections = sections_of("### Problem\nTitle case the words.\nExample inputs are short.\n### Signature\ndef f(x: str) -> str:")
    assert sections["problem"] == "Title case the words.\nExample inputs are short."


@pytest.mark.parametrize("line", ["def f(x):", "def f():", "def f(x: int, *rest: int):", "class f:", "def f(x: int", "x" * 9 + "\0"])
def test_signatures_must_be_typed_and_plain(line: str) -> None:
    assert parse_signature(line) is None
