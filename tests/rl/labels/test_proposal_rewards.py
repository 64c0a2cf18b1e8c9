"""What a proposal earns by what became of it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl.labels.proposal_rewards import IN_BAND, NO_INPUTS, OUTSIDE, REPEAT, UNKNOWN, fates_of, group_advantages, proposal_figures, reward_of
from rl.round_files import Proposal, Verdict

BAND = (0.4, 0.8)


def proposal(problem_id: str | None, dropped: str | None = None) -> Proposal:
    return Proposal("prompt", "topic", "text", (5, 6, 1), problem_id, dropped)


def verdict(problem_id: str, share: float, top: int = 0, margin: float = 0.1) -> Verdict:
    kept = top >= 0 and margin >= 0 and BAND[0] <= share <= BAND[1]
    return Verdict(problem_id, (0,), (0, 0), (2,), top, share, margin, 0.0, 2, kept)


@pytest.mark.parametrize(
    ("share", "top", "margin", "reward"),
    [
        (0.4, 0, 0.1, 1.0),
        (0.8, 0, 0.1, 1.0),
        (0.2, 0, 0.1, 0.35),  # half the way from nothing to the band
        (0.9, 0, 0.1, 0.35),  # half the way from unanimity to the band
        (1.0, 0, 1.0, 0.2),
        (0.1, -1, 0.0, 0.2),  # nobody won
        (0.6, 0, -0.1, 0.2),  # constant programs outnumber the winner
    ],
)
def test_a_vote_earns_by_how_near_the_band_it_falls(share: float, top: int, margin: float, reward: float) -> None:
    assert reward_of(verdict("p", share, top, margin), BAND) == pytest.approx(reward)


def test_outside_the_band_every_problem_earns_more_than_none_and_less_than_one_inside() -> None:
    outside = [reward_of(verdict("p", share), BAND) for share in (0.0, 0.2, 0.399, 0.801, 0.99, 1.0)]
    assert all(0 < reward < 0.51 for reward in outside) and outside[:3] == sorted(outside[:3]) and outside[3:] == sorted(outside[3:])[::-1]


def test_a_band_that_reaches_to_unanimity_divides_by_nothing() -> None:
    assert reward_of(verdict("p", 0.2), (0.4, 1.0)) == pytest.approx(0.35)


def test_each_proposal_has_the_fate_of_its_problem() -> None:
    proposals = [
        proposal(None, "no statement"),
        proposal("low", "low rating"),
        proposal("untested"),
        proposal("good"),
        proposal("easy"),
        proposal("broken"),
    ]
    verdicts = [verdict("good", 0.5), verdict("easy", 1.0), verdict("broken", 0.5)]
    fates = fates_of(proposals, verdicts, {"broken"}, BAND)
    assert [fate.what for fate in fates] == ["no statement", "low rating", NO_INPUTS, IN_BAND, OUTSIDE, UNKNOWN]
    assert [fate.reward for fate in fates] == [0.0, 0.0, 0.0, 1.0, pytest.approx(0.2), None]


def test_a_problem_that_behaves_like_an_earlier_one_earns_nothing_and_is_counted_apart() -> None:
    repeat = replace(verdict("again", 0.5), kept=False, repeats="good")
    fates = fates_of([proposal("good"), proposal("again")], [verdict("good", 0.5), repeat], (), BAND)
    assert [(fate.what, fate.reward) for fate in fates] == [(IN_BAND, 1.0), (REPEAT, 0.0)]
    assert proposal_figures(fates)["repeats"] == 0.5 and "repeats" not in proposal_figures(fates[:1])


def test_figures_leave_out_what_is_not_known() -> None:
    fates = fates_of([proposal("a"), proposal("b"), proposal(None, "cut off")], [verdict("a", 0.5), verdict("b", 0.5)], {"b"}, BAND)
    figures = proposal_figures(fates)
    assert (figures["proposals"], figures["unknown"], figures["mean_reward"], figures["in_band"]) == (3, 1, 0.5, 0.5)
    assert proposal_figures([])["mean_reward"] is None


@given(st.lists(st.tuples(st.sampled_from("abc"), st.none() | st.floats(0, 1)), max_size=30))
def test_advantages_of_a_group_have_mean_zero(rows: list[tuple[str, float | None]]) -> None:
    prompts, rewards = [prompt for prompt, _ in rows], [reward for _, reward in rows]
    advantages = group_advantages(prompts, rewards)
    assert [a is None for a in advantages] == [r is None for r in rewards]
    for prompt in set(prompts):
        group = [a for p, a in zip(prompts, advantages, strict=True) if p == prompt and a is not None]
        assert math.fsum(group) == pytest.approx(0.0, abs=1e-9)


def test_equal_rewards_have_no_advantage_at_all() -> None:
    assert group_advantages(["a"] * 6, [0.1] * 6) == [0.0] * 6  # the sum of six 0.1, divided by 6, is not 0.1
