"""progress.json: what a run says of itself while it runs, and how it ended."""

from __future__ import annotations

import json
import math
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from rl.progress import NAME, ProgressFile, is_alive
from rl.watch.eta import stage_left


def written(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / NAME).read_text())
    return found


def until(folder: Path, key: str, condition: Any) -> dict[str, Any]:
    """The file, once its value under `key` fulfils the condition."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if condition((found := written(folder))[key]):
            return found
        time.sleep(0.01)
    raise AssertionError(f"{key} is still {found[key]}")


def test_a_task_is_counted_on_disk_while_it_runs(tmp_path: Path) -> None:
    progress = ProgressFile(tmp_path, ranks=4, memory=lambda: 812.4, every=0.02)
    progress.start()
    with progress.stage(2, "solutions"), progress.task(2, "solutions", 100, "samples") as advance:
        advance(30)
        advance(12)
        found = until(tmp_path, "task", lambda task: task and task["done"] == 42)
        assert (found["task"]["total"], found["task"]["unit"]) == (100, "samples")
        assert (found["stage"]["round"], found["stage"]["name"]) == (2, "solutions")
        assert (found["state"], found["ranks"], found["memory_mb"]) == ("running", 4, 812)
    found = until(tmp_path, "stage", lambda stage: stage is None)
    assert found["task"] is None
    progress.close()


def test_a_sampler_s_words_are_kept_beside_the_count(tmp_path: Path) -> None:
    progress = ProgressFile(tmp_path, every=0.02)
    progress.start()
    with progress.task(2, "solutions", 100, "samples") as advance:
        advance(0, 640, math.inf)
        advance(0, 640, 90.5)
        found = until(tmp_path, "task", lambda task: task and task["tokens"] == 1280)["task"]
        assert (found["done"], found["advanced"], found["left"]) == (0, None, 90.5)
        assert stage_left(found, found["left_at"] + 60.5) == pytest.approx(30.0)
        advance(5, 640, math.inf)
        found = until(tmp_path, "task", lambda task: task and task["tokens"] == 1920)["task"]
        assert found["left"] is None and stage_left(found, found["left_at"] + 60) is None, "no guess from the first samples"
    progress.close()


@pytest.mark.parametrize(
    ("error", "state", "kind"),
    [
        (None, "finished", None),
        (RuntimeError("no memory"), "failed", "RuntimeError"),
        (KeyboardInterrupt(), "interrupted", "KeyboardInterrupt"),
    ],
)
def test_the_end_is_written_with_its_reason_and_stays(tmp_path: Path, error: BaseException | None, state: str, kind: str | None) -> None:
    progress = ProgressFile(tmp_path)
    progress.start()
    if error is not None:
        with pytest.raises(type(error)), progress.stage(1, "training"):
            raise error
    progress.close(error)
    progress.close(None)
    found = written(tmp_path)
    assert found["state"] == state
    assert (found["error"] or {}).get("kind") == kind
    assert found["stage"] is None if error is None else found["stage"]["name"] == "training", "it says where the run failed"


def test_other_ranks_write_nothing(tmp_path: Path) -> None:
    progress = ProgressFile(None)
    progress.start()
    with progress.stage(1, "problems"), progress.task(1, "problems", 3, "proposals") as advance:
        advance(1)
    progress.close()
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_cannot_be_written_does_not_end_the_run(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    progress = ProgressFile(folder, every=0.01)
    progress.start()
    (folder / NAME).unlink()
    folder.rmdir()
    time.sleep(0.05)
    folder.mkdir()
    until_there = time.monotonic() + 20
    while not (folder / NAME).exists() and time.monotonic() < until_there:
        time.sleep(0.01)
    assert written(folder)["state"] == "running"
    progress.close()


def test_a_process_is_known_by_its_number_and_its_start(tmp_path: Path) -> None:
    me, host = psutil.Process(), socket.gethostname()
    assert is_alive(host, me.pid, me.create_time()) is True
    assert is_alive(host, me.pid, me.create_time() - 3600) is False, "the number was given to another process"
    assert is_alive(f"not-{host}", me.pid, me.create_time()) is None
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    started = psutil.Process(child.pid).create_time()
    os.waitpid(child.pid, 0)
    assert is_alive(host, child.pid, started) is False
