"""What clusters may hide: the limit against scipy, and its coverage where inputs are selected from the pool that it is computed on."""

import numpy as np
import pytest
from scipy.stats import beta

from rewards.clusters.clustering import cluster
from rewards.clusters.hidden import difference_limit, hidden_difference, most_apart, pool_needed
from rewards.clusters.inputs import InputsConfig, select_inputs
from rewards.clusters.signatures import OutcomeMatrix
from tests.rewards.pools import matrix


@pytest.mark.parametrize(("observed", "inputs", "level"), [(0, 48, 0.001), (3, 48, 0.01), (47, 48, 0.3), (20, 2500, 1e-6)])
def test_the_limit_is_clopper_and_pearsons(observed, inputs, level):
    assert difference_limit(observed, inputs, level) == pytest.approx(beta.ppf(1 - level, observed + 1, inputs - observed), rel=1e-9)


def test_a_pair_that_differs_everywhere_has_no_limit_below_one():
    assert difference_limit(5, 5, 0.01) == 1.0
    for wrong in ((-1, 5, 0.1), (6, 5, 0.1), (0, 0, 0.1), (0, 5, 0.0)):
        with pytest.raises(ValueError, match="need"):
            difference_limit(*wrong)


def test_the_pool_that_is_needed_is_the_least_that_reaches_the_share():
    needed = pool_needed(120, 0.05, 0.05)
    assert difference_limit(0, needed, 0.05 / 120) <= 0.05 < difference_limit(0, needed - 1, 0.05 / 120)


def test_rows_differ_where_one_errs_and_the_other_does_not():
    assert most_apart(matrix("ab!d", "abcd", "ab!d").codes) == 1
    assert most_apart(matrix("ab!d", "axyd").codes) == 2
    assert most_apart(matrix("a!", "aT").codes) == 0


def test_only_pairs_within_a_cluster_count():
    pool = matrix("aaaa", "aaab", "zzzz")
    on_two = hidden_difference(pool, cluster(pool.select_inputs([0, 1])), kept=2)
    assert (on_two.observed, on_two.programs, on_two.kept) == (1, 3, 2)
    assert hidden_difference(pool, cluster(pool)).observed == 0


def test_missing_programs_are_no_programs():
    pool = matrix("abab", "????")
    assert hidden_difference(pool, cluster(pool)).share is None


def coverage(limit_of, draws=300):
    """Share of simulated problems in which the limit holds for all pairs that the selected inputs do not part.

    Ten programs; program i differs from program 0 on a share 0.02 · i of all inputs, apart from the others.
    """
    rng = np.random.default_rng(7)
    rates = np.minimum(0.02 * np.arange(10), 0.2)
    held = 0
    for _ in range(draws):
        differs = rng.random((10, 40)) < rates[:, None]
        codes = np.where(differs, 1 + np.arange(10)[:, None] + 100 * np.arange(40), 0).astype(np.int32)
        legend = tuple(map(str, range(codes.max() + 1)))
        pool = OutcomeMatrix(codes, np.ones(10, dtype=np.int64), legend, np.zeros((40, 0), np.int32), np.full(40, -2, np.int32))
        kept = select_inputs(pool, InputsConfig(keep=4))
        clustering = cluster(pool.select_inputs(kept))
        limit = limit_of(pool, clustering, kept)
        true = [
            rates[a] + rates[b] - rates[a] * rates[b] for a in range(10) for b in range(a) if clustering.labels[a] == clustering.labels[b]
        ]
        held += max(true, default=0.0) <= limit
    return held / draws


def test_the_limit_holds_for_selected_inputs():
    assert coverage(lambda pool, clustering, kept: hidden_difference(pool, clustering, 0.05, len(kept)).share) >= 0.95


def test_a_limit_from_the_selected_inputs_alone_would_not_hold_for_one_pair():
    """What the union and the pool are for: one level for all pairs, and the pool's differences forgotten, is too low."""
    assert coverage(lambda pool, clustering, kept: difference_limit(0, pool.n_inputs, 0.05)) < 0.9
