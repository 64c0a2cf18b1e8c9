"""A rank that dies, fails or falls silent is noticed by the others, by name; one that ends well is missed by nobody."""

from __future__ import annotations

import json
import threading
import time

import pytest

from rl.ranks.ranks import RankError, Ranks


class Store:
    """A store in this process. `gone`: every use fails, as when the machine that keeps it has died."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.gone = False

    def set(self, key: str, value: str) -> None:
        self._there()
        self.values[key] = value

    def check(self, keys: list[str]) -> bool:
        self._there()
        return all(key in self.values for key in keys)

    def get(self, key: str) -> bytes:
        self._there()
        return self.values[key].encode()

    def _there(self) -> None:
        if self.gone:
            raise RuntimeError("Connection reset by peer")


class Clock:
    """Seconds, which a test can push on."""

    def __init__(self) -> None:
        self.shift, self._real = 0.0, time.monotonic

    def __call__(self) -> float:
        return self._real() + self.shift


def ranks(number: int, store: Store, ended: list[str] | None = None, grace: float = 60.0) -> Ranks:
    made = Ranks(number, 2, store=store, beat=0.01, patience=0.5, grace=grace, on_lost=(ended if ended is not None else []).append)
    made.start()
    return made


def wait_until_lost(watcher: Ranks) -> str:
    waited = threading.Event()
    for _ in range(2000):
        if watcher.lost is not None:
            break
        waited.wait(0.01)
    with pytest.raises(RankError) as caught:
        watcher.check()
    return str(caught.value)


def test_silence_is_death_and_says_whose_and_where() -> None:
    store = Store()
    first, second = ranks(0, store), ranks(1, store)
    second.at("round 2, solutions")
    threading.Event().wait(0.1)
    second.close()  # without a word, as a killed process
    assert "rank 1" in (text := wait_until_lost(first)) and "died in round 2, solutions" in text
    first.close()


def test_a_machine_that_was_paused_does_not_take_the_others_for_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    """All ranks are paused for an hour and go on; the clock goes on all the while."""
    clock = Clock()
    monkeypatch.setattr("rl.ranks.ranks.time.monotonic", clock)
    store = Store()
    first, second = ranks(0, store), ranks(1, store)
    threading.Event().wait(0.1)
    clock.shift += 3600
    threading.Event().wait(0.3)
    first.check()
    second.check()
    first.close()
    second.close()


def test_a_failure_is_passed_on_at_once() -> None:
    store = Store()
    first, second = ranks(0, store), ranks(1, store)
    second.at("round 1, executions")
    second.fail(ValueError("the sandbox is gone\nand more"))
    second.close()
    assert "failed in round 1, executions: ValueError: the sandbox is gone" in wait_until_lost(first)
    first.close()


def test_a_rank_that_ends_well_is_not_missed() -> None:
    store = Store()
    first, second = ranks(0, store), ranks(1, store)
    second.finish()
    threading.Event().wait(1.0)
    first.check()
    first.close()


def test_a_store_that_dies_ends_the_run() -> None:
    store = Store()
    first, second = ranks(0, store), ranks(1, store)
    store.gone = True
    assert "machine of rank 0" in wait_until_lost(second)
    first.close()
    second.close()


def test_a_rank_that_is_stuck_in_a_collective_is_ended() -> None:
    store, ended = Store(), list[str]()
    first, second = ranks(0, store), ranks(1, store, ended, grace=0.05)
    first.fail(RuntimeError("no memory"))
    wait_until_lost(second)
    threading.Event().wait(1.0)
    assert ended and "rank 0" in ended[0]
    first.close()
    second.close()


def test_alone_there_is_nothing_to_watch() -> None:
    alone = Ranks(0, 1)
    alone.start()
    alone.check()
    alone.fail(ValueError("x"))
    alone.finish()
    assert alone.main


def test_what_is_said_can_be_read() -> None:
    store = Store()
    first = ranks(0, store)
    said = json.loads(store.values["ucoder/rank/0"])
    assert said["kind"] == "beat" and said["host"] and said["pid"]
    first.close()
