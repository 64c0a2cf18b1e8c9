"""Problems of the user's own: which rows become problems and which do not, what is read of them, and how rounds draw from them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from probing.parsing.proposals import Unreadable
from probing.records import Problem
from probing.stages.problems import Funnel
from rl.config.schema import Config, load_config
from rl.console import UserError
from rl.own.opening import keep_record, open_own
from rl.own.problems import Benchmarks, CheckedRow, OwnProblems, check_rows, read_problem
from rl.own.source import ANSWERS, Rows, read_source
from rl.round_files import read_records
from tests.own.rows import statements, write_rows

TEXT = "Return the largest even number of a list."
TYPED = "def largest(xs: list[int]) -> int:"


def rows_of(*rows: dict[str, Any]) -> Rows:
    return Rows("mine.jsonl", rows, "digest")


def config_of(path: Path | str, **changes: Any) -> Config:
    return load_config(None, ["--problems.source", str(path), *(f"--{key}={value}" for key, value in changes.items())])


@pytest.mark.parametrize("name", ["description", "prompt", "text", "statement", "question"])
def test_a_statement_has_any_of_the_usual_names(name: str) -> None:
    problem = read_problem({name: f" {TEXT}\n", "signature": TYPED}, "mine.jsonl#1")
    assert (problem.description, problem.signature, problem.entry, problem.source) == (TEXT, TYPED, "largest", "mine.jsonl#1")


@pytest.mark.parametrize(
    ("row", "entry", "signature"),
    [
        ({"signature": "largest(xs: list[int]) -> int"}, "largest", TYPED),
        ({"signature": "def largest(xs):"}, "largest", "def largest(xs):"),
        ({"signature": "def largest(xs):", "example": "largest([1, 2]) == 2"}, "largest", TYPED),
        ({"entry_point": "largest"}, "largest", ""),
        ({"name": "Largest even number"}, "", ""),
        ({"example": ["assert largest([2]) == 2"]}, "largest", ""),
        ({"description": f"{TEXT}\n\n{TYPED}\n    ..."}, "largest", TYPED),
        ({"description": f"{TEXT}\ndef helper(x: int) -> int:\n    ...", "entry_point": "largest"}, "largest", ""),
        ({}, "", ""),
    ],
)
def test_what_a_row_says_of_the_function_is_taken_and_nothing_is_made_up(row: dict[str, Any], entry: str, signature: str) -> None:
    problem = read_problem({"description": TEXT, **row}, "p")
    assert (problem.entry, problem.signature) == (entry, signature)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"description": "Too short"}, "no statement"),
        ({"description": ["not", "a", "text"]}, "no statement"),
        ({"description": TEXT + " \ud800"}, "broken characters"),
        ({"description": TEXT, "example": ["f(1)", "f('\udfff')"]}, "broken characters"),
        ({"description": TEXT, "signature": "def f(:"}, "unreadable signature"),
        ({"description": TEXT, "signature": "def f() -> int:"}, "no arguments"),
        ({"description": TEXT, "signature": "def f(g: Callable[[int], int]) -> int:"}, "arguments without literals"),
    ],
)
def test_a_row_that_cannot_be_used_has_a_reason(row: dict[str, Any], reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        read_problem(row, "p")


class Watched(dict[str, Any]):
    """A row that notes which of its fields are read."""

    def __init__(self, row: dict[str, Any]) -> None:
        super().__init__(row)
        self.asked: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.asked.add(key)
        return super().get(key, default)

    def __getitem__(self, key: str) -> Any:
        self.asked.add(key)
        return super().__getitem__(key)


def test_tests_and_answers_are_not_read_and_it_is_said_which_there_were() -> None:
    row = Watched({"description": TEXT, **{name: f"secret {name}" for name in ANSWERS}})
    rows = rows_of(row)
    (judged,) = check_rows(rows, Benchmarks({}, 10, 0.8))
    assert judged.problem is not None and "secret" not in repr(judged.problem)
    assert not row.asked & set(ANSWERS)
    assert rows.unread == sorted(ANSWERS)


def test_an_overlap_with_a_benchmark_is_dropped_and_named() -> None:
    long = "Given a list of orders, return for each customer the sum of all amounts that were paid in full before the given day."
    short = "Write a function to add up the odd digits of a number."
    benchmarks = Benchmarks({long: "toy a", short: "toy b"}, 10, 0.8)
    rows = rows_of(
        {"id": 5, "text": "First sort them. " + long.split(", ")[1]},
        {"text": "Write a function to add up the odd digits of a number!"},
        {"text": "Write a function to find the longest odd run of digits."},
    )
    judged = list(check_rows(rows, benchmarks))
    assert [(r.place, r.reason, r.overlaps) for r in judged] == [
        ("mine.jsonl#5", "benchmark overlap", "toy a"),
        ("mine.jsonl#2", "benchmark overlap", "toy b"),
        ("mine.jsonl#3", "", ""),
    ]


def test_a_row_that_comes_again_counts_once() -> None:
    judged = list(check_rows(rows_of({"text": TEXT}, {"prompt": TEXT}, {"text": TEXT, "signature": TYPED}), Benchmarks({}, 10, 0.8)))
    assert [row.reason for row in judged] == ["", "duplicate row", ""]


def test_an_id_names_one_problem() -> None:
    other = {"id": "a", "text": "Return the smallest odd number of a list."}
    judged = list(check_rows(rows_of({"id": "a", "text": TEXT}, other, {**other, "id": 1}), Benchmarks({}, 10, 0.8)))
    assert [row.reason for row in judged] == ["", "duplicate id", ""]


def test_the_number_of_a_row_is_not_taken_for_the_id_of_another() -> None:
    texts = ["Return the largest even number of a list.", "Reverse each word of the text.", "Count vowels in a given string s."]
    rows = rows_of({"id": 2, "text": texts[0]}, {"text": texts[1]}, {"text": texts[2]})
    judged = list(check_rows(rows, Benchmarks({}, 10, 0.8)))
    assert [(row.place, row.reason) for row in judged] == [("mine.jsonl#2", ""), ("mine.jsonl#row 2", ""), ("mine.jsonl#3", "")]


def own(usable: int, bad: int, seed: int = 0) -> OwnProblems:
    good = [CheckedRow(f"m#{i}", Problem(f"p{i}", "", f"statement {i}", "f", TYPED, "", "own", source=f"m#{i}")) for i in range(usable)]
    return OwnProblems([*good, *(CheckedRow(f"m#b{i}", None, "no statement") for i in range(bad))], seed)


def test_every_row_comes_once_before_any_comes_again() -> None:
    problems = own(10, 4)
    drawn = [problem.source for number in range(1, 6) for problem in problems.draw(number, 4 * (number - 1), 4, Funnel())]
    assert len(drawn) == 20
    assert sorted(drawn[:10]) == sorted(drawn[10:]) == sorted(f"m#{i}" for i in range(10))


def test_a_round_takes_no_row_twice_and_its_ids_are_its_own() -> None:
    problems = own(3, 0)
    first, second = (problems.draw(number, 7 * (number - 1), 7, Funnel()) for number in (1, 2))
    assert sorted(p.source for p in first) == ["m#0", "m#1", "m#2"]
    assert not {p.id for p in first} & {p.id for p in second}


@pytest.mark.parametrize("count", [1, 4, 10])
def test_once_all_rows_were_met_the_funnels_count_each_once(count: int) -> None:
    problems, funnels = own(10, 5), [Funnel() for _ in range(10)]
    drawn, number = 0, 0
    while drawn < 10:
        number += 1
        drawn += len(problems.draw(number, count * (number - 1), count, funnels[number - 1]))
    dropped = sum(funnel.dropped["no statement"] for funnel in funnels)
    proposed = sum(funnel.proposed for funnel in funnels)
    assert proposed == drawn + dropped and (count == 4 or dropped == 5)


def test_the_order_depends_on_the_seed_alone() -> None:
    orders = [[p.source for p in own(12, 3, seed).draw(1, 0, 12, Funnel())] for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]


def test_files_are_read_plain_and_packed(tmp_path: Path) -> None:
    rows = [{"text": "a\u2028b"}, {"text": "c"}]
    plain = write_rows(tmp_path / "a.jsonl", rows)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(plain.read_bytes()))
    one, two = read_source(str(plain), "k"), read_source(str(tmp_path / "b.jsonl.gz"), "k")
    assert list(one.rows) == list(two.rows) == rows and one.digest == two.digest
    assert (one.label, two.label) == ("a.jsonl", "b.jsonl.gz")


@pytest.mark.parametrize(
    ("content", "what", "where"),
    [
        (b'{"text": "a"}\n{"text": \n', "not valid JSON", "line 2"),
        (b'{"text": "a"}\n{"id": ' + b"9" * 5000 + b"}\n", "more digits than Python reads", "line 2"),
        (b"[" * 100_000, "nested thousands deep", "line 1"),
        (b'["a"]\n', "no object", "line 1"),
        (b"\n", "holds no row", ""),
        (b"\xff\xfe\n", "cannot be read", ""),
    ],
)
def test_a_bad_file_is_one_screen(content: bytes, what: str, where: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_bytes(content)
    with pytest.raises(UserError, match=what) as caught:
        read_source(str(path), "problems.source")
    assert str(path) in str(caught.value) and where in str(caught.value)


@pytest.mark.parametrize("name", ["gone.jsonl", "hub:nobody/nothing"])
def test_a_source_that_is_not_there_is_one_screen(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rl.models.hub.hub_answers", lambda: False)
    monkeypatch.setattr("rl.own.source.hub_answers", lambda: False)
    monkeypatch.setattr("rl.benchmarks.data.hub_answers", lambda: False)
    with pytest.raises(UserError, match=r"problems\.source"):
        open_own(config_of(name))


def test_a_source_without_one_usable_row_is_one_screen(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "mine.jsonl", [{"body": TEXT}, {"text": "No."}])
    with pytest.raises(UserError, match="no statement 2") as caught:
        open_own(config_of(path))
    assert "fields here: body, text" in str(caught.value)


def test_a_dataset_of_the_hub_is_read_by_its_split(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def rows(repo: str, config: str | None, split: str, fetch: bool) -> list[dict[str, Any]]:
        asked.append((repo, config, split, fetch))
        return [{"task_id": 3, "text": TEXT, "code": "secret"}]

    monkeypatch.setattr("rl.own.source.hub_rows", rows)
    found = open_own(config_of("hub:owner/data:test"))
    assert found is not None and found.problems.draw(1, 0, 1, Funnel())[0].source == "hub:owner/data:test#3"
    assert asked == [("owner/data", None, "test", True)]
    assert found.record["not_read"] == ["code"]


def test_a_run_goes_on_with_the_rows_that_it_was_started_on_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rl.own.opening.benchmark_statements", lambda names: {})
    path = write_rows(tmp_path / "mine.jsonl", statements(3))
    for _ in range(2):
        found = open_own(config_of(path))
        assert found is not None
        keep_record(found, tmp_path)
    assert json.loads((tmp_path / "own_problems.json").read_text())["rows"] == 3
    write_rows(path, statements(4))
    changed = open_own(config_of(path))
    assert changed is not None
    with pytest.raises(UserError, match="not those that the run was started on"):
        keep_record(changed, tmp_path)


def test_benchmark_data_that_came_since_the_start_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_rows(tmp_path / "mine.jsonl", [{"text": TEXT}, {"text": "Return the number of vowels in a word."}])
    for known, said in (({}, False), ({TEXT: "toy a"}, True)):
        monkeypatch.setattr("rl.own.opening.benchmark_statements", lambda names, known=known: known)
        found = open_own(config_of(path))
        assert found is not None
        keep_record(found, tmp_path)
        assert ("has benchmark data come or gone" in capsys.readouterr().err) == said


@pytest.mark.parametrize(
    "words",
    [
        ["--problems.source", "rows.csv"],
        ["--problems.source", "hub:a/b/c/d"],
        ["--problems.share", "0.5"],
        ["--problems.source", "a.jsonl", "--problems.share", "1"],
        ["--solutions.source", "a.jsonl"],
        ["--problems.source", "a.jsonl", "--solutions.source", "a.jsonl", "--problems.share", "0.5"],
        ["--problems.source", "a.jsonl", "--solutions.source", "hub:a/b"],
    ],
)
def test_settings_at_odds_are_refused(words: list[str]) -> None:
    with pytest.raises(UserError):
        load_config(None, words)


def test_problems_of_older_runs_are_self_made(tmp_path: Path) -> None:
    row = {"id": "r01-1", "title": "t", "description": TEXT, "entry": "f", "signature": TYPED, "example": "", "topic": "lists"}
    assert read_records(write_rows(tmp_path / "problems.jsonl", [row]), Problem)[0].source == "self"
