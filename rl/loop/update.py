"""Stage 6 of a round: from labels to the next policy: select the problems; train the proposer, where the config has one; then SFT and
GRPO (`consolidation` says which).

Every rank calls it: the tasks are read from the round's data, and the trainer shards the work.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probing.memory import free_memory
from probing.probe.drift import DriftAudit
from probing.reading import read_voter
from probing.stages.solutions import solve_question
from rewards.mixed import MixedConfig
from rewards.rules.consensus import get_rule
from rl.config.run_folder import write_atomically
from rl.config.training import OptimizerSection
from rl.console import warn
from rl.labels.audit import Audit, oracle_signal
from rl.loop.proposer import teach_proposer
from rl.loop.round import Round, RoundError, begun
from rl.loop.selection import make_tasks, met_again, training_split, without
from rl.models.checkpoints import damage
from rl.ranks.shards import discard_parts
from rl.round_files import VERDICTS, Verdict, read_records
from rl.scoring.scoring import RolloutScorer
from rl.scoring.tasks import Signal, make_signal
from rl.training.grpo import GrpoResult, schedule, train_grpo
from rl.training.sft import NothingToLearn, SftResult, draw_unexecuted, select_for_sft, sft_steps, train_sft
from rl.training.trainer_parts import compute_dtype

if TYPE_CHECKING:
    from rl.config.schema import Config

MEASURED = ("held_out.json", "temperature.json", "eval.json", "eval_*.jsonl", "metrics.json", "published.json")  # of a round's checkpoint


@dataclass(frozen=True)
class Selected:
    """The verdicts of the problems to train on, of those kept apart, and of the ones among these that the guards watch."""

    train: Sequence[Verdict]
    apart: Sequence[Verdict]
    watched: Sequence[Verdict]


@dataclass
class Update:
    """The policy after the steps made so far, and what training.json says of them."""

    policy: Path | str
    figures: dict[str, Any] = field(default_factory=dict)
    stopped: bool = False  # a step ended the run: none follows


def update_policy(current: Round) -> str:
    """The round's new checkpoint. Ends at once when it is there already."""
    run, done = current.run, current.folder / "training.json"
    if run.main and done.exists() and (wrong := _damage(current, done)) is not None:
        _forget(current, done, wrong)
    run.state.wait_for_everyone()
    if not done.exists():
        run.ranks.at(f"round {current.index}, training")
        with run.timed(current.index, "training"):
            update = _train(current)
        if run.main:
            checkpoint = Path(update.policy).relative_to(run.folder)
            write_atomically(done, json.dumps({"checkpoint": str(checkpoint), **update.figures}, indent=1))
        run.state.wait_for_everyone()  # now every rank is past the stages that left these:
        if run.main:
            discard_parts(current.folder)
    current.loaded.release()  # whether it was trained now or before: what samples next wants the memory
    if current.probe is not None:
        current.probe.release()
    free_memory()
    return str(run.folder / json.loads(done.read_text())["checkpoint"])


def _damage(current: Round, done: Path) -> str | None:
    """What is wrong with the checkpoint of a finished training; None where nothing is, or where the next round is trained already."""
    if (current.run.round_folder(current.index + 1, make=False) / "training.json").exists():
        return None
    return damage(current.run.folder / json.loads(done.read_text())["checkpoint"])


def _forget(current: Round, done: Path, wrong: str) -> None:
    """Remove a training whose checkpoint is damaged, and what was measured of that checkpoint: another may take its place.

    Raises RoundError where the next round was begun from it.
    """
    index, following = current.index, current.run.round_folder(current.index + 1, make=False)
    if begun(following):
        said = f"round {index}'s checkpoint is damaged ({wrong}), and round {index + 1} was begun from it"
        raise RoundError(f"{said}. Delete {following} and all rounds after it: round {index} is then trained again")
    warn(f"round {index} is trained again: {wrong}")
    discard_parts(current.folder)
    for pattern in MEASURED:
        for path in current.folder.glob(pattern):
            path.unlink()
    done.unlink()  # last: a kill before it comes back here


