"""Repeats: problems that behave like an earlier one are found by what their winners do, and are not trained on."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import rl.loop.update as update
from probing.records import STDIN, Candidate, Problem, TestSuite
from rewards.records import Execution, Outcome, Program
from rl.config.schema import load_config
from rl.console import UserError
from rl.labels import repeats
from rl.labels.repeats import argument_types, behaviours_of, find_repeats
from rl.loop.labelling import take_votes
from rl.loop.round import RoundError
from rl.ranks.ranks import Ranks
from rl.round_files import BEHAVIOURS, BankProgram, Behaviour, Verdict, read_behaviours, read_records, write_behaviours, write_records
from tests.rl.fakes import error, missing, value

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "double": lambda x: 2 * x,
    "twice": lambda x: x + x,
    "square": lambda x: x * x,  # double's twin on 0 and 2
    "double_until_9": lambda x: 2 * x if x < 9 else -1,
    "half": lambda x: 10 // x,
    "half_or_0": lambda x: 10 // x if x else 0,
}


class Functions:
    """Runs the functions above by their names; remembers what it was given."""

    def __init__(self) -> None:
        self.programs: list[Program] = []
        self.counts: dict[str, int] = {}

    def run(self, programs: Iterable[Program]) -> Iterator[Execution]:
        for program in programs:
            self.programs.append(program)
            yield Execution(outcomes(program.code, program.inputs))


def outcomes(name: str, inputs: Iterable[str]) -> tuple[Outcome, ...]:
    found = []
    for text in inputs:
        try:
            found.append(value(FUNCTIONS[name](*ast.literal_eval(text))))
        except ZeroDivisionError:
            found.append(error())
    return tuple(found)


def behaviour(problem_id: str, name: str, *inputs: int, arguments: tuple[str, ...] = ("int",), self_made: bool = True) -> Behaviour:
    texts = tuple(f"[{x}]" for x in inputs)
    return Behaviour(problem_id, arguments, "f", name, texts, outcomes(name, texts), self_made)


def found(new: Sequence[Behaviour], known: Sequence[Behaviour] = (), executor: Functions | None = None) -> dict[str, str]:
    runner = executor or Functions()
    return find_repeats(new, known, lambda name: runner)


def test_a_problem_whose_winner_does_what_an_earlier_rounds_does_is_a_repeat_whatever_its_text() -> None:
    known = [behaviour("r01-a", "double", 3, 4, 5)]
    assert found([behaviour("r02-b", "twice", 6, 7, 8), behaviour("r02-c", "square", 6, 7, 8)], known) == {"r02-b": "r01-a"}


@pytest.mark.parametrize(("mine", "theirs"), [((1, 2, 3, 9), (1, 2, 3)), ((1, 2, 3), (1, 2, 3, 9))])
def test_one_input_of_either_problem_that_parts_them_is_enough(mine: tuple[int, ...], theirs: tuple[int, ...]) -> None:
    assert found([behaviour("r02-b", "double", *mine)], [behaviour("r01-a", "double_until_9", *theirs)]) == {}


def test_an_input_that_parts_them_counts_wherever_it_stands() -> None:
    """The first inputs are a sieve and nothing else: these agree on them."""
    assert found([behaviour("r02-b", "square", 0, 2, 0, 2, 3)], [behaviour("r01-a", "double", 0, 2, 0, 2)]) == {}


def test_problems_of_other_argument_types_are_not_even_run() -> None:
    executor = Functions()
    known = [behaviour("r01-a", "double", 1, 2, arguments=("float",))]
    assert found([behaviour("r02-b", "double", 1, 2)], known, executor) == {} and executor.programs == []


def test_in_a_round_the_first_stays_and_the_others_repeat_it() -> None:
    assert found([behaviour("r01-a", "double", 1, 3), behaviour("r01-b", "twice", 4, 5), behaviour("r01-c", "double", 6, 7)]) == {
        "r01-b": "r01-a",
        "r01-c": "r01-a",
    }


def test_a_repeat_stands_for_nothing_itself() -> None:
    """On 2 a is like b; c is like b and not like a, so c is news."""
    a, b, c = behaviour("r01-a", "square", 2), behaviour("r01-b", "double", 2), behaviour("r01-c", "twice", 3)
    assert found([a, b, c]) == {"r01-b": "r01-a"}


def test_own_problems_are_no_repeats_but_have_them() -> None:
    mine = [behaviour("r02-a", "double", 1, 3, self_made=False), behaviour("r02-b", "twice", 4, 5, self_made=False)]
    assert found([*mine, behaviour("r02-c", "twice", 6, 7)], [behaviour("r01-z", "square", 5)]) == {"r02-c": "r02-a"}
    assert found(mine, [behaviour("r01-z", "double", 5)]) == {}


def test_two_that_fail_on_the_same_inputs_may_be_alike_and_one_that_does_not_is_another() -> None:
    known = [behaviour("r01-a", "half", 0, 5)]
    assert found([behaviour("r02-b", "half", 0, 2)], known) == {"r02-b": "r01-a"}
    assert found([behaviour("r02-b", "half_or_0", 1, 2)], known) == {}


def test_what_the_sandbox_lost_is_equal_to_nothing() -> None:
    known = [behaviour("r01-a", "double", 1, 2, 3)]

    class Loses(Functions):
        def run(self, programs: Iterable[Program]) -> Iterator[Execution]:
            return (Execution((*e.outcomes[:-1], missing())) for e in super().run(programs))

    assert found([behaviour("r02-b", "double", 1, 2, 3)], known, Loses()) == {}
    assert not repeats.same(missing(), missing()) and not repeats.same(missing(), error()) and repeats.same(error(), error())


@pytest.mark.parametrize("at_once", [1, 4, 64])
def test_how_many_inputs_run_together_changes_no_answer(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["double", "square", "half", "half_or_0", "double_until_9"]
    known = [behaviour(f"r01-{i}", name, 0, 2, 5, 11) for i, name in enumerate(names)]
    new = [behaviour(f"r02-{i}", name, 7, 12, 0) for i, name in enumerate(names)]
    executor = Functions()
    monkeypatch.setattr(repeats, "INPUTS_AT_ONCE", at_once)
    assert found(new, known, executor) == {f"r02-{i}": f"r01-{i}" for i in range(len(names))}
    assert max(len(p.inputs) for p in executor.programs) <= max(at_once, 4)


def problem(problem_id: str, signature: str = "def f(x: int) -> int:", **rest: Any) -> Problem:
    return Problem(problem_id, "", "", "f", signature, "", "integers", **rest)


def test_types_have_one_name_and_programs_that_read_input_are_a_type_of_their_own() -> None:
    assert argument_types(problem("a", "def f(xs: List[ int ], d: typing.Dict[str,int]):")) == ("list[int]", "dict[str, int]")
    assert argument_types(Problem("a", "", "", STDIN, "", "", "")) == (STDIN,)
    assert argument_types(problem("a", "def f(x):")) == ()


def verdict(problem_id: str, kept: bool = True, margin: float = 0.4) -> Verdict:
    return Verdict(problem_id, (2, 0), (0, 0, 0, 1, 0), (4, 1), 0, 0.8, margin, 0.5, 5, kept)


def bank(problem_id: str) -> list[BankProgram]:
    pool = ("[1]", "[2]", "[3]")
    rows = [("double", (0,)), ("twice", (1, 2, 4)), ("square", (3,))]
    return [BankProgram(problem_id, name, who, Execution(outcomes(name, pool))) for name, who in rows]


def test_a_behaviour_is_what_the_winners_commonest_program_does_on_the_kept_inputs() -> None:
    suites = [TestSuite(i, ("[1]", "[2]", "[3]"), ("model",) * 3) for i in ("a", "b", "c", "own")]
    problems = [problem("a"), problem("b"), problem("c"), problem("own", source="mine.jsonl#1")]
    verdicts = [verdict("a", margin=0.2), verdict("b", margin=0.3), verdict("c", kept=False), verdict("own", margin=0.1)]
    made = behaviours_of(problems, suites, [p for i in ("a", "b", "c", "own") for p in bank(i)], verdicts)
    assert [(b.problem_id, b.self_made) for b in made] == [("own", False), ("b", True), ("a", True)]
    assert (made[1].program, made[1].inputs, made[1].outcomes) == ("twice", ("[3]", "[1]"), (value(6), value(2)))


def test_behaviours_are_read_as_they_were_written(tmp_path: Path) -> None:
    written = [behaviour("r01-a", "half", 0, 5), behaviour("r01-b", "double", 1, self_made=False)]
    write_behaviours(tmp_path / BEHAVIOURS, written)
    assert [replace(b, outcomes=()) for b in read_behaviours(tmp_path / BEHAVIOURS)] == [replace(b, outcomes=()) for b in written]
    assert [[o.kind for o in b.outcomes] for b in read_behaviours(tmp_path / BEHAVIOURS)] == [[o.kind for o in b.outcomes] for b in written]


def test_a_verdict_says_what_it_repeats(tmp_path: Path) -> None:
    path = tmp_path / "clusters.jsonl"
    verdicts = [verdict("a"), replace(verdict("b", kept=False), repeats="a")]
    write_records(path, verdicts)
    assert read_records(path, Verdict) == verdicts


class FakeRun:
    """As much of a run as the votes need."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.ranks, self.executor, self.main = folder, Ranks(0, 1), Functions(), True
        self.logged: list[tuple[str, int, dict[str, Any]]] = []

    def round_folder(self, index: int) -> Path:
        folder = self.folder / f"round_{index:02d}"
        folder.mkdir(exist_ok=True)
        return folder

    def once(self, index: int, stage: Any, compute: Callable[[], Any]) -> Any:
        found = compute()
        stage.write(self.round_folder(index) / stage.file, found)
        return stage.read(self.round_folder(index) / stage.file)

    def log(self, stage: str, index: int, figures: dict[str, Any]) -> None:
        self.logged.append((stage, index, figures))


