"""Which round's checkpoint a run ends with, and which one a round starts from. Neither choice uses a label or a benchmark.

After every round its policy answers a fixed set of self-made problems, which round 1 invented and nobody trains on. What counts is how
often the answers behave as the base's vote did, weighted by that vote's margin, since clear votes are the likelier ones to be right. A
policy that has learnt from its votes agrees more; one that has collapsed agrees less, whatever its rewards say. Two things spoil the
measure. A few dozen problems are noisy: round 1 can draw more for it (`choice.proposals`), and the choice follows the one-standard-error
rule (Breiman et al., "Classification and Regression Trees", 1984): the latest round that agrees no more than one standard error less than
the best. And sampled answers agree more as the policy gets sharper; greedy ones do not (`choice.temperature: 0`). The base can be
chosen, too.

    round_NN/held_out.json    that agreement (`rl.loop.held_out`)        RUN/best    the checkpoint that was chosen (a link)

The next round starts from the round's own checkpoint, unless that agrees clearly less than an earlier one (`guards.between_rounds`):
then from the best so far, so that losses do not add up over rounds.

Not an evaluation: agreement with a vote that may be wrong says which checkpoint is better, not how good it is.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl.console import warn
from rl.loop.held_out import RunFolder, error_between, held_out_of, read_held_out
from rl.loop.round import RoundError
from rl.models.checkpoints import damage

if TYPE_CHECKING:
    from rl.run import Run

BEST = "best"


@dataclass(frozen=True)
class Choice:
    """The round that was chosen (0: the base), and why."""

    round: int
    reason: str
    agreement: dict[int, float]  # of each round that was measured
    problems: int | None = None  # that were kept apart to measure it; None: not known

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def choose_round(
    agreement: Mapping[int, float | None],
    last: int,
    standard_error: Callable[[int, int], float] = lambda best, other: 0.0,
    problems: int | None = None,
) -> Choice:
    """The latest round within one standard error of the highest agreement; the last round where nothing was measured.

    agreement: by round, None where it could not be measured. standard_error: of the difference between two rounds. problems: on how many.

    >>> choose_round({0: 0.40, 1: 0.55, 2: 0.52}, last=2).round
    1
    >>> choose_round({0: 0.40, 1: 0.55, 2: 0.52}, last=2, standard_error=lambda best, other: 0.04).round
    2
    """
    known = {number: value for number, value in sorted(agreement.items()) if value is not None}
    if not known:
        return Choice(last, "the last round: no problem was kept apart to compare checkpoints by", {})
    best = max(known, key=lambda number: (known[number], number))
    where = f"on the {problems} problems kept apart" if problems else "on problems kept apart"
    chosen = max(number for number in known if number >= best and known[best] - known[number] <= standard_error(best, number))
    if chosen == best:
        reason = f"{_name(best)}: its answers agree most with the votes {where} ({known[best]:.1%}"
        reason += f"; the last round's {known[last]:.1%})" if best != last and last in known else ")"
    else:
        reason = f"{_name(chosen)}, the latest whose answers agree as much as {_name(best)}'s with the votes {where}, but for "
        reason += f"one standard error ({known[chosen]:.1%} and {known[best]:.1%})"
    return Choice(chosen, reason, known, problems)


def _name(number: int) -> str:
    return "the base" if number == 0 else f"round {number}"


@dataclass(frozen=True)
class FellBack:
    """A round whose checkpoint no round starts from, since it agrees less than an earlier one's."""

    to: int  # the round whose checkpoint is taken instead; 0: the base
    value: float  # how far agreement lies below that round's
    limit: float
    cause: str

    def record(self) -> dict[str, Any]:
        return {"guard_action": "roll_back", "guard": "between_rounds", **asdict(self)}


def fell_back(
    agreement: dict[int, float | None], last: int, limit: float | None, error: Callable[[int], float] = lambda best: 0.0
) -> FellBack | None:
    """Whether round `last` fell below the best by more than `limit`, and by more than one standard error; None where it holds, was not
    measured, or there is no limit.

    error: standard error of the difference from round `best`.

    >>> fell_back({0: 0.40, 1: 0.55, 2: 0.45}, last=2, limit=0.05).to
    1
    """
    value, best = agreement.get(last), choose_round(agreement, last)
    if limit is None or value is None or (fall := best.agreement[best.round] - value) <= max(limit, error(best.round)):
        return None
    cause = f"after round {last}: agreement on held-out problems is {value:.3f}, {fall:.3f} below that of round {best.round} "
    return FellBack(best.round, fall, limit, cause + f"(limit {limit:.3f}): round {last + 1} starts from there")


