"""A round with a trained proposer: every proposal has a fate, training starts from it, and a kill changes nothing."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from rl.models.source import SEEDLING_WEIGHTS
from rl.round_files import PROBLEMS, PROPOSALS, VERDICTS
from rl.tracking.monitor import read_metrics
from tests.loop.runs import finish, kill_at
from tests.loop.test_resume import result

OVERRIDES = (
    *("--proposer.batch", "8", "--sft.save_every", "1", "--grpo.steps", "1", "--evals.limit", "2", "--evals.chosen_on", "null"),
    *("--solutions.band_low", "0.4", "--solutions.band_high", "0.9"),
    *("--proposer.learning_rate", "1e-4", "--grpo.learning_rate", "1e-30"),  # GRPO leaves the weights as it finds them
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("taught") / "run"
    finish(folder, *OVERRIDES)
    return folder


def test_every_proposal_has_a_fate_that_the_other_files_bear_out(taught: Path) -> None:
    folder = taught / "round_01"
    proposals, funnel = PROPOSALS.read(folder / PROPOSALS.file), json.loads((folder / "funnel.json").read_text())
    assert len(proposals) == funnel["proposed"]
    kept = [proposal.problem_id for proposal in proposals if proposal.dropped is None]
    assert kept == [problem.id for problem in PROBLEMS.read(folder / PROBLEMS.file)]
    reasons = sorted(proposal.dropped for proposal in proposals if proposal.dropped is not None)
    assert reasons == sorted(reason for reason, count in funnel["dropped"].items() for _ in range(count))
    in_band = sum(verdict.kept for verdict in VERDICTS.read(folder / VERDICTS.file))
    training = json.loads((folder / "training.json").read_text())
    assert training["proposer"]["in_band"] == pytest.approx(in_band / len(proposals))


def test_its_figures_are_logged_and_grpo_starts_from_its_checkpoint(taught: Path) -> None:
    rows = list(read_metrics(taught / "metrics.jsonl"))
    (figures,) = [row for row in rows if row["stage"] == "proposals"]
    steps = [row for row in rows if row["stage"] == "proposer"]
    assert figures["compared"] > 0 and 0 < figures["mean_reward"] < 1 and figures["tokens"] > figures["compared"]
    training = json.loads((taught / "round_01" / "training.json").read_text())
    assert len(steps) == training["proposer"]["steps"] >= 1 and all("loss" in step for step in steps)
    proposer, grpo = (load_file(taught / "round_01" / step / "checkpoint" / "model.safetensors") for step in ("proposer", "grpo"))
    assert all(torch.equal(proposer[name], grpo[name]) for name in grpo)
    base = load_file(SEEDLING_WEIGHTS / "model.safetensors")
    assert not all(torch.equal(proposer[name], base[name]) for name in base.keys() & proposer.keys())


def test_killed_while_it_is_taught_the_run_ends_with_the_same_result(taught: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    kill_at(folder, "round_01/proposer/trainer/checkpoint-1/complete.json", *OVERRIDES)
    finish(folder, *OVERRIDES)
    assert result(folder) == result(taught)


def test_without_it_a_round_leaves_nothing_of_it(whole: Path) -> None:
    assert not (whole / "round_01" / PROPOSALS.file).exists() and not (whole / "round_01" / "proposer").exists()
    assert "proposer" not in json.loads((whole / "round_01" / "training.json").read_text())
    assert not [row for row in read_metrics(whole / "metrics.jsonl") if row["stage"] in ("proposer", "proposals")]
