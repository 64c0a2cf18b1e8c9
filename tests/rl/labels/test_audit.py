"""References are for the audit and the oracle arm alone."""

from __future__ import annotations

import ast
import math
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from probing.records import TestSuite
from rewards.clusters.signatures import OutcomeMatrix
from rewards.mixed import MixedConfig
from rewards.records import Execution
from rewards.rules.consensus import ConsensusConfig, get_rule
from rl.config.training import GrpoConfig
from rl.labels.audit import Audit, OracleSignal, aurocs_against_references, oracle_signal
from rl.labels.bank import ProblemBank
from rl.labels.candidate_scores import score_candidates
from rl.round_files import BankProgram, Verdict
from rl.scoring.scores import BatchScores
from rl.scoring.scoring import RolloutScorer
from rl.scoring.tasks import ConsensusSignal, GrpoTask, RandomSignal, make_signal
from tests.rl.fakes import TableExecutor, completion, error, missing, value

ROOT = Path(__file__).parents[3]
RIGHT, POPULAR, HALF = (value(1), value(2)), (value(5), value(6)), (value(1), value(6))
TABLE = {"right": RIGHT, "popular": POPULAR, "half": HALF, "crash": (error(), error()), "lost": (missing(), missing())}
BANK = OutcomeMatrix.from_executions([Execution(POPULAR), Execution(RIGHT)], weights=[5, 2])
MIXED = MixedConfig(w_quality=0.0)
TASK = GrpoTask("p", "prompt", "f", ("[1]", "[2]"), BANK)
REFERENCES = {"p": Execution(RIGHT)}
AUDIT = Audit(REFERENCES)
TEXTS = ["right", "popular", "popular", "half"]
RULE = get_rule(ConsensusConfig(rule="soft", anchor="bank"))


def score(signal: object, audit: Audit | None = None, texts: list[str] = TEXTS) -> BatchScores:
    scorer = RolloutScorer([TASK], TableExecutor(TABLE), lambda t, *_: t, signal, MIXED, auditor=audit, max_missing=1.0)
    return scorer.score(["p"] * len(texts), [completion(t) for t in texts], len(texts), step=0)


def test_rewards_do_not_depend_on_the_audit_or_its_references() -> None:
    plain = score(ConsensusSignal(RULE))
    for references in (REFERENCES, {"p": Execution(POPULAR)}, {}):
        audited = score(ConsensusSignal(RULE), Audit(references))
        assert [s.reward for s in audited.scores] == [s.reward for s in plain.scores]


def test_nothing_of_a_label_free_run_has_room_for_a_reference() -> None:
    assert not any("reference" in field.name for field in fields(GrpoTask))
    signal = make_signal("label_free", RULE, 1)
    assert isinstance(signal, ConsensusSignal)
    assert vars(signal) == {"rule": RULE}
    assert isinstance(make_signal("random", RULE, 1), RandomSignal)


def test_modules_that_make_the_reward_know_no_reference() -> None:
    for name in (
        "rl/scoring/scoring.py",
        "rl/scoring/tasks.py",
        "rl/scoring/scores.py",
        "rewards/judge/judging.py",
        "rewards/judge/programs.py",
        "rewards/judge/ranking.py",
        "rewards/mixed.py",
    ):
        tree = ast.parse((ROOT / name).read_text(encoding="utf-8"))
        imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not imported & {"rl.labels.audit", "rl.labels.oracle", "rewards.clusters.references"}, name


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
    signal = oracle_signal(GrpoConfig(reward="oracle", oracle_score=mode), "oracle-1", REFERENCES)
    assert [s.reward.consensus for s in score(signal).scores] == expected


def test_oracle_leaves_problems_without_a_reference_and_lost_runs_out() -> None:
    assert all(s.reward.total is None for s in score(OracleSignal({}, "oracle")).scores)
    assert score(OracleSignal(REFERENCES, "oracle"), texts=["lost", "right", "popular", "popular"]).scores[0].reward.total is None


def test_oracle_needs_its_name() -> None:
    with pytest.raises(AssertionError, match="named 'mixed-1'"):
        oracle_signal(GrpoConfig(reward="oracle"), "mixed-1", REFERENCES)
    with pytest.raises(AssertionError, match="no reference"):
        oracle_signal(GrpoConfig(reward="oracle"), "oracle-1", {})


def test_a_group_s_own_majority_may_be_wrong_though_the_bank_is_right() -> None:
    bank = OutcomeMatrix.from_executions([Execution(RIGHT)], weights=[9])
    task = GrpoTask("p", "prompt", "f", ("[1]", "[2]"), bank)
    scorer = RolloutScorer([task], TableExecutor(TABLE), lambda t, *_: t, ConsensusSignal(RULE), MixedConfig(w_quality=0.0), auditor=AUDIT)
    metrics = scorer.score(["p"] * 4, [completion(t) for t in TEXTS], 4, step=0).metrics
    assert (metrics["audit/label_accuracy"], metrics["audit/majority_wrong"]) == (1.0, 1.0)


def test_scores_are_held_against_references_within_problems() -> None:
    programs = [BankProgram("p", text, (i,), Execution(TABLE[text])) for i, text in enumerate(["right", "popular", "lost"])]
    bank = ProblemBank(programs, TestSuite("p", ("[1]", "[2]"), ("model",) * 2))
    verdict = Verdict("p", (0, 1), (0, 1, -1, -1), (1, 1), -1, 0.0, 0.0, 0.0, 2, False)  # the fourth wrote no program
    right = [score_candidates([verdict], {"p": bank}, ConsensusConfig(), known).right["p"] for known in (REFERENCES, {})]
    assert right[0][[0, 1, 3]].tolist() == [1.0, 0.0, 0.0] and math.isnan(right[0][2]) and np.isnan(right[1]).all()
    rows = [
        {
            "probe": probe,
            "consensus": consensus,
            "mean_logprob": -1.0,
            "problem_id": problem,
            "correct": None if math.isnan(known) else bool(known),
        }
        for problem, right_n in zip("pq", right, strict=True)
        for (probe, consensus), known in zip([(0.9, 0.2), (0.4, 0.8), (0.99, 0.99), (0.5, 0.1)], right_n, strict=True)
    ]
    found = aurocs_against_references(rows)
    assert found == {"audit/probe_within": 1.0, "audit/consensus_within": 0.5, "audit/mean_logprob_within": 0.5}
    assert all(math.isnan(value) for value in aurocs_against_references(rows[4:]).values())
    unread = {"problem_id": "p", "probe": None, "consensus": 1.0, "mean_logprob": -9.0, "correct": True}
    assert aurocs_against_references([*rows, unread]) == found  # what the probe did not read is no test of the others beside it
    assert aurocs_against_references([{**row, "probe": None} for row in rows])["audit/consensus_within"] == 0.5
