"""`ucoder compare`: gains that are paired by task, and files that cannot be compared."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from rl.cli import main
from rl.config.evals import EvalsConfig
from rl.console import UserError
from rl.evals.compare import gains, pooled, read_record


def record(**benchmarks: list[float | None]) -> dict[str, Any]:
    """An evaluation with these pass@1, None for a task that is missing."""
    found = {}
    for name, values in benchmarks.items():
        rows = [{"id": f"{name}/{i}"} | ({} if v is None else {"pass@1": v}) for i, v in enumerate(values)]
        found[name] = {"metrics": {"no_program": 0.25, "mean_length": 80.0}, "tasks": rows, "data": "tests", "data_hash": "d"}
    config = EvalsConfig(temperature=0).model_dump(mode="json")
    return {
        "model": "m",
        "command": "ucoder eval",
        "config": config,
        "sampling": {"backend": "transformers", "dtype": "float32"},
        "benchmarks": found,
    }


def test_gains_are_means_of_differences_by_benchmark_and_pooled() -> None:
    before = record(humaneval_plus=[0, 0, 1, 1], mbpp_plus=[0, 1])
    found = gains(before, record(humaneval_plus=[1, 1, 1, 0], mbpp_plus=[1, 1]))
    assert list(found) == ["humaneval_plus", "mbpp_plus", "pooled"]
    assert found["humaneval_plus"]["gain"] == pytest.approx(25) and found["mbpp_plus"]["gain"] == pytest.approx(50)
    whole = found["pooled"]
    assert whole["gain"] == pytest.approx(100 * 2 / 6), "each task counts once"
    assert (whole["tasks"], whole["better"], whole["worse"], whole["missing"]) == (6, 3, 1, 0)
    assert (whole["before"], whole["after"]) == (pytest.approx(3 / 6), pytest.approx(5 / 6))


def test_the_interval_is_of_paired_differences() -> None:
    base = [float(i % 2) for i in range(200)]
    after = [1.0 if i < 10 else v for i, v in enumerate(base)]  # five tasks of 200 gained, none lost
    low, high = gains(record(humaneval_plus=base), record(humaneval_plus=after))["humaneval_plus"]["gain_ci"]
    assert 0 < low < 2.5 < high < 6, "unpaired, 200 tasks leave about ten points either way"


def test_two_settings_of_the_chat_template_are_not_compared(capsys: pytest.CaptureFixture[str]) -> None:
    one, two, none = (record(humaneval_plus=[0, 1]) for _ in range(3))
    one["config"]["chat_template_args"], two["config"]["chat_template_args"] = {"enable_thinking": True}, {"enable_thinking": False}
    with pytest.raises(UserError, match="chat_template_args"):
        gains(one, two)
    capsys.readouterr()
    assert gains(one, none)  # a template that knows no such argument
    assert "chat_template_args" in capsys.readouterr().err


@pytest.mark.parametrize("config", [{}, None, []])
def test_a_record_without_its_settings_is_refused(config: object, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(record(humaneval_plus=[1]) | {"config": config}))
    with pytest.raises(UserError, match="older version"):
        read_record(path)


def test_tasks_without_a_figure_are_left_out_and_counted() -> None:
    found = gains(record(humaneval_plus=[0, None, 1]), record(humaneval_plus=[1, 1, None]))["humaneval_plus"]
    assert (found["tasks"], found["missing"], found["gain"]) == (1, 2, 100.0)
    with pytest.raises(UserError, match="no task of humaneval_plus has pass@1"):
        gains(record(humaneval_plus=[None]), record(humaneval_plus=[1]))


def test_another_figure_than_pass_at_1_can_be_compared() -> None:
    one, two = record(humaneval_plus=[0, 1, 1]), record(humaneval_plus=[1, 1, 1])
    for side, reached in ((one, 1.0), (two, 0.5)):
        for row in side["benchmarks"]["humaneval_plus"]["tasks"][:2]:
            row["pass@16"] = reached
    found = gains(one, two, figure="pass@16")["humaneval_plus"]
    assert (found["gain"], found["tasks"], found["missing"]) == (-50.0, 2, 1)
    with pytest.raises(UserError, match="has pass@64") as error:
        gains(one, two, figure="pass@64")
    assert "pass@1, pass@16" in str(error.value)


def test_other_tasks_and_other_settings_are_refused() -> None:
    one = record(humaneval_plus=[0, 1])
    with pytest.raises(UserError, match="other tasks of humaneval_plus"):
        gains(one, record(humaneval_plus=[0, 1, 1]))
    other = copy.deepcopy(one)
    other["benchmarks"]["humaneval_plus"]["data_hash"] = "e"
    with pytest.raises(UserError, match="other tasks of humaneval_plus"):
        gains(one, other)
    for key, value in (("prompt", "qwen"), ("temperature", 0.2), ("max_new_tokens", 9), ("dtype", "bfloat16")):
        other = copy.deepcopy(one)
        other["config"][key] = value
        with pytest.raises(UserError, match=rf"evaluated otherwise\n(.*\n)*{key}: "):
            gains(one, other)
    other = copy.deepcopy(one)
    other["sampling"]["dtype"] = "bfloat16"
    with pytest.raises(UserError, match=r"sampling.dtype: float32 in A, bfloat16 in B"):
        gains(one, other)
    other["sampling"], other["config"]["seed"], other["config"]["samples"] = one["sampling"], 5, 3
    assert gains(one, other)["humaneval_plus"]["gain"] == 0, "greedy: neither the seed nor the number of samples matters"


def test_benchmarks_that_one_side_lacks_are_named() -> None:
    one, two = record(humaneval_plus=[0, 1]), record(humaneval_plus=[1, 1], mbpp_plus=[1])
    with pytest.raises(UserError, match="not both files have figures of mbpp_plus"):
        gains(one, two)
    assert list(gains(one, two, ["humaneval_plus"])) == ["humaneval_plus"]
    two["benchmarks"]["mbpp_plus"] = {"unavailable": "no data", "remedy": "fetch it"}
    assert list(gains(one, two)) == ["humaneval_plus"]


def test_the_command_prints_a_table_and_writes_the_gains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after, out = tmp_path / "a.json", tmp_path / "b.json", tmp_path / "gain.json"
    before.write_text(json.dumps(record(humaneval_plus=[0, 0], mbpp_plus=[0, 1])))
    after.write_text(json.dumps(record(humaneval_plus=[0, 1], mbpp_plus=[1, 1])))
    assert main(["compare", str(before), str(after), "--json", str(out)]) == 0
    said = capsys.readouterr().out
    assert "pass@1 of m (B)" in said and "pooled" in said and "+50.0" in said and "greedy" in said and "25.0 % → 25.0 %" in said
    assert json.loads(out.read_text())["gains"]["pooled"]["gain"] == pytest.approx(50)


def test_benchmarks_that_share_tasks_are_not_pooled(capsys: pytest.CaptureFixture[str]) -> None:
    before, after = record(humaneval=[0, 1, 1], mbpp_plus=[0, 1]), record(humaneval=[1, 1, 1], mbpp_plus=[0, 1])
    for side in (before, after):
        side["benchmarks"]["humaneval_plus"] = side["benchmarks"]["humaneval"]
    assert "pooled" not in gains(before, after)
    assert "humaneval and humaneval_plus" in capsys.readouterr().err
    assert gains(before, after, ["humaneval", "mbpp_plus"])["pooled"]["tasks"] == 5


def test_a_benchmark_that_is_named_twice_counts_once() -> None:
    before, after = record(humaneval_plus=[0, 1, 1]), record(humaneval_plus=[1, 1, 1])
    assert list(gains(before, after, ["humaneval_plus", "humaneval_plus"])) == ["humaneval_plus"]


@pytest.mark.parametrize(("after", "interval"), [([1] * 5, (13.1, 100)), ([0] * 5, (-43.4, 43.4))])
def test_a_few_tasks_that_differ_alike_do_not_prove_an_exact_gain(after: list[float | None], interval: tuple[float, float]) -> None:
    found = gains(record(humaneval_plus=[0] * 5), record(humaneval_plus=after))["humaneval_plus"]
    assert found["gain_ci"] == pytest.approx(interval, abs=0.1) and found["alike"]


def test_other_packages_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    one, two, silent = record(humaneval_plus=[0, 1]), record(humaneval_plus=[0, 1]), record(humaneval_plus=[0, 1])
    one["packages"], two["packages"] = ["numpy 2.1", "scipy 1.14"], ["scipy 1.14"]
    with pytest.raises(UserError, match=r"packages: numpy 2\.1 in A, none of these in B"):
        gains(one, two)
    assert gains(one, silent) and "does not say" in capsys.readouterr().err
    two["packages"] = one["packages"]
    assert gains(one, two) and not capsys.readouterr().err


@pytest.mark.parametrize("figure", ["id", "mean_length", "n", "correct"])
def test_what_is_no_share_of_right_answers_is_not_compared(figure: str) -> None:
    one = record(humaneval_plus=[0, 1])
    for row in one["benchmarks"]["humaneval_plus"]["tasks"]:
        row |= {"mean_length": 80.0, "n": 1, "correct": 1}
    with pytest.raises(UserError, match="no share of right answers"):
        gains(one, one, figure=figure)


@pytest.mark.parametrize("words", [["--benchmarks", ","], ["--benchmarks", ""], []])
def test_nothing_to_compare_is_said(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, scored = tmp_path / "a.json", {"humaneval_plus": [1.0]} if words else {}
    path.write_text(json.dumps(record(**scored)))
    with pytest.raises(SystemExit) as left:
        main(["compare", str(path), str(path), *words])
    assert left.value.code == 2 and "no benchmark is left" in capsys.readouterr().err


@pytest.mark.parametrize(
    "benchmarks",
    [
        [],
        {"mbpp": 1},
        {"mbpp": {"metrics": {}, "data_hash": "d"}},
        {"mbpp": {"metrics": [], "data_hash": "d", "tasks": []}},
        {"mbpp": {"metrics": {}, "data_hash": "d", "tasks": [{"pass@1": 1.0}]}},
        {"mbpp": {"metrics": {}, "data_hash": "d", "tasks": [{"id": "a", "pass@1": "1"}]}},
        {"mbpp": {"metrics": {}, "tasks": [{"id": "a", "pass@1": 1.0}]}},
    ],
)
def test_a_record_of_another_shape_is_refused(benchmarks: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(record() | {"benchmarks": benchmarks}))
    with pytest.raises(UserError, match="no evaluation"):
        read_record(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read"),
        ("{", "is not JSON"),
        ("[" * 100_000, "thousands deep"),
        ("[]", "no evaluation"),
        ('{"model": 1}', "no evaluation"),
    ],
)
def test_files_that_are_no_evaluation_end_in_one_screen(
    tmp_path: Path, text: str | None, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SystemExit) as left:
        main(["compare", str(path), str(path)])
    assert left.value.code == 2 and said in capsys.readouterr().err


def test_pooled_figures_count_each_task_once() -> None:
    found = pooled(
        {"humaneval_plus": [{"pass@1": 1.0}, {"pass@1": 0.0}, {"pass@1": 0.0}], "mbpp_plus": [{"pass@1": 1.0}, {}]}, EvalsConfig()
    )
    assert found is not None and (found["tasks"], found["pass@1"]) == (4, 0.5)
    assert found["pass@1_ci"][0] < 0.5 < found["pass@1_ci"][1]
    assert pooled({"humaneval_plus": [{}]}, EvalsConfig()) is None
