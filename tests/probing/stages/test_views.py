"""`solutions.views`: half of a problem's candidates answer a prompt that shows the title as docstring."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from pydantic import ValidationError

from probing.records import Problem
from probing.samplers.base import Completion, Progress, SamplingParams
from probing.stages.config import SolutionsConfig
from probing.stages.solutions import sample_solutions, solve_question
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


@pytest.mark.parametrize(
    ("title", "docstring"),
    [('Say "no"', '"""Say \'no\'."""'), ("Back\\slash", '"""Back slash."""'), ("Two\nlines.", '"""Two lines."""'), (" ", "greatest")],
)
def test_any_title_makes_a_docstring(title: str, docstring: str) -> None:
    text = solve_question(ASK, replace(PROBLEM, title=title), view=1).text
    assert docstring in text


def test_samples_that_cannot_be_halved_are_refused() -> None:
    with pytest.raises(ValidationError, match="even number"):
        SolutionsConfig(samples=5, views=2)
