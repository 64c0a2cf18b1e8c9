"""A stand-in for vLLM in the engine's child process: its interface as far as we use it, over a plain transformers model.

UCODER_TEST_VLLM names a fault: `stale` (other weights than it was given), `die` (at the second request), `hang`, `broken` (no start),
`core` (a process of its own, as vLLM's EngineCore is, that no polite signal ends).
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

FAULT = os.environ.get("UCODER_TEST_VLLM", "")


@dataclass
class SamplingParams:
    n: int
    temperature: float
    top_p: float
    max_tokens: int
    seed: int
    logprobs: int
    stop_token_ids: list[int]
    detokenize: bool
    top_k: int = -1
    repetition_penalty: float = 1.0
    min_p: float = 0.0
    stop: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        assert self.detokenize or not self.stop, "stop strings are only supported when detokenize is True"  # so the real one says


@dataclass
class Logprob:
    logprob: float


@dataclass
class Output:
    index: int
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[dict[int, Logprob]] = field(default_factory=list)
    finish_reason: str = "length"


@dataclass
class Request:
    outputs: list[Output]
    request_id: str = "0"
    finished: bool = True


class LLM:
    def __init__(self, model: str, dtype: str, max_model_len: int, enable_prefix_caching: bool, logprobs_mode: str, **more: Any) -> None:
        assert enable_prefix_caching and logprobs_mode == "raw_logprobs" and dtype == "float32"
        assert more["enable_chunked_prefill"] is False, "CPU Generator does not use offset"  # so vLLM's CPU build fails, midway
        if FAULT == "broken":
            raise RuntimeError("no memory for the keys and values")
        self.model = AutoModelForCausalLM.from_pretrained(model).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(model)
        if FAULT == "stale":
            with torch.no_grad():
                for weight in self.model.parameters():
                    weight.copy_(torch.randn_like(weight) * 0.3)
        if FAULT == "core":
            deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
            self.core = subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE)
            self.core.stdout.readline()
        self.calls = self.numbered = 0
        self.llm_engine = self  # what steps is not the LLM in vLLM, but has its requests
        self.queue: list[tuple[str, dict[str, Any], SamplingParams]] = []

    def enqueue(self, prompts: list[dict[str, Any]], params: list[SamplingParams], use_tqdm: bool) -> list[str]:
        self.calls += 1
        if self.calls > 1 and FAULT == "die":
            os._exit(9)
        if self.calls > 1 and FAULT == "hang":
            time.sleep(600)
        names = [str(self.numbered + place) for place in range(len(prompts))]
        self.numbered += len(prompts)
        self.queue += zip(names, prompts, params, strict=True)
        return names

    def has_unfinished_requests(self) -> bool:
        return bool(self.queue)

    @torch.no_grad()
    def step(self) -> list[Request]:
        """Finishes the request that came last: vLLM promises no order."""
        name, prompt, params = self.queue.pop()
        return [Request([self._draw(prompt["prompt_token_ids"], params, index) for index in range(params.n)], name)]

    def generate(self, prompts: list[dict[str, Any]], params: list[SamplingParams], use_tqdm: bool) -> list[Request]:
        self.enqueue(prompts, params, use_tqdm)
        found = [request for _ in prompts for request in self.step()]
        return sorted(found, key=lambda request: int(request.request_id))

    def _draw(self, ids: list[int], params: SamplingParams, index: int) -> Output:
        generator = torch.Generator().manual_seed(params.seed + index)
        output = Output(index)
        while len(output.token_ids) < params.max_tokens:
            logits = self.model(torch.tensor([ids + output.token_ids])).logits[0, -1].double()
            plain = torch.log_softmax(logits, -1)
            met = torch.tensor(sorted({*ids, *output.token_ids}))
            logits[met] = torch.where(logits[met] > 0, logits[met] / params.repetition_penalty, logits[met] * params.repetition_penalty)
            if params.top_k > 0:
                logits[logits < logits.topk(params.top_k).values[-1]] = -torch.inf
            if params.temperature == 0:
                token = int(logits.argmax())
            else:
                token = int(torch.multinomial(torch.softmax(logits / params.temperature, -1), 1, generator=generator))
            output.token_ids.append(token)
            output.logprobs.append({token: Logprob(float(plain[token]))})
            text = self.tokenizer.decode(output.token_ids, skip_special_tokens=True)
            if token in params.stop_token_ids or any(stop in text for stop in params.stop):
                output.finish_reason = "stop"
                break
        return output