def voted(run: FakeRun, index: int, winners: dict[str, str], *overrides: str) -> SimpleNamespace:
    """A round after its votes. winners: problem -> the function that four of five candidates wrote; the fifth wrote `half`."""
    pool = ("[3]", "[4]", "[5]")
    programs = [
        BankProgram(i, name, who, Execution(outcomes(name, pool)))
        for i, winner in winners.items()
        for name, who in ((winner, (0, 1, 2, 3)), ("half", (4,)))
    ]
    current = SimpleNamespace(
        run=run,
        index=index,
        folder=run.round_folder(index),
        config=load_config(None, ["--solutions.band_high", "0.9", *overrides]),
        problems=[problem(i) for i in winners],
        suites=[TestSuite(i, pool, ("model",) * 3) for i in winners],
        candidates=[Candidate(i, k, "", "code", (1,), (-0.1,), True) for i in winners for k in range(5)],
        executions=programs,
        references=lambda verdicts: {},
    )
    take_votes(current)
    return current


def test_a_second_round_drops_what_the_first_had_and_counts_it(tmp_path: Path) -> None:
    run = FakeRun(tmp_path)
    first = voted(run, 1, {"r01-a": "double", "r01-b": "twice"}, "--solutions.repeats", "drop")
    second = voted(run, 2, {"r02-a": "twice", "r02-b": "square"}, "--solutions.repeats", "drop")
    assert [(v.kept, v.repeats) for v in first.verdicts] == [(True, None), (False, "r01-a")]
    assert [(v.kept, v.repeats) for v in second.verdicts] == [(False, "r01-a"), (True, None)]
    assert [b.problem_id for b in read_behaviours(first.folder / BEHAVIOURS)] == ["r01-a"]  # what is no news is not remembered
    figures = [{k: v for k, v in row.items() if k in ("kept", *FIGURES)} for _, _, row in run.logged]
    assert figures == [{"kept": 1, **dict(zip(FIGURES, (0, 1, 0), strict=True))}, {"kept": 1, **dict(zip(FIGURES, (1, 0, 0), strict=True))}]


