"""What a policy learns from a vote: the expected update, its fixed points, and what group size and normalisation change.

The model is one problem with a policy over k behaviours, shares float64[k], the right one first, updated along the natural gradient:
d p_c/dt = p_c (R_c − Σ p R), the replicator equation. A network shares its weights among problems; this is what each problem pulls at.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from bench.theory.statement import Statement, allowed, close
from bench.theory.vote import elect, random_shares, winner_chances
from rewards.mixed import centred_within, normalise_within

Reward = Callable[[np.ndarray], np.ndarray]  # shares -> expected reward of each behaviour


def hard(n: int) -> Reward:
    """1 for the winner of n votes: its expectation is the chance to win."""
    return lambda shares: winner_chances(shares, n)


def soft(shares: np.ndarray) -> np.ndarray:
    """The share of voters of one's own behaviour."""
    return shares


def expected_update(shares: np.ndarray, reward: Reward) -> np.ndarray:
    """float64[k]: d p/dt."""
    given = reward(shares)
    return shares * (given - shares @ given)


def step(shares: np.ndarray, given: np.ndarray, size: float) -> np.ndarray:
    """float64[k]: the shares after the replicator ran for a time `size` under constant rewards float64[k] (exact)."""
    grown = shares * np.exp(size * (given - given.max()))
    return grown / grown.sum()


def flow(shares: np.ndarray, reward: Reward, time: float, size: float = 0.1) -> np.ndarray:
    """float64[steps + 1, k]: the way of the shares."""
    way = [shares]
    for _ in range(round(time / size)):
        way.append(step(way[-1], reward(way[-1]), size))
    return np.array(way)


def group_updates(shares: np.ndarray, rng: np.random.Generator, draws: int, voters: int, group: int, rule: str) -> np.ndarray:
    """float64[draws, k]: sampled updates, each from its own bank of `voters` and its own group of rollouts, with mean-only advantages."""
    k = len(shares)
    votes = rng.multinomial(voters, shares, size=draws)
    given = np.eye(k)[elect(votes, rng)] if rule == "hard" else votes / voters  # [draws, k]
    rollouts = rng.choice(k, size=(draws, group), p=shares)
    rewards = np.take_along_axis(given, rollouts, axis=1)
    advantages = within_groups(centred_within, rewards)
    return np.stack([(advantages * (rollouts == c)).sum(axis=1) for c in range(k)], axis=1) / (group - 1)


def within_groups(normalise: Callable[[np.ndarray, np.ndarray], np.ndarray], rewards: np.ndarray) -> np.ndarray:
    """float64[draws, group]: the project's own normalisation of rewards float64[draws, group], a hundred groups at a time."""
    group = rewards.shape[1]
    parts = [rewards[i : i + 100] for i in range(0, len(rewards), 100)]
    return np.concatenate([normalise(part.ravel(), np.repeat(np.arange(len(part)), group)).reshape(-1, group) for part in parts])


def sampled_update(rng: np.random.Generator, draws: int) -> Statement:
    """The formula against sampled groups, for both rewards, with the project's own advantages."""
    shares = np.array([0.4, 0.3, 0.2, 0.1])
    formula, found, errors = [], [], []
    for rule, reward in (("hard", hard(8)), ("soft", soft)):
        updates = group_updates(shares, rng, draws, voters=8, group=8, rule=rule)
        formula.append(expected_update(shares, reward))
        found.append(updates.mean(axis=0))
        errors.append(allowed(updates))
    says = "The expected update is p_c (R_c − Σ p R): R is the chance to win the vote (hard) or the share itself (soft)."
    return close("expected-update", says, np.array(formula), np.array(found), np.array(errors))


def soft_is_three_votes(rng: np.random.Generator) -> Statement:
    """ds/dt of the soft reward equals what three votes gain."""
    cases = [random_shares(rng, 5) for _ in range(20)]
    formula = [winner_chances(p, 3)[0] - p[0] for p in cases]
    says = "Under the soft reward ds/dt equals the gain of a three-sample vote."
    return close("soft-is-three-votes", says, formula, [expected_update(p, soft)[0] for p in cases], 1e-12)


def plurality_is_learnt(rng: np.random.Generator, starts: int) -> Statement:
    """From random starts, where does the flow end? At the behaviour that was the largest, and at no other."""
    ended = {"soft": 0, "hard": 0}
    right = largest = 0
    for _ in range(starts):
        shares = random_shares(rng, 4)
        while np.diff(np.sort(shares))[-1] < 0.03:  # a near tie takes long to be decided
            shares = random_shares(rng, 4)
        for name, reward, time in (("soft", soft, 400.0), ("hard", hard(3), 120.0)):
            end = flow(shares, reward, time, size=1.0)[-1]
            ended[name] += int(end.argmax() == shares.argmax() and end.max() > 0.99)
        largest += shares.argmax() == 0
        right += int(flow(shares, soft, 400.0, size=1.0)[-1][0] > 0.99)
    measured = {f"ended at the largest, {name}": count / starts for name, count in ended.items()}
    measured["right at the end minus right largest"] = (right - largest) / starts
    says = "Both flows end at the behaviour that was the largest: the right one is learnt where s > w_1, and nowhere else."
    predicted = {f"ended at the largest, {name}": 1.0 for name in ended} | {"right at the end minus right largest": 0.0}
    return Statement("plurality-is-learnt", says, predicted, measured, measured == predicted)


