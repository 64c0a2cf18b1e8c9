"""Hidden states of a frozen model over its answers: what the quality probe reads.

The model is a copy that does not move while a policy trains (a live one would be gamed through drift: arXiv 2602.15515). One pass gives,
for each answer, the state at the end of the code and the mean state over the answer, at a few layers, and the frozen model's token
logprobs.

The prompt is computed once for all its answers, and equal answers to one prompt are computed once.

Shapes: N answers, K layers, P poolings, D width, G answers in one forward pass, C longest of them in tokens, V vocabulary.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from probing.models.loading import end_token_ids

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

POOLINGS = ("end", "mean")  # state at the end of the code; mean over the answer up to there
LAST = "last"  # one more, which only a measurement reads: state of the answer's last token, its end token where it has one
MAX_TOKENS = 4096  # most answer tokens in one forward pass, padding included
MAX_LOGITS = 2**27  # most logits in one forward pass (256 MiB in bfloat16)

KeysAndValues = list[tuple[torch.Tensor, torch.Tensor]]  # a pair [1, H, P, D] for each layer


@dataclass(frozen=True)
class StateFeatures:
    """What the probe reads of N answers. Rows are in the order of the answers given."""

    states: npt.NDArray[np.float32]  # [N, K, P, D]
    mean_logprob: npt.NDArray[np.float32]  # [N], nats a token under the frozen model, end token included
    min_logprob: npt.NDArray[np.float32]  # [N], nats of the least likely token
    lengths: npt.NDArray[np.int64]  # [N], tokens of the answer, end token included
    prompt_lengths: npt.NDArray[np.int64]  # [N], tokens
    layers: tuple[int, ...]  # K places among the model's hidden states; 0 is the embedding
    poolings: tuple[str, ...] = POOLINGS  # P of POOLINGS and LAST

    def take(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> StateFeatures:
        """The features of some of the answers."""
        return replace(
            self,
            states=self.states[rows],
            mean_logprob=self.mean_logprob[rows],
            min_logprob=self.min_logprob[rows],
            lengths=self.lengths[rows],
            prompt_lengths=self.prompt_lengths[rows],
        )

    def finite(self) -> npt.NDArray[np.bool_]:
        """bool[N]: answers whose features are all finite numbers."""
        return np.isfinite(self.states).all(axis=(1, 2, 3)) & np.isfinite(self.mean_logprob) & np.isfinite(self.min_logprob)


def candidate_layers(n_layers: int, k: int) -> tuple[int, ...]:
    """At most `k` layers, evenly spread from a third of the depth to the last, of a model with `n_layers` blocks.

    >>> candidate_layers(6, 3), candidate_layers(28, 4)
    ((2, 4, 6), (9, 15, 22, 28))
    """
    spread = np.linspace(max(1, n_layers // 3), n_layers, num=min(k, n_layers))
    return tuple(dict.fromkeys(round(float(layer)) for layer in spread))


def _end_of(text: str, code: str) -> int:
    """Where the code ends in the text, or the last of its lines that is there; the text's length where none is."""
    place = text.rfind(code) if code else -1
    if place >= 0:
        return place + len(code)
    for line in filter(None, map(str.strip, reversed(code.split("\n")))):
        found = list(re.finditer(rf"^[ \t>]*{re.escape(line)}", text, re.MULTILINE))
        if found:
            return found[-1].end()
    return len(text)


