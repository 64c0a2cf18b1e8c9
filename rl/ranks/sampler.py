"""A sampler over all ranks: each draws its parts of a call, and all of them get all of the samples (`rl.ranks.shards`).

The parts of a call depend on what is asked alone, and what a sample draws on (seed, prompt, sample) alone: so one rank and many draw
the very same samples.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from probing.records import short_hash
from probing.samplers.base import Completion, Progress, Sampler, SamplingParams, chooses
from rl.ranks.ranks import Ranks
from rl.ranks.shards import Shards, cut

Groups = list[list[Completion]]  # samples of each prompt of a part


class SharedSampler:
    """A `Sampler` whose work the ranks share. Every rank makes the same calls.

    open_sampler: makes this rank's own sampler, at its first part (a resumed stage may need none). folder: of the round's parts.
    part: most samples in one part. stride: see `Shards`. can_choose: whether those samplers read the probabilities of choices.
    """

    def __init__(
        self, open_sampler: Callable[[], Sampler], ranks: Ranks, folder: Path, part: int, stride: int = 1, can_choose: bool = False
    ) -> None:
        self.open_sampler, self.ranks, self.folder, self.part, self.stride = open_sampler, ranks, folder, part, stride
        self.samples = self.tokens = 0  # of all calls, over all ranks
        self.can_choose = can_choose
        self._own: Sampler | None = None

    def sample(
        self,
        prompts: Sequence[str],
        n: int,
        params: SamplingParams,
        seed: int,
        progress: Progress | None = None,
        indices: Sequence[int] | None = None,
    ) -> Groups:
        """See `Sampler.sample`."""
        return list(self.stream(prompts, n, params, seed, progress, indices))

    def stream(
        self,
        prompts: Sequence[str],
        n: int,
        params: SamplingParams,
        seed: int,
        progress: Progress | None = None,
        indices: Sequence[int] | None = None,
    ) -> Iterator[list[Completion]]:
        """The samples of one prompt after the other, never all in memory. This rank's share is drawn before it returns."""
        names = list(range(len(prompts)) if indices is None else indices)
        parts = cut([n] * len(prompts), self.part)

        def draw(part: int) -> Groups:
            chosen, own = parts[part], self._opened()
            pace.begin(n * len(chosen))
            return own.sample([prompts[i] for i in chosen], n, params, seed, pace, [names[i] for i in chosen])

        call = short_hash(json.dumps([list(prompts), names, n, asdict(params), seed, self.part]), 16)
        shards = Shards(self.ranks, self.folder / f"samples-{call}", len(parts), draw, write_groups, read_groups, self.stride)
        pace = PartPace(sum(n * len(parts[part]) for part in shards.mine()), progress)
        shards.do_mine()
        if progress is not None and pace.finished < len(prompts) * n:
            progress(len(prompts) * n - pace.finished)  # what other ranks draw, or an earlier start of the run has drawn

        def results() -> Iterator[list[Completion]]:
            for groups in shards.results():
                for group in groups:
                    self.samples += len(group)
                    self.tokens += sum(len(completion.token_ids) for completion in group)
                    yield group

        return results()

    def choose(self, prompts: Sequence[str], choices: Sequence[str], progress: Progress | None = None) -> list[tuple[float, ...] | None]:
        """See `ChoosingSampler.choose`."""
        parts = cut([1] * len(prompts), self.part)
        read = 0

        def count(samples: int, tokens: int = 0, seconds_left: float | None = None) -> None:
            nonlocal read
            read += samples
            if progress is not None:
                progress(samples, tokens, seconds_left)

        def work(part: int) -> list[tuple[float, ...] | None]:
            own = self._opened()
            assert chooses(own)
            return own.choose([prompts[i] for i in parts[part]], choices, count)

        call = short_hash(json.dumps([list(prompts), list(choices), self.part]), 16)
        shards = Shards(self.ranks, self.folder / f"choices-{call}", len(parts), work, write_shares, read_shares, self.stride)
        shards.do_mine()
        if progress is not None and read < len(prompts):
            progress(len(prompts) - read)  # what other ranks read, or an earlier start of the run has read
        return [shares for part in shards.results() for shares in part]

    def _opened(self) -> Sampler:
        """This rank's own sampler."""
        if self._own is None:
            self._own = self.open_sampler()
        return self._own

    def close(self) -> None:
        """Free this rank's own sampler; it is opened again if another part is to be drawn."""
        if self._own is not None:
            self._own.close()
            self._own = None


class PartPace:
    """Hands on what a sampler says of one part as it is for all of the parts: a `Progress`.

    total: samples of all parts that are to be drawn here. The parts to come are expected to take what those so far take, for each sample;
    so is this one, while its sampler says nothing.
    """

    def __init__(self, total: int, progress: Progress | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.total, self.progress, self.clock = total, progress, clock
        self.finished = self.begun = self.before = 0  # samples; of the parts so far; of the parts before this one
        self.started = self.last = self.earlier = 0.0  # this part's start, and what was heard of it last; seconds of the parts before it

    def begin(self, samples: int) -> None:
        """A part of so many samples begins now: what lies between two parts is no sampler's time."""
        self.earlier += self.last - self.started if self.begun else 0.0
        self.started = self.last = self.clock()
        self.before, self.begun = self.begun, self.begun + samples

    def __call__(self, samples: int, tokens: int = 0, seconds_left: float | None = None) -> None:
        self.finished += samples
        self.last = self.clock()
        if self.progress is None:
            return
        if seconds_left is not None and math.isinf(seconds_left) and self.before:
            expected = self.earlier / self.before * (self.begun - self.before)
            left = expected - (self.last - self.started)
            seconds_left = left if left > 0 else math.inf  # it takes longer than the parts before: how much is not known
        if seconds_left is not None and not math.isinf(seconds_left):
            each = (self.earlier + self.last - self.started + seconds_left) / self.begun
            seconds_left += each * (self.total - self.begun)
        self.progress(samples, tokens, seconds_left)


def write_shares(path: Path, shares: list[tuple[float, ...] | None]) -> None:
    path.write_text(json.dumps(shares), encoding="utf-8")


def read_shares(path: Path) -> list[tuple[float, ...] | None]:
    return [None if row is None else tuple(row) for row in json.loads(path.read_text(encoding="utf-8"))]


def write_groups(path: Path, groups: Groups) -> None:
    """One line a prompt; numbers as they are, so that reading gives the very same samples."""
    with path.open("w", encoding="utf-8") as file:
        for group in groups:
            file.write(json.dumps([[c.text, c.token_ids, c.logprobs, c.finished] for c in group]) + "\n")


def read_groups(path: Path) -> Groups:
    with path.open(encoding="utf-8") as file:
        return [[Completion(text, tuple(ids), tuple(logp), finished) for text, ids, logp, finished in json.loads(line)] for line in file]
