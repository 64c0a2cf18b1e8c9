"""Pretraining goes on inside a phase from where it was stopped, to the same weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seedling import pretrain


class Stopped(Exception):
    """In place of a kill."""


def weights(out: Path, resume: bool = False) -> str:
    pretrain.pretrain(out, total=168, layers=1, width=64, seed=1, precision="float32", resume=resume)
    found: str = json.loads((out / "pretraining.json").read_text())["weights_hash"]
    return found


@pytest.mark.slow
def test_a_stopped_phase_goes_on_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = weights(tmp_path / "whole")
    monkeypatch.setattr(pretrain, "SAVE_SECONDS", 0.0)
    save = pretrain.save_partial

    def save_and_stop(*arguments: Any) -> None:
        save(*arguments)
        raise Stopped

    monkeypatch.setattr(pretrain, "save_partial", save_and_stop)
    with pytest.raises(Stopped):
        weights(tmp_path / "stopped")
    monkeypatch.setattr(pretrain, "save_partial", save)
    assert (tmp_path / "stopped" / "partial.pt").exists()
    assert weights(tmp_path / "stopped", resume=True) == whole
    assert not (tmp_path / "stopped" / "partial.pt").exists()