FIGURES = ("repeats_of_earlier_rounds", "repeats_in_round", "repeats_outcomes_lost")


def test_by_default_nothing_is_compared_written_or_counted(tmp_path: Path) -> None:
    run = FakeRun(tmp_path)
    current = voted(run, 1, {"r01-a": "double", "r01-b": "twice"})
    assert all(v.kept and v.repeats is None for v in current.verdicts) and run.executor.programs == []
    assert not (current.folder / BEHAVIOURS).exists() and not set(FIGURES) & set(run.logged[0][2])


def test_a_round_of_repeats_alone_says_so(tmp_path: Path) -> None:
    run = FakeRun(tmp_path)
    voted(run, 1, {"r01-a": "double"}, "--solutions.repeats", "drop")
    current = voted(run, 2, {"r02-a": "twice"}, "--solutions.repeats", "drop")
    run.own = None
    with pytest.raises(RoundError, match=r"beside 1 that behave like earlier ones .*: nothing to train on"):
        update.select_problems(current)


@pytest.mark.parametrize("select", ["consensus", "unexecuted"])
def test_sft_does_not_learn_from_repeats_either(select: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learnt: list[str] = []

    class Enough(Exception):
        pass

    def pick(*given: Any) -> None:
        verdicts = {v.problem_id for v in given[-1]} if select == "consensus" else {"r01-a", "r01-b"} - set(given[-2])
        learnt.extend(sorted(verdicts))
        raise Enough

    monkeypatch.setattr(update, "select_for_sft" if select == "consensus" else "draw_unexecuted", pick)
    monkeypatch.setattr(update, "solve_question", lambda ask, p: SimpleNamespace(text=""))
    monkeypatch.setattr(update, "note_compute_dtype", lambda *_: None)
    current = voted(FakeRun(tmp_path), 1, {"r01-a": "double", "r01-b": "twice"}, "--solutions.repeats", "drop", "--sft.select", select)
    current.ask, current.seed = None, lambda name: 1
    with pytest.raises(Enough):
        update.consolidate(current, update.Selected(current.verdicts, [], []), update.Update("policy"))
    assert learnt == ["r01-a"]


def test_dropping_repeats_where_no_problem_is_self_made_is_refused() -> None:
    words = ["--solutions.repeats", "drop", "--problems.source", "mine.jsonl"]
    with pytest.raises(UserError, match=r"set it to keep, or mix self-made problems in"):
        load_config(None, words)
    assert load_config(None, [*words, "--problems.share", "0.5"]).solutions.repeats == "drop"
