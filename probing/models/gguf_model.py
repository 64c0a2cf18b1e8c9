"""An ordinary model and tokenizer from a GGUF file (`probing.models.gguf_header`), through transformers, which unpacks its weights.

What transformers' reader leaves open is settled here:

- **Precision.** Quantised weights are unpacked to bfloat16: on Qwen2.5-Coder-0.5B (Q4_K_M) the rounding moves the next token's distribution
  by 2e-5 nats, a hundredth of what 5 bits instead of 8 do to its output matrix alone. A file of plain floats keeps its own type.
- **Tied matrices.** llama.cpp stores the output matrix of a tied model a second time, finer than the embeddings. transformers takes such a
  pair for two matrices, which would train apart. Copies of one matrix are tied again, to the finer copy.
- **End tokens.** A file names one; documents and turns may end in different ones. Those that are known by name are added.
- **What is missing** is an error: transformers would start a weight that the file lacks at random.

Needs the `gguf` package (`pip install 'ucoder[gguf]'`); only this module imports it.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch

from probing.models.gguf_copies import COPIES, EMBEDDINGS, OUTPUT
from probing.models.gguf_header import REFETCH, GgufError, GgufHeader, GgufTensor, read_header
from probing.models.loading import whole_weights

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

FLOATS = {0: torch.float32, 1: torch.float16, 30: torch.bfloat16}  # ggml's numbers of the types that hold plain floats
END_TOKENS = ("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_text|>", "<end_of_turn>", "<eos>", "</s>")
ROWS = 8192  # compared at once
ORIGINAL = "give its original checkpoint (a folder, or a Hub id) instead"


@dataclass(frozen=True)
class FromGguf:
    """What a file became. notes: what a person should know of it, a sentence each."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    notes: tuple[str, ...]

    def save(self, folder: Path) -> None:
        """Write a checkpoint that `load_model` reads."""
        with _progress(lambda _: None):
            self.model.save_pretrained(folder)
            self.tokenizer.save_pretrained(folder)


def check_gguf(path: Path) -> GgufHeader:
    """The header of a file that can be read. Raises GgufError for whatever can be known without reading its weights."""
    if importlib.util.find_spec("gguf") is None:
        raise GgufError("reading a .gguf file needs the package gguf, which is not installed", "pip install 'ucoder[gguf]'")
    header = read_header(path)
    parts = header.metadata.get("split.count", 0)
    if parts > 1:
        part = header.metadata.get("split.no", 0) + 1
        remedy = "join the parts with llama.cpp: llama-gguf-split --merge FIRST_PART WHOLE.gguf"
        raise GgufError(f"the file is part {part} of {parts} of a split model", remedy)
    kind = header.metadata.get("general.type", "model")
    if kind != "model":
        raise GgufError(f"the file holds no model: its general.type is {kind!r}", "give the GGUF file of the model itself")
    if header.named(EMBEDDINGS) is None:
        raise GgufError(f"the file holds no weights of a language model ({EMBEDDINGS} is missing)", "give the file of a whole model")
    if not readable(header.architecture):
        said = f"transformers cannot make a causal language model of the GGUF architecture {header.architecture!r}"
        raise GgufError(said, ORIGINAL)
    _check_size(header)
    return header


def readable(architecture: str) -> bool:
    """Whether transformers reads GGUF files of an architecture, and has a causal language model for it."""
    from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    known = {*map(_plain, GGUF_SUPPORTED_ARCHITECTURES)}
    if importlib.util.find_spec("transformers.integrations.gguf") is not None:  # its second reader, from 5.19
        from transformers.integrations.gguf import GGUF_ARCHS

        known |= {*map(_plain, GGUF_ARCHS)}
    causal = {*map(_plain, MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)}
    name = _plain(architecture)
    return name in known and (name in causal or f"{name}text" in causal)


def _plain(name: str) -> str:
    """GGUF's `qwen2moe` and `gpt-oss` are transformers' `qwen2_moe` and `gpt_oss`."""
    return name.replace("_", "").replace("-", "")


def _check_size(header: GgufHeader) -> None:
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    for tensor in header.tensors:
        try:
            elements, size = GGML_QUANT_SIZES[GGMLQuantizationType(tensor.kind)]
        except (ValueError, KeyError):
            said = f"the file stores {tensor.name} in ggml type {tensor.kind}, which the installed gguf package does not know"
            raise GgufError(said, "pip install -U gguf, or take another quantisation of the model") from None
        end = header.data_start + tensor.offset + tensor.count // elements * size
        if end > (have := header.path.stat().st_size):
            raise GgufError(f"the file is cut off: {tensor.name} would end at byte {end:,}, and it has {have:,}", REFETCH)


def kept_dtype(header: GgufHeader) -> torch.dtype:
    """The type that the file's matrices are in where they are plain floats of one type, else bfloat16."""
    kinds = {tensor.kind for tensor in header.tensors if len(tensor.shape) > 1}
    return FLOATS.get(next(iter(kinds)), torch.bfloat16) if len(kinds) == 1 else torch.bfloat16


