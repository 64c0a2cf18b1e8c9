"""How large a model is, without loading it: from its safetensors or GGUF headers, its config.json, its Hub cache, or its name."""

from __future__ import annotations

import json
import math
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probing.models.gguf_copies import EMBEDDINGS, OUTPUT, stored_twice
from probing.models.gguf_header import read_header
from rl.console import UserError
from rl.models.source import SEEDLING_WEIGHTS, check_model, names_gguf

OTHER_NAMES = {  # of what config.json says, in older architectures
    "hidden_size": ("n_embd", "d_model"),
    "num_hidden_layers": ("n_layer", "num_layers"),
    "num_attention_heads": ("n_head", "num_heads"),
}


def _qwen(hidden: int, layers: int, heads: int, kv_heads: int, inner: int, vocabulary: int, tied: bool) -> dict[str, Any]:
    """What config.json says of one size of Qwen2.5-Coder."""
    return {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "intermediate_size": inner,
        "vocab_size": vocabulary,
        "tie_word_embeddings": tied,
    }


QWEN_SHAPES = {
    "0.5B": _qwen(896, 24, 14, 2, 4864, 151_936, True),
    "1.5B": _qwen(1536, 28, 12, 2, 8960, 151_936, True),
    "3B": _qwen(2048, 36, 16, 2, 11_008, 151_936, True),
    "7B": _qwen(3584, 28, 28, 4, 18_944, 152_064, False),
    "14B": _qwen(5120, 48, 40, 8, 13_824, 152_064, False),
    "32B": _qwen(5120, 64, 40, 8, 27_648, 152_064, False),
}


@dataclass(frozen=True)
class ModelSize:
    """Counts of one decoder.

    >>> ModelSize(10.0, 2, 4, 8, 3, "test").weight_bytes
    20.0
    """

    parameters: float
    layers: int
    hidden: int  # width of the residual stream
    vocabulary: int
    kv_values_per_token: int  # keys and values over all layers
    source: str  # where this was read

    @property
    def weight_bytes(self) -> float:
        """Bytes of a 16-bit checkpoint."""
        return self.parameters * 2


def read_model_size(name: str, parameters: float | None = None) -> ModelSize:
    """Size of `seedling`, a folder, a GGUF file, or a Hub id (from the cache, else from `parameters`, else from its name).

    Raises UserError when none of them tells.
    """
    if names_gguf(name) and Path(name).expanduser().is_file():
        return _of_gguf(Path(name).expanduser())
    folder = SEEDLING_WEIGHTS if name == "seedling" else Path(name).expanduser()
    if not (folder / "config.json").is_file() and "/" in name:
        folder = _cached(name) or folder
    if (folder / "config.json").is_file():
        try:
            return _of_folder(folder, parameters)
        except (OSError, ValueError, struct.error) as error:
            remedy = "give a folder written by save_pretrained, whole"
            raise UserError(f"a file of the model folder is damaged, or cut off: {error}", str(folder), remedy) from None
        except (KeyError, TypeError) as error:
            said = f"config.json does not say the shape of a decoder ({error} is missing, or is no number)"
            raise UserError(said, str(folder), "give another --model, a Hub id such as org/name-7B with --parameters 7e9") from None
    if parameters is not None:
        return _guessed(parameters, "given")
    family = re.fullmatch(r"Qwen/Qwen2\.5-Coder-(\d+(?:\.\d+)?B)(?:-Instruct)?", name)
    if family and family[1] in QWEN_SHAPES:
        return _from_config(QWEN_SHAPES[family[1]], None, f"its published shape: Qwen2.5-Coder-{family[1]}")
    named = re.search(r"(?<![\w.])(\d+(?:\.\d+)?)[bB](?![a-zA-Z])", name)
    if named and name != "seedling":
        return _guessed(float(named[1]) * 1e9, "read off its name")
    raise UserError(f"the size of {name} is not known: the model is not available here", "model", "give --parameters 7e9")


