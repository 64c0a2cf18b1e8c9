"""Stages 1 to 3: what is parsed, what is dropped, and why."""

import ast
import inspect

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from probing.parsing.interfaces import parse_interface
from probing.records import Problem
from probing.samplers.base import Completion
from probing.stages.config import ProblemsConfig
from probing.stages.problems import (
    Funnel,
    lexical_entropy,
    parse_rating,
    rate,
    select_proposals,
    topic_shares,
    write_interfaces,
)
from probing.stages.proposals import Drawn
from tests.probing.asking import ask

GOOD = "### Title\n{title}\n### Problem\n{problem}\n### Signature\ndef f(xs: list[int]) -> int:\n### Example\nf([1]) == 1\n### End"
CONFIG = ProblemsConfig(count=4, topics=("lists", "strings"))


def answer(text: str, finished: bool = True) -> Completion:
    return Completion(text, (1, 2), (-0.1, -0.2), finished)


def proposal(problem: str, title: str = "Sum", beyond: str | None = None) -> Drawn:
    return Drawn("lists", "?", answer(GOOD.format(title=title, problem=problem)), beyond)


def problem(description: str = "Add up the numbers.") -> Problem:
    return Problem("x", "Sum", description, "f", "def f(xs: list[int]) -> int:", "f([1]) == 1", "lists")


class Scripted:
    """A sampler that gives scripted texts, one list a prompt."""

    def __init__(self, *texts: str) -> None:
        self.texts, self.prompts = list(texts), []

    def sample(self, prompts, n, params, seed, progress=None, indices=None):
        self.prompts += list(prompts)
        texts = iter(self.texts)
        return [[answer(next(texts)) for _ in range(n)] for _ in prompts]

    def close(self) -> None: ...


def select(*proposals, known=(), benchmarks=(), config=CONFIG):
    funnel = Funnel()
    return select_proposals(proposals, config, "r01", funnel, known, benchmarks), funnel


def test_the_funnel_knows_why_each_proposal_gave_no_problem():
    funnel, words = Funnel(), ["Count the words.", "Count the words.", "Reverse the given string twice.", "Add all odd numbers up."]
    proposals = [Drawn("lists", "?", answer("nonsense")), *(proposal(text) for text in words)]
    first, second, third = select_proposals(proposals, CONFIG, "r01", funnel)
    rate(Scripted("Clarity: 9", "Clarity: 1", "Clarity: 9"), ask, [first, second, third], CONFIG, 0, funnel)
    write_interfaces(Scripted(INTERFACE, "sorry"), ask, [first, third], CONFIG, 0, funnel)
    assert [funnel.reason_of(i) for i in range(5)] == ["no statement", None, "near duplicate", "low rating", "no interface"]
    assert [funnel.problem_of.get(i) for i in range(5)] == [None, first.id, None, second.id, third.id]


def test_unreadable_and_cut_off_proposals_are_counted_apart():
    _, funnel = select(Drawn("lists", "?", answer("nonsense")), Drawn("lists", "?", answer("### Title\nSum", finished=False)))
    assert funnel.dropped == {"no statement": 1, "cut off": 1}


def test_a_near_duplicate_of_an_earlier_problem_is_dropped():
    text = "Keep the even numbers of the given list of integers and then return the sum of their squares as one number"
    kept, funnel = select(proposal(text + "."), proposal(text + "!"))
    assert len(kept) == 1 and funnel.dropped == {"near duplicate": 1}


def test_a_near_duplicate_of_an_earlier_round_is_dropped():
    kept, funnel = select(proposal("Count the words."), known=["Count the words."])
    assert not kept and funnel.dropped == {"near duplicate": 1}


def test_different_problems_are_kept():
    assert len(select(proposal("Count the words."), proposal("Reverse the given string twice."))[0]) == 2


