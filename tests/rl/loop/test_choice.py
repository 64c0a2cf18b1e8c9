"""The final checkpoint: chosen by agreement on self-made problems, whatever the evaluation says."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from rl.config.schema import Config
from rl.config.training import ChoiceConfig, GuardsConfig
from rl.loop.choice import (
    borne,
    choose_checkpoint,
    choose_round,
    fell_back,
    point_to_best,
    start_policy,
    started_from,
)
from rl.loop.held_out import difference_error, held_out_agreement
from rl.loop.round import RoundError


def run_with(folder: Path, agreement: list[float | None], scores: list[float]) -> SimpleNamespace:
    """A run's folder with what every round left: its agreement, and an evaluation."""
    for number, (agreed, score) in enumerate(zip(agreement, scores, strict=True)):
        path = folder / f"round_{number:02d}"
        path.mkdir(parents=True, exist_ok=True)
        (path / "held_out.json").write_text(json.dumps({"problems": 3, "agreement": agreed}))
        (path / "metrics.json").write_text(json.dumps({"round": number, "pass@1": score}))
    return SimpleNamespace(folder=folder)


def test_the_round_that_agrees_most_is_chosen_and_the_reason_says_so() -> None:
    choice = choose_round({0: 0.40, 1: 0.55, 2: 0.61, 3: 0.50}, last=3)
    assert choice.round == 2 and "round 2" in choice.reason and "61.0%" in choice.reason and "the last round's 50.0%" in choice.reason


def test_the_reason_says_on_how_many_problems_it_rests(tmp_path: Path) -> None:
    choice = choose_checkpoint(run_with(tmp_path, [0.4, 0.6], [0.1, 0.2]), 1)
    assert choice.problems == 3 and "on the 3 problems kept apart" in choice.reason


def test_the_evaluation_has_no_part_in_it(tmp_path: Path) -> None:
    agreement = [0.4, 0.6, 0.5]
    rising, falling = (run_with(tmp_path / str(i), agreement, scores) for i, scores in enumerate(([0.1, 0.2, 0.9], [0.9, 0.2, 0.1])))
    assert choose_checkpoint(rising, 2) == choose_checkpoint(falling, 2)
    assert choose_checkpoint(rising, 2).round == 1


def test_a_run_that_only_got_worse_ends_with_its_base() -> None:
    choice = choose_round({0: 0.7, 1: 0.6}, last=1)
    assert choice.round == 0 and "the base" in choice.reason


def test_of_equals_the_later_is_taken() -> None:
    assert choose_round({0: 0.5, 1: 0.6, 2: 0.6}, last=2).round == 2


def test_a_difference_within_its_standard_error_sends_no_training_away() -> None:
    errors = {(1, 2): 0.01, (1, 3): 0.05, (1, 4): 0.02}
    choice = choose_round(
        {0: 0.4, 1: 0.60, 2: 0.55, 3: 0.57, 4: 0.5}, last=4, standard_error=lambda best, other: errors.get((best, other), 0.0)
    )
    assert choice.round == 3 and "57.0%" in choice.reason and "round 1's" in choice.reason and "60.0%" in choice.reason


def test_an_earlier_round_is_not_preferred_to_the_best_for_being_close() -> None:
    assert choose_round({0: 0.59, 1: 0.60}, last=1, standard_error=lambda best, other: 1.0).round == 1


def test_the_standard_error_is_that_of_a_weighted_mean_of_paired_differences() -> None:
    one, other = {"a": 1.0, "b": 0.5, "c": 0.25, "d": 1.0, "e": None}, {"a": 0.5, "b": 0.5, "c": 0.5, "d": 0.0, "e": 0.1}
    even = difference_error(one, other, dict.fromkeys("abcde", 0.7))
    gaps = np.array([0.5, 0.0, -0.25, 1.0])
    assert even == pytest.approx(gaps.std(ddof=1) / 2)
    assert difference_error(one, other, {"a": 0.5, "b": 0.5, "c": 0.5, "d": 0.0, "e": 0.5}) == pytest.approx(gaps[:3].std(ddof=1) / 3**0.5)
    assert difference_error({"a": 1.0}, {"a": 0.5}, {"a": 0.7}) == 0.0


