"""The probe: what it finds, what it must not find, and when it keeps silent."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from probing.probe.auroc import auroc, auroc_within
from probing.probe.config import ProbeConfig
from probing.probe.drift import DriftAudit
from probing.probe.hidden_states import StateFeatures
from probing.probe.label_sources import fit_best_probe, label_sources
from probing.probe.quality import Probe, earned_weight, fit_probe

CONFIG = ProbeConfig(null_shuffles=5, c_grid=(1e-3, 1e-1))


def made(signal=0.0, by_length=0.0, hard=0.0, by_logprob=0.0, problems=40, n=20, width=12, seed=0):
    """Features with a signal of right and wrong inside problems, through length, of the problem's difficulty, or in the logprobs."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(problems), n)
    ease = rng.uniform(0.2, 0.8, problems)
    labels = (rng.random(problems * n) < ease[groups]).astype(float)
    states = rng.normal(size=(problems * n, 2, 2, width)) + rng.normal(size=(problems, 2, 2, width))[groups]
    states[:, 1, 0, :3] += signal * labels[:, None]
    states[:, :, :, 4] += hard * ease[groups][:, None, None]
    lengths = rng.integers(20, 40, problems * n) + (by_length * labels).astype(int)
    states[:, :, :, 5] += lengths[:, None, None] * 0.3
    logprob = (rng.normal(size=problems * n) + by_logprob * labels).astype(np.float32)
    prompt_lengths = rng.integers(50, 60, problems)[groups]
    return StateFeatures(states.astype(np.float32), logprob, logprob - 1, lengths, prompt_lengths, (2, 3)), labels, groups


@pytest.fixture(scope="module")
def strong():
    features, labels, groups = made(signal=1.2)
    return fit_probe(features, labels, groups, CONFIG, seed=0), features, labels, groups


def test_auroc_equals_scikit_learn_with_ties():
    rng = np.random.default_rng(0)
    scores, labels = rng.integers(0, 8, 300).astype(float), rng.random(300) < 0.4
    assert auroc(scores, labels) == pytest.approx(roc_auc_score(labels, scores))
    groups = rng.integers(0, 25, 300)
    each = [roc_auc_score(labels[groups == g], scores[groups == g]) for g in range(25) if 0 < labels[groups == g].mean() < 1]
    mean, error = auroc_within(scores, labels, groups)
    assert mean == pytest.approx(np.mean(each)) and error == pytest.approx(np.std(each, ddof=1) / np.sqrt(len(each)))


def test_auroc_of_one_kind_is_missing():
    assert np.isnan(auroc(np.arange(3.0), np.ones(3, bool)))
    assert np.isnan(auroc_within(np.arange(3.0), np.ones(3, bool), np.zeros(3, int))[0])


def test_it_finds_the_signal_and_where_it_lies(strong):
    report = strong[0].report
    assert report.within["controlled"] > 0.8 and report.earned_weight > 0.8
    assert (report.layer, report.pooling) == (3, "end")
    assert abs(report.null_mean - 0.5) < 0.05 and report.null_sd < 0.05
    assert report.calibration_error < 0.06


def test_held_out_figures_carry_over_to_new_problems(strong):
    features, labels, groups = made(signal=1.2, seed=9)
    fresh, _ = auroc_within(strong[0].score(features, groups), labels > 0.5, groups)
    assert fresh == pytest.approx(strong[0].report.within["controlled"], abs=0.05)


def test_without_a_signal_it_has_no_say():
    report = fit_probe(*made(), CONFIG, seed=0).report
    assert abs(report.within["controlled"] - 0.5) < 0.08 and report.earned_weight == 0


def test_knowing_hard_problems_earns_nothing():
    report = fit_probe(*made(hard=12.0), CONFIG, seed=0).report
    assert report.pooled["controlled"] > 0.6 and abs(report.within["controlled"] - 0.5) < 0.08 and report.earned_weight == 0


