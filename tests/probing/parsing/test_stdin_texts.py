"""Inputs and examples of programs are found in the forms in which statements, rows and answers write them."""

from __future__ import annotations

import pytest

from probing.parsing.stdin_texts import StdinExample, example_of, input_text, inputs_in, stdin_examples_in

PAIR = [StdinExample("3\n1 2 3\n", "6")]


@pytest.mark.parametrize(
    "text",
    [
        "Input:\n3\n1 2 3\nOutput:\n6",
        "### Sample Input 1\n\n3\n1 2 3\n\n### Sample Output 1\n\n6\n\nThe sum is 6.",
        "**Input:**\n```\n3\n1 2 3\n```\n**Output:**\n```text\n6\n```\nIt is 6.",
        "Example 1:\n\nInput\n3 \n1 2 3\n\nOutput\n6\n",
        "- Input: 3\n1 2 3\n- Output: 6",
        "1. Example input\n3\n1 2 3\n2. Expected output\n6",
        "stdin:\n3\n1 2 3\nstdout:\n6\nExplanation: 1 + 2 + 3",
    ],
)
def test_an_example_is_read_in_any_usual_form(text: str) -> None:
    assert stdin_examples_in(text) == PAIR


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("Input: `2 3`\n\nInput: `10 -4`\n", ["2 3\n", "10 -4\n"]),
        ("### Input\n`2 3`  \n### Input\n`a`b`\n", ["2 3\n", "`a`b`\n"]),
        ("Input:\n`2`\n`3`\n", ["`2`\n`3`\n"]),
        ("Input:\n```\n`2 3`\n```\n", ["`2 3`\n"]),
        ("Input:\n``2 3``\n", ["``2 3``\n"]),
    ],
)
def test_backticks_around_the_one_line_of_an_input_are_no_part_of_it(text: str, given: list[str]) -> None:
    assert inputs_in(text) == given


def test_backticks_around_an_example_are_no_part_of_it() -> None:
    assert stdin_examples_in("Sample Input: `2 3`\nSample Output: `5`\n\nThe sum.") == [StdinExample("2 3\n", "5")]


def test_a_format_in_a_statement_is_no_example() -> None:
    statement = "Add them.\n\nInput\n\nThe first line holds N.\n\nN\nA_1 A_2\n\nOutput\n\nThe sum.\n\n"
    statement += "Sample Input 1\n\n3\n1 2 3\n\nSample Output 1\n\n6\n"
    assert stdin_examples_in(statement, statement=True) == PAIR
    assert len(stdin_examples_in(statement)) == 2
    assert (
        stdin_examples_in(statement.replace("Sample Input 1", "Examples\n\nInput").replace("Sample Output 1", "Output"), statement=True)
        == PAIR
    )


def test_words_of_an_input_are_no_headings() -> None:
    assert stdin_examples_in("Input:\n3\nsample\nnote\ntest case\nOutput:\n1")[0].input == "3\nsample\nnote\ntest case\n"


def test_an_input_without_output_is_an_example_too() -> None:
    assert stdin_examples_in("Input:\n5") == [StdinExample("5\n", None)]


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("\n\n3  \r\n1 2\n\n", "3\n1 2\n"),
        ("a\n\nb", "a\n\nb\n"),
        (" \n", None),
        ("1 2 ... 9", None),
        ("x" * 3000, None),
        ("  x", "  x\n"),
        ("1 2\n...\n9 9", None),
        ("2 3\n...\n.#.", "2 3\n...\n.#.\n"),
        ("1 …", None),
        ("1.5 ..", "1.5 ..\n"),
    ],
)
def test_an_input_has_one_form(text: str, given: str | None) -> None:
    assert input_text(text) == given


def test_inputs_of_an_answer_are_those_under_headings_each_once() -> None:
    answer = "### Input\n1\n5\n### Output\n5\n### Input 2\n```\n2\n3 4\n```\n### Input\n1\n5\n### Input\n...\n### End\nthat was all"
    assert inputs_in(answer) == ["1\n5\n", "2\n3 4\n"]


def test_what_was_cut_off_is_no_input() -> None:
    answer = "### Input\n1\n5\n### Input\n3\n1 2"
    assert inputs_in(answer, finished=False) == ["1\n5\n"] and len(inputs_in(answer)) == 2


def test_without_headings_blocks_are_inputs() -> None:
    assert inputs_in("First:\n```\n1\n5\n```\nand\n```text\n2\n3 4\n```\nand ```\n9") == ["1\n5\n", "2\n3 4\n"]
    assert inputs_in("I would try small and large numbers.") == []


@pytest.mark.parametrize(
    "value", [{"input": "3\n1 2 3\n", "output": "6\n"}, [{"input": "3\n1 2 3", "output": "6"}], "Input:\n3\n1 2 3\nOutput:\n6"]
)
def test_a_row_says_its_example_as_an_object_or_as_text(value: object) -> None:
    assert stdin_examples_in(example_of(value)) == PAIR


@pytest.mark.parametrize("value", [{"output": "6"}, {"input": ""}, {"input": [3]}, {"input": "3", "output": 6}, 7, [None]])
def test_what_is_no_example_is_said(value: object) -> None:
    with pytest.raises(ValueError, match="an example is"):
        example_of(value)
