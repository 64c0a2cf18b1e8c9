"""Checkpoints of the training stage: written whole or not at all, loaded like any Hugging Face checkpoint.

A final checkpoint appears under its name by one rename, after its files are on disk. The trainer's own checkpoints
(optimizer and RNG state inside a round) are not written that way, so each gets a marker file once it is complete, and
only marked ones are resumed from.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from probing.models import load_model

COMPLETE = "complete.json"  # marker (and small state) in a trainer checkpoint: everything beside it was written


def load_policy(path: Path | str, weights_dtype: str = "float32") -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Model (in `weights_dtype`, on the CPU: the trainer places it) and tokenizer (padding left) of a folder or Hub id.

    Raises ModelError when there is no such model.
    """
    model, tokenizer = load_model(str(path), device="cpu", dtype=weights_dtype)
    tokenizer.padding_side = "left"
    return model, tokenizer


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; on success flush it to disk and rename it to `path` (replacing an older one)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    retired = path.with_name(f".{path.name}.retired")
    if retired.exists() and not path.exists():  # killed between the two renames below: the old one is still good
        retired.rename(path)
    for leftover in (partial, retired):
        shutil.rmtree(leftover, ignore_errors=True)
    partial.mkdir()
    yield partial
    for file in partial.rglob("*"):
        if file.is_file():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
    if path.exists():
        path.rename(retired)
    partial.rename(path)
    shutil.rmtree(retired, ignore_errors=True)


def save_policy(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, path: Path, state_dict: dict[str, Any] | None = None) -> None:
    """Write model and tokenizer to `path` atomically. Call it on one process; `state_dict` holds gathered weights, if any."""
    with atomic_folder(path) as partial:
        model.save_pretrained(partial, state_dict=state_dict)
        tokenizer.save_pretrained(partial)


def mark_complete(folder: Path, state: dict[str, Any]) -> None:
    """Mark a trainer checkpoint as complete; `state` (JSON) is what the trainer itself does not keep."""
    partial = folder / f".{COMPLETE}.partial"
    partial.write_text(json.dumps(state))
    os.replace(partial, folder / COMPLETE)


def latest_complete(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """The newest complete trainer checkpoint in `folder` with its state, or None. Half-written ones are passed over."""
    found = sorted(folder.glob(f"checkpoint-*/{COMPLETE}"), key=lambda marker: int(marker.parent.name.rsplit("-", 1)[1]))
    return (found[-1].parent, json.loads(found[-1].read_text())) if found else None


def discard(folder: Path) -> None:
    """Remove a folder so that a kill halfway leaves nothing that looks like a part of it."""
    doomed = folder.with_name(f".{folder.name}.discarded")
    shutil.rmtree(doomed, ignore_errors=True)
    if folder.exists():
        folder.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)


def write_result(out_dir: Path, result: dict[str, Any]) -> None:
    """Leave `result.json` beside a finished checkpoint: the training is done, and this is what it said."""
    partial = out_dir / ".result.json.partial"
    partial.write_text(json.dumps(result))
    os.replace(partial, out_dir / "result.json")


def read_result(out_dir: Path) -> dict[str, Any] | None:
    """What a finished training left in `out_dir`, or None while there is none."""
    path = out_dir / "result.json"
    return json.loads(path.read_text()) if path.is_file() and (out_dir / "checkpoint" / "config.json").is_file() else None
