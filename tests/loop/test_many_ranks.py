"""Two processes (gloo) make the run that one makes; one that dies ends it by name; what was damaged is made again."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from torch.testing import assert_close

from rl.tracking.monitor import read_metrics

ROOT = Path(__file__).parents[2]
PATIENCE = 400
# small parts, so that both ranks get some of every stage; two problems at a time where they are judged
OVERRIDES = ("--sampling.part", "24", "--problems.count", "20", "--evals.limit", "6", "--grpo.steps", "2")


def command(folder: Path, *rest: str) -> list[str]:
    return ["rl/train.py", "--config", str(Path(__file__).with_name("small.yaml")), "--run_dir", str(folder), *OVERRIDES, *rest]


def environment(**more: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"} | more


def run(folder: Path, processes: int, *rest: str, config: str = "cpu2") -> None:
    launcher = ["-m", "accelerate.commands.launch", "--quiet", "--config_file", f"configs/accelerate/{config}.yaml"]
    launcher += ["--main_process_port", "0"]
    words = [sys.executable, *(launcher if processes > 1 else []), *command(folder, *rest)]
    done = subprocess.run(words, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr[-4000:]


def stages(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The files of stages 1 to 5 and of the evaluations, without the times."""
    found = {}
    for path in sorted(folder.glob("round_*/*.jsonl")):
        found[str(path.relative_to(folder))] = [
            {key: value for key, value in json.loads(line).items() if key != "seconds"} for line in path.read_text().splitlines()
        ]
    return found


def steps(folder: Path) -> list[dict[str, Any]]:
    """What training logged, a repeated step once."""
    return [row for row in read_metrics(folder / "metrics.jsonl") if row["stage"] == "grpo" and row["step"] is not None]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone") / "run"
    run(folder, 1)
    return folder


def is_the_same_run(folder: Path, alone: Path) -> None:
    one, two = stages(alone), stages(folder)
    before_training = {name for name in one if name.startswith("round_00") or "eval" not in name}
    assert one.keys() == two.keys() and len(before_training) >= 7
    for name in before_training:
        assert two[name] == one[name], name
    for mine, other in zip(steps(folder), steps(alone), strict=True):
        for figure in ("consensus", "reward", "tokens", "loss", "grad_norm", "entropy"):
            assert mine[figure] == pytest.approx(other[figure], abs=2e-3, rel=2e-3), figure
    weights = [load_file(path / "round_01" / "grpo" / "checkpoint" / "model.safetensors") for path in (folder, alone)]
    for name, tensor in weights[1].items():
        assert_close(weights[0][name], tensor, atol=1e-3, rtol=1e-2)


@pytest.mark.slow
def test_two_ranks_make_the_run_that_one_makes(alone: Path, tmp_path: Path) -> None:
    run(tmp_path / "run", 2)
    is_the_same_run(tmp_path / "run", alone)
    assert not list((tmp_path / "run").glob("round_*/parts"))


@pytest.mark.slow
def test_so_do_two_ranks_under_zero_2(alone: Path, tmp_path: Path) -> None:
    pytest.importorskip("deepspeed")
    run(tmp_path / "run", 2, config="cpu2_zero2")
    is_the_same_run(tmp_path / "run", alone)


@pytest.mark.slow
def test_a_rank_that_is_killed_ends_the_run_by_name_and_one_rank_alone_can_finish_it(alone: Path, tmp_path: Path) -> None:
    """Without a launcher that would end the other: as on two machines."""
    folder = tmp_path / "run"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    together = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    ranks = []
    for rank in ("0", "1"):
        variables = environment(RANK=rank, LOCAL_RANK=rank, **together)
        log = (tmp_path / f"rank_{rank}.log").open("w")
        ranks.append(subprocess.Popen([sys.executable, *command(folder)], cwd=ROOT, env=variables, stdout=log, stderr=log))
    try:
        deadline = time.monotonic() + PATIENCE
        while not (folder / "round_01" / "suites.jsonl").exists():
            assert all(rank.poll() is None for rank in ranks), (tmp_path / "rank_0.log").read_text()[-3000:]
            assert time.monotonic() < deadline
            time.sleep(0.05)
        ranks[1].send_signal(signal.SIGKILL)
        assert ranks[0].wait(PATIENCE) == 70
        said = (tmp_path / "rank_0.log").read_text()
        assert f"rank 1 (host {socket.gethostname()}, pid {ranks[1].pid}) has died in round 1" in said
        assert "the same command goes on" in said
    finally:
        for rank in ranks:
            rank.kill()
            rank.wait()
    run(folder, 1)
    is_the_same_run(folder, alone)


@pytest.mark.slow
def test_a_cut_checkpoint_is_trained_again(alone: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(alone, folder, symlinks=True)
    checkpoint = folder / "round_01" / "grpo" / "checkpoint" / "model.safetensors"
    whole, measured = checkpoint.read_bytes(), folder / "round_01" / "eval.json"
    checkpoint.write_bytes(whole[: len(whole) // 2])
    figures = measured.read_text()
    measured.write_text("{}")  # as of the lost checkpoint, whatever that was
    words = [sys.executable, *command(folder)]
    done = subprocess.run(words, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "round 1 is trained again" in done.stderr and "model.safetensors has" in done.stderr
    assert checkpoint.read_bytes() == whole
    assert json.loads(measured.read_text()).keys() == json.loads(figures).keys()


@pytest.mark.slow
def test_a_full_disk_is_said_and_room_lets_the_run_go_on(alone: Path, tmp_path: Path) -> None:
    """On a small tmpfs of a mount namespace, where that can be made."""
    disk = tmp_path / "disk"
    disk.mkdir()
    words = " ".join([sys.executable, *command(disk / "run")])
    script = f"""
        mount -t tmpfs -o size=9m none {disk} || exit 99
        {words} 2> {tmp_path}/first.log; echo $? > {tmp_path}/first
        mount -o remount,size=500m {disk}
        {words} 2> {tmp_path}/second.log; echo $? > {tmp_path}/second
        cp -r {disk}/run {tmp_path}/run
    """
    shell = ["unshare", "-rm", "sh", "-c", script]
    done = subprocess.run(shell, cwd=ROOT, env=environment(), timeout=2 * PATIENCE, stdout=subprocess.DEVNULL)
    if done.returncode == 99 or not (tmp_path / "first").exists():
        pytest.skip("no mount namespace can be made here")
    first = (tmp_path / "first.log").read_text()
    assert (tmp_path / "first").read_text() == "1\n" and "the disk is full" in first and "Traceback" not in first, first[-3000:]
    assert (tmp_path / "second").read_text() == "0\n", (tmp_path / "second.log").read_text()[-3000:]
    is_the_same_run(tmp_path / "run", alone)
