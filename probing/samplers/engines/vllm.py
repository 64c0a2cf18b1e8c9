"""The `vllm` sampler: an engine in a child process, so that its memory is given back when the stage ends.

A fresh engine for each checkpoint, never reloaded weights: on the CPU vLLM's in-place reload reports success and keeps old ones. After
each start its greedy answers are held against transformers' (`probing.samplers.parity`). All n samples of a prompt are one request, so
that the prompt is computed once, and prefix caching shares what prompts begin with.

What a sample draws depends on (seed, prompt, sample) alone, up to rounding: vLLM batches as it likes, and a near tie may fall otherwise.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

import torch

from probing.memory import free_memory
from probing.models.loading import load_tokenizer
from probing.samplers.base import Completion, Progress, SamplerError, SamplingParams, cut_at_stop
from probing.samplers.config import SamplingConfig
from probing.samplers.engines.requests import prepare
from probing.samplers.stops import decoded

POLL_SECONDS = 0.5
CLOSE_SECONDS = 10.0
LAST_LINES = 15  # of the engine's log, in an error
# what a launcher sets for its ranks would make the engine join them
LAUNCHER_VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "ROLE_RANK", "MASTER_ADDR", "MASTER_PORT")
LAUNCHER_PREFIXES = ("TORCHELASTIC_", "ACCELERATE_", "FSDP_")


class VllmSampler:
    """A `Sampler` over one vLLM engine. Raises SamplerError when the engine does not start, or fails the parity check."""

    def __init__(self, config: SamplingConfig, model_path: str) -> None:
        self.config, self.model_path = config, model_path
        self.tokenizer = load_tokenizer(model_path)
        self.log = tempfile.NamedTemporaryFile("w+b", prefix="ucoder-vllm-", suffix=".log")  # noqa: SIM115  # closed with the engine
        free_memory()  # the engine asks for most of the device, and finds taken what this process only keeps at hand
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "probing.samplers.engines.vllm_engine", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=engine_environment(config),
                stdin=subprocess.DEVNULL,
                stdout=self.log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pipe = Connection(ours.detach())
        settings = {"path": model_path, "config": config.model_dump(mode="json"), "parent": os.getpid()}
        self.limit: int = self._ask(settings, config.vllm.start_seconds, "started")

    def sample(
        self,
        prompts: Sequence[str],
        n: int,
        params: SamplingParams,
        seed: int,
        progress: Progress | None = None,
        indices: Sequence[int] | None = None,
    ) -> list[list[Completion]]:
        """See `Sampler.sample`."""
        asked = prepare(self.tokenizer, prompts, n, params, seed, indices, self.limit)
        if not prompts:
            return []
        request = {
            "prompts": asked.prompt_ids,
            "seeds": asked.seeds,
            "n": asked.draws,
            "temperature": params.temperature,
            "top_p": params.top_p,
            "max_tokens": params.max_new_tokens,
            "stop": params.stop,
        }
        told = 0

        def tell(samples: int, tokens: int) -> None:
            nonlocal told
            told += samples * asked.copies
            if progress is not None:
                progress(samples * asked.copies, tokens)

        drawn = self._ask(request, self.config.vllm.answer_seconds, "answered", tell)
        completions = []
        for rows in drawn:
            texts = [cut_at_stop(decoded(self.tokenizer, ids), params.stop) for ids, _, _ in rows]
            group = [Completion(text, tuple(ids), tuple(logp), ended) for text, (ids, logp, ended) in zip(texts, rows, strict=True)]
            completions.append(group * asked.copies)
        assert told == n * len(prompts)
        return completions

    def close(self) -> None:
        """End the engine and everything that it started."""
        if self.process.poll() is None:
            with contextlib.suppress(OSError):
                self.pipe.send(None)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(CLOSE_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.pipe.close()
        self.log.close()

    def _ask(self, request: dict[str, Any], seconds: float, what: str, tell: Callable[[int, int], None] | None = None) -> Any:
        """Send a request and wait for its answer, the engine's death or the deadline. tell: gets samples and tokens as they are done."""
        deadline = time.monotonic() + seconds
        try:
            self.pipe.send(request)
            kind, value = "progress", (0, 0)
            while kind == "progress":
                while not self.pipe.poll(POLL_SECONDS):
                    if time.monotonic() > deadline:
                        raise SamplerError(f"the vLLM engine of {self.model_path} has not {what} in {seconds:.0f} s{self._last_words()}")
                kind, value = self.pipe.recv()
                if kind == "progress" and tell is not None:
                    tell(*value)
        except (EOFError, OSError) as error:
            status = self.process.wait(CLOSE_SECONDS)
            words = self._last_words()
            self.close()
            raise SamplerError(f"the vLLM engine of {self.model_path} died (status {status}) before it {what}{words}") from error
        except SamplerError:
            self.close()
            raise
        if kind == "error":
            words = self._last_words()
            self.close()
            raise SamplerError(f"the vLLM engine of {self.model_path} failed: {value}{words}")
        return value

    def _last_words(self) -> str:
        """The end of the engine's log, for an error message."""
        self.log.flush()
        with open(self.log.name, errors="replace") as file:
            lines = file.read().splitlines()[-LAST_LINES:]
        return "\n  its last lines:\n" + "\n".join(f"  {line}" for line in lines) if lines else ""


def engine_environment(config: SamplingConfig) -> dict[str, str]:
    """The engine's environment: its own devices, and nothing of the launcher's."""
    kept = {k: v for k, v in os.environ.items() if k not in LAUNCHER_VARIABLES and not k.startswith(LAUNCHER_PREFIXES)}
    kept |= {"VLLM_LOGGING_LEVEL": "WARNING", "VLLM_CPU_KVCACHE_SPACE": str(config.vllm.cpu_cache_gb), "VLLM_NO_USAGE_STATS": "1"}
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, [kept.get("PYTHONPATH"), *sys.path]))
    if torch.cuda.is_available() and config.device in ("auto", "cuda"):
        visible = kept.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(torch.cuda.device_count())))).split(",")
        first = torch.cuda.current_device()
        kept["CUDA_VISIBLE_DEVICES"] = ",".join(visible[first : first + config.vllm.tensor_parallel])
    return kept
