from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch.backends.cuda import cudnn_sdp_enabled
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTTrainer

import rl.training.sft
from probing.records import Candidate, Problem
from rewards.records import Execution
from rl.round_files import BankProgram, Verdict
from rl.training.sft import SftConfig, SftPair, draw_unexecuted, fitting, select_for_sft, sft_steps, train_sft
from tests.rl.fakes import error, value
from tests.rl.tiny import save_tiny_policy

pytestmark = pytest.mark.slow


def problem(id: str) -> Problem:
    return Problem(id, "", "", "f", "def f(x):", "", "")


def candidate(id: str, index: int, logprob: float, finished: bool = True) -> Candidate:
    return Candidate(id, index, "", "code", (5, 6 + index, 1), (logprob,) * 3, finished)


def verdict(id: str, labels: tuple[int, ...], top: int) -> Verdict:
    return Verdict(id, (0, 1), labels, (), top, 0.5, 0.1, 0.1, len(labels), True)


def program(id: str, index: int, *outcomes: object) -> BankProgram:
    return BankProgram(id, f"program {index}", (index,), Execution(tuple(error() if o is None else value(o) for o in outcomes)))


def test_picks_the_winners_highest_success_share_then_the_lowest_perplexity() -> None:
    candidates = [
        candidate("p", 0, -0.1),
        candidate("p", 1, -0.9),
        candidate("p", 2, -0.2),
        candidate("p", 3, -0.01),
        candidate("p", 4, 0.0, False),
    ]
    bank = [program("p", 0, 1, 2, None), *(program("p", i, 1, 2, 3) for i in (1, 2, 3, 4))]
    pairs = select_for_sft(["prompt"], [problem("p")], candidates, bank, [verdict("p", (0, 0, 0, 1, 0), 0)])
    # 0 errs on the pool's last input, 3 is outside the winner, 4 was cut off; of 1 and 2 the likelier
    assert [(p.prompt, p.token_ids, p.value_share) for p in pairs] == [("prompt", candidates[2].token_ids, 1.0)]


def test_no_winner_no_pair() -> None:
    candidates, bank = [candidate("p", 0, -0.1)], [program("p", 0, 1, 2)]
    assert select_for_sft(["prompt"], [problem("p")], candidates, bank, [verdict("p", (0,), -1)]) == []


def test_loss_sees_the_answer_alone(tmp_path: Path) -> None:
    policy = save_tiny_policy(tmp_path / "policy")
    pairs = [
        SftPair("p", "abc", (5, 6, 1), 1.0, -0.1),
        SftPair("q", "a", (7, 8, 9, 1), 1.0, -0.1),
        SftPair("r", "abcdefghabcdefgh", (3,), 1.0, 0.0),
    ]
    config = SftConfig(epochs=1, batch=2, max_length=10)
    records: list[dict] = []
    result = train_sft(policy, tmp_path / "out", pairs, config, 3, records.append)
    assert result.n_too_long == 1

    model, tokenizer = AutoModelForCausalLM.from_pretrained(policy), AutoTokenizer.from_pretrained(policy)
    losses = []
    for pair in pairs[:2]:
        prompt = tokenizer(pair.prompt, add_special_tokens=False)["input_ids"]
        logp = torch.log_softmax(model(torch.tensor([[*prompt, *pair.token_ids]])).logits[0], -1)
        losses += [-logp[len(prompt) - 1 + i, token].item() for i, token in enumerate(pair.token_ids)]
    assert records[0]["loss"] == pytest.approx(sum(losses) / len(losses), rel=1e-4)


@pytest.mark.parametrize(("epochs", "steps"), [(1, 5), (9, 2)])
def test_a_number_of_steps_goes_before_epochs(tmp_path: Path, epochs: int, steps: int) -> None:
    policy = save_tiny_policy(tmp_path / "policy")
    pairs = [SftPair(str(i), "abcd"[i:], (2 + i, 3 + i, 1), 1.0, -0.1) for i in range(4)]
    config = SftConfig(epochs=epochs, steps=steps, batch=4)
    assert len(train_sft(policy, tmp_path / "out", pairs, config, 1, lambda _: None).history) == sft_steps(4, config) == steps


