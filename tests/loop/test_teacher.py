"""A run whose teacher lags behind: round 2 asks the mean of base and policy, and trains the policy; a kill changes nothing."""

from pathlib import Path

import pytest
import torch

from probing.prompts.asking import Asker
from probing.records import Candidate
from probing.stages.solutions import solve_question
from rl.models.checkpoints import load_policy
from rl.round_files import CANDIDATES, PROBLEMS, read_records
from tests.loop.runs import finish, kill_at
from tests.loop.test_many_ranks import run as run_on
from tests.loop.test_resume import result

OVERRIDES = (
    *("--rounds", "2", "--teacher.decay", "0.5", "--grpo.learning_rate", "3e-3", "--grpo.steps", "2"),
    *("--evals.limit", "2", "--evals.chosen_on", "null"),
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher") / "run"
    finish(folder, *OVERRIDES)
    return folder


@torch.no_grad()
def gap(checkpoint: Path, folder: Path) -> float:
    """How far the recorded logprobs of the first candidates are from those that a checkpoint gives them, at most."""
    model, tokenizer = load_policy(checkpoint)
    problems = {problem.id: problem for problem in PROBLEMS.read(folder / PROBLEMS.file)}
    gaps = []
    for candidate in list(read_records(folder / CANDIDATES.file, Candidate))[:8]:
        prompt = tokenizer(solve_question(Asker.of(tokenizer), problems[candidate.problem_id]).text, add_special_tokens=False)["input_ids"]
        logprobs_TV = model(torch.tensor([[*prompt, *candidate.token_ids]])).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
        found = logprobs_TV.gather(1, torch.tensor(candidate.token_ids)[:, None]).mean().item()
        gaps.append(abs(found - candidate.mean_logprob))
    return max(gaps)


def test_the_teacher_is_asked_and_not_the_policy(run: Path) -> None:
    assert gap(run / "round_02/teacher", run / "round_02") < 1e-3
    assert gap(run / "round_01/grpo/checkpoint", run / "round_02") > 1e-2


def test_killed_once_its_teacher_is_made_the_run_ends_with_the_same_result(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    kill_at(folder, "round_02/teacher/manifest.json", *OVERRIDES)
    finish(folder, *OVERRIDES)
    assert result(folder) == result(run)


def test_two_processes_ask_one_teacher(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run_on(folder, 2, *OVERRIDES, "--guards.enabled", "false")  # so that no loss on two problems sends round 2 back to the base
    assert gap(folder / "round_02/teacher", folder / "round_02") < 1e-3
    assert gap(folder / "round_01/grpo/checkpoint", folder / "round_02") > 1e-2
