"""The corpus: disjoint from the bench in behaviour, in the loop's own prompts, faulty at the stated rates."""

import ast
import itertools
import json
import random
from collections import Counter
from dataclasses import replace

import pytest

from probing.parsing.answers import code_block
from probing.parsing.interfaces import parse_interface
from probing.parsing.proposals import read_proposal
from probing.prompts.templates import SKILLS
from probing.reading import read_program
from probing.stages.problems import parse_rating
from probing.stages.suites import callable_with, calls_of
from seedling.bench import BENCH_PATH, DEV_PATH, build, held_out
from seedling.corpus import HeldOut, corrupt, documents, drawn, write_solution
from seedling.grammar import behaviour, parse, sample_task, state
from seedling.mistakes import kind_of
from seedling.seen import corpus_tasks
from seedling.spellings import RATES, Rates

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
    assert (len(bench), len(dev)) == (1000, 400)
    assert len(held_out().skeletons) == len(held_out().behaviours) == 1400


def test_the_first_tasks_of_each_file_stand_for_all():
    for path in (BENCH_PATH, DEV_PATH):
        tasks = tasks_of(path)
        for measure in (lambda t: t.source, lambda t: len(t.steps), kind_of):
            of_all, of_first = Counter(map(measure, tasks)), Counter(map(measure, tasks[:200]))
            assert all(abs(of_first[value] / 200 - count / len(tasks)) < 0.1 for value, count in of_all.items())


def test_building_the_files_again_leaves_them_as_they_are(tmp_path, monkeypatch):
    copies = [tmp_path / "bench.jsonl", tmp_path / "dev.jsonl"]
    for copy, path in zip(copies, (BENCH_PATH, DEV_PATH), strict=True):
        copy.write_bytes(path.read_bytes())
    monkeypatch.setattr("seedling.bench.BENCH_PATH", copies[0])
    monkeypatch.setattr("seedling.bench.DEV_PATH", copies[1])
    build()
    assert [copy.read_bytes() for copy in copies] == [BENCH_PATH.read_bytes(), DEV_PATH.read_bytes()]


def test_the_corpus_behind_the_weights_can_be_written_again_and_holds_no_problem_of_the_bench():
    """`python -m seedling.bench --check` looks at all of it."""
    bench = held_out()
    corpus = list(corpus_tasks(bench, most=1000))
    assert len(corpus) == 2000  # of both phases
    assert not any(bench.covers(task, signature) for task, signature in corpus)


def test_solutions_are_of_rarer_operations_than_the_other_skills():
    found = {"solve": [], "rate": []}
    for skill, tasks in found.items():
        stream = drawn(3, NOTHING, {skill: 1.0})
        tasks += [task for task, _, _ in itertools.islice(stream, 400)]
    common = {skill: Counter(name for task in tasks for name in task.skeleton).most_common(20) for skill, tasks in found.items()}
    shares = {skill: sum(count for _, count in common[skill]) / sum(len(task.skeleton) for task in tasks) for skill, tasks in found.items()}
    assert shares["solve"] < shares["rate"] - 0.05


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


FAULTLESS = Rates(rushed=0.0, misconceived=0.0, fault=0.0)


def right_share(rates: Rates) -> float:
    rng = random.Random(7)
    right = total = 0
    while total < 400:
        task = sample_task(rng)
        scope: dict = {}
        exec(write_solution(task, rng, rates), scope)
        values = [ast.literal_eval(text) for text in inputs_of(task)]
        total += 1
        try:
            right += all(scope[task.entry](v) == task.apply(v) for v in values)
        except (ValueError, IndexError, TypeError, KeyError, AttributeError, ZeroDivisionError, OverflowError):
            continue
    return right / total


def inputs_of(task):
    from seedling.inputs import random_inputs

    return random_inputs(task.source, 12, seed=1)


def test_solutions_without_faults_rush_and_misconceptions_are_right():
    assert right_share(FAULTLESS) == 1.0


def test_each_kind_of_mistake_makes_solutions_wrong():
    assert right_share(replace(FAULTLESS, fault=1.0, fault_each=1.0)) < 0.5
    assert 0.5 < right_share(replace(FAULTLESS, rushed=1.0, hasty=1.0)) < 0.9  # only some tasks are rushed
    assert 0.8 < right_share(replace(FAULTLESS, misconceived=1.0)) < 0.99
    assert 0.4 < right_share(RATES) < 0.8


def test_a_corrupted_statement_no_longer_parses():
    rng = random.Random(3)
    broken = [parse(corrupt(state(sample_task(rng), rng), rng)) is None for _ in range(300)]
    assert sum(broken) > 270
