"""Rows that are too long for the model are left out and counted; all others are drawn as before."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from probing.prompts.asking import Asker
from probing.records import Problem
from probing.samplers.config import SamplingConfig
from probing.stages.problems import Funnel
from probing.stages.solutions import solve_question
from rl.config.schema import load_config
from rl.own.lengths import Contexts, contexts_of, fitting
from tests.rl.tiny import save_tiny_policy

SEEDLING = Path(__file__).parents[2] / "seedling" / "weights"
SHORT = ("--suites.max_new_tokens", "1", "--problems.interface_max_new_tokens", "1", "--solutions.max_new_tokens", "10")


def problem(id: str, words: int) -> Problem:
    return Problem(id, "", "number " * words, "f", "def f(x: int) -> int:", "", "own")


@pytest.fixture(scope="module")
def ask() -> Asker:
    return Asker.of(AutoTokenizer.from_pretrained(SEEDLING), "seedling")


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ((*SHORT, "--grpo.max_new_tokens", "10"), ["a", "b"]),
        ((*SHORT, "--grpo.max_new_tokens", "11"), ["a"]),  # one token more than the policy holds with the prompt of b
        ((*SHORT, "--grpo.max_new_tokens", "11", "--consolidation", "sft"), ["a", "b"]),
        ((*SHORT[:4], "--solutions.max_new_tokens", "11", "--grpo.max_new_tokens", "10"), ["a"]),
    ],
)
def test_what_does_not_fit_with_its_answer_is_counted(ask: Asker, words: tuple[str, ...], kept: list[str]) -> None:
    rows, funnel = [problem("a", 5), problem("b", 50)], Funnel()
    limit = len(ask.tokenizer(solve_question(ask, rows[1]).text, add_special_tokens=False)["input_ids"]) + 10
    config = load_config(None, words)
    assert [p.id for p in fitting(rows, ask, config, Contexts(limit, limit), funnel)] == kept
    assert dict(funnel.dropped) == ({} if len(kept) == 2 else {"too long": 1})
    assert fitting(rows, ask, config, Contexts(None, None), funnel) == rows


def test_the_limits_are_those_of_what_samples(tmp_path: Path) -> None:
    path = str(save_tiny_policy(tmp_path / "policy"))  # its context: 128
    assert contexts_of(SamplingConfig(), path) == (128, 128)
    assert contexts_of(SamplingConfig.model_validate({"backend": "vllm", "vllm": {"max_length": 64}}), path) == (64, 128)
    assert contexts_of(SamplingConfig(backend="vllm"), path) == (128, 128)
    assert contexts_of(SamplingConfig(backend="http"), path) == (None, 128)
