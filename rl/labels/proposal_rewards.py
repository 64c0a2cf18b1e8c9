"""What a proposal of stage 1 is worth: was it a problem that the policy can learn from?

The reward of a proposal lies in [0, 1] (docs/method.md, "The proposer"):

    0             it gave no problem: malformed, cut off, a near duplicate, a benchmark's, badly rated, without an interface or inputs;
                  or one that behaves like an earlier one (`solutions.repeats: drop`)
    0.2 to 0.5    the vote on its problem lies outside the band of agreement: 0.2 where nobody won or all agreed, 0.5 at the band's edge
    1             the vote lies in the band
    None          our sandbox failed on one of its programs: not known, so left out and counted

It only rewards what stages 1 to 5 have already decided: nothing is sampled or run for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from rl.round_files import Proposal, Verdict

VOTED = 0.2  # the reward of a problem whose vote teaches nothing
EDGE = 0.5  # what it rises to at the edge of the band
IN_BAND, OUTSIDE, NO_INPUTS, UNKNOWN = "in the band", "outside the band", "no inputs", "sandbox failure"
REPEAT = "repeat of a behaviour"


@dataclass(frozen=True)
class Fate:
    """What became of a proposal, and its reward."""

    what: str  # why it was dropped, or one of the constants above
    reward: float | None  # in [0, 1]; None: not known


def nearness(verdict: Verdict, band: tuple[float, float]) -> float:
    """How near a vote outside the band comes to it, by the share of the largest cluster: 1 at its edge, 0 where all agree, where no cluster
    won, and where constant or echoing programs outnumber the winner.
    """
    low, high = band
    if verdict.top < 0 or verdict.margin < 0:
        return 0.0
    if verdict.top_share < low:
        return verdict.top_share / low
    return (1 - verdict.top_share) / (1 - high) if verdict.top_share < 1 else 0.0


def reward_of(verdict: Verdict, band: tuple[float, float]) -> float:
    """The reward of a proposal with a verdict that is no repeat. band: least and greatest share of the largest cluster to train on."""
    return 1.0 if verdict.kept else VOTED + (EDGE - VOTED) * nearness(verdict, band)


def fates_of(proposals: Sequence[Proposal], verdicts: Sequence[Verdict], broken: Collection[str], band: tuple[float, float]) -> list[Fate]:
    """The fate of each proposal at the end of stage 5. broken: ids of the problems on one of whose programs the sandbox failed.

    A problem that has no verdict had no suite of inputs.
    """
    verdict_of = {v.problem_id: v for v in verdicts}

    def fate(proposal: Proposal) -> Fate:
        if proposal.dropped is not None or proposal.problem_id is None:
            return Fate(proposal.dropped or "not read", 0.0)
        if proposal.problem_id in broken:
            return Fate(UNKNOWN, None)
        verdict = verdict_of.get(proposal.problem_id)
        if verdict is None:
            return Fate(NO_INPUTS, 0.0)
        if verdict.repeats is not None:
            return Fate(REPEAT, 0.0)
        return Fate(IN_BAND if verdict.kept else OUTSIDE, reward_of(verdict, band))

    return [fate(proposal) for proposal in proposals]


def group_advantages(groups: Sequence[str], rewards: Sequence[float | None]) -> list[float | None]:
    """Each reward minus the mean of its group (`Proposal.group`); None where the reward is not known.

    Not divided by the group's deviation: a group may be as small as four, with one success, and rewards have a fixed scale already
    (`grpo.scale_rewards: none`; Liu et al., "Understanding R1-Zero-like training", arXiv 2503.20783).

    >>> group_advantages(["a", "a", "b", "a"], [1.0, 0.0, 1.0, None])
    [0.5, -0.5, 0.0, None]
    """
    known: dict[str, list[float]] = {}
    for name, reward in zip(groups, rewards, strict=True):
        if reward is not None:
            known.setdefault(name, []).append(reward)
    mean = {name: group[0] if len(set(group)) == 1 else sum(group) / len(group) for name, group in known.items()}
    return [None if reward is None else reward - mean[name] for name, reward in zip(groups, rewards, strict=True)]


def proposal_figures(fates: Sequence[Fate]) -> dict[str, float | None]:
    """Figures for the log: shares are over the proposals whose fate is known; None where there is none."""
    rewards = [fate.reward for fate in fates if fate.reward is not None]
    count, what = len(rewards), Counter(fate.what for fate in fates)
    repeats = {"repeats": what[REPEAT] / count} if what[REPEAT] else {}
    return {
        "proposals": len(fates),
        "unknown": what[UNKNOWN],
        "mean_reward": sum(rewards) / count if count else None,
        "in_band": what[IN_BAND] / count if count else None,
        "outside_band": what[OUTSIDE] / count if count else None,
        "no_inputs": what[NO_INPUTS] / count if count else None,
        **repeats,
    }
