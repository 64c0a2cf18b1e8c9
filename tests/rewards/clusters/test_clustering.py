"""Clusters: who belongs together, who wins, and what the numbers mean."""

import math
import time

import numpy as np
import pytest

from rewards.clusters.clustering import cluster, rivals_of
from rewards.clusters.signatures import OutcomeMatrix
from tests.rewards.pools import matrix

pytestmark = pytest.mark.slow


def test_equal_errors_are_no_reason_to_cluster_and_no_reason_to_split():
    c = cluster(matrix("abcde", "abcd!", "abcdT", "abc!e", "!!!!!", "!!!!!"))
    assert c.labels.tolist() == [1, 0, 0, 2, -1, -1]


def test_crashing_programs_never_form_a_cluster_however_many():
    c = cluster(matrix("!!!!!", "abcde", "abcde", weights=[100, 1, 1]))
    assert c.labels.tolist() == [-1, 0, 0] and c.n_valid == 2 and c.top_share == 1.0


def test_shares_margin_and_entropy_by_hand():
    c = cluster(matrix("ab", "ac", "ad", weights=[5, 3, 2]))
    assert c.shares.tolist() == [0.5, 0.3, 0.2] and c.counts.tolist() == [5, 3, 2]
    assert c.margin == pytest.approx(0.2)
    assert c.entropy == pytest.approx(-(0.5 * math.log(0.5) + 0.3 * math.log(0.3) + 0.2 * math.log(0.2)))


def test_entropy_spans_zero_to_log_n():
    assert cluster(matrix("ab", "ab", "ab")).entropy == 0.0
    assert cluster(matrix("ab", "ac", "ad", "ae")).entropy == pytest.approx(math.log(4))


def test_weights_equal_repeated_rows():
    weighted = cluster(matrix("ab", "ac", weights=[3, 2]))
    repeated = cluster(matrix("ab", "ab", "ab", "ac", "ac"))
    assert weighted.shares.tolist() == repeated.shares.tolist()
    assert (weighted.entropy, weighted.margin, weighted.top_share) == (repeated.entropy, repeated.margin, repeated.top_share)


def test_constants_cannot_win_where_another_cluster_exists():
    c = cluster(matrix("zzz", "abz", weights=[10, 2]))
    assert c.representatives[c.top] == 1 and c.top_share == pytest.approx(2 / 12) and c.margin < 0
    assert cluster(matrix("zzz", "yyy", weights=[10, 2])).top == 0  # nothing else exists


def test_the_band_leaves_out_the_unanimous_the_hopeless_and_the_outnumbered():
    assert cluster(matrix("ab", "ac", weights=[6, 4])).in_band(0.2, 0.9)
    assert not cluster(matrix("ab", "ab")).in_band(0.2, 0.9)
    assert not cluster(matrix("ab", "ac")).in_band(0.0, 1.0)  # no winner
    assert not cluster(matrix("zz", "ab", weights=[6, 4])).in_band(0.2, 0.9)


def test_echoes_cannot_win_where_another_cluster_exists():
    c = cluster(matrix("abc", "abz", weights=[10, 2], arguments="abc"))
    assert c.representatives[c.top] == 1


def test_no_winner_below_tau_and_none_beside_a_large_constant():
    assert cluster(matrix("ab", "ac"), tau=2).top == -1
    assert cluster(matrix("zz", "ab", weights=[9, 1]), tau=2).top == -1
    assert cluster(matrix("ab", "ab"), tau=2).top == 0


def test_missing_programs_are_counted_apart():
    c = cluster(matrix("ab", "ab", "a?", weights=[1, 1, 4]))
    assert c.n_missing == 4 and c.n_valid == 2 and c.labels.tolist() == [0, 0, -1]


def test_representative_has_the_best_quality_in_its_cluster():
    m = matrix("ab", "ab", "ac", "ab")
    assert cluster(m, quality=np.array([-3.0, -1.0, 0.0, np.nan])).representatives.tolist() == [1, 2]
    assert cluster(m).representatives.tolist() == [0, 2]


def test_nothing_valid_is_no_winner_and_no_crash():
    for m in (matrix("!!", "TT"), OutcomeMatrix.from_executions([]), matrix("", "")):
        c = cluster(m)
        assert c.top == -1 and c.n_clusters == 0 and c.entropy == 0.0 and c.top_share == 0.0


def test_ten_thousand_candidates_on_a_hundred_inputs_are_linear_work():
    """The goal is 2 s with the building of the matrix; process time, so that a busy machine does not matter."""
    rng = np.random.default_rng(0)
    base = [matrix("".join(rng.choice(list("abcdef!"), p=[0.2, 0.2, 0.2, 0.15, 0.1, 0.1, 0.05], size=100))) for _ in range(1)]
    assert base[0].n_inputs == 100
    from tests.rewards.pools import execution

    rows = ["".join(row) for row in rng.choice(list("abcdef!"), p=[0.5, 0.2, 0.1, 0.1, 0.05, 0.025, 0.025], size=(10_000, 100))]
    runs = [execution(row) for row in rows]
    start = time.process_time()
    c = cluster(OutcomeMatrix.from_executions(runs))
    assert time.process_time() - start < 6.0  # three times the goal: this guards against quadratic work, the benchmark has the figure
    assert c.n_valid == 10_000


def test_pass_fail_bits_take_equal_failures_for_agreement_and_bar_no_constant():
    m = matrix("abc", "abz", "xyz", "uvw", "zzz", expected="abc")
    c = cluster(m, signature="passfail")
    assert c.labels.tolist() == [1, 2, 0, 0, 0] and c.top == 0 and not c.degenerate.any()
    with pytest.raises(ValueError, match="no input has an expected output"):
        cluster(matrix("abc", "abc"), signature="passfail")


@pytest.mark.parametrize(("contest", "rows"), [(0.5, ["ac", "ad"]), (0.7, ["ac"]), (1.0, []), (0.1, ["ac", "ad", "ae"])])
def test_rivals_are_the_clusters_with_a_share_of_the_winners_votes(contest, rows):
    pool = matrix("ab", "ac", "ad", "ae", weights=[10, 7, 5, 4])
    found = rivals_of(pool, contest)
    assert [row for row in ("ab", "ac", "ad", "ae") if found is not None and _holds(found, row)] == rows


def _holds(found: OutcomeMatrix, row: str) -> bool:
    return any([found.legend[code] for code in codes] == [f"str:{c}" for c in row] for codes in found.codes)


def test_constants_are_no_rivals_beside_others_and_nobody_has_one_without_a_winner():
    assert rivals_of(matrix("ab", "zz", weights=[5, 5]), 0.5) is None
    assert rivals_of(matrix("zz", "yy", weights=[5, 4]), 0.5).codes.tolist() == [[1, 1]]  # nothing else exists
    assert rivals_of(matrix("ab", "ac", "ad"), 0.5) is None
