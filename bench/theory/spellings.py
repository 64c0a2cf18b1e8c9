"""When a vote is worth more than greedy decoding, and more than any temperature: where right behaviours have many spellings.

A problem is a policy over texts: `texts` float64[m] with the behaviour `of` int64[m] of each; behaviour 0 is right. Greedy decoding is
taken to find the likeliest text; token by token it may miss even that (`token_greedy`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.theory.statement import Statement
from bench.theory.vote import winner_chances

TEMPERATURES = (0.0, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)


@dataclass(frozen=True, eq=False)
class Texts:
    """One problem's texts."""

    texts: np.ndarray  # float64[m], sums to 1
    of: np.ndarray  # int64[m]: behaviour of each text; 0 is right

    @property
    def shares(self) -> np.ndarray:
        """float64[k]: of the behaviours."""
        return np.bincount(self.of, self.texts)

    def right_at(self, temperature: float) -> float:
        """Chance of a right answer at a temperature of whole texts; at 0 the likeliest text."""
        if temperature == 0:
            return float(self.of[self.texts.argmax()] == 0)
        sharper = (self.texts / self.texts.max()) ** (1 / temperature)
        return float(sharper[self.of == 0].sum() / sharper.sum())

    def trained(self, time: float) -> Texts:
        """After the replicator ran on the label of a large vote: the texts of the winner grow alike, by e^time against the others."""
        grown = self.texts * np.exp(time * (self.of == self.shares.argmax()))
        return Texts(grown / grown.sum(), self.of)


