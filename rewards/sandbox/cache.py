"""Executions kept on disk by hash, so that the same program on the same inputs under the same limits runs once.

Safe for several processes (SQLite with a write-ahead log).
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from pathlib import Path

from rewards.records import Execution, Kind, Program
from rewards.sandbox.config import SandboxConfig, SandboxError
from rewards.sandbox.packages import Offer

VERSION = 8  # of the canonical text, the kinds and the row; a change makes old entries unreachable
UNSETTLED = frozenset({Kind.INFRASTRUCTURE, Kind.TIMEOUT, Kind.MEMORY, Kind.KILLED})  # may differ on another day: not kept
# settings that an outcome depends on
DECIDING = (
    "memory_mb",
    "output_kb",
    "source_kb",
    "scratch_mb",
    "significant_digits",
    "whole_floats",
    "digest_over",
    "isolation",
    "clock",
    "file_modes",
)
COMMIT_EVERY = 256  # executions


class ExecutionCache:
    """Executions by the hash of everything that they depend on."""

    def __init__(self, folder: Path, config: SandboxConfig, offer: Offer, hash_seed: int) -> None:
        settings = [getattr(config, name) for name in DECIDING]
        self.prefix = repr((VERSION, offer.identity(), hash_seed, settings)).encode()
        self.waiting = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.database = sqlite3.connect(folder / "executions.sqlite", timeout=60)
            self.database.execute("PRAGMA journal_mode=WAL")
            self.database.execute("PRAGMA synchronous=NORMAL")
            self.database.execute("CREATE TABLE IF NOT EXISTS executions (key BLOB PRIMARY KEY, value TEXT) WITHOUT ROWID")
        except (OSError, sqlite3.Error) as error:
            raise SandboxError(f"sandbox.cache_dir {folder} cannot be used: {error}") from error

    def key(self, program: Program) -> bytes:
        digest = hashlib.sha256(self.prefix)
        for part in (program.entry, program.code, *program.inputs):
            data = part.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "little") + data)
        return digest.digest()

    def get(self, program: Program) -> Execution | None:
        """The execution of this program, if it is known."""
        row = self.database.execute("SELECT value FROM executions WHERE key = ?", (self.key(program),)).fetchone()
        if row is None:
            return None
        return Execution.of_row(json.loads(row[0]))

    def put(self, program: Program, execution: Execution) -> None:
        """Keep an execution, unless a part of it may come out otherwise another time."""
        if any(outcome.kind in UNSETTLED for outcome in execution.outcomes):
            return
        self.database.execute("INSERT OR IGNORE INTO executions VALUES (?, ?)", (self.key(program), json.dumps(execution.as_row())))
        self.waiting += 1
        if self.waiting >= COMMIT_EVERY:
            self.commit()

    def commit(self) -> None:
        self.database.commit()
        self.waiting = 0

    def close(self) -> None:
        self.commit()
        self.database.close()
