"""The log of rollouts: the best and the worst of every step, once, with their breakdown."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from rewards.mixed import RewardBreakdown
from rewards.records import Execution
from rl.round_files import ROLLOUTS, read_rows
from rl.scoring.scores import RolloutScore
from rl.training.rollout_log import REWARDS, RolloutLog, extremes
from tests.rl.fakes import completion, error, value


def score(total: float | None) -> RolloutScore:
    reward = RewardBreakdown(0, 0.5, total, 0.7, 0.1, 0.2, False, total)
    return RolloutScore("p", True, Execution((value(1), value(2), error())), reward, 3)


def test_both_ends_are_kept_and_missing_ones_are_neither() -> None:
    totals = [0.1, None, 0.9, -0.5, 0.3, 0.2, None]
    rows = extremes([score(t) for t in totals], [completion(str(i)) for i in range(len(totals))], step=4)
    assert [(row["reward"], row["completion"]) for row in rows] == [(0.9, "2"), (0.3, "4"), (0.1, "0"), (-0.5, "3")]
    assert rows[0]["outcomes"] == {"value": 2, "exception": 1}
    assert (rows[0]["step"], rows[0]["consensus"], rows[0]["probe"], rows[0]["probe_normed"]) == (4, 0.5, 0.7, 0.1)


def test_few_rollouts_are_kept_once_each() -> None:
    rows = extremes([score(0.1), score(0.2), score(0.3)], [completion(c) for c in "abc"], step=1)
    assert [row["completion"] for row in rows] == ["c", "b", "a"]


class Steps:
    """Calls the log as the trainer does."""

    def __init__(self, folder: Path) -> None:
        self.rewards = SimpleNamespace(batch=None, mine=[], rollouts=SimpleNamespace(last=[]))
        self.log = RolloutLog(cast(Any, self.rewards), folder)

    def state(self, step: int) -> Any:
        return SimpleNamespace(global_step=step, is_world_process_zero=True)

    def begin(self, step: int) -> None:
        self.log.on_train_begin(cast(Any, None), self.state(step), cast(Any, None))

    def end(self, step: int, text: str, fresh: bool = True) -> None:
        if fresh:
            self.rewards.batch = SimpleNamespace(scores=[score(0.5), score(None)])
            self.rewards.mine, self.rewards.rollouts.last = [score(0.5)], [completion(text)]
        self.log.on_step_end(cast(Any, None), self.state(step), cast(Any, None))


def test_a_resumed_training_replaces_the_steps_that_it_makes_again(tmp_path: Path) -> None:
    first = Steps(tmp_path)
    first.begin(0)
    for step in (1, 2, 3):
        first.end(step, f"first {step}")
    again = Steps(tmp_path)
    again.begin(1)
    again.end(2, "again 2")
    assert [row["completion"] for row in read_rows(tmp_path / ROLLOUTS)] == ["first 1", "again 2"]


def test_every_rollout_s_breakdown_is_kept_missing_ones_too_and_a_cut_line_is_mended(tmp_path: Path) -> None:
    first = Steps(tmp_path)
    first.begin(0)
    first.end(1, "a")
    first.end(2, "b")
    with (tmp_path / REWARDS).open("a") as file:
        file.write('{"step": 3, "rew')
    again = Steps(tmp_path)
    again.begin(1)
    again.end(2, "c")
    rows = read_rows(tmp_path / REWARDS)
    assert [(row["step"], row["reward"], row["consensus"]) for row in rows] == [
        (1, 0.5, 0.5),
        (1, None, 0.5),
        (2, 0.5, 0.5),
        (2, None, 0.5),
    ]
    assert "completion" not in rows[0]


def test_a_batch_that_serves_several_steps_is_written_once(tmp_path: Path) -> None:
    steps = Steps(tmp_path)
    steps.begin(0)
    steps.end(1, "a")
    steps.end(2, "a", fresh=False)
    assert [row["step"] for row in read_rows(tmp_path / ROLLOUTS)] == [1]
