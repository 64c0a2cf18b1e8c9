"""The table of real models: which figures stand beside which published ones."""

import json
from pathlib import Path

import pytest

from bench.real.evals import collect, markdown, rows_of, rows_of_other_files
from rl.config.evals import EvalsConfig
from rl.console import UserError


def record(model: str = "models/Qwen2.5-Coder-0.5B-Instruct", limit: int | None = None, temperature: float = 0.0) -> dict:
    figures = {"tasks": 164, "pass@1": 0.57, "pass@1_ci": [0.5, 0.64], "pass@1_base": 0.62, "pass@1_base_ci": [0.55, 0.69]}
    more = {"missing": 0, "no_program": 0.01, "mean_length": 88.4}
    sanitized = {"tasks": 427, "pass@1": 0.5, "pass@1_ci": [0.4, 0.6], **more}
    return {
        "model": model,
        "model_hash": "f" * 64,
        "command": "ucoder eval",
        "config": EvalsConfig(temperature=temperature, samples=4, limit=limit).model_dump(mode="json"),
        "sampling": {"backend": "transformers", "dtype": "float32"},
        "versions": {"commit": "abc"},
        "benchmarks": {
            "humaneval_plus": {"metrics": figures | more, "data_hash": "a", "tasks": []},
            "mbpp": {"metrics": sanitized, "data_hash": "b", "tasks": []},
            "livecodebench": {"unavailable": "no data", "remedy": "fetch it"},
        },
        "pooled": {"benchmarks": [], **figures, "tasks": 542},
    }


def published(rows: list[dict]) -> dict:
    return {(row["benchmark"], row["tests"]): row["published"] for row in rows}


def test_each_set_of_tests_has_its_own_row_and_published_figure() -> None:
    rows = list(rows_of(record()))
    assert published(rows) == {
        ("humaneval_plus", "all"): 57.3,
        ("humaneval", "base"): 61.6,
        ("mbpp", "all"): None,
        ("humaneval_plus + mbpp_plus", "all"): None,
        ("humaneval + mbpp", "base"): None,
    }
    assert [row["pass@1"] for row in rows] == [0.57, 0.62, 0.5, 0.57, 0.62]


def test_a_command_is_shown_without_the_folders_of_its_machine() -> None:
    typed = record() | {"command": "ucoder eval --model /data/models/a --json evals/a.json"}
    assert {row["command"] for row in rows_of(typed)} == {"ucoder eval --model a --json evals/a.json"}


@pytest.mark.parametrize("model", ["qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", "qwen2.5-coder-0.5b-instruct.fp16.gguf"])
def test_a_quantised_file_is_the_model_that_it_is_of(model: str) -> None:
    assert published(list(rows_of(record(model))))["humaneval_plus", "all"] == 57.3


@pytest.mark.parametrize(
    "other",
    [{"model": "qwen2.5-coder-0.5b-instruct-trained"}, {"model": "runs/x/checkpoint"}, {"limit": 12}, {"temperature": 0.2}],
)
def test_what_was_measured_otherwise_has_no_published_figure(other: dict) -> None:
    assert set(published(list(rows_of(record(**other)))).values()) == {None}


def test_a_folder_becomes_one_table_and_other_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no evaluation"):
        collect(tmp_path)
    (tmp_path / "greedy.json").write_text(json.dumps(record()))
    (tmp_path / "warm.json").write_text(json.dumps(record(temperature=0.2)))
    (tmp_path / "gain.json").write_text("{}")
    rows, others = collect(tmp_path)
    assert others == ["gain.json"] and len(rows) == 10
    text = markdown(rows)
    assert "| 57.0 % [50.0, 64.0] | 57.3 % | -0.3 | 1.0 % | 88 |" in text
    assert "T = 0.2, 4 samples" in text and "the first of each" not in text
    assert "(the first of each)" in markdown(list(rows_of(record(limit=12))))


def test_rows_of_files_that_are_not_in_the_folder_stay(tmp_path: Path) -> None:
    path = tmp_path / "real_evals.json"
    assert rows_of_other_files(path, []) == []
    before = [{"file": "greedy.json", "pass@1": 0.5}, {"file": "qwen.json", "pass@1": 0.4}]
    path.write_text(json.dumps({"rows": before}))
    assert rows_of_other_files(path, [{"file": "qwen.json", "pass@1": 0.6}]) == before[:1]