def test_learns_the_pairs_and_leaves_an_ordinary_checkpoint(tmp_path: Path) -> None:
    policy = save_tiny_policy(tmp_path / "policy")
    pairs = [SftPair(str(i), "abcd"[i:], (2 + i, 3 + i, 1), 1.0, -0.1) for i in range(4)]
    config = SftConfig(epochs=40, batch=4, learning_rate=3e-2)
    steps: list[int] = []
    result = train_sft(policy, tmp_path / "out", pairs, config, 1, lambda _: None, lambda count, *_: steps.append(count))
    assert len(result.history) == sum(steps) == sft_steps(4, config) == 40
    assert result.history[-1]["loss"] < result.history[0]["loss"] / 4
    tokenizer = AutoTokenizer.from_pretrained(result.checkpoint)
    model = AutoModelForCausalLM.from_pretrained(result.checkpoint)
    _, row = fitting(pairs, tokenizer, 100)[0]
    assert model(torch.tensor([row["input_ids"]])).logits[0, 3].argmax() == 2
    assert not (tmp_path / "out" / "trainer").exists()


def test_microbatches_make_the_same_steps(tmp_path: Path) -> None:
    """Which is why `sft.micro_batch` may change within a run (`rl.config.run_folder`); also in an epoch's last, smaller step."""
    policy = save_tiny_policy(tmp_path / "policy")
    pairs = [SftPair(str(i), "abcd"[i % 4 :], (2 + i, 3, *range(4, 4 + i), 1), 1.0, -0.1) for i in range(6)]
    steps = []
    for micro in (None, 2, 1):
        config = SftConfig(epochs=2, batch=4, micro_batch=micro, learning_rate=1e-3)
        history = train_sft(policy, tmp_path / str(micro), pairs, config, 1, lambda _: None).history
        steps.append([(record["loss"], record["grad_norm"]) for record in history])
    assert len(steps[0]) == 4
    for other in steps[1:]:
        assert [value for pair in other for value in pair] == pytest.approx([value for pair in steps[0] for value in pair], rel=1e-3)


def test_nothing_to_learn_from_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no pair to train on"):
        train_sft(save_tiny_policy(tmp_path / "policy"), tmp_path / "out", [], SftConfig(), 1, print)


def test_weights_that_are_no_longer_finite_leave_the_policy_as_it_was(tmp_path: Path) -> None:
    policy = save_tiny_policy(tmp_path / "policy")
    pairs = [SftPair(str(i), "abc", (5, 6, 1), 1.0, -0.1) for i in range(8)]
    config = SftConfig(epochs=4, batch=2, learning_rate=1e38, save_every=1)
    result = train_sft(policy, tmp_path / "out", pairs, config, 1, lambda record: None)
    assert "cannot be trusted" in str(result.stopped_because) and len(result.history) < 16
    before, after = (AutoModelForCausalLM.from_pretrained(path).state_dict() for path in (policy, result.checkpoint))
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert train_sft(policy, tmp_path / "out", pairs, config, 1, lambda record: None) == result  # what was finished is read back


def test_training_leaves_out_cudnn_s_attention_and_puts_it_back(tmp_path: Path) -> None:
    pairs, seen = [SftPair("p", "abc", (5, 6, 1), 1.0, -0.1)], []
    assert cudnn_sdp_enabled()
    config = SftConfig(epochs=1, batch=1)
    train_sft(save_tiny_policy(tmp_path / "policy"), tmp_path / "out", pairs, config, 1, lambda _: seen.append(cudnn_sdp_enabled()))
    assert seen == [False] and cudnn_sdp_enabled()


