"""The vote of solving: the judge's own verdict, what examples rule out, and which input is asked about."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pytest

from rewards.clusters.inputs import InputsConfig
from rewards.judge.programs import run_programs
from rewards.judge.ranking import rank
from rewards.records import Execution, Kind, Outcome, Program
from rewards.rules.consensus import ConsensusConfig
from rl.solve.statement import Example
from rl.solve.vote import Vote, returns

INPUTS = ("[1]", "[2]", "[33333]")
SELECTION = InputsConfig(keep=10)
# what each program gives on the three inputs; None: an exception
TABLE: dict[str, tuple[str | None, ...]] = {
    "a": ("1", "2", "3"),
    "b": ("1", "5", "4"),
    "c": ("7", "5", "3"),
    "e": (None, None, None),
}


def code(name: str) -> str:
    return f"def f(x):\n    return '{name}'"


NAMES = {code(name): name for name in TABLE}


class Table:
    """Runs a program by looking its name up; the one called `lost` ends in our own failure."""

    def __init__(self, lost: str = "") -> None:
        self.lost = lost

    def run(self, programs: Iterable[Program]) -> Iterator[Execution]:
        for program in programs:
            yield Execution(tuple(self._outcome(program.code, INPUTS.index(text)) for text in program.inputs))

    def _outcome(self, text: str, column: int) -> Outcome:
        name = NAMES.get(text)
        if name == self.lost:
            return Outcome(Kind.INFRASTRUCTURE)
        value = "0" if name is None else TABLE[name][column]  # mutants are constant
        return Outcome(Kind.EXCEPTION, "ValueError") if value is None else Outcome(Kind.VALUE, value)


def vote_of(names: str, lost: str = "") -> Vote:
    executor = Table(lost)
    return Vote.of(run_programs(list(map(code, names)), "f", INPUTS, executor), executor, ConsensusConfig(), SELECTION)


def left(vote: Vote | None) -> list[int]:
    assert vote is not None
    return vote.programs.places.tolist()


def test_it_is_the_judge_s_verdict() -> None:
    vote, judged = vote_of("aaabbc"), rank(list(map(code, "aaabbc")), "f", INPUTS, Table(), ConsensusConfig(), SELECTION)
    ours, theirs = vote.ranking.judgement.clustering, judged.judgement.clustering
    assert ours.labels.tolist() == theirs.labels.tolist() and ours.top_share == theirs.top_share == 0.5
    assert vote.ranking.order.tolist() == judged.order.tolist()


def test_an_example_rules_out_those_that_contradict_it() -> None:
    vote, unmet, conflicting = vote_of("bbbaace").with_examples([Example("[33333]", 3, True)])
    assert left(vote) == [3, 4, 5, 6] and unmet == conflicting == [] and vote.ranking.no_vote[3] == "few_values"  # it is still counted
    assert vote.code == code("a") and vote.ranking.judgement.clustering.top_share == pytest.approx(2 / 3)
    assert [(known.by, known.ruled_out) for known in vote.known] == [("statement", 3)]


def test_an_example_that_nobody_meets_rules_nobody_out_and_is_told() -> None:
    example = Example("[1]", 99, True)
    vote, unmet, conflicting = vote_of("aab").with_examples([example, Example("[2]", None, False)])
    assert left(vote) == [0, 1, 2] and unmet == [example] and conflicting == [] and vote.known == ()


def test_each_candidate_is_counted_for_the_first_example_that_rules_it_out() -> None:
    vote, _, conflicting = vote_of("aabbbcce").with_examples(
        [Example("[1]", 1, True), Example("[2]", 2, True), Example("[33333]", 3, True)]
    )
    assert left(vote) == [0, 1, 7] and conflicting == []
    assert [(known.input, known.said, known.ruled_out) for known in vote.known] == [("[1]", "1", 2), ("[2]", "2", 3), ("[33333]", "3", 0)]


@pytest.mark.parametrize("order", itertools.permutations(range(4)))
def test_of_examples_that_no_candidate_meets_together_those_left_meet_the_most_whatever_the_order(order: Sequence[int]) -> None:
    # a meets the second and the third, c the first and the third, b none of them; nobody meets the last
    examples = [Example("[1]", 7, True), Example("[2]", 2, True), Example("[33333]", 3, True), Example("[2]", 99, True)]
    vote, unmet, conflicting = vote_of("aabbbce").with_examples([examples[i] for i in order])
    assert left(vote) == [0, 1, 5, 6] and unmet == [examples[3]]
    assert sorted(conflicting, key=examples.index) == examples[:2] and sum(known.ruled_out for known in vote.known) == 3


def test_an_example_that_only_ruled_out_candidates_meet_is_a_conflict_too() -> None:
    examples = [Example("[1]", 1, True), Example("[33333]", 4, True), Example("[2]", 2, True), Example("[33333]", 3, True)]
    vote, unmet, conflicting = vote_of("aabc").with_examples(examples)  # a meets three, b two, c one
    assert left(vote) == [0, 1] and unmet == [] and conflicting == [examples[1]]


def test_what_our_sandbox_lost_is_not_ruled_out() -> None:
    vote, _, _ = vote_of("aabc", lost="c").with_examples([Example("[2]", 2, True)])
    assert left(vote) == [0, 1, 3] and vote.ranking.no_vote == (None, None, "lost")


def test_a_person_s_word_lets_a_single_candidate_win_and_a_statement_s_does_not() -> None:
    vote = vote_of("aab")
    by_person, (by_statement, _, _) = vote.rule_out(1, np.array([False, True]), "5"), vote.with_examples([Example("[2]", 5, True)])
    assert by_person is not None and by_person.is_won and by_person.code == code("b")
    assert not by_statement.is_won and by_statement.code == code("b")


def test_nobody_left_is_no_vote() -> None:
    assert vote_of("aab").rule_out(0, np.array([False, False]), "9") is None


def test_candidates_that_all_fail_have_no_winner() -> None:
    assert vote_of("eee").winner is None and vote_of("eee").code is None


def test_the_question_parts_the_two_largest_clusters_and_splits_best() -> None:
    # a and b lead. Input 1 does not part them; inputs 2 and 3 do, and input 2 splits 3 : 4, input 3 splits 5 : 2.
    question = vote_of("aaabbcc").question([])
    assert question is not None and question.input == "[2]"
    assert [(outcome.payload, count) for outcome, count in question.options] == [("5", 4), ("2", 3)]


def test_of_equal_splits_the_shorter_input_is_asked_and_none_twice() -> None:
    vote = vote_of("aabb")
    first = vote.question([])
    assert first is not None and first.input == "[2]"
    second = vote.question([first.column])
    assert second is not None and second.input == "[33333]"
    assert vote.question([first.column, second.column]) is None


def test_one_cluster_leaves_nothing_to_ask() -> None:
    assert vote_of("aaa").question([]) is None


@pytest.mark.parametrize(
    ("text", "value", "same"),
    [
        ("2.0", 2, True),
        ("0.30000000000000004", 0.3, True),
        ("[1.0, 2]", [1, 2], True),
        ("[1, 2]", (1, 2), False),
        ("{1, 2}", {2, 1}, True),
        ("'a'", "a", True),
        ("1", True, True),
        ("3", 4, False),
        ("list#9000:" + "0" * 64, [1], True),  # a digest: it cannot be told
        ("{'a': 0.3333333333, 'b': [2, 0.6666666667]}", {"b": [2, 2 / 3], "a": 1 / 3}, True),
        ("{'a': 0.3333333333}", {"a": 0.3334}, False),
        ("{'a': 1}", {"a": 1, "b": 2}, False),
        ("{0.3333333333: 'x', 2: 'y'}", {2: "y", 1 / 3: "x"}, True),
        ("{0.3333333333, 0.6666666667}", {2 / 3, 1 / 3}, True),
        ("{0.3333333333, 0.6666666667}", {2 / 3, 0.5}, False),
        ("{(0.3333333333, 1)}", {(1 / 3, 1)}, True),
        ("frozenset({0.3333333333})", {1 / 3}, True),
        ("complex(0.3333333333, 1.0)", 1 / 3 + 1j, True),
        ("2.0", 10**400, False),  # no float is as large
    ],
)
def test_values_are_compared_as_python_does(text: str, value: object, same: bool) -> None:
    assert returns(Outcome(Kind.VALUE, text), value) is same
