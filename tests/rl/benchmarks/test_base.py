"""The registry: names, limits, absent data, and the bundled benchmark."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from rewards.records import Kind
from rewards.sandbox import Sandbox
from rl.benchmarks import seedling
from rl.benchmarks.base import Benchmark, Unavailable, benchmark_texts, load_benchmark, reference_outcomes
from rl.console import UserError


def test_unknown_benchmark_names_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean seedling"):
        load_benchmark("seedlng")


def test_limit_takes_the_first_tasks() -> None:
    whole, some = load_benchmark("seedling"), load_benchmark("seedling", 7)
    assert isinstance(whole, Benchmark) and isinstance(some, Benchmark)
    assert some.tasks == whole.tasks[:7]
    assert whole.digest() != some.digest()


def test_absent_data_is_unavailable_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seedling, "BENCH_PATH", tmp_path / "none.jsonl")
    absent = seedling.load.__wrapped__("seedling")
    assert isinstance(absent, Unavailable)
    assert "seedling.bench" in absent.remedy


def test_bundled_benchmark_has_distinct_tasks_whose_references_give_values(sandbox: Sandbox) -> None:
    benchmark = load_benchmark("seedling")
    assert isinstance(benchmark, Benchmark)
    assert len({t.id for t in benchmark.tasks}) == len(benchmark.tasks) >= 200
    found = reference_outcomes(benchmark.tasks, sandbox)
    bad = {name for name, outcomes in found.items() if not outcomes or any(o.kind is not Kind.VALUE for o in outcomes)}
    assert not bad


def test_decontamination_reads_every_benchmark_that_is_here() -> None:
    benchmark = load_benchmark("seedling")
    assert isinstance(benchmark, Benchmark)
    assert {t.statement for t in benchmark.tasks} <= set(benchmark_texts())


@pytest.mark.parametrize(
    ("name", "file", "text"),
    [
        ("mbpp", "sanitized-mbpp.json", '{"text": "x"}'),
        ("mbpp", "sanitized-mbpp.json", '[{"task_id": 1, "code": "def f(:", "prompt": "x", "test_list": ["f()"]}]'),
        ("humaneval", "HumanEval.jsonl", "[1]\n"),
        ("humaneval", "HumanEval.jsonl", "7\n"),
        ("humaneval", "HumanEval.jsonl", '{"task_id": 1, "prompt": 2}\n'),
    ],
)
def test_a_damaged_data_file_is_one_screen(name: str, file: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / file).write_text(text)
    monkeypatch.setenv("UCODER_DATA", str(tmp_path))
    module = importlib.import_module(f"rl.benchmarks.{name}")
    module.load.cache_clear()
    with pytest.raises(UserError, match=f"the data of {name} cannot be read"):
        load_benchmark(name)