def break_gradient(monkeypatch: pytest.MonkeyPatch, bad_calls: set[int]) -> None:
    """The backward passes of these micro-batches (from 0) leave a NaN in one weight's gradient, under a finite loss."""
    calls, step = iter(range(1000)), SFTTrainer.training_step

    def broken(self: SFTTrainer, model: torch.nn.Module, *args: object, **kwargs: object) -> torch.Tensor:
        loss = step(self, model, *args, **kwargs)
        if next(calls) in bad_calls:
            next(p for p in model.parameters() if p.grad is not None).grad[0] = float("nan")
        return loss

    monkeypatch.setattr(SFTTrainer, "training_step", broken)


def test_a_step_whose_gradient_is_not_finite_is_skipped_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = save_tiny_policy(tmp_path / "policy")
    pairs = [SftPair(f"p{i}", "abc"[: 1 + i % 3], (5 + i, 6, 1), 1.0, -0.1) for i in range(8)]
    config = SftConfig(epochs=2, batch=4, micro_batch=2, learning_rate=1e-2)
    break_gradient(monkeypatch, {3})  # the second half of step 2
    result = train_sft(policy, tmp_path / "out", pairs, config, 1, lambda record: None)
    assert result.stopped_because is None and len(result.history) == 4
    (skipped,) = result.skipped
    assert skipped["step"] == 2 and skipped["grad_norm"] == "nan" and math.isfinite(float(skipped["loss"]))
    assert len(skipped["problems"]) == 2 and set(skipped["problems"]) <= {pair.problem_id for pair in pairs}
    before, after = (AutoModelForCausalLM.from_pretrained(path).state_dict() for path in (policy, result.checkpoint))
    assert all(bool(torch.isfinite(weight).all()) for weight in after.values())
    assert not all(torch.equal(before[name], after[name]) for name in before)
    assert train_sft(policy, tmp_path / "out", pairs, config, 1, lambda record: None) == result


def test_gradients_that_stay_not_finite_end_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = save_tiny_policy(tmp_path / "policy")
    pairs = [SftPair(f"p{i}", "abc", (5 + i, 6, 1), 1.0, -0.1) for i in range(4)]
    break_gradient(monkeypatch, {1, 2, 3, 4, 5})
    result = train_sft(policy, tmp_path / "out", pairs, SftConfig(epochs=8, batch=4), 1, lambda record: None)
    assert [record["step"] for record in result.skipped] == [2, 3, 4] and len(result.history) == 4
    assert "grad_norm is nan at step 4, in the pairs of p" in str(result.stopped_because)
    before, after = (AutoModelForCausalLM.from_pretrained(path).state_dict() for path in (policy, result.checkpoint))
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("length", [1, 12])
def test_masked_rows_and_short_last_batches_have_finite_gradients_in_bf16(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    arguments = rl.training.sft.optimizer_arguments
    monkeypatch.setattr(rl.training.sft, "optimizer_arguments", lambda *given: {**arguments(*given), "bf16": True})
    policy = save_tiny_policy(tmp_path / "policy")
    pairs = [SftPair(f"p{i}", "abcdefgh", (5,) * 12 if i else (1,), 1.0, -0.1) for i in range(5)]
    result = train_sft(policy, tmp_path / "out", pairs, SftConfig(epochs=2, batch=4, micro_batch=2), 1, lambda record: None)
    assert result.stopped_because is None and not result.skipped and len(result.history) == 4


def test_the_unexecuted_control_draws_one_finished_answer_a_problem() -> None:
    candidates = [*(candidate("p", i, -0.1, finished=i != 2) for i in range(3)), candidate("q", 0, -0.1), candidate("r", 0, 0.0, False)]
    problems = [problem(name) for name in "pqr"]
    drawn = {draw_unexecuted(["a", "b", "c"], problems, candidates, ["q"], seed)[0].token_ids for seed in range(20)}
    assert drawn == {candidates[0].token_ids, candidates[1].token_ids}
    assert [pair.problem_id for pair in draw_unexecuted(["a", "b", "c"], problems, candidates, ["q"], 0)] == ["p"]
