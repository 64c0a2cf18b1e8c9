"""What training does after each step: it tells the progress bar what is left at its own pace, and trims the heap now and then."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from rl.training import trainer_parts
from rl.training.trainer_parts import StepCallback


def heard(tmp_path: Path, found: int, seconds_a_step: float, steps: int, total: int) -> list[tuple[int, int, float | None]]:
    """What a bar is told by a training that finds `found` steps and makes `steps` more."""
    said: list[tuple[int, int, float | None]] = []
    now = [100.0]

    def progress(samples: int, tokens: int = 0, seconds_left: float | None = None) -> None:
        said.append((samples, tokens, seconds_left))

    callback = StepCallback(lambda record: None, progress, dict, clock=lambda: now[0])
    arguments, control = TrainingArguments(output_dir=str(tmp_path), use_cpu=True), TrainerControl()
    state = TrainerState(global_step=found, max_steps=total)
    now[0] += 1000  # loading
    callback.on_train_begin(arguments, state, control)
    for _ in range(steps):
        now[0] += seconds_a_step
        state.global_step += 1
        callback.on_step_end(arguments, state, control)
    return said


def test_time_left_is_told_by_the_pace_of_the_steps(tmp_path: Path) -> None:
    assert heard(tmp_path, 0, 150.0, 3, 36) == [(1, 0, 35 * 150.0), (1, 0, 34 * 150.0), (1, 0, 33 * 150.0)]


def test_steps_that_a_resumed_training_finds_do_not_count_as_fast(tmp_path: Path) -> None:
    assert heard(tmp_path, 30, 150.0, 2, 36) == [(30, 0, math.inf), (1, 0, 5 * 150.0), (1, 0, 4 * 150.0)]


@pytest.mark.parametrize(("seconds_a_step", "trims"), [(3.0, 1), (4.0, 2), (11.0, 4)])
def test_the_heap_is_trimmed_after_steps_that_are_ten_seconds_apart(
    seconds_a_step: float, trims: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trimmed: list[None] = []
    monkeypatch.setattr(trainer_parts, "trim_heap", lambda: trimmed.append(None))
    heard(tmp_path, 0, seconds_a_step, 4, 4)
    assert len(trimmed) == trims


def test_the_heap_is_trimmed_between_the_micro_batches_of_a_long_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trimmed: list[None] = []
    monkeypatch.setattr(trainer_parts, "trim_heap", lambda: trimmed.append(None))
    now = [100.0]
    callback = StepCallback(lambda record: None, None, dict, clock=lambda: now[0])
    for _ in range(3):
        now[0] += 60.0
        callback.on_substep_end(TrainingArguments(output_dir=str(tmp_path), use_cpu=True), TrainerState(), TrainerControl())
    assert len(trimmed) == 3
