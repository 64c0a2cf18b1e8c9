"""`examples/verifiers_consensus.py` in the real library: episodes of a served model, judged as groups."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

vf = pytest.importorskip("verifiers.v1", reason="verifiers is not installed: pip install verifiers", exc_type=ImportError)

ROOT = Path(__file__).parents[2]
ANSWERS = ["def f(x):\n    return 2 * x", "```python\ndef f(x):\n    return x + x\n```", "def f(x):\n    return x * x", "No idea."]


class Model(ThreadingHTTPServer):
    """An OpenAI-compatible server that gives the answers one after another; None is an error."""

    def __init__(self, answers: list[str | None]) -> None:
        left, lock = list(answers), threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                with lock:
                    answer = left.pop(0)
                message = {"role": "assistant", "content": answer}
                body: dict[str, Any] = {"id": "1", "object": "chat.completion", "created": 1, "model": "canned"}
                body["choices"] = [{"index": 0, "message": message, "finish_reason": "stop"}]
                body["usage"] = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
                data = json.dumps({"error": {"message": "broken"}} if answer is None else body).encode()
                self.send_response(400 if answer is None else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """verifiers finds environments, tasksets and harnesses as modules on the path."""
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "examples"))
    yield
    for name in ("verifiers_consensus", "canned_harness"):
        sys.modules.pop(name, None)


def episode(tmp_path: Path, answers: list[str | None], inputs: Any = ((1,), (2,), (30,))) -> Any:
    """One finished episode: as many attempts as there are answers."""
    problem = {
        "prompt": "Write f(x), twice x.",
        "entry": "f",
        "inputs": [list(x) for x in inputs] if not isinstance(inputs, str) else inputs,
    }
    file = tmp_path / "problems.jsonl"
    file.write_text(json.dumps(problem) + "\n\n")
    made = {
        "taskset": {"id": "verifiers_consensus", "file": str(file)},
        "n": len(answers),
        "agent": {"harness": {"id": "canned_harness"}, "runtime": {"type": "subprocess"}},
    }

    async def run() -> Any:
        env = vf.load_environment(vf.resolve_env_config(made))
        assert type(env).__name__ == "ConsensusEnv"
        with Model(answers) as server:
            client = vf.EvalClientConfig(base_url=f"http://127.0.0.1:{server.server_port}/v1", api_key_var="UNSET_KEY")
            context = vf.ModelContext(model="canned", client=client, sampling=vf.SamplingConfig())
            async with env.serving():
                [task] = list(env.taskset)
                [slot] = env.slots(task)
                finished = await asyncio.wait_for(env.run_slot(slot, context), 90)
            server.shutdown()
        return finished

    return asyncio.run(run())


def rewards(finished: Any) -> list[float | None]:
    return [None if (found := trace.rewards["consensus"]) is None else found.score for trace in finished.traces]


def test_attempts_of_an_episode_vote(tmp_path: Path) -> None:
    finished = episode(tmp_path, list(ANSWERS))
    assert not finished.errors, finished.errors[0].traceback
    assert [trace.last_reply for trace in finished.traces] == ANSWERS
    assert rewards(finished) == pytest.approx([2 / 3, 2 / 3, 1 / 3, 0.0])
    assert [trace.reward for trace in finished.traces] == pytest.approx([2 / 3, 2 / 3, 1 / 3, 0.0])


def test_an_attempt_that_failed_has_no_vote_and_no_reward(tmp_path: Path) -> None:
    finished = episode(tmp_path, [ANSWERS[0], None, ANSWERS[1]])
    assert rewards(finished) == [1.0, None, 1.0]


def test_inputs_that_cannot_be_read_fail_the_episode(tmp_path: Path) -> None:
    finished = episode(tmp_path, [ANSWERS[0], ANSWERS[1]], inputs="none")
    assert "no list of inputs" in finished.errors[0].message
    assert rewards(finished) == [None, None]
