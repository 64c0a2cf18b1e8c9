"""The mixed reward: normalisation within groups, missing values, and no probe-only gradient where consensus is flat."""

import numpy as np
import pytest

from rewards.mixed import MixedConfig, less_the_likely, mix, normalise_within

NAN = float("nan")
CONFIG = MixedConfig(w_consensus=1.0, w_quality=0.5)


def totals(*args, **kwargs):
    return [r.total for r in mix(*args, **kwargs)]


def test_normalisation_is_that_of_trl():
    values, groups = np.array([1.0, 0.0, 0.0, 1.0, 0.5, 0.9]), np.array([0, 0, 0, 1, 1, 1])
    for g in (0, 1):
        part = values[groups == g]
        expected = (part - part.mean()) / (part.std(ddof=1) + 1e-4)
        assert normalise_within(values, groups)[groups == g] == pytest.approx(expected)


def test_samples_of_one_group_may_lie_anywhere():
    values, groups = np.array([1.0, 5.0, 0.0, 7.0]), np.array([3, 8, 3, 8])
    together = normalise_within(values[[0, 2, 1, 3]], groups[[0, 2, 1, 3]])
    assert normalise_within(values, groups)[[0, 2, 1, 3]].tolist() == together.tolist()


def test_total_is_the_weighted_sum_of_the_parts():
    records = mix([1, 0, 0, 1], [0.9, 0.1, 0.6, 0.3], [0] * 4, 0.4, CONFIG)
    for r in records:
        assert r.total == pytest.approx(r.consensus_normed + 0.5 * 0.4 * r.probe_normed)


def test_flat_groups_get_no_gradient_from_the_probe():
    records = mix([1, 1, 1, 0, 1, 0], [0.9, 0.1, 0.5, 0.9, 0.1, 0.5], [0, 0, 0, 1, 1, 1], 1.0, CONFIG)
    assert [r.total for r in records[:3]] == [0, 0, 0] and all(r.flat for r in records[:3])
    assert all(r.total != 0 for r in records[3:]) and not any(r.flat for r in records[3:])


def test_flat_groups_get_none_even_when_the_probe_is_the_only_part():
    assert totals([1, 1, 1], [0.9, 0.1, 0.5], [0] * 3, 1.0, MixedConfig(w_consensus=0, w_quality=1)) == [0, 0, 0]


def test_missing_is_none_and_does_not_move_the_others():
    records = mix([1, NAN, 0, 0], None, [0] * 4, 0.0, CONFIG)
    assert records[1].total is None and records[1].consensus is None and records[1].consensus_normed is None
    assert [records[i].total for i in (0, 2, 3)] == totals([1, 0, 0], None, [0] * 3, 0.0, CONFIG)


def test_a_missing_probe_score_matters_only_when_the_probe_has_a_say():
    assert totals([1, 0, 0], [NAN, 0.2, 0.4], [0] * 3, 1.0, CONFIG)[0] is None
    assert totals([1, 0, 0], [NAN, 0.2, 0.4], [0] * 3, 0.0, CONFIG) == totals([1, 0, 0], None, [0] * 3, 0.0, CONFIG)


def test_a_group_that_is_missing_altogether_stays_missing():
    assert totals([NAN, NAN, 1, 0], None, [0, 0, 1, 1], 0.0, CONFIG)[:2] == [None, None]


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="gate"):
        mix([1, 0], [0.1, 0.2], [0, 0], 1.5, CONFIG)
    with pytest.raises(ValueError, match="no probe scores"):
        mix([1, 0], None, [0, 0], 0.5, CONFIG)
    with pytest.raises(ValueError, match="equally many"):
        mix([1, 0, 1], None, [0, 0], 0.0, CONFIG)
    with pytest.raises(ValueError, match="both 0"):
        MixedConfig(w_consensus=0, w_quality=0)


def test_a_problem_s_weight_scales_its_rewards_and_no_other_problem_s():
    plain = mix([1.0, 0.0, 1.0, 0.0], None, [0, 0, 1, 1], 0.0, MixedConfig(w_quality=0))
    weighted = mix([1.0, 0.0, 1.0, 0.0], None, [0, 0, 1, 1], 0.0, MixedConfig(w_quality=0), weights=[2.0, 2.0, 0.5, 0.5])
    assert [w.total for w in weighted] == pytest.approx([2 * plain[0].total, 2 * plain[1].total, plain[2].total / 2, plain[3].total / 2])
    assert [w.consensus for w in weighted] == [p.consensus for p in plain]


