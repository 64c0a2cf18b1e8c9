"""The loop on a real model, SmolLM2-135M-Instruct from its GGUF file: stages 1 to 6 in small, one step, evaluation before and after.

A test of the pipes and not of the method: a model of this size solves little, and may invent nothing that can be used. Its file is looked
for in $UCODER_MODELS, then in `models/`, where `make models` puts it.
"""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from bench.fetch_model import models_folder
from probing.models.loading import load_model
from probing.records import Problem
from probing.samplers.base import SamplingParams
from probing.samplers.engines.transformers import TransformersSampler
from rl.round_files import read_rows
from rl.tracking.monitor import read_metrics
from tests.loop.runs import PATIENCE, start

NAME = "smollm2-135m-instruct.gguf"
FILE = models_folder() / NAME
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FILE.is_file(), reason=f"there is no {NAME} in $UCODER_MODELS or models/: make models fetches it"),
]
CONFIG = Path(__file__).with_name("real.yaml")
STATEMENTS = (
    ("Sum", "Given a list of integers, return their sum.", "total", "numbers: list[int]", "int", "total([1, 2]) == 3"),
    ("Larger", "Given two integers, return the larger one.", "larger", "a: int, b: int", "int", "larger(1, 2) == 2"),
    ("Square", "Given an integer, return its square.", "square", "n: int", "int", "square(3) == 9"),
    ("Length", "Given a string, return its length.", "length", "text: str", "int", "length('ab') == 2"),
    ("Reverse", "Given a string, return it reversed.", "turned", "text: str", "str", "turned('ab') == 'ba'"),
    ("Even", "Given an integer, return whether it is even.", "is_even", "n: int", "bool", "is_even(2) == True"),
)


def given(title: str, text: str, entry: str, parameters: str, returns: str, example: str) -> Problem:
    """A problem that such a model sometimes solves, for the stages after those that may find none."""
    signature = f"def {entry}({parameters}) -> {returns}:"
    return Problem(f"r01-{entry}", title, text, entry, signature, example, "given", 0.9, f'{signature}\n    """{text}"""')


GIVEN = [given(*statement) for statement in STATEMENTS]


def run(folder: Path, until: str | None = None) -> tuple[int | None, str]:
    """Start the run; wait for its end, or kill it once the file `until` is there. Its status, and all that it said."""
    log = folder.parent / f"{folder.name}.log"
    process = start(folder, "--model", str(FILE), config=CONFIG)
    deadline = time.monotonic() + 4 * PATIENCE
    try:
        while process.poll() is None and not (until and (folder / until).exists()):
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.1)
        return process.poll(), log.read_text()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run. Its first start ends after stage 3, in which the model may have invented nothing; problems are given then."""
    folder = tmp_path_factory.mktemp("real") / "run"
    status, said = run(folder, until="round_01/problems.jsonl")
    assert status is None or (status == 1 and "proposals is usable" in said and "Traceback" not in said), said[-3000:]
    problems = folder / "round_01" / "problems.jsonl"
    invented = read_rows(problems) if problems.exists() else []
    problems.write_text("".join(json.dumps(row) + "\n" for row in [*invented[:1], *map(asdict, GIVEN)]))
    if not (funnel := folder / "round_01" / "funnel.json").exists():
        funnel.write_text("{}")
    status, said = run(folder)
    assert status == 0, said[-3000:]
    return folder


def test_the_file_is_read_once_and_the_run_goes_on_from_its_checkpoint(folder: Path) -> None:
    said = (folder.parent / f"{folder.name}.log").read_text()
    assert said.count(f"reading {FILE}") == 1 and f"{folder}/model, made of {FILE} before" in said
    model, tokenizer = load_model(str(folder / "model"), "cpu", "float32")
    assert model.config.model_type == "llama" and model.lm_head.weight is model.model.embed_tokens.weight
    prompt = "def add(a, b):\n    return a +"
    (answer,) = TransformersSampler(model, tokenizer).sample([prompt], 1, SamplingParams(temperature=0, max_new_tokens=1), 0)[0]
    assert answer.text == " b"  # weights or vocabulary in another order would say something else


def test_every_stage_leaves_its_file(folder: Path) -> None:
    round_folder = folder / "round_01"
    rows: dict[str, list[dict[str, Any]]] = {
        name: read_rows(round_folder / f"{name}.jsonl") for name in ("problems", "suites", "candidates", "executions", "clusters")
    }
    ours = {problem.id for problem in GIVEN}
    assert ours <= {row["id"] for row in rows["problems"]}
    assert {row["problem_id"] for row in rows["suites"]} & ours  # inputs that the model wrote, or mutants of an example's
    assert [row["problem_id"] for row in rows["candidates"]] == [row["problem_id"] for row in rows["suites"] for _ in range(8)]
    assert all(len(row["token_ids"]) == len(row["logprobs"]) > 0 for row in rows["candidates"])
    assert sum(row["code"] is not None for row in rows["candidates"]) > len(rows["candidates"]) / 2
    assert any(outcome.startswith("value:") for row in rows["executions"] for outcome in row["outcomes"])
    assert any(row["kept"] for row in rows["clusters"])


def test_one_step_of_grpo_changes_the_model_and_it_is_evaluated(folder: Path) -> None:
    (step,) = [row for row in read_metrics(folder / "metrics.jsonl") if row["stage"] == "grpo" and row["step"] is not None]
    assert step["grad_norm"] == step["grad_norm"] and 0 <= step["consensus"] <= 1
    before, _ = load_model(str(folder / "model"), "cpu", "float32")
    after, _ = load_model(str(folder / "round_01" / "grpo" / "checkpoint"), "cpu", "float32")
    changed = [name for name, weight in after.state_dict().items() if not weight.equal(before.state_dict()[name])]
    assert bool(changed) == (step["grad_norm"] > 0)
    summary = json.loads((folder / "summary.json").read_text())
    assert [row["benchmarks"]["seedling"]["samples"] for row in (summary["base"], *summary["rounds"])] == [2, 2]
    assert (folder / "report.html").is_file()
