"""Short names of outcome kinds, for the tables of attacks."""

from __future__ import annotations

from rewards.records import Kind

V, X, T, M, K, L, U, R = (
    Kind.VALUE,
    Kind.EXCEPTION,
    Kind.TIMEOUT,
    Kind.MEMORY,
    Kind.KILLED,
    Kind.TOO_LARGE,
    Kind.UNSERIALISABLE,
    Kind.REFUSED,
)
