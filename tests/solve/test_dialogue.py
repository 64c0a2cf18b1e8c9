"""`--interactive`: what a person's answers do to the vote, and answers that are not understood."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pytest
from rich.console import Console

from rl.solve.dialogue import talk
from rl.solve.vote import Vote
from tests.solve.test_vote import left, vote_of


def answered(names: str, lines: Sequence[str]) -> tuple[Vote | None, str, int]:
    """(the vote afterwards, what was printed, how many lines were read)."""
    out, given = io.StringIO(), iter(lines)
    read = 0

    def ask(prompt: str) -> str:
        nonlocal read
        read += 1
        try:
            return next(given)
        except StopIteration:
            raise EOFError from None

    vote = talk(vote_of(names), Console(file=out, width=120), ask)
    return vote, out.getvalue(), read


def test_the_person_sees_the_call_and_what_the_candidates_return() -> None:
    _, said, _ = answered("aaabb", ["q"])
    assert "What does f(2) return?" in said
    assert "a  2   (3 of 5 candidates)" in said and "b  5   (2 of 5 candidates)" in said


def test_a_letter_keeps_those_that_return_it_and_it_goes_on_until_nothing_parts() -> None:
    vote, said, read = answered("aaabbc", ["a", "b"])  # f(2): 2 or 5, equally often, so the first candidate's is a
    assert left(vote) == [0, 1, 2] and read == 1 and "nothing more to ask" in said
    vote, _, read = answered("aaabbc", ["b", "a"])  # 5: b and c are left, and parted by the next input
    assert left(vote) == [3, 4] and read == 2


def test_a_typed_value_counts_whether_or_not_it_is_offered() -> None:
    vote, _, _ = answered("aaabb", ["5"])
    assert left(vote) == [3, 4] and vote is not None and vote.known[0].said == "5"
    vote, said, _ = answered("aaabb", ["[1, 2]"])
    assert vote is None and "No candidate is left" in said


def test_neither_rules_out_what_was_shown() -> None:
    vote, said, _ = answered("aaabb", ["n"])
    assert vote is None and "all 5 are ruled out" in said


def test_skip_asks_about_another_input_and_changes_nothing() -> None:
    vote, said, read = answered("aabb", ["s", "s"])
    assert left(vote) == [0, 1, 2, 3] and read == 2 and said.count("What does") == 2


@pytest.mark.parametrize("lines", [["q"], []])
def test_stopping_and_the_end_of_input_keep_the_vote(lines: list[str]) -> None:
    vote, _, _ = answered("aaabb", lines)
    assert left(vote) == [0, 1, 2, 3, 4] and vote is not None and vote.known == ()


def test_what_is_not_understood_is_asked_again() -> None:
    vote, said, read = answered("aaabb", ["what?", "x", "b"])
    assert left(vote) == [3, 4] and read == 3 and said.count("is neither one of the letters") == 2


def test_unanimous_candidates_are_not_asked_about() -> None:
    vote, _, read = answered("aaa", [])
    assert vote is not None and read == 0
