"""The ablation's Markdown tables, for RESULTS.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.ablate.collect import HEADLINES
from bench.ablate.plan import LEAD, title
from bench.markdown import interval, number, percent, table


def tables(result: Mapping[str, Any]) -> str:
    """All of them, with a heading sentence each."""
    seeds = len(result["seeds"])
    heading = (
        f"`{result['command']}`, commit {result['commit']}, {seeds} seeds, {result['tasks']} tasks of {result['benchmark']} "
        f"({headline(result)}; sampled: {result.get('tasks_of', {}).get('pass@1', result['tasks'])}); "
        "95 % intervals by bootstrap over tasks and seeds, differences paired."
    )
    parts = [
        heading,
        arms_table(result),
        pairs_table(result),
        time_table(result),
        long_table(result),
        ends_table(result),
        targets_table(result),
    ]
    return "\n\n".join(part for part in parts if part)


def headline(result: Mapping[str, Any]) -> str:
    """What gains and differences are of, in words; results before greedy decoding was measured have pass@1 at a temperature."""
    return {"greedy": "greedy pass@1"}.get(result.get("headline", "pass@1"), "pass@1")


def _cell(found: Mapping[str, Any] | None, points: bool = False) -> str:
    return "–" if found is None else interval({"x": found["value"], "x_ci": found["ci"]}, "x", points)


def _share(found: Mapping[str, Any] | None) -> str:
    return "–" if found is None else f"{found['value']:.2f} [{found['ci'][0]:.2f}, {found['ci'][1]:.2f}]"


def arms_table(result: Mapping[str, Any]) -> str:
    """Headline first; a score that was not measured has no column."""
    scores = [score for score in ("greedy", "best temperature", "pass@1") if any(score in found for found in result["arms"].values())]
    gains = ["best temperature"] if "best temperature" in scores else []
    header = ["arm", *scores, f"gain, {headline(result)}, points", *(f"{score} minus base's, points" for score in gains)]
    header += ["of the oracle's gain", "pass@16", "majority@16", "pass@16 minus base, points"]
    rows = [
        [
            title(arm),
            *(_cell(found.get(score)) for score in scores),
            _cell(found.get("gain"), points=True),
            *(_cell(found.get(f"{score} minus the base's"), points=True) for score in gains),
            _share(found.get("recovered")),
            _cell(found.get("pass@16")),
            _cell(found.get("majority@16")),
            _cell(found.get("pass@16 minus the base's"), points=True),
        ]
        for arm, found in result["arms"].items()
    ]
    return table(header, rows)


def pairs_table(result: Mapping[str, Any]) -> str:
    """Mixed against every other arm."""
    rows = []
    for row in result["differences"]:
        if LEAD in (row["arm"], row["minus"]):
            sign = 1 if row["arm"] == LEAD else -1
            ends = sorted(sign * end for end in row["ci"])
            other = row["minus"] if sign == 1 else row["arm"]
            rows.append([title(other), _cell({"value": sign * row["value"], "ci": ends}, points=True)])
    return table([f"{title(LEAD)} minus", f"{headline(result)}, points (paired)"], rows) if rows else ""


def time_table(result: Mapping[str, Any]) -> str:
    """Audit and entropy at the first and the last bin of training, and what the guards did."""
    header = ["arm", "label accuracy", "reward accuracy", "majority wrong", "token entropy", "guards' actions", "steps"]
    rows = []
    for arm, found in result["arms"].items():
        if "curves" not in found:
            continue
        ends = {name: (points[0][1], points[-1][1]) if points else (None, None) for name, points in found["curves"].items()}
        shares = ("label_accuracy", "reward_accuracy", "majority_wrong")
        cells = [" → ".join(percent(end) for end in ends[name]) for name in shares]
        entropy = " → ".join(number(end, 2) for end in ends["entropy"])
        actions = sum(len(row["guard_actions"]) for row in found["by_seed"])
        steps = sorted({row["steps"] for row in found["by_seed"]})
        rows.append([title(arm), *cells, entropy, str(actions), "–".join(str(n) for n in dict.fromkeys((steps[0], steps[-1])))])
    return table(header, rows)


def long_table(result: Mapping[str, Any]) -> str:
    rows = [
        [
            title(found.get("arm", name)),  # results of a single seed were named by their arm
            str(found["seed"]),
            str(found["end_round"]),
            f"{percent(found['best'])} (round {found['best_round']})",
            percent(found["rounds"][-1][HEADLINES[found.get("headline", "pass@1")]]),
            _cell(found["end_minus_best"], points=True),
            f"round {found['chosen_round']}, {_cell(found['chosen_minus_best'], points=True)}",
            str(found["guard_actions"]),
        ]
        for name, found in result["long"].items()
    ]
    header = [
        "long run",
        "seed",
        "rounds",
        "best",
        "at the end",
        "end minus best, points",
        "chosen without labels, minus best",
        "guards' actions",
    ]
    return table(header, rows) if rows else ""


def ends_table(result: Mapping[str, Any]) -> str:
    rows = [[title(row["minus"]), ", ".join(map(str, row["seeds"])), _cell(row, points=True)] for row in result.get("long_differences", ())]
    return table([f"last round of the long runs: {title(LEAD)} minus", "seeds", "points (paired)"], rows) if rows else ""


def targets_table(result: Mapping[str, Any]) -> str:
    words = {True: "met", False: "missed", None: "not measured"}
    rows = [
        [row["target"], row["wanted"], _share(row if row["value"] is not None else None), words[row["met"]]] for row in result["targets"]
    ]
    return table(["target", "wanted", "found", ""], rows)
