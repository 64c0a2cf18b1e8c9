"""How long the stages of a run took, over all of its processes: RUN/times.json.

    {"stages": {"1": {"solutions": 67.2}}, "memory": {"1": {"solutions": 1830.5}}, "unfinished": {"1": {"training": 40.1}}, ...}

A stage that is killed has ended nothing, and writes nothing here. What it took until then is read off the progress.json that its process
left (`rl.progress`), when the next one opens the run, and added once the stage ends.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rl.config.run_folder import read_json, write_atomically

NAME = "times.json"
ByStage = dict[str, dict[str, float]]  # round -> stage -> value


class StageTimes:
    """Wall seconds and memory of each stage, read from the run's folder. clock: Unix seconds."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self.path, self.clock = folder / NAME, clock
        stored = read_json(self.path)
        self.seconds: ByStage = stored.get("stages", {})  # of stages that have ended
        self.memory: ByStage = stored.get("memory", {})  # most megabytes held in each
        self.unfinished: ByStage = stored.get("unfinished", {})  # seconds of processes that ended before the stage did
        self.peak_memory: float = stored.get("peak_memory_mb", 0.0)  # megabytes, over the whole run
        self.written: float = stored.get("written", 0.0)

    def total(self) -> float:
        """Seconds of all stages so far, ended or not."""
        return sum(sum(stages.values()) for found in (self.seconds, self.unfinished) for stages in found.values())

    def of(self, index: int) -> dict[str, float]:
        """Seconds of each stage of a round, one that a kill left unfinished too: it may have left its file, and so be made no more."""
        found = dict(self.seconds.get(str(index), {}))
        for name, seconds in self.unfinished.get(str(index), {}).items():
            found[name] = round(found.get(name, 0.0) + seconds, 2)
        return found

    def take_over(self, progress: dict[str, Any]) -> None:
        """Count what the run's last process spent in the stage that it did not end. progress: what it left in progress.json, or {}.

        Once: this file is written at every end of a stage, and here. One that is newer than the stage's start has counted it.
        """
        stage = progress.get("stage")
        if stage is None or stage["started"] < self.written:
            return
        stages = self.unfinished.setdefault(str(stage["round"]), {})
        stages[stage["name"]] = round(stages.get(stage["name"], 0.0) + max(0.0, progress["written"] - stage["started"]), 2)
        self.write()

    def add(self, index: int, name: str, seconds: float, megabytes: float) -> None:
        """A stage of round `index` has ended, after so many seconds in this process and with so much memory at most."""
        stages, memory = self.seconds.setdefault(str(index), {}), self.memory.setdefault(str(index), {})
        before = self.unfinished.get(str(index), {}).pop(name, 0.0)
        stages[name] = round(stages.get(name, 0.0) + before + seconds, 2)
        memory[name] = max(memory.get(name, 0.0), round(megabytes, 2))

    def write(self) -> None:
        """Write the file, whole or not at all."""
        self.written = self.clock()
        stored = {
            "stages": self.seconds,
            "memory": self.memory,
            "unfinished": self.unfinished,
            "peak_memory_mb": self.peak_memory,
            "written": self.written,
        }
        write_atomically(self.path, json.dumps(stored))
