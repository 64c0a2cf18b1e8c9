"""What `held_out.json` says of a checkpoint: how often its answers agree with round 1's votes on the problems that were kept apart.

    round_NN/held_out.json    {"problems": 90, "agreement": 0.91, "shares": {problem: share}, "margins": {problem: margin}}

`rl.loop.agreement` measures it; `rl.loop.choice` decides by it. Not an evaluation: agreement with a vote that may be wrong says which
checkpoint is better, not how good it is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rl.config.schema import Config

NAME = "held_out.json"


class RunFolder(Protocol):
    """What is asked of a run here, be it going on or over."""

    @property
    def folder(self) -> Path: ...
    @property
    def model(self) -> str: ...
    @property
    def config(self) -> Config: ...


def held_out_agreement(shares: Sequence[float | None], margins: Sequence[float]) -> float | None:
    """Mean over problems of the share of answers that behave like the vote's winner, weighted by its margin; None without a problem."""
    known = [(share, margin) for share, margin in zip(shares, margins, strict=True) if share is not None and margin > 0]
    total = sum(margin for _, margin in known)
    return sum(share * margin for share, margin in known) / total if known else None


def difference_error(one: Mapping[str, float | None], other: Mapping[str, float | None], margins: Mapping[str, float]) -> float:
    """Standard error of the difference between two agreements, paired by problem and weighted as they are.

    With fewer than two problems, or a file from before margins were kept, it cannot be told and is 0: then only the best round is chosen.

    one, other: a problem's share of answers that behave like the vote's winner, by its id. margins: of its vote.
    """
    pairs = [(a - b, margins[key]) for key, a in one.items() if a is not None and (b := other.get(key)) is not None and margins.get(key)]
    total, n = sum(margin for _, margin in pairs), len(pairs)
    if n < 2:
        return 0.0
    mean = sum(gap * margin for gap, margin in pairs) / total
    return math.sqrt(n / (n - 1) * sum((margin / total * (gap - mean)) ** 2 for gap, margin in pairs))


def error_between(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """`difference_error` of what two files held_out.json say."""
    return difference_error(one.get("shares", {}), other.get("shares", {}), one.get("margins", {}))


def held_out_of(run: RunFolder, index: int) -> float | None:
    """The agreement of a round's checkpoint; None where it was not measured."""
    found: float | None = read_held_out(run, index)["agreement"]
    return found


def read_held_out(run: RunFolder, index: int) -> dict[str, Any]:
    """What a round's file says; agreement None where there is none."""
    path = run.folder / f"round_{index:02d}" / NAME
    found: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {"agreement": None}
    return found