def test_the_problems_of_the_rounds_decide_what_is_within_the_error(tmp_path: Path) -> None:
    run = run_with(tmp_path, [0.6, 0.5], [0.1, 0.2])
    noisy, steady = ({"a": 1.0, "b": 0.0}, {"a": 0.0, "b": 1.0}), ({"a": 0.6, "b": 0.6}, {"a": 0.5, "b": 0.5})
    for shares, chosen in ((noisy, 1), (steady, 0)):
        for number, (agreement, found) in enumerate(zip((0.6, 0.5), shares, strict=True)):
            record = {"problems": 2, "agreement": agreement, "shares": found, "margins": {"a": 0.5, "b": 0.5}}
            (tmp_path / f"round_{number:02d}" / "held_out.json").write_text(json.dumps(record))
        assert choose_checkpoint(run, 1).round == chosen


@pytest.mark.parametrize("agreement", [{}, {0: None, 1: None}])
def test_without_a_measurement_the_last_round_is_taken_and_said_to_be(agreement: dict[int, float | None]) -> None:
    choice = choose_round(agreement, last=4)
    assert choice.round == 4 and "last round" in choice.reason


def test_clear_votes_count_for_more_and_unknown_ones_for_nothing() -> None:
    assert held_out_agreement([1.0, 0.0, None], [0.9, 0.3, 0.5]) == pytest.approx(0.75)
    assert held_out_agreement([None, 0.5], [0.4, 0.0]) is None


def test_best_leads_to_the_checkpoint_and_can_be_moved(tmp_path: Path) -> None:
    run = SimpleNamespace(folder=tmp_path)
    for number in (1, 2):
        checkpoint = tmp_path / f"round_{number:02d}" / "grpo" / "checkpoint"
        checkpoint.mkdir(parents=True)
        (checkpoint / "config.json").write_text(str(number))
        point_to_best(run, checkpoint)
        assert (tmp_path / "best" / "config.json").read_text() == str(number)
    assert not (tmp_path / "best").readlink().is_absolute()  # the run's folder may be moved
    point_to_best(run, Path("Qwen/Qwen2.5-Coder-7B-Instruct"))  # a model of the Hub was the best: there is no folder
    assert (tmp_path / "best" / "config.json").read_text() == "2"


def test_a_folder_in_the_place_of_the_link_is_kept_beside_it(tmp_path: Path) -> None:
    """As after a copy that followed links."""
    checkpoint = tmp_path / "round_01" / "grpo" / "checkpoint"
    checkpoint.mkdir(parents=True)
    (tmp_path / "best").mkdir()
    (tmp_path / "best" / "weights").write_text("copied")
    point_to_best(SimpleNamespace(folder=tmp_path), checkpoint)
    assert (tmp_path / "best").resolve() == checkpoint and (tmp_path / "best.copy-1" / "weights").read_text() == "copied"


@pytest.mark.parametrize(
    ("agreement", "to"), [([0.5, 0.6, 0.54], None), ([0.5, 0.6, 0.56], None), ([0.5, 0.6, 0.54, 0.52], 1), ([0.5, 0.4], 0)]
)
def test_a_round_that_fell_beyond_the_limit_is_not_started_from(agreement: list[float | None], to: int | None) -> None:
    found = fell_back(dict(enumerate(agreement)), last=len(agreement) - 1, limit=0.07)
    assert (found and found.to) == to
    if found is not None:
        assert f"round {found.to}" in found.cause and f"round {len(agreement)} starts from there" in found.cause


def test_what_was_not_measured_sends_nobody_back() -> None:
    assert fell_back({0: 0.6, 1: None}, last=1, limit=0.05) is None
    assert fell_back({0: None, 1: 0.1}, last=1, limit=0.05) is None
    assert fell_back({0: 0.9, 1: 0.1}, last=1, limit=None) is None