def one_vote_or_many(rng: np.random.Generator, runs: int) -> Statement:
    """Rounds with labels frozen by one vote of n: a large step learns that vote, small steps the plurality."""
    start, n = np.array([0.4, 0.3, 0.3]), 8
    ends = {}
    for size, rounds in ((20.0, 3), (0.05, 400)):
        shares = np.tile(start, (runs, 1))
        for _ in range(rounds):
            votes = np.array([rng.multinomial(n, p) for p in shares])
            grown = shares * np.exp(size * np.eye(3)[elect(votes, rng)])
            shares = grown / grown.sum(axis=1, keepdims=True)
        ends[size] = float((shares.argmax(axis=1) == 0).mean())
    chance = float(winner_chances(start, n)[0])
    error = 4.5 * math.sqrt(chance * (1 - chance) / runs)
    says = "One large step per round learns one vote, right with chance V(n); many small rounds learn the plurality."
    predicted = {"large steps": chance, "small steps, more than": (1 + chance) / 2}
    measured = {"large steps": ends[20.0], "small steps, more than": ends[0.05]}
    return Statement(
        "one-vote-or-many",
        says,
        predicted,
        measured,
        abs(ends[20.0] - chance) <= error and ends[0.05] > predicted["small steps, more than"],
    )


def divided_update(winner: float, group: int) -> float:
    """Expected update of the winner's share, hard reward, advantages divided by the group's deviation: E √(k(G − k)(G − 1)/G³)."""
    chances = [math.comb(group, k) * winner**k * (1 - winner) ** (group - k) for k in range(group + 1)]
    return sum(c * math.sqrt(k * (group - k) * (group - 1) / group**3) for k, c in enumerate(chances))


def division_by_deviation(rng: np.random.Generator, draws: int) -> Statement:
    """The formula against the project's own normalisation, for shares of the winner from thin to nearly unanimous."""
    group, winners = 16, (0.05, 0.2, 0.5, 0.8, 0.95)
    found, errors = [], []
    for winner in winners:
        rewards = (rng.random((draws, group)) < winner).astype(np.float64)
        normed = within_groups(normalise_within, rewards)
        updates = (normed * rewards).mean(axis=1)
        found.append(updates.mean())
        errors.append(allowed(updates) + 1e-3)  # the normalisation's epsilon
    says = (
        "Divided by the group's deviation, the winner's update tends to √(p(1 − p)) instead of p(1 − p): thin and stale votes count more."
    )
    return close("division-by-deviation", says, [divided_update(w, group) for w in winners], found, np.array(errors))


def spellings_and_speed(rng: np.random.Generator) -> Statement:
    """The plain gradient of a softmax over texts, by brute force, against the formula by behaviour."""
    formula, found = [], []
    for _ in range(20):
        of = np.repeat(np.arange(3), (1, 5, 20))  # behaviour of each text
        texts = random_shares(rng, len(of))
        shares, squares = np.bincount(of, texts), np.bincount(of, texts**2)
        given = np.array([1.0, 0.0, 0.0])
        slope = texts * (given[of] - shares @ given)  # of the expected reward, by logit
        moved = np.bincount(of, texts * (slope - texts @ slope))
        advantage = given - shares @ given
        formula += (squares * advantage - shares * (squares @ advantage)).tolist()
        found += moved.tolist()
        formula.append((1 - shares[0]) ** 2 * squares[0] + shares[0] ** 2 * squares[1:].sum())
        found.append(moved[0])
    says = "The plain gradient moves p_c by κ_c A_c − p_c Σ κ A with κ_c = Σ π(y)²: many spellings learn slowly, the winner still rises."
    return close("spellings-and-speed", says, formula, found, 1e-12)


def near_twins(rng: np.random.Generator) -> Statement:
    """Agreement input by input: R = a p with a symmetric matrix a. Mean agreement only rises; the plurality need not win."""
    falls = 0
    for _ in range(50):
        agree = rng.random((4, 4))
        agree = np.maximum(agree, agree.T)
        np.fill_diagonal(agree, 1.0)
        way = flow(random_shares(rng, 4), agree.__matmul__, time=20.0)
        falls += int((np.diff(np.einsum("tc,cd,td->t", way, agree, way)) < -1e-9).any())
    family = np.full((4, 4), 0.8)
    family[0, :] = family[:, 0] = 0.0
    np.fill_diagonal(family, 1.0)
    start = np.array([0.4, 0.2, 0.2, 0.2])
    measured = {"falls of the mean agreement": float(falls), "s at the end, one against three near-twins": 0.0}
    measured["s at the end, one against three near-twins"] = round(float(flow(start, lambda p: family @ p, 200.0)[-1][0]), 6)
    measured["s at the end, the same shares under the hard vote"] = round(float(flow(start, hard(16), 60.0)[-1][0]), 6)
    says = "Agreement counted input by input can elect a family of near-twins that is together larger than the right behaviour."
    predicted = dict(zip(measured, (0.0, 0.0, 1.0), strict=True))
    return Statement("near-twins", says, predicted, measured, all(abs(measured[key] - predicted[key]) < 0.01 for key in predicted))


def statements(rng: np.random.Generator, scale: float) -> list[Statement]:
    """scale: of the number of draws."""
    return [
        sampled_update(rng, int(40_000 * scale)),
        soft_is_three_votes(rng),
        plurality_is_learnt(rng, int(30 * scale) + 5),
        one_vote_or_many(rng, int(1500 * scale)),
        division_by_deviation(rng, int(10_000 * scale)),
        spellings_and_speed(rng),
        near_twins(rng),
    ]
