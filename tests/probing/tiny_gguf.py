"""Tiny GGUF files, written with the gguf package from tiny transformers models: what llama.cpp's converter would make of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, Qwen2Config, Qwen2ForCausalLM
from transformers.convert_slow_tokenizer import bytes_to_unicode

gguf = pytest.importorskip("gguf", reason="the extra ucoder[gguf] is not installed")

WIDTH, LAYERS, HEADS, KV_HEADS, INNER = 64, 2, 4, 2, 96
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TOKENS = (*bytes_to_unicode().values(), "ab", *SPECIAL)
END_OF_TEXT, START, END = range(len(TOKENS) - 3, len(TOKENS))
CHAT = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def tiny_model(kind: str = "qwen2", tied: bool = True) -> PreTrainedModel:
    torch.manual_seed(0)
    shape: dict[str, Any] = {
        "vocab_size": len(TOKENS),
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "intermediate_size": INNER,
        "max_position_embeddings": 128,
        "tie_word_embeddings": tied,
        "initializer_range": 0.2,
    }
    model = Qwen2ForCausalLM(Qwen2Config(**shape)) if kind == "qwen2" else LlamaForCausalLM(LlamaConfig(**shape))
    return model.eval()


def write_gguf(
    path: Path,
    model: PreTrainedModel,
    metadata: Mapping[str, Any] | None = None,
    without: str = "",
    types: Mapping[str, str] | None = None,
    more: Mapping[str, torch.Tensor] | None = None,
    chat: str | None = CHAT,
) -> Path:
    """metadata: more keys, or others. without: a tensor to leave out. types: GGML type of a tensor (default F32). more: tensors beside."""
    arch = model.config.model_type
    writer = gguf.GGUFWriter(path, arch)
    writer.add_name("tiny")
    writer.add_block_count(LAYERS)
    writer.add_context_length(128)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(model.config.rms_norm_eps)
    writer.add_rope_freq_base(model.config.rope_parameters["rope_theta"])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(list(TOKENS))
    writer.add_token_types([3 if token in SPECIAL else 1 for token in TOKENS])
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(END)
    writer.add_pad_token_id(END_OF_TEXT)
    if chat is not None:
        writer.add_chat_template(chat)
    for key, value in (metadata or {}).items():
        add = {str: writer.add_string, int: writer.add_uint32}[type(value)]
        add(key, value)
    state = {name: value for name, value in model.state_dict().items() if name != "lm_head.weight" or not model.config.tie_word_embeddings}
    for name, tensor in {**{gguf_name(name): value for name, value in state.items()}, **(more or {})}.items():
        if name != without:
            kind = gguf.GGMLQuantizationType[(types or {}).get(name, "F32")]
            values = (_interleaved(tensor, name) if arch == "llama" else tensor).float().numpy()
            data = values if kind == gguf.GGMLQuantizationType.F32 else gguf.quantize(values, kind)
            writer.add_tensor(name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def gguf_name(name: str) -> str:
    """`model.layers.1.mlp.up_proj.weight` as `blk.1.ffn_up.weight`."""
    stem, ending = name.rsplit(".", 1)
    if stem.startswith("model.layers."):
        _, _, layer, rest = stem.split(".", 3)
        return f"blk.{layer}.{NAMES[rest]}.{ending}"
    return f"{NAMES[stem]}.{ending}"


def _interleaved(tensor: torch.Tensor, name: str) -> torch.Tensor:
    """Rows of llama's queries and keys in llama.cpp's order: the two halves of a head's rotation side by side."""
    heads = {"attn_q": HEADS, "attn_k": KV_HEADS}.get(name.split(".")[-2], 0)
    if not heads:
        return tensor
    return tensor.reshape(heads, 2, -1, tensor.shape[1]).swapaxes(1, 2).reshape(tensor.shape).contiguous()