def started_from(run: RunFolder, index: int) -> int:
    """Whose checkpoint round `index` starts from: the last round's, or after a roll-back between rounds the best's; 0 is the base."""
    back = fall_of(run, index - 1, read_held_out(run, index - 1))
    return index - 1 if back is None else back.to


def start_policy(run: Run, index: int) -> str:
    """The policy that round `index` starts from. Raises RoundError where the checkpoint to go back to is damaged."""
    number = started_from(run, index)
    start = checkpoint_of(run, number)
    if 0 < number < index - 1 and (wrong := damage(Path(start))) is not None:
        raise RoundError(f"round {index} starts from round {number}'s checkpoint, but {wrong}. Delete round {number} and all after it")
    return start


def another_follows(run: RunFolder, index: int) -> bool:
    """Whether a round that has trained is not the run's last."""
    training = run.folder / f"round_{index:02d}" / "training.json"
    return 0 < index < run.config.rounds and not json.loads(training.read_text()).get("stop_run")


def fall_of(run: RunFolder, last: int, found: Mapping[str, Any], certain: bool = True) -> FellBack | None:
    """`fell_back` for round `last` of a run.

    Like the other guards it watches GRPO alone, and rewards without labels: an oracle may well leave wrong votes behind.
    found: what held_out.json says of round `last`, or will say. certain: only a fall of more than one standard error.
    """
    config = run.config
    watching = config.guards.enabled and config.consolidation != "sft" and config.grpo.reward == "label_free"
    agreement = {**{number: held_out_of(run, number) for number in range(last)}, last: found["agreement"]}
    limit = config.guards.between_rounds if watching else None
    return fell_back(agreement, last, limit, lambda best: error_between(read_held_out(run, best), found) if certain else 0.0)


def borne(run: RunFolder, last: int, found: Mapping[str, Any]) -> str:
    """What to say of round `last` where it fell by more than the limit, but within its error, so that the next builds on it; else empty."""
    fall = fall_of(run, last, found, certain=False)
    if fall is None or fall_of(run, last, found) is not None:
        return ""
    error = error_between(read_held_out(run, fall.to), found)
    said = f"after round {last} it is {fall.value:.3f} below that of {_name(fall.to)} (limit {fall.limit:.3f}), which is within one "
    return said + f"standard error ({error:.3f}): round {last + 1} goes on from it"


def checkpoint_of(run: RunFolder, number: int) -> str:
    """A round's checkpoint; round 0's is the base model, which may be a name of the Hub."""
    if number == 0:
        return run.model
    found = json.loads((run.folder / f"round_{number:02d}" / "training.json").read_text())
    return str(run.folder / found["checkpoint"])


def choose_checkpoint(run: Run, last: int) -> Choice:
    """The choice among the rounds so far, from their `held_out.json`."""
    rounds = {number: read_held_out(run, number) for number in range(last + 1)}

    def standard_error(best: int, other: int) -> float:
        return error_between(rounds[best], rounds[other])

    agreement = {number: found["agreement"] for number, found in rounds.items()}
    return choose_round(agreement, last, standard_error, rounds[0].get("problems"))


def point_to_best(run: Run, checkpoint: Path) -> None:
    """Make RUN/best a link to the checkpoint (relative where it lies in the run's folder); a model of the Hub has no folder to link to."""
    if not checkpoint.is_dir():
        return
    inside = checkpoint.is_relative_to(run.folder)
    target = checkpoint.relative_to(run.folder) if inside else checkpoint.resolve()
    partial = run.folder / f".{BEST}.{os.getpid()}"
    partial.unlink(missing_ok=True)
    partial.symlink_to(target, target_is_directory=True)
    best = run.folder / BEST
    if best.is_dir() and not best.is_symlink():  # the folder was copied without its links
        kept = next(name for i in itertools.count(1) if not (name := run.folder / f"{BEST}.copy-{i}").exists())
        os.replace(best, kept)
        warn(f"{best} was a folder, not a link: it is now {kept}")
    os.replace(partial, best)
