"""A run's rounds as tables in the terminal: quality and seconds, from the rows of summary.json."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from rl.console import make_console


def _number(value: Any, percent: bool = False, digits: int = 3) -> str:
    """A figure for a table cell; a missing one (None or NaN) is a dash, never a zero."""
    if value is None or value != value:
        return "–"
    return f"{100 * value:.1f} %" if percent else f"{value:,.{digits}f}"


def with_interval(row: Mapping[str, Any], key: str) -> str:
    """`41.2 % [38.0, 44.5]`, from a row that has the share under `key` and its interval under `key_ci`."""
    interval = row.get(f"{key}_ci")
    text = _number(row.get(key), percent=True)
    return text if interval is None else f"{text} [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"


def gain_with_interval(row: Mapping[str, Any], key: str) -> str:
    """`+4.1 points [1.2, 7.0]`: a difference of shares with its interval under `key_ci`."""
    value, interval = row.get(key), row.get(f"{key}_ci")
    if value is None or value != value:
        return "–"
    text = f"{100 * value:+.1f} points"
    return text if interval is None else f"{text} [{100 * interval[0]:+.1f}, {100 * interval[1]:+.1f}]"


# column title, key in the summary, how to print it
QUALITY_COLUMNS: tuple[tuple[str, str, str], ...] = (
    ("greedy [95 %]", "greedy_pass@1", "interval"),
    ("best T", "best_pass@1", "percent"),
    ("pass@1 [95 %]", "pass@1", "interval"),
    ("pass@16", "pass@16", "percent"),
    ("majority@16", "majority@16", "percent"),
    ("label acc.", "label_accuracy", "percent"),
    ("probe", "probe_auroc_within_controlled", "auroc"),
    ("logprob", "logprob_auroc_within", "auroc"),
    ("entropy", "entropy", "number"),
    ("tokens", "mean_length", "tokens"),
)
_FORMATS: dict[str, Callable[[Mapping[str, Any], str], str]] = {
    "interval": with_interval,
    "gain": gain_with_interval,
    "percent": lambda row, key: _number(row.get(key), percent=True),
    "auroc": lambda row, key: _number(row.get(key)),
    "number": lambda row, key: _number(row.get(key), digits=2),
    "tokens": lambda row, key: _number(row.get(key), digits=1),
}


def quality_table(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[tuple[str, str, str]] = QUALITY_COLUMNS,
    title: str = "Quality by round (greedy, at the best temperature, sampled; probe, logprob: AUROC within problems; entropy in nats)",
) -> Table:
    """One row a round (row 0 = before training) from the metrics of `summary.json`."""
    table = Table(title=title, title_justify="left")
    table.add_column("round", justify="right")
    for name, _, _ in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for i, row in enumerate(rows):
        table.add_row(str(row.get("round", i)), *(_FORMATS[kind](row, key) for _, key, kind in columns))
    return table


def seconds_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Seconds by stage, one row a round; stages in the order in which they first appear."""
    names = list(dict.fromkeys(name for row in rows for name in row.get("seconds") or {}))
    table = Table(title="Seconds by stage", title_justify="left")
    table.add_column("round", justify="right")
    for name in [*names, "total"]:
        table.add_column(name, justify="right", no_wrap=True)
    for i, row in enumerate(rows):
        spent = row.get("seconds") or {}
        cells = [_number(spent.get(name), digits=1) for name in names]
        table.add_row(str(row.get("round", i)), *cells, _number(sum(spent.values()), digits=1))
    return table


def print_summary(summary: Mapping[str, Any], paths: Mapping[str, str], console: Console | None = None) -> None:
    """The end of a run: the tables of `summary.json`, then labelled paths (best checkpoint, report)."""
    out = console or make_console()
    rows = [summary["base"], *summary["rounds"]]
    out.print(quality_table(rows))
    out.print(seconds_table(rows))
    for label, path in paths.items():
        out.print(f"{label:<16} {path}", soft_wrap=True, markup=False, highlight=False)
