"""Unlabelled MBPP statements: nothing of an answer or a test is taken but a `def` line, and what overlaps a benchmark stays out."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.own.mbpp_statements import main
from tests.own.rows import write_rows

TASK = "Write a function to find the shared elements from the given two lists of numbers."


def row(number: int, text: str, name: str = "shared") -> dict[str, Any]:
    code = f"def helper(x):\r\n  return x\r\ndef {name}(a, b):\r\n  return helper(a) # secret"
    return {"task_id": number, "text": text, "code": code, "test_list": [f"assert {name}([1], [2]) == 'hidden'"], "test_setup_code": ""}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "mbpp").mkdir()
    monkeypatch.setenv("UCODER_DATA", str(tmp_path))
    monkeypatch.setattr("bench.own.mbpp_statements.benchmark_statements", lambda: {TASK: "mbpp_plus Mbpp/2"})
    monkeypatch.setattr("bench.own.mbpp_statements.load_benchmark", lambda name: SimpleNamespace(tasks=()))
    return tmp_path


def test_statements_and_def_lines_are_kept_and_overlaps_named(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row(1, "Write a function to add up two matrices."), row(2, TASK), row(3, "Write a function to merge two tuples.", "merge")]
    write_rows(data / "mbpp" / "mbpp.jsonl", rows)
    assert main([str(data / "out.jsonl")]) == 0
    text = (data / "out.jsonl").read_text()
    assert [json.loads(line) for line in text.splitlines()] == [
        {"id": "MBPP/1", "description": "Write a function to add up two matrices.", "signature": "def shared(a, b):"},
        {"id": "MBPP/3", "description": "Write a function to merge two tuples.", "signature": "def merge(a, b):"},
    ]
    assert "hidden" not in text and "secret" not in text
    printed = capsys.readouterr().out
    assert "2 of 3 statements remain" in printed and "benchmark overlap: 1 (mbpp_plus 1)" in printed


def test_without_the_data_there_is_one_screen(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("bench.own.mbpp_statements.find_data", lambda *names: None)
    with pytest.raises(SystemExit) as ended:
        main([str(data / "out.jsonl")])
    assert ended.value.code == 2 and "UCODER_DATA" in capsys.readouterr().err
