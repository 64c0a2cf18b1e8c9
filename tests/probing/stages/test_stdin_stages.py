"""Stages 1 to 5 for problems whose solutions are programs: what is asked, and what is made of the answers."""

from __future__ import annotations

import ast
import random

import pytest

from probing.parsing.proposals import Unreadable
from probing.parsing.stdin_proposals import read_stdin_proposal
from probing.parsing.stdin_texts import stdin_examples_in
from probing.prompts.templates import STDIN_SKILLS, load_prompt_set
from probing.reading import read_program
from probing.records import STDIN, Problem
from probing.samplers.base import Completion
from probing.stages.config import ProblemsConfig, SuitesConfig
from probing.stages.problems import Funnel, select_proposals
from probing.stages.proposals import propose
from probing.stages.solutions import candidates_of, solve_question
from probing.stages.stdin_suites import extend_texts
from probing.stages.suites import tests_question as question_for_tests
from probing.stages.suites import write_suites
from tests.probing.asking import Wording

EXAMPLE = "Input:\n3\n1 2 3\nOutput:\n6"
STATEMENT = "The first line holds n, the second line n integers. Print their sum."
PROBLEM = Problem("p", "Sum", STATEMENT, STDIN, "", EXAMPLE, "lists")
PROPOSAL = "### Title\nSum\n### Problem\n{problem}\n### Sample Input\n3\n1 2 3\n### Sample Output\n6\n### End"
INSTRUCT = Wording("instruct")


def answer(text: str, finished: bool = True) -> Completion:
    return Completion(text, (1,), (0.0,), finished)


class Scripted:
    """A sampler that gives scripted answers, the same to each prompt."""

    def __init__(self, *texts: str) -> None:
        self.texts, self.prompts = texts, list[str]()

    def sample(self, prompts, n, params, seed, progress=None, indices=None):
        self.prompts += prompts
        return [[answer(self.texts[i % len(self.texts)]) for i in range(n)] for _ in prompts]

    def close(self) -> None: ...


@pytest.mark.parametrize("name", ["instruct", "completion"])
@pytest.mark.parametrize("skill", STDIN_SKILLS)
def test_the_sets_word_every_skill(name: str, skill: str) -> None:
    fields = {"topic": "graphs", "variant": 3, "description": STATEMENT, "example": EXAMPLE, "input": "3\n1 2 3\n"}
    prompt = load_prompt_set(name).render(skill, **fields)
    assert ("graphs" if skill == "invent_stdin" else f"{STATEMENT}\n\n{EXAMPLE}\n" if name == "completion" else EXAMPLE) in prompt.user


@pytest.mark.parametrize("name", ["instruct", "completion"])
def test_the_worked_examples_are_problems_themselves(name: str) -> None:
    prompts = load_prompt_set(name)
    assert len(prompts.stdin_examples) >= 4
    for worked in prompts.stdin_examples:
        parts = ("Title", "title"), ("Problem", "problem"), ("Sample Input", "input"), ("Sample Output", "output")
        text = "\n".join(f"### {heading}\n{worked[name]}" for heading, name in parts)
        problem = read_stdin_proposal(text, "t", "r01")
        assert problem.description == worked["problem"] and stdin_examples_in(problem.example)[0].output == worked["output"]


def test_proposals_are_asked_and_read_as_programs() -> None:
    config = ProblemsConfig(count=2, topics=("lists",), io="stdin")
    sampler = Scripted(PROPOSAL.format(problem=STATEMENT), PROPOSAL.format(problem="Add up."))
    funnel = Funnel()
    [problem] = select_proposals(propose(sampler, INSTRUCT, config, 0), config, "r01", funnel)
    assert "standard input" in sampler.prompts[0]
    assert (problem.title, problem.description, problem.entry, problem.signature, problem.example) == ("Sum", STATEMENT, STDIN, "", EXAMPLE)
    assert problem.reads_stdin and problem.id.startswith("r01-") and funnel.dropped == {"no statement": 1}