def _train(current: Round) -> Update:
    selected = select_problems(current)
    update = Update(current.start)
    update.figures |= {"problems": len(selected.train), "held_out": len(selected.apart), "watched": len(selected.watched)}
    current.loaded.release()
    if current.config.consolidation == "sft" and current.probe is not None:
        current.probe.release()  # nobody asks it, and its memory is training's
    if current.config.proposer is not None:  # first: proposals were drawn from the round's starting policy
        taught = teach_proposer(current, current.config.proposer)
        update.policy = taught.policy
        update.figures["proposer"] = taught.figures
        if taught.stopped_because is not None:
            update.figures |= {"stopped_because": taught.stopped_because, "stop_run": True}
            update.stopped = True
    if current.config.consolidation in ("sft", "sft+grpo") and not update.stopped:
        consolidate(current, selected, update)
    if current.config.consolidation in ("grpo", "sft+grpo") and not update.stopped:
        reinforce(current, selected, update)
    return update


def select_problems(current: Round) -> Selected:
    """The problems to train on. Raises RoundError when there is none."""
    config = current.config
    train, apart = training_split(current.verdicts, config, current.index)
    if current.index > 1 and current.run.own is not None:  # what checkpoints are compared by is trained on in no round
        first = read_records(current.run.round_folder(1) / VERDICTS.file, Verdict)
        returned = met_again(current.verdicts, training_split(first, config, 1)[1])
        train, apart = without(train, returned), [*apart, *without(returned, apart)]
    voted = [verdict for verdict in apart if verdict.kept]  # a problem that comes again may have no vote to watch this time
    if not train:
        raise RoundError(nothing_to_train_on(current, len(voted)))
    return Selected(train, apart, voted[: config.guards.held_out_problems] if config.guards.enabled else [])


def nothing_to_train_on(current: Round, apart: int) -> str:
    """Why no problem is left. apart: problems of the band that are kept apart."""
    low, high = current.config.solutions.band_low, current.config.solutions.band_high
    said = f"round {current.index}: of {len(current.verdicts)} problems with votes {apart} are in the band of agreement ({low} to {high})"
    why = ", and those are kept apart to compare checkpoints by" if apart else ""
    if repeats := sum(v.repeats is not None for v in current.verdicts):
        why += f", beside {repeats} that behave like earlier ones (solutions.repeats: drop)"
    return f"{said}{why}: nothing to train on. Give more problems, or widen solutions.band_low and band_high, in a run_dir of its own"


def consolidate(current: Round, selected: Selected, update: Update) -> None:
    """SFT on the pick of each winning cluster (the paper's), or on answers that were never run (its control)."""
    run, config, problems = current.run, current.config.sft, current.problems
    note_compute_dtype(current, "sft", config, update)
    prompts = [solve_question(current.ask, p).text for p in problems]
    left_out = [*selected.apart, *(v for v in current.verdicts if v.repeats is not None)]
    if config.select == "consensus":
        verdicts = without(current.verdicts, left_out)
        pairs = select_for_sft(prompts, problems, current.candidates, current.executions, verdicts)
    else:
        hidden = [v.problem_id for v in left_out]
        pairs = draw_unexecuted(prompts, problems, current.candidates, hidden, current.seed("unexecuted"))
    log, folder = run.monitor.training_log(current.index, "sft"), current.folder / "sft"
    try:
        with run.bar(current.index, "sft", sft_steps(len(pairs), config), "steps") as advance:
            result: SftResult = train_sft(update.policy, folder, pairs, config, current.seed("sft"), log, advance)
    except NothingToLearn as error:
        remedy = "raise sft.max_length or solutions.max_new_tokens, or give more problems, in a run_dir of its own"
        raise RoundError(f"round {current.index}: {error}; {remedy}") from None
    update.policy = result.checkpoint
    update.figures["sft_pairs"] = len(pairs) - result.n_too_long
    if result.n_too_long:
        update.figures["sft_too_long"] = result.n_too_long
        if run.main:
            warn(f"{result.n_too_long} of {len(pairs)} SFT pairs are longer than sft.max_length ({config.max_length}) and were left out")
    if result.skipped:
        update.figures["sft_skipped"] = result.skipped
    if result.stopped_because is not None:
        update.figures |= {"stopped_because": result.stopped_because, "stop_run": True}
        update.stopped = True


