"""Stage 1's questions: which prompts are asked, how often, and what each answer is known to come from."""

from __future__ import annotations

from dataclasses import replace

import pytest

from probing.prompts.templates import DEEPEN, DEEPEN_STDIN, load_prompt_set
from probing.records import STDIN, Problem
from probing.samplers.base import Completion
from probing.stages.config import ProblemsConfig
from probing.stages.problems import Funnel, select_proposals
from probing.stages.proposals import PER_SOLVED, Drawn, counts, proposals_asked, propose
from tests.probing.asking import Wording, ask

CONFIG = ProblemsConfig(count=4, topics=("lists", "strings"))
INSTRUCT = Wording("instruct")
GOOD = "### Title\nSum\n### Problem\n{}\n### Signature\ndef f(xs: list[int]) -> int:\n### Example\nf([1]) == 1\n### End"


def answer(text: str) -> Completion:
    return Completion(text, (1,), (-0.1,), True)


class Echo:
    """A sampler whose answer is the prompt itself, and the number of the sample."""

    def __init__(self) -> None:
        self.drawn = 0

    def sample(self, prompts, n, params, seed, progress=None, indices=None):
        self.drawn += len(prompts) * n
        if progress is not None:
            progress(len(prompts) * n)
        return [[answer(f"{prompt}|{place}.{sample}") for sample in range(n)] for place, prompt in enumerate(prompts)]

    def close(self) -> None: ...


def solved(number: int) -> list[Problem]:
    return [
        Problem(f"r01-{i}", f"Task {i}", f"Statement {i}.", "f", "def f(xs: list[int]) -> int:", f"f([]) == {i}", "graphs")
        for i in range(number)
    ]


def test_proposals_go_over_the_topics_in_turn():
    assert [drawn.topic for drawn in propose(Echo(), ask, CONFIG, seed=0)] == ["lists", "strings", "lists", "strings"]


