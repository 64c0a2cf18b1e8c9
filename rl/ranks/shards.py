"""A stage's work in parts: shared by the ranks, left as files, joined in order.

    RUN/round_01/parts/solutions/00000 00001 ...     part k is done by rank k modulo their number

How work is cut never depends on how many ranks there are, so one rank and many compute the very same parts; and a run that is killed
in a long stage goes on at the first part that is missing, with as many ranks as it has then. A rank that waits for another's part
looks out for lost ranks while it waits. The run folder must be on a disk that all ranks see.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from rl.ranks.ranks import Ranks

Result = TypeVar("Result")
POLL_SECONDS = 0.1


def wait_for(path: Path, ranks: Ranks) -> None:
    """Return once another rank has left the file. Raises RankError when a rank is lost meanwhile."""
    while not path.exists():
        ranks.check()
        time.sleep(POLL_SECONDS)


def cut(sizes: Sequence[int], most: int) -> list[range]:
    """Runs of neighbouring items whose sizes sum to at most `most`, at least one item each.

    >>> cut([2, 2, 2, 9, 1], 4)
    [range(0, 2), range(2, 3), range(3, 4), range(4, 5)]
    """
    parts: list[range] = []
    start = total = 0
    for i, size in enumerate(sizes):
        if i > start and total + size > most:
            parts.append(range(start, i))
            start, total = i, 0
        total += size
    return [*parts, range(start, len(sizes))] if sizes else parts


class Shards(Generic[Result]):
    """The parts of one stage. Every rank makes one with the same arguments.

    folder: of the stage's parts. work: part number -> its result. write, read: a part's result to a file and back.
    stride: the first of each `stride` neighbouring ranks works (an engine may span several devices).
    """

    def __init__(
        self,
        ranks: Ranks,
        folder: Path,
        count: int,
        work: Callable[[int], Result],
        write: Callable[[Path, Result], None],
        read: Callable[[Path], Result],
        stride: int = 1,
    ) -> None:
        self.ranks, self.folder, self.count, self.work, self.write, self.read, self.stride = ranks, folder, count, work, write, read, stride

    def path(self, part: int) -> Path:
        return self.folder / f"{part:05d}"

    def mine(self) -> list[int]:
        """This rank's parts that are not there yet."""
        if self.ranks.number % self.stride:
            return []
        workers = -(-self.ranks.count // self.stride)
        return [part for part in range(self.ranks.number // self.stride, self.count, workers) if not self.path(part).exists()]

    def do_mine(self) -> None:
        """Do this rank's parts that are not there yet."""
        for part in self.mine():
            self.ranks.check()
            self.folder.mkdir(parents=True, exist_ok=True)
            partial = self.folder / f".{part:05d}.{self.ranks.number}"
            self.write(partial, self.work(part))
            os.replace(partial, self.path(part))

    def results(self) -> Iterator[Result]:
        """All parts' results in order, waiting for those that other ranks still work on."""
        for part in range(self.count):
            wait_for(self.path(part), self.ranks)
            yield self.read(self.path(part))

    def run(self) -> Iterator[Result]:
        """`do_mine`, then `results`."""
        self.do_mine()
        yield from self.results()


def discard_parts(folder: Path) -> None:
    """Remove the parts of a round whose stages are finished."""
    shutil.rmtree(folder / "parts", ignore_errors=True)
