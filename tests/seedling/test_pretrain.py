"""A stopped pretraining goes on from where it was stopped, to the same weights, and from nothing else."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from rewards.user_error import UserError
from seedling import pretrain
from seedling.pretraining_files import CARD, Settings, finished_phases
from seedling.spellings import RATES

SETTINGS = Settings(
    documents=168,
    layers=1,
    width=64,
    seed=1,
    precision="float32",
    rates=asdict(RATES),
    batch_tokens=pretrain.BATCH_TOKENS,
    corpus="c",
    held_out="h",
)


class Stopped(Exception):
    """In place of a kill."""


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return pretrain.corpus_tokenizer(SETTINGS.seed)


@pytest.fixture(autouse=True)
def one_tokenizer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made once for all slow tests, and no document is skipped for it: both take seconds."""
    if request.node.get_closest_marker("slow"):
        made = request.getfixturevalue("tokenizer")
        monkeypatch.setattr(pretrain, "TOKENIZER_DOCUMENTS", 0)
        monkeypatch.setattr(pretrain, "corpus_tokenizer", lambda seed: made)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The size of every batch that is trained on."""
    sizes: list[int] = []
    loss = pretrain.answer_loss

    def counted(model: Any, batch: Any, device: Any) -> Any:
        sizes.append(len(batch))
        return loss(model, batch, device)

    monkeypatch.setattr(pretrain, "answer_loss", counted)
    return sizes


def weights(out: Path, resume: bool = False) -> str:
    pretrain.pretrain(out, SETTINGS, resume)
    found: str = json.loads((out / CARD).read_text())["weights_hash"]
    return found


def stop_after(monkeypatch: pytest.MonkeyPatch, name: str, times: int = 1) -> None:
    """Stop at the end of the so-many-th call of a function of the pretraining."""
    called = getattr(pretrain, name)
    calls = iter(range(1, times + 1))

    def stopping(*arguments: Any) -> None:
        called(*arguments)
        if next(calls) == times:
            raise Stopped

    monkeypatch.setattr(pretrain, name, stopping)


@pytest.mark.slow
@pytest.mark.parametrize(("place", "times"), [("save_partial", 1), ("save", 1), ("save_partial", 2)], ids=["inside", "between", "later"])
def test_a_stopped_pretraining_goes_on_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: list[int], place: str, times: int
) -> None:
    whole = weights(tmp_path / "whole")
    wanted = list(steps)
    steps.clear()
    with monkeypatch.context() as patched:
        patched.setattr(pretrain, "SAVE_SECONDS", 0.0)
        stop_after(patched, place, times)
        with pytest.raises(Stopped):
            weights(tmp_path / "stopped")
    assert weights(tmp_path / "stopped", resume=True) == whole
    assert steps == wanted  # each batch once
    assert not list((tmp_path / "stopped").glob("*.partial.pt"))


@pytest.mark.slow
def test_a_new_start_leaves_nothing_of_an_older_pretraining_to_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / CARD).write_text(json.dumps({"settings": asdict(SETTINGS), "phases": [{}, {}]}))
    monkeypatch.setattr(pretrain, "SAVE_SECONDS", 0.0)
    stop_after(monkeypatch, "save_partial")
    with pytest.raises(Stopped):
        weights(tmp_path)
    assert finished_phases(tmp_path, SETTINGS) == []


def test_with_nothing_to_resume_it_does_not_start_from_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no stopped pretraining"):
        pretrain.pretrain(tmp_path, SETTINGS, resume=True)


@pytest.mark.parametrize(
    "settings",
    [replace(SETTINGS, documents=999), replace(SETTINGS, rates={**asdict(RATES), "hasty": 0.5}), replace(SETTINGS, held_out="x")],
)
def test_a_pretraining_with_other_settings_is_not_resumed(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / CARD).write_text(json.dumps({"settings": asdict(settings), "phases": [{}]}))
    with pytest.raises(UserError, match="this pretraining has"):
        finished_phases(tmp_path, SETTINGS)
