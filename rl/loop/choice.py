"""Which round's checkpoint a run ends with, and which one a round starts from. Neither choice uses a label or a benchmark.

After every round its policy answers a fixed set of self-made problems, which round 1 invented and nobody trains on. What counts is how
often the answers behave as the base's vote did, weighted by that vote's margin, since clear votes are the likelier ones to be right. A
policy that has learnt from its votes agrees more; one that has collapsed agrees less, whatever its rewards say. Two things spoil the
measure. A few dozen problems are noisy: round 1 can draw more for it (`choice.proposals`), and the choice follows the one-standard-error
rule (Breiman et al., "Classification and Regression Trees", 1984): the latest round that agrees no more than one standard error less than
the best. And sampled answers agree more as the policy gets sharper; greedy ones do not (`choice.temperature: 0`). The base can be
chosen, too.

    round_NN/held_out.json    that agreement, of the round's checkpoint        RUN/best    the checkpoint that was chosen (a link)

The next round starts from the round's own checkpoint, unless that agrees clearly less than an earlier one (`guards.between_rounds`):
then from the best so far, so that losses do not add up over rounds.

Not an evaluation: agreement with a vote that may be wrong says which checkpoint is better, not how good it is.
"""

from __future__ import annotations

import itertools
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from probing.models.loading import load_model, load_tokenizer
from probing.prompts.asking import Ask
from probing.reading import read_program
from probing.records import Problem, TestSuite
from probing.samplers.base import SamplingParams
from rewards.rules.consensus import get_rule
from rl.config.run_folder import write_atomically
from rl.console import warn
from rl.loop.round import Round, RoundError, asker_of, shared_sampler
from rl.loop.selection import make_tasks, training_split
from rl.models.checkpoints import damage
from rl.round_files import Stage, Verdict, read_bank, read_records
from rl.scoring.scoring import RolloutScorer
from rl.scoring.tasks import ConsensusSignal
from rl.training.rollouts import derive_seed

if TYPE_CHECKING:
    from rl.config.schema import Config
    from rl.run import Run
    from rl.scoring.tasks import GrpoTask

NAME = "held_out.json"
BEST = "best"


class RunFolder(Protocol):
    """What is asked of a run here, be it going on or over."""

    @property
    def folder(self) -> Path: ...
    @property
    def model(self) -> str: ...
    @property
    def config(self) -> Config: ...


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


def held_out_agreement(shares: Sequence[float | None], margins: Sequence[float]) -> float | None:
    """Mean over problems of the share of answers that behave like the vote's winner, weighted by its margin; None without a problem."""
    known = [(share, margin) for share, margin in zip(shares, margins, strict=True) if share is not None and margin > 0]
    total = sum(margin for _, margin in known)
    return sum(share * margin for share, margin in known) / total if known else None


def difference_error(one: Mapping[str, float | None], other: Mapping[str, float | None], margins: Mapping[str, float]) -> float:
    """Standard error of the difference between two agreements, paired by problem and weighted as they are.

    With fewer than two problems, or a file from before margins were kept, it cannot be told and is 0: then only the best round is chosen.

    one, other: a problem's share of answers that behave like the vote's winner, by its id. margins: of its vote.
    """
    pairs = [(a - b, margins[key]) for key, a in one.items() if a is not None and (b := other.get(key)) is not None and margins.get(key)]
    total, n = sum(margin for _, margin in pairs), len(pairs)
    if n < 2:
        return 0.0
    mean = sum(gap * margin for gap, margin in pairs) / total
    return math.sqrt(n / (n - 1) * sum((margin / total * (gap - mean)) ** 2 for gap, margin in pairs))