def test_of_equally_voted_rollouts_the_rarer_is_worth_more_and_the_wrong_stay_last() -> None:
    rows = mix([1.0, 1.0, 1.0, 0.0], None, [0] * 4, 0.0, MixedConfig(w_quality=0, rarity=0.4), logprobs=[-1.0, -3.0, -2.0, -9.0])
    likeliest, rarest, middle, wrong = (row.total for row in rows)
    assert rarest > middle > likeliest > wrong
    assert [row.consensus for row in rows] == [1.0, 1.0, 1.0, 0.0]


def test_rarity_takes_the_stated_share_by_rank_within_its_own_group() -> None:
    weighed = less_the_likely(np.array([1.0, 0.5, 1.0, 1.0]), np.array([-5.0, -1.0, -7.0, -7.0]), np.array([0, 0, 1, 1]), 0.4)
    assert weighed.tolist() == pytest.approx([1 - 0.4 / 2, 0.5 * (1 - 0.4), 1 - 0.4 * 0.75, 1 - 0.4 * 0.75])


@pytest.mark.parametrize("unknown", [np.nan, np.inf, -np.inf])
def test_rarity_takes_the_mean_of_a_rollout_whose_likelihood_is_unknown(unknown: float) -> None:
    """And ranks the others as if it were alike to each of them."""
    weighed = less_the_likely(np.ones(3), np.array([-5.0, unknown, -1.0]), np.zeros(3, dtype=int), 0.6)
    assert weighed.tolist() == pytest.approx([1 - 0.6 * 1.5 / 3, 1 - 0.6 * 2 / 3, 1 - 0.6 * 2.5 / 3])


def test_rarity_gives_a_unanimous_group_a_gradient_but_not_the_probe() -> None:
    rows = mix([1.0, 1.0], [0.9, 0.1], [0, 0], 1.0, MixedConfig(w_quality=1, rarity=0.4), logprobs=[-1.0, -2.0])
    assert rows[0].total < 0 < rows[1].total
    assert [row.probe_normed for row in rows] == [0.0, 0.0]


def test_rarity_without_logprobs_is_refused() -> None:
    with pytest.raises(ValueError, match="no logprobs"):
        mix([1.0, 0.0], None, [0, 0], 0.0, MixedConfig(w_quality=0, rarity=0.4))


LEFT_OUT = [False, True, False, False, False]


@pytest.mark.parametrize("config", [CONFIG, MixedConfig(w_consensus=0, w_quality=0.5), MixedConfig(w_quality=0.5, rarity=0.0)])
def test_contested_samples_get_no_reward_and_do_not_move_the_others(config):
    records = mix([1.0, 0.4, 0.0, 0.2, 0.1], [0.9, 0.5, 0.2, 0.3, 0.1], [0] * 5, 1.0, config, contested=LEFT_OUT)
    alone = totals([1.0, 0.0, 0.2, 0.1], [0.9, 0.2, 0.3, 0.1], [0] * 4, 1.0, config)
    assert [r.total for r in records if not r.contested] == pytest.approx(alone)
    assert (records[1].total, records[1].consensus_normed, records[1].probe_normed) == (None, None, None)


def test_contested_is_not_missing_and_keeps_its_scores():
    contested, missing = mix([0.4, NAN, 1.0, 0.0], [0.5] * 4, [0] * 4, 1.0, CONFIG, contested=[True, False, False, False])[:2]
    assert (contested.contested, contested.missing, contested.consensus, contested.probe) == (True, False, 0.4, 0.5)
    assert (missing.contested, missing.missing) == (False, True)


@pytest.mark.parametrize("gate", [0.0, 1.0])
@pytest.mark.parametrize("config", [CONFIG, MixedConfig(w_consensus=0, w_quality=0.5)])
def test_a_group_that_is_flat_but_for_its_contested_samples_is_flat(gate, config):
    records = mix([1.0, 0.4, 1.0, 1.0, 1.0], [0.9, 0.5, 0.2, 0.3, 0.1], [0] * 5, gate, config, contested=LEFT_OUT)
    assert [r.total for r in records] == [0, None, 0, 0, 0] and all(r.flat for r in records)
    assert [r.probe_normed for r in records] == [0, None, 0, 0, 0]


def test_marks_of_contested_samples_must_be_as_many_as_these():
    with pytest.raises(ValueError, match="equally many"):
        mix([1.0, 0.0], None, [0, 0], 0.0, CONFIG, contested=[True])
