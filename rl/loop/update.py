"""Stage 6 of a round: from verdicts to training tasks, and from there to the next policy, by GRPO, by SFT, or by both.

Every rank calls it: the tasks are read from the round's files, and the trainer shards the work.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from probing.memory import free_device_memory
from probing.probe.drift import DriftAudit
from probing.prompts.asking import Ask
from probing.reading import read_program
from probing.records import Candidate, Problem, TestSuite
from probing.stages.solutions import given_code, solve_question
from rewards.rules.consensus import get_rule
from rl.config.run_folder import write_atomically
from rl.console import warn
from rl.labels.audit import Audit, oracle_signal
from rl.labels.bank import ProblemBank
from rl.labels.frozen_probe import FrozenProbe
from rl.loop.round import RoundError
from rl.models.checkpoints import damage
from rl.ranks.shards import discard_parts
from rl.round_files import BankProgram, Verdict
from rl.scoring.scoring import RolloutScorer
from rl.scoring.signals import Signal, make_signal
from rl.scoring.tasks import GrpoTask
from rl.stored import grouped
from rl.training.grpo import schedule, train_grpo
from rl.training.sft import draw_unexecuted, select_for_sft, sft_steps, train_sft

if TYPE_CHECKING:
    from rl.config.schema import Config
    from rl.loop.round import Round

HELD_OUT_EVERY = 6  # of the problems in the band, every sixth is kept apart at most


def kept_apart(config: Config, index: int) -> int:
    """How many self-made problems of a round nobody trains on, at most: the guards watch them, and round 1's serve the final choice."""
    return max(config.guards.held_out_problems if config.guards.enabled else 0, config.choice.problems if index == 1 else 0)


def training_split(verdicts: Sequence[Verdict], held_out: int) -> tuple[list[Verdict], list[Verdict]]:
    """(problems to train on, self-made problems kept apart), both in the band of agreement."""
    kept = [v for v in verdicts if v.kept]
    apart = set(range(0, len(kept), HELD_OUT_EVERY)[:held_out])
    return [v for i, v in enumerate(kept) if i not in apart], [v for i, v in enumerate(kept) if i in apart]


def without(verdicts: Sequence[Verdict], apart: Sequence[Verdict]) -> list[Verdict]:
    """The verdicts, in the band or not, on problems that are not kept apart: what the paper's SFT may learn from."""
    hidden = {v.problem_id for v in apart}
    return [v for v in verdicts if v.problem_id not in hidden]


def margin_weights(margins: Sequence[float], power: float) -> list[float]:
    """Each problem's weight: its margin to a power, their mean 1. A clear vote is the likelier one to be right.

    >>> margin_weights([0.2, 0.6], 1.0)
    [0.5, 1.5]
    """
    powers = [max(margin, 0.0) ** power for margin in margins]
    mean = sum(powers) / max(len(powers), 1)
    return [value / mean if mean > 0 else 1.0 for value in powers]


def make_tasks(
    ask: Ask,
    problems: Sequence[Problem],
    suites: Sequence[TestSuite],
    bank: Sequence[BankProgram],
    verdicts: Sequence[Verdict],
    by_margin: float = 0.0,
) -> list[GrpoTask]:
    """What the trainer needs of each problem: prompt, kept inputs, the bank that votes, and its weight (`reward.by_margin`)."""
    by_id = {p.id: p for p in problems}
    pool = {s.problem_id: s for s in suites}
    programs = grouped(bank)
    tasks = []
    for verdict, weight in zip(verdicts, margin_weights([v.margin for v in verdicts], by_margin), strict=True):
        problem = by_id[verdict.problem_id]
        voters = ProblemBank(programs[problem.id], pool[problem.id], verdict.inputs)
        question = solve_question(ask, problem)
        tasks.append(
            GrpoTask(
                problem_id=problem.id,
                prompt=question.text,
                entry=problem.entry,
                inputs=voters.inputs,
                bank=voters.matrix,
                known=voters.known(),
                arguments=voters.arguments,
                expected=voters.expected,
                prefill=question.prefill,
                stop=question.stop,
                given=given_code(problem),
                weight=weight,
            )
        )
    return tasks


def train(
    round: Round,
    problems: Sequence[Problem],
    suites: Sequence[TestSuite],
    candidates: Sequence[Candidate],
    bank: Sequence[BankProgram],
    verdicts: Sequence[Verdict],
    probe: FrozenProbe,
) -> Path:
    """The round's new checkpoint. Ends at once when it is there already."""
    done = round.folder / "training.json"
    if round.run.main and done.exists() and (wrong := _damage(round, done)) is not None:
        warn(f"round {round.index} is trained again: {wrong}")
        done.unlink()
    round.run.state.wait_for_everyone()
    if not done.exists():
        round.run.ranks.at(f"round {round.index}, training")
        with round.run.timed(round.index, "training"):
            checkpoint, outcome = _consolidate(round, problems, suites, candidates, bank, verdicts, probe)
        if round.run.main:
            write_atomically(done, json.dumps({"checkpoint": str(checkpoint.relative_to(round.run.folder)), **outcome}, indent=1))
        round.run.state.wait_for_everyone()  # now every rank is past the stages that left these:
        if round.run.main:
            discard_parts(round.folder)
    round.release()  # whether it was trained now or before: what samples next wants the memory
    probe.close()
    free_device_memory()
    return round.run.folder / json.loads(done.read_text())["checkpoint"]


