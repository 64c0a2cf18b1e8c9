"""What a vote of n samples elects: exact chances, and how fast they approach certainty.

shares float64[k]: chance of each behaviour in one sample, the right one first; what is left to 1 are samples without a vote.
"""

from __future__ import annotations

import math

import numpy as np

from bench.theory.statement import SIGMAS, Statement, close


def winner_chances(shares: np.ndarray, n: int) -> np.ndarray:
    """float64[k]: chance that each behaviour wins a plurality vote of n samples, ties broken evenly. Exact.

    The multinomial is summed by generating functions: with a votes for c, each rival holds fewer than a (a truncated exponential series in
    z) or ties (one term, counted by u); the coefficient of z^(n − a) u^t has weight 1/(t + 1). They sum to less than 1 where all n may
    be without a vote.
    """
    k, degree = len(shares), np.arange(n + 1)
    factorial = np.array([math.factorial(j) for j in degree], dtype=np.float64)
    terms = shares[:, None] ** degree / factorial  # [k, n + 1]
    silent = max(0.0, 1.0 - float(shares.sum())) ** degree / factorial
    chances = np.zeros(k)
    for a in range(1, n + 1):
        for c in range(k):
            rivals = np.zeros((min(k, n // a), n + 1))  # [ties, degree of z]
            rivals[0] = silent
            for b in range(k):
                if b == c:
                    continue
                below = np.array([np.convolve(row, terms[b, :a])[: n + 1] for row in rivals])
                below[1:, a:] += terms[b, a] * rivals[:-1, : n + 1 - a]
                rivals = below
            chances[c] += terms[c, a] * float((rivals[:, n - a] / (1 + np.arange(len(rivals)))).sum())
    return chances * factorial[n]


def elect(counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """int64[draws]: the winner of each row of votes int64[draws, k], ties broken evenly."""
    return np.argmax(counts + 0.5 * rng.random(counts.shape), axis=1)


def random_shares(rng: np.random.Generator, k: int, concentration: float = 1.0) -> np.ndarray:
    """float64[k] that sum to 1."""
    return rng.dirichlet(np.full(k, concentration))


def exact_vote(rng: np.random.Generator, draws: int) -> Statement:
    """The formula against counted votes, samples without a vote included."""
    shares = np.array([0.35, 0.25, 0.15, 0.1, 0.05])  # and a tenth without a vote
    formula, found, errors = [], [], []
    for n in (1, 2, 3, 8, 16, 64):
        chances = winner_chances(shares, n)
        counts = rng.multinomial(n, [*shares, 1 - shares.sum()], size=draws)[:, :-1]
        won = np.bincount(elect(counts, rng)[counts.any(axis=1)], minlength=len(shares)) / draws
        formula += chances.tolist()
        found += won.tolist()
        errors += (SIGMAS * np.sqrt(np.maximum(chances * (1 - chances), 1e-6) / draws)).tolist()
    says = "The chance that a vote of n samples picks a behaviour is an exact multinomial sum."
    return close("exact-vote", says, formula, found, np.array(errors))


def three_votes(rng: np.random.Generator) -> Statement:
    """V(3) − s = s · (s(1 − s) − Σ w²), on random shares."""
    cases = [random_shares(rng, int(k)) for k in rng.integers(2, 9, size=40)]
    formula = [s * (s * (1 - s) - (p[1:] ** 2).sum()) for p in cases for s in (p[0],)]
    gains = [winner_chances(p, 3)[0] - p[0] for p in cases]
    says = "Three votes beat one sample by s(s(1 − s) − Σ w²): they help where s exceeds the weighted mean of the wrong shares."
    return close("three-votes", says, formula, gains, 1e-12)


def plurality_wins(rng: np.random.Generator) -> Statement:
    """The order of chances is the order of shares, and the largest behaviour gains by every vote of three or more."""
    broken = cases = 0
    for k in rng.integers(2, 7, size=30):
        shares = np.sort(random_shares(rng, int(k)))[::-1]
        for n in (3, 7, 16):
            chances = winner_chances(shares, n)
            broken += bool((np.diff(chances) > 1e-12).any() or chances[0] < shares[0] - 1e-12)
            cases += 1
    says = "A vote prefers behaviours in the order of their shares, and elects the largest more often than one sample does."
    return Statement("plurality-wins", says, {"exceptions": 0.0}, {"exceptions": float(broken), "cases": float(cases)}, not broken)


def chernoff(shares: np.ndarray, n: int) -> float:
    """Upper limit on the chance that behaviour 0 is not the sole winner: Σ_i (1 − (√s − √w_i)²)^n; needs s > every w_i."""
    gaps = np.sqrt(shares[0]) - np.sqrt(shares[1:])
    return float(((1 - gaps**2) ** n).sum())


def votes_needed(rng: np.random.Generator) -> Statement:
    """The limit holds on random shares, and its exponent is right: what falls faster is a factor of n^(−1/2)."""
    broken = 0
    for k in rng.integers(2, 7, size=30):
        shares = np.sort(random_shares(rng, int(k)))[::-1]
        broken += sum(1 - winner_chances(shares, n)[0] > chernoff(shares, n) + 1e-12 for n in (4, 16, 32))
    shares = np.array([0.45, 0.3, 0.25])
    rate = -math.log(1 - (math.sqrt(0.45) - math.sqrt(0.3)) ** 2) + math.log(2) / 2 / 64
    wrong = [1 - winner_chances(shares, n)[0] for n in (64, 128)]
    measured = {"exceptions": float(broken), "rate a vote": math.log(wrong[0] / wrong[1]) / 64}
    says = "A wrong vote has chance Σ (1 − (√s − √w_i)²)^n at most where the right behaviour is the largest."
    holds = broken == 0 and abs(measured["rate a vote"] / rate - 1) < 0.05
    return Statement("votes-needed", says, {"exceptions": 0.0, "rate a vote": rate}, measured, holds)


def statements(rng: np.random.Generator, scale: float) -> list[Statement]:
    """scale: of the number of draws."""
    return [exact_vote(rng, int(200_000 * scale)), three_votes(rng), plurality_wins(rng), votes_needed(rng)]
