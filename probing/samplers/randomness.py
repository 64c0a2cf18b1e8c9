"""Counter-based uniforms: the u of a token is a pure function of (seed, prompt, sample, step).

A stateful generator would tie a sample to whatever shared its batch. Here a row carries a 64-bit key and a draw is a hash of key and step
(counter-based generation, Salmon et al. 2011; the mixer and its increment are those of SplitMix64, Steele et al. 2014).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

U64 = npt.NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mix(x: U64) -> U64:
    """SplitMix64's finaliser: a bijection of 64-bit words with full avalanche. uint64[N] -> uint64[N]."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def row_keys(seed: int, prompts: npt.ArrayLike, samples: npt.ArrayLike) -> U64:
    """uint64[N] keys of N rows from their prompt and sample indices (int[N], non-negative)."""
    key = _mix(np.full(np.shape(prompts), seed % 2**64, dtype=np.uint64) + _GOLDEN)
    key = _mix(key ^ (np.asarray(prompts).astype(np.uint64) + np.uint64(1)) * _GOLDEN)
    return _mix(key ^ (np.asarray(samples).astype(np.uint64) + np.uint64(1)) * _GOLDEN)


def uniforms(keys: U64, steps: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """float64[N] in [0, 1), for the token at place `steps` (int[N], 0 is the first new token) of each row."""
    counter = np.asarray(steps).astype(np.uint64) + np.uint64(1)
    return (_mix(keys + counter * _GOLDEN) >> np.uint64(11)).astype(np.float64) * 2.0**-53
