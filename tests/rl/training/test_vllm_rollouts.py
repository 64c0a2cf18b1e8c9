"""Rollouts through TRL's vLLM, with a stand-in for TRL's side: what is drawn, for whom, and with which weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from probing.samplers.base import SamplingParams
from rewards.mixed import MixedConfig
from rl.config.training import GrpoConfig, GuardRule, GuardsConfig
from rl.models.checkpoints import load_policy
from rl.scoring.tasks import GrpoTask
from rl.training import grpo, rollouts
from rl.training.rollouts import PolicyRollouts, VllmRollouts
from rl.training.trainer import PolicyTrainer
from tests.rl.grpo_case import RecordingScorer, make_tasks
from tests.rl.tiny import PlainSampler, save_tiny_policy

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_policy(tmp_path_factory.mktemp("policy"))


def rollouts_of(n: int) -> VllmRollouts:
    return VllmRollouts(lambda *_: pytest.fail("no sampler of ours"), SamplingParams(), n, 0)  # type: ignore[arg-type, return-value]


class Echo:
    """Answers each row with its own first token and an end, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[list[int]], int]] = []
        self.syncs = 0

    def sync_weights(self) -> None:
        self.syncs += 1

    def generate(self, prompts: list[list[int]], images: None, num_generations: int) -> Any:
        self.asked.append((prompts, num_generations))
        return prompts, [[ids[0], 1] for ids in prompts], [[[-0.5], [-0.1]] for _ in prompts], None


def trainer_with(generation: Any, policy: Path, step: int = 0, loaded: int = -1) -> Any:
    return SimpleNamespace(
        processing_class=AutoTokenizer.from_pretrained(policy),
        vllm_generation=generation,
        eos_token_ids=[1],
        state=SimpleNamespace(global_step=step),
        _last_loaded_step=loaded,
    )


def test_rows_become_completions_and_keep_their_logprobs(policy: Path) -> None:
    class Generation:
        def generate(self, prompts: Any, images: Any, num_generations: int) -> Any:
            assert prompts == [[2, 3], [2, 3]] and num_generations == 2
            return prompts, [[4, 1], [5, 6]], [[[-0.5], [-0.1]], [[-0.2], [-0.3]]], None

    drawn = rollouts_of(2)
    output = drawn(["ab", "ab"], trainer_with(Generation(), policy))
    assert output == {"prompt_ids": [[2, 3], [2, 3]], "completion_ids": [[4, 1], [5, 6]], "logprobs": [[-0.5, -0.1], [-0.2, -0.3]]}
    assert [(c.text, c.finished) for c in drawn.last] == [("c", True), ("de", False)]


def test_a_logprob_that_vllm_could_not_compute_stays_unknown(policy: Path) -> None:
    """TRL says None for it, and is told None again; scoring sees no number, and takes the rollout."""

    class Generation:
        def generate(self, prompts: Any, images: Any, num_generations: int) -> Any:
            return prompts, [[4, 1], [5, 1]], [[[-0.5], [None]], [[-0.2], [-0.3]]], None

    drawn = rollouts_of(2)
    assert drawn(["ab", "ab"], trainer_with(Generation(), policy))["logprobs"] == [[-0.5, None], [-0.2, -0.3]]
    tasks = make_tasks()[:1]
    scorer = RecordingScorer(tasks, with_probe=False)
    scorer.mixed = MixedConfig(rarity=0.3)
    batch = scorer.score([tasks[0].problem_id] * 2, drawn.last, 2, 0)
    assert [s.reward.total is not None for s in batch.scores] == [True, True]


