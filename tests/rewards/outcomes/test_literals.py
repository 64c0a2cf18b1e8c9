"""Literals and asserts are read, never run."""

import pytest

from rewards.outcomes.literals import argument_outcomes, parse_assert


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("assert f(1, [2]) == {'a': 1}", ("[1, [2]]", "{'a': 1}")),
        ("assert f('x') is None", ("['x']", "None")),
        ("assert f(-1)", ("[-1]", "True")),
        ("assert not f()", ("[]", "False")),
        ("assert f(1e999, ('inf',)) == 1", ("[1e999, ('inf', )]", "1")),
        ("assert f(('info',)) == 1", ("[('info',)]", "1")),  # as suites write it
        ("  assert f((1,)) == 1.0, 'why'\n", ("[(1,)]", "1.0")),
    ],
)
def test_asserts_become_input_and_expected_outcome(text, read):
    found = parse_assert(text, "f")
    assert found is not None and (found[0], found[1].payload) == read


@pytest.mark.parametrize(
    "text",
    [
        "assert g(1) == 2",
        "assert f(x) == 2",
        "assert f(1) == g(2)",
        "assert f(1) < 2",
        "f(1)",
        "assert f(",
        "assert f(a=1) == 2",
        "assert 1 == 1",
        "",
    ],
)
def test_what_cannot_be_read_without_running_is_left_out(text):
    assert parse_assert(text, "f") is None


def test_inputs_that_are_no_list_of_arguments_have_no_echo():
    assert argument_outcomes(["3", "nonsense(", "[x]"]) == [[], [], []]


def test_echo_outcomes_cover_each_argument_and_doing_nothing_in_place():
    assert [o.payload for o in argument_outcomes(["[[1], 2]"])[0]] == ["[1]", "2", "None; arguments left as [[1], 2]"]
    assert [o.payload for o in argument_outcomes(["[2]"])[0]] == ["2", "None"]
