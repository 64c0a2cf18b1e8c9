"""The picture of the ablation: arms with intervals, labels and entropy through training, the long runs by round."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.ablate.collect import HEADLINES
from bench.ablate.plan import TITLES, title
from bench.ablate.tables import headline

COLOURS = dict(zip(TITLES, matplotlib.colormaps["tab10"].colors, strict=False))  # type: ignore[attr-defined]
OTHERS = matplotlib.colormaps["Dark2"].colors  # type: ignore[attr-defined]


def _colour(arm: str) -> Any:
    """The arm's, in every plot; arms that were only tried have one by their name."""
    return COLOURS.get(arm, OTHERS[crc32(arm.encode()) % len(OTHERS)])


def draw(result: Mapping[str, Any], path: Path) -> None:
    """Write the PNG."""
    figure = Figure(figsize=(13, 8.5), layout="constrained")
    axes = figure.subplots(2, 3)
    _arms(axes[0, 0], result)
    _curve(axes[0, 1], result, "label_accuracy", "labels that are right (audit)")
    _curve(axes[0, 2], result, "reward_accuracy", "rewards with the right sign (audit)")
    _curve(axes[1, 0], result, "majority_wrong", "groups whose majority is wrong (audit)")
    _curve(axes[1, 1], result, "entropy", "token entropy, nats")
    _long(axes[1, 2], result)
    labelled = {line.get_label(): line for axis in axes.flat for line in axis.lines if not str(line.get_label()).startswith("_")}
    figure.legend(labelled.values(), labelled.keys(), loc="outside lower center", ncols=5, fontsize=9)
    figure.savefig(path, dpi=120)


def _arms(axis: Axes, result: Mapping[str, Any]) -> None:
    score = result.get("headline", "pass@1")
    names = sorted(result["arms"], key=lambda arm: result["arms"][arm][score]["value"])
    for place, arm in enumerate(names):
        found = result["arms"][arm][score]
        low, high = found["ci"]
        axis.plot([100 * low, 100 * high], [place, place], color=_colour(arm), linewidth=2)
        axis.plot([100 * found["value"]], [place], "o", color=_colour(arm))
    axis.set_yticks(range(len(names)), [title(arm) for arm in names])
    axis.set_xlabel(f"{headline(result)} on {result['benchmark']}, %, {len(result['seeds'])} seeds, 95 %")
    axis.grid(alpha=0.3)


def _curve(axis: Axes, result: Mapping[str, Any], figure: str, label: str) -> None:
    for arm, found in result["arms"].items():
        points = found.get("curves", {}).get(figure, [])
        if points:
            axis.plot(*zip(*points, strict=True), color=_colour(arm), label=title(arm))
    axis.set(xlabel="step", title=label)
    axis.grid(alpha=0.3)


def _long(axis: Axes, result: Mapping[str, Any]) -> None:
    if not result["long"]:
        axis.axis("off")
        axis.text(0.5, 0.5, "the long runs are not among these", ha="center", color="gray")
        return
    for name, found in result["long"].items():
        arm = found.get("arm", name)
        key = HEADLINES[found.get("headline", "pass@1")]
        rows = [row for row in found["rounds"] if row[key] is not None]
        rounds = [row["round"] for row in rows]
        axis.plot(rounds, [100 * row[key] for row in rows], color=_colour(arm), marker=".", label=title(arm))
        low, high = ([100 * row[f"{key}_ci"][i] for row in rows] for i in (0, 1))
        axis.fill_between(rounds, low, high, color=_colour(arm), alpha=0.12)
        chosen = next(row for row in rows if row["round"] == found["chosen_round"])
        axis.plot([chosen["round"]], [100 * chosen[key]], "*", color=_colour(arm), markersize=13)
    axis.set(xlabel="round", title=f"{headline(result)}, %, by round\n(star: chosen without labels)")
    axis.grid(alpha=0.3)
