"""When will a call to the sampler end? Told from tokens: samples that are decoded side by side end late, and many at once.

Two things are estimated. How long samples get: from those that ended and from the ages of those under way, as survival is in medicine
(Kaplan and Meier, 1958); beyond the ages that any sample has reached, the rate of ending is taken to grow from what it was of late. What a
step costs: a part that is the same for any number of rows and a part for each row, by least squares.

Both ends of a range are worked out, and the forecast is their geometric mean. There is none while the range is wider than a factor of
four, or while too few samples have ended to tell their lengths: a call of one to three batches is well under way by then.

Shapes: T tokens that a sample may have (place t: about its token t), B samples under way.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

EXPECTED_SHARE = 0.3  # of the length limit: the mean length that is expected before anything is known
EXPECTED_WEIGHT = 1.0, 0.02  # of that expectation, in samples: always, and for each sample under way
EVIDENCE = 1 / 16  # of the rows: so many samples have to have ended before a forecast is made
DOUBT = 1.5  # deviations of the rate of ending that the range covers, on either side
LAST = 2.0, 0.1  # samples that are expected to be under way at the end: at the early end of the range, and at the late one
WIDEST = 4.0  # late end of the range over its early end, at most, for a forecast to be made
SOON = 5.0  # seconds: a range that is no wider is good enough, whatever its ratio
EVERY = 0.2  # seconds between two forecasts: a small model's step takes less than a forecast
RECENT = 0.8  # "of late": from this share of the highest age on
FIXED_SHARE = {"cpu": 0.1, "cuda": 0.7}  # of a step's time that is expected not to depend on the number of rows: computing, or reading
MEMORY = 0.5  # share of the time spent, over which the costs of steps are averaged


class Forecast:
    """Seconds that are left of one call.

    samples: that were asked for. prompt_tokens: to be read before them. most: tokens that a sample may have. device: "cpu" or "cuda".
    """

    def __init__(
        self, samples: int, prompt_tokens: int, most: int, device: str = "cpu", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.samples, self.prompt_tokens, self.most, self.clock = samples, prompt_tokens, most, clock
        self.ended_T = np.zeros(most + 1)  # samples by their length
        self.read, self.read_seconds = 0, 0.0  # prompt tokens read, and the time that it took
        self.rows = 0  # most samples that were under way at once
        self.costs = StepCosts(FIXED_SHARE.get(device, 0.5))
        self.last = clock()
        self.told: tuple[float, float | None] = -math.inf, None  # when a forecast was made last, and what it said

    def prompts_read(self, tokens: int) -> None:
        """That many prompt tokens have been read since the last call."""
        self.read += tokens
        self.read_seconds += self._passed()

    def tokens_drawn(self, tokens: int, lengths: Ints) -> None:
        """That many tokens have been drawn since the last call, one a row, and samples of these `lengths` have ended by it."""
        self.rows = max(self.rows, tokens)
        self.costs.add(tokens, self._passed())
        np.add.at(self.ended_T, lengths, 1)

    def seconds_left(self, ages_B: Ints) -> float | None:
        """Seconds until all samples are there; None while that cannot be told. ages: tokens so far of each sample under way."""
        waiting = self.samples - int(self.ended_T.sum()) - len(ages_B)
        if not waiting and not len(ages_B):
            return 0.0
        if not self.rows or self.ended_T.sum() < EVIDENCE * self.rows:
            return None
        if self.last - self.told[0] < EVERY and self.told[1] is not None:
            return max(0.0, self.told[1] - (self.last - self.told[0]))
        early, late = (self._seconds(waiting, ages_B, *of_range) for of_range in zip((1, -1), LAST, strict=True))
        self.told = self.last, max(math.sqrt(early * late), late / 2) if late < max(WIDEST * early, early + SOON) else None
        return self.told[1]

    def _seconds(self, waiting: int, ages_B: Ints, doubt: int, last: float) -> float:
        """One end of the range: `doubt` times `DOUBT` deviations off the rate of ending, until `last` samples are under way."""
        survival_T = self.survival(ages_B, doubt)
        alive_T = np.bincount(ages_B, minlength=self.most + 1).astype(float)
        to_come_T = survival_T[::-1].cumsum()[::-1] - survival_T  # sum over later tokens of the chance to be drawn
        tokens = waiting * to_come_T[0] + float((alive_T * to_come_T / survival_T).sum())
        last_T = alive_T / survival_T
        last_T[0] += min(waiting, self.rows)
        steps = waiting * to_come_T[0] / self.rows + _last_end(last_T, survival_T, last)  # all rows are in use until none waits
        reading = (self.prompt_tokens - self.read) * self.read_seconds / self.read if self.read else 0.0
        return reading + self.costs.seconds(steps, tokens)

    def survival(self, ages_B: Ints, doubt: int = 0) -> Floats:
        """The chance that a sample has more than t tokens, float64[T + 1], never zero. doubt: see `_seconds`."""
        t_T = np.arange(self.most + 1)
        reached_T = (self.ended_T + np.bincount(ages_B, minlength=self.most + 1))[::-1].cumsum()[::-1]  # t tokens or more: exposed at t
        highest = int(np.flatnonzero(reached_T)[-1]) if reached_T[0] else 0
        weight = EXPECTED_WEIGHT[0] + EXPECTED_WEIGHT[1] * len(ages_B)
        expected = 3 * (math.gamma(4 / 3) / EXPECTED_SHARE / self.most) ** 3  # rate of ending over t², of Weibull's distribution
        late_T = (t_T >= RECENT * highest) & (t_T <= highest)
        growth = (self.ended_T[late_T].sum() + weight) / ((reached_T * t_T**2)[late_T].sum() + weight / expected)
        beyond_T = growth * (t_T if doubt >= 0 else np.minimum(t_T, highest)) ** 2  # late end: the rate grows no more
        rate_T = (self.ended_T + beyond_T) / (reached_T + 1)  # one sample's weight, which bridges ages that few have reached
        rate_T[highest + 1 :] = beyond_T[highest + 1 :] * math.exp(doubt * DOUBT / math.sqrt(self.ended_T[late_T].sum() + weight))
        rate_T[: highest + 1] *= math.exp(doubt * DOUBT / math.sqrt(self.ended_T.sum() + weight))
        survival_T: Floats = np.maximum((1 - rate_T.clip(0, 0.99)).cumprod(), 1e-12)
        survival_T[-1] = 1e-12  # nothing goes beyond the limit
        return survival_T

    def _passed(self) -> float:
        now = self.clock()
        passed, self.last = now - self.last, now
        return passed


class StepCosts:
    """Seconds of a step and of a row in it: least squares over the steps so far, the older the less."""

    def __init__(self, fixed_share: float) -> None:
        self.fixed_share = fixed_share
        self.sums = np.zeros(5)  # weights, rows, rows squared, seconds, seconds times rows
        self.spent = 0.0

    def add(self, rows: int, seconds: float) -> None:
        self.spent += seconds
        self.sums *= math.exp(-seconds / max(MEMORY * self.spent, 1e-9))
        self.sums += (1, rows, rows**2, seconds, seconds * rows)

    def seconds(self, steps: float, tokens: float) -> float:
        """What so many steps cost in which so many tokens are drawn."""
        count, rows, squares, spent, products = self.sums
        mean_rows, mean_seconds = rows / count, spent / count
        # beside the steps that were made, one whose fixed part is what is expected, so that steps of equal size tell something too
        spread, together = squares / count - mean_rows**2, products / count - mean_rows * mean_seconds
        prior = 0.01 * mean_rows**2
        slope = (together + prior * (1 - self.fixed_share) * mean_seconds / mean_rows) / (spread + prior)
        bounded = min(max(float(slope), 0.0), float(mean_seconds / mean_rows))
        return float(steps * (mean_seconds - bounded * mean_rows) + tokens * bounded)


def _last_end(starts_T: Floats, survival_T: Floats, last: float) -> float:
    """Steps until fewer than `last` samples are expected to be under way. starts: samples of each age, over the chance to reach it."""
    low, high = 0, len(survival_T) - 1
    while low < high:
        middle = (low + high) // 2
        if (starts_T[: len(survival_T) - middle] * survival_T[middle:]).sum() < last:
            high = middle
        else:
            low = middle + 1
    return float(low)