def note_compute_dtype(current: Round, step: str, section: OptimizerSection, update: Update) -> None:
    """Record the dtype of training's matrix products, and warn where it is not the one that was asked for."""
    dtype = str(compute_dtype(section)).removeprefix("torch.")
    update.figures[f"{step}_compute_dtype"] = dtype
    if section.compute_dtype not in ("auto", dtype) and current.run.main:
        warn(f"{step} computes in {dtype}, not {section.compute_dtype}: this CPU has no instructions for that, and would be slower")


def mixed_reward(config: Config) -> MixedConfig:
    """How parts of the reward are mixed: where the vote rewards nothing (the arms random and oracle), it leaves nothing out either."""
    return config.reward if config.grpo.reward == "label_free" else config.reward.model_copy(update={"contest": 0.0})


def reinforce(current: Round, selected: Selected, update: Update) -> None:
    """GRPO on new rollouts, which are scored by how far the candidates of `current` agree with them and by the probe."""
    run, config, probe, chosen = current.run, current.config, current.probe, selected.train
    assert probe is not None
    note_compute_dtype(current, "grpo", config.grpo, update)
    asked = config.reward.w_quality * probe.gate > 0
    if not asked:
        probe.release()  # then nothing reads the frozen teacher, and its memory is training's
    needed = config.grpo.steps // config.grpo.num_iterations * config.grpo.tasks_per_step
    if len(chosen) > needed:  # no more are held in memory than the steps will meet
        met = set(schedule([v.problem_id for v in chosen], 1, needed, current.seed("met")))
        chosen = [v for v in chosen if v.problem_id in met]
    references = current.references(chosen)
    if config.grpo.reward == "oracle":  # it has no reference for a statement that it cannot parse
        update.figures["without_reference"] = sum(v.problem_id not in references for v in chosen)
        if not references:
            raise RoundError(
                f"round {current.index}: the oracle has a reference for none of {len(chosen)} problems: nothing can be rewarded"
            )
        chosen = [v for v in chosen if v.problem_id in references]
    signal: Signal
    if config.grpo.reward == "oracle":
        signal = oracle_signal(config.grpo, run.folder.name, references)
    else:
        signal = make_signal(config.grpo.reward, get_rule(config.consensus), current.seed("signal"))
    data = current.ask, current.problems, current.suites, current.executions
    canonical = config.sandbox.canonicaliser()
    tasks, held_out = make_tasks(*data, chosen, canonical, config.reward.by_margin), make_tasks(*data, selected.watched, canonical)
    scorer = RolloutScorer(
        [*tasks, *held_out],
        run.executor,
        read_voter,
        signal,
        mixed_reward(config),
        probe if asked else None,
        Audit(references, config.consensus) if config.audit else None,
        config.grpo.max_missing,
        drift=DriftAudit(probe.probe.report, config.probe) if asked and config.probe.follow_drift else None,
        consensus=config.consensus,
    )
    log, folder = run.monitor.training_log(current.index), current.folder / "grpo"
    with run.bar(current.index, "grpo", config.grpo.steps, "steps") as advance:
        trained: GrpoResult = train_grpo(
            update.policy, folder, tasks, scorer, config.grpo, current.seed("grpo"), log, config.guards, held_out, advance
        )
    update.policy = trained.checkpoint
    last = trained.history[-1] if trained.history else {}
    probe_end = {"weight": last.get("quality_gate"), "auroc": last.get("probe_auroc_drifting"), "seconds": scorer.probe_seconds}
    stopped = {"stopped_because": trained.stopped_because, "stop_run": trained.stop_run}
    update.figures |= {"probe_at_end": probe_end, **stopped, "guard_actions": trained.actions}
