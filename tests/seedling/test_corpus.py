"""The corpus: disjoint from the bench in behaviour, in the loop's own prompts, faulty at the stated rates."""

import ast
import itertools
import random

import pytest

from probing.parsing.answers import code_block
from probing.parsing.proposals import read_proposal
from probing.prompts.templates import SKILLS
from probing.reading import read_program
from probing.stages.problems import parse_interface, parse_rating
from probing.stages.suites import callable_with, calls_of
from seedling.bench import choose_tasks, held_out
from seedling.corpus import HeldOut, corrupt, documents, write_solution
from seedling.grammar import behaviour, parse, sample_task, state

pytestmark = pytest.mark.slow

NOTHING = HeldOut(frozenset(), frozenset())


def sample(count: int, seed: int = 0):
    return list(itertools.islice(documents(seed, held_out()), count))


def statement_of(document):
    lines = document.prompt.splitlines() + document.answer.splitlines()
    return next((task for line in lines if (task := parse(line)) is not None), None)


def test_no_document_has_the_behaviour_or_the_skeleton_of_a_bench_problem():
    bench = held_out()
    tasks = [t for t in map(statement_of, sample(4000, seed=5)) if t is not None]
    assert len(tasks) > 3000
    assert not {behaviour(t) for t in tasks} & bench.behaviours
    assert not {t.skeleton for t in tasks} & bench.skeletons


def test_without_the_filter_bench_behaviours_would_occur():
    """The test above means something: unfiltered documents do hit the bench's skeletons or behaviours."""
    bench = held_out()
    tasks = (statement_of(d) for d in itertools.islice(documents(5, NOTHING), 4000))
    assert any(t is not None and (t.skeleton in bench.skeletons or behaviour(t) in bench.behaviours) for t in tasks)


def test_the_bench_has_two_hundred_different_behaviours():
    assert len(held_out().behaviours) >= 200


def test_the_bench_file_is_what_its_builder_makes():
    assert {behaviour(t) for tasks in choose_tasks() for t in tasks} == held_out().behaviours


def test_every_skill_occurs_and_its_answer_is_what_the_loop_reads():
    seen = set()
    for document in sample(600):
        seen.add(document.skill)
        if document.skill == "invent":
            assert read_proposal(document.answer, "strings", "x").description
        elif document.skill == "rate":
            assert parse_rating(document.answer) is not None
        elif document.skill == "interface":
            entry = document.answer.split("def ")[1].split("(")[0]
            assert parse_interface(document.answer, entry) is not None
        elif document.skill == "tests":
            signature = next(line for line in document.prompt.splitlines() if line.startswith("def "))
            calls, _, unread = calls_of(document.answer, signature.split("def ")[1].split("(")[0])
            assert calls and not unread and all(callable_with(signature, c) for c in calls)
        else:
            entry = document.answer.split("def ")[1].split("(")[0]
            assert read_program(document.answer, entry) == code_block(document.answer) is not None
    assert seen == set(SKILLS) - {"asserts"}


def right_share(fault_rate: float, belief_rate: float) -> float:
    rng = random.Random(7)
    right = total = 0
    while total < 400:
        task = sample_task(rng)
        scope: dict = {}
        exec(write_solution(task, rng, fault_rate, belief_rate), scope)
        values = [ast.literal_eval(text) for text in inputs_of(task)]
        total += 1
        try:
            right += all(scope[task.entry](v) == task.apply(v) for v in values)
        except (ValueError, IndexError, TypeError, KeyError, ZeroDivisionError, OverflowError):
            continue
    return right / total


def inputs_of(task):
    from seedling.inputs import random_inputs

    return random_inputs(task.source, 12, seed=1)


def test_solutions_without_faults_and_misconceptions_are_right():
    assert right_share(0.0, 0.0) == 1.0


def test_faults_and_misconceptions_make_solutions_wrong():
    assert right_share(1.0, 0.0) < 0.5
    assert 0.5 < right_share(0.0, 1.0) < 0.95  # only some tasks hold an operation with a misconception


def test_a_corrupted_statement_no_longer_parses():
    rng = random.Random(3)
    broken = [parse(corrupt(state(sample_task(rng), rng), rng)) is None for _ in range(300)]
    assert sum(broken) > 270
