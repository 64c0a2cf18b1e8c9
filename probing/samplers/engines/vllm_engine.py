"""The child process of the `vllm` sampler, and the only importer of vLLM: `python -m probing.samplers.engines.vllm_engine FD`.

It reads settings, then requests, from a pipe; answers ("progress", (samples, tokens)) as prompts are done, then ("ok", value), or
("error", text); ends at None, at SIGTERM, or when its parent is gone, and takes vLLM's own processes along.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

import torch

from probing.models.loading import ModelError, end_token_ids, is_adapter, load_model, pick_device
from probing.samplers.base import Completion, SamplerError, SamplingParams
from probing.samplers.config import SamplingConfig
from probing.samplers.parity import check_parity, greedy_trace

PR_SET_PDEATHSIG = 1
CPU_BATCHED_TOKENS = 4096  # most tokens in one step on a CPU (vLLM's own default there)
Rows = list[tuple[list[int], list[float], bool]]  # token ids, logprobs in nats, ended by itself


class Engine:
    """vLLM on one checkpoint. Weights are loaded twice: by transformers for the parity check, which ends before vLLM starts."""

    def __init__(self, config: SamplingConfig, path: str) -> None:
        model, tokenizer = load_model(path, config.device, config.dtype)
        self.trace = greedy_trace(model, tokenizer, config.vllm.parity_prompts)
        self.ends = sorted(end_token_ids(model, tokenizer))
        self.limit: int = config.vllm.max_length or model.config.max_position_embeddings
        self.tokenizer = tokenizer
        with tempfile.TemporaryDirectory(prefix="ucoder-merged-") as merged:
            if is_adapter(path):  # vLLM takes whole weights
                model.save_pretrained(merged)
                tokenizer.save_pretrained(merged)
                path = merged
            del model
            gc.collect()
            on_gpu = pick_device(config.device).type == "cuda"
            if on_gpu:
                torch.cuda.empty_cache()
            self.llm = _start(config, path, self.trace.dtype, self.limit, on_gpu)

    def draw(
        self,
        prompts: Sequence[Sequence[int]],
        seeds: Sequence[int],
        n: int,
        temperature: float,
        top_p: float,
        max_tokens: int,
        stop: Sequence[str] = (),
        tell: Callable[[int, int], None] = lambda samples, tokens: None,
    ) -> list[Rows]:
        """n samples of each prompt. tell: called with the samples and the tokens of each prompt that is done."""
        from vllm import SamplingParams as VllmParams
        from vllm.inputs import TokensPrompt

        params = [
            VllmParams(
                n=n,
                temperature=temperature,
                top_p=top_p,
                max_tokens=max_tokens,
                seed=seed,
                logprobs=0,  # of the sampled token alone
                stop_token_ids=self.ends,
                stop=list(stop),
                detokenize=bool(stop),
            )
            for seed in seeds
        ]
        asked = [TokensPrompt(prompt_token_ids=list(ids)) for ids in prompts]
        self.llm.enqueue(asked, params, use_tqdm=False)
        engine, found = self.llm.llm_engine, []
        while engine.has_unfinished_requests():
            for request in engine.step():
                if request.finished:
                    found.append(request)
                    tell(len(request.outputs), sum(len(output.token_ids) for output in request.outputs))
        found.sort(key=lambda request: int(request.request_id))
        return [[self._row(output) for output in sorted(request.outputs, key=lambda o: o.index)] for request in found]

    def _row(self, output: Any) -> tuple[list[int], list[float], bool]:
        ids = [int(token) for token in output.token_ids]
        logprobs = [float(place[token].logprob) for token, place in zip(ids, output.logprobs, strict=True)]
        return ids, logprobs, output.finish_reason == "stop"

    def sample(self, prompts: Sequence[str], n: int, params: SamplingParams, seed: int, *_: Any) -> list[list[Completion]]:
        """As much of a `Sampler` as the parity check needs."""
        ids = self.tokenizer(list(prompts), add_special_tokens=False)["input_ids"]
        drawn = self.draw(ids, [seed] * len(ids), n, params.temperature, params.top_p, params.max_new_tokens, params.stop)
        return [[Completion("", tuple(ids), tuple(logprobs), ended) for ids, logprobs, ended in rows] for rows in drawn]

    def close(self) -> None:
        pass


def _start(config: SamplingConfig, path: str, dtype: torch.dtype, limit: int, on_gpu: bool) -> Any:
    from vllm import LLM

    # A CPU's random generators cannot be set back, as vLLM wants to when it cuts the prompt of a request with a seed: none is cut there.
    whole = {} if on_gpu else {"enable_chunked_prefill": False, "max_num_batched_tokens": max(limit, CPU_BATCHED_TOKENS)}
    return LLM(
        model=os.path.expanduser(path),
        dtype=str(dtype).removeprefix("torch."),
        tensor_parallel_size=config.vllm.tensor_parallel,
        gpu_memory_utilization=config.vllm.gpu_memory,
        max_model_len=limit,
        max_num_seqs=config.batch_size,
        enable_prefix_caching=True,
        enforce_eager=not on_gpu,
        logprobs_mode="raw_logprobs",
        generation_config="vllm",  # no sampling defaults of the checkpoint's own
        disable_log_stats=True,
        seed=0,
        **whole,
    )


def serve(pipe: Connection) -> None:
    """Start the engine that the first message describes, then answer requests."""
    try:
        settings = pipe.recv()
        if os.getppid() != settings["parent"]:  # the parent died before this process was set to end with it
            return
        config = SamplingConfig.model_validate(settings["config"])
        engine = Engine(config, settings["path"])
        check_parity(engine, engine.trace, "vLLM", config.vllm.parity_tolerance)
    except (ImportError, ModelError, SamplerError, ValueError, RuntimeError, OSError) as error:
        pipe.send(("error", f"{type(error).__name__}: {error}"))
        return
    pipe.send(("ok", engine.limit))
    while (request := pipe.recv()) is not None:
        try:
            pipe.send(("ok", engine.draw(**request, tell=lambda samples, tokens: pipe.send(("progress", (samples, tokens))))))
        except (RuntimeError, ValueError) as error:  # what vLLM raises for a request, or for an engine that died
            pipe.send(("error", f"{type(error).__name__}: {error}"))


def end_group(*_: Any) -> None:
    """End this process and vLLM's own, which hold the GPU; it leads their group. A handler of SIGTERM, which vLLM's may inherit."""
    if os.getpid() == os.getpgrp():
        os.killpg(0, signal.SIGKILL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Serve the parent over the pipe whose descriptor is the argument, until it hangs up or is gone."""
    signal.signal(signal.SIGTERM, end_group)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)  # end with the run; SIGKILL would reach this process alone
    pipe = Connection(int(sys.argv[1]))
    try:
        serve(pipe)
    except EOFError:  # the run is gone
        pass
    finally:
        end_group()


if __name__ == "__main__":
    main()
