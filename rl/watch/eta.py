"""How long the stage that runs, and the run as a whole, will still take: estimates from what is already measured."""

from __future__ import annotations

from collections.abc import Mapping

from rl.run_data import Row


def stage_left(task: Row | None, now: float) -> float | None:
    """Seconds until the counted items are done; None where nothing is known yet. now: Unix seconds.

    What a sampler said last holds, since it knows the tokens of unfinished samples; else the mean pace so far. Between two items the time
    since the last one is taken off, but never more than one item is worth.

    >>> stage_left({"done": 2, "total": 10, "started": 0.0, "advanced": 20.0}, now=25.0)
    75.0
    """
    if task and task.get("left_at") is not None:
        return None if task.get("left") is None else max(0.0, task["left"] - max(0.0, now - task["left_at"]))
    if not task or not task.get("done") or task.get("advanced") is None:
        return None
    each = (task["advanced"] - task["started"]) / task["done"]
    left = max(0, task["total"] - task["done"])
    return max(each * left - max(0.0, now - task["advanced"]), each * max(0, left - 1))


def run_left(
    seconds: Mapping[str, Mapping[str, float]], rounds: int, index: int, stage: str | None, spent: float, left: float | None
) -> float | None:
    """Seconds until the last round is done, if every stage takes what it took in the last full round; None before there is one.

    seconds: by round and stage, of the stages that are done. index, stage: the round and stage now. spent: seconds in that stage so far.
    left: seconds that it still takes, where that is known.

    >>> run_left({"0": {"eval": 5.0}, "1": {"training": 60.0, "eval": 5.0}}, 3, index=2, stage="training", spent=20.0, left=None)
    110.0
    """
    full = [number for number in range(1, rounds + 1) if number < index and seconds.get(str(number))]
    if not full:
        return None
    usual = seconds[str(full[-1])]
    done = seconds.get(str(index), {})
    rest = sum(value for name, value in usual.items() if name not in done and name != stage)
    if stage is not None:
        rest += max(0.0, usual.get(stage, 0.0) - spent) if left is None else left
    return rest + (rounds - index) * sum(usual.values())
