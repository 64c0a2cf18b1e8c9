"""When learning from votes goes wrong, and what a KL term, the band of agreement and the choice of advantages change."""

from __future__ import annotations

import math

import numpy as np

from bench.theory.statement import Statement, close
from bench.theory.updates import expected_update, flow, soft, step
from bench.theory.vote import elect, random_shares

VOTERS = 16


def signals(way: np.ndarray) -> np.ndarray:
    """float64[steps, 3]: what can be seen without labels along a way of shares: top share, margin and behavioural entropy in nats."""
    ranked = np.sort(way, axis=1)[:, ::-1]
    known = np.where(way > 0, way, 1.0)
    return np.stack([ranked[:, 0], ranked[:, 0] - ranked[:, 1], -(way * np.log(known)).sum(axis=1)], axis=1)


def misconception(rng: np.random.Generator) -> Statement:
    """The same problem with the names of the two largest behaviours exchanged: every signal is the same, the outcome the opposite."""
    shares = np.array([0.3, 0.5, 0.2])
    wrong, right = flow(shares, soft, 60.0), flow(shares[[1, 0, 2]], soft, 60.0)
    seen = np.abs(signals(wrong) - signals(right)).max()
    measured = {
        "s at the end, w_1 > s": float(wrong[-1][0]),
        "s at the end, exchanged": float(right[-1][0]),
        "largest difference of any signal": float(seen),
        "top share at the end": float(signals(wrong)[-1][0]),
    }
    predicted = dict(zip(measured, (0.0, 1.0, 0.0, 1.0), strict=True))
    says = "Where w_1 > s the right behaviour dies out while top share and margin rise; no signal without labels tells it from success."
    return Statement("unseen-misconception", says, predicted, measured, all(abs(measured[k] - predicted[k]) < 1e-3 for k in measured))


def entropy_falls(rng: np.random.Generator) -> Statement:
    """dH/dt = −Cov_p(p, log p) <= 0 and d(Σp²)/dt = 2 Var_p(p) >= 0 under the soft reward, by finite differences."""
    size = 1e-6
    formula, found = [], []
    for _ in range(30):
        shares = random_shares(rng, 6)
        mean = float(shares @ shares)
        formula += [-float(shares @ ((shares - mean) * np.log(shares))), 2 * float(shares @ (shares - mean) ** 2)]
        after = step(shares, soft(shares), size)
        found += [(signals(after[None])[0, 2] - signals(shares[None])[0, 2]) / size, (after @ after - shares @ shares) / size]
    rises = sum(value > 0 for value in formula[::2]) + sum(value < 0 for value in formula[1::2])
    says = "Behavioural entropy never rises under the soft reward, and the chance that two samples agree never falls."
    checked = close("entropy-falls", says, formula, found, 1e-4)
    return Statement(
        checked.name,
        says,
        checked.predicted | {"exceptions": 0.0},
        checked.measured | {"exceptions": float(rises)},
        checked.holds and not rises,
    )


def regularised(shares: np.ndarray, start: np.ndarray, given: np.ndarray, beta: float, time: float, size: float = 0.02) -> np.ndarray:
    """float64[k]: the flow under rewards float64[k] less β times the KL towards `start`."""
    for _ in range(round(time / size)):
        shares = step(shares, given - beta * np.log(shares / start), size)
    return shares


def kl_caps_the_odds(rng: np.random.Generator) -> Statement:
    """A KL term towards a fixed start stops at odds · e^(1/β); towards each round's start it only slows: odds · e^(t/β) after t rounds."""
    start, given, beta = np.array([0.3, 0.45, 0.25]), np.array([0.0, 1.0, 0.0]), 0.5

    def odds(shares: np.ndarray) -> float:
        return math.log(shares[1] / (1 - shares[1]))

    fixed = regularised(start, start, given, beta, time=60.0)
    moving = start
    for _ in range(4):
        moving = regularised(moving, moving, given, beta, time=60.0)
    formula = [odds(start) + 1 / beta, odds(start) + 4 / beta, math.log(start[0] / start[2])]
    found = [odds(fixed), odds(moving), math.log(fixed[0] / fixed[2])]
    says = "A KL term of weight β caps the odds of the vote's winner at e^(1/β) times the start's; renewed each round it only slows."
    return close("kl-caps-the-odds", says, formula, found, 1e-6)


def kl_keeps_one_fixed_point(rng: np.random.Generator) -> Statement:
    """Two behaviours, soft reward, KL towards a fixed start: for β > 1/2 all starts end at one point; below, at two."""
    ends = {}
    for beta in (0.6, 0.3):
        anchor = np.array([0.48, 0.52])
        found = []
        for s in (0.02, 0.98):
            shares = np.array([s, 1 - s])
            for _ in range(6000):
                shares = step(shares, soft(shares) - beta * np.log(shares / anchor), 0.05)
            found.append(float(shares[0]))
        ends[beta] = found
    measured = {"spread of ends, β = 0.6": abs(ends[0.6][0] - ends[0.6][1]), "spread of ends, β = 0.3": abs(ends[0.3][0] - ends[0.3][1])}
    measured["s at the end, β = 0.6, from s0 = 0.48"] = ends[0.6][0]
    says = "With two behaviours, β > 1/2 leaves one fixed point, on the start's side; below 1/2 agreement can run away in either direction."
    predicted = {"spread of ends, β = 0.6": 0.0, "spread of ends, β = 0.3, more than": 0.5, "s at the end, β = 0.6, below": 0.5}
    spread_high, spread_low, end = measured.values()
    return Statement("kl-one-fixed-point", says, predicted, measured, spread_high < 1e-3 and spread_low > 0.5 and end < 0.5)


