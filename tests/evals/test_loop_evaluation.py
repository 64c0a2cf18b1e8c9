"""The loop's evaluation: the settings of `evals`, whatever the stages sample with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from probing.samplers.config import SamplingConfig
from rewards.sandbox import Sandbox
from rl.config.evals import EvalsConfig
from rl.config.schema import Config
from rl.loop import evaluation
from rl.progress import ProgressFile
from rl.ranks.ranks import Ranks
from rl.tracking.monitor import Monitor
from tests.evals.toys import TOKENIZER, TOY, ListSampler, fenced
from tests.rl.fake_run import write_run


def test_a_checkpoint_is_evaluated_in_the_precision_of_the_evaluation(
    tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Config(
        sampling=SamplingConfig(dtype="bfloat16", device="cpu", batch_size=5), evals=EvalsConfig(benchmarks=("toy",), temperature=0)
    )
    sampler = ListSampler(*([fenced(task.reference)] for task in TOY.tasks))
    sampler.samples = sampler.tokens = 2  # type: ignore[attr-defined]
    opened: list[SamplingConfig] = []
    loaded: list[tuple[str, ...]] = []
    totals: list[int] = []

    @contextmanager
    def bar(index: int, name: str, total: int, unit: str) -> Iterator[Any]:
        totals.append(total)
        yield lambda count: None

    def shared_sampler(run: Any, folder: Path, policy: str, load: Any, sampling: SamplingConfig) -> ListSampler:
        opened.append(sampling)
        load()
        return sampler

    monkeypatch.setattr(evaluation, "load_benchmark", lambda *_: TOY)
    monkeypatch.setattr(evaluation, "load_tokenizer", lambda path: TOKENIZER)
    monkeypatch.setattr(evaluation, "load_model", lambda *words: loaded.append(words))
    monkeypatch.setattr(evaluation, "shared_sampler", shared_sampler)
    monkeypatch.setattr(evaluation, "_row", lambda run, index, benchmarks: benchmarks)
    monkeypatch.setattr(evaluation, "_write_summary", lambda run: None)
    refreshed: list[int] = []
    monkeypatch.setattr(evaluation, "refresh_report", lambda run, index: refreshed.append(index))
    run = SimpleNamespace(
        config=config,
        sandbox=sandbox,
        main=True,
        monitor=SimpleNamespace(round=lambda row, index: None),
        ranks=Ranks(0, 1),
        round_folder=lambda index: tmp_path,
        bar=bar,
        log=lambda *_: None,
        once=lambda index, stage, compute: compute(),
        console=None,
    )
    metrics = evaluation.evaluate_policy(run, 0, "policy")["toy"]  # type: ignore[arg-type]
    assert opened == [config.sampling.model_copy(update={"dtype": "float32", "weights": "full"})]
    assert loaded == [("policy", "cpu", "float32")]
    assert metrics["pass@1"] == 1.0
    assert totals == [2], "greedy draws one sample of each task"
    evaluation.evaluate_policy(run, 0, "policy")  # type: ignore[arg-type]
    assert refreshed == [0], "a run that goes on finds this round's report written"


def test_the_report_is_refreshed_while_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_run(tmp_path / "run", rounds=3)
    (folder / "summary.json").unlink()
    for number in (1, 2, 3):
        (folder / f"round_{number:02d}" / "metrics.json").unlink()
    run = SimpleNamespace(folder=folder, progress=ProgressFile(None))
    evaluation.refresh_report(run, 0)  # type: ignore[arg-type]
    assert "Only the base model has been evaluated so far." in (folder / "report.html").read_text(encoding="utf-8")
    (folder / "round_01" / "clusters.jsonl").write_text("{")
    evaluation.refresh_report(run, 1)  # type: ignore[arg-type]
    said = capsys.readouterr().err
    assert "warning: the report was not written" in said and "clusters.jsonl" in said


class Counting:
    """A tracker that counts artifacts. dies: the process is killed in the first of them."""

    def __init__(self, dies: bool = False) -> None:
        self.delivered, self.dies, self.artifacts = 0, dies, list[tuple[str, ...]]()

    def log(self, point: Any) -> None:
        pass

    def artifact(self, path: Path, name: str, kind: str, aliases: Any) -> None:
        if self.dies:
            raise KeyboardInterrupt
        self.artifacts.append((name, *aliases))

    def close(self) -> None:
        pass


def evaluate_rounds(folder: Path, last: int, monkeypatch: pytest.MonkeyPatch, dies: bool = False) -> list[tuple[str, ...]]:
    """What a start of the run hands to its tracker."""
    config, tracker = Config(tracking={"artifacts": True, "report_to": ()}, evals=EvalsConfig(chosen_on=None)), Counting(dies)

    def row(run: Any, index: int, benchmarks: Any) -> dict[str, Any]:
        return {"round": index, "training": {"checkpoint": f"round_{index:02d}/grpo/checkpoint"}}

    def round_folder(index: int, make: bool = True) -> Path:
        path = folder / f"round_{index:02d}"
        if make:
            path.mkdir(parents=True, exist_ok=True)
        return path

    for name, double in (("_row", row), ("_write_summary", lambda run: None), ("refresh_report", lambda run, index: None)):
        monkeypatch.setattr(evaluation, name, double)
    with Monitor(folder, config, trackers=[tracker]) as monitor:
        run: Any = SimpleNamespace(folder=folder, config=config, main=True, monitor=monitor, round_folder=round_folder)
        run.once = lambda index, stage, compute: {}
        for index in range(last + 1):
            evaluation.evaluate_policy(run, index, "policy")
    return tracker.artifacts


def test_a_round_is_published_once_however_often_the_run_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert evaluate_rounds(tmp_path, 1, monkeypatch) == [("checkpoint", "latest", "round-1")]
    assert evaluate_rounds(tmp_path, 2, monkeypatch) == [("checkpoint", "latest", "round-2")]
    assert evaluate_rounds(tmp_path, 2, monkeypatch) == []


def test_a_round_whose_publishing_was_killed_is_published_at_the_next_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyboardInterrupt):
        evaluate_rounds(tmp_path, 1, monkeypatch, dies=True)
    assert (tmp_path / "round_01" / "metrics.json").exists()
    assert evaluate_rounds(tmp_path, 1, monkeypatch) == [("checkpoint", "latest", "round-1")]
    assert evaluate_rounds(tmp_path, 1, monkeypatch) == []


def test_rounds_of_a_run_from_before_it_was_written_down_are_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluate_rounds(tmp_path, 2, monkeypatch)
    for path in tmp_path.glob("round_*/published.json"):
        path.unlink()
    assert evaluate_rounds(tmp_path, 2, monkeypatch) == [("checkpoint", "latest", "round-2")]  # whether the last one was, nobody knows
