"""The corpus: disjoint from the bench in behaviour, in the loop's own prompts, faulty at the stated rates."""

import ast
import itertools
import json
import random
from collections import Counter

import pytest

from probing.parsing.answers import code_block
from probing.parsing.proposals import read_proposal
from probing.prompts.templates import SKILLS
from probing.reading import read_program
from probing.stages.problems import parse_interface, parse_rating
from probing.stages.suites import callable_with, calls_of
from seedling.bench import BENCH_PATH, DEV_PATH, LATER, choose_tasks, draw_new, held_out
from seedling.corpus import HeldOut, corrupt, documents, write_solution
from seedling.grammar import behaviour, parse, sample_task, state
from seedling.operations import OPERATIONS
from seedling.seen import Seen, corpus_tasks

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


def tasks_of(path):
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [parse(row["description"]) for row in rows]


def test_a_thousand_problems_differ_in_skeleton_and_behaviour():
    bench, dev = tasks_of(BENCH_PATH), tasks_of(DEV_PATH)
    assert (len(bench), len(dev)) == (1000, 200)
    assert len(held_out().skeletons) == len(held_out().behaviours) == 1200


def test_the_files_are_what_their_builder_makes():
    first, dev = choose_tasks()
    bench = tasks_of(BENCH_PATH)
    assert [behaviour(t) for t in bench[:200]] == [behaviour(t) for t in first]
    assert {behaviour(t) for t in tasks_of(DEV_PATH)} == {behaviour(t) for t in dev}
    assert [t.has_belief for t in bench[200:]].count(True) == 160
    assert Counter(t.source for t in bench[200:]) == dict.fromkeys(OPERATIONS, LATER)


def test_the_corpus_behind_the_weights_holds_no_problem_that_was_drawn_after_them():
    """Written again as it was, kept only from the first problems; `python -m seedling.bench --check` looks at all of it."""
    first, dev = choose_tasks()
    later = HeldOut.of(tasks_of(BENCH_PATH)[200:])
    corpus = list(corpus_tasks(HeldOut.of([*first, *dev]), most=2000))
    assert len(corpus) == 4000  # of both phases
    assert not any(later.covers(task, signature) for task, signature in corpus)


def test_a_problem_of_the_corpus_is_not_drawn():
    first, dev = choose_tasks()
    held = HeldOut.of([*first, *dev])
    small = Counter({("str", 3, False): 5})
    alone = draw_new(small, [*first, *dev], Seen(), seed=1)
    seen = Seen()
    for task in alone:
        seen.add(task, behaviour(task))
    again = draw_new(small, [*first, *dev], seen, seed=1)
    assert len(again) == 5 and not {t.skeleton for t in again} & {t.skeleton for t in alone}
    assert not any(held.covers(task, behaviour(task)) for task in again)


def test_more_held_out_problems_leave_the_corpus_as_it_was():
    first, dev = choose_tasks()
    before, now = (itertools.islice(documents(1, held), 1500) for held in (HeldOut.of([*first, *dev]), held_out()))
    assert list(before) == list(now)


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
