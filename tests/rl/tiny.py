"""A tiny random policy and a plain sampler, for tests of the training stage."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from probing.samplers.base import Completion, Progress, SamplingParams
from probing.samplers.randomness import row_keys, uniforms

LETTERS = "abcdefghijklmnop"
NO_WEIGHTS = struct.pack("<Q", 2) + b"{}"  # a safetensors file without tensors


def make_checkpoint(folder: Path) -> Path:
    """A folder with what every checkpoint has, that nobody loads."""
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "qwen2"}')
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(NO_WEIGHTS)
    return folder


def save_tiny_policy(path: Path, seed: int = 0) -> Path:
    """A checkpoint folder: Qwen2, 2 layers of width 32, one token a letter, an end token that ends about one sample in eight steps."""
    vocabulary = {"<pad>": 0, "<end>": 1} | {letter: i + 2 for i, letter in enumerate(LETTERS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.decoder = decoders.Fuse()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<end>").save_pretrained(path)
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=128,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=1,
    )
    Qwen2ForCausalLM(config).save_pretrained(path)
    return path


class PlainSampler:
    """One full forward pass a token, no cache: slow and obviously right. Same promise on randomness as the real sampler."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        self.model, self.tokenizer = model, tokenizer

    @torch.no_grad()
    def sample(
        self,
        prompts: Sequence[str],
        n: int,
        params: SamplingParams,
        seed: int,
        progress: Progress | None = None,
        indices: Sequence[int] | None = None,
    ) -> list[list[Completion]]:
        return [
            self._sample_one(prompt, n, params, seed, place)
            for prompt, place in zip(prompts, range(len(prompts)) if indices is None else indices, strict=True)
        ]

    def _sample_one(self, prompt: str, n: int, params: SamplingParams, seed: int, place: int) -> list[Completion]:
        ids_NL = torch.tensor([self.tokenizer(prompt, add_special_tokens=False)["input_ids"]]).repeat(n, 1)
        start, keys = ids_NL.size(1), row_keys(seed, [place] * n, list(range(n)))
        logprobs_NT = []
        for step in range(params.max_new_tokens):
            logits_NV = self.model(input_ids=ids_NL).logits[:, -1].double()
            cdf_NV = torch.softmax(logits_NV / params.temperature, -1).cumsum(-1)
            draw_N = torch.from_numpy(uniforms(keys, [step] * n)).unsqueeze(1)
            token_N = (cdf_NV < draw_N).sum(-1).clamp(max=logits_NV.size(1) - 1)
            logprobs_NT.append(torch.log_softmax(logits_NV, -1).gather(1, token_N.unsqueeze(1)))
            ids_NL = torch.cat([ids_NL, token_N.unsqueeze(1)], dim=1)
        logprobs = torch.cat(logprobs_NT, dim=1).tolist()
        completions = []
        for row, logp in zip(ids_NL[:, start:].tolist(), logprobs, strict=True):
            length = row.index(1) + 1 if 1 in row else len(row)
            text = self.tokenizer.decode(row[:length], skip_special_tokens=True)
            completions.append(Completion(text, tuple(row[:length]), tuple(logp[:length]), 1 in row))
        return completions

    def close(self) -> None:
        pass
