"""Checkpoints of the training stage: written whole or not at all, verified, loaded like any Hugging Face checkpoint.

A final checkpoint appears under its name by one rename, after its files are on disk, with a manifest of their sizes and SHA-256. The
trainer's own checkpoints (optimizer and RNG state inside a round) are not written that way, so each gets a marker file with the same
figures once every rank has written its part, and only marked and undamaged ones are resumed from.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from probing.models.loading import load_model
from rl.console import warn

COMPLETE = "complete.json"  # marker (and small state) in a trainer checkpoint: everything beside it was written
MANIFEST = "manifest.json"  # in a final checkpoint: its files' sizes and hashes
CHUNK_BYTES = 2**22

Files = dict[str, tuple[int, str]]  # path below the folder -> bytes, SHA-256


def load_policy(path: Path | str, weights_dtype: str = "float32", sharded: bool = False) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Model (in `weights_dtype`, on the CPU: the trainer places it) and tokenizer (padding left) of a folder or Hub id.

    sharded: see `load_model`. Raises ModelError when there is no such model.
    """
    model, tokenizer = load_model(str(path), device="cpu", dtype=weights_dtype, sharded=sharded)
    tokenizer.padding_side = "left"
    return model, tokenizer


def fingerprints(folder: Path) -> Files:
    """Size and hash of every file below the folder, the two kinds of marker apart."""
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and COMPLETE not in p.name and MANIFEST not in p.name)
    with ThreadPoolExecutor(8) as threads:  # hashing lets go of the interpreter's lock
        found = threads.map(_fingerprint, paths)
        return {str(path.relative_to(folder)): figures for path, figures in zip(paths, found, strict=True)}


def _fingerprint(path: Path) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()


def damage(folder: Path, files: Mapping[str, Any] | None = None) -> str | None:
    """What is wrong with a checkpoint, in words; None where all its files are as they were written.

    files: as `fingerprints` gave them (default: the folder's manifest).
    """
    if files is None:
        manifest = folder / MANIFEST
        if not manifest.is_file():
            return f"{manifest} is missing"
        files = json.loads(manifest.read_text())
    for name, (size, digest) in files.items():
        path = folder / name
        if not path.is_file():
            return f"{path} is missing"
        if path.stat().st_size != size:
            return f"{path} has {path.stat().st_size:,} bytes instead of {size:,}"
        if _fingerprint(path)[1] != digest:
            return f"{path} is not what was written (its SHA-256 differs)"
    return None


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
    (partial / MANIFEST).write_text(json.dumps(fingerprints(partial), indent=1))
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
    partial.write_text(json.dumps({"state": state, "files": fingerprints(folder)}))
    os.replace(partial, folder / COMPLETE)


def latest_complete(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """The newest complete trainer checkpoint in `folder` with its state, or None. Half-written and damaged ones are passed over."""
    found = sorted(folder.glob(f"checkpoint-*/{COMPLETE}"), key=lambda marker: int(marker.parent.name.rsplit("-", 1)[1]))
    for marker in reversed(found):
        content = json.loads(marker.read_text())
        wrong = damage(marker.parent, content["files"])
        if wrong is None:
            return marker.parent, content["state"]
        warn(f"passing over a damaged checkpoint: {wrong}")
    return None


def discard(folder: Path) -> None:
    """Remove a folder so that a kill halfway leaves nothing that looks like a part of it."""
    removed = folder.with_name(f".{folder.name}.discarded")
    shutil.rmtree(removed, ignore_errors=True)
    if folder.exists():
        folder.rename(removed)
        shutil.rmtree(removed, ignore_errors=True)


def write_result(out_dir: Path, result: dict[str, Any]) -> None:
    """Leave `result.json` beside a finished checkpoint: the training is done, and this is what it said."""
    partial = out_dir / ".result.json.partial"
    partial.write_text(json.dumps(result))
    os.replace(partial, out_dir / "result.json")


def read_result(out_dir: Path) -> dict[str, Any] | None:
    """What a finished training left in `out_dir`, or None while there is none, or its checkpoint is damaged."""
    path = out_dir / "result.json"
    if not path.is_file():
        return None
    wrong = damage(out_dir / "checkpoint")
    if wrong is not None:
        warn(f"training again: {wrong}")
        return None
    return json.loads(path.read_text())
