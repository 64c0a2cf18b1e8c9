"""One process at a time works in a run folder; a killed one leaves nothing that holds a resume up."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rl.config.run_folder import open_run
from rl.config.run_lock import RunLock
from rl.config.schema import load_config
from rl.console import UserError
from tests.loop.runs import PATIENCE, ROOT, start
from tests.rl.tiny import make_checkpoint

# Takes the lock and leaves two children behind: a forked one, as workers are, and one that was started anew, as servers are.
HOLDER = """
import os, subprocess, sys, time
from pathlib import Path
from rl.config.run_lock import RunLock
lock = RunLock(Path(sys.argv[1]))
lock.take()
started = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], close_fds=False)
if not (forked := os.fork()):
    time.sleep(300)
print(forked, started.pid, flush=True)
time.sleep(300)
"""


@contextmanager
def holding(folder: Path) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A process that holds the lock, and its children's ids."""
    words = [sys.executable, "-c", HOLDER, str(folder)]
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    children: list[int] = []
    try:
        assert process.stdout is not None
        children = [int(word) for word in process.stdout.readline().split()]
        yield process, children
    finally:
        for pid in [*children, *([process.pid] if process.poll() is None else [])]:
            os.kill(pid, signal.SIGKILL)
        process.wait()


def test_a_second_start_is_refused_and_a_kill_lets_go_though_children_live_on(tmp_path: Path) -> None:
    with holding(tmp_path) as (process, children):
        with pytest.raises(UserError, match=f"another process is running this run \\(pid {process.pid} on ") as caught:
            RunLock(tmp_path).take()
        assert caught.value.where == str(tmp_path) and "--run_dir" in caught.value.remedy
        process.kill()
        process.wait()
        for child in children:
            os.kill(child, 0)  # it lives
        again = RunLock(tmp_path)
        again.take()
        again.release()


def test_a_refused_start_writes_nothing(tmp_path: Path) -> None:
    model, folder = make_checkpoint(tmp_path / "model"), tmp_path / "run"
    words = ["--model", str(model), "--run_dir", str(folder)]
    before = (open_run(load_config(None, [*words, "--rounds", "1"])) / "config.yaml").read_bytes()
    with holding(folder), pytest.raises(UserError, match="another process"):
        open_run(load_config(None, [*words, "--rounds", "2"]), RunLock(folder))
    assert (folder / "config.yaml").read_bytes() == before


def test_a_disk_without_locks_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(file: object, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", refuse)
    lock = RunLock(tmp_path)
    lock.take()
    lock.release()
    said = capsys.readouterr()
    assert "cannot be locked (No locks available)" in said.out + said.err


@pytest.mark.slow
def test_the_loop_holds_it(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    first = start(folder)
    try:
        while not (folder / "config.yaml").exists():
            assert first.poll() is None, (tmp_path / "run.log").read_text()[-3000:]
            time.sleep(0.05)
        assert start(folder).wait(PATIENCE) == 2
        assert "another process is running this run" in (tmp_path / "run.log").read_text()
        assert first.poll() is None
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
