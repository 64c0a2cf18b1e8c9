from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl.config.training import GuardRule
from rl.training.guards import Guards, GuardsConfig, Observed

SHARP = GuardsConfig(warmup=2, smoothing=1.0, cooldown=2)
HEALTHY = {"entropy": 1.0, "distinct": 4.0, "majority": 0.5, "length": 40.0, "probe": 0.8, "kl": 0.01, "held_out": 0.6}


def run(guards: Guards, **series: list[float]) -> list[tuple[int, str, str]]:
    """(step, guard, action) of a series of steps, all other signals healthy."""
    found = []
    for i in range(max(len(values) for values in series.values())):
        step = Observed(step=i + 1, **(HEALTHY | {name: values[i] for name, values in series.items()}))
        found += [(a.step, a.guard, a.kind) for a in guards.observe(step)]
    return found


def test_a_healthy_run_is_left_alone() -> None:
    assert run(Guards(SHARP), entropy=[1.0, 0.95, 0.9, 0.85, 0.8] * 4) == []


@pytest.mark.parametrize(
    ("signal", "sick"),
    [("entropy", 0.2), ("distinct", 1.0), ("majority", 0.99), ("length", 80.0), ("length", 20.0), ("probe", 0.4), ("kl", 0.9)],
)
def test_each_signal_trips_its_guard_and_no_other(signal: str, sick: float) -> None:
    found = run(Guards(SHARP), **{signal: [HEALTHY[signal]] * 3 + [sick]})
    assert [(step, guard) for step, guard, _ in found] == [(4, signal)]
    assert found[0][2] == getattr(SHARP, signal).actions[0]


def test_actions_escalate_after_the_cooldown_and_end_with_the_round() -> None:
    found = run(Guards(SHARP), entropy=[1.0, 1.0] + [0.1] * 10)
    assert found == [(3, "entropy", "raise_kl"), (5, "entropy", "lower_lr"), (7, "entropy", "end_round")]


def test_a_fall_on_held_out_problems_is_measured_from_the_best_and_rolls_back() -> None:
    found = run(Guards(SHARP), held_out=[0.6, 0.7, 0.66, 0.64, 0.6, 0.6])
    assert found == [(4, "held_out", "lower_lr"), (6, "held_out", "roll_back")]


def test_drift_is_smoothed() -> None:
    config = SHARP.model_copy(update={"smoothing": 0.3})
    assert run(Guards(config), entropy=[1.0, 1.0, 0.1, 1.0, 1.0]) == []
    assert run(Guards(config), entropy=[1.0, 1.0] + [0.1] * 6)[0][1:] == ("entropy", "raise_kl")


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("enabled", [True, False])
def test_weights_that_are_not_finite_roll_back_and_stop_even_when_guards_are_off(value: float, enabled: bool) -> None:
    guards = Guards(GuardsConfig(enabled=enabled))
    actions = guards.observe(Observed(step=1, loss=value))
    assert [a.kind for a in actions] == ["roll_back", "stop"]
    assert guards.observe(Observed(step=2, loss=value)) == []


def test_what_was_not_measured_trips_nothing() -> None:
    guards = Guards(SHARP)
    for step in range(1, 9):
        assert guards.observe(Observed(step=step, loss=0.1, entropy=None, kl=math.nan)) == []
    assert guards.watches == {}


def test_a_null_guard_is_off() -> None:
    config = SHARP.model_copy(update={"entropy": None})
    assert run(Guards(config), entropy=[1.0, 1.0, 0.1, 0.1]) == []


def test_every_action_says_its_cause() -> None:
    guards = Guards(SHARP)
    for step in (1, 2):
        guards.observe(Observed(step=step, entropy=1.0))
    (action,) = guards.observe(Observed(step=3, entropy=0.1))
    record = action.record()
    assert record["guard_action"] == "raise_kl" and record["limit"] == SHARP.entropy.limit and record["value"] == pytest.approx(0.1)
    assert record["cause"] == "step 3: token entropy fell to 10% of its baseline 1 (limit 30%)"
    json.dumps(record)


values = st.one_of(st.none(), st.floats(0.0, 3.0))


@given(st.lists(st.tuples(values, values, values), min_size=2, max_size=30), st.integers(0, 29))
def test_a_restored_machine_goes_on_as_if_it_had_never_stopped(series: list[tuple], cut: int) -> None:
    config = SHARP.model_copy(update={"kl": GuardRule(limit=1.0, actions=("raise_kl", "lower_lr"))})
    steps = [Observed(step=i, entropy=a, kl=b, held_out=c) for i, (a, b, c) in enumerate(series)]
    whole, first = Guards(config), Guards(config)
    expected = [whole.observe(s) for s in steps]
    found = [first.observe(s) for s in steps[:cut]]
    second = Guards(config)
    second.restore(json.loads(json.dumps(first.state())))
    assert found + [second.observe(s) for s in steps[cut:]] == expected
