"""Stage 6, the proposer (`proposer` in the config): the policy learns to invent problems that it can learn from.

The proposals of stage 1 are rollouts of the round's starting policy, and stages 1 to 5 have shown what became of each: so it costs one
training pass over them, and no samples. Sources: Absolute Zero (arXiv 2505.03335) and R-Zero (arXiv 2508.05004); docs/method.md, "The
proposer".

Every rank calls it. It leaves `round_XX/proposer/checkpoint`; killed, it goes on as SFT does (`rl.training.sft.train_sft`).
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl.config.training import OptimizerSection, ProposerConfig, SftConfig
from rl.labels.proposal_rewards import fates_of, group_advantages, proposal_figures
from rl.loop.round import Round
from rl.round_files import PROPOSALS
from rl.training.advantage_trainer import AdvantageTrainer
from rl.training.sft import SftPair, sft_steps, train_sft

if TYPE_CHECKING:
    from rl.config.schema import Config

NO_LIMIT = 2**31  # tokens of a pair: what was sampled fits the model


@dataclass(frozen=True)
class Taught:
    """What training the proposer left behind."""

    policy: Path | str  # to go on with
    figures: dict[str, Any]  # for training.json
    stopped_because: str | None = None  # values that are not finite


def teach_proposer(current: Round, config: ProposerConfig) -> Taught:
    """One pass over the round's proposals. The policy stays as it is where no group has anything to compare."""
    run, solutions = current.run, current.config.solutions
    proposals = PROPOSALS.read(current.folder / PROPOSALS.file)
    broken = {program.problem_id for program in current.executions if program.execution.missing}
    fates = fates_of(proposals, current.verdicts, broken, (solutions.band_low, solutions.band_high))
    advantages = group_advantages([p.group for p in proposals], [fate.reward for fate in fates])
    pairs = [
        SftPair(f"proposal {number}", proposal.prompt, proposal.token_ids, math.nan, math.nan, advantage)
        for number, (proposal, advantage) in enumerate(zip(proposals, advantages, strict=True))
        if advantage  # neither missing nor 0, which teaches nothing
    ]
    figures: dict[str, Any] = {**proposal_figures(fates), "compared": len(pairs), "tokens": sum(len(pair.token_ids) for pair in pairs)}
    run.log("proposals", current.index, figures)
    if not pairs:
        return Taught(current.start, figures)
    training = training_of(config, current.config, len(pairs))
    log, folder = run.monitor.training_log(current.index, "proposer"), current.folder / "proposer"
    make = functools.partial(AdvantageTrainer, temperature=current.config.problems.temperature)
    with run.bar(current.index, "proposer", sft_steps(len(pairs), training), "steps") as advance:
        done = train_sft(current.start, folder, pairs, training, current.seed("proposer"), log, advance, make)
    figures["steps"] = len(done.history)
    if done.skipped:
        figures["skipped"] = done.skipped
    return Taught(done.checkpoint, figures, done.stopped_because)


def training_of(proposer: ProposerConfig, config: Config, count: int) -> SftConfig:
    """How `count` proposals are trained on: with the optimizer of what follows (GRPO, or SFT where there is no GRPO), at a constant rate.

    One pass at most. A last batch that is no more than half full is left out: its gradient would be too noisy for a whole step.
    """
    base: OptimizerSection = config.sft if config.consolidation == "sft" else config.grpo
    batch = proposer.batch or (config.sft.batch if config.consolidation == "sft" else config.grpo.rollouts_per_step)
    steps = max(1, round(count / batch))
    return SftConfig.model_validate(
        {
            **base.model_dump(include=set(OptimizerSection.model_fields)),
            "learning_rate": proposer.learning_rate or base.learning_rate,
            "lr_schedule": "constant",
            "warmup": 0,
            "epochs": 1,
            "steps": min(steps, proposer.steps or steps),
            "batch": batch,
            "max_length": NO_LIMIT,
            "save_every": config.sft.save_every,
        }
    )
