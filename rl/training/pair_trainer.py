"""SFT's trainer: TRL's, which leaves out a step whose gradient is not finite, and says which pairs gave it.

A loss that is not finite ends the training: the weights or the data are broken. A gradient that is not finite under a finite loss and
finite weights is a failure of one backward pass (on a GPU it depends on the kernel and on how a batch is padded). Such a step would turn
every weight into NaN, so it is skipped, as mixed-precision training does it (Micikevicius et al., arXiv 1710.03740, section 3.2). Seen
once, on an H200, from cuDNN's attention, which `trainer_parts.sound_attention` leaves out since.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl import SFTTrainer

SKIPS_IN_A_ROW = 3  # so many steps without a finite gradient end the training


class PairTrainer(SFTTrainer):
    """SFTTrainer that sends no telemetry, writes no model card, and skips a step whose gradient is not finite.

    names: the problem of each row, by its token ids. skipped: one record a step that was left out: `step`, `grad_norm` (as text, JSON
    has no NaN), `loss` of the micro-batch that broke it, and `problems`, those of that micro-batch's pairs on this rank. DeepSpeed
    keeps gradients to itself, so nothing is skipped there.
    """

    def __init__(self, *args: Any, names: Mapping[tuple[int, ...], str], **kwargs: Any) -> None:
        self.names = names
        self.skipped: list[dict[str, Any]] = []
        self._broken: dict[str, Any] | None = None  # of this step: the micro-batch after which the gradient was not finite
        super().__init__(*args, **kwargs)

    def _send_telemetry(self) -> None:
        pass

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        pass

    def training_step(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        """One micro-batch; notes the first of a step after which the gradient is not finite."""
        rows = [ids[mask.bool()].tolist() for ids, mask in zip(inputs["input_ids"], inputs["attention_mask"], strict=True)]
        loss: torch.Tensor = super().training_step(model, inputs, *args, **kwargs)
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        if self._broken is None and gradients and not torch.isfinite(torch.nn.utils.get_total_norm(gradients)):
            self._broken = {"loss": str(loss.item()), "problems": [self.names.get(tuple(row)) for row in rows]}
        return loss

    def _clip_grad_norm(self, model: Any) -> Any:
        """Clips as usual; without a finite norm there is no gradient left, and the optimizer changes nothing."""
        norm = super()._clip_grad_norm(model)
        broken, self._broken = self._broken, None
        if math.isfinite(norm) or self.is_deepspeed_enabled:
            return norm
        for parameter in model.parameters():
            parameter.grad = None
        self.skipped.append({"step": self.state.global_step + 1, "grad_norm": str(float(norm)), **(broken or {})})
        return norm


class StopNotFinite(TrainerCallback):
    """Ends the training at a loss that is not finite, or at gradients that stay so. No checkpoint is left of that step."""

    cause: str | None = None

    def __init__(self, trainer: PairTrainer) -> None:
        self.trainer = trainer

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        broken = [name for name in ("loss", "grad_norm") if not math.isfinite((logs or {}).get(name, 0.0))]
        if not broken or (broken == ["grad_norm"] and self._passing(state.global_step)):
            return
        where = f"{broken[0]} is {(logs or {})[broken[0]]} at step {state.global_step}"
        if self.trainer.skipped and (names := self.trainer.skipped[-1].get("problems")):
            where += f", in the pairs of {', '.join(map(str, names))}"
        self.cause = f"{where}: the weights cannot be trusted any more"
        control.should_training_stop, control.should_save = True, False

    def _passing(self, step: int) -> bool:
        """Whether the step was skipped, the weights are whole, and the steps just before it were not all skipped too."""
        steps = [record["step"] for record in self.trainer.skipped]
        in_a_row = steps[-SKIPS_IN_A_ROW:] == list(range(step - SKIPS_IN_A_ROW + 1, step + 1))
        model: Any = self.trainer.model
        return bool(steps) and steps[-1] == step and not in_a_row and all(bool(torch.isfinite(p).all()) for p in model.parameters())
