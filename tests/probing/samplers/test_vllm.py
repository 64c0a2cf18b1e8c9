"""vLLM in its child process, against a stand-in that computes with transformers; and the parity check of all engines."""

from __future__ import annotations

import gc
import os
import signal
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from probing.models.loading import load_model
from probing.samplers.base import Completion, SamplerError, SamplingParams
from probing.samplers.config import SamplingConfig, VllmConfig
from probing.samplers.engines.transformers import TransformersSampler
from probing.samplers.engines.vllm import VllmSampler
from probing.samplers.parity import GreedyTrace, check_parity, greedy_trace
from tests.probing.reference_logprobs import logprobs_of
from tests.probing.tiny_models import END, model, tokenizer

pytestmark = pytest.mark.slow

DOUBLES = Path(__file__).parents[1] / "doubles"
PROMPTS = ["ab", "solve this: x", "def f(a, b):"]
VLLM = SamplingConfig(backend="vllm", device="cpu", vllm=VllmConfig(parity_prompts=2))


# parity


@pytest.fixture(scope="module")
def trace(checkpoint: str) -> GreedyTrace:
    return greedy_trace(*load_model(checkpoint, "cpu"), 3)


def test_the_same_weights_pass(checkpoint: str, trace: GreedyTrace) -> None:
    check_parity(TransformersSampler(*load_model(checkpoint, "cpu")), trace, "ours")


def test_other_weights_are_refused(trace: GreedyTrace) -> None:
    other = model("qwen2", positions=256)
    with torch.no_grad():
        other.model.layers[1].mlp.down_proj.weight.neg_()
    with pytest.raises(SamplerError, match="other weights"):
        check_parity(TransformersSampler(other, tokenizer()), trace, "the engine")


def test_a_checkpoint_s_own_penalty_has_no_part_in_it(checkpoint: str, trace: GreedyTrace) -> None:
    loaded, tok = load_model(checkpoint, "cpu")
    loaded.generation_config.repetition_penalty = 9.0
    assert greedy_trace(loaded, tok, 3).tokens == trace.tokens


class Scripted:
    """Answers greedily what it is told to."""

    def __init__(self, trace: GreedyTrace, token: int | None = None, shift: float = 0.0, cut: int | None = None) -> None:
        self.answers = []
        for tokens, logprobs in zip(trace.tokens, trace.logprobs_TV, strict=True):
            said = [tokens[0] if token is None else token, *tokens[1:]][:cut]
            own = tuple(float(logprobs[i][t]) + shift for i, t in enumerate(said))
            self.answers.append([Completion("", tuple(said), own, True)])

    def sample(self, *_: Any, **__: Any) -> list[list[Completion]]:
        return self.answers


def test_a_tie_may_fall_either_way_but_a_worse_token_may_not(trace: GreedyTrace) -> None:
    first = trace.logprobs_TV[0][0]
    second = int(first.argsort()[-2])
    gap = float(first.max() - first[second])
    close = GreedyTrace(trace.prompts[:1], trace.tokens[:1], trace.logprobs_TV[:1], trace.dtype)
    check_parity(Scripted(close, token=second), close, "engine", tolerance=gap * 1.01)
    with pytest.raises(SamplerError, match="less likely"):
        check_parity(Scripted(close, token=second), close, "engine", tolerance=gap * 0.99)


def test_logprobs_and_ends_are_compared_too(trace: GreedyTrace) -> None:
    with pytest.raises(SamplerError, match="nats off"):
        check_parity(Scripted(trace, shift=0.01), trace, "engine")
    with pytest.raises(SamplerError, match="ends after 1"):
        check_parity(Scripted(trace, cut=1), trace, "engine")


# vLLM


def start(checkpoint: str, monkeypatch: pytest.MonkeyPatch, fault: str = "", **settings: Any) -> VllmSampler:
    monkeypatch.setenv("PYTHONPATH", str(DOUBLES))
    monkeypatch.setenv("UCODER_TEST_VLLM", fault)
    return VllmSampler(VLLM.model_copy(update={"vllm": VLLM.vllm.model_copy(update=settings)}), checkpoint)


@pytest.fixture(scope="module")
def engine(checkpoint: str) -> Iterator[VllmSampler]:
    with pytest.MonkeyPatch.context() as patch:
        sampler = start(checkpoint, patch)
    yield sampler
    sampler.close()


def test_vllm_samples_are_whole_and_have_the_policy_s_logprobs(checkpoint: str, engine: VllmSampler) -> None:
    counted: list[tuple[int, int]] = []
    drawn = engine.sample(PROMPTS, 3, SamplingParams(max_new_tokens=12), 1, lambda *words: counted.append(words))
    assert [len(group) for group in drawn] == [3, 3, 3] and [samples for samples, _ in counted] == [3, 3, 3]
    assert sum(tokens for _, tokens in counted) == sum(len(c.token_ids) for group in drawn for c in group)
    for prompt, group in zip(PROMPTS, drawn, strict=True):
        for completion in group:
            assert completion.finished == (completion.token_ids[-1] == END) and "<end>" not in completion.text
            torch.testing.assert_close(torch.tensor(completion.logprobs), logprobs_of(checkpoint, prompt, completion), atol=1e-4, rtol=0)