def _difference_error(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """The same, of what two files held_out.json say."""
    return difference_error(one.get("shares", {}), other.get("shares", {}), one.get("margins", {}))


def measure_agreement(current: Round, policy: str) -> None:
    """Leave `held_out.json` for the round's new checkpoint, and once, in round 1, for the base. Every rank calls it."""
    if current.config.choice.problems:
        if current.index == 1:
            _measure(current.run, 0, current.run.model)
        _measure(current.run, current.index, policy)


def _measure(run: Run, index: int, policy: str) -> None:
    folder = run.round_folder(index)

    def compute() -> dict[str, Any]:
        config, tokenizer = run.config, load_tokenizer(policy)
        tasks, margins = held_out_tasks(run, asker_of(config, tokenizer))
        if not tasks:
            return {"problems": 0, "agreement": None}
        temperature = config.grpo.temperature if config.choice.temperature is None else config.choice.temperature
        params = SamplingParams(temperature, 1.0, config.solutions.max_new_tokens, tasks[0].stop)
        sampling = config.sampling.model_copy(update={"weights": "full"})  # checkpoints may differ by less than 8 bits show
        sampler = shared_sampler(run, folder, policy, lambda: load_model(policy, sampling.device, sampling.dtype), sampling)
        seed = derive_seed(config.seed, "choice")  # the same draws for every checkpoint: less noise between them
        with run.bar(index, "held-out problems", len(tasks) * config.choice.draws, "samples") as advance:
            answers = sampler.sample([task.prompt for task in tasks], config.choice.draws, params, seed, advance)
        sampler.close()
        if not run.main:
            return {}
        scorer = RolloutScorer(
            tasks,
            run.executor,
            read_program,
            ConsensusSignal(get_rule(config.consensus)),
            config.reward,
            consensus=config.consensus,
        )
        shares = scorer.winner_shares(tasks, answers)
        found = {"problems": len(tasks), "agreement": held_out_agreement(shares, margins)}
        run.log("held_out", index, found)
        by_problem = {
            name: {task.problem_id: value for task, value in zip(tasks, values, strict=True)}
            for name, values in (("shares", shares), ("margins", margins))
        }
        record = found | by_problem
        if _another_follows(run, index) and (back := _fell_back(run, index, record)) is not None:
            run.log("guards", index, back.record())
            run.console.print(f"guard            {back.cause}", markup=False, soft_wrap=True)
        return record

    run.once(index, Stage("held out", NAME, lambda path, found: write_atomically(path, json.dumps(found)), lambda path: None), compute)


def held_out_tasks(run: Run, ask: Ask) -> tuple[list[GrpoTask], list[float]]:
    """The problems of round 1 that were kept apart, and the margin of the vote on each."""
    folder = run.round_folder(1)
    verdicts = read_records(folder / "clusters.jsonl", Verdict)
    _, apart = training_split(verdicts, run.config, 1)
    apart = apart[: run.config.choice.problems]
    problems, suites = read_records(folder / "problems.jsonl", Problem), read_records(folder / "suites.jsonl", TestSuite)
    return make_tasks(ask, problems, suites, read_bank(folder / "executions.jsonl"), apart), [verdict.margin for verdict in apart]


def held_out_of(run: RunFolder, index: int) -> float | None:
    """The agreement of a round's checkpoint; None where it was not measured."""
    found: float | None = _held_out(run, index)["agreement"]
    return found


def _held_out(run: RunFolder, index: int) -> dict[str, Any]:
    path = run.folder / f"round_{index:02d}" / NAME
    found: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {"agreement": None}
    return found


def started_from(run: RunFolder, index: int) -> int:
    """Whose checkpoint round `index` starts from: the last round's, or after a roll-back between rounds the best's; 0 is the base."""
    back = _fell_back(run, index - 1, _held_out(run, index - 1))
    return index - 1 if back is None else back.to


def start_policy(run: Run, index: int) -> str:
    """The policy that round `index` starts from. Raises RoundError where the checkpoint to go back to is damaged."""
    number = started_from(run, index)
    start = checkpoint_of(run, number)
    if 0 < number < index - 1 and (wrong := damage(Path(start))) is not None:
        raise RoundError(f"round {index} starts from round {number}'s checkpoint, but {wrong}. Delete round {number} and all after it")
    return start


def _another_follows(run: Run, index: int) -> bool:
    training = run.folder / f"round_{index:02d}" / "training.json"
    return 0 < index < run.config.rounds and not json.loads(training.read_text()).get("stop_run")


def _fell_back(run: RunFolder, last: int, found: Mapping[str, Any]) -> FellBack | None:
    """Like the other guards it watches GRPO alone, and rewards without labels: an oracle may well leave wrong votes behind.

    found: what held_out.json says of round `last`, or will say.
    """
    config = run.config
    watching = config.guards.enabled and config.consolidation != "sft" and config.grpo.reward == "label_free"
    agreement = {**{number: held_out_of(run, number) for number in range(last)}, last: found["agreement"]}
    limit = config.guards.between_rounds if watching else None
    return fell_back(agreement, last, limit, lambda best: _difference_error(_held_out(run, best), found))


def checkpoint_of(run: RunFolder, number: int) -> str:
    """A round's checkpoint; round 0's is the base model, which may be a name of the Hub."""
    if number == 0:
        return run.model
    found = json.loads((run.folder / f"round_{number:02d}" / "training.json").read_text())
    return str(run.folder / found["checkpoint"])


def choose_checkpoint(run: Run, last: int) -> Choice:
    """The choice among the rounds so far, from their `held_out.json`."""
    rounds = {number: _held_out(run, number) for number in range(last + 1)}

    def standard_error(best: int, other: int) -> float:
        return _difference_error(rounds[best], rounds[other])

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
