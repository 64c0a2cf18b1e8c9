"""Stage 5's samples in figures, for the log."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator

from probing.records import Candidate


class SamplingFigures:
    """Stage 5's samples in figures: how many, how long, how fast, and the shares that hold no program or were cut off."""

    def __init__(self) -> None:
        self.started, self.logprob = time.monotonic(), 0.0
        self.sums: Counter[str] = Counter()

    def counting(self, candidates: Iterable[Candidate]) -> Iterator[Candidate]:
        """The candidates themselves, counted as they pass."""
        for c in candidates:
            self.sums.update({"samples": 1, "tokens": c.n_tokens, "no_program": c.code is None, "cut_off": not c.finished})
            self.logprob += c.mean_logprob
            yield c

    def as_dict(self) -> dict[str, float]:
        count, tokens = self.sums["samples"], self.sums["tokens"]
        if not count:
            return {"samples": 0}
        return {
            "samples": count,
            "tokens": tokens,
            "tokens_per_second": tokens / (time.monotonic() - self.started),
            "mean_tokens": tokens / count,
            "mean_logprob": self.logprob / count,
            "no_program": self.sums["no_program"] / count,
            "cut_off": self.sums["cut_off"] / count,
        }