def test_length_is_taken_out():
    report = fit_probe(*made(by_length=15), CONFIG, seed=0).report
    assert report.within["raw"] > 0.7 and report.within["length"] > 0.7
    assert abs(report.within["controlled"] - 0.5) < 0.08 and report.earned_weight == 0


def test_logprobs_join_the_states():
    report = fit_probe(*made(by_logprob=1.5), CONFIG, seed=0).report
    assert report.within["logprobs"] > 0.8 and report.within["controlled"] > 0.8 and report.within["states"] < 0.6


def test_the_score_is_a_probability_and_blind_to_shifts_of_a_problem(strong):
    probe, features, _, groups = strong
    shifted = StateFeatures(
        (features.states + np.float32(3) * groups[:, None, None, None]).astype(np.float32),
        features.mean_logprob,
        features.min_logprob,
        features.lengths,
        features.prompt_lengths,
        features.layers,
    )
    score = probe.score(features, groups)
    assert score.dtype == np.float64 and score.min() >= 0 and score.max() <= 1
    np.testing.assert_allclose(probe.score(shifted, groups), score, atol=1e-3)
    np.testing.assert_allclose(probe.score(features, np.array([f"p{g}" for g in groups])), score)


def test_it_repeats_and_survives_a_round_trip(strong, tmp_path):
    probe, features, labels, groups = strong
    again = fit_probe(features, labels, groups, CONFIG, seed=0)
    np.testing.assert_array_equal(again.score(features, groups), probe.score(features, groups))
    probe.save(tmp_path)
    loaded = Probe.load(tmp_path)
    np.testing.assert_array_equal(loaded.score(features, groups), probe.score(features, groups))
    assert loaded.report == probe.report


def test_missing_is_left_out_not_counted_as_wrong(strong):
    _, features, labels, groups = strong
    broken = features.take(np.arange(len(labels)))
    broken.states[5] = np.nan
    holes = labels.copy()
    holes[10:15] = np.nan
    probe = fit_probe(broken, holes, groups, CONFIG, seed=0)
    assert probe.report.samples == len(labels) - 6
    score = probe.score(broken, groups)
    assert np.flatnonzero(np.isnan(score)).tolist() == [5]


@pytest.mark.parametrize("labels", [np.ones(60), np.zeros(60), np.full(60, np.nan)], ids=["right", "wrong", "missing"])
def test_one_kind_of_label_gives_no_probe(labels, tmp_path):
    features, _, groups = made(problems=6, n=10)
    probe = fit_probe(features, labels, groups, CONFIG, seed=0)
    assert not probe.report.available and probe.report.earned_weight == 0 and "a probe needs 10" in probe.report.reason
    assert np.isnan(probe.score(features, groups)).all()
    probe.save(tmp_path)
    assert not Probe.load(tmp_path).report.available


def test_no_data_gives_no_probe():
    features, labels, groups = made(problems=12)
    none = np.zeros(len(labels), bool)
    assert not fit_probe(features.take(none), labels[none], groups[none], CONFIG, seed=0).report.available


def test_constant_and_wide_features_do_no_harm():
    features, labels, groups = made(problems=12, n=6, width=40)
    features.states[:, 0] = 1.0
    report = fit_probe(features, labels, groups, ProbeConfig(pca=8, null_shuffles=3), seed=0).report
    assert report.available and 0 <= report.within["controlled"] <= 1


def test_soft_targets_are_learnt_and_labels_score():
    features, labels, groups = made(signal=1.2)
    targets = np.where(labels > 0.5, 0.8, 0.3)
    report = fit_probe(features, labels, groups, CONFIG, seed=0, targets=targets).report
    assert report.within["controlled"] > 0.8


