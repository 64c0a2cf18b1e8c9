from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from transformers import AutoModelForCausalLM, AutoTokenizer

from rewards.records import Execution
from rl.config.training import GuardRule
from rl.scoring.tasks import GrpoTask
from rl.training.grpo import GrpoConfig, GrpoResult, GuardsConfig, schedule, train_grpo
from tests.rl.grpo_case import RecordingScorer, make_tasks
from tests.rl.tiny import PlainSampler, save_tiny_policy

pytestmark = pytest.mark.slow

CONFIG = GrpoConfig(steps=6, group_size=4, rollouts_per_step=16, max_new_tokens=6, learning_rate=2e-2, save_every=2, lr_schedule="linear")
QUIET = GuardsConfig(warmup=100, kl_every=0, held_out_every=2, held_out=None, majority=None)


class Kill(BaseException):
    """Ends a run where a real kill would: nothing catches it."""


def train(policy: Path, out: Path, config: GrpoConfig = CONFIG, records: list[dict[str, Any]] | None = None, **rest: Any) -> GrpoResult:
    tasks = make_tasks()
    scorer = rest.pop("scorer", None) or RecordingScorer(tasks, with_probe=False)
    log = rest.pop("log", None) or (records if records is not None else []).append
    return train_grpo(policy, out, tasks, scorer, config, rest.pop("seed", 1), log, make_sampler=PlainSampler, **rest)


def weights(path: Path) -> dict[str, torch.Tensor]:
    return AutoModelForCausalLM.from_pretrained(path).state_dict()


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_policy(tmp_path_factory.mktemp("policy"))


