"""The best policy's folder and the state that names it: after a kill at any moment they speak of the same step."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from transformers import TrainerControl, TrainerState, TrainingArguments

from probing.samplers.base import SamplerError
from rl.config.training import GuardsConfig
from rl.training import guard_callback
from rl.training.guard_callback import GuardCallback
from rl.training.guards import Action
from tests.rl.grpo_case import make_tasks

ROLL_BACK = Action(9, "roll_back", "held_out", 0.2, 0.1, "a fall")


class Round:
    """Steps of one process: a look after each, whose agreement is given; a checkpoint after every second, of which two are kept.

    What stands for weights is a text that names the step and the process.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, process: str) -> None:
        self.folder, self.process, self.step = folder, process, 0
        monkeypatch.setattr(guard_callback, "save_trained", self.save)
        monkeypatch.setattr(guard_callback, "tokenizer_of", lambda _: None)
        self.share = 0.0
        scorer = SimpleNamespace(winner_shares=lambda *_: [self.share], state=dict, restore=lambda _: None)
        rollouts = SimpleNamespace(sample=lambda *_: [[]])
        self.guard = GuardCallback(
            GuardsConfig(held_out_every=1), "start", folder, lambda _: None, make_tasks()[:1], cast(Any, scorer), cast(Any, rollouts), 1
        )
        accelerator = SimpleNamespace(process_index=0, num_processes=1)
        self.guard.trainer = cast(
            Any,
            SimpleNamespace(
                model=torch.nn.Linear(1, 1), accelerator=accelerator, beta=0.0, next_beta=None, _metrics={"train": defaultdict(list)}
            ),
        )

    def save(self, _trainer: Any, _tokenizer: Any, path: Path, _lora: None) -> None:
        path.mkdir(parents=True, exist_ok=True)
        (path / "weights").write_text(f"{self.process} {self.step}")

    def go(self, shares: Sequence[float], checkpoints: dict[int, dict[str, Any]]) -> None:
        arguments = cast(TrainingArguments, None)
        for self.share in shares:
            self.step += 1
            state = TrainerState(global_step=self.step, is_world_process_zero=True)
            self.guard.on_step_end(arguments, state, TrainerControl())
            if self.step % 2 == 0:
                for old in sorted(checkpoints)[:-1]:  # the trainer removes all but two before its callbacks hear of a checkpoint
                    del checkpoints[old]
                self.guard.on_save(arguments, state, TrainerControl())
                checkpoints[self.step] = self.guard.state()

    def resume(self, step: int, state: dict[str, Any]) -> None:
        self.step = step
        self.guard.load_state(state)

    def rolled_back(self) -> str:
        """The weights that a roll-back would take now."""
        self.guard._carry_out(ROLL_BACK, TrainerControl())
        found = self.guard.rolled_back_to
        return str(found) if found == "start" else (Path(str(found)) / "weights").read_text()


@pytest.mark.parametrize("killed_after", range(2, 9))
@pytest.mark.parametrize("newest", [True, False], ids=["newest", "the one before"])
def test_a_resumed_round_rolls_back_to_the_weights_that_its_state_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_after: int, newest: bool
) -> None:
    """Every look is better than the one before; after the kill none is, as where a device's sums differ."""
    checkpoints: dict[int, dict[str, Any]] = {}
    Round(tmp_path, monkeypatch, "first").go([0.1 * k for k in range(1, killed_after + 1)], checkpoints)
    step = sorted(checkpoints)[-1 if newest else 0]
    second = Round(tmp_path, monkeypatch, "second")
    second.resume(step, checkpoints.pop(step))
    second.go([0.0] * 3, checkpoints)
    assert second.rolled_back() == f"first {step}"


def test_a_new_best_after_the_kill_replaces_what_was_written_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints: dict[int, dict[str, Any]] = {}
    Round(tmp_path, monkeypatch, "first").go([0.1, 0.2, 0.3], checkpoints)
    second = Round(tmp_path, monkeypatch, "second")
    second.resume(2, checkpoints[2])
    second.go([0.4], checkpoints)
    assert second.rolled_back() == "second 3"


def test_a_round_whose_start_is_best_rolls_back_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only = Round(tmp_path, monkeypatch, "first")
    only.share = 0.9
    only.guard.on_train_begin(cast(TrainingArguments, None), TrainerState(global_step=0), TrainerControl())
    only.go([0.5, 0.6], {})
    assert only.rolled_back() == "start" and not (tmp_path / "best").exists()


def test_at_most_two_checkpoints_of_weights_are_kept_and_one_more_between_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only, checkpoints = Round(tmp_path, monkeypatch, "first"), dict[int, dict[str, Any]]()
    for k in range(1, 12):
        only.go([0.05 * k], checkpoints)
        assert len(list((tmp_path / "best").iterdir())) <= (2 if k % 2 == 0 else 3)


def test_a_policy_that_is_not_finite_is_not_asked_and_is_rolled_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sampler refuses such weights, and the run would end before the guard sees the step's loss."""

    def refuse(*_: Any) -> None:
        raise SamplerError("the model's logits are not finite")

    made = Round(tmp_path, monkeypatch, "first")
    monkeypatch.setattr(made.guard.rollouts, "sample", refuse)
    with pytest.raises(SamplerError):
        made.go([0.5], {})
    model = cast(torch.nn.Linear, made.guard.trainer.model)
    torch.nn.init.constant_(model.weight, math.nan)
    made.go([0.5], {})
    state = TrainerState(global_step=made.step, is_world_process_zero=True)
    made.guard.on_log(cast(TrainingArguments, None), state, TrainerControl(), {"loss": math.nan})
    assert made.guard.rolled_back_to == "start" and made.guard.stop_run
