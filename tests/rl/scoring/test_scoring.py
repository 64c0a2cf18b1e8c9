from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from probing.probe.config import ProbeConfig
from probing.probe.drift import DriftAudit
from probing.probe.quality import ProbeReport
from probing.reading import read_voter
from probing.samplers.base import Completion
from rewards.clusters.signatures import OutcomeMatrix
from rewards.mixed import MixedConfig
from rewards.records import Execution, Outcome
from rewards.rules.consensus import ConsensusConfig, get_rule
from rl.scoring.scores import BatchScores
from rl.scoring.scoring import RolloutScorer, ScoringError
from rl.scoring.tasks import ConsensusSignal, GrpoTask, RandomSignal
from tests.rl.fakes import TableExecutor, completion, error, missing, value

GOOD, BAD, OTHER = (value(1), value(2)), (value(1), value(9)), (value(7), value(8))
TABLE: dict[str, tuple[Outcome, ...]] = {
    "good": GOOD,
    "same": GOOD,
    "bad": BAD,
    "other": OTHER,
    "crash": (error(), error()),
    "lost": (missing(), missing()),
}
BANK = OutcomeMatrix.from_executions([Execution(GOOD), Execution(BAD)], weights=[3, 1])


def task(id: str = "p", bank: OutcomeMatrix | None = BANK, **rest: object) -> GrpoTask:
    return GrpoTask(id, f"prompt {id}", "f", ("[1]", "[2]"), bank, **rest)


class Probe:
    """Takes its evidence from a table of texts; remembers what it was asked."""

    def __init__(self, table: dict[str, float | None], gate: float = 1.0) -> None:
        self.table, self.gate = table, gate
        self.asked: list[str] = []

    def evidence(self, prompts: Sequence[str], completions: Sequence[Completion], codes: Sequence[str | None]) -> list[float | None]:
        self.asked += [c.text for c in completions]
        return [self.table[c.text] for c in completions]

    def probability(self, centred_evidence: np.ndarray) -> np.ndarray:
        return 0.5 + centred_evidence


def read(text: str, entry: str, given: str, finished: bool) -> str | None:
    return None if text == "prose" else text


def make(tasks: Sequence[GrpoTask], anchor: str = "bank", rule: str = "soft", **rest: object) -> RolloutScorer:
    signal = rest.pop("signal", None) or ConsensusSignal(get_rule(ConsensusConfig(rule=rule, anchor=anchor)))
    options = {"mixed": MixedConfig(w_quality=0.5), "max_missing": 1.0} | rest
    return RolloutScorer(tasks, TableExecutor(TABLE), read, signal, **options)


def score(scorer: RolloutScorer, texts: Sequence[str], ids: Sequence[str] | None = None, group_size: int | None = None) -> BatchScores:
    return scorer.score(ids or ["p"] * len(texts), [completion(t) for t in texts], group_size or len(texts), step=0)


def test_bank_anchor_asks_the_bank_and_not_the_group() -> None:
    batch = score(make([task()]), ["bad", "bad", "bad", "good"])
    assert [s.reward.consensus for s in batch.scores] == pytest.approx([0.625, 0.625, 0.625, 0.875])
    assert batch.scores[3].reward.total > 0 > batch.scores[0].reward.total


def test_group_anchor_asks_the_group_and_leaves_a_samples_own_vote_out() -> None:
    batch = score(make([task(bank=None)], anchor="group"), ["bad", "bad", "bad", "good"])
    assert [s.reward.consensus for s in batch.scores] == pytest.approx([5 / 6, 5 / 6, 5 / 6, 0.5])


def test_both_pools_bank_and_group() -> None:
    batch = score(make([task()], anchor="both"), ["bad", "good"])
    # the others of good: 3 good and 1 bad of the bank, 1 bad of the group
    assert batch.scores[1].reward.consensus == pytest.approx((1 + 3 / 5) / 2)


def test_identical_programs_run_once_and_known_ones_never() -> None:
    scorer = make([task(known={"good": Execution(GOOD)})])
    score(scorer, ["good", "bad", "bad", "(bad)"])  # the parentheses are gone in the normal form
    assert [p.code for p in scorer.executor.programs] == ["bad"]
    score(scorer, ["bad", "other", "good", "other"])
    assert [p.code for p in scorer.executor.programs] == ["bad", "other"]


def test_the_same_text_runs_again_for_another_problem() -> None:
    scorer = make([task("p"), task("q")])
    score(scorer, ["bad", "good", "bad", "good"], ["p", "p", "q", "q"], 2)
    assert len(scorer.executor.programs) == 4


def test_no_program_is_wrong_and_not_missing() -> None:
    batch = score(make([task()]), ["prose", "good", "crash", "good"])
    prose, crash = batch.scores[0], batch.scores[2]
    assert prose.reward.consensus == crash.reward.consensus == 0.0
    assert prose.reward.total is not None
    assert (batch.metrics["no_program"], batch.metrics["missing"]) == (1.0, 0.0)
    assert (batch.metrics["outcomes/refused"], batch.metrics["outcomes/exception"], batch.metrics["outcomes/value"]) == (2.0, 2.0, 4.0)


