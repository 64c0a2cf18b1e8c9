"""Continuous batching: which rows are live, which prompts they share, who leaves and who enters (Yu et al., "Orca", 2022).

The bookkeeping is on the host in numpy, one small array a property; keys and values stay on the device in a `PrefixCache`.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from probing.samplers.base import Progress, SamplerError, SamplingParams
from probing.samplers.engines.draws import choose_tokens
from probing.samplers.engines.prefill import Prefill
from probing.samplers.engines.prefix_cache import ATTENTION, PrefixCache
from probing.samplers.forecast import Forecast
from probing.samplers.randomness import U64, uniforms
from probing.samplers.stops import START, StopWatch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Drawn = tuple[tuple[int, ...], tuple[float, ...], bool]  # token ids, logprobs in nats, ended by itself

REFILL_SHARE = 16  # rows are let in once a sixteenth of the batch is free: fewer and larger prefills


class BatchDecoder:
    """One call's work: N prompts x n samples through at most `rows` live rows. `keys_Nn` (uint64) carries all of the randomness."""

    def __init__(
        self,
        model: PreTrainedModel,
        prompts: Sequence[Sequence[int]],
        keys_Nn: U64,
        params: SamplingParams,
        end_ids: frozenset[int],
        rows: int,
        progress: Progress | None,
        watch: StopWatch | None = None,
    ) -> None:
        self.model, self.prompts, self.params, self.progress = model, prompts, params, progress
        self.keys_Nn, self.n = keys_Nn, keys_Nn.shape[1]
        self.end_ids = np.array(sorted(end_ids), dtype=np.int64)
        self.watch = watch
        self.device, self.dtype = model.device, model.dtype
        lengths = np.array([len(ids) for ids in prompts])
        self.queue = np.argsort(-lengths, kind="stable")  # neighbours of like length waste least; the longest first, so memory peaks early
        self.queued = 0  # samples let in so far, counted along `queue`
        self.loaded = 0  # prompts prefilled so far, counted along `queue`
        self.unfinished = np.full(len(prompts), self.n)
        self.first_logits: dict[int, torch.Tensor] = {}  # prompt -> float[V], while it has samples to let in
        self.slots: list[int] = []  # prompt in each live slot of the cache
        self.prefill = Prefill(model, prompts)
        self.forecast = Forecast(self.keys_Nn.size, int(lengths.sum()), params.max_new_tokens, self.device.type)
        self.cache = PrefixCache(rows, params.max_new_tokens, int(lengths.max()))
        self.rows, self.live = rows, 0
        self.prompt_B, self.sample_B, self.slot_B, self.count_B, self.state_B = (np.zeros(rows, dtype=np.int64) for _ in range(5))
        self.stopped_B = np.zeros(rows, dtype=np.bool_)
        self.key_B = np.zeros(rows, dtype=np.uint64)
        self.token_BT = np.zeros((rows, params.max_new_tokens), dtype=np.int64)
        self.logprob_BT = np.zeros((rows, params.max_new_tokens), dtype=np.float32)
        self.drawn: list[list[Drawn | None]] = [[None] * self.n for _ in prompts]

    def run(self) -> list[list[Drawn]]:
        """Decode everything; results in the order of the prompts."""
        total = len(self.prompts) * self.n
        while self.queued < total or self.live:
            free = self.rows - self.live
            if self.queued < total and (free * REFILL_SHARE >= self.rows or not self.live):
                drawn = self._let_in(min(free, total - self.queued))
            else:
                drawn = self._step()
            self._retire(drawn)
        done = [[row for row in rows if row is not None] for rows in self.drawn]
        assert all(len(rows) == self.n for rows in done)
        return done

    def _let_in(self, k: int) -> int:
        """Give the next `k` samples a row each, prefill the prompts that are new, and draw everyone's first token. Returns `k`."""
        places = np.arange(self.queued, self.queued + k)
        self._prefill(places[-1] // self.n + 1)
        new = slice(self.live, self.live + k)
        self.prompt_B[new] = self.queue[places // self.n]
        self.sample_B[new] = places % self.n
        self.key_B[new] = self.keys_Nn[self.prompt_B[new], self.sample_B[new]]
        self.slot_B[new] = [self.slots.index(prompt) for prompt in self.prompt_B[new]]
        self.count_B[new] = 0
        self.state_B[new] = START
        self.stopped_B[new] = False
        self.queued += k
        self.live += k
        self._draw(torch.stack([self.first_logits[prompt] for prompt in self.prompt_B[new].tolist()]), new)
        for prompt in self.queue[places[places % self.n == self.n - 1] // self.n].tolist():
            del self.first_logits[prompt]
        return k

    def _prefill(self, stop: int) -> None:
        """Run the model over the queued prompts that it has not read yet, up to place `stop`."""
        prompts = [self.prompts[prompt] for prompt in self.queue[self.loaded : stop]]
        for places in self.prefill.batches(prompts):
            logits_GV, cache = self.prefill.read([prompts[place] for place in places])
            chosen = self.queue[self.loaded : self.loaded + len(places)].tolist()
            self.first_logits |= zip(chosen, logits_GV, strict=True)
            self.cache.add_prompts(len(self.slots), cache)
            self.slots += chosen
            self.loaded += len(chosen)
            self.forecast.prompts_read(sum(len(prompts[place]) for place in places))
            self._tell(0, 0)

    def _step(self) -> int:
        """One token for every live row; returns how many that are."""
        rows = slice(0, self.live)
        age_B = self.count_B[rows] - 1  # the newest token is not in the cache yet
        length_G = np.array([len(self.prompts[prompt]) for prompt in self.slots])
        self.cache.lay_out(self.slot_B[rows], length_G, age_B, self.device, self.dtype)
        with _attention(self.model, ATTENTION):
            output = self.model(
                input_ids=torch.as_tensor(self.token_BT[np.arange(self.live), age_B][:, None], device=self.device),
                position_ids=torch.as_tensor((length_G[self.slot_B[rows]] + age_B)[:, None], device=self.device),
                attention_mask=self.cache.mask_B11T,  # four-dimensional masks pass through transformers as they are
                past_key_values=self.cache,
                use_cache=True,
                shared_prefix=self.cache,
            )
        if self.cache.calls != len(self.cache.own[0]):
            raise SamplerError(f"{type(self.model).__name__} did not use the attention it was given in every layer")
        self._draw(output.logits[:, -1], rows)
        return self.live

    def _draw(self, logits_BV: torch.Tensor, rows: slice) -> None:
        """Draw and record the next token of `rows`."""
        u_B = torch.as_tensor(uniforms(self.key_B[rows], self.count_B[rows]), device=self.device)
        token_B, logprob_B = choose_tokens(logits_BV, u_B, self.params.temperature, self.params.top_p)
        both_2B = torch.stack([token_B.double(), logprob_B.double()]).cpu().numpy()  # one transfer
        if not np.isfinite(both_2B[1]).all():
            raise SamplerError("the model's logits are not finite; its weights may have diverged")
        tokens_B = both_2B[0].astype(np.int64)
        at = np.arange(rows.start, rows.stop), self.count_B[rows]
        self.token_BT[at] = tokens_B
        self.logprob_BT[at] = both_2B[1]
        self.count_B[rows] += 1
        if self.watch is not None:
            self.state_B[rows], hit_B = self.watch.step(self.state_B[rows], tokens_B)
            for row in (rows.start + np.flatnonzero(hit_B)).tolist():
                self.stopped_B[row] = self.watch.confirm(self.token_BT[row, : self.count_B[row]].tolist())

    def _retire(self, drawn: int) -> None:
        """Hand over the rows that have ended by the last `drawn` tokens, and pack the rest (and the prompts in use) to the front."""
        last_B = self.token_BT[np.arange(self.live), self.count_B[: self.live] - 1]
        ended_B = np.isin(last_B, self.end_ids) | self.stopped_B[: self.live]
        over_B = ended_B | (self.count_B[: self.live] == self.params.max_new_tokens)
        self.forecast.tokens_drawn(drawn, self.count_B[: self.live][over_B])
        if not over_B.any():
            self._tell(0, drawn)
            return
        for row in np.flatnonzero(over_B).tolist():
            count, prompt = self.count_B[row], int(self.prompt_B[row])
            tokens, logprobs = self.token_BT[row, :count].tolist(), self.logprob_BT[row, :count].tolist()
            self.drawn[prompt][self.sample_B[row]] = (tuple(tokens), tuple(logprobs), bool(ended_B[row]))
            self.unfinished[prompt] -= 1
        kept = self.live - int(over_B.sum())
        holes, movers = np.flatnonzero(over_B[:kept]), kept + np.flatnonzero(~over_B[kept:])
        if len(holes):
            self.cache.move_rows(movers, holes, int(self.count_B[movers].max()))
            places = (self.prompt_B, self.sample_B, self.slot_B, self.count_B, self.key_B, self.state_B, self.stopped_B)
            for store in (*places, self.token_BT, self.logprob_BT):
                store[holes] = store[movers]
        ended, self.live = self.live - kept, kept
        for slot in reversed(range(len(self.slots))):
            if not self.unfinished[self.slots[slot]]:
                last = len(self.slots) - 1
                self.cache.move_prompt(last, slot)
                self.slot_B[: self.live][self.slot_B[: self.live] == last] = slot
                self.slots[slot] = self.slots[last]
                self.slots.pop()
        self._tell(ended, drawn)

    def _tell(self, ended: int, drawn: int) -> None:
        """Say that `ended` samples are finished and `drawn` tokens drawn."""
        if self.progress is not None:
            left = self.forecast.seconds_left(self.count_B[: self.live])
            self.progress(ended, drawn, math.inf if left is None else left)


@contextlib.contextmanager
def evaluation_mode(model: PreTrainedModel) -> Iterator[None]:
    """The model with dropout and gradient checkpointing out of the way; back in training afterwards if it was."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


@contextlib.contextmanager
def _attention(model: PreTrainedModel, name: str) -> Iterator[None]:
    """The model with another attention function, for one forward pass."""
    before = model.config._attn_implementation
    model.config._attn_implementation = name
    try:
        yield
    finally:
        model.config._attn_implementation = before
