"""Mutants: one fault each, distinct, parsable, repeatable."""

import ast
import difflib

import pytest

from rewards.programs.mutants import OPERATORS, mutants
from rewards.programs.normal_form import normal_form

SOURCE = '''
def total(xs, low):
    """Sum of the entries above low, at most 9 of them."""
    acc = 0
    for i in range(len(xs)):
        if xs[i] > low and not xs[i] == 3:
            acc += xs[i]
        if acc > 1.5:
            break
    ys = sorted([y for y in xs[1:] if y], reverse=True)
    print("done".strip())
    return acc if ys else True
'''


def test_mutants_parse_and_differ_from_the_original_and_each_other():
    found = mutants(SOURCE, 1000)
    texts = [m.code for m in found]
    assert len(set(texts)) == len(texts) > 40 and normal_form(SOURCE) not in texts
    for text in texts:
        ast.parse(text)


def test_every_operator_finds_a_place():
    assert {m.operator for m in mutants(SOURCE, 1000)} == set(OPERATORS)


def test_a_mutant_has_a_single_fault():
    original = normal_form(SOURCE).splitlines()
    for mutant in mutants(SOURCE, 1000):
        blocks = [op for op in difflib.SequenceMatcher(None, original, mutant.code.splitlines()).get_opcodes() if op[0] != "equal"]
        assert len(blocks) == 1, mutant


def test_limited_draws_repeat_and_spread_over_operators():
    few = mutants(SOURCE, 10, seed=4)
    assert few == mutants(SOURCE, 10, seed=4) and len({m.operator for m in few}) == 10
    assert few != mutants(SOURCE, 10, seed=5)


@pytest.mark.parametrize("code", ["def f(:", "x = 1", "", "\0"])
def test_what_has_no_function_has_no_mutants(code):
    assert mutants(code, 5) == []


@pytest.mark.parametrize(
    "code",
    [
        "def f(x):\n    if x == 0:\n        return 0\n" + "".join(f"    elif x == {i}:\n        return {i}\n" for i in range(1, 200)),
        "def f(x):\n    return " + " + ".join(["x"] * 300),
        "def f(x):\n    return x + 0x" + "f" * 4000,
    ],
    ids=["elif chain", "long sum", "long number"],
)
def test_a_program_whose_mutants_cannot_be_written_is_no_error(code):
    ast.parse(code)
    assert all(ast.parse(mutant.code) for mutant in mutants(code + "\n\ndef g(a, b):\n    return a < b", 20))


def test_what_cannot_be_written_leaves_the_other_mutants():
    code = "def f(x):\n    if x:\n        return 0x" + "f" * 4000 + "\n    return 1"
    assert [m.code for m in mutants(code, 20)] == ["def f(x):\n    pass\n    return 1"]


def test_names_in_scope_are_the_only_ones_taken_by_mistake():
    code = "def f(a, b):\n    return a + helper(b)"
    swapped = {m.code for m in mutants(code, 100) if m.operator == "variable"}
    assert swapped == {"def f(a, b):\n    return b + helper(b)", "def f(a, b):\n    return a + helper(a)"}


def test_normal_form_ignores_layout_and_docstrings_but_not_names():
    assert normal_form("def f(x):\n    'doc'\n    return (x)") == normal_form("def f(x): return x # same")
    assert normal_form("def f(x): return x") != normal_form("def f(y): return y")
    assert normal_form("def f(:") == "def f(:"