def _of_folder(folder: Path, parameters: float | None) -> ModelSize:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config |= config.get("text_config") or {}  # a model of text and pictures has the decoder's shape there
    for name, others in OTHER_NAMES.items():
        if name not in config and (there := [other for other in others if other in config]):
            config[name] = config[there[0]]
    counted = _safetensors_count(folder, tied=bool(config.get("tie_word_embeddings")))
    return _from_config(config, counted or parameters, f"counted in {folder}" if counted else f"computed from {folder / 'config.json'}")


def _of_gguf(path: Path) -> ModelSize:
    check_model(str(path))  # a plan for a file that no run could read would be of no use
    header = read_header(path)
    try:
        layers, hidden = int(header.value("block_count")), int(header.value("embedding_length"))
        heads = header.value("attention.head_count")
        kv_heads = header.value("attention.head_count_kv", heads)
        head = header.value("attention.key_length") or hidden // _most(heads)
    except TypeError:
        raise UserError("the file's header lacks the shape of a language model", str(path), "give another --model") from None
    embeddings, output, copied = header.named(EMBEDDINGS), header.named(OUTPUT), stored_twice(header)
    vocabulary = embeddings.shape[0] if embeddings is not None else 0
    parameters = header.parameters - (output.count if output is not None and copied else 0)  # the model is tied when it is read
    said = ", its tied matrix once" if copied else ", its output matrix apart" if output is not None else ""
    return ModelSize(float(parameters), layers, hidden, vocabulary, 2 * layers * _most(kv_heads) * int(head), f"counted in {path}{said}")


def _most(heads: int | list[int]) -> int:
    """Architectures with layers of several kinds list the heads of each."""
    return max(heads) if isinstance(heads, list) else int(heads)


def _cached(name: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    try:
        found = try_to_load_from_cache(name, "config.json")
    except ValueError:  # not a Hub id
        return None
    return Path(found).parent if isinstance(found, str) else None


def _safetensors_count(folder: Path, tied: bool) -> int:
    """Number of values in a checkpoint's safetensors files, read from their headers; 0 without any.

    tied: some checkpoints store the output matrix of a tied model as well; it is one with the embeddings once the model is loaded.
    """
    counts: dict[str, int] = {}
    for path in folder.glob("*.safetensors"):
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header: dict[str, Any] = json.loads(file.read(length))
        counts |= {name: math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__"}
    if tied and any(name.endswith("embed_tokens.weight") for name in counts):
        counts.pop("lm_head.weight", None)
    return sum(counts.values())


def _from_config(config: dict[str, Any], parameters: float | None, source: str) -> ModelSize:
    hidden, layers, vocabulary = config["hidden_size"], config["num_hidden_layers"], config["vocab_size"]
    heads = config["num_attention_heads"]
    kv_heads = config.get("num_key_value_heads") or heads
    head = config.get("head_dim") or hidden // heads
    if parameters is None:  # a gated MLP and grouped attention, as in Qwen2 and Llama
        block = 2 * hidden * heads * head + 2 * hidden * kv_heads * head + 3 * hidden * config.get("intermediate_size", 4 * hidden)
        parameters = layers * block + vocabulary * hidden * (1 if config.get("tie_word_embeddings") else 2)
    return ModelSize(float(parameters), layers, hidden, vocabulary, 2 * layers * kv_heads * head, source)


def _guessed(parameters: float, source: str) -> ModelSize:
    """A typical shape for a number of parameters (12 · layers · hidden², hidden = 128 · layers, a quarter of the heads for keys)."""
    layers = max(2, round((parameters / (12 * 128**2)) ** (1 / 3)))
    hidden = 128 * layers
    vocabulary = min(150_000, round(parameters / 4 / hidden))
    return ModelSize(parameters, layers, hidden, vocabulary, 2 * layers * hidden // 4, source)
