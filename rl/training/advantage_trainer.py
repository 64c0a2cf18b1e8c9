"""Policy gradient on answers that were sampled before: what trains the proposer.

    loss = - sum over answers i and their tokens t of A_i log π_T(y_it | prompt, y_i<t)  /  number of tokens in the step

This is the gradient of REINFORCE (Williams, 1992) with the group's mean as baseline, and that of GRPO's first step, where the ratio to the
sampling policy is 1. Answers were drawn at a temperature T, so π_T = softmax(logits / T): the distribution whose expected reward is to
rise is the one that they came from and that the next round draws from, and no importance weights are needed. Each answer is met once.
Later steps of a pass are off-policy by the steps before them; nothing corrects for that.

Overrides of TRL's and transformers' trainer: `compute_loss`, `_set_signature_columns_if_needed`; it writes `_metrics`.
"""

from __future__ import annotations

from typing import Any

import torch
from accelerate.utils import is_peft_model
from trl.trainer.utils import add_fused_lm_head

from rl.training.pair_trainer import PairTrainer


class AdvantageTrainer(PairTrainer):
    """PairTrainer whose rows have an `advantage`. temperature: at which the answers were sampled."""

    def __init__(self, *args: Any, temperature: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        model: Any = self.model
        add_fused_lm_head(model.get_base_model() if is_peft_model(model) else model, temperature, outputs=("log_probs", "entropy"))
        collate = self.data_collator

        def with_advantages(rows: list[dict[str, Any]]) -> dict[str, Any]:
            return {**collate(rows), "advantages": torch.tensor([row["advantage"] for row in rows], dtype=torch.float32)}

        self.data_collator = with_advantages

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        columns: Any = self._signature_columns
        if "advantage" not in columns:
            columns.append("advantage")

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
        """The loss of one micro-batch of B answers, by the tokens of the whole step over all ranks. Outputs are not returned."""
        assert not return_outputs and num_items_in_batch is not None
        advantages_B = inputs.pop("advantages")
        outputs = model(**inputs, use_cache=False, fused_lm_head=True)
        weighted_BT = advantages_B.unsqueeze(1) * outputs.log_probs  # zero over the prompt and the padding
        loss = -weighted_BT.sum() / torch.as_tensor(num_items_in_batch).clamp(min=1)
        own = torch.stack([outputs.entropy.detach().sum().float(), outputs.label_mask.sum().float()])
        entropy, tokens = self.accelerator.reduce(own, reduction="sum").tolist()
        if tokens:
            self._metrics["train"]["entropy"].append(entropy / tokens)
        return loss * self.accelerator.num_processes  # gradients are averaged over the ranks
