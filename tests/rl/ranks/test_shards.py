"""Work in parts: the same results for any number of ranks, nothing done twice, and a start that goes on where the last one ended."""

from __future__ import annotations

import json
import math
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probing.probe.hidden_states import StateFeatures
from probing.samplers.base import Completion, Progress, SamplingParams
from rewards.records import Execution, Kind, Outcome
from rl.ranks.executor import read_part, write_part
from rl.ranks.ranks import RankError, Ranks
from rl.ranks.sampler import PartPace, SharedSampler, read_groups, write_groups
from rl.ranks.shards import Shards, cut
from rl.ranks.states import read_features, write_features


def on_ranks(count: int, work: Callable[[Ranks], Any]) -> list[Any]:
    """What `work` returns on each of `count` ranks, which run as threads."""
    results: list[Any] = [None] * count

    def run(number: int) -> None:
        results[number] = work(Ranks(number, count))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


def shards(ranks: Ranks, folder: Path, done: list[int], count: int = 7, stride: int = 1) -> Shards[int]:
    def work(part: int) -> int:
        done.append(part)
        return part * part

    def write(path: Path, value: int) -> None:
        path.write_text(str(value))

    return Shards(ranks, folder, count, work, write, lambda path: int(path.read_text()), stride)


@given(st.lists(st.integers(0, 9), max_size=30), st.integers(1, 12))
def test_a_cut_keeps_order_loses_nothing_and_respects_the_limit(sizes: list[int], most: int) -> None:
    parts = cut(sizes, most)
    assert [i for part in parts for i in part] == list(range(len(sizes)))
    assert all(len(part) == 1 or sum(sizes[i] for i in part) <= most for part in parts)


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_every_rank_gets_every_result_and_no_part_is_done_twice(tmp_path: Path, count: int) -> None:
    done: list[int] = []
    found = on_ranks(count, lambda ranks: list(shards(ranks, tmp_path, done).run()))
    assert found == [[0, 1, 4, 9, 16, 25, 36]] * count
    assert sorted(done) == list(range(7))


def test_a_second_start_does_what_is_missing_with_as_many_ranks_as_there_are(tmp_path: Path) -> None:
    first: list[int] = []
    shards(Ranks(0, 2), tmp_path, first).do_mine()  # the other rank was killed before it did anything
    assert first == [0, 2, 4, 6]
    second: list[int] = []
    assert list(shards(Ranks(0, 1), tmp_path, second).run()) == [0, 1, 4, 9, 16, 25, 36]
    assert second == [1, 3, 5]


def test_of_neighbours_that_share_an_engine_one_works(tmp_path: Path) -> None:
    done: dict[int, list[int]] = {number: [] for number in range(4)}
    on_ranks(4, lambda ranks: list(shards(ranks, tmp_path, done[ranks.number], stride=2).run()))
    assert done == {0: [0, 2, 4, 6], 1: [], 2: [1, 3, 5], 3: []}


def test_a_rank_that_waits_for_a_lost_one_is_told(tmp_path: Path) -> None:
    ranks = Ranks(0, 2)
    ranks.lost = "rank 1 (host b, pid 7) has died"
    with pytest.raises(RankError, match=r"rank 1 \(host b, pid 7\) has died"):
        list(shards(ranks, tmp_path, []).results())


class CountingSampler:
    """Answers that name what they were drawn from."""

    def __init__(self) -> None:
        self.drawn = 0

    def sample(
        self,
        prompts: Sequence[str],
        n: int,
        params: SamplingParams,
        seed: int,
        progress: Progress | None = None,
        indices: Sequence[int] | None = None,
    ) -> list[list[Completion]]:
        self.drawn += n * len(prompts)
        assert indices is not None and progress is not None
        progress(n * len(prompts))
        return [
            [Completion(f"{prompt} {seed} {i} {j}", (i, j), (-0.1 * j, -1 / 3), j % 2 == 0) for j in range(n)]
            for prompt, i in zip(prompts, indices, strict=True)
        ]

    def close(self) -> None:
        pass


def test_ranks_draw_together_what_one_draws_alone(tmp_path: Path) -> None:
    samplers: list[CountingSampler] = []

    def make() -> CountingSampler:
        samplers.append(CountingSampler())
        return samplers[-1]

    def draw(ranks: Ranks, folder: Path) -> tuple[Any, int]:
        counted: list[int] = []
        sampler = SharedSampler(make, ranks, folder, part=8)
        drawn = sampler.sample([f"p{i}" for i in range(11)], 3, SamplingParams(), 5, lambda samples, *_: counted.append(samples))
        return drawn, sum(counted)

    ((alone, counted),) = on_ranks(1, lambda ranks: draw(ranks, tmp_path / "one"))
    together = on_ranks(3, lambda ranks: draw(ranks, tmp_path / "three"))
    assert counted == 33 and [count for _, count in together] == [33] * 3
    assert all(drawn == alone for drawn, _ in together)
    assert [s.drawn for s in samplers[1:]] != [33] * 3 and sum(s.drawn for s in samplers[1:]) == 33