def test_a_rollout_that_is_cut_off_is_wrong_and_not_missing() -> None:
    """The reader is told which answers did not come to their end; what they end in has no vote in the group."""
    executor = TableExecutor({"def f():\n    return 1": GOOD, "def f():\n    xs.sort()": BAD})
    signal = ConsensusSignal(get_rule(ConsensusConfig(anchor="group")))
    scorer = RolloutScorer([task(bank=None)], executor, read_voter, signal, MixedConfig(w_quality=0.0))
    cut, whole = Completion("def f():\n    xs.sort()\n", (1,), (0.0,), False), completion("def f():\n    return 1")
    batch = scorer.score(["p"] * 5, [cut, cut, cut, whole, whole], 5, step=0)
    assert [s.reward.consensus for s in batch.scores] == pytest.approx([0.0, 0.0, 0.0, 1.0, 1.0])
    assert (batch.metrics["no_program"], batch.metrics["missing"]) == (3.0, 0.0)


def test_missing_is_none_counted_and_leaves_the_others_as_they_were() -> None:
    batch = score(make([task()]), ["good", "bad", "lost", "lost"])
    alone = score(make([task()]), ["good", "bad"])
    assert [s.reward.total for s in batch.scores[:2]] == pytest.approx([s.reward.total for s in alone.scores])
    assert [s.reward.total for s in batch.scores[2:]] == [None, None]
    assert (batch.metrics["missing"], batch.metrics["outcomes/infrastructure"]) == (2.0, 4.0)


def test_a_lost_program_is_tried_again_next_time() -> None:
    scorer = make([task()])
    score(scorer, ["lost", "good"])
    scorer.executor.table = TABLE | {"lost": GOOD}
    assert score(scorer, ["lost", "bad"]).scores[0].reward.total > 0


def test_too_many_missing_stop_the_run() -> None:
    with pytest.raises(ScoringError, match="50% of 4 rollouts"):
        score(make([task()], max_missing=0.4), ["lost", "lost", "good", "bad"])


def test_probe_speaks_within_groups_by_its_gate_and_not_in_flat_ones() -> None:
    probe = Probe({"good": 0.9, "same": 0.1, "bad": 0.5, "other": 0.2}, gate=0.5)
    scorer = make([task("p"), task("q")], quality=probe, mixed=MixedConfig(w_consensus=1.0, w_quality=0.8))
    batch = score(scorer, ["good", "same", "bad", "other"], ["p", "p", "q", "q"], 2)
    flat, lively = batch.scores[:2], batch.scores[2:]
    assert [s.reward.total for s in flat] == [0.0, 0.0]  # unanimous: no gradient from the probe alone
    for s in lively:
        assert s.reward.total == pytest.approx(s.reward.consensus_normed + 0.8 * 0.5 * s.reward.probe_normed)
    assert batch.metrics["probe_concordance"] == 1.0


def test_the_probe_is_asked_about_groups_with_a_contrast_only_and_its_score_is_centred_in_them() -> None:
    probe = Probe({"good": 2.3, "same": None, "bad": 2.1})
    batch = score(make([task("p"), task("q")], quality=probe), ["good", "same", "good", "bad"], ["p", "p", "q", "q"], 2)
    assert probe.asked == ["good", "bad"]
    assert [s.reward.probe for s in batch.scores] == [None, None, pytest.approx(0.6), pytest.approx(0.4)]


def test_a_muted_probe_says_nothing_but_is_still_logged() -> None:
    scorer = make([task()], quality=Probe({"good": 0.1, "bad": 0.9}))
    scorer.mute_probe()
    batch = score(scorer, ["good", "bad"])
    assert batch.scores[0].reward.total == batch.scores[0].reward.consensus_normed
    assert (batch.metrics["quality_gate"], batch.metrics["quality"], batch.metrics["probe_concordance"]) == (0.0, 0.5, 0.0)


class Falling(Probe):
    """Right at first, wrong from the second batch on."""

    def __init__(self) -> None:
        super().__init__({"good": 0.9, "bad": 0.1}, gate=0.8)

    def evidence(self, prompts: Sequence[str], completions: Sequence[Completion], codes: Sequence[str | None]) -> list[float | None]:
        answers = super().evidence(prompts, completions, codes)
        self.table = {"good": 0.1, "bad": 0.9}
        return answers


def drift(groups: int = 4) -> DriftAudit:
    report = ProbeReport(available=True, earned_weight=0.8, within={"controlled": 0.76}, null_mean=0.5, null_sd=0.01)
    return DriftAudit(report, ProbeConfig(floor=0.6, full=0.8, drift_groups=groups))


