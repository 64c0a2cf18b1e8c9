"""Rules against brute-force versions that follow the definitions word by word."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewards.clusters.clustering import cluster
from rewards.rules import base
from rewards.rules.base import RULES, register
from rewards.rules.codet import CodeT
from rewards.rules.consensus import ConsensusConfig, get_rule
from rewards.rules.hard import Hard
from rewards.rules.passfail import PassFail
from rewards.rules.sharp import Sharp
from rewards.rules.soft import Soft
from tests.rewards.pools import matrix

WIDTH = 4
rows = st.lists(st.text("abz!", min_size=WIDTH, max_size=WIDTH), min_size=1, max_size=9)


def is_valid(row, rho=0.5):
    return sum(c != "!" for c in row) >= rho * len(row)


def is_constant(row):
    values = [c for c in row if c != "!"]
    return len(values) >= 2 and len(set(values)) == 1


def brute(kind, group, bank, anchor, tau=2):
    """Scores by definition: every sample against an explicit list of the other voters."""
    own_votes = bank is None or anchor != "bank"
    population = (list(bank) if bank is not None and anchor != "group" else []) + (list(group) if own_votes else [])
    only_constants = all(is_constant(r) for r in population if is_valid(r))
    voters = [r for r in population if is_valid(r) and (only_constants or not is_constant(r))]
    scores = []
    for row in group:
        if not is_valid(row) or (is_constant(row) and not only_constants):
            scores.append(0.0)
            continue
        others = list(voters)
        if own_votes:
            others.remove(row)
        if kind == "sharp":
            agree = [sum(x == y != "!" for x, y in zip(row, o, strict=True)) / len(row) for o in others]
            scores.append(sum(a**4 for a in agree) / max(len(others), 1))
        elif kind == "soft":
            agree = [sum(o[j] == c for o in others) / max(len(others), 1) if c != "!" else 0.0 for j, c in enumerate(row)]
            scores.append(sum(agree) / len(row))
        else:
            counts = {r: others.count(r) for r in others}
            best = max(counts.values(), default=0)
            elected = counts.get(row, 0) == best > 0 and voters.count(row) >= tau
            scores.append(1 / list(counts.values()).count(best) if elected else 0.0)
    return scores


@settings(max_examples=200, deadline=None, derandomize=True)
@given(rows, st.one_of(st.none(), rows), st.sampled_from(["bank", "group", "both"]), st.sampled_from(["hard", "soft", "sharp"]))
def test_rules_equal_their_definitions(group, bank, anchor, kind):
    rule = {"hard": Hard(0.5, 2, anchor), "soft": Soft(0.5, anchor), "sharp": Sharp(0.5, 4.0, anchor)}[kind]
    scores = rule.scores(matrix(*group), matrix(*bank) if bank else None)
    assert scores == pytest.approx(brute(kind, group, bank, anchor))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(rows, st.data())
def test_multiplicities_equal_repeated_samples(group, data):
    unique = sorted(set(group))
    weights = [data.draw(st.integers(1, 4)) for _ in unique]
    repeated = [r for r, w in zip(unique, weights, strict=True) for _ in range(w)]
    first = [repeated.index(r) for r in unique]
    for rule in (Hard(0.5), Soft(0.5), Sharp(0.5)):
        assert rule.scores(matrix(*unique, weights=weights)) == pytest.approx(rule.scores(matrix(*repeated))[first])


@settings(max_examples=100, deadline=None, derandomize=True)
@given(rows, st.randoms(use_true_random=False))
def test_order_of_candidates_does_not_matter(group, random):
    order = list(range(len(group)))
    random.shuffle(order)
    for rule in (Hard(0.5), Soft(0.5), Sharp(0.5), PassFail(0.5), CodeT(0.5)):
        straight = rule.scores(matrix(*group, expected="ab.z"))
        shuffled = rule.scores(matrix(*[group[i] for i in order], expected="ab.z"))
        assert shuffled == pytest.approx(straight[order])


@settings(max_examples=100, deadline=None, derandomize=True)
@given(rows, st.sampled_from(["hard", "soft", "sharp", "codet", "passfail"]), st.sampled_from(["bank", "group", "both"]))
def test_scores_lie_in_the_unit_interval_and_crashers_get_nothing(group, name, anchor):
    rule = get_rule(ConsensusConfig(rule=name, anchor=anchor))
    group = [*group, "!!!!", "!!!!"]
    scores = rule.scores(matrix(*group, expected="abza"), matrix("abza", "abza", "!!!!", expected="abza"))
    assert ((scores >= 0) & (scores <= 1)).all() and (scores[-2:] == 0).all()


@pytest.mark.parametrize("name", ["hard", "soft", "sharp", "codet", "passfail"])
def test_missing_scores_are_nan_and_change_nothing_for_the_others(name):
    rule = get_rule(ConsensusConfig(rule=name))
    without = rule.scores(matrix("abz", "abz", "abc", expected="abz"))
    scores = rule.scores(matrix("abz", "a?z", "abz", "abc", expected="abz"))
    assert np.isnan(scores[1]) and scores[[0, 2, 3]].tolist() == without.tolist()


def test_a_lone_sample_has_no_evidence_for_itself():
    for rule in (Hard(), Soft(), Sharp()):
        assert rule.scores(matrix("abz")).tolist() == [0.0]


def test_an_even_split_elects_nobody():
    assert Hard().scores(matrix("ab", "ab", "cd", "cd")).tolist() == [0.0] * 4


def test_the_bank_anchors_a_group_that_went_astray():
    group, bank = matrix("xy", "xy", "xy", "ab"), matrix("ab", "xy", weights=[9, 2])
    assert Hard(anchor="bank").scores(group, bank).tolist() == [0, 0, 0, 1]
    assert Hard(anchor="group").scores(group, bank).tolist() == [1, 1, 1, 0]
    assert Hard(anchor="both").scores(group, bank).tolist() == [0, 0, 0, 1]


def test_degenerate_clusters_neither_vote_nor_win():
    m = matrix("zzz", "abz", "abc", weights=[20, 4, 2])
    assert Hard().scores(m).tolist() == [0, 1, 0]
    soft = Soft().scores(m)
    assert soft[0] == 0 and soft[1] > soft[2]


def test_sharp_lies_between_soft_and_hard():
    m = matrix("abcd", "abcd", "abcx", "abxy", "axyz", "xxyz")
    soft, hard = Soft().scores(m), Hard().scores(m)
    assert Sharp(power=1.0).scores(m) == pytest.approx(soft)
    steep = Sharp(power=400.0).scores(m)
    assert (steep > 1e-9).tolist() == (hard > 0).tolist()


def test_constants_may_win_where_that_is_asked_for():
    m = matrix("zzz", "abz", weights=[20, 3])
    for rule in (Hard, Soft, Sharp):
        assert rule().scores(m).argmax() == 1 and rule(bar_degenerate=False).scores(m).argmax() == 0


def test_passfail_cannot_tell_wrong_programs_apart_but_outputs_can():
    m = matrix("abc", "xyz", "uvw", "rst", "opq", "lmn", weights=[3, 1, 1, 1, 1, 1], expected="abc")
    assert PassFail().scores(m).tolist() == [0, 1, 1, 1, 1, 1]
    assert Hard().scores(m).tolist() == [1, 0, 0, 0, 0, 0]


def test_rules_of_others_bar_no_constant():
    """The winner is a constant, and its members score for it, as `cluster` says of pass/fail bits."""
    m = matrix("ttt", "tft", weights=[4, 2], expected="ttt")
    assert cluster(m, signature="passfail").labels[0] == cluster(m, signature="passfail").top
    assert PassFail().scores(m).tolist() == [1, 0]
    assert CodeT().scores(m)[0] == pytest.approx(np.sqrt(3 / 5))


def test_codet_weighs_tests_passed_against_agreement():
    m = matrix("abc", "abc", "abx", "yyx", "yux", expected="abc")
    scores = CodeT().scores(m)
    assert scores[0] == pytest.approx(np.sqrt(1 / 4)) and scores[2] == 0 and scores[3] == 0  # the last two pass nothing


def test_rules_on_asserts_say_what_is_missing():
    for rule in (PassFail(), CodeT()):
        with pytest.raises(ValueError, match="expected output"):
            rule.scores(matrix("ab", "cd"))


def test_config_refuses_unknown_rules():
    with pytest.raises(ValueError, match="rule"):
        ConsensusConfig.model_validate({"rule": "loud"})


def test_a_rule_s_name_is_its_own() -> None:
    with pytest.raises(ValueError, match="two consensus rules are called 'soft': Soft and Hard"):
        register("soft")(Hard)


def test_every_rule_that_has_a_file_can_be_named() -> None:
    files = {path.stem for path in Path(base.__file__).parent.glob("*.py")} - {"__init__", "base", "consensus"}
    assert {rule.__module__.rpartition(".")[2] for rule in RULES.values()} == files
    assert {type(get_rule(ConsensusConfig(rule=name))) for name in RULES} == set(RULES.values())
