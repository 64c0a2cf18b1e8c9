"""Carries the guards' decisions out in the trainer: learning rate, KL, probe weight, end of the round, roll-back.

Every rank sees the same gathered figures and so takes the same actions. Each rank samples
a part of the held-out problems.

The best policy so far lies in `best/step_K`, and the state that belongs to a trainer's checkpoint names K. The folders
that the last two checkpoints name are kept, so a round that goes on from either of them rolls back to the weights
that its state speaks of, whatever was written before the kill.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from rl.models.checkpoints import discard
from rl.scoring.scoring import RolloutScorer
from rl.scoring.tasks import GrpoTask
from rl.training.adapters import save_trained
from rl.training.guards import Action, Guards, GuardsConfig, Observed
from rl.training.rollouts import PolicyRollouts, derive_seed, tokenizer_of
from rl.training.trainer import PolicyTrainer

SIGNALS = {  # signal -> the figure in the trainer's log
    "loss": "loss",
    "grad_norm": "grad_norm",
    "entropy": "entropy",
    "distinct": "distinct_behaviours",
    "majority": "majority_share",
    "length": "tokens",
    "probe": "probe_concordance",
    "kl": "kl",
    "held_out": "held_out_agreement",
}


class GuardCallback(TrainerCallback):
    """Watches one round. `trainer` must be set before training starts."""

    trainer: PolicyTrainer

    def __init__(
        self,
        config: GuardsConfig,
        start: Path | str,
        out_dir: Path,
        log: Callable[[dict[str, Any]], None],
        held_out: Sequence[GrpoTask],
        scorer: RolloutScorer,
        rollouts: PolicyRollouts,
        seed: int,
    ) -> None:
        self.config, self.start, self.log, self.scorer, self.rollouts, self.seed = config, start, log, scorer, rollouts, seed
        self.guards = Guards(config)
        self.held_out = [task for task in held_out if task.bank is not None] if config.enabled and config.held_out is not None else []
        self.best_folder = out_dir / "best"
        self.best: tuple[float, int] | None = None  # agreement on the held-out problems, step
        self.saved_best = self.best_policy  # as it was when the last checkpoint was saved
        self.actions: list[dict[str, Any]] = []
        self.stopped_because: str | None = None
        self.stop_run = False
        self.rolled_back_to: Path | str | None = None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self.held_out and state.global_step == 0:
            self._measure_held_out(0)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        due = self.held_out and state.global_step % self.config.held_out_every == 0
        if due and self._finite():  # else nothing can be sampled, and `on_log`, which comes next, sees this step's loss or gradient
            self._measure_held_out(state.global_step)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Remove the folders that neither this checkpoint nor the one before it names: older checkpoints are gone."""
        best = self.best_policy
        if state.is_world_process_zero:
            for folder in self.best_folder.glob("step_*"):
                if folder not in (self.saved_best, best):
                    discard(folder)
        self.saved_best = best

    @property
    def best_policy(self) -> Path | str:
        """The weights with the best held-out agreement: the folder of that step, or the round's start."""
        return self.start if self.best is None or self.best[1] == 0 else self.best_folder / f"step_{self.best[1]}"

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        if not logs or "loss" not in logs:
            return
        values = {signal: logs.get(figure) for signal, figure in SIGNALS.items()}
        for action in self.guards.observe(Observed(step=state.global_step, **values)):
            self._carry_out(action, control)
            self.actions.append(action.record())
            if state.is_world_process_zero:
                self.log(action.record())

    def _finite(self) -> bool:
        """Whether all weights are finite, on every rank: each looks at what it holds of them."""
        assert self.trainer.model is not None
        held = (getattr(weight, "to_local", lambda weight=weight: weight)() for weight in self.trainer.model.parameters())
        return all(gather_object([all(bool(torch.isfinite(weight).all()) for weight in held)]))

    def _measure_held_out(self, step: int) -> None:
        """Sample the held-out problems and keep the policy where their agreement with the round's first answers is best."""
        accelerator = self.trainer.accelerator
        mine = list(range(accelerator.process_index, len(self.held_out), accelerator.num_processes))
        tasks = [self.held_out[i] for i in mine]
        seed = derive_seed(self.seed, "held_out")  # the same draws each time: less noise between measurements
        sampled = self.rollouts.sample(self.trainer, [t.prompt for t in tasks], self.config.held_out_samples, seed, mine)
        shares = gather_object(self.scorer.winner_shares(tasks, sampled))
        known = [share for share in shares if share is not None]
        if not known:
            return
        agreement = sum(known) / len(known)
        self.trainer._metrics["train"]["held_out_agreement"].append(agreement)
        if self.best is None or agreement > self.best[0]:
            self.best = (agreement, step)
            if step > 0:
                self._save_best()

    def _save_best(self) -> None:
        save_trained(self.trainer, tokenizer_of(self.trainer), Path(self.best_policy), None)

    def _carry_out(self, action: Action, control: TrainerControl) -> None:
        match action.kind:
            case "lower_lr":
                self._scale_learning_rate(self.config.lr_factor)
            case "raise_kl":
                beta = self.trainer.next_beta or self.trainer.beta
                self.trainer.next_beta = beta * self.config.kl_factor if beta > 0 else self.config.kl_start
            case "mute_probe":
                self.scorer.mute_probe()
            case "end_round" | "roll_back" | "stop":
                control.should_training_stop = True
                control.should_save = False  # a run killed before its result is written makes this step, and this end, again
                self.stopped_because = self.stopped_because or action.cause
                self.stop_run = self.stop_run or action.kind == "stop"
                if action.kind == "roll_back":
                    self.rolled_back_to = self.best_policy

    def _scale_learning_rate(self, factor: float) -> None:
        scheduler, optimizer = self.trainer.lr_scheduler, self.trainer.optimizer
        assert scheduler is not None and optimizer is not None
        scheduler.base_lrs = [rate * factor for rate in scheduler.base_lrs]  # the schedule's shape stays; saved with its state
        for group in optimizer.param_groups:
            group["lr"] *= factor
        scheduler._last_lr = [group["lr"] for group in optimizer.param_groups]  # what the next step's log shows

    def state(self) -> dict[str, Any]:
        """What a resumed round needs beside the trainer's own checkpoint."""
        beta = self.trainer.next_beta if self.trainer.next_beta is not None else self.trainer.beta
        return {
            "guards": self.guards.state(),
            "best": self.best,
            "actions": self.actions,
            "beta": beta,
            "scorer": self.scorer.state(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from `state`'s record."""
        self.guards.restore(state["guards"])
        self.best = None if state["best"] is None else (float(state["best"][0]), int(state["best"][1]))
        self.saved_best = self.best_policy
        self.actions = list(state["actions"])
        if state["beta"] != self.trainer.beta:
            self.trainer.next_beta = state["beta"]
        self.scorer.restore(state["scorer"])