def _damage(round: Round, done: Path) -> str | None:
    """What is wrong with the checkpoint of a finished training; not looked at once the next round is trained, which nobody reads it for."""
    if (round.run.round_folder(round.index + 1, make=False) / "training.json").exists():
        return None
    return damage(round.run.folder / json.loads(done.read_text())["checkpoint"])


def _consolidate(
    round: Round,
    problems: Sequence[Problem],
    suites: Sequence[TestSuite],
    candidates: Sequence[Candidate],
    bank: Sequence[BankProgram],
    verdicts: Sequence[Verdict],
    probe: FrozenProbe,
) -> tuple[Path, dict[str, object]]:
    config, run = round.config, round.run
    chosen, apart = training_split(verdicts, kept_apart(config, round.index))
    watched = apart[: config.guards.held_out_problems] if config.guards.enabled else []
    if not chosen:
        raise RoundError(
            f"round {round.index}: none of {len(verdicts)} problems is in the band of agreement "
            f"({config.solutions.band_low} to {config.solutions.band_high}): nothing to train on. Widen solutions.band_low/band_high"
        )
    round.release()
    asked = config.reward.w_quality * probe.gate > 0
    if not asked:
        probe.close()  # then nothing reads the frozen policy, and its memory is training's
    policy: Path | str = round.policy
    outcome: dict[str, object] = {"problems": len(chosen), "held_out": len(apart), "watched": len(watched)}
    if config.consolidation in ("sft", "sft+grpo"):
        prompts = [solve_question(round.ask, p).text for p in problems]
        if config.sft.select == "consensus":
            pairs = select_for_sft(prompts, problems, candidates, bank, without(verdicts, apart))
        else:
            pairs = draw_unexecuted(prompts, problems, candidates, [v.problem_id for v in apart], round.seed("unexecuted"))
        with run.bar(round.index, "sft", sft_steps(len(pairs), config.sft), "steps") as advance:
            result = train_sft(
                policy, round.folder / "sft", pairs, config.sft, round.seed("sft"), run.monitor.training_log(round.index, "sft"), advance
            )
        policy = result.checkpoint
        outcome["sft_pairs"] = len(pairs)
        if result.stopped_because is not None:
            return Path(policy), outcome | {"stopped_because": result.stopped_because, "stop_run": True}
    if config.consolidation == "sft":
        return Path(policy), outcome
    needed = config.grpo.steps // config.grpo.num_iterations * config.grpo.tasks_per_step
    if len(chosen) > needed:  # no more are held in memory than the steps will meet
        met = set(schedule([v.problem_id for v in chosen], 1, needed, round.seed("met")))
        chosen = [v for v in chosen if v.problem_id in met]
    references = round.references(problems, suites, chosen)
    if config.grpo.reward == "oracle":  # it has no word on a statement that means nothing
        outcome["without_reference"] = sum(v.problem_id not in references for v in chosen)
        chosen = [v for v in chosen if v.problem_id in references]
    signal: Signal
    if config.grpo.reward == "oracle":
        signal = oracle_signal(config.grpo, run.folder.name, references)
    else:
        signal = make_signal(config.grpo.reward, get_rule(config.consensus), round.seed("signal"))
    tasks = make_tasks(round.ask, problems, suites, bank, chosen, config.reward.by_margin)
    held_out = make_tasks(round.ask, problems, suites, bank, watched)
    scorer = RolloutScorer(
        [*tasks, *held_out],
        run.executor,
        read_program,
        signal,
        config.reward,
        probe if asked else None,
        Audit(references, config.consensus) if config.audit else None,
        config.grpo.max_missing,
        drift=DriftAudit(probe.probe.report, config.probe) if asked and config.probe.follow_drift else None,
        consensus=config.consensus,
    )
    log = run.monitor.training_log(round.index)
    with run.bar(round.index, "grpo", config.grpo.steps, "steps") as advance:
        trained = train_grpo(
            policy, round.folder / "grpo", tasks, scorer, config.grpo, round.seed("grpo"), log, config.guards, held_out, advance
        )
    last = trained.history[-1] if trained.history else {}
    probe_end = {"weight": last.get("quality_gate"), "auroc": last.get("probe_auroc_drifting"), "seconds": scorer.probe_seconds}
    outcome["probe_at_end"] = probe_end
    outcome |= {"stopped_because": trained.stopped_because, "stop_run": trained.stop_run, "guard_actions": trained.actions}
    return trained.checkpoint, outcome
