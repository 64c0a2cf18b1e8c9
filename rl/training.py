"""Stage 6 of a round: from verdicts to training tasks, and from there to the next policy, by GRPO, by SFT, or by both.

Every rank calls it: the tasks are read from the round's files, and the trainer shards the work.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from probing.answers import extract_code
from probing.records import Candidate, Problem, TestSuite
from probing.solutions import solve_prompt
from rewards.consensus import get_rule
from rl.audit import Audit, make_signal
from rl.bank import ProblemBank, group_bank
from rl.frozen_probe import FrozenProbe
from rl.grpo import train_grpo
from rl.round_files import BankProgram, Verdict
from rl.rounds import RoundError
from rl.run_folder import write_atomically
from rl.scoring import GrpoTask, RolloutScorer
from rl.sft import select_for_sft, sft_steps, train_sft

if TYPE_CHECKING:
    from rl.rounds import Round

HELD_OUT_EVERY = 6  # of the problems in the band, every sixth is kept for the guards, up to `guards.held_out_problems`


def training_split(verdicts: Sequence[Verdict], held_out: int) -> tuple[list[Verdict], list[Verdict]]:
    """(problems to train on, self-made problems that the guards watch), both in the band of agreement."""
    kept = [v for v in verdicts if v.kept]
    apart = set(range(0, len(kept), HELD_OUT_EVERY)[:held_out])
    return [v for i, v in enumerate(kept) if i not in apart], [v for i, v in enumerate(kept) if i in apart]


def make_tasks(
    round: Round, problems: Sequence[Problem], suites: Sequence[TestSuite], bank: Sequence[BankProgram], verdicts: Sequence[Verdict]
) -> list[GrpoTask]:
    """What the trainer needs of each problem: prompt, kept inputs, and the bank that votes."""
    by_id = {p.id: p for p in problems}
    pool = {s.problem_id: s.inputs for s in suites}
    programs = group_bank(bank)
    tasks = []
    for verdict in verdicts:
        problem = by_id[verdict.problem_id]
        voters = ProblemBank(programs[problem.id], pool[problem.id], verdict.inputs)
        tasks.append(
            GrpoTask(
                problem_id=problem.id,
                prompt=solve_prompt(round.chat, problem),
                entry=problem.entry,
                inputs=voters.inputs,
                bank=voters.matrix,
                known=voters.known(),
                arguments=voters.arguments,
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
    if not done.exists():
        with round.run.timed(round.index, "training"):
            checkpoint, outcome = _consolidate(round, problems, suites, candidates, bank, verdicts, probe)
        if round.run.main:
            write_atomically(done, json.dumps({"checkpoint": str(checkpoint.relative_to(round.run.folder)), **outcome}, indent=1))
        round.run.state.wait_for_everyone()
    return round.run.folder / json.loads(done.read_text())["checkpoint"]


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
    chosen, apart = training_split(verdicts, config.guards.held_out_problems if config.guards.enabled else 0)
    if not chosen:
        raise RoundError(
            f"round {round.index}: none of {len(verdicts)} problems is in the band of agreement "
            f"({config.solutions.band_low} to {config.solutions.band_high}): nothing to train on. Widen solutions.band_low/band_high"
        )
    policy: Path | str = round.policy
    outcome: dict[str, object] = {"problems": len(chosen), "held_out": len(apart)}
    if config.consolidation in ("sft", "sft+grpo"):
        pairs = select_for_sft([solve_prompt(round.chat, p) for p in problems], problems, candidates, bank, verdicts)
        with run.bar(round.index, "sft", sft_steps(len(pairs), config.sft), "steps") as advance:
            result = train_sft(
                policy, round.folder / "sft", pairs, config.sft, round.seed("sft"), run.monitor.training_log(round.index, "sft"), advance
            )
        policy = result.checkpoint
        outcome["sft_pairs"] = len(pairs)
    if config.consolidation == "sft":
        return Path(policy), outcome
    references = round.references(problems, suites, [*chosen, *apart])
    signal = make_signal(config.grpo, get_rule(config.consensus), round.seed("signal"), run.folder.name, references or None)
    tasks, watched = make_tasks(round, problems, suites, bank, chosen), make_tasks(round, problems, suites, bank, apart)
    scorer = RolloutScorer(
        [*tasks, *watched],
        run.sandbox,
        extract_code,
        signal,
        config.reward,
        probe if config.reward.w_quality else None,
        Audit(references, config.consensus.rho, config.consensus.tau) if config.audit else None,
        config.grpo.max_missing,
    )
    log = run.monitor.training_log(round.index)
    with run.bar(round.index, "grpo", config.grpo.steps, "steps") as advance:
        trained = train_grpo(
            policy, round.folder / "grpo", tasks, scorer, config.grpo, round.seed("grpo"), log, config.guards, watched, advance
        )
    outcome |= {"stopped_because": trained.stopped_because, "stop_run": trained.stop_run, "guard_actions": trained.actions}
    return trained.checkpoint, outcome