@pytest.fixture(scope="module")
def whole(policy: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[GrpoResult, list[dict[str, Any]]]:
    """An uninterrupted run with its log."""
    records: list[dict[str, Any]] = []
    return train(policy, tmp_path_factory.mktemp("whole"), records=records), records


def test_raises_what_it_rewards_and_leaves_an_ordinary_checkpoint(policy: Path, tmp_path: Path) -> None:
    steps: list[int] = []
    result = train(policy, tmp_path, CONFIG.model_copy(update={"steps": 20}), progress=lambda count, *_: steps.append(count))
    consensus = [record["consensus"] for record in result.history]
    assert sum(consensus[-3:]) / 3 > sum(consensus[:3]) / 3 + 0.2  # a bank that voted for `a` gets more of it
    assert sum(steps) == len(result.history) == 20 and result.stopped_because is None
    tokenizer = AutoTokenizer.from_pretrained(result.checkpoint)
    assert tokenizer.eos_token == "<end>"
    assert not same(weights(result.checkpoint), weights(policy))
    assert not (tmp_path / "trainer").exists()


def test_log_has_one_flat_json_record_a_step(whole: tuple[GrpoResult, list[dict[str, Any]]]) -> None:
    result, records = whole
    assert [record["step"] for record in records] == [1, 2, 3, 4, 5, 6]
    assert json.loads(json.dumps(records, allow_nan=False)) == records
    assert {"reward", "consensus", "entropy", "loss", "tokens", "seconds", "missing", "outcomes/value"} <= set(records[0])
    assert [r["consensus"] for r in result.history] == [r["consensus"] for r in records]


def test_same_seed_same_weights_other_seed_other(policy: Path, tmp_path: Path, whole: tuple[GrpoResult, Any]) -> None:
    again = train(policy, tmp_path / "again")
    other = train(policy, tmp_path / "other", seed=2)
    assert same(weights(again.checkpoint), weights(whole[0].checkpoint))
    assert not same(weights(other.checkpoint), weights(whole[0].checkpoint))


@pytest.mark.parametrize("step", [1, 3, 5])
def test_a_killed_run_goes_on_to_the_same_result(policy: Path, tmp_path: Path, whole: tuple[GrpoResult, Any], step: int) -> None:
    def log(record: dict[str, Any]) -> None:
        if record["step"] == step:
            raise Kill

    with pytest.raises(Kill):
        train(policy, tmp_path, log=log)
    assert not (tmp_path / "checkpoint").exists()
    if step == 5:  # the newest checkpoint was only half written: the one before it serves
        (tmp_path / "trainer" / "checkpoint-4" / "complete.json").unlink()
    steps: list[int] = []
    records: list[dict[str, Any]] = []
    result = train(policy, tmp_path, records=records, progress=lambda count, *_: steps.append(count))
    assert sum(steps) == 6
    assert records[0]["step"] == (1 if step == 1 else 3)  # the first after the checkpoint: `Monitor.training_log` relies on it
    assert same(weights(result.checkpoint), weights(whole[0].checkpoint))
    assert [r["consensus"] for r in result.history] == [r["consensus"] for r in whole[0].history]


def test_a_finished_run_is_not_made_again(policy: Path, tmp_path: Path, whole: tuple[GrpoResult, Any]) -> None:
    out = whole[0].checkpoint.parent
    assert train(policy, out, log=pytest.fail) == whole[0]


def test_microbatches_make_the_same_step(policy: Path, tmp_path: Path, whole: tuple[GrpoResult, list[dict[str, Any]]]) -> None:
    records: list[dict[str, Any]] = []
    train(policy, tmp_path, CONFIG.model_copy(update={"micro_batch": 4, "steps": 1}), records)
    assert records[0]["grad_norm"] == pytest.approx(whole[1][0]["grad_norm"], rel=1e-4)


def test_kl_from_the_start_is_0_at_first_and_grows(policy: Path, tmp_path: Path) -> None:
    records: list[dict[str, Any]] = []
    train(policy, tmp_path, records=records, guards=QUIET.model_copy(update={"kl_every": 1}))
    kl = [record["kl"] for record in records]
    assert kl[0] == pytest.approx(0, abs=1e-6) and kl[-1] > 1e-3


def test_a_guard_raises_kl_from_zero_and_lowers_the_learning_rate(policy: Path, tmp_path: Path) -> None:
    limit = GuardRule(limit=0.0, actions=("raise_kl", "lower_lr", "raise_kl"))
    guards = QUIET.model_copy(update={"warmup": 1, "cooldown": 1, "majority": limit, "kl_start": 0.5, "lr_factor": 0.1})
    records: list[dict[str, Any]] = []
    result = train(policy, tmp_path, CONFIG.model_copy(update={"steps": 4, "lr_schedule": "constant"}), records, guards=guards)
    assert [(a["step"], a["guard_action"]) for a in result.actions] == [(2, "raise_kl"), (3, "lower_lr"), (4, "raise_kl")]
    assert [r for r in records if "guard_action" in r] == result.actions
    steps = [r for r in records if "loss" in r]
    assert steps[1].get("kl") is None and steps[2]["kl"] > 0  # beta has been above 0 since the third step
    assert steps[3]["learning_rate"] == pytest.approx(steps[0]["learning_rate"] / 10)


def test_a_guard_ends_the_round_with_the_policy_it_has(policy: Path, tmp_path: Path) -> None:
    guards = QUIET.model_copy(update={"warmup": 1, "majority": GuardRule(limit=0.0, actions=("end_round",))})
    result = train(policy, tmp_path, guards=guards)
    assert len(result.history) == 2 and "majority" in str(result.stopped_because) and not result.stop_run
    assert not same(weights(result.checkpoint), weights(policy))


def held_out() -> list[GrpoTask]:
    return [GrpoTask("held", "ahb", "f", ("[1]", "[2]"), make_tasks()[0].bank)]


def test_a_fall_on_held_out_problems_rolls_back_to_the_best(policy: Path, tmp_path: Path) -> None:
    """Agreement is read from a script here: up at step 2, down at step 4."""

    class Scripted(RecordingScorer):
        looks = iter([[0.5], [0.9], [0.2]])

        def winner_shares(self, tasks: Any, completions: Any) -> Any:
            return next(self.looks)

    kept: dict[str, torch.Tensor] = {}

    def log(record: dict[str, Any]) -> None:
        if record["step"] == 3:
            kept.update(weights(tmp_path / "best" / "step_2"))

    rule = GuardRule(limit=0.3, actions=("roll_back",))
    guards = QUIET.model_copy(update={"held_out": rule})
    result = train(policy, tmp_path, log=log, guards=guards, held_out=held_out(), scorer=Scripted(make_tasks(), with_probe=False))
    assert "0.200, 0.700 below its best" in str(result.stopped_because) and len(result.history) == 4
    assert same(weights(result.checkpoint), kept) and not same(kept, weights(policy))
    assert [r.get("held_out_agreement") for r in result.history] == pytest.approx([0.5, 0.9, None, 0.2])


def test_a_roll_back_is_not_forgotten_by_a_kill_before_the_result(policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The step at which the guard acts is one at which a checkpoint would be saved."""

    class Falling(RecordingScorer):
        def winner_shares(self, tasks: Any, completions: Any) -> Any:
            return [0.9 if not self.rewards else 0.8 if len(self.rewards) == 2 else 0.2]

    def again(rewards: int) -> GrpoResult:
        scorer = Falling(make_tasks(), with_probe=False)
        scorer.rewards = [[]] * rewards  # steps that were made before
        guards = QUIET.model_copy(update={"held_out": GuardRule(limit=0.3, actions=("roll_back",))})
        return train(policy, tmp_path, guards=guards, held_out=held_out(), scorer=scorer)

    def die(*_: Any) -> None:
        raise Kill

    with monkeypatch.context() as patch:
        patch.setattr("rl.training.grpo._finish", die)
        with pytest.raises(Kill):
            again(0)
    assert (tmp_path / "trainer" / "checkpoint-2").exists() and not (tmp_path / "trainer" / "checkpoint-4").exists()
    result = again(2)
    assert "0.200, 0.700 below its best" in str(result.stopped_because) and len(result.history) == 4
    assert same(weights(result.checkpoint), weights(policy))


def test_weights_that_are_no_longer_finite_stop_the_run_with_the_round_s_start(policy: Path, tmp_path: Path) -> None:
    result = train(policy, tmp_path, CONFIG.model_copy(update={"learning_rate": 1e38}))
    assert result.stop_run and "cannot be trusted" in str(result.stopped_because)
    assert same(weights(result.checkpoint), weights(policy))


def test_a_lost_rollout_moves_nothing(policy: Path, tmp_path: Path) -> None:
    """With every rollout lost but allowed, the policy stays as it was."""

    class Lost(RecordingScorer):
        def _execute(self, tasks: Any, codes: Any) -> list[Execution]:
            from tests.rl.fakes import missing

            return [Execution((missing(), missing())) for _ in codes]

    scorer = Lost(make_tasks(), with_probe=False)
    scorer.max_missing = 1.0
    result = train(policy, tmp_path, CONFIG.model_copy(update={"steps": 2}), scorer=scorer)
    assert result.history[0]["missing"] == 16 and result.history[0]["reward"] is None
    assert same(weights(result.checkpoint), weights(policy))


def test_schedule_meets_every_problem_about_equally_often() -> None:
    order = schedule([f"p{i}" for i in range(7)], steps=5, per_step=4, seed=3)
    assert len(order) == 20 and {order.count(f"p{i}") for i in range(7)} <= {2, 3}
    assert order == schedule([f"p{i}" for i in range(7)], 5, 4, 3) != schedule([f"p{i}" for i in range(7)], 5, 4, 4)


def test_group_size_that_does_not_divide_the_batch_says_both_and_the_remedy() -> None:
    with pytest.raises(ValidationError, match=r"group_size \(6\) does not divide rollouts_per_step \(16\).*say 12"):
        GrpoConfig(group_size=6, rollouts_per_step=16)


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(ValidationError):
        GrpoConfig(learning_rat=1e-5)


def test_no_problem_to_train_on_is_said(policy: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no problem to train on"):
        train_grpo(policy, tmp_path, [], RecordingScorer([]), CONFIG, 1, print)
