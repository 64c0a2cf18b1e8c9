"""Whether a folder holds a checkpoint that can be loaded, as far as that shows without loading it."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path

from rl.console import UserError

WEIGHT_FILES = ("*.safetensors", "pytorch_model*.bin")
INDEX = "model.safetensors.index.json"  # of weights in several files
WHOLE = "copy or fetch the folder again, whole"


def check_checkpoint(folder: Path, bundled: bool = False) -> None:
    """A folder has what transformers loads: a causal language model, or an adapter of one. bundled: it is the repository's own.

    Raises UserError for files that are missing, damaged or cut off, and for a model of another kind.
    """
    adapter = (folder / "adapter_config.json").is_file()
    config, weights = ("adapter_config.json", ("adapter_model.*",)) if adapter else ("config.json", WEIGHT_FILES)
    missing = [what for what, there in (
        (config, (folder / config).is_file()),
        ("weights (*.safetensors)", any(next(folder.glob(pattern), None) for pattern in weights)),
        ("tokenizer.json or tokenizer_config.json", any((folder / f).is_file() for f in ("tokenizer.json", "tokenizer_config.json"))),
    ) if not there]  # fmt: skip
    if missing:
        remedy = "rebuild it with: python -m seedling.pretrain" if bundled else "give a folder written by save_pretrained"
        if files := sorted(folder.glob("*.gguf")):
            remedy = f"to use a GGUF file, give the file itself: {files[0]}"
        raise UserError(f"the model folder lacks {', '.join(missing)}", str(folder), remedy)
    try:
        if (found := next(damaged_files(folder, config), None)) is not None:
            raise UserError(f"{found[0]} of the model folder {found[1]}", str(folder), WHOLE)
        kind = json.loads((folder / config).read_text(encoding="utf-8")).get("model_type")
    except OSError as error:
        raise UserError(
            f"the model folder cannot be read: {error.strerror}", str(error.filename or folder), "give a readable folder"
        ) from None
    if not adapter:
        check_kind(kind, str(folder))


def damaged_files(folder: Path, config: str) -> Iterator[tuple[str, str]]:
    """Files that are not whole, with what is wrong. config: name of the file that describes the model."""
    for name in (config, "tokenizer.json", "tokenizer_config.json", INDEX):
        if (folder / name).is_file() and not isinstance(_json(folder / name), dict):
            yield name, "is damaged, or cut off: it is no JSON object"
    for file in sorted(folder.glob("*.safetensors")):
        if (wrong := cut_off(file)) is not None:
            yield file.name, wrong
    index = _json(folder / INDEX) if (folder / INDEX).is_file() else None
    shards = index.get("weight_map") if isinstance(index, dict) else None
    for name in sorted(set(shards.values())) if isinstance(shards, dict) else ():
        if not (folder / name).is_file():
            yield name, "is missing"


def cut_off(file: Path) -> str | None:
    """What is wrong with a safetensors file; None where its table of tensors is whole and its size is what that says."""
    size = file.stat().st_size
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            table = json.loads(stream.read(min(length, size)))
        tensors = [entry for name, entry in table.items() if name != "__metadata__"]
        wanted = 8 + length + max((int(entry["data_offsets"][1]) for entry in tensors), default=0)
    except (struct.error, ValueError, KeyError, TypeError, AttributeError):
        return f"is damaged, or cut off within its header ({size:,} bytes)"
    return None if size == wanted else f"is damaged, or cut off: it has {size:,} bytes instead of {wanted:,}"


def check_kind(kind: object, where: str) -> None:
    """Raises UserError where transformers has no causal language model for a `model_type`. where: the model's folder or Hub id."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    if kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        said = f"transformers has no causal language model of the type {kind!r} (model_type in config.json)"
        raise UserError(said, where, "give another model; for a very new one: pip install -U transformers")


def _json(path: Path) -> object:
    """The content of a JSON file; None where it is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None
