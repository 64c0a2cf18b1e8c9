"""The sandboxes of all ranks as one: each executes its parts, and all ranks get all executions (`rl.ranks.shards`)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from rewards.judge.determinism import Steady
from rewards.records import Execution, Program
from rl.ranks.ranks import Ranks
from rl.ranks.shards import Shards, cut

PART_PROGRAMS = 512

Part = tuple[list[Execution], Counter[str]]


class SharedExecutor:
    """Runs programs as `Sandbox.run` does, on every rank's sandbox.

    folder: of these executions' parts, one folder for each call. counts: gets what all ranks' sandboxes count (outcomes, lanes, worker
    deaths) as results are handed out. progress: called with how many programs have just finished.
    """

    def __init__(self, sandbox: Steady, ranks: Ranks, folder: Path, counts: Counter[str], progress: Callable[[int], None]) -> None:
        self.sandbox, self.ranks, self.folder, self.counts, self.progress = sandbox, ranks, folder, counts, progress

    def run(self, programs: Iterable[Program]) -> Iterator[Execution]:
        """Executions in input order. Every rank calls it with the same programs; this rank's share is run before it returns."""
        programs, finished = list(programs), 0
        parts = cut([1] * len(programs), PART_PROGRAMS)

        def execute(part: int) -> Part:
            nonlocal finished
            before, executions = Counter(self.sandbox.counts), []
            for execution in self.sandbox.run(programs[i] for i in parts[part]):
                executions.append(execution)
                finished += 1
                self.progress(1)
            counted = Counter(self.sandbox.counts)
            counted.subtract(before)
            return executions, counted

        shards = Shards(self.ranks, self.folder, len(parts), execute, write_part, read_part)
        shards.do_mine()
        self.progress(len(programs) - finished)  # what other ranks run, or an earlier start of the run has run

        def results() -> Iterator[Execution]:
            for executions, counted in shards.results():
                self.counts.update(counted)
                yield from executions

        return results()


def write_part(path: Path, part: Part) -> None:
    executions, counts = part
    with path.open("w", encoding="utf-8") as file:
        file.write(json.dumps(counts) + "\n")
        for execution in executions:
            file.write(json.dumps(execution.as_row()) + "\n")


def read_part(path: Path) -> Part:
    with path.open(encoding="utf-8") as file:
        counts: Counter[str] = Counter(json.loads(next(file)))
        return [Execution.of_row(json.loads(line)) for line in file], counts


def discard_lost(folder: Path) -> None:
    """Remove the parts that hold executions our sandbox lost, so that the next start runs their programs again.

    For one rank to call, once no rank reads the parts any more.
    """
    for path in sorted(folder.glob("[0-9]*")):
        if any(execution.missing for execution in read_part(path)[0]):
            path.unlink()
