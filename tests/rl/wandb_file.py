"""Reads an offline run's own file back: the LevelDB log format, holding one protobuf record an entry."""

from __future__ import annotations

import json
import struct
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


def history(folder: Path) -> list[dict[str, Any]]:
    """Every logged point of the offline runs under `folder`, in order."""
    from wandb.proto import wandb_internal_pb2

    points = []
    for path in sorted(folder.glob("wandb/offline-run-*/run-*.wandb")):
        for entry in entries(path.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(entry)
            if record.WhichOneof("record_type") == "history":
                points.append({item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item})
    return points


def metric_axes(folder: Path) -> dict[str, str]:
    """Defined metrics (globs) and their axes."""
    from wandb.proto import wandb_internal_pb2

    axes = {}
    for path in sorted(folder.glob("wandb/offline-run-*/run-*.wandb")):
        for entry in entries(path.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(entry)
            if record.WhichOneof("record_type") == "metric":
                axes[record.metric.glob_name or record.metric.name] = record.metric.step_metric
    return axes
