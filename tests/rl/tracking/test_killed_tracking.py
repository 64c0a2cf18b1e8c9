"""A run that was killed with -9 and went on is one history at every tracker: each point once, none lost, in the order of the steps."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rl.tracking.tracker import tracker_run_id
from rl.tracking.wandb_tracker import steps_of
from tests.rl.tracking import wandb_file
from tests.rl.tracking.wandb_server import WandbServer

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 300  # seconds, on a busy machine
FEW, MANY = 6, 150  # steps: none, or some, of the first start's points have left wandb's buffer when the kill comes


def killed_and_resumed(folder: Path, tracker: str, steps: int, starts: tuple[str, ...] = ("kill", "go-on")) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "WANDB_MODE": "offline"}
    for start in starts:
        words = [sys.executable, "-m", "tests.rl.tracking.killed_run", str(folder), tracker, str(steps), start]
        log = folder / "log"
        with log.open("wb") as output:  # no pipe: a service that outlives the kill for a moment would hold it open
            done = subprocess.run(words, cwd=ROOT, env=environment, stdout=output, stderr=output, timeout=PATIENCE, start_new_session=True)
        assert done.returncode == (-9 if start == "kill" else 0), log.read_text()[-2000:]


def training_steps(points: list[dict[str, Any]]) -> list[int]:
    return [point["step"] for point in points if "grpo/loss" in point]


@pytest.mark.slow
@pytest.mark.parametrize("steps", [FEW, MANY])
def test_the_folders_that_wandb_writes_offline_follow_one_another(tmp_path: Path, steps: int) -> None:
    pytest.importorskip("wandb")
    killed_and_resumed(tmp_path, "wandb", steps)
    folders = sorted(path.name for path in tmp_path.glob("wandb/*-run-*-*"))
    assert len(folders) == 2 and {name.rpartition("-")[2] for name in folders} == {tracker_run_id(tmp_path, "wandb")}
    points = wandb_file.history(tmp_path)
    assert training_steps(points) == list(range(1, steps + 3))
    own = [point["_step"] for point in points]
    assert own == sorted(set(own))  # W&B drops a point whose step is not above the last
    assert [point["round"] for point in points if "eval/pass@1" in point] == [0, 1]
    assert [point["guards/fired"] for point in points if "grpo/loss" in point][-2:] == [1, 1]


def sync(folder: Path, server: WandbServer) -> None:
    login = {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": "0123456789" * 4}
    environment = os.environ | login | {"WANDB_MODE": "online", "WANDB_SILENT": "false", "WANDB_ERROR_REPORTING": "false"}
    words = [str(Path(sys.executable).with_name("wandb")), "sync", *map(str, folder.glob("wandb/offline-run-*"))]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("starts", [(FEW, "kill", "go-on"), (MANY, "kill", "kill", "go-on")])
def test_wandb_sync_makes_one_history_of_them(tmp_path: Path, starts: tuple[Any, ...]) -> None:
    pytest.importorskip("wandb")
    steps, *turns = starts
    killed_and_resumed(tmp_path, "wandb", steps, tuple(turns))
    with WandbServer() as server:
        sync(tmp_path, server)
    assert list(server.history) == [tracker_run_id(tmp_path, "wandb")]
    (points,) = server.history.values()
    assert training_steps(points) == list(range(1, steps + 3))
    assert [point["_step"] for point in points] == sorted({point["_step"] for point in points})


def test_a_file_that_was_cut_anywhere_is_read_to_there(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    killed_and_resumed(tmp_path, "wandb", 40, ("go-on",))
    (path,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    data, whole = path.read_bytes(), list(steps_of(path))
    assert whole == [point["_step"] for point in wandb_file.history(tmp_path)]
    for length in range(0, len(data), 97):
        path.write_bytes(data[:length])
        found = list(steps_of(path))
        assert found == whole[: len(found)]


@pytest.mark.slow
@pytest.mark.parametrize("steps", [FEW, MANY])
def test_tensorboard_shows_each_point_once(tmp_path: Path, steps: int) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    killed_and_resumed(tmp_path, "tensorboard", steps)
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"), {accumulator.SCALARS: 0})
    events.Reload()
    assert [event.step for event in events.Scalars("grpo/loss")] == list(range(1, steps + 3))
    assert [event.step for event in events.Scalars("eval/pass@1")] == [0, 1]
    logged = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().split("\n") if '"stage": "problems"' in line]
    assert [event.wall_time for event in events.Scalars("problems/kept")] == pytest.approx([logged[0]["time"]])
    texts = accumulator.EventAccumulator(str(tmp_path / "tensorboard" / "texts"))
    texts.Reload()
    assert texts.Tags()["tensors"] == ["programs/clusters/text_summary"]


@pytest.mark.slow
@pytest.mark.parametrize("steps", [FEW, MANY])
def test_trackio_stores_each_point_once(tmp_path: Path, steps: int) -> None:
    pytest.importorskip("trackio")
    killed_and_resumed(tmp_path, "trackio", steps)
    with sqlite3.connect(tmp_path / "trackio" / "ucoder.db") as database:
        rows = database.execute("SELECT run_name, step, metrics FROM metrics ORDER BY id").fetchall()
    assert len({name for name, _, _ in rows}) == 1
    points = [(step, json.loads(values)) for _, step, values in rows]
    assert [step for step, values in points if "grpo/loss" in values] == list(range(1, steps + 3))
    assert [step for step, values in points if "eval/pass@1" in values] == [0, steps + 2]
