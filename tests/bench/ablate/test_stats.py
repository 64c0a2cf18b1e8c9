"""The ablation's statistics: paired draws, both sources of spread, and no ratio to a gain that is not there."""

import numpy as np
import pytest

from bench.ablate.stats import Resampler, align

RNG = np.random.default_rng(0)
SEEDS, TASKS = 5, 120
EASE = RNG.random(TASKS)
BASE = np.clip(EASE + RNG.normal(0, 0.05, (SEEDS, TASKS)), 0, 1)


def test_a_paired_interval_is_narrower_than_the_arms_own():
    resampler = Resampler(SEEDS, TASKS)
    arm = BASE + 0.03 + RNG.normal(0, 0.02, BASE.shape)
    own, paired = resampler.estimate(arm), resampler.difference(arm, BASE)
    assert paired.value == pytest.approx(0.03, abs=0.005)
    assert paired.low > 0.02 and paired.high - paired.low < (own.high - own.low) / 5


def test_intervals_cover_as_often_as_they_say():
    """200 worlds with tasks of their own and seeds that shift all tasks: about 95 % of the intervals hold the truth."""
    hits = 0
    for world in range(200):
        rng = np.random.default_rng(world)
        values = rng.normal(0.1, 0.3, (1, 40)) + rng.normal(0, 0.1, (20, 1)) + rng.normal(0, 0.1, (20, 40))
        found = Resampler(20, 40, draws=400, seed=world).estimate(values)
        hits += found.low <= 0.1 <= found.high
    assert 0.89 <= hits / 200 <= 0.99


def test_a_spread_over_seeds_alone_shows():
    shifts = np.array([[-0.2], [-0.1], [0.0], [0.1], [0.2]]) + np.zeros((5, 50))
    found = Resampler(5, 50).estimate(shifts)
    assert found.value == pytest.approx(0) and found.high - found.low > 0.15


def test_the_recovered_gain_is_a_ratio_of_paired_gains():
    resampler = Resampler(SEEDS, TASKS)
    gain = 0.2 * (1 - BASE)
    found = resampler.recovered(BASE + 0.5 * gain, BASE, BASE + gain)
    assert found is not None and found.value == pytest.approx(0.5) and found.low == pytest.approx(0.5) and found.high == pytest.approx(0.5)


def test_nothing_is_recovered_of_a_gain_that_is_not_there():
    noise = RNG.normal(0, 0.05, BASE.shape)
    assert Resampler(SEEDS, TASKS).recovered(BASE + 0.1, BASE, BASE + noise - noise.mean()) is None


def test_only_tasks_that_every_arm_has_are_compared():
    arrays, left_out = align({"a": [{"x": 1.0, "y": 0.0}, {"x": 0.5, "y": 1.0}], "b": [{"x": 0.0}, {"x": 1.0, "y": 0.2}]})
    assert left_out == 1 and arrays["a"].tolist() == [[1.0], [0.5]] and arrays["b"].tolist() == [[0.0], [1.0]]
    with pytest.raises(ValueError, match="different numbers of seeds"):
        align({"a": [{"x": 1.0}], "b": []})
