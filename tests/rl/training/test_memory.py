"""What a training held is given back when it ends: a model that something still refers to keeps its GPU memory from the next engine."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from trl import SFTTrainer

from probing.memory import free_memory
from rl.config.training import GrpoConfig, GuardRule, GuardsConfig, LoraSection, SftConfig
from rl.loop import update as training
from rl.scoring.tasks import GrpoTask
from rl.training.sft import SftPair, train_sft
from rl.training.trainer import PolicyTrainer
from rl.training.trainer_parts import released_after
from tests.rl.grpo_case import make_tasks
from tests.rl.tiny import save_tiny_policy
from tests.rl.training.test_grpo import Kill, train

pytestmark = pytest.mark.slow

CONFIG = GrpoConfig(steps=2, group_size=4, rollouts_per_step=16, max_new_tokens=6, learning_rate=1e-2, save_every=2)
WATCHING = GuardsConfig(warmup=100, kl_every=1, held_out_every=1, held_out=GuardRule(limit=0.9, actions=("lower_lr",)))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[weakref.ref[Any]]]:
    """Every trainer and trained model that is made, weakly. Python's own collector is off: nobody else's luck counts."""
    refs: list[weakref.ref[Any]] = []
    for kind in (PolicyTrainer, SFTTrainer):

        def watched(self: Any, *args: Any, plain: Any = kind.__init__, **kwargs: Any) -> None:
            plain(self, *args, **kwargs)
            refs.extend([weakref.ref(self), weakref.ref(self.model), weakref.ref(next(self.model.parameters()))])

        monkeypatch.setattr(kind, "__init__", watched)
    gc.disable()
    yield refs
    gc.enable()


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_policy(tmp_path_factory.mktemp("policy"))


@pytest.mark.parametrize("lora", [None, LoraSection(rank=2)], ids=["all", "lora"])
def test_grpo_leaves_no_model_and_trains_again_in_the_same_process(
    policy: Path, tmp_path: Path, made: list[weakref.ref[Any]], lora: LoraSection | None
) -> None:
    """With guards, which hold the trainer, and with the reference that they measure by."""
    config = CONFIG.model_copy(update={"lora": lora})
    held_out = [GrpoTask("held", "ahb", "f", ("[1]", "[2]"), make_tasks()[0].bank)]
    for turn in ("first", "second"):
        result = train(policy, tmp_path / turn, config, guards=WATCHING, held_out=held_out)
        assert len(result.history) == 2 and (result.checkpoint / "config.json").is_file()
        assert len(made) == 3 and [ref() for ref in made] == [None] * 3
        made.clear()


def test_a_training_that_fails_leaves_no_model_either(policy: Path, tmp_path: Path, made: list[weakref.ref[Any]]) -> None:
    def die(record: dict[str, Any]) -> None:
        raise Kill

    with pytest.raises(Kill) as caught:
        train(policy, tmp_path, CONFIG, log=die)
    del caught  # its traceback has the frames in which TRL was at work
    free_memory()
    assert len(made) == 3 and [ref() for ref in made] == [None] * 3


def test_sft_leaves_no_model(policy: Path, tmp_path: Path, made: list[weakref.ref[Any]]) -> None:
    pairs = [SftPair(f"p{i}", "abc", (2 + i, 3, 1), 1.0, -1.0) for i in range(4)]
    train_sft(policy, tmp_path, pairs, SftConfig(epochs=1, batch=2), 1, lambda record: None)
    assert len(made) == 3 and [ref() for ref in made] == [None] * 3


class Llm(SimpleNamespace):
    """Can be referred to weakly."""


def test_a_colocated_engine_is_ended_and_forgotten() -> None:
    said: list[str] = []
    core = SimpleNamespace(shutdown=lambda: said.append("engine"))
    llm = Llm(llm_engine=SimpleNamespace(engine_core=core))
    trainer: Any = SimpleNamespace(vllm_generation=SimpleNamespace(llm=llm))
    trainer.accelerator = SimpleNamespace(free_memory=lambda: said.append("accelerator"))
    there = weakref.ref(llm)
    del llm
    with pytest.raises(Kill), released_after(trainer):
        raise Kill
    assert said == ["engine", "accelerator"] and there() is None


def test_a_server_s_engine_is_left_alone() -> None:
    trainer: Any = SimpleNamespace(vllm_generation=SimpleNamespace(), accelerator=SimpleNamespace(free_memory=lambda: None))
    with released_after(trainer):
        pass
    assert not vars(trainer)


def test_what_vllm_froze_is_collected_too() -> None:
    """An engine in this process ends its start with gc.freeze(): cycles made before would then stay for ever."""

    class Held:
        pass

    held = Held()
    held.itself = held  # type: ignore[attr-defined]
    there = weakref.ref(held)
    gc.freeze()
    del held
    gc.collect()
    assert there() is not None
    free_memory()
    assert there() is None


@pytest.mark.parametrize("there", [False, True], ids=["trained now", "trained before"])
def test_a_round_s_models_are_let_go_after_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    said: list[str] = []
    done = json.dumps({"checkpoint": "round_01/grpo/checkpoint"})
    if there:
        (tmp_path / "training.json").write_text(done)
    monkeypatch.setattr(training, "_damage", lambda round, done: None)
    monkeypatch.setattr(training, "_train", lambda current: training.Update(tmp_path / "round_01/grpo/checkpoint"))
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: said.append("cache"))
    run = SimpleNamespace(main=True, folder=tmp_path, round_folder=lambda *_, **__: tmp_path)
    run.state = SimpleNamespace(wait_for_everyone=lambda: None)
    run.ranks = SimpleNamespace(at=lambda stage: None)
    run.timed = lambda *_: pytest.MonkeyPatch.context()
    loaded, probe = (SimpleNamespace(release=lambda name=name: said.append(name)) for name in ("round", "probe"))
    current: Any = SimpleNamespace(index=1, run=run, folder=tmp_path, loaded=loaded, probe=probe)
    assert training.update_policy(current) == str(tmp_path / "round_01/grpo/checkpoint")
    assert said == ["round", "probe", "cache"]


def test_a_training_on_a_cpu_adds_gradients_up_in_one_order_and_leaves_the_setting_as_it_was():
    from rl.training.trainer_parts import repeatable_sums

    before = torch.are_deterministic_algorithms_enabled()
    with repeatable_sums():
        assert torch.are_deterministic_algorithms_enabled() or torch.cuda.is_available()
    assert torch.are_deterministic_algorithms_enabled() == before