def test_every_rank_asks_for_as_many_and_gets_its_own(policy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TRL cuts the answers up by how many rows a rank asked for: ranks with fewer prompts, or none, ask for some that nobody needs."""
    shares = [["ab", "c"], ["d"], []]
    monkeypatch.setattr(rollouts, "gather_object", lambda mine: shares)
    for prompts in shares:
        echo = Echo()
        found = rollouts_of(4).sample(trainer_with(echo, policy), prompts, 3, 0, range(len(prompts)))
        assert [[c.text for c in group] for group in found] == [[prompt[0]] * 3 for prompt in prompts]
        ((rows, n),) = echo.asked
        assert n == 3 and len(rows) == 6 and all(rows[i] == rows[i - i % 3] for i in range(6))  # TRL looks at every third
    monkeypatch.setattr(rollouts, "gather_object", lambda mine: [[], []])
    assert rollouts_of(4).sample(trainer_with(Echo(), policy), [], 3, 0, []) == []


@pytest.mark.parametrize(("step", "loaded", "syncs"), [(0, -1, 1), (5, 4, 1), (5, 5, 0)])
def test_weights_are_handed_over_once_a_step(policy: Path, step: int, loaded: int, syncs: int) -> None:
    echo, drawn = Echo(), rollouts_of(2)
    trainer = trainer_with(echo, policy, step, loaded)
    for _ in range(2):
        drawn.sample(trainer, ["ab"], 2, 0, [0])
    assert echo.syncs == syncs and trainer._last_loaded_step == step


class Generation:
    """TRL's VLLMGeneration, over a copy of the policy that is as new as the last `sync_weights`."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, policy: Path) -> None:
        self.live, self.tokenizer, self.copy = model, tokenizer, load_policy(policy)[0]
        self.looks: list[bool] = []  # whether a draw of two, which only guards ask for, was made with the policy's weights
        self.calls = 0

    def sync_weights(self) -> None:
        self.copy.load_state_dict(self.live.state_dict())

    def generate(self, prompts: list[list[int]], images: None, num_generations: int) -> Any:
        if num_generations == 2:
            self.looks.append(all(torch.equal(a, b) for a, b in zip(self.copy.parameters(), self.live.parameters(), strict=True)))
        self.calls += 1
        texts, params = self.tokenizer.batch_decode(prompts), SamplingParams(max_new_tokens=4)
        drawn = [group[0] for group in PlainSampler(self.copy, self.tokenizer).sample(texts, 1, params, self.calls)]
        return prompts, [list(c.token_ids) for c in drawn], [[[p] for p in c.logprobs] for c in drawn], None


def test_guards_look_through_vllm_with_the_weights_of_the_moment(policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And never gather the policy to decode from it, which would take a whole copy of it on every GPU under ZeRO-3."""
    made: list[Generation] = []
    trl_config, init = grpo._trl_config, PolicyTrainer.__init__

    def with_stand_in(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        made.append(Generation(self.model, self.processing_class, policy))
        self.vllm_generation, self._last_loaded_step = made[0], -1

    def without_vllm(config: GrpoConfig, *rest: Any) -> Any:
        return trl_config(config.model_copy(update={"rollouts": "policy"}), *rest)

    monkeypatch.setattr(PolicyTrainer, "__init__", with_stand_in)
    monkeypatch.setattr(grpo, "_trl_config", without_vllm)
    monkeypatch.setattr(rollouts, "unwrap_model_for_generation", lambda *_, **__: pytest.fail("the policy was gathered"))
    config = GrpoConfig(
        steps=2, group_size=4, rollouts_per_step=16, max_new_tokens=4, learning_rate=1e-2, save_every=2, rollouts="vllm_server"
    )
    rule = GuardRule(limit=0.9, actions=("lower_lr",))
    guards = GuardsConfig(warmup=100, kl_every=0, held_out_every=1, held_out_samples=2, held_out=rule)
    held_out = [GrpoTask(f"held{i}", "ahb", "f", ("[1]", "[2]"), make_tasks()[0].bank) for i in range(2)]
    scorer = RecordingScorer(make_tasks(), with_probe=False)
    result = grpo.train_grpo(policy, tmp_path, make_tasks(), scorer, config, 1, lambda record: None, guards, held_out)
    assert made[0].looks == [True, True, True] and made[0].calls == 5  # at the start and after each step; two steps' rollouts
    assert all(record["held_out_agreement"] is not None for record in result.history)


@pytest.mark.parametrize("mode", ["vllm_colocate", "vllm_server"])
@pytest.mark.parametrize("stop", [(), ("\n```",)])
def test_vllm_is_told_what_ends_a_base_model_s_turn(
    mode: str, stop: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its chat template ends a turn with another token than its documents, and its generation config names only that one."""
    path = save_tiny_policy(tmp_path / "base")
    tokenizer = AutoTokenizer.from_pretrained(path)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<turn>"]})
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}<turn>{% endfor %}"
    tokenizer.save_pretrained(path)
    given: list[Any] = []

    def trainer(*_: Any, args: Any, **rest: Any) -> Any:
        given.append(args.generation_kwargs)
        raise KeyboardInterrupt

    monkeypatch.setattr(grpo, "PolicyTrainer", trainer)
    config = GrpoConfig(steps=1, group_size=4, rollouts_per_step=16, rollouts=mode, save_every=1)  # type: ignore[arg-type]
    tasks = [replace(task, stop=stop) for task in make_tasks()]
    for chosen in (config, config.model_copy(update={"rollouts": "policy"})):
        with pytest.raises(KeyboardInterrupt):
            grpo.train_grpo(path, tmp_path / "out", tasks, RecordingScorer(tasks, with_probe=False), chosen, 1, lambda record: None)
    ends = {"stop_token_ids": [1, tokenizer.convert_tokens_to_ids("<turn>")]}
    assert given == [ends | ({"stop": list(stop)} if stop else {}), None]


def test_gradient_checkpointing_comes_back_as_it_was(policy: Path) -> None:
    """TRL asks for the reentrant kind where adapters are trained under ZeRO-3, and ours must not turn it into the other."""
    model, tokenizer = load_policy(policy)
    kind = {"use_reentrant": True}
    model.train()
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=kind)
    trainer: Any = SimpleNamespace(
        model_wrapped=model,
        accelerator=Accelerator(cpu=True),
        args=SimpleNamespace(gradient_checkpointing_kwargs=kind),
        processing_class=tokenizer,
    )
    drawn = PolicyRollouts(PlainSampler, SamplingParams(max_new_tokens=2), 2, 0).sample(trainer, ["ab"], 2, 0, [0])
    assert len(drawn[0]) == 2
    assert model.is_gradient_checkpointing and model.model.layers[0]._gradient_checkpointing_func.keywords == kind
