"""`ucoder eval` on several benchmarks: mistakes are found before anything is sampled, and a failure loses nothing that was finished."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from probing.samplers.base import SamplerError
from rl.cli import main
from rl.evals.runner import evaluate
from tests.evals.toys import DOUBLE, TOY
from tests.probing.tiny_models import write_checkpoint

pytestmark = pytest.mark.slow

LONG = replace(TOY, name="long", tasks=(replace(DOUBLE, id="long/0", prompt="double x " * 40),))
ASKED = ["--samples", "2", "--max_new_tokens", "8", "--device", "cpu", "--benchmarks"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"), 256)


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"toy": TOY, "other": replace(TOY, name="other"), "long": LONG}
    monkeypatch.setattr("rl.evals.cli.load_benchmark", lambda name, *_, **__: known[name])


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as left:
        main(["eval", *words])
    assert left.value.code == 2
    return " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [(["toy", "--skills", "--prompts", "nowhere"], "--prompts"), (["toy,long"], "long: prompt 0 has 299 tokens")],
)
def test_a_mistake_is_found_before_the_first_sample(
    words: list[str], said: str, checkpoint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("rl.evals.cli.evaluate", lambda *_: pytest.fail("something was sampled"))
    assert said in refused(capsys, "--model", checkpoint, *ASKED, *words)


@pytest.mark.parametrize(("names", "lost"), [("toy,other", "other"), ("toy", "skills")])
def test_what_was_finished_before_a_failure_is_written(
    names: str, lost: str, checkpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(*given: Any) -> Any:
        if lost == "skills" or given[3].name == lost:
            raise SamplerError("the engine is gone")
        return evaluate(*given)

    monkeypatch.setattr("rl.evals.skills.measure_skills" if lost == "skills" else "rl.evals.cli.evaluate", failing)
    out, samples = tmp_path / "out.json", tmp_path / "samples.jsonl"
    words = ["--model", checkpoint, *ASKED, names, "--json", str(out), "--samples_out", str(samples)]
    assert "the engine is gone" in refused(capsys, *words, *(["--skills"] if lost == "skills" else []))
    record = json.loads(out.read_text())
    assert list(record["benchmarks"]) == ["toy"] and record["benchmarks"]["toy"]["metrics"]["samples"] == 4
    assert record["unfinished"] == [lost]
    assert {json.loads(line)["benchmark"] for line in samples.read_text().splitlines()} == {"toy"}
