"""Input selection and the report on test quality."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.clusters.clustering import cluster
from rewards.clusters.inputs import InputsConfig, agreement_rank, dead_inputs, killed_share, quality_report, select_inputs
from rewards.clusters.signatures import OutcomeMatrix
from tests.rewards.pools import matrix


def test_inputs_that_split_come_first_and_dead_ones_never():
    #            0 = dull, 1 = splits off one, 2 = splits in halves, 3 = everything errs
    m = matrix("axp!", "axp!", "axq!", "ayq!")
    assert select_inputs(m, InputsConfig(keep=3)).tolist() == [2, 1, 0]


def test_a_second_pass_repeats_each_distinction():
    m = matrix("app", "app", "aqq", "aqq")
    assert select_inputs(m, InputsConfig(keep=2)).tolist() == [1, 2]


def test_selection_keeps_every_behaviour_apart_that_all_inputs_keep_apart():
    rng = np.random.default_rng(3)
    m = matrix(*["".join(row) for row in rng.choice(list("ab!"), p=[0.55, 0.4, 0.05], size=(20, 60))])
    kept = m.select_inputs(select_inputs(m, InputsConfig(keep=12)))
    assert len(np.unique(kept.codes, axis=0)) == len(np.unique(m.codes, axis=0))


def test_selection_is_deterministic_and_without_repeats():
    rng = np.random.default_rng(5)
    m = matrix(*["".join(row) for row in rng.choice(list("abc"), size=(10, 30))])
    first = select_inputs(m, InputsConfig(keep=30))
    assert first.tolist() == select_inputs(m, InputsConfig(keep=30)).tolist() and len(set(first.tolist())) == 30


def test_nothing_to_select_from():
    assert select_inputs(matrix("!!", "!!"), InputsConfig(keep=4)).tolist() == []
    assert select_inputs(matrix("", ""), InputsConfig(keep=4)).tolist() == []


def test_inputs_of_which_nothing_is_known_are_dead():
    assert dead_inputs(matrix("a!", "b!"), InputsConfig()).tolist() == [False, True]
    assert dead_inputs(matrix("??", "??"), InputsConfig()).tolist() == [True, True]


def test_rank_is_one_when_inputs_tell_nothing_apart():
    assert agreement_rank(matrix("abc", "abc"), 0) == 1
    assert agreement_rank(matrix("abc", "xbc", "axc", "abx"), 0) == 3


def test_killed_means_different_somewhere():
    m = matrix("abc", "abc", "abx", "ab!", "xyz")
    assert killed_share(m.codes[0], m.codes[1:]) == pytest.approx(3 / 4)


def test_report_on_a_small_case():
    m = matrix("abc!", "abc!", "xbx!", "abx!", "!!!!")
    report = quality_report(m, cluster(m, rho=0.5), InputsConfig(), mutants=m.select_programs([1, 2]))
    assert (report.n_inputs, report.n_behaviours, report.mutants_killed) == (4, 3, 0.5)
    assert report.dead_share == 0.25 and report.duplicate_share == 0.25
    assert report.rank == agreement_rank(m, 0)


def test_report_without_a_winner_claims_no_kills():
    m = matrix("ab", "cd")
    report = quality_report(m, cluster(m), InputsConfig(), mutants=m)
    assert report.rank == 0 and report.mutants_killed is None


def plainly_selected(m: OutcomeMatrix, keep: int) -> list[int]:
    """The definition, step by step: every input that is left is tried at every step."""

    def entropy(rows: list[tuple[int, ...]]) -> float:
        shares = np.array(list(Counter(row for row, w in zip(rows, m.weights, strict=True) for _ in range(w)).values())) / m.weights.sum()
        return float(-(shares * np.log(shares)).sum())

    left, chosen = list(range(m.n_inputs)), []
    while left and len(chosen) < keep:
        this_pass: list[int] = []
        while left and len(chosen) < keep:
            reached = entropy([tuple(row) for row in m.codes[:, this_pass].tolist()])
            gains = [entropy([tuple(row) for row in m.codes[:, [*this_pass, j]].tolist()]) for j in left]
            best = next(i for i, gain in enumerate(gains) if gain > max(gains) - 1e-12)
            if gains[best] <= reached + 1e-12:
                break
            this_pass.append(left[best])
            chosen.append(left.pop(best))
        if not this_pass:
            return chosen + left[: keep - len(chosen)]
    return chosen


@given(
    st.lists(st.text("abc", min_size=9, max_size=9), min_size=1, max_size=6),
    st.lists(st.integers(1, 4), min_size=6, max_size=6),
    st.integers(1, 9),
)
def test_the_short_cuts_select_what_the_definition_selects(rows: list[str], weights: list[int], keep: int) -> None:
    m = matrix(*rows, weights=weights[: len(rows)])
    assert select_inputs(m, InputsConfig(keep=keep)).tolist() == plainly_selected(m, keep)
