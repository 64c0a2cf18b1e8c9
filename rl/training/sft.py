"""Stage 6, consolidation: the paper's supervised fine-tuning on what consensus kept (arXiv 2512.17385, section 2), through TRL.

From each problem's winning cluster (candidates with e(r) >= ρ, at least τ members) the candidate with the highest e(r), then the
lowest perplexity f(r); 3 epochs of AdamW with a cosine schedule; loss on the answer alone.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import PreTrainedTokenizerBase, PrinterCallback, set_seed
from trl import SFTConfig as TrlConfig

from probing.records import Candidate, Problem
from probing.samplers.base import Progress
from rewards.records import Kind
from rl.config.training import SftConfig
from rl.models.checkpoints import discard, latest_complete, read_result, write_result
from rl.round_files import BankProgram, Verdict
from rl.training.adapters import copy_policy, load_for_training, save_trained
from rl.training.pair_trainer import PairTrainer, StopNotFinite
from rl.training.trainer_parts import (
    StepCallback,
    optimizer_arguments,
    quiet_libraries,
    released_after,
    repeatable_sums,
    sound_attention,
    step_figures,
)

__all__ = ["NothingToLearn", "SftConfig", "SftPair", "SftResult", "select_for_sft", "sft_steps", "train_sft"]


class NothingToLearn(ValueError):
    """No pair is left to train on."""


@dataclass(frozen=True)
class SftPair:
    """One example: a prompt and the answer to learn, token by token as it was sampled (end token included)."""

    problem_id: str
    prompt: str
    token_ids: tuple[int, ...]
    value_share: float  # e(r), over the suite's whole pool of inputs; NaN where no answer was run
    mean_logprob: float  # nats a token: minus the log of the perplexity f(r)
    advantage: float | None = None  # for a policy gradient alone (`rl.training.advantage_trainer`)


@dataclass(frozen=True)
class SftResult:
    """What the fine-tuning left behind."""

    checkpoint: Path
    history: list[dict[str, Any]]  # one record a step
    n_too_long: int  # pairs left out because they pass `max_length`
    stopped_because: str | None = None  # values that are not finite: the checkpoint is the policy that was started from
    skipped: list[dict[str, Any]] = field(default_factory=list)  # steps left out for a gradient that is not finite: `PairTrainer.skipped`


def select_for_sft(
    prompts: Sequence[str],
    problems: Sequence[Problem],
    candidates: Sequence[Candidate],
    bank: Sequence[BankProgram],
    verdicts: Sequence[Verdict],
) -> list[SftPair]:
    """At most one pair a problem, in the order of `problems`; none where nobody won or no member of the winner finished.

    prompts: one for each problem, as in stage 5. Members of a cluster err at the same kept inputs, so e(r) is taken over the
    whole pool, which can still tell them apart. Ties go to the candidate sampled first.
    """
    winners = {v.problem_id: {i for i, label in enumerate(v.labels) if label == v.top} for v in verdicts if v.top >= 0}
    shares: dict[tuple[str, int], float] = {}
    for program in bank:
        outcomes = program.execution.outcomes
        share = sum(o.kind is Kind.VALUE for o in outcomes) / max(len(outcomes), 1)
        shares |= {(program.problem_id, index): share for index in program.candidates}

    def rank(c: Candidate) -> tuple[float, float, int]:
        return shares[c.problem_id, c.index], c.mean_logprob, -c.index

    found: dict[str, Candidate] = {}  # the best of each problem so far: no more of them is kept in memory
    for candidate in candidates:
        if candidate.finished and candidate.index in winners.get(candidate.problem_id, ()):
            before = found.get(candidate.problem_id)
            found[candidate.problem_id] = candidate if before is None else max(before, candidate, key=rank)
    pairs = []
    for prompt, problem in zip(prompts, problems, strict=True):
        if problem.id in found:
            best = found[problem.id]
            pairs.append(SftPair(problem.id, prompt, best.token_ids, shares[problem.id, best.index], best.mean_logprob))
    return pairs


def draw_unexecuted(
    prompts: Sequence[str], problems: Sequence[Problem], candidates: Sequence[Candidate], apart: Sequence[str], seed: int
) -> list[SftPair]:
    """One finished answer a problem, drawn at random: nothing that running programs has told takes part. apart: problems to leave out.

    The control of `select_for_sft` (`sft.select: unexecuted`); its pairs have no e(r).
    """
    hidden = set(apart)
    finished: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        if candidate.finished and candidate.code is not None and candidate.problem_id not in hidden:
            finished.setdefault(candidate.problem_id, []).append(candidate)
    pairs = []
    for prompt, problem in zip(prompts, problems, strict=True):
        if answers := finished.get(problem.id):
            drawn = random.Random(f"{seed} {problem.id}").choice(answers)
            pairs.append(SftPair(problem.id, prompt, drawn.token_ids, math.nan, drawn.mean_logprob))
    return pairs


def sft_steps(n_pairs: int, config: SftConfig) -> int:
    """Optimizer steps that training on `n_pairs` takes."""
    return config.steps or math.ceil(n_pairs / config.batch) * config.epochs


def fitting(pairs: Sequence[SftPair], tokenizer: PreTrainedTokenizerBase, max_length: int) -> list[tuple[SftPair, dict[str, Any]]]:
    """Each pair with its row: input_ids int[L] and labels int[L], -100 over the prompt, so that the loss sees the answer alone; its
    advantage, where it has one.

    Pairs that are longer than `max_length` are left out.
    """
    found = []
    for pair in pairs:
        prompt = tokenizer(pair.prompt, add_special_tokens=False)["input_ids"]
        if len(prompt) + len(pair.token_ids) <= max_length:
            row: dict[str, Any] = {"input_ids": [*prompt, *pair.token_ids], "labels": [-100] * len(prompt) + list(pair.token_ids)}
            found.append((pair, row if pair.advantage is None else row | {"advantage": pair.advantage}))
    return found


def train_sft(
    policy_dir: Path | str,
    out_dir: Path,
    pairs: Sequence[SftPair],
    config: SftConfig,
    seed: int,
    log: Callable[[dict[str, Any]], None],
    progress: Progress | None = None,
    make_trainer: Callable[..., PairTrainer] = PairTrainer,
) -> SftResult:
    """Fine-tune the policy on the pairs and write the result to `out_dir/checkpoint`, whole or not at all.

    make_trainer: makes the trainer, and with it the loss: the likelihood of the answers by default. Every rank calls it; log is called
    on the first. Call it again after a kill and it goes on from the last complete checkpoint in `out_dir/trainer`. Raises NothingToLearn
    without a pair that fits.
    """
    done = read_result(out_dir)
    if done is not None:
        return SftResult(out_dir / "checkpoint", **done)
    with quiet_libraries(), repeatable_sums(), sound_attention():
        set_seed(seed % 2**31)
        arguments = _trl_config(config, seed, out_dir)  # first: under ZeRO-3 it has the model loaded in shards
        model, tokenizer, adapter = load_for_training(policy_dir, config)
        fit = fitting(pairs, tokenizer, config.max_length)
        if not fit:
            raise NothingToLearn(
                f"there is no pair to train on: {len(pairs)} were selected, and those over max_length ({config.max_length}) are left out"
            )
        trainer = make_trainer(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_list([row for _, row in fit]),
            processing_class=tokenizer,
            peft_config=adapter,
            names={tuple(row["input_ids"]): pair.problem_id for pair, row in fit},
        )
        del model  # the trainer's alone from here on
        with released_after(trainer):
            trainer.remove_callback(PrinterCallback)
            trainer.add_callback(StepCallback(log, progress, lambda: {"skipped": trainer.skipped}))
            trainer.add_callback(finite := StopNotFinite(trainer))
            found = latest_complete(out_dir / "trainer")
            if found is not None:
                trainer.skipped = list(found[1].get("skipped", []))
            trainer.train(resume_from_checkpoint=str(found[0]) if found is not None else None)
            history = [step_figures(record, int(record["step"])) for record in trainer.state.log_history if "loss" in record]
            result = SftResult(out_dir / "checkpoint", history, len(pairs) - len(fit), finite.cause, trainer.skipped)
            if finite.cause is None:
                save_trained(trainer, tokenizer, result.checkpoint, config.lora)
            elif trainer.is_world_process_zero():
                copy_policy(policy_dir, result.checkpoint, config)
            if trainer.is_world_process_zero():
                write_result(out_dir, {name: value for name, value in vars(result).items() if name != "checkpoint"})
                discard(out_dir / "trainer")
            trainer.accelerator.wait_for_everyone()
    return result


def _trl_config(config: SftConfig, seed: int, out_dir: Path) -> TrlConfig:
    return TrlConfig(
        **optimizer_arguments(config, seed, config.batch),
        output_dir=str(out_dir / "trainer"),
        num_train_epochs=config.epochs,
        max_steps=config.steps or -1,  # TRL's word for "as the epochs take"
        save_steps=config.save_every,
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
    )
