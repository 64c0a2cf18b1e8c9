"""The `http` sampler: completions of any OpenAI-compatible server (`vllm serve CHECKPOINT --generation-config vllm`, for one).

Answers that do not come are asked for again, with growing pauses, for as long as `patience` allows: a server may be restarted under a
run. One that is gone for longer ends the run with a message; the same command then goes on at the first part that is missing. The
server must have the round's checkpoint: its model list must say so, and greedy answers must fit the checkpoint's weights.

Prompts are sent as token ids. Standard library only. What a sample draws depends on (seed, prompt, sample) as far as the server's seeds do.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import random
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from typing import Any

from probing.models.loading import end_token_ids, load_model, load_tokenizer
from probing.samplers.base import Completion, Progress, SamplerError, SamplingParams, cut_at_stop
from probing.samplers.config import SamplingConfig
from probing.samplers.engines.requests import Requests, prepare
from probing.samplers.parity import check_parity, greedy_trace
from probing.samplers.stops import decoded

log = logging.getLogger(__name__)
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds between two tries
# no truncation and no penalty: what a request leaves out, vLLM takes from the checkpoint's generation_config.json (Qwen2.5-Coder has both)
PLAIN_SAMPLING = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
MOST_STOPS = 4  # stop strings in a request of OpenAI's API; vLLM takes any number
AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504})  # statuses that another try may mend


class _Refused(Exception):
    """The server refused the request, and another try would not help: its status and message."""


class HttpSampler:
    """A `Sampler` over a server.

    Raises SamplerError when it cannot be reached, has another checkpoint, or gives answers that cannot be used.
    """

    reads_text = False  # whether text alone is taken, from whichever weights the server has under the model's name

    def __init__(self, config: SamplingConfig, model_path: str, pause: float = FIRST_PAUSE) -> None:
        self.config, self.http, self.model_path, self.pause = config, config.http, model_path, pause
        self.tokenizer = load_tokenizer(model_path)
        self.name = self.http.model or model_path
        self._closed = threading.Event()
        self.ends: list[int] = []
        self.limit = self._wait_for_checkpoint()
        if self.http.parity_prompts:
            model, tokenizer = load_model(model_path, config.device, config.dtype)
            trace = greedy_trace(model, tokenizer, self.http.parity_prompts)
            self.ends = sorted(end_token_ids(model, tokenizer))
            del model
            check_parity(self, trace, f"the server at {self.http.url}", self.http.parity_tolerance)

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
        answers: list[Completion] = []
        for part in self._in_threads(self._tasks(prompts, asked, params)):
            answers += part
            if progress is not None:
                progress(len(part) * asked.copies, sum(len(completion.token_ids) for completion in part) * asked.copies)
        return [answers[place * asked.draws : (place + 1) * asked.draws] * asked.copies for place in range(len(prompts))]

    def _tasks(self, prompts: Sequence[str], asked: Requests, params: SamplingParams) -> list[Callable[[], list[Completion]]]:
        """One request a prompt, each of which returns all of its answers."""

        def ask(ids: Sequence[int], its_seed: int) -> list[Completion]:
            answer = self._persist("completions", self._request(ids, asked.draws, params, its_seed % 2**31))
            group = [self._completion(choice, params.stop) for choice in sorted(answer.get("choices", []), key=lambda c: c.get("index", 0))]
            if len(group) != asked.draws:
                raise SamplerError(f"the server at {self.http.url} gave {len(group)} answers where {asked.draws} were asked for")
            return group

        return [functools.partial(ask, ids, its_seed) for ids, its_seed in zip(asked.prompt_ids, asked.seeds, strict=True)]

    def _in_threads(self, tasks: Sequence[Callable[[], list[Completion]]]) -> Iterator[list[Completion]]:
        """What the tasks return, in their order, `http.requests` of them at once; the first error ends all."""
        with ThreadPoolExecutor(self.http.requests, thread_name_prefix="http-sampler") as threads:
            waiting = [threads.submit(task) for task in tasks]
            try:
                for future in waiting:
                    yield future.result()
            except BaseException:
                self._closed.set()  # the other requests stop trying
                for future in waiting:
                    future.cancel()
                raise

    def close(self) -> None:
        """Nothing is kept open; the server goes on."""
        self._closed.set()

    def _request(self, ids: Sequence[int], n: int, params: SamplingParams, seed: int) -> dict[str, Any]:
        asked = {
            "model": self.name,
            "prompt": list(ids),
            "n": n,
            "max_tokens": params.max_new_tokens,
            "temperature": params.temperature,
            "top_p": params.top_p,
            "seed": seed,
            "logprobs": 1,
        }
        if params.stop:
            asked["stop"] = list(params.stop[:MOST_STOPS] if self.http.retokenise else params.stop)
        if not self.http.retokenise:  # then it is vLLM; other servers may refuse fields that they do not know
            asked |= {"return_token_ids": True, **PLAIN_SAMPLING}
            if self.ends:
                asked |= {"stop_token_ids": self.ends}
        return asked

    def _completion(self, choice: dict[str, Any], stop: Sequence[str]) -> Completion:
        """One answer. A server that returns no token ids is used only where the config says how.

        Its text comes cut before a stop string already, and does not tell which of the two ended it: an answer that stopped gets no end
        token where there were stop strings, unless it has no other token. Stop strings beyond `MOST_STOPS` cut the text here.
        """
        logprobs = (choice.get("logprobs") or {}).get("token_logprobs")
        if not logprobs:
            raise SamplerError(f"the server at {self.http.url} gives no logprobs of the tokens it samples; the method needs them")
        finished = choice.get("finish_reason") == "stop"
        ids = choice.get("token_ids")
        if ids is None:
            if not self.http.retokenise:
                raise SamplerError(
                    f"the server at {self.http.url} returns no token ids (vLLM does, asked by return_token_ids): use vllm serve, "
                    "or set sampling.http.retokenise: true and sampling.http.parity_prompts: 0"
                )
            whole: str = choice["text"]
            text = cut_at_stop(whole, stop)
            finished = finished or len(text) < len(whole)
            ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
            if finished and self.tokenizer.eos_token_id is not None and not (stop and ids):
                ids = [*ids, self.tokenizer.eos_token_id]
            if not ids:
                raise SamplerError(f"the server at {self.http.url} gave an answer without a token")
            total = sum(logprobs) * max(len(text), 1) / max(len(whole), 1)
            logprobs = [total / len(ids)] * len(ids)
        if len(ids) != len(logprobs):
            raise SamplerError(f"the server at {self.http.url} gave {len(ids)} tokens with {len(logprobs)} logprobs")
        text = cut_at_stop(decoded(self.tokenizer, ids), stop)
        return Completion(text, tuple(int(i) for i in ids), tuple(float(p) for p in logprobs), finished)

    def _wait_for_checkpoint(self) -> int | None:
        """Wait until the server has the checkpoint; returns the longest text that it takes, in tokens, where it says so."""
        deadline = time.monotonic() + self.http.patience
        said = ""
        while True:
            models = self._persist("models", None).get("data", [])
            mine = next((m for m in models if m.get("id") == self.name), None)
            if mine is not None and (self.reads_text or same_place(mine.get("root"), self.model_path)):
                limit = mine.get("max_model_len")
                return None if limit is None else int(limit)
            has = ", ".join(f"{m.get('id')} ({m.get('root')})" if m.get("root") else str(m.get("id")) for m in models) or "no model"
            start = _serve(self.model_path) + (f" --served-model-name {self.name}" if self.http.model else "")
            wanted = f"the server at {self.http.url} has {has}, not {self.name} from {self.model_path}. Start it with: {start}"
            if time.monotonic() > deadline:
                raise SamplerError(f"{wanted}. Waited {self.http.patience:.0f} s; the same command goes on from here")
            if wanted != said:
                log.warning("%s. Waiting", wanted)
                said = wanted
            self._closed.wait(min(self.pause * 4, LONGEST_PAUSE))

    def _persist(self, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        """The answer to a request, tried again with growing pauses until `patience` has passed since the first failure."""
        pause, failing_since, warned = self.pause, None, False
        while True:
            try:
                return self._once(path, body)
            except _Refused as error:
                raise SamplerError(f"the server at {self.http.url} refuses a request: {error}") from None
            except (urllib.error.URLError, OSError, HTTPException, ValueError) as error:
                now = time.monotonic()
                failing_since = failing_since or now
                if self._closed.is_set():
                    raise SamplerError("the sampler was closed") from None
                if now - failing_since + pause > self.http.patience:
                    raise SamplerError(
                        f"no answer from the server at {self.http.url} for {now - failing_since:.0f} s ({_reason(error)}). "
                        f"Start it again ({_serve(self.model_path)}); the same command goes on from there"
                    ) from error
                if not warned:
                    log.warning("no answer from %s (%s): trying again", self.http.url, _reason(error))
                    warned = True
                self._closed.wait(pause * random.uniform(0.5, 1.0))  # apart, so that waiting requests do not come back all at once
                pause = min(2 * pause, LONGEST_PAUSE)

    def _once(self, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get(self.http.key_variable):
            headers["Authorization"] = f"Bearer {key}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.http.url.rstrip('/')}/{path}", data, headers)
        try:
            with urllib.request.urlopen(request, timeout=self.http.timeout) as response:
                answer = json.load(response)
        except urllib.error.HTTPError as error:
            words = error.read(2000).decode(errors="replace")
            if error.code in AGAIN or (error.code == 404 and path == "completions" and not self.reads_text):  # restarted with another model
                raise OSError(f"status {error.code}: {words[:200]}") from None
            raise _Refused(f"status {error.code}: {words}") from None
        if not isinstance(answer, dict):
            raise ValueError("the answer is not a JSON object")
        return answer


def _serve(path: str) -> str:
    """The command that starts a server on a checkpoint."""
    return f"vllm serve {path} --generation-config vllm"


def _reason(error: BaseException) -> str:
    return str(getattr(error, "reason", None) or error or type(error).__name__)


def same_place(root: str | None, path: str) -> bool:
    """Whether a server's word for where its weights lie is this checkpoint; it need not say (None)."""
    return root is None or root == path or os.path.realpath(os.path.expanduser(root)) == os.path.realpath(os.path.expanduser(path))
