"""Executions that our sandbox lost are made again at the next start, however many there were."""

from __future__ import annotations

import contextlib
import functools
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from probing.records import Candidate, Problem, TestSuite
from rewards.records import Execution, Program
from rl.config.schema import Config
from rl.loop.labelling import execute_candidates
from rl.loop.round import RoundError
from rl.ranks.executor import PART_PROGRAMS, SharedExecutor, discard_lost
from rl.ranks.ranks import Ranks
from rl.run import Run
from tests.rl.fakes import missing, value


class Sandboxes:
    """Loses the programs of some numbers; counts what it was given."""

    def __init__(self, lost: Iterable[int]) -> None:
        self.lost, self.counts, self.ran = set(lost), Counter[str](), list[int]()

    def run(self, programs: Iterable[Program]) -> Iterator[Execution]:
        for program in programs:
            number = int(program.code.rpartition(" ")[2])
            self.ran.append(number)
            yield Execution((missing() if number in self.lost else value(number),))


def executor(sandbox: Any, folder: Path, rank: int = 0, ranks: int = 1) -> SharedExecutor:
    return SharedExecutor(sandbox, Ranks(rank, ranks), folder, Counter(), lambda done: None)


PROGRAMS = [Program(f"def f(x): return {i}", "f", ("[1]",)) for i in range(2 * PART_PROGRAMS + 5)]


def test_parts_with_lost_executions_are_run_again_and_the_others_are_not(tmp_path: Path) -> None:
    broken, healthy = Sandboxes({PART_PROGRAMS + 3}), Sandboxes(())
    executor(broken, tmp_path, 1, 2).run(PROGRAMS)  # the second rank runs its part, and reads none
    assert sum(e.missing for e in executor(broken, tmp_path, 0, 2).run(PROGRAMS)) == 1
    assert len(broken.ran) == len(PROGRAMS)
    discard_lost(tmp_path)
    assert [e.outcomes[0] for e in executor(healthy, tmp_path).run(PROGRAMS)] == [value(i) for i in range(len(PROGRAMS))]
    assert healthy.ran == list(range(PART_PROGRAMS, 2 * PART_PROGRAMS))


def start(folder: Path, sandbox: Sandboxes) -> Any:
    """The stage of executions in a run of one rank, as `rl.run.Run` drives them."""
    run: Any = SimpleNamespace(
        main=True,
        ranks=Ranks(0, 1),
        executor=sandbox,
        bar=lambda *words: contextlib.nullcontext(lambda done: None),
        timed=lambda *words: contextlib.nullcontext(),
        round_folder=lambda index: folder,
        log_outcomes=lambda index, counts: None,
    )
    run.once = functools.partial(Run.once, run)
    current: Any = SimpleNamespace(
        run=run,
        index=1,
        folder=folder,
        config=Config(),
        sampler=SimpleNamespace(close=lambda: None),
        problems=[Problem("p", "t", "d", "f", "def f(x: int) -> int:", "", "topic")],
        suites=[TestSuite("p", ("[1]",), ("model",))],
        candidates=[Candidate("p", i, "", f"def f(x): return {i}", (1,), (-0.1,), True) for i in range(4)],
    )
    execute_candidates(current)
    return current


def test_a_round_that_stopped_at_a_broken_sandbox_goes_on_with_a_healthy_one(tmp_path: Path) -> None:
    with pytest.raises(RoundError, match="failed on 4 of 4 programs"):
        start(tmp_path, Sandboxes(range(4)))
    assert not (tmp_path / "executions.jsonl").exists()
    healthy = Sandboxes(())
    current = start(tmp_path, healthy)
    assert healthy.ran == [0, 1, 2, 3] and not any(p.execution.missing for p in current.executions)
