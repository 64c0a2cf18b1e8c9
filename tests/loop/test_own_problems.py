"""The loop on problems of the user's own: mixed with self-made ones, and with solutions that were collected elsewhere."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from rl.round_files import read_rows
from rl.run_data import read_run
from rl.sharing.cards import data_statement
from rl.sharing.problems import problem_rows
from tests.loop.runs import finish
from tests.loop.test_many_ranks import run
from tests.own.rows import statements, write_rows

SHORT = ("--evals.limit", "1", "--choice.problems", "0", "--grpo.steps", "1", "--problems.count", "16", "--audit", "false")


@pytest.mark.slow
def test_own_problems_are_mixed_with_self_made_ones_and_keep_their_provenance(tmp_path: Path) -> None:
    rows = [*statements(30), {"text": "?", "test": "secret"}]
    finish(tmp_path / "run", "--problems.source", str(write_rows(tmp_path / "mine.jsonl", rows)), "--problems.share", "0.5", *SHORT)
    folder = tmp_path / "run" / "round_01"
    problems = read_rows(folder / "problems.jsonl")
    theirs = [p for p in problems if p["source"] != "self"]
    by_text = {row["description"]: row for row in rows[:-1]}
    assert len(theirs) == 8 and len(problems) > 8
    assert sum(bool(p["interface"]) for p in theirs) >= 6  # an interface of the model's that cannot be used is left out
    for problem in theirs:
        row = by_text[problem["description"]]
        assert problem["source"] == f"mine.jsonl#{row['id']}" and problem["signature"] == row["signature"]
        assert not problem["interface"] or problem["interface"].startswith(row["signature"].split(" ->")[0])
        assert problem["rating"] is None
    funnel = json.loads((folder / "funnel.json").read_text())
    assert funnel["own"] == 8 and funnel["proposed"] == funnel["kept"] + sum(funnel["dropped"].values())
    run = read_run(tmp_path / "run")
    shared = list(problem_rows(run))
    assert {row["source"] for row in shared} >= {p["source"] for p in theirs if p["id"] in {row["id"] for row in shared}} > set()
    assert "The statements of some problems are from `mine.jsonl`" in data_statement(run.config)
    assert "No external data" not in data_statement(run.config)
    assert "mine.jsonl#own/" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_collected_solutions_vote_and_are_learnt_from(tmp_path: Path) -> None:
    rows = statements(16, candidates=6)
    path = str(write_rows(tmp_path / "mine.jsonl", rows))
    finish(tmp_path / "run", "--problems.source", path, "--solutions.source", path, "--consolidation", "sft", *SHORT)
    folder = tmp_path / "run" / "round_01"
    candidates = read_rows(folder / "candidates.jsonl")
    given = {text for row in rows for text in row["candidates"]}
    counts = Counter(c["problem_id"] for c in candidates)
    assert len(counts) >= 5 and set(counts.values()) == {6} and {c["completion"] for c in candidates} <= given
    assert all(len(c["logprobs"]) == len(c["token_ids"]) and max(c["logprobs"]) <= 0 for c in candidates)
    assert json.loads((folder / "training.json").read_text())["sft_pairs"] > 0
    assert "`mine.jsonl`" in data_statement(read_run(tmp_path / "run").config)


@pytest.mark.slow
def test_two_ranks_read_the_collected_solutions_that_one_reads(tmp_path: Path) -> None:
    path = str(write_rows(tmp_path / "mine.jsonl", statements(16, candidates=6)))
    words = ("--problems.source", path, "--solutions.source", path, "--consolidation", "sft", "--sampling.part", "12", *SHORT)
    found = []
    for processes in (1, 2):
        folder = tmp_path / f"run{processes}"
        run(folder, processes, *words)
        found.append(read_rows(folder / "round_01" / "candidates.jsonl"))
    one, two = found
    for row in (*one, *two):
        row["logprobs"] = [round(p, 2) for p in row["logprobs"]]
    assert one == two and len(one) >= 30
