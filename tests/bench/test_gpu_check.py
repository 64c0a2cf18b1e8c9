"""The check of a GPU: without one it says so at once; what is missing is named, and does not stop the rest."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
import torch

from bench import gpu_check
from bench.gpu_check import Step, check, main, steps


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_it_ends_in_one_screen(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2
    said = capsys.readouterr()
    assert said.out == "" and "no CUDA device" in said.err and len(said.err.splitlines()) < 8


def test_what_is_not_installed_is_named_and_the_others_still_run(capsys: pytest.CaptureFixture[str]) -> None:
    chosen, begun = steps(Path("out")), list[str]()

    def start(step: Step) -> int:
        begun.append(step.name)
        return 0

    assert check(chosen, start, lambda module: module not in ("trl", "datasets"))
    assert begun == ["tests", "pretrain", "throughput"]
    assert "the bundled run in bf16: not installed: datasets, trl" in capsys.readouterr().out


def test_one_failure_is_the_whole_check_s_but_does_not_end_it() -> None:
    begun: list[str] = []

    def start(step: Step) -> int:
        begun.append(step.name)
        return int(step.name == "tests")

    assert not check(steps(Path("out")), start, lambda module: True)
    assert begun == ["tests", "run", "pretrain", "throughput"]


@pytest.mark.parametrize(("visible", "used"), [(None, "0"), ("3,5", "3"), ("GPU-1f", "GPU-1f")])
def test_one_gpu_is_checked_though_there_are_several(visible: str | None, used: str, monkeypatch: pytest.MonkeyPatch) -> None:
    began: list[tuple[str, list[str]]] = []

    def run(words: list[str], cwd: Path, env: dict[str, str], **_: object) -> subprocess.CompletedProcess[bytes]:
        began.append((env["CUDA_VISIBLE_DEVICES"], words))
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    for name in ("is_available", "get_device_name"):
        monkeypatch.setattr(torch.cuda, name, lambda: True)
    monkeypatch.setattr(gpu_check.subprocess, "run", run)
    assert main(["--only", "tests", "run"]) == 0
    assert [device for device, _ in began] == [used, used]
    launched = began[1][1]
    assert launched[launched.index("--gpu_ids") + 1] == used  # the launcher's own word for it would win over the environment


def test_a_step_waits_for_the_one_that_it_follows() -> None:
    begun: list[str] = []

    def start(step: Step) -> int:
        time.sleep(0.05 if step.name == "first" else 0)
        begun.append(step.name)
        return 0

    chosen = [Step("last", "", (), (), after="first"), Step("first", "", (), ()), Step("other", "", (), ())]
    assert check(chosen, start, lambda module: True, jobs=3)
    assert begun.index("first") < begun.index("last")


def test_a_step_that_breaks_fails_the_check() -> None:
    def start(step: Step) -> int:
        raise OSError("no such interpreter")

    assert not check([Step("one", "the one", (), ())], start, lambda module: True)