def band(rng: np.random.Generator, problems: int) -> Statement:
    """Label accuracy among problems whose top share of 16 votes reaches a floor, and how many of those kept are misconceptions.

    Right shares from 0.05 to 0.95 with six wrong behaviours; in every seventh problem one of these holds nearly all wrong samples.
    """
    share_of_misconceptions = 0.15
    right_share = rng.uniform(0.05, 0.95, size=(problems, 1))
    wrong = rng.dirichlet(np.ones(6), size=problems)
    mistaken = rng.random(problems) < share_of_misconceptions
    right_share[mistaken] *= 0.3
    wrong[mistaken] = [0.9, *[0.02] * 5]
    shares = np.concatenate([right_share, (1 - right_share) * wrong], axis=1)
    votes = np.array([rng.multinomial(VOTERS, p) for p in shares])
    right, top = elect(votes, rng) == 0, votes.max(axis=1) / VOTERS
    measured = {}
    for floor in (0.0, 0.45, 0.6):
        inside = top >= floor
        measured[f"labels right, top share >= {floor:g}"] = float(right[inside & ~mistaken].mean())
    measured["misconceptions, of those kept at 0.6"] = float(mistaken[top >= 0.6].mean())
    measured["misconceptions, of all"] = float(mistaken.mean())
    rising = [v for k, v in measured.items() if k.startswith("labels")]
    says = "A floor on the top share drops thin, often wrong votes; misconceptions pass it, and their part of what is left grows."
    predicted = {"labels right, top share >= 0.6, above": rising[0]}
    predicted["misconceptions, of those kept at 0.6, above"] = measured["misconceptions, of all"]
    holds = rising == sorted(rising) and measured["misconceptions, of those kept at 0.6"] > measured["misconceptions, of all"]
    return Statement("band-floor", says, predicted, measured, holds)


def ceiling(rng: np.random.Generator) -> Statement:
    """With an upper edge a problem is left alone once its top share has reached it."""
    upper = 0.9
    shares = np.array([0.4, 0.35, 0.25])
    for _ in range(4000):
        if shares.max() >= upper:
            break
        shares = step(shares, soft(shares), 0.01)
    says = "The band's upper edge stops a problem there: its entropy does not go on to zero."
    return Statement(
        "band-ceiling",
        says,
        {"top share at the end": upper},
        {"top share at the end": float(shares.max())},
        abs(shares.max() - upper) < 5e-3,
    )


def where_the_update_goes(rng: np.random.Generator, problems: int) -> Statement:
    """Part of all update that goes to nearly unanimous and to thin votes, with and without division by the group's deviation."""
    winners = rng.uniform(0.02, 0.98, size=problems)
    mean_only, divided = winners * (1 - winners), np.sqrt(winners * (1 - winners))

    def outside(size: np.ndarray) -> float:
        return float(size[(winners < 0.2) | (winners > 0.8)].sum() / size.sum())

    def integral(power: float) -> float:
        grid = np.linspace(0.02, 0.98, 200_001)
        size = (grid * (1 - grid)) ** power
        return float(size[(grid < 0.2) | (grid > 0.8)].sum() / size.sum())

    says = "Mean-only advantages send less of the update to votes below 0.2 and above 0.8 than advantages divided by the deviation."
    checked = close(
        "where-the-update-goes", says, [integral(1), integral(0.5)], [outside(mean_only), outside(divided)], 4.5 / math.sqrt(problems)
    )
    return Statement(checked.name, says, checked.predicted, checked.measured, checked.holds and outside(mean_only) < outside(divided))


def plurality_share_never_falls(rng: np.random.Generator) -> Statement:
    """ds/dt = s(s − Σp²) >= 0 for the largest behaviour, and may be negative for a right one that is not."""
    rates = [(p[0] == p.max(), expected_update(p, soft)[0]) for p in (random_shares(rng, 5) for _ in range(300))]
    falls = sum(rate < 0 for largest, rate in rates if largest)
    rises = sum(rate > 0 for largest, rate in rates if not largest)
    others = sum(not largest for largest, _ in rates)
    says = "The largest behaviour gains from the first step on; a right one that is second may rise for a while before it falls."
    measured = {"falls of the largest": float(falls), "first rises of a right one that is not the largest": rises / others}
    return Statement("largest-never-falls", says, {"falls of the largest": 0.0}, measured, falls == 0 and 0 < rises < others)


def statements(rng: np.random.Generator, scale: float) -> list[Statement]:
    """scale: of the number of problems."""
    return [
        misconception(rng),
        entropy_falls(rng),
        plurality_share_never_falls(rng),
        kl_caps_the_odds(rng),
        kl_keeps_one_fixed_point(rng),
        band(rng, int(20_000 * scale)),
        ceiling(rng),
        where_the_update_goes(rng, int(20_000 * scale)),
    ]
