"""After every round its policy answers the problems that were kept apart in round 1, and the answers are compared with the votes on them.

Leaves `held_out.json` (`rl.loop.held_out`), and tells in the log where the next round will not start from this checkpoint
(`rl.loop.choice`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from probing.models.loading import load_model, load_tokenizer
from probing.prompts.asking import Ask
from probing.reading import read_voter
from probing.records import Problem, TestSuite
from probing.samplers.base import SamplingParams
from rewards.rules.consensus import get_rule
from rl.config.run_folder import write_atomically
from rl.loop.choice import another_follows, borne, fall_of
from rl.loop.held_out import NAME, held_out_agreement
from rl.loop.round import Round, asker_of, shared_sampler
from rl.loop.selection import make_tasks, training_split
from rl.round_files import Stage, Verdict, read_bank, read_records
from rl.scoring.scoring import RolloutScorer
from rl.scoring.tasks import ConsensusSignal
from rl.training.rollouts import derive_seed

if TYPE_CHECKING:
    from rl.run import Run
    from rl.scoring.tasks import GrpoTask


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
            read_voter,
            ConsensusSignal(get_rule(config.consensus)),
            config.reward,
            max_missing=config.grpo.max_missing,
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
        if another_follows(run, index) and (back := fall_of(run, index, record)) is not None:
            run.log("guards", index, back.record())
            run.console.print(f"guard            {back.cause}", markup=False, soft_wrap=True)
        elif another_follows(run, index) and (said := borne(run, index, record)):
            run.console.print(f"agreement        {said}", markup=False, soft_wrap=True)
        return record

    run.once(index, Stage("held out", NAME, lambda path, found: write_atomically(path, json.dumps(found)), lambda path: None), compute)


def held_out_tasks(run: Run, ask: Ask) -> tuple[list[GrpoTask], list[float]]:
    """The problems of round 1 that were kept apart, and the margin of the vote on each."""
    folder = run.round_folder(1)
    verdicts = read_records(folder / "clusters.jsonl", Verdict)
    _, apart = training_split(verdicts, run.config, 1)
    apart = apart[: run.config.choice.problems]
    problems, suites = read_records(folder / "problems.jsonl", Problem), read_records(folder / "suites.jsonl", TestSuite)
    bank, canonical = read_bank(folder / "executions.jsonl"), run.config.sandbox.canonicaliser()
    return make_tasks(ask, problems, suites, bank, apart, canonical), [verdict.margin for verdict in apart]