def test_a_topic_s_proposals_are_taken_prompt_after_prompt_and_sample_after_sample():
    found = [d.answer.text.rpartition("|")[2] for d in propose(Echo(), ask, CONFIG.model_copy(update={"count": 600}), seed=0)]
    each = 600 // len({text.split(".")[0] for text in found})  # samples of one prompt
    for topic in (0, 1):  # a half of the prompts each
        assert found[topic::2] == [f"{prompt + topic * 300 // each}.{sample}" for prompt in range(300 // each) for sample in range(each)]


@pytest.mark.parametrize("count", [1, 4, 5, 600])
@pytest.mark.parametrize("depth", [0.0, 0.6])
def test_each_proposal_s_prompt_is_the_one_that_it_was_drawn_from(count: int, depth: float):
    config = CONFIG.model_copy(update={"count": count, "depth": depth})
    drawn = propose(Echo(), INSTRUCT, config, 5, solved(9))
    # what the answer starts with is written for the model, and is no part of the prompt's text here
    assert all(d.answer.text.removeprefix("### Title\n").startswith(d.prompt) for d in drawn) and len(drawn) == count


@pytest.mark.parametrize(
    ("count", "depth", "number"), [(40, 0.0, 5), (40, 0.5, 0), (40, 0.5, 3), (41, 0.33, 50), (7, 0.99, 50), (600, 0.5, 80)]
)
def test_as_many_proposals_are_drawn_as_the_bar_is_told(count: int, depth: float, number: int):
    config, sampler, seen = CONFIG.model_copy(update={"count": count, "depth": depth}), Echo(), []
    assert (
        len(propose(sampler, INSTRUCT, config, 1, solved(number), lambda samples, tokens=0, seconds_left=None: seen.append(samples)))
        == count
    )
    assert sampler.drawn == sum(seen) == proposals_asked(config, INSTRUCT.variants, number)


def test_the_share_of_depth_goes_beyond_solved_problems_and_each_is_asked_about_in_several_ways():
    config = CONFIG.model_copy(update={"count": 40, "depth": 0.5})
    drawn = propose(Echo(), INSTRUCT, config, 1, solved(30))
    beyond = [d for d in drawn if d.beyond is not None]
    assert len(beyond) == 20 and len({d.beyond for d in beyond}) == 20 // PER_SOLVED and len({d.prompt for d in beyond}) == 20
    for d in beyond:
        number = d.beyond.rpartition("-")[2]
        assert (
            f"Statement {number}." in d.prompt and f"f([]) == {number}" in d.prompt and f"Task {number}" in d.prompt and d.topic == "graphs"
        )


def test_where_few_problems_are_solved_the_rest_is_asked_for_by_topic():
    assert counts(CONFIG.model_copy(update={"count": 40, "depth": 0.5}), 2) == (40 - 2 * PER_SOLVED, 2 * PER_SOLVED)
    drawn = propose(Echo(), ask, CONFIG.model_copy(update={"depth": 0.5}), 1)  # the first round: the set need not even know such a prompt
    assert [d.beyond for d in drawn] == [None] * 4


def test_other_rounds_go_beyond_other_problems():
    config = CONFIG.model_copy(update={"count": 40, "depth": 0.5})
    asked = [{d.beyond for d in propose(Echo(), INSTRUCT, config, seed, solved(40)) if d.beyond} for seed in (1, 2)]
    assert asked[0] != asked[1]


def test_a_problem_knows_what_it_goes_beyond():
    statement = "Keep the even numbers of a list and return how many of them there are."
    [problem] = select_proposals([Drawn("lists", "?", answer(GOOD.format(statement)), "r01-7")], CONFIG, "r02", Funnel())
    assert problem.beyond == "r01-7" and problem.topic == "lists"


def test_a_step_that_repeats_its_solved_problem_is_dropped():
    statement, funnel = "Keep the even numbers of a list and return how many of them there are.", Funnel()
    drawn = [Drawn("lists", "?", answer(GOOD.format(statement)), "r01-7")]
    assert select_proposals(drawn, CONFIG, "r02", funnel, [statement]) == [] and funnel.dropped == {"near duplicate": 1}


@pytest.mark.parametrize("name", ["instruct", "completion"])
def test_a_program_s_sample_is_shown_under_the_headings_that_are_asked_for(name: str):
    [parent] = solved(1)
    parent = replace(parent, entry=STDIN, signature="", example="Input:\n3\n1 2 3\nOutput:\n6")
    config = CONFIG.model_copy(update={"count": 8, "depth": 0.9, "io": "stdin"})
    shown = next(d.prompt for d in propose(Echo(), Wording(name), config, 1, [parent]) if d.beyond)
    assert "### Sample Input\n3\n1 2 3\n### Sample Output\n6\n### End" in shown


def test_a_sample_that_holds_lines_like_headings_is_shown_whole():
    [parent] = solved(1)
    parent = replace(parent, entry=STDIN, signature="", example="Input:\nTest case 1:\n3 5\nOutput:\nCase:\n\n8")
    config = CONFIG.model_copy(update={"count": 8, "depth": 0.9, "io": "stdin"})
    shown = next(d.prompt for d in propose(Echo(), INSTRUCT, config, 1, [parent]) if d.beyond)
    assert "### Sample Input\nTest case 1:\n3 5\n### Sample Output\nCase:\n\n8\n### End" in shown


def test_a_problem_without_an_example_is_shown_without_its_heading():
    [parent] = solved(1)
    config = CONFIG.model_copy(update={"count": 8, "depth": 0.9})
    shown = next(d.prompt for d in propose(Echo(), INSTRUCT, config, 1, [replace(parent, example="")]) if d.beyond)
    assert "def f(xs: list[int]) -> int:\n### End" in shown


def test_a_group_is_never_cut_short():
    asked = {(c, d): counts(CONFIG.model_copy(update={"count": c, "depth": d}), 500) for c in (1, 4, 7, 50, 256) for d in (0.1, 0.5, 0.999)}
    assert all(beyond % PER_SOLVED == 0 and fresh > 0 and fresh + beyond == count for (count, _), (fresh, beyond) in asked.items())


def test_the_estimate_of_the_first_half_is_not_shown_for_the_whole():
    left: list[float | None] = []

    class Telling(Echo):
        def sample(self, prompts, n, params, seed, progress=None, indices=None):
            progress(len(prompts) * n, 1, 7.0)
            return super().sample(prompts, n, params, seed)

    config = CONFIG.model_copy(update={"count": 40, "depth": 0.5})
    propose(Telling(), INSTRUCT, config, 1, solved(9), lambda samples, tokens=0, seconds_left=None: left.append(seconds_left))
    assert left == [None, 7.0]


def test_worked_pairs_of_the_prompt_are_known_so_that_no_copy_of_one_is_kept():
    prompts = Wording("completion")
    assert {e["problem"] for e in prompts.prompts.examples_of(DEEPEN)} <= set(prompts.examples)
    assert {e["problem"] for e in prompts.prompts.examples_of(DEEPEN_STDIN)} <= set(prompts.stdin_examples)
    assert all(e["problem"] in prompts(DEEPEN, variant=0, **SHOWN).text for e in prompts.prompts.examples_of(DEEPEN))


SHOWN = {"title": "t", "description": "d", "signature": "s", "example": "e", "input": "i", "output": "o"}


@pytest.mark.parametrize("skill", [DEEPEN, DEEPEN_STDIN])
@pytest.mark.parametrize("name", ["instruct", "completion"])
def test_every_kind_of_step_is_suggested_in_turn(name: str, skill: str):
    prompts = load_prompt_set(name)
    assert len({prompts.render(skill, variant=variant, **SHOWN).user for variant in range(40)}) >= 8


def test_depth_without_self_made_problems_is_refused():
    with pytest.raises(ValueError, match=r"depth \(0.5\) is a share of the problems that the model invents"):
        ProblemsConfig(source="mine.jsonl", depth=0.5)
    assert ProblemsConfig(source="mine.jsonl", share=0.5, depth=0.5).self_made
