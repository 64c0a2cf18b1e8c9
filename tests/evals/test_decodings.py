"""The loop's decodings: what is asked at which temperature, whose figures are whose, and that the choice is made apart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from rewards.sandbox import Sandbox
from rl.benchmarks.base import Benchmark
from rl.config.evals import EvalsConfig
from rl.config.schema import Config
from rl.evals.runner import EvalResult
from rl.loop import decodings
from rl.loop.decodings import Asked, best_temperature, measure_benchmark, pick
from rl.loop.round import RoundError
from rl.planning.plan import evaluation_samples
from rl.ranks.ranks import Ranks
from rl.round_files import read_rows
from tests.evals.toys import TOKENIZER, TOY, fenced

WRONG = fenced("def nothing():\n    return None")


class Policy:
    """Right on every toy task at the temperatures named; keeps what it was asked."""

    def __init__(self, right_at: tuple[float, ...]) -> None:
        self.right_at = right_at
        self.asked: list[tuple[float, int, int]] = []  # temperature, samples a task, tasks

    def sample(self, prompts: list[str], n: int, params: Any, seed: int, progress: Any = None, **_: Any) -> list[list[Any]]:
        from probing.samplers.base import Completion

        self.asked.append((params.temperature, n, len(prompts)))
        texts = [fenced(task.reference) for task in TOY.tasks] if params.temperature in self.right_at else [WRONG] * len(prompts)
        return [[Completion(text, (1,), (-0.1,), True)] * n for text in texts[: len(prompts)]]


def asked(policy: Policy, sandbox: Sandbox) -> Asked:
    @contextmanager
    def bar(*_: Any) -> Iterator[Any]:
        yield lambda count: None

    run = SimpleNamespace(main=True, sandbox=sandbox, bar=bar, console=SimpleNamespace(print=lambda *_, **__: None), config=Config())
    run.ranks, run.round_folder = Ranks(0, 1), lambda index: Path("nowhere")
    return Asked(run, 0, policy, TOKENIZER)  # type: ignore[arg-type]


@pytest.fixture
def dev(monkeypatch: pytest.MonkeyPatch) -> Benchmark:
    monkeypatch.setattr(decodings, "load_benchmark", lambda name, limit: TOY)
    monkeypatch.setattr(decodings, "agreed", lambda name, benchmark, folder, ranks: benchmark)
    return TOY


EVALS = EvalsConfig(benchmarks=("toy",), samples=3, sampled=1, chosen_on="dev", temperatures=(1.0, 0.2, 0.0), choice_samples=2)


def test_sampling_takes_a_part_and_greedy_decoding_everything(tmp_path: Path, sandbox: Sandbox) -> None:
    policy = Policy(right_at=(0.0,))
    figures = measure_benchmark(asked(policy, sandbox), TOY, EVALS, None, tmp_path)
    assert policy.asked == [(1.0, 3, 1), (0.0, 1, len(TOY.tasks))]
    assert (figures["pass@1"], figures["greedy_pass@1"], figures["greedy_tasks"]) == (0.0, 1.0, len(TOY.tasks))
    assert "best_pass@1" not in figures
    assert [len(read_rows(tmp_path / f"eval_toy{name}.jsonl")) for name in ("", "_greedy")] == [1, len(TOY.tasks)]


def test_the_best_temperature_has_figures_of_its_own(tmp_path: Path, sandbox: Sandbox) -> None:
    policy = Policy(right_at=(0.2,))
    figures = measure_benchmark(asked(policy, sandbox), TOY, EVALS, 0.2, tmp_path)
    assert policy.asked[2:] == [(0.2, 2, len(TOY.tasks))]
    assert (figures["greedy_pass@1"], figures["best_pass@1"], figures["best_temperature"]) == (0.0, 1.0, 0.2)


def test_where_greedy_is_best_nothing_is_asked_twice(tmp_path: Path, sandbox: Sandbox) -> None:
    policy = Policy(right_at=(0.0,))
    figures = measure_benchmark(asked(policy, sandbox), TOY, EVALS, 0.0, tmp_path)
    assert len(policy.asked) == 2 and figures["best_pass@1"] == figures["greedy_pass@1"] == 1.0
    assert read_rows(tmp_path / "eval_toy_best.jsonl") == read_rows(tmp_path / "eval_toy_greedy.jsonl")


def test_an_evaluation_that_is_greedy_anyway_is_the_headline(tmp_path: Path, sandbox: Sandbox) -> None:
    policy = Policy(right_at=(0.0,))
    figures = measure_benchmark(asked(policy, sandbox), TOY, EvalsConfig(temperature=0, sampled=1), None, tmp_path)
    assert policy.asked == [(0.0, 1, len(TOY.tasks))]
    assert figures["greedy_pass@1"] == figures["pass@1"] == 1.0


@pytest.mark.parametrize(("lost", "stops"), [(1, False), (2, True)])
def test_an_evaluation_that_the_sandbox_lost_is_no_figure(
    lost: int, stops: bool, tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    graded = decodings.score

    def score(*arguments: Any) -> Any:
        result = graded(*arguments)
        return replace(result, metrics=result.metrics | {"missing": lost})

    monkeypatch.setattr(decodings, "score", score)
    greedy = EvalsConfig(temperature=0)
    if stops:
        with pytest.raises(RoundError, match=f"failed on {lost} of {len(TOY.tasks)} answers to toy"):
            measure_benchmark(asked(Policy(()), sandbox), TOY, greedy, None, tmp_path)
    else:
        assert measure_benchmark(asked(Policy(()), sandbox), TOY, greedy, None, tmp_path)["missing"] == lost


def test_a_scorer_that_has_gone_meanwhile_leaves_no_figure(
    tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = {"unavailable": "no server answers", "remedy": "start it"}
    monkeypatch.setattr(decodings, "score", lambda *_: EvalResult("toy", metrics, []))
    found = measure_benchmark(asked(Policy(()), sandbox), TOY, EvalsConfig(temperature=0), None, tmp_path)
    assert "pass@1" not in found and "toy could not be scored: no server answers" in " ".join(capsys.readouterr().err.split())


def test_a_sampled_part_of_a_benchmark_does_not_stand_for_the_whole(tmp_path: Path, sandbox: Sandbox) -> None:
    policy = Policy(right_at=(1.0,))
    measure_benchmark(asked(policy, sandbox), TOY, EVALS, 1.0, tmp_path)
    assert policy.asked[-1] == (1.0, 2, len(TOY.tasks)), "one of two tasks was sampled: the best temperature is measured on both"


def test_the_temperature_is_chosen_by_pass_at_1(dev: Benchmark, sandbox: Sandbox) -> None:
    policy = Policy(right_at=(0.2,))
    found = best_temperature(asked(policy, sandbox), EVALS)
    assert found == {"on": "dev", "pass@1": {"0": 0.0, "0.2": 1.0, "1": 0.0}, "chosen": 0.2}
    assert policy.asked == [(0.0, 1, 2), (0.2, 2, 2), (1.0, 2, 2)]


def test_equals_go_to_the_lower_temperature() -> None:
    assert pick({1.0: 0.5, 0.6: 0.5, 0.8: 0.4}) == 0.6


def test_a_temperature_is_not_chosen_on_the_reported_tasks() -> None:
    with pytest.raises(ValidationError, match="flatters"):
        EvalsConfig(benchmarks=("seedling",), chosen_on="seedling")
    with pytest.raises(ValidationError, match="flatters"):
        EvalsConfig(benchmarks=("HumanEval+",), chosen_on="humaneval-plus")


def test_the_plan_counts_what_is_asked(dev: Benchmark, tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rl.planning.plan.TASKS", {"toy": len(TOY.tasks), "dev": len(TOY.tasks)})
    for evals in (EVALS, EVALS.at(0.0, 1), replace_chosen(EVALS)):
        policy = Policy(right_at=(1.0,))
        best = best_temperature(asked(policy, sandbox), evals)["chosen"] if evals.chosen_on else None
        measure_benchmark(asked(policy, sandbox), TOY, evals, best, tmp_path)
        assert sum(n * tasks for _, n, tasks in policy.asked) == evaluation_samples(evals)


def replace_chosen(evals: EvalsConfig) -> EvalsConfig:
    return evals.model_copy(update={"chosen_on": None})


def test_ranks_that_do_not_score_ask_all_the_same(tmp_path: Path, sandbox: Sandbox) -> None:
    policy = Policy(right_at=())
    checkpoint = asked(policy, sandbox)
    other = replace(checkpoint, run=SimpleNamespace(**{**vars(checkpoint.run), "main": False}))
    assert measure_benchmark(other, TOY, EVALS, 0.2, tmp_path) == {}
    assert len(policy.asked) == 3 and not list(tmp_path.iterdir())
