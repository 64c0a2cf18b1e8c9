"""The forecast of a call's end, on simulated batches with a clock of their own: within a factor of two, or none."""

from collections.abc import Callable

import numpy as np
import pytest

from probing.samplers.forecast import Forecast

LENGTHS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "alike": lambda rng, n: rng.normal(150, 35, n),
    "spread": lambda rng, n: 90 * np.exp(0.5 * rng.normal(size=n)),
    "wide": lambda rng, n: rng.exponential(120, n),
    "half are cut off": lambda rng, n: np.where(rng.random(n) < 0.5, 10**6, rng.normal(200, 60, n)),
    "short": lambda rng, n: rng.normal(60, 15, n),
}


def simulate(
    lengths: np.ndarray, rows: int, most: int, prompts: int, step: Callable[[int], float], reading: float, device: str = "cpu"
) -> list[tuple[float, float | None]]:
    """(time, seconds left as they were forecast) after every eighth step; the last time is the end. Waiting samples enter as others end."""
    now = 0.0
    lengths = np.clip(lengths.astype(int), 1, most)
    each = len(lengths) // prompts
    forecast = Forecast(len(lengths), 200 * prompts, most, device, clock=lambda: now)
    queue, ages, wanted, seen, read, steps = list(lengths), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), [], 0, 0
    while queue or len(ages):
        let_in = min(rows - len(ages), len(queue))
        if let_in:
            new, queue = queue[:let_in], queue[let_in:]
            ages, wanted = np.append(ages, np.zeros(let_in, dtype=np.int64)), np.append(wanted, new)
            due = -(-(len(lengths) - len(queue)) // each) - read
            if due:
                read, now = read + due, now + 200 * due * reading
                forecast.prompts_read(200 * due)
        now += step(len(ages))
        ages = ages + 1
        ended = ages == wanted
        forecast.tokens_drawn(len(ages), ages[ended])
        ages, wanted = ages[~ended], wanted[~ended]
        steps += 1
        if steps % 8 == 0 or not (queue or len(ages)):
            seen.append((now, forecast.seconds_left(ages)))
    return seen


def judged(seen: list[tuple[float, float | None]]) -> tuple[float, float]:
    """Of the times from a tenth of the way on: the share without a forecast, and the share with a wrong one."""
    end = seen[-1][0]
    late = [(now, left) for now, left in seen if now >= 0.1 * end and end - now > 5]  # seconds: what is over at once needs no forecast
    wrong = [left for now, left in late if left is not None and not (end - now) / 2 < left < 2 * (end - now)]
    return sum(left is None for _, left in late) / len(late), len(wrong) / len(late)


@pytest.mark.parametrize("kind", LENGTHS)
@pytest.mark.parametrize("each", [1, 16])
def test_from_a_tenth_of_the_way_on_it_is_right_within_a_factor_of_two(kind: str, each: int) -> None:
    """64 rows, and 12 times as many samples, `each` of a prompt. On a CPU a step takes 30 ms, and 4 ms a row; a prompt token 2 ms."""
    lengths = LENGTHS[kind](np.random.default_rng(12), 768)
    assert judged(simulate(lengths, 64, 384, 768 // each, lambda live: 0.03 + 0.004 * live, 0.002)) == (0, 0)


@pytest.mark.parametrize("kind", LENGTHS)
@pytest.mark.parametrize("waves", [1, 2, 3])
def test_a_call_of_few_batches_says_so_or_is_right_too(kind: str, waves: int) -> None:
    """The lengths are known once some samples have ended: in the first batch that is late, or never."""
    silent, wrong = 0.0, 0.0
    for seed in range(3):
        lengths = LENGTHS[kind](np.random.default_rng(seed), 64 * waves)
        silent_now, wrong_now = judged(simulate(lengths, 64, 384, 4 * waves, lambda live: 0.03 + 0.004 * live, 0.002))
        silent, wrong = silent + silent_now / 3, wrong + wrong_now / 3
    assert wrong <= 0.15 and silent <= {1: 1.0, 2: 0.5, 3: 0.3}[waves]


@pytest.mark.parametrize("kind", LENGTHS)
def test_on_a_gpu_a_step_costs_the_same_for_any_number_of_rows(kind: str) -> None:
    lengths = LENGTHS[kind](np.random.default_rng(0), 768)
    silent, wrong = judged(simulate(lengths, 64, 384, 768, lambda live: 0.03 + 0.0001 * live, 0.00005, "cuda"))
    assert silent < 0.1 and wrong == 0


def test_nothing_is_said_before_the_first_token() -> None:
    forecast = Forecast(10, 100, 50)
    assert forecast.seconds_left(np.zeros(0, dtype=np.int64)) is None
    forecast.prompts_read(100)
    assert forecast.seconds_left(np.zeros(10, dtype=np.int64)) is None


def test_nothing_is_said_before_a_sample_has_ended_and_zero_when_all_have() -> None:
    forecast = Forecast(4, 100, 50, clock=iter(range(100)).__next__)
    for _ in range(9):
        forecast.tokens_drawn(4, np.zeros(0, dtype=np.int64))
    assert forecast.seconds_left(np.full(4, 9)) is None
    forecast.tokens_drawn(4, np.full(4, 10))
    assert forecast.seconds_left(np.zeros(0, dtype=np.int64)) == 0
