"""What every sampler promises: n completions a prompt, with token logprobs, repeatable from a seed.

Not a generation library: it has the few knobs that the method uses (temperature, top-p, length), and the method's one demand on
randomness: what a sample draws depends on (seed, prompt index, sample index) alone, never on what happened to share its batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeGuard, runtime_checkable


class SamplerError(RuntimeError):
    """The model or engine behind a sampler failed: an infrastructure failure, never a wrong answer."""


class PromptError(ValueError):
    """A prompt that has no tokens, or that does not fit the model's context with the answer that is asked for."""


@dataclass(frozen=True)
class Completion:
    """One sampled answer.

    >>> Completion("return 1", (5, 9, 2), (-0.1, -0.7, -0.01), True).finished
    True
    """

    text: str  # decoded, special tokens removed, cut before the first stop string
    token_ids: tuple[int, ...]  # length L >= 1, as sampled, with the end token or the one that completed a stop string
    logprobs: tuple[
        float, ...
    ]  # length L, nats under the untempered, untruncated policy; NaN, or empty (`sampling.http.text_only`): unknown
    finished: bool  # ended with an end token or a stop string, not by the length limit


@dataclass(frozen=True)
class SamplingParams:
    """How to sample. `temperature=0` is greedy decoding. Raises ValueError on values out of range."""

    temperature: float = 1.0  # >= 0
    top_p: float = 1.0  # in (0, 1]: nucleus of Holtzman et al. (2020); 1 keeps the whole vocabulary
    max_new_tokens: int = 256  # >= 1, end token included
    stop: tuple[str, ...] = ()  # an answer ends with the token that completes one of these in its own text; the prompt does not count

    def __post_init__(self) -> None:
        if self.temperature < 0:
            raise ValueError(f"temperature must be at least 0, not {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must lie in (0, 1], not {self.top_p}")
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be at least 1, not {self.max_new_tokens}")
        if not isinstance(self.stop, tuple) or not all(isinstance(text, str) and text for text in self.stop):
            raise ValueError(f"stop must be a tuple of strings that are not empty, not {self.stop!r}")


def first_stop(text: str, stops: Sequence[str]) -> int | None:
    """Where the first of the stop strings begins in a text; None where it holds none.

    >>> first_stop("x = 1\\n```\\nThis", ("This", "\\n```"))
    5
    """
    return min((place for place in map(text.find, stops) if place >= 0), default=None)


def cut_at_stop(text: str, stops: Sequence[str]) -> str:
    """The text before its first stop string; all of it where it holds none."""
    return text[: first_stop(text, stops)]


class Progress(Protocol):
    """What a sampler calls while it works: after every step, or after every answer where the engine reports no steps."""

    def __call__(self, samples: int, tokens: int = 0, seconds_left: float | None = None) -> None:
        """Since the last call `samples` were finished and `tokens` drawn, of these and of unfinished ones.

        seconds_left: what the rest of the call is expected to take; infinity while that cannot be told yet; None from a sampler that
        never tells. Samples without a token were not drawn now: another process draws them, or they were there.
        """


class Sampler(Protocol):
    """Draws completions from one checkpoint."""

    def sample(
        self,
        prompts: Sequence[str],
        n: int,
        params: SamplingParams,
        seed: int,
        progress: Progress | None = None,
        indices: Sequence[int] | None = None,
    ) -> list[list[Completion]]:
        """`n` completions of each prompt, in the order of `prompts`.

        Prompts are rendered text, tokenised as they stand (no special tokens are added). `progress`: see `Progress`. `indices` names the
        prompts in the randomness (default 0, 1, ...): a shard of a larger list passes the places that its prompts have in that list, and
        draws the same samples as a single process would.
        Raises ValueError for what the caller can mend (n < 1; PromptError for too long a prompt), SamplerError when the model or engine
        fails.
        """

    def close(self) -> None:
        """Free the model or engine. Calling it twice is harmless."""


class ChoosingSampler(Sampler, Protocol):
    """A sampler that can read the probabilities of a few answers instead of drawing one (see `chooses`)."""

    can_choose: bool

    def choose(self, prompts: Sequence[str], choices: Sequence[str], progress: Progress | None = None) -> list[tuple[float, ...] | None]:
        """For each prompt, the probability that it goes on with each of the choices, given that it goes on with one of them.

        None where a choice is not one token after that prompt (a blank at the prompt's end may be a part of it).
        """


def chooses(sampler: Sampler) -> TypeGuard[ChoosingSampler]:
    """Whether the sampler can read the probabilities of choices."""
    return bool(getattr(sampler, "can_choose", False))


@runtime_checkable
class StreamingSampler(Sampler, Protocol):
    """A sampler that need not hold all samples in memory."""

    def stream(
        self,
        prompts: Sequence[str],
        n: int,
        params: SamplingParams,
        seed: int,
        progress: Progress | None = None,
        indices: Sequence[int] | None = None,
    ) -> Iterator[list[Completion]]:
        """As `sample`, the samples of one prompt at a time."""
