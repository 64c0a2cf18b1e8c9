"""Tiny random models and a character tokenizer, made on the spot."""

from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer
from tokenizers.decoders import Fuse
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789 \n`()+=:"
END, PAD = 1, 0


def tokenizer() -> PreTrainedTokenizerFast:
    vocabulary = {"<pad>": PAD, "<end>": END, "<unk>": 2} | {c: i + 3 for i, c in enumerate(CHARACTERS)}
    core = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    core.pre_tokenizer = Split(Regex(r"[\s\S]"), "isolated")
    core.decoder = Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<end>", pad_token="<pad>", unk_token="<unk>")


VOCABULARY = len(CHARACTERS) + 3
SMALL = {"vocab_size": VOCABULARY, "bos_token_id": None, "eos_token_id": END, "pad_token_id": PAD, "initializer_range": 0.3}


def model(kind: str, positions: int = 128, **changes: object) -> torch.nn.Module:
    """A random model of 2 to 3 layers whose distributions are far from uniform."""
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "max_position_embeddings": positions}
    if kind == "qwen2":
        made = Qwen2ForCausalLM(Qwen2Config(**SMALL | shape | {"num_hidden_layers": 3, "num_key_value_heads": 2} | changes))
    elif kind == "llama":
        made = LlamaForCausalLM(LlamaConfig(**SMALL | shape | {"num_hidden_layers": 2, "num_key_value_heads": 4} | changes))
    else:
        made = GPT2LMHeadModel(GPT2Config(**SMALL | {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": positions} | changes))
    return made.eval()


def write_checkpoint(folder: Path, positions: int) -> str:
    """A small Qwen2 with its tokenizer, as transformers writes them; the folder's name, as a config gives it."""
    model("qwen2", positions=positions).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return str(folder)