def test_a_problem_that_shares_a_long_run_of_words_with_a_benchmark_is_dropped():
    shared = "one two three four five six seven eight nine ten"
    kept, funnel = select(proposal(f"Please {shared}."), benchmarks=[f"Here {shared} ends"])
    assert not kept and funnel.dropped == {"benchmark overlap": 1}


def test_a_short_overlap_with_a_benchmark_is_allowed():
    assert select(proposal("Return the sum of all."), benchmarks=["Return the sum of something else entirely, my friend, today"])[0]


@pytest.mark.parametrize(
    ("text", "rating"),
    [
        ("Clarity: 9\nCompleteness: 9\nQuality: 9", 1.0),
        ("clarity: 0", 0.0),
        ("fine", None),
        ("<think>\nClarity: 0\n</think>\nClarity: 9", 1.0),
    ],
)
def test_ratings_are_means_in_the_unit_interval(text, rating):
    assert parse_rating(text) == rating


def test_low_and_unread_ratings_are_dropped_for_different_reasons():
    funnel = Funnel()
    kept = rate(Scripted("Clarity: 9", "Clarity: 1", "hm"), ask, [problem("a"), problem("b"), problem("c")], CONFIG, 0, funnel)
    assert [p.description for p in kept] == ["a"] and kept[0].rating == 1.0 and funnel.dropped == {"low rating": 1, "unrated": 1}


INTERFACE = '```python\ndef f(xs: list[int]) -> int:\n    """Sum."""\n```'


def test_a_valid_interface_is_kept_as_written():
    assert parse_interface(INTERFACE, "f") == 'def f(xs: list[int]) -> int:\n    """Sum."""'


def interface_with(words: str) -> str:
    """The interface that is read from an answer whose docstring says these words."""
    found = parse_interface(f"```python\ndef f(xs: list[int]) -> int:\n    {words!a}\n```", "f")
    assert found is not None
    return found


@pytest.mark.parametrize(
    "words",
    ["Reverse it.", "Sum.\n\n    >>> f([1])\n    1\n\nThat's it", "It's '''quoted'''", 'Say "a" twice', "A \\n is two characters, \\\\"],
)
def test_a_docstring_without_quotes_at_its_end_is_written_as_it_always_was(words):
    lines = words.replace("\\", "\\\\").split("\n")
    assert interface_with(words) == 'def f(xs: list[int]) -> int:\n    """' + "\n    ".join(lines) + '"""'


@given(st.text("\"'\\ \nab\r\x00\ud800", min_size=1).map(inspect.cleandoc).filter(str.strip))
@example('f("abc") gives "cba"')
@example('A quote """of three""" inside')
@example('Four """"')
@example('Ends in """three"""')
@example("Ends in a backslash \\")
@example('Ends in both \\"')
@example("Null \0 and return \r are said by escapes")
def test_an_interface_parses_and_says_what_its_answer_said(words):
    interface = interface_with(words)
    assert ast.get_docstring(ast.parse(interface).body[0]).rstrip() == inspect.cleandoc(words).rstrip()
    assert len(ast.parse(f"{interface}\n    return 1").body[0].body) == 2


@pytest.mark.parametrize(
    "text", ["def f(", INTERFACE.replace("def f", "def g"), INTERFACE.replace('"""Sum."""', "pass"), INTERFACE.replace(": list[int]", "")]
)
def test_an_interface_that_is_not_typed_python_with_a_docstring_is_none(text):
    assert parse_interface(text, "f") is None


def test_problems_without_an_interface_are_dropped():
    funnel = Funnel()
    kept = write_interfaces(Scripted(INTERFACE, "sorry"), ask, [problem(), problem()], CONFIG, 0, funnel)
    assert len(kept) == 1 and funnel.dropped == {"no interface": 1} and funnel.kept == 1


def test_lexical_entropy_is_that_of_the_word_distribution():
    assert lexical_entropy(["a b", "a b"]) == pytest.approx(1.0)
    assert lexical_entropy([]) == 0.0


def test_topic_shares_sum_to_one():
    assert topic_shares([problem(), problem()]) == {"lists": 1.0}
