"""Rollouts of clusters that are not clearly beaten (`reward.contest`): neither rewarded nor punished, and no failure of ours."""

from __future__ import annotations

import pytest

from rewards.clusters.signatures import OutcomeMatrix
from rewards.mixed import MixedConfig
from rewards.records import Execution
from rewards.rules.consensus import ConsensusConfig
from rl.config.schema import load_config
from rl.labels.audit import Audit
from rl.loop.update import mixed_reward
from tests.rl.fakes import value
from tests.rl.scoring.test_scoring import BAD, GOOD, OTHER, Probe, make, score, task

BANK = OutcomeMatrix.from_executions([Execution(GOOD), Execution(BAD), Execution(OTHER)], weights=[6, 3, 2])
TEXTS = ["good", "bad", "other", "prose", "crash", "lost"]
CONTEST = MixedConfig(w_quality=0.5, contest=0.5)


def test_rollouts_of_a_runner_up_are_left_out_and_nobody_else_is() -> None:
    batch = score(make([task(bank=BANK)], mixed=CONTEST), TEXTS)
    assert [s.reward.contested for s in batch.scores] == [False, True, False, False, False, False]
    assert batch.scores[1].reward.total is None and batch.scores[0].reward.total > 0 > batch.scores[2].reward.total


def test_the_rewards_of_the_others_are_those_of_a_group_without_the_runner_up() -> None:
    batch, alone = (score(make([task(bank=BANK)], mixed=CONTEST), texts) for texts in (TEXTS, [t for t in TEXTS if t != "bad"]))
    assert [s.reward.total for s in batch.scores if not s.reward.contested] == [s.reward.total for s in alone.scores]


def test_they_are_counted_apart_from_what_is_missing_and_stop_no_run() -> None:
    batch = score(make([task(bank=BANK)], mixed=CONTEST, max_missing=0.0), ["good", "bad", "bad", "other"])
    assert (batch.metrics["contested"], batch.metrics["missing"]) == (2.0, 0.0)


def test_at_0_nothing_is_left_out_and_no_figure_speaks_of_it() -> None:
    plain, off = (
        score(make([task(bank=BANK)], mixed=mixed), TEXTS)
        for mixed in (MixedConfig(w_quality=0.5), MixedConfig(w_quality=0.5, contest=0.0))
    )
    assert [s.reward for s in plain.scores] == [s.reward for s in off.scores]
    assert not any(s.reward.contested for s in off.scores) and "contested" not in off.metrics


def test_the_probe_is_not_asked_where_only_the_runner_up_differs() -> None:
    probe = Probe({"good": 0.9, "bad": 0.5, "same": 0.1})
    batch = score(make([task(bank=BANK)], mixed=CONTEST, quality=probe), ["good", "bad", "same", "good"])
    assert probe.asked == [] and [s.reward.total for s in batch.scores] == [0, None, 0, 0]


def test_a_bank_without_a_winner_leaves_nothing_out() -> None:
    nobody = OutcomeMatrix.from_executions([Execution(GOOD), Execution(BAD)])
    batch = score(make([task(bank=nobody)], mixed=CONTEST, consensus=ConsensusConfig(tau=2)), ["good", "bad"])
    assert not any(s.reward.contested for s in batch.scores)


def test_an_audit_says_how_many_of_them_are_right() -> None:
    audit = Audit({"p": Execution(BAD)})
    scorer = make([task(bank=BANK)], mixed=CONTEST, auditor=audit)
    assert score(scorer, ["good", "bad", "bad", "other"]).metrics["audit/contested_accuracy"] == 1.0
    assert "audit/contested_accuracy" not in score(scorer, ["good", "other"]).metrics


def test_errors_at_the_same_inputs_belong_to_the_runner_up_only_with_its_values() -> None:
    assert value(1) == GOOD[0] == BAD[0]  # they agree on the first input, and differ on the second
    batch = score(make([task(bank=BANK)], mixed=CONTEST), ["crash", "good"])
    assert not batch.scores[0].reward.contested


@pytest.mark.parametrize(("reward", "contest"), [("label_free", 0.5), ("random", 0.0), ("oracle", 0.0)])
def test_arms_that_the_vote_does_not_reward_leave_nothing_out(reward: str, contest: float) -> None:
    config = load_config(None, ["--reward.contest", "0.5", "--grpo.reward", reward, "--run_dir", "oracle", "--oracle", "a:b"])
    assert mixed_reward(config).contest == contest
