"""Two prints have the same normal form exactly where LiveCodeBench's harness calls them equal."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.outcomes.printed import normal_print


def same_by_definition(one: str, two: str) -> bool:
    """Line by line: equal after stripping, or equal as rows of decimal numbers."""

    def numbers(line: str) -> list[Decimal]:
        return [Decimal(word) for word in line.split()]

    def same(a: str, b: str) -> bool:
        try:
            return a == b or numbers(a) == numbers(b)
        except InvalidOperation:
            return False

    ones, twos = ([line.strip() for line in text.strip().split("\n")] for text in (one, two))
    return len(ones) == len(twos) and all(map(same, ones, twos))


NUMBERS = (
    "0",
    "-0",
    "007",
    "+1",
    "1",
    "1.0",
    "1.00",
    "10",
    "1e1",
    "1E+1",
    "10.0",
    ".5",
    "0.5",
    "5E-1",
    "inf",
    "Infinity",
    "-inf",
    "nan",
    "sNaN",
)
WORDS = st.sampled_from((*NUMBERS, "1_000", "1000", "1e50", "1e-50", "1" + "0" * 50, "yes", "Yes", "x1", "1.", "--1", "1,2", "٣", "3"))
TEXTS = st.lists(st.one_of(WORDS, st.sampled_from((" ", "  ", "\n", "\n\n", "\t", "\r\n"))), max_size=8).map("".join)


@given(TEXTS, TEXTS)
def test_normal_forms_are_equal_where_prints_are(one: str, two: str) -> None:
    assert (normal_print(one) == normal_print(two)) == same_by_definition(one, two)


@given(WORDS, WORDS)
def test_single_numbers_too(one: str, two: str) -> None:
    assert (normal_print(one) == normal_print(two)) == same_by_definition(one, two)


@given(TEXTS)
def test_a_normal_form_is_its_own(text: str) -> None:
    assert normal_print(normal_print(text)) == normal_print(text)


@pytest.mark.parametrize(
    ("text", "normal"),
    [("3\n1 2 3 \n", "3\n1 2 3"), ("", ""), ("1.50\n", "1.5"), ("0.10 x", "0.10 x"), ("a  b", "a  b"), ("1e60", "1E60"), ("-0.0", "0")],
)
def test_normal_forms_are_those_that_a_person_would_write(text: str, normal: str) -> None:
    assert normal_print(text) == normal
