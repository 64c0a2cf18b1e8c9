"""Stage 6: what a round says when no problem is left to train on, and what becomes of a checkpoint that is damaged."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rl.config.schema import Config, load_config
from rl.loop import update
from rl.loop.round import RoundError
from rl.loop.update import Selected, Update, nothing_to_train_on, update_policy
from rl.models.checkpoints import atomic_folder
from rl.training.sft import NothingToLearn


@pytest.mark.parametrize(("apart", "kept_apart"), [(0, False), (2, True)])
def test_it_says_whether_the_band_is_empty_or_all_of_it_is_kept_apart(apart: int, kept_apart: bool) -> None:
    current: Any = SimpleNamespace(
        index=2, verdicts=[SimpleNamespace(repeats=None)] * 7, config=Config(solutions={"band_low": 0.3, "band_high": 0.8})
    )
    said = nothing_to_train_on(current, apart)
    assert said.startswith(f"round 2: of 7 problems with votes {apart} are in the band of agreement (0.3 to 0.8)")
    assert ("kept apart" in said) is kept_apart and "run_dir" in said


def test_an_oracle_that_knows_no_problem_ends_the_round(monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config(None, ["--grpo.reward", "oracle", "--run_dir", "oracle", "--oracle", "a:b"])
    probe = SimpleNamespace(gate=0.0, release=lambda: None)
    current: Any = SimpleNamespace(index=2, run=None, config=config, probe=probe, references=lambda verdicts: {})
    monkeypatch.setattr(update, "note_compute_dtype", lambda *_: None)
    verdicts: Any = [SimpleNamespace(problem_id="p")]
    with pytest.raises(RoundError, match="round 2: the oracle has a reference for none of 1 problems"):
        update.reinforce(current, Selected(verdicts, (), ()), Update("policy"))


def test_a_problem_that_comes_again_without_a_vote_is_not_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    voted, unvoted, trained = (SimpleNamespace(problem_id=name, kept=name != "b", repeats=None) for name in "abc")
    run = SimpleNamespace(own=None)
    current: Any = SimpleNamespace(index=2, run=run, config=Config(), verdicts=[])
    monkeypatch.setattr(update, "training_split", lambda *_: ([trained], [unvoted, voted]))
    selected = update.select_problems(current)
    assert list(selected.watched) == [voted] and list(selected.apart) == [unvoted, voted]
    monkeypatch.setattr(update, "training_split", lambda *_: ([], [unvoted, voted]))
    with pytest.raises(RoundError, match="1 are in the band"):
        update.select_problems(current)


def test_sft_without_a_pair_ends_the_round_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*_: Any) -> None:
        raise NothingToLearn("there is no pair to train on")

    run = SimpleNamespace(monitor=SimpleNamespace(training_log=lambda *_: None), bar=lambda *_: contextlib.nullcontext())
    current: Any = SimpleNamespace(index=2, run=run, config=Config(), folder=Path(), ask=None, seed=lambda _: 0)
    current.problems = current.candidates = current.executions = current.verdicts = ()
    monkeypatch.setattr(update, "note_compute_dtype", lambda *_: None)
    monkeypatch.setattr(update, "train_sft", nothing)
    with pytest.raises(RoundError, match=r"round 2: there is no pair to train on; raise sft\.max_length"):
        update.consolidate(current, Selected((), (), ()), Update("policy"))


@pytest.mark.parametrize("consolidation", ["grpo", "sft"])
def test_what_is_trained_is_the_policy_whoever_was_asked(monkeypatch: pytest.MonkeyPatch, consolidation: str) -> None:
    current: Any = SimpleNamespace(
        start="policy",
        teacher="teacher",
        config=Config(consolidation=consolidation, teacher={"decay": 0.5}),
        loaded=SimpleNamespace(release=lambda: None),
        probe=None,
    )
    trained: list[str] = []
    monkeypatch.setattr(update, "select_problems", lambda current: Selected((), (), ()))
    for step in ("reinforce", "consolidate"):
        monkeypatch.setattr(update, step, lambda current, selected, made: trained.append(made.policy))
    update._train(current)
    assert trained == ["policy"]


def trained_round(folder: Path) -> Any:
    """Round 2 of a run, trained and evaluated."""
    here = folder / "round_02"
    with atomic_folder(here / "grpo" / "checkpoint") as checkpoint:
        (checkpoint / "model.safetensors").write_text("weights")
    (here / "training.json").write_text(json.dumps({"checkpoint": "round_02/grpo/checkpoint"}))
    for name in (*KEPT, *MEASURED):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text("of the lost checkpoint")
    run = SimpleNamespace(
        main=True,
        folder=folder,
        round_folder=lambda index, make=True: folder / f"round_{index:02d}",
        state=SimpleNamespace(wait_for_everyone=lambda: None),
        ranks=SimpleNamespace(at=lambda stage: None),
        timed=lambda *words: contextlib.nullcontext(),
    )
    return SimpleNamespace(run=run, index=2, folder=here, probe=None, loaded=SimpleNamespace(release=lambda: None))


KEPT = ("problems.jsonl", "executions.jsonl", "scores.jsonl", "funnel.json")
MEASURED = (
    *("held_out.json", "temperature.json", "eval.json", "eval_seedling.jsonl", "eval_seedling_greedy.jsonl", "metrics.json"),
    "published.json",
    "parts/samples-0/00000",
)


def test_what_was_measured_of_a_damaged_checkpoint_goes_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    current = trained_round(tmp_path)
    there: list[str] = []

    def train(current: Any) -> Update:
        there.extend(str(path.relative_to(current.folder)) for path in current.folder.rglob("*") if path.is_file())
        return Update(current.folder / "grpo" / "checkpoint")

    monkeypatch.setattr(update, "_train", train)
    update_policy(current)
    assert not there  # the checkpoint is whole
    (current.folder / "grpo" / "checkpoint" / "model.safetensors").write_text("weight")
    update_policy(current)
    assert set(KEPT) <= set(there) and not {*MEASURED, "training.json"} & set(there)
    assert (current.folder / "training.json").exists()


def test_a_damaged_checkpoint_that_the_next_round_was_begun_from_stops_the_run(tmp_path: Path) -> None:
    current = trained_round(tmp_path)
    (current.folder / "grpo" / "checkpoint" / "model.safetensors").write_text("weight")
    following = tmp_path / "round_03"
    following.mkdir()
    (following / "problems.jsonl").write_text("")
    before = sorted(current.folder.rglob("*"))
    with pytest.raises(RoundError, match=r"round 3 was begun from it\. Delete .*round_03 and all rounds after it"):
        update_policy(current)
    assert sorted(current.folder.rglob("*")) == before