def test_formats_and_bounds_belong_to_the_statement_and_samples_do_not() -> None:
    text = (
        "**Title:** Sum\n**Problem Statement**\nAdd up n integers.\n**Input Format:**\nThe first line holds n.\n"
        "**Output Format:**\nThe sum.\n**Constraints:** n < 9\n**Sample Input 1:**\n3\n1 2 3\n**Sample Output 1:**\n6\n"
        "**Sample Input 2:**\n1\n4\n**Sample Output 2:**\n4\n"
    )
    problem = read_stdin_proposal(text, "lists", "r01")
    assert problem.description == "Add up n integers.\n\nInput:\nThe first line holds n.\n\nOutput:\nThe sum.\n\nConstraints:\nn < 9"
    assert problem.example == EXAMPLE


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("### Title\nSum\n### Problem\nAdd.\n### Sample Input\n1", "no statement"),
        (f"### Problem\n{STATEMENT}\n### End", "no sample input"),
        (f"### Problem\n{STATEMENT}\n### Sample Input\n\n### Sample Output\n3", "no sample input"),
    ],
)
def test_a_proposal_that_cannot_be_used_has_a_reason(text: str, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        read_stdin_proposal(text, "t", "r01")


def test_the_question_for_inputs_begins_with_the_example_s() -> None:
    question = question_for_tests(INSTRUCT, PROBLEM)
    assert STATEMENT in question.text and EXAMPLE in question.text and question.prefill == "### Input\n3\n1 2 3\n### Input\n"
    bare = question_for_tests(INSTRUCT, Problem("p", "Sum", STATEMENT, STDIN, "", "", "lists"))
    assert bare.prefill == "### Input\n"


def test_a_suite_is_the_example_s_input_then_the_model_s_then_mutants() -> None:
    sampler = Scripted("1\n5\n### Output\n5\n### Input\n3\n1 2 3\n", "2\n-4 9\n### End")
    funnel = Funnel()
    [suite] = write_suites(sampler, INSTRUCT, [PROBLEM], SuitesConfig(samples=2, inputs=4, pool=10), 0, funnel)
    texts = [ast.literal_eval(text) for text in suite.inputs]
    assert texts[:3] == ["3\n1 2 3\n", "1\n5\n", "2\n-4 9\n"] and suite.origins[:4] == ("statement", "model", "model", "mutated")
    assert len(set(texts)) == 10 and all(isinstance(text, str) for text in texts) and funnel.kept == 1


def test_a_problem_without_any_input_has_no_suite() -> None:
    bare = Problem("q", "Sum", STATEMENT, STDIN, "", "", "lists")
    funnel = Funnel()
    suites = write_suites(Scripted("\n"), INSTRUCT, [bare, PROBLEM], SuitesConfig(samples=1, inputs=4, pool=8), 0, funnel)
    assert [suite.problem_id for suite in suites] == ["p"] and funnel.dropped == {"no test inputs": 1}


def test_the_same_seed_gives_the_same_mutants() -> None:
    first, second = (extend_texts(["3\n1 2 3\n"], 20, random.Random("1 p")) for _ in range(2))
    assert first == second and len(first) == 20


def test_a_solution_is_the_whole_program_with_its_main_guard() -> None:
    code = "LIMIT = 10\n\n\ndef main():\n    n = int(input())\n    print(min(n, LIMIT))\n\n\nif __name__ == '__main__':\n    main()"
    answers = [
        answer(f"```python\n{code}\n```\nTry it:\n```\n3\n```"),
        answer("```python\nprint(1)\n```\nBetter:\n```python\n" + code),
        answer("No."),
    ]
    assert [c.code for c in candidates_of(PROBLEM, answers)] == [code, code, None]
    assert read_program(f"```python\n{code}\n```", STDIN, "x = 1\n") == code


def test_the_question_for_a_solution_shows_the_example_once() -> None:
    assert EXAMPLE in solve_question(INSTRUCT, PROBLEM).text and "standard input" in solve_question(INSTRUCT, PROBLEM).text
    within = Problem("p", "Sum", f"{STATEMENT}\n\n{EXAMPLE}", STDIN, "", EXAMPLE, "lists")
    assert solve_question(INSTRUCT, within).text.count(EXAMPLE) == 1
