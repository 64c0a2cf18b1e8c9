"""A model that answers each of the prompts of `ucoder solve` from a list, and the problem that it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from probing.samplers.base import Completion, Progress, SamplingParams
from probing.stages.config import SolutionsConfig, SuitesConfig
from rl.solve.solving import SolveSettings

STATEMENT = """# Largest gap

Return the largest difference between neighbours in a list, 0 for fewer than two numbers.

```python
def largest_gap(xs: list[int]) -> int:
```
"""
RIGHT = "def largest_gap(xs):\n    return max((abs(a - b) for a, b in zip(xs, xs[1:])), default=0)"
SIGNED = "def largest_gap(xs):\n    return max((b - a for a, b in zip(xs, xs[1:])), default=0)"
SPREAD = "def largest_gap(xs):\n    return max(xs) - min(xs) if xs else 0"
BROKEN = "def largest_gap(xs):\n    return xs.gap()"
CALLS = "([1, 5, 2])\nlargest_gap([])\nlargest_gap([9, 1])\nlargest_gap([3, 3])\nlargest_gap([1, 2, 9, 4])"
INTERFACE = "The largest absolute difference between neighbours, 0 for fewer than two numbers."

# what a prompt of the set `instruct` says -> the skill
SKILLS = {"different calls of": "tests", "Write a docstring": "interface", "Write the `def` line": "signature", "Solve this": "solve"}


def settings(samples: int, seed: int = 0, examples: bool = True) -> SolveSettings:
    """Few samples and inputs."""
    return SolveSettings(SolutionsConfig(samples=samples), SuitesConfig(inputs=20, pool=40, samples=1), seed=seed, examples=examples)


class ToyModel:
    """Answers each skill from its list, again from the start when that is used up; `asked` keeps the prompts by skill."""

    def __init__(self, solve: Sequence[str] = (RIGHT,), **others: Sequence[str]) -> None:
        self.answers = {"solve": solve, "tests": [CALLS], "interface": [INTERFACE], "signature": ["nonsense"], **others}
        self.asked: dict[str, list[str]] = {}
        self.knows_logprobs = True

    def sample(
        self,
        prompts: Sequence[str],
        n: int,
        params: SamplingParams,
        seed: int,
        progress: Progress | None = None,
        indices: Sequence[int] | None = None,
    ) -> list[list[Completion]]:
        if progress is not None:
            progress(n * len(prompts), 2 * n * len(prompts), None)
        return [self._answers(prompt, n) for prompt in prompts]

    def _answers(self, prompt: str, n: int) -> list[Completion]:
        skill = next(skill for words, skill in SKILLS.items() if words in prompt)
        self.asked.setdefault(skill, []).append(prompt)
        texts = self.answers[skill]
        logprobs = [(-0.1 * (i + 1),) * 2 if self.knows_logprobs else () for i in range(n)]
        return [Completion(texts[i % len(texts)], (1, 2), logprobs[i], True) for i in range(n)]

    def close(self) -> None:
        return None


def no_bar(name: str, total: int, unit: str) -> AbstractContextManager[Progress]:
    return nullcontext(lambda samples, tokens=0, seconds_left=None: None)