def test_the_probe_s_say_falls_with_its_auroc_on_the_rollouts_from_the_next_batch_on() -> None:
    scorer = make([task()], quality=Falling(), drift=drift())
    batches = [score(scorer, ["good", "bad"]) for _ in range(5)]
    gates = [batch.metrics["quality_gate"] for batch in batches]
    assert gates[:2] == pytest.approx([0.8, 0.8]) and 0 < gates[2] < 0.8 and gates[3:] == [0, 0]
    assert batches[1].metrics["probe_auroc_drifting"] == pytest.approx((1 + 0 + 2 * 0.76) / 4)
    for batch, gate in zip(batches, gates, strict=True):  # what is mixed is what is logged
        first = batch.scores[0].reward
        assert first.total == pytest.approx(first.consensus_normed + 0.5 * gate * first.probe_normed)


def test_drift_leaves_missing_rollouts_and_problems_without_a_winner_out() -> None:
    no_winner = replace(task("q"), bank=OutcomeMatrix.from_executions([Execution(GOOD), Execution(BAD)]))
    scorer = make([task(), no_winner], quality=Probe({"good": 0.9, "bad": 0.1, "lost": 0.99}), drift=drift())
    score(scorer, ["lost", "good", "bad", "good", "bad", "bad"], ["p"] * 3 + ["q"] * 3, 3)
    assert scorer.drift.state() == [1.0]


def test_drift_and_muting_go_on_in_another_process() -> None:
    first, second = (make([task()], quality=Falling(), drift=drift()) for _ in range(2))
    for _ in range(4):
        score(first, ["good", "bad"])
    first.mute_probe()
    second.restore(json.loads(json.dumps(first.state())))
    assert second.probe_muted and second.drift.auroc == first.drift.auroc


def test_random_arm_repeats_and_ignores_outcomes() -> None:
    texts = ["good", "good", "bad", "lost"]
    first, again = (score(make([task()], signal=RandomSignal(7)), texts) for _ in range(2))
    assert [s.reward.total for s in first.scores] == [s.reward.total for s in again.scores]
    assert first.scores[0].reward.consensus != first.scores[1].reward.consensus
    assert first.scores[3].reward.total is None


@pytest.mark.parametrize(("world", "contest"), [(2, 0.0), (3, 0.0), (3, 0.3)])
def test_ranks_with_straddling_groups_get_the_rewards_of_one_process(world: int, contest: float) -> None:
    """Groups of 4 over slices of 6 or 4: ranks in threads, joined by a barrier as a collective would."""
    rng = np.random.default_rng(0)
    texts = ["bad", *rng.choice([t for t in TABLE if t != "lost"] + ["prose", "lost"], 11).tolist()]
    ids = ["p"] * 4 + ["q"] * 4 + ["p"] * 4
    tasks = [task("p"), task("q", bank=None)]
    probe = Probe({t: float(i) / 10 for i, t in enumerate([*TABLE, "prose"])})
    mixed = MixedConfig(w_quality=0.5, contest=contest)
    whole = score(make(tasks, anchor="both", quality=probe, mixed=mixed), texts, ids, 4)
    assert any(s.reward.contested for s in whole.scores) == bool(contest)

    barrier, slices, results = threading.Barrier(world), [None] * world, [None] * world

    def rank(r: int) -> None:
        def gather(mine: list) -> list:
            slices[r] = mine
            barrier.wait()
            joined = [row for part in slices for row in part]
            barrier.wait()  # nobody begins the next gathering before all have read this one
            return joined

        share = slice(r * 12 // world, (r + 1) * 12 // world)
        scorer = make(tasks, anchor="both", quality=probe, mixed=mixed)
        results[r] = scorer.score(ids[share], [completion(t) for t in texts[share]], 4, 0, gather, r)

    threads = [threading.Thread(target=rank, args=(r,)) for r in range(world)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    for result in results:
        assert [s.reward for s in result.scores] == [s.reward for s in whole.scores]
        assert result.metrics == pytest.approx(whole.metrics, nan_ok=True)


def test_agreement_with_the_banks_winner() -> None:
    scorer = make([task()])
    groups = [[completion(t) for t in ("good", "same", "bad", "lost")], [completion("good")]]
    no_winner = replace(task("q"), bank=OutcomeMatrix.from_executions([Execution(GOOD), Execution(BAD)]))
    assert scorer.winner_shares([task(), no_winner], groups) == [pytest.approx(2 / 3), None]


def test_agreement_is_not_measured_on_what_the_sandbox_left() -> None:
    tasks = [task("p"), task("q")]
    groups = [[completion(t) for t in ("good", "lost")], [completion(t) for t in ("lost", "lost")]]
    assert make(tasks, max_missing=0.75).winner_shares(tasks, groups) == [1.0, None]
    with pytest.raises(ScoringError, match="lost 3 of 4 answers"):
        make(tasks, max_missing=0.7).winner_shares(tasks, groups)


def test_one_problem_that_cannot_be_run_here_stops_no_measurement() -> None:
    tasks = [task("p"), task("q")]
    groups = [[completion("good")] * 2, [completion("lost")] * 2]
    assert make(tasks, max_missing=0.05).winner_shares(tasks, groups) == [1.0, None]


def test_two_tasks_with_one_id_are_refused() -> None:
    with pytest.raises(ValueError, match="unique"):
        make([task(), task()])