def load_gguf(header: GgufHeader, advance: Callable[[int], None] | None = None) -> FromGguf:
    """Model and tokenizer of a checked file, free of everything that says GGUF: they can be saved.

    The model has its weights and no buffers: save it, and load it from there. advance: gets the number of bytes that were just unpacked.
    Raises GgufError where the file lacks something, or transformers cannot make sense of it.
    """
    import transformers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    unpacked = {"quantization_config": transformers.GgufConfig(dequantize=True)} if hasattr(transformers, "GgufConfig") else {}
    with TemporaryDirectory() as folder, whole_weights(), _read_once(), _progress(advance or (lambda _: None)):
        (Path(folder) / "model.gguf").symlink_to(header.path.resolve())  # alone: beside it nothing else may be read
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file="model.gguf")
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                folder, gguf_file="model.gguf", dtype=kept_dtype(header), output_loading_info=True, **unpacked
            )
        except (OSError, ValueError, KeyError, IndexError, TypeError, RuntimeError, NotImplementedError) as error:
            raise GgufError(f"transformers cannot read the file: {error}", ORIGINAL) from error
    read, found = loaded
    config = read.config
    absent = {*found["missing_keys"], *(name for name, *_ in found["mismatched_keys"])}
    absent -= set(read.all_tied_weights_keys)
    if absent:
        raise GgufError(f"the file lacks {len(absent)} of the model's weights, {min(absent)} among them", REFETCH)
    notes = [*_tie_copies(read, header), *_left_out(read, header)]
    if hasattr(config, "quantization_config"):
        del config.quantization_config  # with it, transformers refuses to save
    config.name_or_path = header.metadata.get("general.name", header.path.name)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=read.dtype)
    model.load_state_dict(read.state_dict(), assign=True)
    model.tie_weights()
    for said in ("is_local", "local_files_only"):  # of the folder that it was read from
        tokenizer.init_kwargs.pop(said, None)
    model.generation_config = read.generation_config
    model.generation_config.eos_token_id = _end_tokens(tokenizer, config)
    return FromGguf(model.eval(), tokenizer, tuple(notes))


def _tie_copies(model: PreTrainedModel, header: GgufHeader) -> Iterable[str]:
    """Tie the two matrices of a file that stores one twice; yields what was done."""
    if model.config.tie_word_embeddings or not _are_copies(model, header):
        return
    finer = max((OUTPUT, EMBEDDINGS), key=lambda name: _bits(header.named(name)))
    weight = (model.get_output_embeddings() if finer == OUTPUT else model.get_input_embeddings()).weight
    model.get_input_embeddings().weight = model.get_output_embeddings().weight = weight
    model.config.tie_word_embeddings = True
    yield "its output matrix and its embeddings are two copies of one matrix: tied again, to the finer of the two"


def _are_copies(model: PreTrainedModel, header: GgufHeader) -> bool:
    """Whether two matrices differ by no more than their quantisations may; in one type they would be equal."""
    one: Any = model.get_output_embeddings().weight
    other: Any = model.get_input_embeddings().weight
    if one.shape != other.shape:
        return False
    allowed = COPIES if _bits(header.named(OUTPUT)) != _bits(header.named(EMBEDDINGS)) else 0.0
    apart = total = 0.0
    for start in range(0, one.shape[0], ROWS):
        rows, others = one[start : start + ROWS].detach().float(), other[start : start + ROWS].detach().float()
        apart, total = apart + float((rows - others).square().sum()), total + float(rows.square().sum())
    return apart <= allowed**2 * total


def _bits(tensor: GgufTensor | None) -> float:
    """Bits a weight takes in the file."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    assert tensor is not None
    elements, size = GGML_QUANT_SIZES[GGMLQuantizationType(tensor.kind)]
    return 8 * size / elements


def _left_out(model: PreTrainedModel, header: GgufHeader) -> Iterable[str]:
    """Says what of the file has no place in transformers' model."""
    apart = header.named(OUTPUT)
    in_file = header.parameters - (apart.count if apart is not None and model.config.tie_word_embeddings else 0)
    left = in_file - sum(p.numel() for p in model.parameters())  # tied weights are one parameter
    if left:
        also = " (rope_freqs.weight among them: positions are not scaled)" if header.named("rope_freqs.weight") else ""
        yield f"{left:,} numbers of the file have no place in transformers' model and were left out{also}"


def _end_tokens(tokenizer: PreTrainedTokenizerBase, config: Any) -> int | list[int]:
    """Every token that ends an answer: those that the file names, and the well-known ones that are in its vocabulary as special tokens."""
    stated = config.eos_token_id if config.eos_token_id is not None else tokenizer.eos_token_id
    ids = [] if stated is None else [stated] if isinstance(stated, int) else list(stated)
    special = {token.content: number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    ids += [special[name] for name in END_TOKENS if name in special and special[name] not in ids]
    return ids[0] if len(ids) == 1 else ids


@contextmanager
def _read_once() -> Iterator[None]:
    """transformers parses a file's header three times, and lists the names of all tensors for every module: once each, in the block."""
    import gguf

    names = ("GGUFReader", "get_tensor_name_map")
    originals = {name: getattr(gguf, name) for name in names}
    for name, original in originals.items():
        setattr(gguf, name, functools.cache(original))
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(gguf, name, original)


@contextmanager
def _progress(advance: Callable[[int], None]) -> Iterator[None]:
    """Tell `advance` of each tensor that transformers unpacks, in place of the bars that it would print."""
    from transformers import modeling_gguf_pytorch_utils as reader
    from transformers.utils import logging as transformers_logging

    def counted(tensors: Iterable[Any], **_: Any) -> Iterator[Any]:
        for tensor in tensors:
            yield tensor
            advance(int(tensor.n_bytes))

    bar, shown = reader.tqdm, transformers_logging.is_progress_bar_enabled()
    reader.tqdm = counted
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        reader.tqdm = bar
        if shown:
            transformers_logging.enable_progress_bar()
