"""Can a round's inputs tell programs apart? From executions to verdicts to the round's figures: what is not measured is left out."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from probing.records import Candidate, TestSuite
from rewards.records import Execution, Kind, Outcome
from rewards.rules.consensus import ConsensusConfig
from rl.dashboard import workspace
from rl.labels.bank import verdicts_of
from rl.loop.figures import consensus_figures
from rl.report.page import INPUT_COLUMNS
from rl.round_files import BankProgram, Verdict, read_records, write_records
from tests.rewards.pools import execution

INPUT_FIGURES = {key for _, key, _, _ in INPUT_COLUMNS}
UNANIMOUS = ("abcd",) * 3
PARTED = ("abcdefgh",) * 3 + ("stuvwxyz", "STUVWxyz")  # the two wrong ones agree on three inputs of eight
DEAD = ("!!", "!!", "!!")


def verdict_of(rows: Sequence[str], keep: int = 32) -> Verdict:
    """rows: a program's outcomes each, one character an input (`tests.rewards.pools`)."""
    inputs = tuple(f"[{j}]" for j in range(len(rows[0]) if rows else 4))
    bank = [BankProgram("p", f"def f(x): return {i}", (i,), execution(row)) for i, row in enumerate(rows)]
    candidates = [Candidate("p", i, p.program, p.program, (1,), (-0.1,), True) for i, p in enumerate(bank)]
    (verdict,) = verdicts_of([TestSuite("p", inputs, ("model",) * len(inputs))], candidates, bank, ConsensusConfig(), keep, (0.2, 0.9))
    return verdict


def figures_of(*pools: Sequence[str]) -> dict[str, float | None]:
    return consensus_figures([verdict_of(rows) for rows in pools])


def test_inputs_that_all_split_alike_have_rank_1_and_repeat_one_another() -> None:
    verdict = verdict_of(("abcd", "abcd", "wxyz", "wxyz"))
    assert (verdict.input_rank, verdict.duplicate_share) == (1, 0.75)


def test_inputs_that_split_in_different_ways_have_a_higher_rank_and_repeat_nothing() -> None:
    verdict = verdict_of(("abc", "abc", "xbc", "axc", "abx"))
    assert (verdict.input_rank, verdict.duplicate_share) == (3, 0.0)


def test_dead_inputs_are_counted_in_the_pool_though_they_are_never_kept() -> None:
    verdict = verdict_of(("a!b!", "a!b!", "a!c!"))
    assert verdict.dead_share == 0.5 and not {1, 3} & set(verdict.inputs)


def test_a_bound_is_about_the_inputs_that_vote() -> None:
    whole, one = verdict_of(PARTED), verdict_of(PARTED, keep=1)
    assert (whole.wrong_agreement, one.wrong_agreement) == (pytest.approx(4 / 10), pytest.approx(1 / 3))  # (k + 1) / (m + 2)
    assert whole.optimistic_bound == pytest.approx(1 - 25 * 0.4**8, abs=1e-6) and one.optimistic_bound == 0  # one input says nothing


def test_what_clusters_may_hide_is_about_the_pool_and_counts_what_the_selection_lost() -> None:
    rows = ("abcd", "abcd", "xbcd", "axcd")
    two, one = verdict_of(rows, keep=2), verdict_of(rows, keep=1)
    assert two.hidden_difference == pytest.approx(1 - (0.05 / 6) ** (1 / 4), abs=1e-6)  # 4 programs, 6 pairs, 4 inputs, all parted by two
    assert one.hidden_difference > two.hidden_difference  # one input leaves two together that the pool parts
    assert two.pool_needed == one.pool_needed == 94  # 0.95^94 <= 0.05 / 6 < 0.95^93


def test_a_unanimous_pool_leaves_p_unknown() -> None:
    verdict = verdict_of(UNANIMOUS)
    assert (verdict.wrong_agreement, verdict.optimistic_bound) == (None, None)
    assert (verdict.input_rank, verdict.duplicate_share) == (1, 0.75)


def test_without_a_winner_nothing_is_said_about_agreement_with_it() -> None:
    verdict = verdict_of(("abcdefgh", "ijklmnop", "qrstuvwx"))
    assert verdict.top == -1 and verdict.inputs
    assert (verdict.input_rank, verdict.wrong_agreement, verdict.optimistic_bound) == (None, None, None)


@pytest.mark.parametrize("rows", [(), ("????", "????")])
def test_what_never_ran_has_no_dead_inputs(rows: Sequence[str]) -> None:
    assert verdict_of(rows).dead_share is None


def test_medians_skip_problems_whose_p_is_unknown() -> None:
    figures = figures_of(PARTED, UNANIMOUS, UNANIMOUS)
    assert figures["median_wrong_agreement"] == pytest.approx(0.4)


def test_where_p_is_unknown_the_bound_says_nothing() -> None:
    assert figures_of(PARTED, UNANIMOUS)["optimistic_bound_says_something"] == 0.5


def test_problems_without_inputs_are_left_out_and_not_zero() -> None:
    alone, beside = figures_of(PARTED), figures_of(PARTED, (), DEAD)
    for name in INPUT_FIGURES - {"dead_share"}:
        assert beside[name] == alone[name] is not None, name


def test_a_pool_that_is_dead_as_a_whole_counts_as_dead() -> None:
    assert figures_of(PARTED, DEAD)["dead_share"] == 0.5


def test_a_round_without_anything_measured_has_no_figures_of_its_inputs() -> None:
    assert {name for name, value in figures_of(()).items() if value is None} >= INPUT_FIGURES


def test_a_resumed_run_reads_the_same_figures(tmp_path) -> None:
    verdicts = [verdict_of(rows) for rows in (PARTED, UNANIMOUS, DEAD)]
    write_records(tmp_path / "clusters.jsonl", verdicts)
    assert consensus_figures(read_records(tmp_path / "clusters.jsonl", Verdict)) == consensus_figures(verdicts)


def test_every_figure_is_on_the_dashboard_and_in_the_report() -> None:
    named = {name.removeprefix("consensus/") for name in workspace.metric_names() if name.startswith("consensus/")}
    logged = set(figures_of(PARTED))
    assert named <= logged and named >= INPUT_FIGURES


def test_candidates_that_miss_a_module_are_a_share_of_all() -> None:
    absent = Execution((Outcome(Kind.NOT_OFFERED, "numpy"),) * 4)
    bank = [BankProgram("p", "a", (0, 1, 2), execution("abcd")), BankProgram("p", "b", (3,), absent)]
    candidates = [Candidate("p", i, "", "", (1,), (-0.1,), True) for i in range(4)]
    (verdict,) = verdicts_of([TestSuite("p", tuple("1234"), ("model",) * 4)], candidates, bank, ConsensusConfig(), 32, (0.2, 0.9))
    assert verdict.not_offered == 1
    assert consensus_figures([verdict, verdict_of(("abcd",) * 4)])["not_offered"] == 0.125
