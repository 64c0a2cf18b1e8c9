"""Training the proposer: proposals move by their advantages, at the temperature that they were drawn at, and each is met once."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTTrainer

from rl.config.schema import load_config
from rl.config.training import LoraSection
from rl.loop.proposer import training_of
from rl.training.advantage_trainer import AdvantageTrainer
from rl.training.sft import SftConfig, SftPair, train_sft
from tests.rl.tiny import save_tiny_policy
from tests.rl.training.test_trl_seams import calls_on_self, overridden

pytestmark = pytest.mark.slow

TEMPERATURE = 0.5
MAKE = functools.partial(AdvantageTrainer, temperature=TEMPERATURE)
CONFIG = SftConfig(epochs=1, batch=4, learning_rate=1e-2, lr_schedule="constant", save_every=1)


def pair(number: int, prompt: str, token_ids: tuple[int, ...], advantage: float) -> SftPair:
    return SftPair(f"proposal {number}", prompt, token_ids, 0.0, 0.0, advantage)


GOOD, BAD = pair(0, "abc", (5, 6, 1), 0.5), pair(1, "abc", (7, 8, 9, 1), -0.5)


def logprob(checkpoint: Path, of: SftPair, temperature: float = TEMPERATURE) -> float:
    """Summed over the answer, nats."""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(checkpoint), AutoTokenizer.from_pretrained(checkpoint)
    prompt = tokenizer(of.prompt, add_special_tokens=False)["input_ids"]
    logp = torch.log_softmax(model(torch.tensor([[*prompt, *of.token_ids]])).logits[0] / temperature, -1)
    return sum(logp[len(prompt) - 1 + i, token].item() for i, token in enumerate(of.token_ids))


def train(folder: Path, pairs: list[SftPair], config: SftConfig = CONFIG, log: Any = lambda record: None) -> Path:
    policy = folder.parent / "policy"
    return train_sft(policy, folder, pairs, config, 1, log, make_trainer=MAKE).checkpoint


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    return save_tiny_policy(tmp_path / "policy")


def test_a_step_raises_what_was_rewarded_and_lowers_the_other(policy: Path, tmp_path: Path) -> None:
    after = train(tmp_path / "out", [GOOD, BAD])
    assert logprob(after, GOOD) > logprob(policy, GOOD) + 0.01
    assert logprob(after, BAD) < logprob(policy, BAD) - 0.01


def test_the_same_answer_may_be_rewarded_once_and_not_again(policy: Path, tmp_path: Path) -> None:
    """A near duplicate earns 0 where its first occurrence earned 1: equal rows keep advantages of their own, and these cancel out."""
    records: list[dict[str, Any]] = []
    train(tmp_path / "out", [pair(0, "abc", (5, 6, 1), 0.5), pair(1, "abc", (5, 6, 1), -0.5)], log=records.append)
    assert records[0]["loss"] == pytest.approx(0.0, abs=1e-6) and records[0]["grad_norm"] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("micro_batch", [None, 1])
def test_the_loss_is_the_advantage_times_the_tempered_logprob_by_token(policy: Path, tmp_path: Path, micro_batch: int | None) -> None:
    pairs = [GOOD, BAD, pair(2, "b", (3, 1), 0.25), pair(3, "cd", (4, 4, 4, 4, 1), -0.25)]
    records: list[dict[str, Any]] = []
    train(tmp_path / "out", pairs, CONFIG.model_copy(update={"micro_batch": micro_batch}), records.append)
    expected = -sum((p.advantage or 0.0) * logprob(policy, p) for p in pairs) / sum(len(p.token_ids) for p in pairs)
    assert len(records) == 1 and records[0]["loss"] == pytest.approx(expected, rel=1e-3, abs=1e-5)


def test_a_killed_training_goes_on_to_the_same_weights(policy: Path, tmp_path: Path) -> None:
    pairs = [pair(i, "abcd"[i % 4 :], (2 + i, 3 + i, 1), (-1) ** i * 0.5) for i in range(8)]
    config = CONFIG.model_copy(update={"batch": 2})

    def killed(record: dict[str, Any]) -> None:
        if record["step"] == 3:
            raise KeyboardInterrupt

    whole = train(tmp_path / "whole", pairs, config)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", pairs, config, killed)
    steps: list[int] = []
    again = train(tmp_path / "cut", pairs, config, lambda record: steps.append(record["step"]))
    assert steps == [3, 4]
    first, second = (hashlib.sha256((path / "model.safetensors").read_bytes()).hexdigest() for path in (whole, again))
    assert first == second


def test_an_adapter_is_trained_alike(policy: Path, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"lora": LoraSection(rank=4), "learning_rate": 5e-2, "epochs": 4})
    after = train(tmp_path / "out", [GOOD, BAD], config)
    assert logprob(after, GOOD) - logprob(after, BAD) > logprob(policy, GOOD) - logprob(policy, BAD) + 0.01


def test_every_override_is_of_a_method_that_the_library_still_calls() -> None:
    assert overridden(AdvantageTrainer, SFTTrainer) == {"compute_loss", "_set_signature_columns_if_needed"} <= calls_on_self(SFTTrainer)


@pytest.mark.parametrize(("count", "overrides", "steps"), [(3, (), 1), (9, (), 2), (11, (), 3), (11, ("--proposer.steps", "2"), 2)])
def test_a_pass_is_cut_into_batches_and_never_made_twice(count: int, overrides: tuple[str, ...], steps: int) -> None:
    config = load_config(None, ["--proposer.batch", "4", *overrides])
    assert config.proposer is not None
    training = training_of(config.proposer, config, count)
    assert (training.steps, training.batch, training.epochs) == (steps, 4, 1)


def test_it_is_trained_as_what_follows_it_is() -> None:
    words = ["--proposer", "{}", "--grpo.learning_rate", "3e-6", "--grpo.lora.rank", "4", "--grpo.warmup", "5"]
    for consolidation in ("grpo", "sft+grpo", "sft"):
        config = load_config(None, [*words, "--consolidation", consolidation, "--sft.batch", "16"])
        assert config.proposer is not None
        training = training_of(config.proposer, config, 1000)
        after = (5e-6, 16, None) if consolidation == "sft" else (3e-6, 128, config.grpo.lora)
        assert (training.learning_rate, training.batch, training.lora) == after
        assert (training.lr_schedule, training.warmup) == ("constant", 0)