def test_bad_requests_are_the_callers():
    features, labels, groups = made(problems=12)
    with pytest.raises(ValueError, match="labels must be"):
        fit_probe(features, labels * 2, groups, CONFIG, seed=0)
    with pytest.raises(ValueError, match="answers but"):
        fit_probe(features, labels[:-1], groups, CONFIG, seed=0)
    with pytest.raises(ValueError, match="must be below"):
        ProbeConfig(floor=0.8, full=0.7)


def test_the_weight_rises_from_the_higher_of_floor_and_null():
    config = ProbeConfig(floor=0.6, full=0.8)
    assert earned_weight(0.62, 0.5, 0.08, config) == 0.0
    assert earned_weight(0.70, 0.5, 0.01, config) == pytest.approx(0.5)
    assert earned_weight(float("nan"), 0.5, 0.01, config) == 0.0


def test_answers_without_a_target_are_judged_and_not_learnt():
    features, labels, groups = made(signal=1.2)
    targets = np.where(groups < 20, labels, np.nan)
    report = fit_probe(features, labels, groups, CONFIG, seed=0, targets=targets).report
    assert report.samples == len(labels) and report.informative == 40 and report.within["controlled"] > 0.75


def test_the_source_that_teaches_most_is_kept():
    features, labels, groups = made(signal=0.6)
    rng = np.random.default_rng(0)
    margin = np.where(groups % 4 == 0, 0.5, 0.05)
    sources = label_sources(labels, margin, np.where(labels > 0.5, 0.6, 0.2), rng.random(len(labels)), min_margin=0.1)
    assert np.isfinite(sources["margin"]).mean() == 0.25
    probe, found = fit_best_probe(features, sources, groups, CONFIG, seed=0)
    assert probe.report.source == "soft" == max(found, key=found.get)
    assert found["soft"] > found["margin"] > found["pairs"]


def test_only_the_sources_that_the_config_names_are_tried():
    features, labels, groups = made(signal=1.2)
    sources = label_sources(labels, labels * 0 + 1, np.where(labels > 0.5, 0.6, 0.2), labels * 0.5, min_margin=0.1)
    probe, found = fit_best_probe(features, sources, groups, ProbeConfig(null_shuffles=3, sources=("pairs",)), seed=0)
    assert probe.report.source == "pairs" and found == {} and probe.report.within["controlled"] > 0.75


def test_comparing_sources_agrees_with_the_whole_fit_and_reports_it(tmp_path):
    features, labels, groups = made(signal=1.2)
    sources = label_sources(labels, labels * 0 + 1, labels * 0 + 0.5, labels, min_margin=0.1)
    probe, found = fit_best_probe(features, sources, groups, CONFIG, seed=0)
    assert found["margin"] == pytest.approx(probe.report.within["controlled"], abs=0.02)
    assert np.isnan(found["soft"])  # the same everywhere: nothing to learn
    probe.save(tmp_path)
    assert np.isnan(Probe.load(tmp_path).report.sources["soft"])


def test_without_data_no_source_is_needed():
    features, labels, groups = made(problems=4)
    probe, found = fit_best_probe(features, label_sources(labels, labels, labels, labels, 0.1), groups, CONFIG, seed=0)
    assert not probe.report.available and all(np.isnan(value) for value in found.values())


def test_drift_takes_the_weight_away_and_never_adds_to_it(strong):
    probe, _, labels, groups = strong
    audit = DriftAudit(probe.report, ProbeConfig(drift_groups=40))
    assert audit.weight == probe.report.earned_weight
    rng = np.random.default_rng(0)
    weights = [audit.observe(rng.random(80), labels[:80], groups[:80]) for _ in range(10)]
    assert weights[-1] == 0 and weights == sorted(weights, reverse=True) and audit.auroc < 0.6
    for _ in range(10):
        audit.observe(labels[:80], labels[:80], groups[:80])
    assert audit.auroc == 1 and audit.weight == probe.report.earned_weight
    assert audit.observe([np.nan], [1.0], [0]) == audit.weight
