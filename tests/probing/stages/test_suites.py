"""Stage 4: which inputs are read, which are dropped, and how they are extended."""

import ast
import random

import pytest

from probing.parsing.proposals import parse_signature
from probing.parsing.typed_values import fits, mutate
from probing.records import Problem
from probing.samplers.base import Completion
from probing.stages.config import SuitesConfig
from probing.stages.problems import Funnel
from probing.stages.suites import callable_with, calls_of, extend, write_suites
from tests.probing.asking import ask

SIGNATURE = "def f(xs: list[int], k: int) -> int:"


def annotation(text: str):
    return parse_signature(f"def f(x: {text}):").args.args[0].annotation


class Scripted:
    def __init__(self, *texts):
        self.texts = texts

    def sample(self, prompts, n, params, seed, progress=None, indices=None):
        texts = iter(self.texts)
        return [[Completion(next(texts), (1,), (0.0,), True) for _ in range(n)] for _ in prompts]

    def close(self): ...


def suite(*texts, with_asserts=False, **config):
    problem = Problem("p", "t", "d", "f", SIGNATURE, "e", "lists")
    funnel = Funnel()
    settings = SuitesConfig(**{"samples": len(texts), "inputs": 4, "pool": 8, **config})
    return write_suites(Scripted(*texts), ask, [problem], settings, 0, funnel, with_asserts=with_asserts), funnel


def test_literal_calls_are_read_and_other_lines_counted():
    calls, asserts, unread = calls_of("```python\nf([1], 2)\nf(xs)\nprint(3)\nassert f([], 0) == 0\n# note\n```", "f")
    assert calls == [[[1], 2], [[], 0]] and asserts == ["assert f([], 0) == 0"] and unread == 2


@pytest.mark.parametrize(("arguments", "ok"), [([[1], 2], True), ([[1]], False), ([["a"], 2], False), ([[1], True], False)])
def test_inputs_must_fit_the_signature_in_number_and_type(arguments, ok):
    assert callable_with(SIGNATURE, arguments) is ok


@pytest.mark.parametrize("literal", ["1e400", "-1e999", "[1e400]", "{'a': (2.0, [1e400])}", "{1e400: 1}", "{1e400}", "1e400j"])
def test_numbers_that_are_not_finite_are_refused_alone(literal):
    signature, line = "def f(x: object) -> int:", f"f({literal})"
    calls, _, unread = calls_of(f"{line}\nf(2.5)", "f")
    assert len(calls) == 2 and unread == 0
    assert [callable_with(signature, call) for call in calls] == [False, True]


def test_an_infinite_literal_ends_no_suite():
    problem = Problem("p", "t", "d", "f", "def f(x: float) -> float:", "e", "numbers")
    funnel = Funnel()
    (found,) = write_suites(Scripted("f(1e400)\nf(2.5)\nf(-1e400)"), ask, [problem], SuitesConfig(samples=1, inputs=4, pool=8), 0, funnel)
    assert found.origins[:2] == ("model", "mutated") and len(found.inputs) == 8 and not funnel.dropped
    assert not write_suites(Scripted("f(1e400)"), ask, [problem], SuitesConfig(samples=1, inputs=4, pool=8), 0, funnel)
    assert funnel.dropped == {"no test inputs": 1}


@pytest.mark.parametrize(
    ("value", "text", "ok"),
    [
        (1, "float", True),
        (True, "int", False),
        ({"a": 1}, "dict[str, int]", True),
        ({1: 1}, "dict[str, int]", False),
        ((1, "a"), "tuple[int, str]", True),
        ((1,), "tuple[int, str]", False),
        ((1, 2, 3), "tuple[int, ...]", True),
        (None, "Optional[int]", True),
        ("a", "int | None", False),
        ([{1}], "list[set[int]]", True),
        (object, "Whatever", True),
    ],
)
def test_values_fit_annotations(value, text, ok):
    assert fits(value, annotation(text)) is ok


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, "int"),
        ("héllo wörld", "str"),
        ([3, 1, 2], "list[int]"),
        ({"a": 1, "b": 2}, "dict[str, int]"),
        ((1, "a"), "tuple[int, str]"),
        ([[1], []], "list[list[int]]"),
        ({1, 2}, "set[int]"),
        (1.5, "float"),
        ([True], "list[bool]"),
    ],
)
def test_mutants_keep_to_the_type(value, text):
    rng = random.Random(0)
    for _ in range(400):
        mutant = mutate(ast.literal_eval(repr(value)), rng)
        assert fits(mutant, annotation(text)), mutant


def test_extension_reaches_the_wanted_number_of_distinct_inputs():
    pool = extend(["[[1, 2], 3]"], 60, random.Random(0))
    assert len(pool) == len(set(pool)) == 60 and pool[0] == "[[1, 2], 3]"


def test_inputs_with_and_without_an_optional_argument_are_extended_alike():
    pool = [ast.literal_eval(text) for text in extend(["[[1, 2]]", "[[1, 2], 3]"], 40, random.Random(0))]
    assert len(pool) == 40 and {len(arguments) for arguments in pool} == {1, 2}


def test_extension_of_an_exhausted_space_ends():
    assert set(extend(["[True]"], 10, random.Random(0))) == {"[True]", "[False]"}


def test_model_written_inputs_come_first_and_are_marked():
    (found,), _ = suite("```python\nf([1], 2)\nf([1], 2)\nf([], 0)\n```")
    assert found.inputs[:2] == ("[[1], 2]", "[[], 0]") and found.origins[:3] == ("model", "model", "mutated") and len(found.inputs) == 8


def test_a_problem_without_one_callable_input_is_dropped():
    found, funnel = suite("f('no')", "I would test f.")
    assert not found and funnel.dropped == {"no test inputs": 1}


def test_suites_do_not_depend_on_the_other_problems():
    first, _ = suite("f([1], 2)")
    second, _ = suite("f([1], 2)")
    assert first == second


def test_asserts_are_asked_for_and_kept_only_where_they_are_wanted():
    text = "```python\nassert f([1], 2) == 3\nassert f([1], 2) == 3\nf([], 0)\n```"
    (bare,), _ = suite(text)
    (claiming,), _ = suite(text, with_asserts=True)
    assert bare.asserts == () and claiming.asserts == ("assert f([1], 2) == 3",) * 2 and claiming.inputs == bare.inputs
