"""The run folder: opened before any work, refused when another config made it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from rl.config import run_folder
from rl.config.run_folder import open_run
from rl.config.schema import Config, config_from_argv, load_config
from rl.console import UserError
from tests.rl.tiny import make_checkpoint


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return make_checkpoint(tmp_path / "model")


def config_for(tmp_path: Path, checkpoint: Path, *overrides: str) -> Config:
    return load_config(None, ["--model", str(checkpoint), "--run_dir", str(tmp_path / "run"), *overrides])


def test_opening_saves_config_and_versions(tmp_path: Path, checkpoint: Path) -> None:
    config = config_for(tmp_path, checkpoint, "--seed", "5")
    folder = open_run(config)
    assert yaml.safe_load((folder / "config.yaml").read_text())["seed"] == 5
    assert {"python", "torch", "transformers"} <= json.loads((folder / "versions.json").read_text()).keys()
    assert sorted(p.name for p in folder.iterdir()) == ["config.yaml", "versions.json"]


def test_the_same_config_reopens(tmp_path: Path, checkpoint: Path) -> None:
    config = config_for(tmp_path, checkpoint)
    assert open_run(config) == open_run(config)


def test_a_run_without_a_config_goes_on_with_the_folder_of_make_run(tmp_path: Path, checkpoint: Path) -> None:
    words = ["--model", str(checkpoint), "--run_dir", str(tmp_path / "run")]
    made = open_run(config_from_argv(["--config", "configs/seedling.yaml", *words]))  # the Makefile's words, from the repository
    assert open_run(config_from_argv(words)) == made


def test_more_rounds_and_other_trackers_continue_a_run(tmp_path: Path, checkpoint: Path) -> None:
    open_run(config_for(tmp_path, checkpoint, "--rounds", "2"))
    folder = open_run(config_for(tmp_path, checkpoint, "--rounds", "3", "--tracking.project", "other"))
    assert yaml.safe_load((folder / "config.yaml").read_text())["rounds"] == 3


@pytest.mark.parametrize("key", run_folder.ADDED_KEYS)
def test_a_run_from_before_a_key_was_there_goes_on_where_the_key_does_what_was_done_before(
    tmp_path: Path, checkpoint: Path, key: str
) -> None:
    config = config_for(tmp_path, checkpoint)
    folder = open_run(config)
    before = yaml.safe_load((folder / "config.yaml").read_text())
    section, name = key.split(".")
    del before[section][name]
    (folder / "config.yaml").write_text(yaml.safe_dump(before))
    assert open_run(config) == folder


def test_every_key_that_an_older_run_lacks_says_what_was_done_before() -> None:
    """older_run.yaml: config.yaml of a run that commit 23e2a6b made. A key that is new since is in ADDED_KEYS, or stops every older run."""
    older = run_folder.flatten(yaml.safe_load((Path(__file__).parent / "older_run.yaml").read_text()))
    today = run_folder.flatten(load_config(None, []).model_dump(mode="json"))
    assert set(today) - set(older) == set(run_folder.ADDED_KEYS)


def test_it_does_not_go_on_where_the_key_does_something_else(tmp_path: Path, checkpoint: Path) -> None:
    folder = open_run(config_for(tmp_path, checkpoint))
    before = yaml.safe_load((folder / "config.yaml").read_text())
    del before["teacher"]
    (folder / "config.yaml").write_text(yaml.safe_dump(before))
    with pytest.raises(UserError, match=r"teacher\.decay: 0\.0 there, 0\.5 now"):
        open_run(config_for(tmp_path, checkpoint, "--teacher.decay", "0.5"))


@pytest.mark.parametrize("content", ["", "seed: 0\n"])
def test_a_config_that_lacks_older_keys_is_of_no_run_that_goes_on(tmp_path: Path, checkpoint: Path, content: str) -> None:
    folder = open_run(config_for(tmp_path, checkpoint))
    (folder / "config.yaml").write_text(content)
    with pytest.raises(UserError, match="absent there"):
        open_run(config_for(tmp_path, checkpoint))


@pytest.mark.parametrize("override", [("--seed", "9"), ("--grpo.learning_rate", "0.5"), ("--rounds", "1")])
def test_a_folder_of_another_config_is_refused(tmp_path: Path, checkpoint: Path, override: tuple[str, str]) -> None:
    folder = open_run(config_for(tmp_path, checkpoint))
    before = (folder / "config.yaml").read_bytes()
    with pytest.raises(UserError) as caught:
        open_run(config_for(tmp_path, checkpoint, *override))
    assert override[0].removeprefix("--") in caught.value.what
    assert override[1] in caught.value.what
    assert caught.value.where == str(folder)
    assert (folder / "config.yaml").read_bytes() == before


MEMORY = ("--grpo.vllm_memory", "0.2", "--grpo.gradient_checkpointing", "true", "--sft.gradient_checkpointing", "true")


def test_a_run_that_ran_out_of_memory_goes_on_with_less_of_it(tmp_path: Path, checkpoint: Path) -> None:
    folder = open_run(config_for(tmp_path, checkpoint))
    smaller = ("--grpo.micro_batch", "8", "--sft.micro_batch", "4", "--sampling.batch_size", "16")
    assert open_run(config_for(tmp_path, checkpoint, *MEMORY, *smaller)) == folder
    kept = yaml.safe_load((folder / "config.yaml").read_text())
    assert kept["grpo"]["micro_batch"] == 8 and kept["grpo"]["gradient_checkpointing"] is True


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (("--grpo.loss_type", "bnpo"), "grpo.micro_batch"),
        (("--grpo.entropy_coef", "0.01"), "grpo.micro_batch"),
        (("--grpo.lora.dropout", "0.1"), "grpo.micro_batch"),
        (("--sft.lora.dropout", "0.1"), "sft.micro_batch"),
    ],
)
def test_but_not_where_passes_of_another_size_are_another_gradient(
    tmp_path: Path, checkpoint: Path, words: tuple[str, str], key: str
) -> None:
    open_run(config_for(tmp_path, checkpoint, *words))
    with pytest.raises(UserError, match=rf"{key}: None there, 8 now"):
        open_run(config_for(tmp_path, checkpoint, *words, f"--{key}", "8"))


@pytest.mark.parametrize("where", ["file/run", "/proc/run"])
def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path, checkpoint: Path, where: str) -> None:
    (tmp_path / "file").write_text("")
    run = where if where.startswith("/") else str(tmp_path / where)
    with pytest.raises(UserError, match="cannot be written"):
        open_run(config_for(tmp_path, checkpoint, "--run_dir", run))


def test_nothing_is_written_when_the_model_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError):
        open_run(config_for(tmp_path, tmp_path / "gone"))
    assert not (tmp_path / "run").exists()


def test_a_tracker_that_is_not_installed_is_named(tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_folder.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError) as caught:
        open_run(config_for(tmp_path, checkpoint, "--tracking.report_to", "trackio"))
    assert "ucoder[trackio]" in caught.value.remedy


def test_changed_versions_are_told(tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = config_for(tmp_path, checkpoint)
    folder = open_run(config)
    saved = json.loads((folder / "versions.json").read_text())
    (folder / "versions.json").write_text(json.dumps(saved | {"torch": "0.1"}))
    open_run(config)
    assert "torch 0.1 ->" in capsys.readouterr().err
