"""A stand-in for `vllm serve`: the two addresses that the sampler uses, over the stand-in engine, with faults on demand."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

import torch

from tests.probing.doubles.vllm import LLM, SamplingParams
from tests.probing.tiny_models import END, tokenizer

OPENAI = {"model", "prompt", "max_tokens", "temperature", "top_p", "seed", "logprobs", "stop"}
PLAIN = {"top_k": -1, "repetition_penalty": 1.0, "min_p": 0.0}


class Server:
    """Serves a tiny checkpoint on loopback. faults: taken one by one by completions: a status, `drop` (cut off), `garbage`, or None."""

    def __init__(self, checkpoint: str, longest: int = 256) -> None:
        self.checkpoint = self.root = checkpoint
        self.llm = LLM(checkpoint, "float32", longest, True, "raw_logprobs", enable_chunked_prefill=False)
        self.tokenizer = tokenizer()
        self.faults: list[int | str | None] = []
        self.longest = longest  # tokens of prompt and answer
        self.token_ids = True
        self.text_alone = False  # as servers that take texts as prompts, give one answer a request, and no logprobs
        self.completions = 0
        self.bodies: list[dict[str, Any]] = []  # of the requests that were answered
        self.generation_config: dict[str, float] = {}  # the checkpoint's
        self.port = 0
        self._lock = threading.Lock()
        self._http: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                model = {"id": server.name, "owned_by": "vllm", "root": server.root, "max_model_len": server.longest}
                self.answer(200, {"data": [{"id": server.name, "owned_by": "someone"} if server.text_alone else model]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with server._lock:
                    server.completions += 1
                    fault = server.faults.pop(0) if server.faults else None
                if fault == "drop":
                    self.close_connection = True
                elif fault == "garbage":
                    self.answer(200, "{not json")
                elif fault is not None:
                    self.answer(int(fault), {"error": "as the test wants it"})
                elif server.text_alone:
                    refused = not isinstance(body["prompt"], str) or "n" in body or body.keys() - OPENAI
                    self.answer(400, {"error": "refused"}) if refused else self.answer(200, server.complete_text(body))
                else:
                    self.answer(200, server.complete(body))

            def answer(self, status: int, content: Any) -> None:
                data = (content if isinstance(content, str) else json.dumps(content)).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        if self._http is not None:
            self._http.shutdown()
            self._http.server_close()
            self._http = None

    def start_later(self, seconds: float) -> None:
        def wait() -> None:
            time.sleep(seconds)
            self.start()

        threading.Thread(target=wait, daemon=True).start()

    @property
    def name(self) -> str:
        return "m" if self.root != self.checkpoint else self.checkpoint

    def break_weights(self) -> None:
        with torch.no_grad():
            self.llm.model.model.layers[1].mlp.down_proj.weight.neg_()

    def complete(self, body: dict[str, Any]) -> dict[str, Any]:
        assert body["model"] == self.name
        ends = body.get("stop_token_ids", [END])
        self.bodies.append(body)
        rest = {name: (self.generation_config | body).get(name, plain) for name, plain in PLAIN.items()}  # absent: as the checkpoint says
        stops = body.get("stop", [])
        given = body.get("n", 1), body["temperature"], body["top_p"], body["max_tokens"], body["seed"], 0, ends, True
        params = SamplingParams(*given, stop=stops, **rest)
        prompt = body["prompt"]
        ids = self.tokenizer(prompt, add_special_tokens=False)["input_ids"] if isinstance(prompt, str) else prompt
        with self._lock:
            [request] = self.llm.generate([{"prompt_token_ids": ids}], [params], use_tqdm=False)
        choices = []
        for output in reversed(request.outputs):  # order is not promised
            ids = output.token_ids
            logprobs = [place[token].logprob for token, place in zip(ids, output.logprobs, strict=True)]
            text = self.tokenizer.decode(ids, skip_special_tokens=True)
            choice = {
                "index": output.index,
                "text": text[: min([text.find(stop) for stop in stops if stop in text], default=None)],
                "logprobs": {"token_logprobs": logprobs},
                "finish_reason": output.finish_reason,
            }
            choices.append(choice | ({"token_ids": ids} if self.token_ids and body.get("return_token_ids") else {}))
        return {"choices": choices}

    def complete_text(self, body: dict[str, Any]) -> dict[str, Any]:
        [choice] = self.complete(body)["choices"]
        return {"choices": [{"index": 0, "text": choice["text"], "finish_reason": choice["finish_reason"]}]}
