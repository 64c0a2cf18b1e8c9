"""Reads an offline run's own file back: the LevelDB log format, holding one protobuf record an entry."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLOCK = 32768
FILE_HEADER = 7  # ":W&B", magic, version
RECORD_HEADER = struct.Struct("<IHB")  # checksum, length, kind: 1 whole, 2 first, 3 middle, 4 last


def entries(data: bytes) -> list[bytes]:
    """The entries of a log file, joined where they were split over blocks."""
    assert data[:4] == b":W&B"
    found, part, at = [], b"", FILE_HEADER
    while at + RECORD_HEADER.size <= len(data):
        left = BLOCK - at % BLOCK
        if left < RECORD_HEADER.size:
            at += left
            continue
        _, length, kind = RECORD_HEADER.unpack_from(data, at)
        at += RECORD_HEADER.size
        part = (b"" if kind in (1, 2) else part) + data[at : at + length]
        at += length
        if kind in (1, 4):
            found.append(part)
    return found


def records(folder: Path, kind: str) -> Iterator[Any]:
    """The records of one kind in the offline runs under `folder`, in order."""
    from wandb.proto import wandb_internal_pb2

    for path in sorted(folder.glob("wandb/offline-run-*/run-*.wandb")):
        for entry in entries(path.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(entry)
            if record.WhichOneof("record_type") == kind:
                yield getattr(record, kind)


def history(folder: Path) -> list[dict[str, Any]]:
    """Every logged point."""
    return [
        {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.item}
        for record in records(folder, "history")
    ]


def metric_axes(folder: Path) -> dict[str, str]:
    """Defined metrics (globs) and their axes."""
    return {record.glob_name or record.name: record.step_metric for record in records(folder, "metric")}


def artifacts(folder: Path) -> list[tuple[str, str, frozenset[str], set[str]]]:
    """(name, kind, aliases, files) of every logged artifact, in no order."""
    return [
        (record.name, record.type, frozenset(record.aliases), {entry.path for entry in record.manifest.contents})
        for record in records(folder, "artifact")
    ]


def tables(folder: Path, name: str) -> list[dict[str, Any]]:
    """The tables logged under a name: {"columns": [...], "data": [[...]]}, in order."""
    found = []
    for point in history(folder):
        path = point.get(f"{name}/path")
        if path is not None:
            (file,) = folder.glob(f"wandb/offline-run-*/files/{path}")
            found.append(json.loads(file.read_text()))
    return found