def test_vllm_draws_by_seed_and_place_in_the_whole_list(engine: VllmSampler) -> None:
    params = SamplingParams(max_new_tokens=12)
    whole, other = engine.sample(PROMPTS, 3, params, 1), engine.sample(PROMPTS, 3, params, 2)
    assert engine.sample(PROMPTS[1:], 3, params, 1, indices=[1, 2]) == whole[1:]
    assert whole != other and len({c.token_ids for c in whole[0]}) > 1


def test_vllm_greedy_answers_are_repeated_not_drawn_again(checkpoint: str, engine: VllmSampler) -> None:
    greedy = SamplingParams(temperature=0, max_new_tokens=8)
    ((first, second),) = engine.sample(["ab"], 2, greedy, 0)
    assert first == second
    assert first.token_ids == TransformersSampler(*load_model(checkpoint, "cpu")).sample(["ab"], 1, greedy, 0)[0][0].token_ids


def test_vllm_refuses_what_the_caller_can_mend(engine: VllmSampler) -> None:
    with pytest.raises(ValueError, match="passes the engine's 256"):
        engine.sample(["a" * 250], 1, SamplingParams(max_new_tokens=20), 0)
    with pytest.raises(ValueError, match="n must be"):
        engine.sample(["a"], 0, SamplingParams(), 0)
    assert engine.sample([], 2, SamplingParams(), 0) == []


def test_an_engine_with_stale_weights_is_refused(checkpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SamplerError, match="does not answer as transformers does"):
        start(checkpoint, monkeypatch, "stale")


def test_an_engine_that_does_not_start_says_why(checkpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SamplerError, match="no memory for the keys and values"):
        start(checkpoint, monkeypatch, "broken")


def test_an_engine_that_dies_or_hangs_is_an_error_and_leaves_nothing(checkpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for fault, words in (("die", r"died \(status 9\)"), ("hang", "has not answered in 1 s")):
        sampler = start(checkpoint, monkeypatch, fault, answer_seconds=1.0)
        with pytest.raises(SamplerError, match=words):
            sampler.sample(["ab"], 1, SamplingParams(max_new_tokens=2), 0)
        assert not psutil.pid_exists(sampler.process.pid)
        sampler.close()


def test_what_this_process_is_done_with_is_given_back_before_an_engine_starts(checkpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    used = model("qwen2")
    used.itself = [used]  # in a cycle, as a trainer's model is
    there = weakref.ref(used)
    del used

    def start_process(*_: Any, **__: Any) -> None:
        assert there() is None
        raise KeyboardInterrupt

    monkeypatch.setattr("probing.samplers.engines.vllm.subprocess.Popen", start_process)
    gc.disable()
    try:
        with pytest.raises(KeyboardInterrupt):
            VllmSampler(VLLM, checkpoint)
    finally:
        gc.enable()


def gone(pids: list[int]) -> bool:
    """Whether these processes end within half a minute."""
    deadline = time.monotonic() + 30
    while any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def test_the_engine_and_its_own_processes_die_with_the_run(checkpoint: str, tmp_path: Path) -> None:
    script = (
        "import sys; from probing.samplers.engines.vllm import VllmSampler; from probing.samplers.config import SamplingConfig\n"
        f"s = VllmSampler(SamplingConfig(backend='vllm', device='cpu'), {checkpoint!r}); print(s.process.pid, flush=True); sys.stdin.read()"
    )
    env = os.environ | {"PYTHONPATH": f"{DOUBLES}:{Path(__file__).parents[3]}", "UCODER_TEST_VLLM": "core"}
    run = subprocess.Popen([sys.executable, "-c", script], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    pid = int(run.stdout.readline())
    pids = [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    assert len(pids) == 2
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert gone(pids), "an engine outlived its run"


@pytest.mark.parametrize("how", ["closed", "terminated"])
def test_an_engine_that_ends_takes_its_own_processes_along(checkpoint: str, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    sampler = start(checkpoint, monkeypatch, "core")
    (core,) = psutil.Process(sampler.process.pid).children()
    if how == "terminated":
        sampler.process.terminate()
    else:
        sampler.close()
    assert gone([sampler.process.pid, core.pid])
    sampler.close()


def test_an_engine_whose_run_died_while_it_was_starting_does_not_start(checkpoint: str) -> None:
    """Too early for its death to be signalled: the engine sees that it was left to another parent."""
    ours, theirs = socket.socketpair()
    env = os.environ | {"PYTHONPATH": f"{DOUBLES}:{Path(__file__).parents[3]}"}
    words = [sys.executable, "-m", "probing.samplers.engines.vllm_engine", str(theirs.fileno())]
    with theirs:
        engine = subprocess.Popen(words, pass_fds=[theirs.fileno()], env=env, start_new_session=True)
    pipe = Connection(ours.detach())
    pipe.send({"path": checkpoint, "config": VLLM.model_dump(mode="json"), "parent": os.getpid() + 1})
    with pytest.raises(EOFError):
        pipe.recv()
    assert engine.wait(30) == -signal.SIGKILL
