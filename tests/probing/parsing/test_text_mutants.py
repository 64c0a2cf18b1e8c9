"""Mutants of texts for standard input differ, and keep to the format of the text."""

from __future__ import annotations

import random

import pytest

from probing.parsing.text_mutants import counting, mutate_input


def mutants(text: str, count: int = 300) -> set[str]:
    rng = random.Random(0)
    found, pool = {text}, [text]
    for _ in range(count):
        mutant = mutate_input(rng.choice(pool), rng)
        if mutant not in found:
            found.add(mutant)
            pool.append(mutant)
    return found - {text}


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_a_number_of_items_follows_the_items() -> None:
    found = mutants("4\n3 1 4 1\n")
    assert len({len(rows(m)[1]) for m in found}) > 2
    assert all(int(rows(m)[0][0]) == len(rows(m)[1]) for m in found)


def test_a_number_of_lines_follows_the_lines() -> None:
    found = mutants("3\napple 2\npear 5\nplum 1\n")
    assert len({len(rows(m)) for m in found}) > 2
    assert all(int(rows(m)[0][0]) == len(rows(m)) - 1 and all(len(row) == 2 for row in rows(m)[1:]) for m in found)


def test_a_matrix_keeps_its_shape() -> None:
    found = [rows(m) for m in mutants("2 3\n1 2 3\n4 5 6\n")]
    assert all(int(head[0]) == len(body) and {len(row) for row in body} == {int(head[1])} for head, *body in found)
    square = mutants("2\n1 2\n3 4\n")
    assert square and all([len(row) for row in rows(m)] == [1, 2, 2] and rows(m)[0] == ["2"] for m in square)


def test_a_length_follows_the_word() -> None:
    found = mutants("5\nabcab\n")
    assert len({len(rows(m)[1][0]) for m in found}) > 2
    assert all(int(rows(m)[0][0]) == len(rows(m)[1][0]) and set(rows(m)[1][0]) <= set("abc") for m in found)


def test_test_cases_keep_their_number() -> None:
    found = mutants("2\n3\n1 2 3\n2\n5 9\n")
    assert len(found) > 10 and all([len(row) for row in rows(m)] == [1, 1, 3, 1, 2] and rows(m)[0] == ["2"] for m in found)


def test_numbers_stay_in_the_range_that_the_text_shows() -> None:
    found = [rows(m) for m in mutants("3 9\n5 1 7\n2 2 8\n")]
    assert all(1 <= int(word) <= int(head[1]) for head, *body in found for row in body for word in row), "it may bound them"
    assert len({head[1] for head, *_ in found}) > 3
    assert all(int(word) >= 1 for m in mutants("4\n5 1 7 6\n") for word in rows(m)[1]), "none is below 1"
    assert any(int(m) > 12 for m in mutants("12\n")) and all(int(m) >= 1 for m in mutants("12\n"))
    assert any(int(word) < 0 for m in mutants("-4 7 9 2 3\n") for word in m.split())


def test_the_smallest_and_the_largest_number_vary() -> None:
    found = [[int(word) for word in rows(m)[1]] for m in mutants("4\n31 7 16 22\n")]
    assert len({min(numbers) for numbers in found}) > 5 and len({max(numbers) for numbers in found}) > 5


@pytest.mark.parametrize(("text", "form"), [("0.25 1.50\n", float), ("7 0 3\n", int)])
def test_numbers_stay_numbers_of_their_kind(text: str, form: type) -> None:
    found = mutants(text)
    assert len(found) > 5 and all(form(word) is not None and ("." in word) is (form is float) for m in found for word in m.split())


@pytest.mark.parametrize("text", ["x\n", "1\n", "a b c\n\nd\n", "()[]\n", "1\n5\n", "hello world\n"])
def test_any_text_has_mutants_or_stays(text: str) -> None:
    assert all(len(rows(m)) == len(rows(text)) for m in mutants(text, 100))


def test_what_may_count_two_things_is_not_resized() -> None:
    assert counting([["1"], ["5"]]) == {(0, 0): "several"}
    assert counting([["4", "2"], ["1", "2", "3", "4"]]) == {(0, 0): "items"}
