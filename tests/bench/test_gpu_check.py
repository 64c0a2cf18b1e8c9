"""The check of a GPU: without one it says so at once; what is missing is named, and does not stop the rest."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

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
