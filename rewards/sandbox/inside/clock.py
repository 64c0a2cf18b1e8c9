"""A clock and an entropy source that tell every program the same: what depends on the date or on chance can be compared.

Standard library only (runs in the zygote, before it forks). Wall clocks and stopwatches start at a fixed moment and advance by a
millisecond a reading, so that loops which wait for them end. `time.monotonic` stays real: event loops and queues wait with it.
"""

from __future__ import annotations

import ctypes
import datetime
import gc
import itertools
import os
import random
import time
from collections.abc import Callable
from typing import Any

START_MS = 1_700_000_000_000  # 2023-11-14 22:13:20 UTC
APART_MS = 34_567_890_123  # between the clocks of two seeds: 400 days, 2 h and odd minutes
_STOPWATCHES = ("perf_counter", "process_time", "thread_time")
_FROM_SECONDS = ("localtime", "gmtime", "ctime")  # of now, when called without an argument


class Chance:
    """Readings and random bytes, in a fixed order from the last start()."""

    __slots__ = ("_bytes", "_next", "seed")

    def __init__(self) -> None:
        self.seed = 0  # another one for the second run of a program that is checked for determinism
        self.start()

    def start(self) -> None:
        """Begin anew, for the next program."""
        self._next = itertools.count(START_MS + self.seed * APART_MS).__next__
        self._bytes: random.Random | None = None

    def milliseconds(self) -> int:
        return self._next()

    def urandom(self, size: int) -> bytes:
        if self._bytes is None:
            self._bytes = random.Random(self.seed)
        return self._bytes.randbytes(size)


chance = Chance()


def install(seed: int, real_clock: bool = False) -> None:
    """Replace what Python offers of clocks (unless they are to be real) and of the system's entropy.

    The same seed gives the same readings and the same chance.
    """
    chance.seed = seed
    chance.start()
    if not real_clock:
        _install_clocks()
        _install_dates()
    _install_entropy()


def _install_clocks() -> None:
    for name in ("time", *_STOPWATCHES):
        setattr(time, name, lambda: chance.milliseconds() / 1000)
        setattr(time, f"{name}_ns", lambda: chance.milliseconds() * 1_000_000)
    for name in ("clock_gettime", "clock_gettime_ns"):
        setattr(time, name, _of_clock(getattr(time, name), 1e-3 if name == "clock_gettime" else 1_000_000))
    for name in _FROM_SECONDS:
        setattr(time, name, _of_now(getattr(time, name)))
    real_asctime, real_strftime = time.asctime, time.strftime
    time.asctime = lambda *parts: real_asctime(*parts or (time.localtime(),))
    time.strftime = lambda form, *parts: real_strftime(form, *parts or (time.localtime(),))


def _of_clock(real: Callable[[int], Any], unit: float) -> Callable[[int], Any]:
    """clock_gettime(_ns): fixed for every clock but the monotonic ones."""
    monotonic = {getattr(time, name) for name in dir(time) if name.startswith(("CLOCK_MONOTONIC", "CLOCK_BOOTTIME"))}
    return lambda clock: real(clock) if clock in monotonic else chance.milliseconds() * unit


def _of_now(real: Callable[..., Any]) -> Callable[..., Any]:
    return lambda seconds=None: real(time.time() if seconds is None else seconds)


def _install_dates() -> None:
    """now, utcnow and today, in place: the classes stay the same."""

    def now(cls: type[datetime.datetime], tz: datetime.tzinfo | None = None) -> datetime.datetime:
        return cls.fromtimestamp(time.time(), tz)

    def utcnow(cls: type[datetime.datetime]) -> datetime.datetime:
        return cls.fromtimestamp(time.time(), datetime.UTC).replace(tzinfo=None)

    def today(cls: type[datetime.date]) -> datetime.date:
        return cls.fromtimestamp(time.time())

    for kind, functions in ((datetime.datetime, (now, utcnow)), (datetime.date, (today,))):
        [attributes] = gc.get_referents(vars(kind))  # the dict behind the read-only view
        attributes.update({function.__name__: classmethod(function) for function in functions})
        ctypes.pythonapi.PyType_Modified(ctypes.py_object(kind))


def _install_entropy() -> None:
    """os.urandom, and generators that nobody seeded."""
    real_seed = random.Random.seed

    def seed(self: random.Random, a: Any = None, version: int = 2) -> None:
        real_seed(self, chance.milliseconds() if a is None else a, version)

    os.urandom = random._urandom = chance.urandom  # type: ignore[attr-defined]
    random.Random.seed = seed  # type: ignore[method-assign]
    random.seed = random._inst.seed
    random.seed(chance.seed)