def population(rng: np.random.Generator, problems: int, spellings: int) -> list[Texts]:
    """Problems with a right and seven wrong behaviours of unequal shares. The right one has up to `spellings` texts, wrong ones up to a
    third as many (faults are few words in few forms), their weights unequal."""
    found = []
    for _ in range(problems):
        shares = rng.dirichlet(np.array([2.0, *[0.5] * 7]))
        counts = [int(rng.integers(1, spellings + 1)), *rng.integers(1, max(2, spellings // 3 + 1), size=7).tolist()]
        texts = np.concatenate([share * rng.dirichlet(np.full(count, 0.7)) for share, count in zip(shares, counts, strict=True)])
        found.append(Texts(texts, np.repeat(np.arange(8), counts)))
    return found


def figures(problems: Sequence[Texts]) -> dict[str, float]:
    """Means over problems of what decoding and voting reach."""
    by_temperature = {t: float(np.mean([p.right_at(t) for p in problems])) for t in TEMPERATURES}
    return {
        "pass@1 at T = 1": by_temperature[1.0],
        "greedy": by_temperature[0.0],
        "best temperature": max(by_temperature.values()),
        "majority@16": float(np.mean([winner_chances(p.shares, 16)[0] for p in problems])),
        "majority of infinitely many": float(np.mean([p.shares.argmax() == 0 for p in problems])),
    }


def one_spelling(rng: np.random.Generator, problems: int) -> Statement:
    """One text for each behaviour: greedy decoding is already the vote."""
    measured = figures(population(rng, problems, spellings=1))
    largest = measured["majority of infinitely many"]
    says = "Where each behaviour has one text, greedy decoding equals the vote of infinitely many: training can only sharpen."
    holds = measured["greedy"] == largest and max(measured["best temperature"], measured["majority@16"]) < largest + 0.01
    return Statement("one-spelling", says, {"greedy": largest, "best temperature": largest}, measured, holds)


def many_spellings(rng: np.random.Generator, problems: int) -> Statement:
    """Up to 30 texts for the right behaviour: the vote beats every temperature, and what is trained on it decodes right."""
    drawn = population(rng, problems, spellings=30)
    measured = figures(drawn)
    measured["greedy after training on the vote"] = float(np.mean([p.trained(12.0).right_at(0.0) for p in drawn]))
    says = "Where right behaviours have more texts than wrong ones, a vote beats the best temperature, and greedy decoding learns it."
    largest = measured["majority of infinitely many"]
    holds = measured["best temperature"] < measured["majority@16"]
    holds = holds and abs(measured["greedy after training on the vote"] - largest) < 0.01
    return Statement("many-spellings", says, {"greedy after training on the vote": largest}, measured, holds)


def greedy_flips(rng: np.random.Generator, problems: int) -> Statement:
    """Greedy turns to the winner once e^t exceeds the ratio of the likeliest texts: just below it has not, just above it has."""
    wrong = cases = 0
    for problem in population(rng, problems, spellings=30):
        winner = problem.shares.argmax()
        ratio = problem.texts[problem.of != winner].max() / problem.texts[problem.of == winner].max()
        if ratio <= 1:
            continue  # greedy decodes the winner already
        cases += 1
        for factor, flipped in ((0.99, False), (1.01, True)):
            after = problem.trained(float(np.log(ratio * factor)))
            wrong += (after.of[after.texts.argmax()] == winner) != flipped
    says = "Greedy decoding turns to the vote's winner when the update's e^t exceeds the ratio of the likeliest other text to its own."
    return Statement(
        "greedy-flips", says, {"exceptions": 0.0}, {"exceptions": float(wrong), "cases": float(cases)}, not wrong and cases > 0
    )


def breadth_is_lost(rng: np.random.Generator, problems: int) -> Statement:
    """At the end of training on the vote pass@16 has fallen to pass@1: what was right in a minority cannot be sampled any more."""
    drawn = population(rng, problems, spellings=30)

    def pass_at(k: int, found: Sequence[Texts]) -> float:
        return float(np.mean([1 - (1 - p.right_at(1.0)) ** k for p in found]))

    after = [p.trained(12.0) for p in drawn]
    largest = float(np.mean([p.shares.argmax() == 0 for p in drawn]))
    measured = {"pass@16 before": pass_at(16, drawn), "pass@1 after": pass_at(1, after), "pass@16 after": pass_at(16, after)}
    says = "Trained to the end, pass@1 and pass@16 both become the share of problems whose largest behaviour is right."
    predicted = {
        "pass@16 before": float(np.mean([1 - (1 - p.shares[0]) ** 16 for p in drawn])),
        "pass@1 after": largest,
        "pass@16 after": largest,
    }
    return Statement("breadth-is-lost", says, predicted, measured, all(abs(measured[k] - predicted[k]) < 0.01 for k in predicted))


def token_greedy(rng: np.random.Generator, problems: int, depth: int = 6, branches: int = 3) -> Statement:
    """Random trees of tokens with a behaviour at each leaf: how often is the greedy leaf the likeliest, and how often the vote's?"""
    likeliest = elected = mode_elected = 0
    for _ in range(problems):
        steps = [rng.dirichlet(np.full(branches, 0.7), size=branches**level) for level in range(depth)]
        texts, node = np.ones(1), 0
        for chances in steps:
            texts = (texts[:, None] * chances).ravel()
            node = node * branches + int(chances[node].argmax())
        of = rng.choice(6, size=len(texts), p=[0.35, 0.25, 0.15, 0.1, 0.1, 0.05])
        winner = np.bincount(of, texts, minlength=6).argmax()
        likeliest += node == texts.argmax()
        elected += of[node] == winner
        mode_elected += of[texts.argmax()] == winner
    measured = {
        "greedy text is the likeliest": float(likeliest) / problems,
        "likeliest text has the vote's behaviour": float(mode_elected) / problems,
        "greedy text has the vote's behaviour": float(elected) / problems,
    }
    says = (
        "Decoded token by token, greedy often is not even the likeliest text; either has the vote's behaviour in part of the problems only."
    )
    below = dict.fromkeys(measured, 0.9)  # upper limits
    return Statement("token-greedy", says, below, measured, all(measured[key] < below[key] for key in below))


def statements(rng: np.random.Generator, scale: float) -> list[Statement]:
    """scale: of the number of problems."""
    return [
        one_spelling(rng, int(150 * scale)),
        many_spellings(rng, int(150 * scale)),
        greedy_flips(rng, int(300 * scale)),
        breadth_is_lost(rng, int(500 * scale)),
        token_greedy(rng, int(500 * scale)),
    ]
