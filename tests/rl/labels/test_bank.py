"""The bank: distinct programs, votes over candidates, and which problems are trained on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probing.records import Candidate, Problem, TestSuite
from rewards.clusters.inputs import InputsConfig
from rewards.judge.ranking import rank
from rewards.mixed import MixedConfig
from rewards.outcomes.claims import Claim
from rewards.outcomes.literals import claimed_outputs
from rewards.outcomes.typed import Canonicaliser
from rewards.records import Execution, Kind, Outcome
from rewards.rules.consensus import ConsensusConfig, get_rule
from rewards.sandbox import SandboxConfig
from rl.config.schema import Config
from rl.labels.audit import label_is_correct
from rl.labels.bank import Banks, CandidateVotes, ProblemBank, candidate_votes, distinct_programs, verdicts_of
from rl.loop.selection import kept_apart, make_tasks, margin_weights, met_again, training_split, without
from rl.round_files import BankProgram, Verdict, read_bank, read_records, write_bank, write_records
from rl.scoring.scoring import RolloutScorer
from rl.scoring.tasks import ConsensusSignal
from tests.probing.asking import ask
from tests.rewards.pools import execution
from tests.rl.fakes import TableExecutor, completion, missing

INPUTS = ("[1]", "[2]", "[3]")
SUITE = TestSuite("p", INPUTS, ("model",) * 3)


def candidate(index: int, code: str | None, problem: str = "p") -> Candidate:
    return Candidate(problem, index, code or "", code, (1, 2), (-0.1, -0.3), True)


def values(*texts: str) -> Execution:
    return Execution(tuple(Outcome(Kind.VALUE, t) for t in texts))


def program(who: tuple[int, ...], execution: Execution, code: str = "def f(x): return x") -> BankProgram:
    return BankProgram("p", code, who, execution)


def verdict_of(bank, n: int, band=(0.2, 0.9)) -> Verdict:
    candidates = [candidate(i, "def f(x): return x") for i in range(n)]
    (verdict,) = verdicts_of([SUITE], candidates, bank, ConsensusConfig(), 3, band)
    return verdict


def test_programs_that_differ_in_layout_only_are_executed_once():
    same = [candidate(0, "def f(x):\n    return x+1"), candidate(1, "def f(x):  # one more\n    return (x + 1)"), candidate(2, None)]
    assert [who for _, _, who in distinct_programs(same)] == [(0, 1)]


def test_equal_programs_of_different_problems_stay_apart():
    assert len(distinct_programs([candidate(0, "def f(x): return x", "a"), candidate(0, "def f(x): return x", "b")])) == 2


def test_the_winner_is_counted_in_candidates_not_in_programs():
    bank = [program((0, 1, 2), values("1", "2", "4")), program((3,), values("1", "2", "5")), program((4,), values("1", "2", "6"))]
    verdict = verdict_of(bank, 6)
    assert verdict.labels == (0, 0, 0, 1, 2, -1) and verdict.top == 0 and verdict.top_share == pytest.approx(3 / 5)


@pytest.mark.parametrize(("band", "kept"), [((0.2, 0.9), True), ((0.7, 0.9), False), ((0.1, 0.5), False)])
def test_only_problems_in_the_band_are_trained_on(band, kept):
    bank = [program((0, 1, 2), values("1", "2", "4")), program((3, 4), values("1", "2", "5"))]
    assert verdict_of(bank, 5, band).kept is kept


def test_a_problem_whose_programs_all_fail_is_kept_out_and_has_no_labels():
    broken = Execution((Outcome(Kind.EXCEPTION, "ValueError"),) * 3)
    verdict = verdict_of([program((0, 1), broken)], 2)
    assert not verdict.kept and verdict.top == -1
    assert np.isnan(votes_of(verdict, [program((0, 1), broken)]).in_top).all()


def votes_of(verdict: Verdict, bank) -> CandidateVotes:
    return candidate_votes(verdict, ProblemBank(bank, SUITE, verdict.inputs), rho=0.8)


def test_votes_say_of_each_candidate_what_consensus_thinks_of_it():
    bank = [program((0, 1, 2), values("1", "2", "4")), program((3, 4), values("1", "2", "5"))]
    votes = votes_of(verdict_of(bank, 6), bank)
    assert votes.in_top.tolist() == [1, 1, 1, 0, 0, 0]
    assert votes.margin.tolist() == pytest.approx([0.2] * 6)
    assert votes.cluster_share.tolist() == pytest.approx([0.6] * 3 + [0.4] * 2 + [0])
    assert votes.agreement[0] > votes.agreement[3] > votes.agreement[5] == 0  # the last has no program


def test_a_lost_program_is_unknown_and_not_outside_the_winner():
    lost = Execution((Outcome(Kind.INFRASTRUCTURE, "lost"),) * 3)
    bank = [program((0, 1, 2), values("1", "2", "4")), program((3,), lost), program((4,), values("1", "2", "6"))]
    votes = votes_of(verdict_of(bank, 5), bank)
    for values_N in (votes.in_top, votes.margin, votes.agreement, votes.cluster_share):
        assert np.isnan(values_N).tolist() == [False, False, False, True, False]


def test_a_label_is_correct_when_the_winner_behaves_like_the_reference():
    bank = [program((0, 1, 2), values("1", "2", "4")), program((3,), values("1", "2", "5"))]
    verdict = verdict_of(bank, 4)
    chosen = ProblemBank(bank, SUITE, verdict.inputs)
    order = [("1", "2", "4")[j] for j in verdict.inputs]
    assert label_is_correct(verdict, chosen, values(*order)) is True
    assert label_is_correct(verdict, chosen, values(*order[:-1], "9")) is False


def keeps(watched: int, **choice: int) -> Config:
    return Config(guards={"held_out_problems": watched}, choice={"problems": 0} | choice, problems={"count": 30})


def in_band(count: int) -> list[Verdict]:
    return [Verdict(str(i), (0,), (0,), (1,), 0, 0.5, 0.5, 0.1, 1, True) for i in range(count)]


def test_what_round_1_proposes_on_top_is_kept_apart_and_leaves_as_many_to_train_on():
    config = keeps(0, problems=99, proposals=15)
    chosen, apart = training_split(in_band(45), config, 1)
    assert (len(chosen), len(apart)) == (30, 15)
    assert [v.problem_id for v in apart[:3]] == ["0", "3", "6"]  # spread over the topics
    assert len(training_split(in_band(45), config, 2)[1]) == 0


@pytest.mark.parametrize(("proposals", "apart"), [(0, 8), (3, 8), (30, 20)])
def test_a_sixth_is_kept_apart_at_least_and_never_more_than_wanted(proposals: int, apart: int):
    assert len(training_split(in_band(48), keeps(0, problems=20, proposals=proposals), 1)[1]) == apart


def test_the_guards_problems_are_not_trained_on():
    verdicts = [Verdict(str(i), (0,), (0,), (1,), 0, 0.5, 0.5, 0.1, 1, i % 2 == 0) for i in range(40)]
    chosen, apart = training_split(verdicts, keeps(3), 2)
    assert len(apart) == 3 and len(chosen) == 17 and not {v.problem_id for v in chosen} & {v.problem_id for v in apart}


def test_a_single_problem_in_the_band_is_trained_on():
    verdicts = [Verdict(str(i), (0,), (0,), (1,), 0, 0.5, 0.5, 0.1, 1, i == 3) for i in range(5)]
    chosen, apart = training_split(verdicts, keeps(3), 2)
    assert [v.problem_id for v in chosen] == ["3"] and apart == []


def test_nor_are_they_what_sft_learns_from_which_looks_beyond_the_band():
    verdicts = [Verdict(str(i), (0,), (0,), (1,), 0, 0.5, 0.5, 0.1, 1, i % 2 == 0) for i in range(40)]
    _, apart = training_split(verdicts, keeps(3), 2)
    assert {v.problem_id for v in without(verdicts, apart)} == {str(i) for i in range(40)} - {v.problem_id for v in apart}


def test_round_1_keeps_problems_apart_for_the_choice_and_later_rounds_for_the_guards():
    config = Config(choice={"problems": 9}, guards={"held_out_problems": 4})
    assert [kept_apart(config, index) for index in (1, 2)] == [9, 4]
    unguarded = Config(choice={"problems": 9}, guards={"enabled": False})
    assert [kept_apart(unguarded, index) for index in (1, 2)] == [9, 0]


def test_clear_votes_weigh_more_and_the_mean_stays_1():
    assert margin_weights([0.1, 0.2, 0.3], 1.0) == pytest.approx([0.5, 1.0, 1.5])
    assert margin_weights([0.1, 0.9], 0.0) == [1, 1] and margin_weights([0.0, 0.0], 1.0) == [1, 1]
    assert margin_weights([-0.2, 0.4], 1.0) == pytest.approx([0, 2])  # outnumbered by constants


def test_bank_and_verdicts_come_back_from_their_files(tmp_path):
    bank = [program((0, 2), Execution((Outcome(Kind.VALUE, "a: b"), Outcome(Kind.TIMEOUT))))]
    write_bank(tmp_path / "b", bank)
    assert list(read_bank(tmp_path / "b")) == bank
    verdict = Verdict("p", (0, 1), (0, -1), (1,), 0, 0.5, 0.25, 0.1, 2, True, None)
    write_records(tmp_path / "v", [verdict])
    assert read_records(tmp_path / "v", Verdict) == [verdict]


def test_texts_with_odd_line_separators_survive_the_files(tmp_path):
    suite = TestSuite("p", ("['a\u2028b\x85c']",), ("model",))
    write_records(tmp_path / "s", [suite])
    assert read_records(tmp_path / "s", TestSuite) == [suite]


def passing_by(asserts: tuple[str, ...], bank, **consensus) -> Verdict:
    suite = TestSuite("p", INPUTS, ("model",) * 3, asserts)
    (verdict,) = verdicts_of(
        [suite], [candidate(i, "def f(x): return x") for i in range(5)], bank, ConsensusConfig(**consensus), 3, (0.2, 0.9)
    )
    return verdict


BANK = [program((0, 1), values("1", "4", "9")), program((2,), values("1", "4", "8")), program((3, 4), values("7", "6", "5"))]


def test_pass_fail_signatures_are_compared_on_what_asserts_are_about():
    """The first two programs differ in the third input alone, which no assert is about."""
    claims = ("assert f(1) == 1", "assert f(2) == 4")
    assert passing_by(claims, BANK, signature="passfail").labels == (0, 0, 0, 1, 1)
    assert passing_by(claims, BANK, signature="outputs").counts == (2, 2, 1)


def test_without_a_readable_assert_a_problem_has_no_pass_fail_label():
    verdict = passing_by(("assert f(4) == 2", "assert g()"), BANK, signature="passfail")
    assert verdict.top == -1 and not verdict.kept and verdict.inputs == ()


def test_a_rollout_equal_to_a_bank_program_that_was_lost_is_executed_again():
    """The path of a round: bank, task, reward of a rollout."""
    lost, codes = (missing(),) * 3, [f"def f(x):\n    return {i}" for i in range(3)]
    outcomes = [values("1", "4", "9"), values("1", "4", "8"), Execution(lost)]
    bank = [program((i,), outcome, code) for i, (code, outcome) in enumerate(zip(codes, outcomes, strict=True))]
    verdict = Verdict("p", (0, 1, 2), (0, 1, -1), (1, 1), 0, 0.5, 0.0, 0.1, 2, True)
    (task,) = make_tasks(
        ask, [Problem("p", "t", "d", "f", "def f(x: int) -> int:", "", "topic")], [SUITE], bank, [verdict], Canonicaliser()
    )
    executor = TableExecutor({codes[2]: values("1", "4", "9").outcomes})
    read, signal = (lambda text, entry, given, finished: text), ConsensusSignal(get_rule(ConsensusConfig()))
    scored = RolloutScorer([task], executor, read, signal, MixedConfig()).score(["p"] * 3, [completion(code) for code in codes], 3, step=0)
    assert [p.code for p in executor.programs] == [codes[2]]
    assert scored.scores[2].reward.total == pytest.approx(scored.scores[0].reward.total)


@pytest.mark.parametrize("rule", ["codet", "passfail"])
def test_rules_that_compare_with_asserts_find_them_in_bank_and_rollouts(rule):
    """The path of a round: verdict, task, scores of a group."""
    claims = ("assert f(1) == 1", "assert f(2) == 4", "assert f(2) == 4", "assert f(2) == 6")
    consensus = ConsensusConfig(rule=rule)
    verdict = passing_by(claims, BANK, rule=rule)
    assert verdict.inputs == (0, 1, 2)  # those with an assert come first
    problem = Problem("p", "t", "d", "f", "def f(x: int) -> int:", "", "topic")
    suite = TestSuite("p", INPUTS, ("model",) * 3, claims)
    (task,) = make_tasks(ask, [problem], [suite], BANK, [verdict], Canonicaliser())
    signal = ConsensusSignal(get_rule(consensus))
    scores = signal.scores(task, [values("1", "4", "9"), values("1", "4", "0"), values("7", "6", "5")], "key")
    assert scores[0] == scores[1] > scores[2]


@given(
    st.lists(st.text("abcd!", min_size=4, max_size=4), min_size=1, max_size=8),
    st.lists(st.integers(0, 7), min_size=1, max_size=12),
    st.sampled_from(["soft", "hard", "codet"]),
    st.integers(1, 4),
)
def test_the_loop_and_the_command_judge_alike(rows: list[str], drawn: list[int], rule: str, keep: int) -> None:
    """rows: outcomes of distinct programs, a character an input; drawn: which of them each candidate wrote."""
    inputs, claims = ("[1]", "[2]", "[3]", "[4]"), ("assert f(2) == 'b'", "assert f(3) == 'c'")
    codes = [f"def f(x):\n    return {row % len(rows)}" for row in drawn]
    table = {f"def f(x):\n    return {i}": execution(row).outcomes for i, row in enumerate(rows)}
    candidates = [candidate(i, code) for i, code in enumerate(codes)]
    config, suite = ConsensusConfig(rule=rule), TestSuite("p", inputs, ("model",) * 4, claims)
    bank = [BankProgram("p", code, who, Execution(table[code])) for _, code, who in distinct_programs(candidates)]
    (verdict,) = verdicts_of([suite], candidates, bank, config, keep, (0.1, 1.0))
    expected = claimed_outputs(claims, inputs)
    ranking = rank(codes, "f", inputs, TableExecutor(table), config, InputsConfig(keep=keep), expected=expected)
    judged = ranking.judgement
    assert judged.kept.tolist() == list(verdict.inputs)
    assert judged.clustering.labels[ranking.programs.row_of].tolist() == list(verdict.labels)
    assert (judged.clustering.counts.tolist(), judged.clustering.top) == (list(verdict.counts), verdict.top)
    assert (judged.clustering.n_valid, round(judged.clustering.margin, 6)) == (verdict.n_valid, verdict.margin)
    assert [n is None for n in ranking.no_vote] == [label >= 0 for label in verdict.labels]


def test_rows_that_come_again_are_known_by_the_hash_in_their_id():
    first = [Verdict(f"r01-{name}", (0,), (0,), (1,), 0, 0.5, 0.5, 0.1, 1, True) for name in "abc"]
    later = [Verdict(f"r02-{name}", (0,), (0,), (1,), 0, 0.5, 0.5, 0.1, 1, True) for name in "bcd"]
    assert [v.problem_id for v in met_again(later, first[:2])] == ["r02-b"]


def test_echoes_and_claims_are_written_as_the_sandbox_writes_values() -> None:
    canonical = SandboxConfig(whole_floats=False).canonicaliser()
    suite = TestSuite("p", ("[1.0]", "[2.0]"), ("model",) * 2, ("assert f(2.0) == 4.0",))
    bank = [program((0, 1, 2), values("1", "2")), program((3, 4), values("2", "4"))]
    (verdict,) = verdicts_of([suite], [candidate(i, "") for i in range(5)], bank, ConsensusConfig(), 2, (0.1, 1.0), canonical)
    assert verdict.labels[3] == verdict.top
    chosen = Banks([suite], bank, [verdict], canonical)["p"]
    assert chosen.matrix.degenerate.tolist() == [True, False]
    assert dict(zip(chosen.inputs, chosen.expected or (), strict=True))["[2.0]"] == Claim(Kind.VALUE, "4")
