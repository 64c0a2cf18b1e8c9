"""Numbers, intervals and tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def interval(row: Mapping[str, Any], key: str, points: bool = False) -> str:
    """`41.2 % [38.0, 44.5]`, or for a difference `+14.7 [12.1, 17.3]`."""
    if row.get(key) is None:
        return "–"
    low, high = row[f"{key}_ci"]
    value = f"{100 * row[key]:+.1f}" if points else percent(row[key])
    return f"{value} [{100 * low:.1f}, {100 * high:.1f}]"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