def test_what_is_left_of_a_part_is_told_as_what_is_left_of_all_parts() -> None:
    now, said = 0.0, []
    pace = PartPace(40, lambda *words: said.append(words), clock=lambda: now)
    pace.begin(10)
    now = 5.0
    pace(0, 100, 15.0)  # a part takes 20 s, and four of them are to be drawn
    assert said[-1] == (0, 100, 75.0)
    now = 18.0
    pace(10, 30, 0.0)
    assert said[-1] == (10, 30, 54.0)
    now = 100.0  # something else went on
    pace.begin(10)
    now = 101.0
    pace(1, 3, 21.0)
    assert said[-1] == (1, 3, 21.0 + 20 * (18 + 1 + 21) / 20)
    now = 106.0
    pace(1, 3, math.inf)  # it cannot be told: as the part before, which took 18 s
    assert said[-1] == (1, 3, 12.0 + 20 * 36 / 20) and pace.finished == 12


def test_nothing_is_left_to_tell_while_the_first_part_s_sampler_is_silent() -> None:
    said: list[tuple[int, int, float | None]] = []
    pace = PartPace(40, lambda *words: said.append(words), clock=lambda: 0.0)
    pace.begin(10)
    pace(1, 3, math.inf)
    pace(1, 3)
    assert said == [(1, 3, math.inf), (1, 3, None)]


def test_what_is_left_of_the_only_part_is_not_known_while_its_sampler_is_silent() -> None:
    said: list[tuple[int, int, float | None]] = []
    pace = PartPace(10, lambda *words: said.append(words), clock=lambda: 0.0)
    pace.begin(10)
    pace(1, 3, math.inf)
    assert said == [(1, 3, math.inf)]  # and not NaN, which a console shows as 0 seconds


def test_a_part_that_takes_longer_than_those_before_has_no_known_end() -> None:
    said: list[tuple[int, int, float | None]] = []
    now = 0.0
    pace = PartPace(20, lambda *words: said.append(words), clock=lambda: now)
    pace.begin(10)
    now = 5.0
    pace(10, 30, 0.0)
    pace.begin(10)
    now = 11.0
    pace(1, 3, math.inf)
    assert said[-1] == (1, 3, math.inf)


def test_another_question_is_another_call(tmp_path: Path) -> None:
    sampler = SharedSampler(CountingSampler, Ranks(0, 1), tmp_path, part=8)
    first, again, other = (sampler.sample(["a"], 2, SamplingParams(), seed) for seed in (1, 1, 2))
    assert first == again != other
    assert len(list(tmp_path.glob("samples-*"))) == 2
    sampler.sample(["a"], 2, SamplingParams(stop=("\n",)), 1)
    assert len(list(tmp_path.glob("samples-*"))) == 3


numbers = st.floats(allow_nan=False, width=64)
token_ids = st.lists(st.integers(0, 10**6), min_size=1).map(tuple)
completions = st.builds(Completion, st.text(), token_ids, st.lists(numbers).map(tuple), st.booleans())


@given(groups=st.lists(st.lists(completions, max_size=3), max_size=3))
def test_samples_survive_their_file(tmp_path_factory: pytest.TempPathFactory, groups: list[list[Completion]]) -> None:
    path = tmp_path_factory.mktemp("part") / "0"
    write_groups(path, groups)
    assert read_groups(path) == groups


def test_executions_and_counts_survive_their_file(tmp_path: Path) -> None:
    executions = [Execution((Outcome(Kind.VALUE, "'a:b\\n'"), Outcome(Kind.TIMEOUT)), 0.3), Execution((), 0.0)]
    counts = Counter({"value": 1, "timeout": 1, "fast": 0})
    write_part(tmp_path / "0", (executions, counts))
    assert read_part(tmp_path / "0") == (executions, counts)
    json.loads((tmp_path / "0").read_text().splitlines()[0])


def test_features_survive_their_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    features = StateFeatures(
        rng.normal(size=(3, 2, 2, 4)).astype(np.float32),
        np.array([0.5, np.nan, 1.0], dtype=np.float32),
        np.zeros(3, dtype=np.float32),
        np.arange(3),
        np.arange(3),
        (1, 2),
        ("mean", "last"),
    )
    write_features(tmp_path / "0", features)
    found = read_features(tmp_path / "0")
    assert (found.layers, found.poolings) == ((1, 2), ("mean", "last")) and all(
        np.array_equal(getattr(found, name), getattr(features, name), equal_nan=True) for name in ("states", "mean_logprob", "lengths")
    )
