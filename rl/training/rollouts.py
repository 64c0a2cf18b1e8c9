"""Rollouts of a GRPO step: from TRL's per-rank slice of prompts, through our sampler, to token ids.

TRL hands each rank its slice of the step's rows (every prompt repeated once per rollout), and a group may lie on two
ranks. A rank samples every group that it holds rows of and keeps its rows; samples depend on (seed, step, group, row)
alone, so any number of ranks draws the same rollouts, and a resumed run repeats them.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from accelerate.utils import gather_object, is_peft_model
from torch.distributed.fsdp import FSDPModule
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl import GRPOTrainer
from trl.models import unwrap_model_for_generation

from probing.samplers.base import Completion, Sampler, SamplingParams, cut_at_stop, first_stop
from probing.samplers.engines.int8 import int8_copy

SamplerFactory = Callable[[PreTrainedModel, PreTrainedTokenizerBase], Sampler]


def derive_seed(*parts: int | str) -> int:
    """A 63-bit seed that depends on every part and on nothing else."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def rows_by_group(prompts: Sequence[str], first_row: int, group_size: int) -> dict[int, tuple[str, list[int]]]:
    """Group number -> (prompt, the rows of that group held here); `first_row` is the slice's first row in the whole batch.

    >>> rows_by_group(["a", "a", "b", "b", "b", "c"], first_row=1, group_size=3)
    {0: ('a', [1, 2]), 1: ('b', [0, 1, 2]), 2: ('c', [0])}
    """
    groups: dict[int, tuple[str, list[int]]] = {}
    for row, prompt in enumerate(prompts, start=first_row):
        text, rows = groups.setdefault(row // group_size, (prompt, []))
        assert text == prompt, "a group's rows must share their prompt"
        rows.append(row % group_size)
    return groups


def tokenizer_of(trainer: GRPOTrainer) -> PreTrainedTokenizerBase:
    """The trainer's tokenizer (its type allows for processors, which we never use)."""
    assert isinstance(trainer.processing_class, PreTrainedTokenizerBase)
    return trainer.processing_class


@contextmanager
def whole_parameters(model: torch.nn.Module, reshard: bool = True) -> Iterator[None]:
    """A model sharded by FSDP2 with its weights gathered, for as long as the block lasts; any other model as it is.

    FSDP2 gathers weights anew in every forward pass, all ranks together; ranks that decode for different numbers of steps would wait for
    one another forever. reshard: whether forward passes outside of the block give the gathered weights back.
    """
    shards = [module for module in model.modules() if isinstance(module, FSDPModule)]
    for module in shards:
        module.set_reshard_after_forward(False, recurse=False)
        module.unshard()
    try:
        yield
    finally:
        for module in shards:
            module.set_reshard_after_forward(reshard, recurse=False)
            module.reshard()


class PolicyRollouts:
    """TRL's `rollout_func`: samples the live policy through our own sampler.

    params: temperature and length of the rollouts (top_p is 1: the loss knows nothing of a truncated distribution). int8: draw from an
    8-bit copy of the policy, which is made anew when the policy has changed; its logprobs go along, for the loss to be corrected by.
    """

    def __init__(self, make_sampler: SamplerFactory, params: SamplingParams, group_size: int, seed: int, int8: bool = False) -> None:
        self.make_sampler, self.params, self.group_size, self.seed, self.int8 = make_sampler, params, group_size, seed, int8
        self._sampler: Sampler | None = None
        self._drawn_from: tuple[PreTrainedModel, int] | None = None  # the policy, and the step of the copy (0 without one)
        self.copy_seconds = 0.0  # the newest 8-bit copy took so long
        self.last: list[Completion] = []  # the rank's rollouts of this step, in row order

    def __call__(self, prompts: list[str], trainer: GRPOTrainer) -> dict[str, Any]:
        groups = rows_by_group(prompts, trainer.accelerator.process_index * len(prompts), self.group_size)
        texts = [text for text, _ in groups.values()]
        seed = derive_seed(self.seed, "rollouts", trainer.state.global_step)
        sampled = self.sample(trainer, texts, self.group_size, seed, list(groups))
        self.last = [group[row] for (_, rows), group in zip(groups.values(), sampled, strict=True) for row in rows]
        encoded = {text: tokenizer_of(trainer)(text, add_special_tokens=False)["input_ids"] for text in texts}
        return {
            "prompt_ids": [encoded[text] for text in prompts],
            "completion_ids": [list(c.token_ids) for c in self.last],
            "logprobs": [list(c.logprobs) for c in self.last] if self.int8 else None,  # read where the loss is corrected for the sampler
        }

    def sample(self, trainer: GRPOTrainer, prompts: Sequence[str], n: int, seed: int, indices: Sequence[int]) -> list[list[Completion]]:
        """n completions of each prompt from the live policy on this rank; `indices` are the prompts' places in the whole batch."""
        checkpointing: Any = trainer.args.gradient_checkpointing_kwargs  # else it would be turned on again otherwise than it was
        with (
            unwrap_model_for_generation(trainer.model_wrapped, trainer.accelerator, gradient_checkpointing_kwargs=checkpointing) as wrapped,
            whole_parameters(wrapped, _reshards(trainer)),
            torch.no_grad(),
            trainer.accelerator.autocast(),
        ):
            model = wrapped.get_base_model() if is_peft_model(wrapped) else wrapped
            training = model.training
            model.eval()
            sampler = self._sampler_of(model, trainer)
            completions = sampler.sample(prompts, n, self.params, seed, indices=indices)
            model.train(training)
        return completions

    def _sampler_of(self, model: PreTrainedModel, trainer: GRPOTrainer) -> Sampler:
        """The sampler of the policy, or of its copy as the policy is at this step."""
        wanted = model, trainer.state.global_step if self.int8 else 0
        if self._sampler is None or self._drawn_from is None or self._drawn_from[0] is not model or self._drawn_from != wanted:
            self.close()
            drawn_from = model
            if self.int8:
                started = time.monotonic()
                drawn_from = int8_copy(model)
                self.copy_seconds = time.monotonic() - started
            self._sampler, self._drawn_from = self.make_sampler(drawn_from, tokenizer_of(trainer)), wanted
        return self._sampler

    def close(self) -> None:
        """Free what the sampler holds (the policy itself belongs to the trainer)."""
        if self._sampler is not None:
            self._sampler.close()
            self._sampler = self._drawn_from = None


class VllmRollouts(PolicyRollouts):
    """The same through TRL's vLLM (colocate or server): faster on GPUs; its draws cannot be repeated, so a resumed run differs.

    TRL hands vLLM the policy's weights before each call, one tensor at a time, and corrects the loss for what vLLM computes otherwise. Not
    for a CPU: TRL cannot load weights into vLLM there.
    """

    def __call__(self, prompts: list[str], trainer: GRPOTrainer) -> dict[str, Any]:
        prompt_ids, self.last = self._draw(trainer, prompts, self.group_size)
        return {
            "prompt_ids": prompt_ids,
            "completion_ids": [list(c.token_ids) for c in self.last],
            "logprobs": [[None if math.isnan(p) else p for p in c.logprobs] for c in self.last],  # TRL's word for NaN
        }

    def sample(self, trainer: GRPOTrainer, prompts: Sequence[str], n: int, seed: int, indices: Sequence[int]) -> list[list[Completion]]:
        """n completions of each prompt, with the policy's weights of now; seed and indices change nothing. Every rank calls it at once."""
        everyone: list[list[str]] = gather_object([list(prompts)])
        most = max(map(len, everyone))
        if not most:
            return []
        filler = next(text for texts in everyone for text in texts)  # TRL wants as many rows from every rank
        rows = [text for text in [*prompts, *[filler] * (most - len(prompts))] for _ in range(n)]
        if trainer.state.global_step != trainer._last_loaded_step:  # as TRL does before its own calls, and need not do again then
            trainer.vllm_generation.sync_weights()
            trainer._last_loaded_step = trainer.state.global_step
        _, drawn = self._draw(trainer, rows, n)
        return [drawn[i * n : (i + 1) * n] for i in range(len(prompts))]

    def _draw(self, trainer: GRPOTrainer, rows: Sequence[str], n: int) -> tuple[list[list[int]], list[Completion]]:
        """Token ids and a completion of each row; a prompt's n rows follow one another."""
        tokenizer = tokenizer_of(trainer)
        prompt_ids = [list(ids) for ids in tokenizer(list(rows), add_special_tokens=False)["input_ids"]]
        _, drawn, logprobs, _ = trainer.vllm_generation.generate(prompts=prompt_ids, images=None, num_generations=n)
        texts = tokenizer.batch_decode(drawn, skip_special_tokens=True)
        # of the sampled token; tempered, as TRL's correction wants them; None where vLLM computed NaN
        own = [[math.nan if place[0] is None else place[0] for place in row] for row in logprobs]
        ends, stop = set(trainer.eos_token_ids), self.params.stop
        return prompt_ids, [
            Completion(cut_at_stop(text, stop), tuple(ids), tuple(p), ids[-1] in ends or first_stop(text, stop) is not None)
            for text, ids, p in zip(texts, drawn, own, strict=True)
        ]


def _reshards(trainer: GRPOTrainer) -> bool:
    """Whether the launch config has FSDP2 give weights back after a forward pass."""
    plugin = getattr(trainer.accelerator.state, "fsdp_plugin", None)
    return bool(getattr(plugin, "reshard_after_forward", True))