class HiddenStates:
    """Reads a frozen causal LM. The model is put in evaluation mode and its gradients are switched off."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        layers: Sequence[int] | int = 4,
        poolings: Sequence[str] = POOLINGS,
    ) -> None:
        """`layers`: which hidden states to keep, or how many (`candidate_layers`). `poolings`: of POOLINGS and LAST.

        Raises ValueError for a layer or a pooling that is not there.
        """
        depth = int(model.config.num_hidden_layers)
        self.layers = candidate_layers(depth, layers) if isinstance(layers, int) else tuple(layers)
        if not self.layers or not all(0 <= layer <= depth for layer in self.layers):
            raise ValueError(f"layers must lie in 0..{depth} for this model, not {list(self.layers)}")
        self.poolings = tuple(poolings)
        if not self.poolings or not set(self.poolings) <= {*POOLINGS, LAST}:
            raise ValueError(f"poolings must be of {', '.join((*POOLINGS, LAST))}, not {list(poolings)}")
        self._model: PreTrainedModel | None = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.end_ids = end_token_ids(model, tokenizer)

    @property
    def model(self) -> PreTrainedModel:
        """Raises RuntimeError once it was released."""
        if self._model is None:
            raise RuntimeError("the model whose hidden states are asked for was released")
        return self._model

    def release(self) -> None:
        """Let go of the model: nothing is read any more."""
        self._model = None

    def end_of_code(self, token_ids: Sequence[int], code: str | None) -> int:
        """How many tokens of an answer lead up to the end of its program: all but the end token where the program ends the answer (or there
        is none); up to the last token of the program where a fence, prose or tests follow it. At least 1.

        Of a program that is not in the answer as it stands (parts were left out, or stand elsewhere), the last line that is there counts.
        """
        ids = list(token_ids)
        while len(ids) > 1 and ids[-1] in self.end_ids:
            ids.pop()
        text = str(self.tokenizer.decode(ids, skip_special_tokens=True))
        end = _end_of(text, (code or "").rstrip())
        if not text[end:].strip():
            return len(ids)
        low, high = 1, len(ids)  # the shortest head that decodes to at least the end of the program
        while low < high:
            middle = (low + high) // 2
            if len(self.tokenizer.decode(ids[:middle], skip_special_tokens=True)) >= end:
                high = middle
            else:
                low = middle + 1
        return low

    def extract(
        self,
        prompts: Sequence[Sequence[int]],
        answers: Sequence[Sequence[int]],
        ends: Sequence[int] | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> StateFeatures:
        """States and logprobs of N answers to N prompts (token ids; equal prompts are computed once).

        `ends`: tokens of each answer up to the end of its code (see `end_of_code`; default: up to the end token). `progress` gets the
        number of answers that are done. Raises ValueError when the lengths differ or an answer is empty.
        """
        if len(prompts) != len(answers) or (ends is not None and len(ends) != len(answers)):
            raise ValueError(f"{len(prompts)} prompts, {len(answers)} answers, {'no' if ends is None else len(ends)} ends")
        if not all(len(answer) for answer in answers) or not all(len(prompt) for prompt in prompts):
            raise ValueError("an empty prompt or answer has no hidden states")
        if ends is None:
            ends = [self.end_of_code(answer, None) for answer in answers]
        places: defaultdict[tuple[int, ...], defaultdict[tuple[tuple[int, ...], int], list[int]]] = defaultdict(lambda: defaultdict(list))
        for place, (prompt, answer, end) in enumerate(zip(prompts, answers, ends, strict=True)):
            places[tuple(prompt)][tuple(answer), end].append(place)
        states = np.empty((len(answers), len(self.layers), len(self.poolings), self.model.config.hidden_size), dtype=np.float32)
        mean_logprob, min_logprob = np.empty((2, len(answers)), dtype=np.float32)
        with torch.inference_mode():
            for prompt, distinct in places.items():
                first_logits, cache = self._prefill(prompt)
                for chunk in self._chunks(sorted(distinct, key=lambda item: len(item[0]))):
                    found = self._forward(chunk, first_logits, cache)
                    for row, item in enumerate(chunk):
                        at = distinct[item]
                        states[at], mean_logprob[at], min_logprob[at] = found[0][row], found[1][row], found[2][row]
                    if progress is not None:
                        progress(sum(len(distinct[item]) for item in chunk))
        return StateFeatures(
            states=states,
            mean_logprob=mean_logprob,
            min_logprob=min_logprob,
            lengths=np.array([len(answer) for answer in answers], dtype=np.int64),
            prompt_lengths=np.array([len(prompt) for prompt in prompts], dtype=np.int64),
            layers=self.layers,
            poolings=self.poolings,
        )

    def _chunks(self, items: list[tuple[tuple[int, ...], int]]) -> list[list[tuple[tuple[int, ...], int]]]:
        """Answers of increasing length, cut so that one forward pass keeps within MAX_TOKENS and MAX_LOGITS."""
        tokens = max(1, min(MAX_TOKENS, MAX_LOGITS // int(self.model.config.vocab_size)))
        chunks: list[list[tuple[tuple[int, ...], int]]] = [[]]
        for item in items:
            if chunks[-1] and (len(chunks[-1]) + 1) * len(item[0]) > tokens:
                chunks.append([])
            chunks[-1].append(item)
        return chunks

    def _prefill(self, prompt: Sequence[int]) -> tuple[torch.Tensor, KeysAndValues]:
        """Logits float[V] of the first answer token, and the prompt's keys and values."""
        cache = DynamicCache()
        ids_1P = torch.tensor([list(prompt)], device=self.model.device)
        output = self.model(input_ids=ids_1P, past_key_values=cache, use_cache=True, logits_to_keep=1)
        pairs: KeysAndValues = []
        for layer in cache.layers:
            assert isinstance(layer, DynamicLayer) and layer.keys is not None and layer.values is not None
            pairs.append((layer.keys, layer.values))
        return output.logits[0, -1], pairs

    def token_logprobs(self, prompt: Sequence[int], answers: Sequence[Sequence[int]]) -> list[list[float]]:
        """Logprobs of N answers to one prompt (token ids), token by token, in nats under the model at temperature 1.

        Raises ValueError for an empty prompt or answer.
        """
        if not all(len(answer) for answer in answers) or not len(prompt):
            raise ValueError("an empty prompt or answer has no logprobs")
        if not answers:
            return []
        found: dict[tuple[int, ...], list[float]] = {}
        with torch.inference_mode():
            first_logits, cache = self._prefill(prompt)
            for chunk in self._chunks(sorted({(tuple(answer), len(answer)) for answer in answers}, key=lambda item: (item[1], item))):
                _, logprob_GC = self._pass(chunk, first_logits, cache)
                for (answer, length), row in zip(chunk, logprob_GC.tolist(), strict=True):
                    found[answer] = row[:length]
        return [found[tuple(answer)] for answer in answers]

    def _pass(
        self, chunk: list[tuple[tuple[int, ...], int]], first_logits_V: torch.Tensor, prompt: KeysAndValues
    ) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
        """Hidden states [G, C, D] by layer and logprobs [G, C] of some answers to one prompt. What is right of an answer means nothing."""
        n = len(chunk)
        ids = np.zeros((n, max(len(answer) for answer, _ in chunk)), dtype=np.int64)
        for row, (answer, _) in enumerate(chunk):
            ids[row, : len(answer)] = answer
        ids_GC = torch.as_tensor(ids, device=self.model.device)
        cache = DynamicCache()
        for layer, (keys_1HPD, values_1HPD) in enumerate(prompt):
            cache.update(keys_1HPD.expand(n, -1, -1, -1), values_1HPD.expand(n, -1, -1, -1), layer)
        # Right padding: no real token ever attends to it, so no mask is needed beyond the causal one.
        output = self.model(input_ids=ids_GC, past_key_values=cache, use_cache=True, output_hidden_states=True)
        logprob_GC = torch.empty(ids_GC.shape, device=ids_GC.device)
        for row, ids_C in enumerate(ids_GC):  # all rows at once in float32 would take more memory than the weights of a small model
            logits_CV = torch.cat([first_logits_V[None], output.logits[row, :-1]]).float()
            logprob_GC[row] = logits_CV.gather(1, ids_C[:, None])[:, 0] - torch.logsumexp(logits_CV, dim=-1)
        return output.hidden_states, logprob_GC

    def _forward(
        self, chunk: list[tuple[tuple[int, ...], int]], first_logits_V: torch.Tensor, prompt: KeysAndValues
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """float32 states [G, K, P, D], mean logprobs [G] and least logprobs [G] of some answers to one prompt."""
        device, n = self.model.device, len(chunk)
        hidden_states, logprob_GC = self._pass(chunk, first_logits_V, prompt)
        length_G1 = torch.tensor([[len(answer)] for answer, _ in chunk], device=device)
        end_G1 = torch.tensor([[end] for _, end in chunk], device=device)
        place_1C = torch.arange(logprob_GC.size(1), device=device)[None]
        real_GC = place_1C < length_G1
        mean_G = logprob_GC.masked_fill(~real_GC, 0.0).sum(1) / length_G1[:, 0]
        min_G = logprob_GC.masked_fill(~real_GC, torch.inf).amin(1)

        h_GKCD = torch.stack([hidden_states[layer] for layer in self.layers], dim=1).float()
        row_G = torch.arange(n, device=device)
        pooled = []
        for pooling in self.poolings:
            if pooling == "mean":
                weight_GC = (place_1C < end_G1).float() / end_G1
                pooled.append(torch.einsum("gkcd,gc->gkd", h_GKCD, weight_GC))
            else:
                pooled.append(h_GKCD[row_G, :, (length_G1 if pooling == LAST else end_G1)[:, 0] - 1])
        return torch.stack(pooled, dim=2).cpu().numpy(), mean_G.cpu().numpy(), min_G.cpu().numpy()
