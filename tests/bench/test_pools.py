"""The judge's benchmark: rewrites preserve behaviour, pools have the stated share of wrong programs."""

import numpy as np
import pytest

from bench.judging.judge import auroc, expected_right
from bench.judging.pools import Task, draw, make_population, pool_matrix, programs_of, with_asserts
from bench.judging.rewrites import rewrites
from rewards.clusters.signatures import MISSING
from rewards.records import Execution, Kind, Outcome
from tests.rewards.pools import execution

SOURCE = """
def f(xs, k):
    total = 0
    for i in range(len(xs)):
        if xs[i] < k:
            total += xs[i]
        elif xs[i] == k:
            continue
        else:
            total -= 1
    return total if total != 3 else -total
"""


def test_rewrites_are_distinct_and_behave_the_same():
    found = rewrites(SOURCE, 12, seed=1)
    assert len(set(found)) == 12 and found == rewrites(SOURCE, 12, seed=1)
    for code in found:
        scope: dict = {}
        exec(code, scope)  # our own text above, rewritten
        for xs, k in [([], 0), ([1, 2, 3], 2), ([5, 5, 1], 5), ([3], 4), ([0, 9, -2], 1)]:
            original: dict = {}
            exec(SOURCE, original)
            assert scope["f"](xs, k) == original["f"](xs, k), code


@pytest.fixture
def population():
    task = Task("t", "s", "f", SOURCE, tuple(f"[[{i}], 1]" for i in range(12)))
    runs = ["abcdabcdabcd", "abcdabcdabcd", "abcdabcdabcx", "aaaaaaaaaaaa", "abcdabcdabc!", "????????????"]
    found = make_population(task, list("uvwxyz"), ["reference", *["rewrite"] * 5], [execution(r) for r in runs], 4)
    assert found is not None
    return found


def test_right_means_right_on_hidden_inputs_too_and_missing_programs_are_left_out(population):
    assert population.codes == tuple("uvwxy") and population.right.tolist() == [True, True, False, False, False]
    assert population.visible.n_inputs == 4
    assert (population.visible.codes[2] == population.visible.codes[0]).all()  # wrong, but the judge cannot see it


@pytest.mark.parametrize("regime", ["spread", "systematic"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_pools_hold_the_stated_share_of_wrong_programs(population, regime, share):
    rows = draw(population, 64, share, regime, np.random.default_rng(0))
    assert (~population.right[rows]).sum() == round(64 * share)
    matrix, right = pool_matrix(population, rows)
    assert matrix.weights.sum() == 64 and matrix.weights[~right].sum() == round(64 * share)


def test_asserts_are_right_as_often_as_stated(population):
    reference = population.visible.codes[0]
    rng = np.random.default_rng(0)
    assert with_asserts(population.visible, reference, 1.0, rng).expected_codes.tolist() == reference.tolist()
    assert not (with_asserts(population.visible, reference, 0.0, rng).expected_codes == reference).any()
    assert (population.visible.expected_codes == MISSING).all()


def test_populations_hold_stubs_and_mutants():
    task = Task("t", "s", "f", SOURCE, ("[[1], 2]",))
    codes, origins = programs_of(task, Execution((Outcome(Kind.VALUE, "7"),)), 4, 10)
    assert len(set(codes)) == len(codes) and origins[0] == "reference" and origins.count("stub") == 3
    assert "def f(*args):\n    return 7" in codes


def test_ties_count_by_their_share_of_right_samples():
    scores, weights, right = np.array([1.0, 1.0, 0.5]), np.array([3, 1, 9]), np.array([True, False, True])
    assert expected_right(scores, weights, right) == 0.75
    assert auroc(np.array([1.0, 0.0, 0.0]), np.array([1, 2, 1]), np.array([True, False, True])) == pytest.approx(3 / 4)
