"""The bank: distinct programs, votes over candidates, and which problems are trained on."""

import numpy as np
import pytest

from probing.records import Candidate, TestSuite
from rewards.consensus import ConsensusConfig
from rewards.records import Execution, Kind, Outcome
from rl.bank import ProblemBank, distinct_programs, judge, label_is_correct, vote_labels
from rl.round_files import BankProgram, Verdict, read_bank, read_records, write_bank, write_records
from rl.training import training_split

INPUTS = ("[1]", "[2]", "[3]")


def candidate(index: int, code: str | None, problem: str = "p") -> Candidate:
    return Candidate(problem, index, code or "", code, (1, 2), (-0.1, -0.3), True)


def values(*texts: str) -> Execution:
    return Execution(tuple(Outcome(Kind.VALUE, t) for t in texts))


def program(who: tuple[int, ...], execution: Execution, code: str = "def f(x): return x") -> BankProgram:
    return BankProgram("p", code, who, execution)


def verdict_of(bank, n: int, band=(0.2, 0.9)) -> Verdict:
    candidates = [candidate(i, "def f(x): return x") for i in range(n)]
    (verdict,) = judge([TestSuite("p", INPUTS, ("model",) * 3)], candidates, bank, ConsensusConfig(), 3, band)
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
    assert not verdict.kept and verdict.top == -1 and np.isnan(vote_labels(verdict, 0.0)).all()


def test_labels_want_a_margin():
    bank = [program((0, 1, 2), values("1", "2", "4")), program((3, 4), values("1", "2", "5"))]
    assert vote_labels(verdict_of(bank, 5), 0.1).tolist() == [1, 1, 1, 0, 0]
    assert np.isnan(vote_labels(verdict_of(bank, 5), 0.5)).all()


def test_a_label_is_correct_when_the_winner_behaves_like_the_reference():
    bank = [program((0, 1, 2), values("1", "2", "4")), program((3,), values("1", "2", "5"))]
    verdict = verdict_of(bank, 4)
    chosen = ProblemBank(bank, INPUTS, verdict.inputs)
    order = [("1", "2", "4")[j] for j in verdict.inputs]
    assert label_is_correct(verdict, chosen, values(*order)) is True
    assert label_is_correct(verdict, chosen, values(*order[:-1], "9")) is False


def test_the_guards_problems_are_not_trained_on():
    verdicts = [Verdict(str(i), (0,), (0,), (1,), 0, 0.5, 0.5, 0.1, 1, i % 2 == 0) for i in range(40)]
    chosen, apart = training_split(verdicts, 3)
    assert len(apart) == 3 and len(chosen) == 17 and not {v.problem_id for v in chosen} & {v.problem_id for v in apart}


def test_bank_and_verdicts_come_back_from_their_files(tmp_path):
    bank = [program((0, 2), Execution((Outcome(Kind.VALUE, "a: b"), Outcome(Kind.TIMEOUT))))]
    write_bank(tmp_path / "b", bank)
    assert read_bank(tmp_path / "b") == bank
    verdict = Verdict("p", (0, 1), (0, -1), (1,), 0, 0.5, 0.25, 0.1, 2, True, None)
    write_records(tmp_path / "v", [verdict])
    assert read_records(tmp_path / "v", Verdict) == [verdict]


def test_texts_with_odd_line_separators_survive_the_files(tmp_path):
    suite = TestSuite("p", ("['a\u2028b\x85c']",), ("model",))
    write_records(tmp_path / "s", [suite])
    assert read_records(tmp_path / "s", TestSuite) == [suite]
