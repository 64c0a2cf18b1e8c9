"""Weights & Biases. The only module that imports wandb.

However often a training is resumed, it is one run there, with one history. Online, the server says how far that reaches. Offline, each
start writes a folder RUN/wandb/offline-run-DATE-ID of its own, and a kill loses what lies in wandb's buffer (a block of 32 KB, so the whole
of a short run): what the earlier folders hold is read back, and the rest is sent again. W&B's own step is STEPS_A_ROW times the number of
the line in metrics.jsonl, so that the folders' histories follow one another, and `wandb sync RUN/wandb/offline-run-*` joins them. It would
stop at a file that a kill has cut, before those that follow: what is cut off is taken off, and a folder that holds nothing is set aside,
as RUN/wandb/empty-run-DATE-ID.
"""

from __future__ import annotations

import netrc
import os
import struct
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlparse

from rl.config.schema import Config
from rl.console import UserError
from rl.tracking.tracker import ROUND_GROUPS, STEP_GROUPS, Point, run_name, tracker_run_id

WandbMode = Literal["online", "offline", "disabled"]
WANDB_HOST = "https://api.wandb.ai"
STEPS_A_ROW = 10  # tables have their place between two lines


def logged_in_to_wandb() -> bool:
    """Whether a key for Weights & Biases lies in the environment or in netrc."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", WANDB_HOST)).hostname or ""
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (FileNotFoundError, netrc.NetrcParseError, PermissionError):
        return False


def default_entity() -> str:
    """The team or user that the login stands for. Raises what `server_faults` lists."""
    import wandb

    return str(wandb.Api().default_entity)


def server_faults() -> tuple[type[Exception], ...]:
    """What wandb raises where its server refuses something, or does not answer."""
    import requests
    import wandb

    service = sys.modules.get("wandb.sdk.lib.service.service_connection")  # later versions ask through it, and it has an error of its own
    return wandb.errors.Error, requests.RequestException, getattr(service, "WandbApiFailedError", wandb.errors.Error)


def wandb_mode(config: Config) -> WandbMode:
    """online, offline or disabled. `auto`: WANDB_MODE if it is set, else online with a login, else offline."""
    if config.tracking.mode != "auto":
        return config.tracking.mode
    modes: tuple[WandbMode, ...] = ("online", "offline", "disabled")
    for mode in modes:
        if os.environ.get("WANDB_MODE") == mode:
            return mode
    return "online" if logged_in_to_wandb() else "offline"


class WandbTracker:
    """One run for a training, however often it is resumed."""

    def __init__(self, config: Config, folder: Path) -> None:
        import wandb

        self.wandb, self.mode = wandb, wandb_mode(config)
        identity = tracker_run_id(folder, "wandb")
        for path in folder.glob(f"wandb/offline-run-*-{identity}/run-{identity}.wandb"):
            mend(path)
        kinds = ("run", "offline-run") if self.mode == "offline" else ("offline-run",)  # online, the server knows its own
        logs = [path for kind in kinds for path in folder.glob(f"wandb/{kind}-*-{identity}/run-{identity}.wandb")]
        last = max((step for path in logs for step in steps_of(path)), default=-1)
        try:
            self.run = wandb.init(
                project=config.tracking.project,
                entity=config.tracking.entity,
                name=run_name(config, folder),
                group=config.tracking.group,
                tags=list(config.tracking.tags),
                config=config.model_dump(mode="json"),
                id=identity,
                resume="allow",
                mode=self.mode,
                dir=str(folder),
                settings=wandb.Settings(console="off", silent=True, disable_git=True),
            )
        except (wandb.errors.CommError, wandb.errors.UsageError) as error:
            remedy = "log in with `wandb login`, or run with --tracking.mode offline"
            raise UserError(f"Weights & Biases did not start the run: {error}", "tracking", remedy) from None
        self.step = max(last, self.run.starting_step - 1)  # W&B's, the last that is taken
        self.delivered = self.step // STEPS_A_ROW + 1
        self.run.define_metric("round")
        self.run.define_metric("step")
        for group in STEP_GROUPS:
            self.run.define_metric(f"{group}/*", step_metric="step")
        for group in ROUND_GROUPS:
            self.run.define_metric(f"{group}/*", step_metric="round")

    def log(self, point: Point) -> None:
        self.step = max(point.row * STEPS_A_ROW, self.step + 1)
        axes: dict[str, float] = {"round": point.round} if point.step is None else {"round": point.round, "step": point.step}
        self.run.log({**point.values, **axes}, step=self.step, commit=True)

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], index: int) -> None:
        self.step += 1
        table = self.wandb.Table(columns=list(columns), data=[list(row) for row in rows])
        self.run.log({name: table, "round": index}, step=self.step, commit=True)

    def artifact(self, path: Path, name: str, kind: str, aliases: Sequence[str]) -> None:
        artifact = self.wandb.Artifact(f"{name}-{self.run.id}", type=kind)  # names are the project's: each run has its own
        if path.is_dir():
            artifact.add_dir(str(path))
        else:
            artifact.add_file(str(path))
        self.run.log_artifact(artifact, aliases=list(aliases))

    def close(self) -> None:
        self.run.finish()
        self.wandb.teardown()  # the file is complete only when the service behind it has ended


# The file of a run: LevelDB's log format (https://github.com/google/leveldb/blob/main/doc/log_format.md), a protobuf record an entry.
BLOCK = 32768  # bytes; no chunk crosses the end of one
FILE_HEADER = 7  # bytes: ":W&B", magic, version
CHUNK_HEADER = struct.Struct("<IHB")  # checksum, length in bytes, kind
WHOLE, FIRST, _, LAST = 1, 2, 3, 4


def steps_of(path: Path) -> Iterator[int]:
    """The steps of the points in a run's file."""
    for record in records_of(path):
        for item in record.history.item if record.WhichOneof("record_type") == "history" else ():
            if "_step" in (item.key, *item.nested_key):
                yield int(item.value_json)


def records_of(path: Path) -> Iterator[Any]:
    """The records of a run's file (protobuf messages), as far as it was written: one that a kill has cut is not there."""
    from google.protobuf.message import DecodeError
    from wandb.proto import wandb_internal_pb2

    for _, entry in _entries(path.read_bytes()):
        record = wandb_internal_pb2.Record()  # type: ignore[attr-defined]
        try:
            record.ParseFromString(entry)
        except DecodeError:
            return
        yield record


def mend(path: Path) -> None:
    """Make the file of a killed start one that `wandb sync` reads to its end; set its folder aside where it does not even name its run."""
    if not any(record.WhichOneof("record_type") == "run" for record in records_of(path)):
        path.parent.rename(path.parent.with_name(path.parent.name.replace("offline", "empty", 1)))
        return
    data = path.read_bytes()
    whole = max(end for end, _ in _entries(data))
    if whole < len(data):
        os.truncate(path, whole)


def _entries(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(place after it, entry) of the entries of a log file that are there to their end."""
    part, at = b"", FILE_HEADER
    while at + CHUNK_HEADER.size <= len(data):
        left = BLOCK - at % BLOCK
        if left < CHUNK_HEADER.size:  # the rest of a block is padding
            at += left
            continue
        _, length, kind = CHUNK_HEADER.unpack_from(data, at)
        at += CHUNK_HEADER.size
        if at + length > len(data) or kind not in range(WHOLE, LAST + 1):
            return
        part = (b"" if kind in (WHOLE, FIRST) else part) + data[at : at + length]
        at += length
        if kind in (WHOLE, LAST):
            yield at, part
