"""Statements: where the signature is from, which function is meant, and what the examples say."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from rl.console import UserError
from rl.solve import statement
from rl.solve.statement import entry_in, examples_in, read_statement, read_text, signature_of_examples
from tests.solve.toys import STATEMENT


def values(text: str, entry: str = "f") -> list[tuple[str, Any]]:
    return [(example.input, example.value) for example in examples_in(text, entry) if example.known]


def test_the_signature_of_the_statement_is_read_and_the_option_counts_before_it() -> None:
    read = read_statement(STATEMENT)
    assert (read.signature, read.entry, read.source) == ("def largest_gap(xs: list[int]) -> int:", "largest_gap", "the statement")
    given = read_statement(STATEMENT, "def gap(numbers: list[float]) -> float")
    assert (given.signature, given.entry, given.source) == ("def gap(numbers: list[float]) -> float:", "gap", "--signature")


def test_missing_types_are_taken_from_the_example() -> None:
    read = read_statement("Repeat a word.\n\n    def again(word, n):\n\nagain('ab', 2) == 'abab'")
    assert read.signature == "def again(word: str, n: int) -> str:"


def test_a_header_without_types_still_names_the_function() -> None:
    read = read_statement("Do it.\n\n    def again(word, n):\n")
    assert (read.signature, read.entry) == (None, "again")


@pytest.mark.parametrize(
    ("text", "signature", "inputs"),
    [
        (
            "def f(xs: list[int], k: int = 2, up: bool = True) -> int:\nf([1]) == 1\nf([1], 3) == 0",
            None,
            ["[[1], 2, True]", "[[1], 3, True]"],
        ),
        ("f([1]) == 1", "def f(xs: list[int], k: int | None = None) -> int", ["[[1], None]"]),
        ("def f(xs, k=2):\nf([1]) == 1\nassert f([2]) == 1\nf(xs=[3]) == 1", None, ["[[1], 2]", "[[2], 2]", "[[3], 2]"]),
        ("def f(self, xs, k=2):\nf([1]) == 1", None, ["[[1], 2]"]),
        ("def f(k=2):\nf() == 1", None, ["[2]"]),
        ("def f(xs: list[int], k: int = LIMIT, up: bool = True) -> int:\nf([1]) == 1\nf([1], 2) == 1", None, ["[[1]]", "[[1], 2, True]"]),
        ("def f(xs: list[int], k: float = 1e400) -> int:\nf([1]) == 1", None, ["[[1]]"]),  # infinity is no literal
    ],
)
def test_arguments_that_an_example_leaves_out_are_the_header_s_literal_defaults(
    text: str, signature: str | None, inputs: list[str]
) -> None:
    examples = read_statement(text, signature).examples
    assert [example.input for example in examples] == inputs and all(example.known for example in examples)


def test_an_option_that_is_no_signature_is_the_users_mistake() -> None:
    with pytest.raises(UserError, match="no signature"):
        read_statement(STATEMENT, "f(x)")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("assert f([1, 2]) == 3", [("[[1, 2]]", 3)]),
        ("assert f(4)", [("[4]", True)]),
        (">>> f('a', 1)\n'b'", [("['a', 1]", "b")]),
        ("Example: f(1) -> 2", [("[1]", 2)]),
        ("- `f(1)` returns 2.", [("[1]", 2)]),
        ("print(f(1))  # 2", [("[1]", 2)]),
        ("f(1) == 2\nf(1) == 5\nf(2) == 4", [("[1]", 2), ("[2]", 4)]),
        ("Example of f: f(1) == 2", [("[1]", 2)]),
        ("a) Example (of f): print(f(1))  # 2", [("[1]", 2)]),
        ("Example of f: f(1) == 2" + " " * 5000, [("[1]", 2)]),
        ("f, twice: f('f(3)') == 2", [("['f(3)']", 2)]),
    ],
)
def test_examples_with_a_value_are_read(text: str, found: list[tuple[str, Any]]) -> None:
    assert values(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "assert set(f((3, 4))) == {3}",
        "assert abs(f(1) - 2) < 0.1",
        "twice f(1) is 6",
        "f(1) is easy",
        "sorted(f([2, 1])) == [1, 2]",
        "f is wrong when f(1) == 7",
        "f(f(1)) == 3",
        "max(0, f(1)) == 3",
    ],
)
def test_what_is_said_of_something_made_of_the_result_is_no_value_of_it(text: str) -> None:
    assert values(text) == []
    assert [example.known for example in examples_in(text, "f")] == [False]


def test_types_of_the_example_s_arguments_make_a_signature() -> None:
    statement = read_statement("assert pick((1, 'a'), [2.5]) == 1")
    assert statement.signature is None and statement.entry == "pick"
    assert signature_of_examples(statement) == "def pick(x1: tuple[int, str], x2: list[float]):"
    assert signature_of_examples(read_statement("Do something.")) is None


@pytest.mark.parametrize(("content", "said"), [(None, "no such file"), (b"  \n", "empty"), (b"\xff\xfe\x00", "cannot be read")])
def test_files_without_a_statement_are_the_users_mistake(tmp_path: Path, content: bytes | None, said: str) -> None:
    file = tmp_path / "problem.md"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError, match=said) as error:
        read_text(str(file))
    assert error.value.where == str(file)
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        read_text(str(tmp_path))


def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"Verdopple x.\n")))
    assert read_text("-") == "Verdopple x."
    for data, said in ((b"\xff", r"it is not UTF-8 \(byte 0\)"), (b"\n", "the statement is empty")):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
        with pytest.raises(UserError, match=said) as error:
            read_text("-")
        assert error.value.where == "standard input"


def test_a_name_is_looked_for_once_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look goes through the line: one for every bracket of `f(f(f(…` takes minutes."""
    asked: list[str] = []
    monkeypatch.setattr(statement, "call_in", lambda line, name: asked.append(name))
    assert entry_in("f(" * 1000 + "g(1") == "" and asked == ["f", "g"]


def test_a_header_whose_arguments_all_have_defaults_is_no_call() -> None:
    assert read_statement("Do it.\n\n    def f(k=2):\n").examples == ()


def test_an_example_with_infinity_is_left_out() -> None:
    """Its text `inf` is no literal, which later stages would read."""
    found = examples_in("assert f(1e400) == 1\nassert f([1e400]) == 1\nassert f(2.5) == 1", "f")
    assert [example.input for example in found] == ["[2.5]"]