def run_to_continue(
    folder: Path, agreement: list[float | None], guards: GuardsConfig, consolidation: str = "grpo", reward: str = "label_free"
) -> SimpleNamespace:
    run_with(folder, agreement, [0.5] * len(agreement))
    for number in range(1, len(agreement)):
        (folder / f"round_{number:02d}" / "training.json").write_text(json.dumps({"checkpoint": f"round_{number:02d}/grpo/checkpoint"}))
    config = SimpleNamespace(guards=guards, consolidation=consolidation, grpo=SimpleNamespace(reward=reward))
    return SimpleNamespace(folder=folder, model="the-base", config=config)


def test_rounds_start_from_the_last_that_held(tmp_path: Path) -> None:
    run = run_to_continue(tmp_path, [0.4, 0.6, 0.58, 0.3], GuardsConfig(between_rounds=0.05))
    assert [started_from(run, index) for index in (1, 2, 3, 4)] == [0, 1, 2, 1]
    assert start_policy(run, 3) == str(tmp_path / "round_02" / "grpo" / "checkpoint")


def test_a_first_round_that_did_harm_sends_the_second_back_to_the_base(tmp_path: Path) -> None:
    assert start_policy(run_to_continue(tmp_path, [0.6, 0.3], GuardsConfig()), 2) == "the-base"


@pytest.mark.parametrize("guards", [GuardsConfig(between_rounds=None), GuardsConfig(enabled=False)])
def test_without_the_guard_every_round_starts_from_the_last(tmp_path: Path, guards: GuardsConfig) -> None:
    assert started_from(run_to_continue(tmp_path, [0.6, 0.3], guards), 2) == 1


def test_a_damaged_checkpoint_is_not_gone_back_to(tmp_path: Path) -> None:
    run = run_to_continue(tmp_path, [0.4, 0.6, 0.3], GuardsConfig())
    with pytest.raises(RoundError, match=r"round 1's checkpoint, but .* Delete round 1 and all after it"):
        start_policy(run, 3)


@pytest.mark.parametrize(
    ("consolidation", "reward", "number"), [("sft+grpo", "label_free", 0), ("sft", "label_free", 1), ("grpo", "oracle", 1)]
)
def test_it_watches_grpo_without_labels_alone(tmp_path: Path, consolidation: str, reward: str, number: int) -> None:
    run = run_to_continue(tmp_path, [0.6, 0.3], GuardsConfig(), consolidation, reward)
    assert started_from(run, 2) == number


@pytest.mark.parametrize(("error", "to"), [(0.05, 1), (0.2, None)])
def test_a_fall_within_its_standard_error_sends_nobody_back(error: float, to: int | None) -> None:
    found = fell_back({0: 0.5, 1: 0.6, 2: 0.48}, last=2, limit=0.05, error={1: error}.__getitem__)
    assert (found and found.to) == to


@pytest.mark.parametrize(
    ("shares", "start"), [(({"a": 1.0, "b": 0.0}, {"a": 0.0, "b": 1.0}), 1), (({"a": 0.6, "b": 0.6}, {"a": 0.5, "b": 0.5}), 0)]
)
def test_the_next_round_goes_back_only_for_more_than_noise(tmp_path: Path, shares: tuple[dict[str, float], ...], start: int) -> None:
    run = run_with(tmp_path, [0.6, 0.5], [0.1, 0.2])
    for number, (agreement, found) in enumerate(zip((0.6, 0.5), shares, strict=True)):
        record = {"problems": 2, "agreement": agreement, "shares": found, "margins": {"a": 0.5, "b": 0.5}}
        (tmp_path / f"round_{number:02d}" / "held_out.json").write_text(json.dumps(record))
    run.config = Config(rounds=3)
    assert started_from(run, 2) == start
    said = borne(run, 1, json.loads((tmp_path / "round_01" / "held_out.json").read_text()))
    assert ("0.100 below that of the base (limit 0.050), which is within one standard error" in said) is (start == 1)


def test_a_checkpoint_answers_greedily_once_where_that_is_asked_for() -> None:
    assert ChoiceConfig(temperature=0, samples=16).draws == 1
    assert ChoiceConfig(temperature=0.7, samples=16).draws == ChoiceConfig(samples=16).draws == 16
