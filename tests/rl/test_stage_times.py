"""Times of stages over several processes of a run: what a killed one spent is counted, and once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rl.progress import ProgressFile, read_progress
from rl.stage_times import StageTimes


class Clock:
    """Unix seconds, set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def killed_in(folder: Path, clock: Clock, name: str, seconds: float) -> None:
    """A process that is killed in a stage of round 1 after so many seconds: no end is written, only how things stood."""
    progress = ProgressFile(folder, clock=clock)
    with progress.stage(1, name):
        clock.now += seconds
        progress._write()


def opened(folder: Path, clock: Clock) -> StageTimes:
    """As a run opens them."""
    times = StageTimes(folder, clock)
    times.take_over(read_progress(folder))
    return times


def test_a_stage_takes_what_all_processes_spent_in_it(tmp_path: Path, clock: Clock) -> None:
    killed_in(tmp_path, clock, "training", 40.0)
    clock.now += 500.0  # nobody at work
    killed_in_again = opened(tmp_path, clock)
    assert (killed_in_again.seconds, killed_in_again.total()) == ({}, 40.0)  # no stage has ended
    killed_in(tmp_path, clock, "training", 20.0)
    last = opened(tmp_path, clock)
    last.add(1, "training", 5.0, 100.0)
    last.write()
    assert StageTimes(tmp_path).seconds == {"1": {"training": 65.0}} and StageTimes(tmp_path).total() == 65.0


def test_a_process_that_ends_before_it_begins_a_stage_adds_nothing(tmp_path: Path, clock: Clock) -> None:
    killed_in(tmp_path, clock, "training", 40.0)
    for _ in range(3):
        clock.now += 1.0
        assert opened(tmp_path, clock).total() == 40.0


def test_a_stage_that_ended_is_not_counted_again(tmp_path: Path, clock: Clock) -> None:
    """Killed within two seconds of its end: progress.json still has it."""
    killed_in(tmp_path, clock, "solutions", 30.0)
    times = StageTimes(tmp_path, clock)
    times.add(1, "solutions", 31.0, 100.0)
    times.write()
    assert opened(tmp_path, clock).total() == 31.0


def test_the_next_stage_is_counted_after_one_that_ended(tmp_path: Path, clock: Clock) -> None:
    times = StageTimes(tmp_path, clock)
    times.add(1, "solutions", 31.0, 100.0)
    times.write()
    clock.now += 0.5
    killed_in(tmp_path, clock, "training", 7.0)
    found = opened(tmp_path, clock)
    assert (found.seconds, found.unfinished) == ({"1": {"solutions": 31.0}}, {"1": {"training": 7.0}})
    assert found.of(1) == {"solutions": 31.0, "training": 7.0} and found.of(2) == {}


def test_a_run_that_failed_in_a_stage_has_spent_its_time_too(tmp_path: Path, clock: Clock) -> None:
    progress = ProgressFile(tmp_path, clock=clock)
    with pytest.raises(RuntimeError), progress.stage(1, "training"):
        clock.now += 12.0
        raise RuntimeError
    progress.close(RuntimeError("no memory"))
    assert opened(tmp_path, clock).total() == 12.0


@pytest.mark.parametrize("text", [None, "", "{", '{"stage": null}'])
def test_a_progress_file_that_tells_nothing_stops_no_run(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "progress.json").write_text(text)
    assert opened(tmp_path, Clock()).total() == 0.0


def test_a_file_of_an_earlier_version_is_read(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "times.json").write_text(json.dumps({"stages": {"1": {"solutions": 3.0}}, "peak_memory_mb": 9.0}))
    killed_in(tmp_path, clock, "training", 4.0)
    times = opened(tmp_path, clock)
    assert (times.total(), times.peak_memory, times.memory) == (7.0, 9.0, {})
