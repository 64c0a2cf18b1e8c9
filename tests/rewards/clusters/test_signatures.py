"""Outcome matrices: errors agree with nothing, missing is not wrong, codes survive stacking."""

import numpy as np
import pytest

from rewards.clusters.signatures import ERROR, MISSING, OutcomeMatrix, concatenate, no_program
from tests.rewards.pools import execution, matrix


def test_codes_agree_exactly_where_outcomes_do():
    rows = ["abca", "abc!", "Tbcb", "?aaa"]
    m = matrix(*rows)
    runs = [execution(r) for r in rows]
    for i, first in enumerate(runs):
        for k, second in enumerate(runs):
            for j in range(4):
                same = m.codes[i, j] >= 0 and m.codes[i, j] == m.codes[k, j]
                assert same == first.outcomes[j].agrees(second.outcomes[j])


def test_errors_and_missing_have_their_own_codes():
    m = matrix("a!", "T?")
    assert m.codes.tolist() == [[0, ERROR], [ERROR, MISSING]]
    assert m.missing.tolist() == [False, True]


def test_validity_counts_values_and_never_accepts_missing_or_nothing():
    m = matrix("abcde", "abcd!", "abc!!", "!!!!!", "abcd?")
    assert m.valid(0.8).tolist() == [True, True, False, False, False]
    assert not matrix("", "").valid(0.8).any()


def test_constant_and_echo_are_marked_by_behaviour():
    m = matrix("zzzz", "zz!z", "abcd", "ab!d", "abcz", "z!!!", "!!!!", arguments="abcd")
    assert m.constant.tolist() == [True, True, False, False, False, False, False]
    assert m.echo.tolist() == [False, False, True, True, False, False, False]
    assert m.degenerate.tolist() == [True, True, True, True, False, False, False]


def test_echo_means_the_same_argument_everywhere():
    from rewards.records import Kind, Outcome

    def value(c):
        return Outcome(Kind.VALUE, f"str:{c}")

    arguments = [[value("a"), value("x")], [value("b"), value("y")]]
    m = OutcomeMatrix.from_executions([execution("ab"), execution("xy"), execution("ay")], arguments=arguments)
    assert m.echo.tolist() == [True, True, False]


def test_stacking_keeps_codes_comparable():
    bank, group = matrix("abc", "a!c", weights=[3, 2]), matrix("cba", "abc", "x?c")
    both = concatenate(bank, group)
    direct = matrix("abc", "a!c", "cba", "abc", "x?c", weights=[3, 2, 1, 1, 1])
    assert both.weights.tolist() == direct.weights.tolist()
    values = direct.codes >= 0
    assert (both.codes[~values] == direct.codes[~values]).all()
    texts = [[both.legend[c] if c >= 0 else "" for c in row] for row in both.codes]
    assert texts == [[direct.legend[c] if c >= 0 else "" for c in row] for row in direct.codes]


def test_selections_keep_marks_and_expected_outputs():
    m = matrix("abz", "cbz", arguments="abc", expected="a.z")
    part = m.select_inputs([2, 0]).select_programs(np.array([False, True]))
    assert [part.legend[c] for c in part.codes[0]] == ["str:z", "str:c"]
    assert part.expected_codes.tolist() == m.expected_codes[[2, 0]].tolist()


def test_a_completion_without_a_program_is_wrong_and_not_missing():
    m = OutcomeMatrix.from_executions([no_program(3), execution("abc")])
    assert m.codes[0].tolist() == [ERROR] * 3 and not m.missing[0]


@pytest.mark.parametrize("weights", [[1], [1, 0], [1, -2]])
def test_bad_weights_are_refused(weights):
    with pytest.raises(ValueError, match="weight"):
        matrix("ab", "cd", weights=weights)


def test_programs_must_cover_the_same_inputs():
    with pytest.raises(ValueError, match="same inputs"):
        matrix("ab", "abc")
    with pytest.raises(ValueError, match="numbers of inputs"):
        concatenate(matrix("ab"), matrix("abc"))
