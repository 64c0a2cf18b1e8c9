"""Random inputs by type, edge cases included: for behaviour probes, hidden bench inputs and the test-writing skill."""

from __future__ import annotations

import functools
import random

# fmt: off
VOCABULARY = (
    "apple", "Berry", "car", "dot", "East", "fig", "tree", "noon", "level", "Ant", "rose", "sea",
    "oat", "Iris", "note", "stone", "tin", "rain", "Eve", "sun", "air", "nose", "train", "otter",
    "Anna", "rest", "art", "tea", "ear", "Otto", "inn", "star", "toast", "reason", "noise", "ratio",
)
# fmt: on
_SYMBOLS = "!?.-_,"


def random_int(rng: random.Random) -> int:
    return rng.choice((0, 1, -1, rng.randint(-9, 9), rng.randint(-99, 99), rng.randint(10, 999), rng.randint(-999, 999)))


def random_list(rng: random.Random) -> list[int]:
    low, high = rng.choice(((-9, 9), (0, 9), (-20, 20), (1, 30), (0, 4)))
    return [rng.randint(low, high) for _ in range(rng.choice((0, 1, 2, 3, 4, 5, 6, 7, 8)))]


def random_word(rng: random.Random) -> str:
    word = rng.choice(VOCABULARY)
    return rng.choice((word, word, word.lower(), word.upper(), word + str(rng.randint(0, 99)), word[: rng.randint(1, 3)]))


def random_string(rng: random.Random) -> str:
    words = [random_word(rng) for _ in range(rng.choice((0, 1, 1, 2, 2, 3, 4)))]
    text = rng.choice((" ", " ", "  ")).join(words)
    return text + rng.choice(("", "", "", rng.choice(_SYMBOLS), " ", " " + str(rng.randint(0, 99))))


def random_words(rng: random.Random) -> list[str]:
    words = [random_word(rng) for _ in range(rng.choice((0, 1, 2, 3, 4, 5, 6)))]
    if words and rng.random() < 0.4:
        words.insert(rng.randrange(len(words)), rng.choice(words))
    return words


def random_dict(rng: random.Random) -> dict[str, int]:
    low, high = rng.choice(((-9, 9), (0, 9), (1, 30), (-3, 3)))
    return {random_word(rng): rng.randint(low, high) for _ in range(rng.choice((0, 1, 2, 3, 4, 5)))}


GENERATORS = {
    "int": random_int,
    "list[int]": random_list,
    "str": random_string,
    "list[str]": random_words,
    "dict[str, int]": random_dict,
}


def random_inputs(source: str, count: int, seed: int) -> tuple[str, ...]:
    """`count` distinct inputs of a type, each as Python source of the value."""
    rng = random.Random(f"{source} {seed}")
    found: dict[str, None] = {}
    while len(found) < count:
        found[repr(GENERATORS[source](rng))] = None
    return tuple(found)


@functools.cache
def probe_inputs(source: str) -> tuple[str, ...]:
    """The fixed inputs (24 a type) on which behaviours are compared."""
    return random_inputs(source, 24, seed=20_251)
