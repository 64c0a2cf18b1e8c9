"""`solutions.views`: half of a problem's candidates answer a prompt that shows the title as docstring."""

import ast
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from probing.records import STDIN, Problem
from probing.samplers.base import Completion, Progress, SamplingParams
from probing.stages.config import SolutionsConfig
from probing.stages.solutions import has_two_views, sample_solutions, solve_question, titled_interface
from tests.probing.asking import Wording

ASK = Wording("instruct")
PROBLEM = Problem(
    id="p",
    title="Sum, doubled",
    description="Add the numbers up and double the sum.",
    entry="f",
    signature="def f(xs: list[int]) -> int:",
    example="f([1]) == 2",
    topic="lists",
    rating=1.0,
    interface='def f(xs: list[int]) -> int:\n    """The greatest number."""',
)


class Recorder:
    """A sampler that answers with the number of the prompt and of the sample."""

    def __init__(self) -> None:
        self.prompts: list[str] = []
        self.n = 0

    def sample(
        self, prompts: Sequence[str], n: int, params: SamplingParams, seed: int, progress: Progress | None = None
    ) -> list[list[Completion]]:
        self.prompts, self.n = list(prompts), n
        program = "```python\ndef f(xs):\n    return {}, {}\n```"
        return [[Completion(program.format(i, k), (1,), (0.0,), True) for k in range(n)] for i in range(len(prompts))]


def test_each_view_gets_its_share_of_the_samples_and_its_prompt() -> None:
    sampler, other = Recorder(), replace(PROBLEM, id="q")
    found = list(sample_solutions(sampler, ASK, [PROBLEM, other], SolutionsConfig(samples=4, views=2), 0))
    assert [(c.problem_id, c.index, c.view) for c in found] == [(name, i, i // 2) for name in "pq" for i in range(4)]
    assert [(c.code or "").split("    ")[1] for c in found[:4]] == ["return 0, 0", "return 0, 1", "return 1, 0", "return 1, 1"]
    assert ["greatest" in prompt for prompt in sampler.prompts] == [True, False, True, False]
    assert ['"""Sum, doubled."""' in prompt for prompt in sampler.prompts] == [False, True, False, True]


def test_one_view_asks_what_training_asks() -> None:
    sampler = Recorder()
    found = list(sample_solutions(sampler, ASK, [PROBLEM], SolutionsConfig(samples=4), 0))
    assert sampler.prompts == [solve_question(ASK, PROBLEM).text]
    assert [(c.index, c.view) for c in found] == [(i, 0) for i in range(4)]


@pytest.mark.parametrize("title", ['Say "no"', "Back\\slash", 'It ends in """', "Two\nlines."])
def test_any_title_makes_a_docstring_that_says_it(title: str) -> None:
    [function] = ast.parse(titled_interface(replace(PROBLEM, title=title))).body
    assert isinstance(function, ast.FunctionDef)
    assert ast.get_docstring(function) == f"{title.replace(chr(10), ' ').rstrip('.')}."


def test_the_title_stands_under_the_signature_that_inputs_are_held_against() -> None:
    other = replace(PROBLEM, interface='def f(xs: str) -> int:\n    """The greatest number."""')
    assert titled_interface(other).startswith(PROBLEM.signature)


@pytest.mark.parametrize("only", [replace(PROBLEM, title=" "), replace(PROBLEM, entry=STDIN, interface=None, signature="")])
def test_without_another_view_both_questions_are_the_same(only: Problem) -> None:
    assert not has_two_views(only)
    assert solve_question(ASK, only, view=1) == solve_question(ASK, only)


@pytest.mark.parametrize(("keys", "said"), [({"samples": 5}, "even number"), ({"samples": 4, "source": "a.jsonl"}, "are collected")])
def test_settings_that_cannot_have_two_views_are_refused(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        SolutionsConfig(views=2, **keys)
