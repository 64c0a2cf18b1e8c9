"""Records that stay in their file: a list to its users, while memory holds where each line begins and whose it is.

At the paper's scale a round has 2 million candidates and a million executions, some 100 GB as objects. Stages go through them problem by
problem, so they are read problem by problem.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, overload

import numpy as np

HEAD = re.compile(rb'\{"problem_id": ("(?:[^"\\]|\\.)*")')  # how a line of such a file begins


class OfProblem(Protocol):
    """A record that belongs to a problem."""

    @property
    def problem_id(self) -> str: ...


Record = TypeVar("Record", bound=OfProblem)


class Stored(Sequence[Record], Generic[Record]):
    """The records of a JSON-lines file whose lines begin with their problem_id. The file must not change."""

    def __init__(self, path: Path, build: Callable[[dict[str, Any]], Record]) -> None:
        self.path, self.build = path, build
        starts, self.problem_ids = [0], list[str]()  # problem_ids: of each record
        known: dict[bytes, str] = {}
        with path.open("rb") as file:
            for line in file:
                head = HEAD.match(line)
                if head is None:
                    raise ValueError(f"line {len(self.problem_ids) + 1} of {path} does not begin with its problem_id")
                self.problem_ids.append(known.setdefault(head[1], json.loads(head[1])))
                starts.append(starts[-1] + len(line))
        self._starts = np.array(starts, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.problem_ids)

    @overload
    def __getitem__(self, place: int) -> Record: ...
    @overload
    def __getitem__(self, place: slice) -> list[Record]: ...
    def __getitem__(self, place: int | slice) -> Record | list[Record]:
        if isinstance(place, slice):
            return list(self.at(range(len(self))[place]))
        return next(self.at([range(len(self))[place]]))

    def __iter__(self) -> Iterator[Record]:
        return self.at(range(len(self)))

    def at(self, places: Sequence[int]) -> Iterator[Record]:
        """The records at some places; neighbours are read in one go."""
        with self.path.open("rb") as file:
            position = 0
            for place in places:
                if self._starts[place] != position:
                    file.seek(int(self._starts[place]))
                line = file.readline()
                position = self._starts[place] + len(line)
                yield self.build(json.loads(line))


class _OfOne(Sequence[Record], Generic[Record]):
    """The records of one problem."""

    def __init__(self, stored: Stored[Record], places: list[int]) -> None:
        self.stored, self.places = stored, places

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, place: int) -> Record: ...
    @overload
    def __getitem__(self, place: slice) -> list[Record]: ...
    def __getitem__(self, place: int | slice) -> Record | list[Record]:
        chosen = self.places[place]
        return list(self.stored.at(chosen)) if isinstance(chosen, list) else next(self.stored.at([chosen]))

    def __iter__(self) -> Iterator[Record]:
        return self.stored.at(self.places)


def grouped(records: Sequence[Record]) -> Mapping[str, Sequence[Record]]:
    """Records by problem, in order. Stored ones stay where they are."""
    if isinstance(records, Stored):
        places: dict[str, list[int]] = {}
        for place, problem_id in enumerate(records.problem_ids):
            places.setdefault(problem_id, []).append(place)
        return {problem_id: _OfOne(records, its) for problem_id, its in places.items()}
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.problem_id, []).append(record)
    return groups
