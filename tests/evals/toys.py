"""A benchmark of two functions, and a sampler that answers from a list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from probing.samplers.base import Completion, Progress, SamplingParams
from rl.benchmarks.base import Benchmark, EvalTask

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

DOUBLE = EvalTask("toy/double", "Double x.", "double", ("[1]", "[-3]", "[0]"), "def double(x):\n    return x * 2", "Double the number x.")
FIRST = EvalTask("toy/first", "First of xs.", "first", ("[[1, 2]]", "[[]]"), "def first(xs):\n    return xs[0]", "Give the first of xs.")
TOY = Benchmark("toy", (DOUBLE, FIRST), "tests")


def fenced(code: str) -> str:
    return f"```python\n{code}\n```"


class ListSampler:
    """Gives the listed answers in turn, whatever is asked."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = answers
        self.asked: list[tuple[list[str], int, SamplingParams, int]] = []

    def sample(
        self,
        prompts: Sequence[str],
        n: int,
        params: SamplingParams,
        seed: int,
        progress: Progress | None = None,
        indices: Sequence[int] | None = None,
    ) -> list[list[Completion]]:
        self.asked.append((list(prompts), n, params, seed))
        if progress is not None:
            progress(n * len(prompts))
        return [[Completion(text, tuple(range(len(text.split()) or 1)), (0.0,), True) for text in group[:n]] for group in self.answers]

    def close(self) -> None:
        return None


class PlainChat:
    """A tokenizer in so far as `render_chat` needs one."""

    chat_template = "plain"

    def apply_chat_template(self, turns: list[dict[str, str]], **_: Any) -> str:
        return f"<{turns[0]['content']}>"


TOKENIZER = cast("PreTrainedTokenizerBase", PlainChat())
