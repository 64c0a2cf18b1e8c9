"""`ucoder eval`: what it refuses before any work, the cache, and the skills' arithmetic."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from probing.records import Problem
from probing.samplers.base import Completion
from probing.samplers.config import SamplingConfig
from rewards.sandbox import Sandbox
from rl.benchmarks import fullstackbench
from rl.benchmarks.base import load_benchmark
from rl.benchmarks.seedling import rated_statements
from rl.cli import main
from rl.config.evals import EvalsConfig
from rl.console import UserError
from rl.evals import cache, skills
from rl.evals.cache import EvalCache, model_hash, who_answers
from rl.evals.runner import EvalResult, score
from rl.evals.tables import SKILLS
from tests.evals.toys import TOY, fenced
from tests.probing.asking import ask


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--benchmarks", "humanevil"], "did you mean humaneval"),
        (["--samples", "0"], "--samples"),
        (["--temperature", "-1"], "--temperature"),
        (["--model", "./nowhere"], "no model at ./nowhere"),
        (["--benchmarks", "seedling", "--export", "evalplus"], "--export"),
        (["--batch_size", "0"], "batch_size: input should be"),
        (["--benchmarks", "", "--no-skills"], "--benchmarks"),
        (["--sampling.http.patienc", "3"], "did you mean http.patience"),
        (["--nonsense"], "unknown argument '--nonsense'"),
        (["--device", "cuda:77"], "--device"),
        (["--url", "http://127.0.0.1:9/v1", "--backend", "vllm"], "drop one of the two"),
        (["--url", "http://127.0.0.1:9/v1"], "no OpenAI-compatible server answers at http://127.0.0.1:9/v1"),
        (["--url", "nonsense"], "no OpenAI-compatible server answers at nonsense"),
        (["--benchmarks", "humaneval:v2"], "humaneval takes no options"),
    ],
)
def test_mistakes_end_in_one_screen(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["eval", *words])
    assert left.value.code == 2
    assert said in capsys.readouterr().err


def test_what_cannot_be_scored_is_said_and_not_sampled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"id": 1, "content": "Write hello.", "labels": {}, "test": {}, "canonical_solution": ""}
    (tmp_path / "fsb_en.jsonl").write_text(json.dumps(row) + "\n")
    monkeypatch.setenv("UCODER_DATA", str(tmp_path))
    monkeypatch.delenv("SANDBOX_FUSION_URL", raising=False)
    monkeypatch.setattr("probing.models.loading.load_model", lambda *_: pytest.fail("a model was loaded for nothing"))
    fullstackbench.load.cache_clear()
    out = tmp_path / "out.json"
    words = ["--benchmarks", "fullstackbench,bigcodebench_complete", "--json", str(out), "--cache", str(tmp_path / "cache")]
    assert main(["eval", *words]) == 0
    said = capsys.readouterr().out
    assert "fullstackbench: unavailable" in said and "docker run" in said and "bigcodebench_complete: unavailable" in said
    found = json.loads(out.read_text())["benchmarks"]
    assert all(set(figures) == {"unavailable", "remedy"} for figures in found.values())


def test_a_result_without_a_scorer_is_not_kept(tmp_path: Path) -> None:
    absent = EvalResult("toy", {"unavailable": "x", "remedy": "y", "samples": 1}, [])
    EvalCache(tmp_path, "f" * 64).put(TOY, EvalsConfig(samples=1), absent)
    assert not list(tmp_path.rglob("*.json"))


def test_two_models_of_one_server_have_results_of_their_own() -> None:
    servers = [SamplingConfig(backend="http", http={"url": "http://localhost:1/v1", "model": name}) for name in ("lora-a", "lora-b", None)]
    assert len({who_answers(sampling, "base") for sampling in servers}) == 3


def test_precision_and_settings_are_part_of_a_results_key_and_batches_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    auto, stated = (SamplingConfig(dtype=dtype, device="cpu", weights="full") for dtype in ("auto", "float32"))
    others = [{"dtype": "bfloat16"}, {"weights": "int8"}, {"backend": "vllm", "vllm": {"max_length": 64}}, {"backend": "vllm"}]
    keys = {who_answers(SamplingConfig.model_validate(stated.model_dump() | other), "m") for other in others}
    assert len(keys) == 4 and who_answers(stated, "m") not in keys
    assert who_answers(auto, "m") == who_answers(stated, "m") == who_answers(stated.model_copy(update={"batch_size": 7}), "m")
    monkeypatch.setattr("probing.models.loading.pick_dtype", lambda *_: "bfloat16")  # a card that has it
    assert who_answers(auto, "m") in keys


def test_a_result_is_computed_once_and_depends_on_everything(tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [[Completion(fenced(t.reference), (0, 1), (0.0,), True)] for t in TOY.tasks]
    config = EvalsConfig(samples=1)
    result = score(TOY, answers, sandbox, config)
    cache = EvalCache(tmp_path, "f" * 64, sampling={"hardware": "a card"})
    assert cache.get(TOY, config) is None
    cache.put(TOY, config, result)
    there = EvalCache(tmp_path, "f" * 64, sampling={"hardware": "another"}).get(TOY, config)
    assert there == replace(result, sampling={"hardware": "a card"}), "how it was drawn is said of the day when it was"
    assert EvalCache(tmp_path, "f" * 64, "int8").get(TOY, config) is None
    assert cache.get(TOY, EvalsConfig(samples=1, seed=2)) is None
    assert EvalCache(tmp_path, "e" * 64).get(TOY, config) is None
    monkeypatch.setattr("rl.evals.cache.scoring_hash", lambda: "another grader")
    assert cache.get(TOY, config) is None


def test_model_hash_follows_the_weights(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"one")
    (tmp_path / "config.json").write_text("{}")
    before = model_hash(str(tmp_path))
    (tmp_path / "notes.txt").write_text("not part of the model")
    assert model_hash(str(tmp_path)) == before
    (tmp_path / "model.safetensors").write_bytes(b"two")
    assert model_hash(str(tmp_path)) != before


@pytest.mark.parametrize("weights", ["adapter_model.safetensors", "adapter_model.bin"])
def test_an_adapters_hash_follows_its_weights_and_its_base(tmp_path: Path, weights: str) -> None:
    base, adapter = tmp_path / "base", tmp_path / "adapter"
    base.mkdir()
    adapter.mkdir()
    (base / "model.safetensors").write_bytes(b"one")
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(base)}))
    (adapter / weights).write_bytes(b"one")
    seen = {model_hash(str(adapter))}
    (base / "model.safetensors").write_bytes(b"two")
    seen.add(model_hash(str(adapter)))
    (adapter / weights).write_bytes(b"two")
    seen.add(model_hash(str(adapter)))
    assert len(seen) == 3
    (adapter / "adapter_config.json").write_text("{}")
    with pytest.raises(UserError, match="does not name its base"):
        model_hash(str(adapter))


def test_a_cache_that_is_no_folder_is_refused_before_any_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as left:
        main(["eval", "--limit", "1", "--cache", str(tmp_path / "file")])
    assert left.value.code == 2 and "--cache cannot be written" in capsys.readouterr().err


def test_a_result_that_cannot_be_kept_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "eeee").write_text("")  # where the model's folder belongs
    cache, config = EvalCache(tmp_path, "eeee"), EvalsConfig(samples=1)
    assert cache.get(TOY, config) is None
    cache.put(TOY, config, EvalResult("toy", {"missing": 0}, []))
    assert "the result of toy is not kept" in capsys.readouterr().err


def test_rating_auroc_leaves_out_what_cannot_be_read() -> None:
    figures = skills.rating_figures([0.9, None, 0.8, 0.1, 0.9], [True, True, True, False, False])
    assert figures["rating_auroc"] == pytest.approx((1 + 0.5 + 1 + 0) / 4)
    assert (figures["rating_auroc_of"], figures["rating_unread"]) == (4, 1)
    assert skills.rating_figures([None], [True])["rating_auroc"] is None


class OneAnswer:
    """Says the same whatever it is asked."""

    def __init__(self, text: str) -> None:
        self.text = text

    def sample(self, prompts: Any, n: int, *_: Any, **__: Any) -> list[list[Completion]]:
        return [[Completion(self.text, (0,), (0.0,), True)] * n for _ in prompts]

    def close(self) -> None:
        return None


@contextmanager
def no_bar(name: str, total: int, unit: str) -> Iterator[Any]:
    yield lambda count: None


PROBLEM = Problem("x", "Sum", "Add up the numbers of a list.", "f", "def f(xs: list[int]) -> int:", "f([1]) == 1", "lists")


def test_callable_inputs_fit_number_and_type() -> None:
    text = fenced("f([1, 2])\nf(['a'])\nf([1], 2)\nnonsense(")
    figures, suites = skills.tests_figures(OneAnswer(text), ask, [PROBLEM], skills.SuitesConfig(samples=1), 0, lambda count: None)
    assert (figures["inputs_callable"], figures["inputs_callable_of"], figures["inputs_per_problem"]) == (0.25, 4, 1)
    assert suites[0].inputs[0] == "[[1, 2]]"


class BySkill:
    """Answers each skill with a text of its own, whatever the details."""

    texts: ClassVar = {
        "Invent": "### Title\nSum\n### Problem\nAdd up the numbers of a list.\n### Signature\ndef f(xs: list[int]) -> int:\n### End",
        "Write the typed": fenced('def f(xs: list[int]) -> int:\n    """Sum."""'),
        "Write test": fenced("f([1])\nf([])"),
        "Solve": fenced("def f(xs):\n    return sum(xs)"),
        "Rate": "Quality: 7",
    }

    def sample(self, prompts: Any, n: int, *_: Any, **__: Any) -> list[list[Completion]]:
        text_of = {prompt: next(text for start, text in self.texts.items() if prompt.startswith(start)) for prompt in prompts}
        return [[Completion(text_of[prompt], (0,), (0.0,), True)] * n for prompt in prompts]

    def close(self) -> None:
        return None


def test_the_card_follows_the_stages(sandbox: Sandbox) -> None:
    figures = skills.measure_skills(BySkill(), ask, sandbox, 0, no_bar, proposals=12, answers=2)
    assert set(SKILLS) <= set(figures)
    assert figures["proposals_usable"] == 1.0 and figures["distinct"] == pytest.approx(1 / 12)
    assert figures["interfaces_valid"] == figures["inputs_callable"] == figures["answers_with_program"] == 1.0
    assert (figures["inputs_per_problem"], figures["top_share"], figures["votes_in_band"], figures["rating_auroc"]) == (2, 1.0, 0.0, 0.5)
    json.dumps(figures, allow_nan=False)


def test_a_model_that_invents_nothing_has_a_card_too(sandbox: Sandbox) -> None:
    figures = skills.measure_skills(OneAnswer("Clarity: 9"), ask, sandbox, 0, no_bar, proposals=5)
    assert figures["proposals_usable"] == 0.0 and figures["distinct"] is None and figures["interfaces_valid"] is None


def test_rated_statements_are_held_out_and_half_of_them_intact() -> None:
    rows = rated_statements()
    known = {task.statement for task in load_benchmark("seedling").tasks}
    assert len(rows) == 200 and sum(intact for _, intact in rows) == 100
    assert all((text in known) is intact for text, intact in rows), "rebuild with: python -m seedling.ratings"


def test_what_decides_is_part_of_a_results_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    names = ("probing/reading", "rl/benchmarks", "rl/evals", "rl/grading", "rewards")
    for name in names:
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "a.py").write_text("1")
    monkeypatch.setattr(cache, "REPOSITORY", tmp_path)
    seen = {cache.scoring_hash.__wrapped__()}
    for name in names:
        (tmp_path / name / "a.py").write_text("2")
        seen.add(cache.scoring_hash.__wrapped__())
    assert len(seen) == len(names) + 1
