"""References are for the audit and the oracle arm alone."""

from __future__ import annotations

from dataclasses import fields

import pytest

from rewards.consensus import ConsensusConfig, get_rule
from rewards.mixed import MixedConfig
from rewards.records import Execution
from rewards.signatures import OutcomeMatrix
from rl.audit import Audit, OracleSignal, make_signal
from rl.scoring import BatchScores, ConsensusSignal, GrpoTask, RandomSignal, RolloutScorer
from rl.training_config import GrpoConfig
from tests.rl.fakes import TableExecutor, completion, error, missing, value

RIGHT, POPULAR, HALF = (value(1), value(2)), (value(5), value(6)), (value(1), value(6))
TABLE = {"right": RIGHT, "popular": POPULAR, "half": HALF, "crash": (error(), error()), "lost": (missing(), missing())}
BANK = OutcomeMatrix.from_executions([Execution(POPULAR), Execution(RIGHT)], weights=[5, 2])
TASK = GrpoTask("p", "prompt", "f", ("[1]", "[2]"), BANK)
REFERENCES = {"p": Execution(RIGHT)}
TEXTS = ["right", "popular", "popular", "half"]
RULE = get_rule(ConsensusConfig(rule="soft", anchor="bank"))


def score(signal: object, audit: Audit | None = None, texts: list[str] = TEXTS) -> BatchScores:
    scorer = RolloutScorer([TASK], TableExecutor(TABLE), lambda t: t, signal, MixedConfig(w_quality=0.0), auditor=audit, max_missing=1.0)
    return scorer.score(["p"] * len(texts), [completion(t) for t in texts], len(texts), step=0)


def test_rewards_do_not_depend_on_the_audit_or_its_references() -> None:
    plain = score(ConsensusSignal(RULE))
    for references in (REFERENCES, {"p": Execution(POPULAR)}, {}):
        audited = score(ConsensusSignal(RULE), Audit(references))
        assert [s.reward for s in audited.scores] == [s.reward for s in plain.scores]


def test_nothing_of_a_label_free_run_has_room_for_a_reference() -> None:
    assert not any("reference" in field.name for field in fields(GrpoTask))
    signal = make_signal(GrpoConfig(), RULE, 1, "plain", REFERENCES)
    assert isinstance(signal, ConsensusSignal)
    assert vars(signal) == {"rule": RULE}
    assert isinstance(make_signal(GrpoConfig(reward="random"), RULE, 1, "plain", REFERENCES), RandomSignal)


def test_audit_tells_a_wrong_majority() -> None:
    metrics = score(ConsensusSignal(RULE), Audit(REFERENCES)).metrics
    assert metrics["audit/accuracy"] == 0.25
    assert metrics["audit/label_accuracy"] == 0.0  # the bank's winner is the popular wrong one
    assert metrics["audit/reward_auroc_within"] == 0.0  # the right one is ranked last
    assert metrics["audit/reward_accuracy"] < 0.5


def test_audit_counts_no_missing_rollout() -> None:
    metrics = score(ConsensusSignal(RULE), Audit(REFERENCES), ["right", "lost", "popular", "lost"]).metrics
    assert metrics["audit/accuracy"] == 0.5


@pytest.mark.parametrize(("mode", "expected"), [("exact", [1, 0, 0, 0]), ("share", [1, 0, 0, 0.5])])
def test_oracle_rewards_what_is_right(mode: str, expected: list[float]) -> None:
    signal = make_signal(GrpoConfig(reward="oracle", oracle_score=mode), RULE, 1, "oracle-1", REFERENCES)
    assert [s.reward.consensus for s in score(signal).scores] == expected


def test_oracle_leaves_problems_without_a_reference_and_lost_runs_out() -> None:
    assert all(s.reward.total is None for s in score(OracleSignal({}, "oracle")).scores)
    assert score(OracleSignal(REFERENCES, "oracle"), texts=["lost", "right", "popular", "popular"]).scores[0].reward.total is None


def test_oracle_needs_its_name() -> None:
    with pytest.raises(ValueError, match="named 'mixed-1'"):
        make_signal(GrpoConfig(reward="oracle"), RULE, 1, "mixed-1", REFERENCES)
