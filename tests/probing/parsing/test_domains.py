"""Mutants of inputs keep what the inputs have in common, and nothing that one input alone suggests."""

import ast
import random
import string
from typing import Any

import pytest

from probing.parsing.domains import Domain, resized
from probing.stages.suites import extend


def mutants(*inputs: list[Any], wanted: int = 120, statement: str = "") -> list[list[Any]]:
    written = [repr(arguments) for arguments in inputs]
    return [ast.literal_eval(text) for text in extend(written, wanted, random.Random(0), statement)[len(written) :]]


def test_grids_keep_rows_of_one_length_and_change_in_both_sizes() -> None:
    grids = [grid for (grid,) in mutants([[[1, 2, 3], [4, 5, 6]]])]
    assert all(len({len(row) for row in grid}) <= 1 for grid in grids)
    assert len({len(grid) for grid in grids}) > 3 and len({len(grid[0]) for grid in grids if grid}) > 2


def test_lists_of_lists_that_were_ragged_stay_free() -> None:
    assert any(len({len(row) for row in grid}) > 1 for (grid,) in mutants([[[1, 2], [3]]]))


def test_square_grids_stay_square() -> None:
    assert all(len(grid) == len(row) for (grid,) in mutants([[[1, 2, 3], [4, 5, 6], [7, 8, 9]]]) for row in grid)


def test_a_tuple_beside_a_square_grid_keeps_its_number_of_items() -> None:
    found = mutants([[[1, 2, 3], [4, 5, 6], [7, 8, 9]], ([1, 2], [3])], [[[1, 2], [3, 4]], ([], [5])])
    assert {len(pair) for _, pair in found} == {2}
    joined = mutants([{"grid": [[1, 2, 3], [4, 5, 6], [7, 8, 9]], "pair": ([], [3])}])
    assert all(len(value) == 2 for (table,) in joined for value in table.values() if isinstance(value, tuple))


def test_texts_of_two_signs_keep_to_them() -> None:
    assert {letter for (text,) in mutants(["0101"]) for letter in text} == {"0", "1"}


def test_one_text_of_two_letters_promises_nothing() -> None:
    assert {letter for (text,) in mutants(["aabb"]) for letter in text} > {"a", "b"}


def test_kinds_of_characters_are_kept_where_enough_inputs_tell() -> None:
    found = {letter for (text,) in mutants(["abc"], ["hello you"], ["x"], ["a b"]) for letter in text}
    assert found > set("abc ") and all(letter in " " + string.ascii_lowercase for letter in found)


def test_lists_of_one_length_stay_so_and_change_it() -> None:
    pairs = mutants([[1, 2, 3], [4, 5, 6]])
    assert all(len(a) == len(b) for a, b in pairs) and len({len(a) for a, _ in pairs}) > 3


def test_lists_of_different_lengths_are_free() -> None:
    assert any(len(a) != len(b) for a, b in mutants([[1, 2, 3], [4, 5, 6]], [[1], [2, 3]]))


def test_a_number_that_is_a_length_follows_it() -> None:
    assert all(n == len(xs) for xs, n in mutants([[3, 1, 2], 3], [[5, 5], 2]))


def test_one_short_list_does_not_make_a_number_its_length() -> None:
    assert any(n != len(xs) for xs, n in mutants([[7, 7, 5], 3]))


def test_integers_stay_in_the_size_of_those_written() -> None:
    assert max(abs(n) for (n,) in mutants([30])) <= 100
    assert max(abs(n) for (n,) in mutants([5000], wanted=400)) in range(5001, 10_001)


def test_an_argument_that_is_never_negative_stays_so_where_enough_inputs_tell() -> None:
    assert min(n for (n,) in mutants([10], [0], [7], [100])) >= 0
    assert min(n for (n,) in mutants([10], [1], [7], [100])) >= 1
    assert min(n for (n,) in mutants([10], [0])) < 0
    assert min(n for (n,) in mutants([10], [-1], [7], [100])) < -1


def test_integers_in_lists_may_be_negative() -> None:
    assert any(min(xs, default=0) < 0 for (xs,) in mutants([[1, 2]], [[3]], [[4, 5]], [[6, 7, 8]]))


@pytest.mark.parametrize(("inputs", "empty"), [(([[1]], [[2, 3]], [[4]], [[5]]), False), (([[1]], [[2, 3]], [[4]]), True)])
def test_lists_are_empty_only_where_too_few_were_seen(inputs: tuple[list[Any], ...], empty: bool) -> None:
    assert ([] in [xs for (xs,) in mutants(*inputs)]) is empty


def test_sorted_lists_stay_sorted_only_where_the_statement_says_so() -> None:
    inputs = ([[1, 2, 5]], [[2, 4, 4, 9]])
    assert all(xs == sorted(xs) for (xs,) in mutants(*inputs, statement="Search in a sorted list."))
    assert any(xs != sorted(xs) for (xs,) in mutants(*inputs, statement="Find the largest."))
    assert any(xs != sorted(xs) for (xs,) in mutants([[2, 1, 5]], statement="Return the list sorted."))


@pytest.mark.parametrize(
    "inputs",
    [
        ([[(1, "a")], {"a": [1]}, "x", 1.5],),
        ([[[1, 2], [3, 4]], {1, 2}, None, True],),
        ([{"k": [[1, 2], [3, 4]]}, ("a", 2), b"x", ""], [{"m": []}, ("b", 3), b"", "y"]),
    ],
)
def test_what_was_written_is_in_its_own_domain(inputs: tuple[list[Any], ...]) -> None:
    domain = Domain.of(inputs)
    assert all(domain.keep(list(arguments), arguments, 0, random.Random(0)) == arguments for arguments in inputs)


def test_a_list_is_cut_or_goes_on_from_its_start() -> None:
    assert resized([1, 2, 3], 2) == [1, 2] and resized([1, 2], 5) == [1, 2, 1, 2, 1] and resized("ab", 3) == "aba" and resized([], 2) == []
