"""What a round says when no problem is left to train on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from rl.config.schema import Config
from rl.loop import update
from rl.loop.update import Selected, nothing_to_train_on


@pytest.mark.parametrize(("apart", "kept_apart"), [(0, False), (2, True)])
def test_it_says_whether_the_band_is_empty_or_all_of_it_is_kept_apart(apart: int, kept_apart: bool) -> None:
    current: Any = SimpleNamespace(
        index=2, verdicts=[SimpleNamespace(repeats=None)] * 7, config=Config(solutions={"band_low": 0.3, "band_high": 0.8})
    )
    said = nothing_to_train_on(current, apart)
    assert said.startswith(f"round 2: of 7 problems with votes {apart} are in the band of agreement (0.3 to 0.8)")
    assert ("kept apart" in said) is kept_apart and "run_dir" in said


@pytest.mark.parametrize("consolidation", ["grpo", "sft"])
def test_what_is_trained_is_the_policy_whoever_was_asked(monkeypatch: pytest.MonkeyPatch, consolidation: str) -> None:
    current: Any = SimpleNamespace(
        start="policy",
        teacher="teacher",
        config=Config(consolidation=consolidation, teacher={"decay": 0.5}),
        loaded=SimpleNamespace(release=lambda: None),
        probe=None,
    )
    trained: list[str] = []
    monkeypatch.setattr(update, "select_problems", lambda current: Selected((), (), ()))
    for step in ("reinforce", "consolidate"):
        monkeypatch.setattr(update, step, lambda current, selected, made: trained.append(made.policy))
    update._train(current)
    assert trained == ["policy"]
