"""The plan: counts follow the config, prices follow the counts, and nothing is loaded or written."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from rl import plan
from rl.config import load_config
from rl.console import UserError
from rl.model_size import ModelSize, read_model_size

SIZE = ModelSize(5e6, 4, 256, 1000, 1024, "test")
ROOT = Path(__file__).resolve().parents[2]


def stages(*overrides: str) -> dict[str, plan.Stage]:
    return {stage.name: stage for stage in plan.make_plan(load_config(None, overrides), SIZE).stages}


def test_counts_by_hand() -> None:
    found = stages(
        *(
            "--problems.count",
            "100",
            "--problems.ratings_per_problem",
            "3",
            "--solutions.samples",
            "10",
            "--solutions.max_new_tokens",
            "20",
        ),
        *("--suites.pool", "8", "--suites.inputs", "4", "--grpo.steps", "5", "--grpo.rollouts_per_step", "16"),
        *("--evals.samples", "2", "--evals.limit", "30"),
    )
    assert found["problems"].samples == 100
    assert found["rating"].samples == 300
    assert found["solutions"].samples == 500  # half of the proposals are kept
    assert found["solutions"].tokens == 5000  # filled to half
    assert found["solutions"].executions == 2000  # half of the programs differ, eight inputs each
    assert found["grpo"].samples == 80
    assert found["grpo"].executions == 160
    assert found["eval"].samples == 60


def test_twice_the_rounds_cost_twice_the_rounds() -> None:
    one, two = (plan.make_plan(load_config(None, ["--rounds", str(n)]), SIZE) for n in (1, 2))
    assert two.hours - two.base_evaluation_hours == pytest.approx(2 * (one.hours - one.base_evaluation_hours))


def test_measured_speed_replaces_the_assumed_one() -> None:
    config = load_config(None)
    slow, fast = (plan.make_plan(config, SIZE, tokens_per_second=speed) for speed in (100.0, 200.0))
    assert slow.stages[0].hours == pytest.approx(2 * fast.stages[0].hours)
    assert any("200 tokens/s (given)" in line for line in fast.assumptions)


@pytest.mark.parametrize(("consolidation", "names"), [("grpo", {"grpo"}), ("sft", {"sft"}), ("sft+grpo", {"sft", "grpo"})])
def test_only_the_training_that_runs_is_priced(consolidation: str, names: set[str]) -> None:
    assert stages("--consolidation", consolidation).keys() & {"sft", "grpo"} == names


def write_model(folder: Path, tied: bool = True) -> Path:
    folder.mkdir()
    config = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 16}
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": 32, "tie_word_embeddings": tied}))
    return folder


def test_parameters_are_counted_in_the_weights(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m")
    header = json.dumps({"a": {"shape": [3, 5]}, "b": {"shape": [7]}, "__metadata__": {"format": "pt"}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    size = read_model_size(str(folder))
    assert (size.parameters, size.kv_values_per_token) == (22, 2 * 2 * 2 * 2)


def test_parameters_are_computed_from_the_shape(tmp_path: Path) -> None:
    block = 2 * 8 * 8 + 2 * 8 * 4 + 3 * 8 * 16
    assert read_model_size(str(write_model(tmp_path / "m"))).parameters == 2 * block + 32 * 8
    assert read_model_size(str(write_model(tmp_path / "n", tied=False))).parameters == 2 * block + 2 * 32 * 8


@pytest.mark.parametrize(("name", "parameters"), [("Qwen/Qwen2.5-Coder-7B-Instruct", 7e9), ("org/tiny-0.5b", 0.5e9)])
def test_a_name_tells_a_size(name: str, parameters: float) -> None:
    assert read_model_size(name).parameters == parameters


def test_an_unknown_size_asks_for_it() -> None:
    with pytest.raises(UserError, match="not at hand"):
        read_model_size("org/model")
    assert read_model_size("org/model", 3e9).parameters == 3e9


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_shipped_config_can_be_planned(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert plan.main([str(path), "--parameters", "3e6", "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    for word in ("solutions", "whole run", "memory", "disk", "Assumed, not measured"):
        assert word in out
    assert list(tmp_path.iterdir()) == []


def test_json_can_be_read_back(capsys: pytest.CaptureFixture[str]) -> None:
    assert plan.main(["--json", "--model", "org/a-1B", "--rounds", "2"]) == 0
    assert json.loads(capsys.readouterr().out)["rounds"] == 2
