"""The report's plots. Each returns inline SVG, or None where the run has nothing to draw."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.ticker import PercentFormatter

from rl.evals.passk import wilson_interval
from rl.report.theme import INK, MUTED, SERIES, STYLE, legend_above, new_figure, to_svg, whole_ticks
from rl.run_data import Row, RunData, known
from rl.tracking.monitor import GUARDED, place_of

Named = Sequence[tuple[str, RunData]]  # runs drawn in one plot, each with its label

# figure in the training log, title, unit
TRAINING_FIGURES = (
    # the mixed reward itself is centred in each group: its mean is 0 at every step
    ("consensus", "Reward: consensus", "mean over rollouts, before mixing"),
    ("quality", "Reward: probe", "mean over rollouts, before mixing"),
    ("audit/accuracy", "Rollouts that are right", "share, audited, never trained on"),
    ("majority_share", "Share of the majority", "mean over groups"),
    ("entropy", "Token entropy", "nats"),
    ("distinct_behaviours", "Distinct behaviours", "a group"),
    ("tokens", "Length", "tokens a rollout"),
    ("no_program", "Rollouts without a program", "a step"),
    ("kl", "KL from the round's start", "nats a token"),
    ("probe_concordance", "Probe agrees with consensus", "share of pairs within groups"),
    ("held_out_agreement", "Agreement on held-out problems", "share"),
    ("loss", "Loss", ""),
)


def learning_curve(runs: Named, key: str, name: str, title: str) -> str | None:
    """One metric by round, with its 95 % interval where there is one."""
    with matplotlib.rc_context(STYLE):
        figure, axes = new_figure()
        drawn: set[int] = set()
        for color, (label, run) in zip(SERIES, runs, strict=False):
            points = [(row["round"], value, row.get(f"{key}_ci")) for row in run.rows if (value := known(row, key)) is not None]
            if not points:
                continue
            rounds = [number for number, _, _ in points]
            drawn |= set(rounds)
            axes.plot(rounds, [value for _, value, _ in points], color=color, marker="o", markersize=6, label=label)
            banded = [(number, interval) for number, _, interval in points if interval is not None]
            if banded:
                low, high = ([interval[i] for _, interval in banded] for i in (0, 1))
                axes.fill_between([number for number, _ in banded], low, high, color=color, alpha=0.15, linewidth=0)
            for number, value, _ in (points[0], points[-1]) if len(points) > 1 else points:
                axes.annotate(f"{100 * value:.1f}", (number, value), xytext=(0, 9), textcoords="offset points", ha="center", color=INK)
        if not drawn:
            return None
        whole_ticks(axes, sorted(drawn))
        axes.margins(y=0.22)
        axes.set_xlabel("round")
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        if len(runs) > 1:
            legend_above(axes)
        return to_svg(figure, name, f"{title} by round")


def breadth_curves(run: RunData, name: str) -> str | None:
    """pass@1, majority@16, pass@16 and label accuracy in one plot: what is known against what could be reached."""
    with matplotlib.rc_context(STYLE):
        figure, axes = new_figure()
        drawn: set[int] = set()
        keys = (("pass@16", "pass@16"), ("label_accuracy", "labels right"), ("majority@16", "majority@16"), ("pass@1", "pass@1"))
        for color, (key, label) in zip((SERIES[2], SERIES[3], SERIES[1], SERIES[0]), keys, strict=True):
            points = [(row["round"], value) for row in run.rows if (value := known(row, key)) is not None]
            if points:
                drawn |= {number for number, _ in points}
                axes.plot(*zip(*points, strict=True), color=color, marker="o", markersize=5, label=label)
        if not drawn:
            return None
        whole_ticks(axes, sorted(drawn))
        axes.set_xlabel("round")
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        legend_above(axes, columns=2)
        return to_svg(figure, name, "pass@16, majority@16, label accuracy and pass@1 by round")


def training_curve(runs: Named, key: str, name: str, title: str) -> str | None:
    """One figure over the optimizer steps of all rounds, a curve for each training of a round (SFT's loss is not GRPO's); dotted lines
    divide rounds, triangles mark guards."""
    with matplotlib.rc_context(STYLE):
        figure, axes = new_figure(height=2.2)
        drawn = False
        for color, (label, run) in zip(SERIES, runs, strict=False):
            steps = run.training_steps()
            trainings = itertools.groupby(steps, key=place_of)
            curves = [[(row["global_step"], value) for row in rows if (value := known(row, key)) is not None] for _, rows in trainings]
            curves = [points for points in curves if points]
            for place, points in enumerate(curves):
                marker = "o" if len(points) == 1 else None
                axes.plot(*zip(*points, strict=True), color=color, label=None if place else label, linewidth=1.6, marker=marker)
            if not curves:
                continue
            drawn = True
            if len(runs) == 1:
                for before, after in itertools.pairwise(steps):
                    if after["round"] != before["round"]:
                        axes.axvline(before["global_step"] + 0.5, color=MUTED, linewidth=0.9, linestyle=(0, (1, 3)))
                fired = _guard_steps(run, steps)
                if fired:
                    axes.plot(fired, [0.04] * len(fired), "^", color=SERIES[4], markersize=7, transform=axes.get_xaxis_transform())
        if not drawn:
            return None
        axes.set_xlabel("optimizer step")
        if len(runs) > 1:
            legend_above(axes)
        return to_svg(figure, name, f"{title} over optimizer steps")


def _guard_steps(run: RunData, steps: Sequence[Row]) -> list[int]:
    places = {(row["round"], row["step"]): row["global_step"] for row in steps if row["stage"] == GUARDED}
    return [places[key] for event in run.guard_events if (key := (event["round"], event["step"])) in places]


LONG_LABEL = 14  # characters of a label from which three do not fit in a line


def stacked_bars(parts_by_round: Sequence[tuple[str, dict[str, float]]], name: str, unit: str, title: str) -> str | None:
    """Horizontal bars, one a round, stacked by part (the largest parts first; small ones join as `other`)."""
    totals: dict[str, float] = {}
    for _, parts in parts_by_round:
        for part, value in parts.items():
            totals[part] = totals.get(part, 0.0) + value
    if not any(totals.values()):
        return None
    names = [part for part, total in totals.items() if total > 0]
    if len(names) > len(SERIES):
        small = set(sorted(names, key=lambda part: -totals[part])[len(SERIES) - 1 :])
        parts_by_round = [
            (label, {k: v for k, v in p.items() if k not in small} | {"other": sum(p.get(k, 0.0) for k in small)})
            for label, p in parts_by_round
        ]
        names = [part for part in names if part not in small] + ["other"]
    with matplotlib.rc_context(STYLE):
        columns = 3 if max(map(len, names)) <= LONG_LABEL else 2
        lines = -(-len(names) // columns)
        figure, axes = new_figure(height=0.7 + 0.4 * len(parts_by_round) + 0.2 * lines)
        left = np.zeros(len(parts_by_round))
        for color, part in zip(SERIES, names, strict=False):
            values = np.array([parts.get(part, 0.0) for _, parts in parts_by_round])
            axes.barh(range(len(values)), values, left=left, color=color, height=0.62, label=part.replace("_", " "))
            left += values
        for place, total in enumerate(left):
            axes.annotate(f"{total:,.0f}", (total, place), xytext=(5, 0), textcoords="offset points", va="center", color=INK)
        axes.set_yticks(range(len(parts_by_round)), [label for label, _ in parts_by_round])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        axes.set_xlim(0, max(left) * 1.12)
        axes.set_xlabel(unit)
        legend_above(axes, columns)
        return to_svg(figure, name, title)


AUROC_ROWS = (
    ("probe_auroc_within_controlled", "probe, controlled"),
    ("probe_auroc_within_raw", "probe, raw"),
    ("logprob_auroc_within", "mean logprob"),
    ("length_auroc_within", "length alone"),
    ("probe_auroc_pooled", "probe, pooled"),
)


def auroc_dots(run: RunData, name: str) -> str | None:
    """What separates right from wrong within a problem: one row a measure, one dot a round, the latest filled."""
    rows = [row for row in run.rows if any(known(row, key) is not None for key, _ in AUROC_ROWS)]
    if not rows:
        return None
    floor = float(run.config.get("probe", {}).get("floor", 0.6))
    with matplotlib.rc_context(STYLE):
        figure, axes = new_figure()
        for place, (key, _) in enumerate(AUROC_ROWS):
            points = [(value, row["round"]) for row in rows if (value := known(row, key)) is not None]
            color = MUTED if "pooled" in key else SERIES[place % len(SERIES)]
            for value, _ in points[:-1]:
                axes.plot(value, place, "o", markersize=7, markerfacecolor="none", markeredgecolor=color, markeredgewidth=1.4)
            if points:
                axes.plot(points[-1][0], place, "o", markersize=8, color=color)
                axes.annotate(
                    f"{points[-1][0]:.3f}", (points[-1][0], place), xytext=(0, 8), textcoords="offset points", ha="center", color=INK
                )
        axes.axvline(0.5, color=MUTED, linewidth=1.0)
        axes.axvline(floor, color=SERIES[0], linewidth=1.0, linestyle=(0, (2, 3)))
        axes.set_yticks(range(len(AUROC_ROWS)), [label for _, label in AUROC_ROWS])
        axes.set_ylim(len(AUROC_ROWS) - 0.5, -0.8)
        axes.set_xlabel("AUROC (0.5: chance; dotted: floor)")
        axes.spines["left"].set_visible(False)
        return to_svg(figure, name, "AUROC of the probe and of simple measures")


def reliability(points: Sequence[tuple[float, bool]], name: str, x_label: str, y_label: str, bins: int = 8) -> str | None:
    """How often something was right, by what was claimed of it: bins of equal count with 95 % Wilson intervals, and the diagonal.

    points: (claim in [0, 1], whether it was right).
    """
    if len(points) < bins:
        return None
    ordered = sorted(points)
    chunks = [chunk for chunk in np.array_split(np.arange(len(ordered)), bins) if len(chunk)]
    claims = [float(np.mean([ordered[i][0] for i in chunk])) for chunk in chunks]
    rates = [float(np.mean([ordered[i][1] for i in chunk])) for chunk in chunks]
    intervals = [wilson_interval(sum(ordered[i][1] for i in chunk), len(chunk)) for chunk in chunks]
    with matplotlib.rc_context(STYLE):
        figure, axes = new_figure()
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1.0, linestyle=(0, (2, 3)))
        spread = np.abs(np.array(intervals).T - np.array(rates))
        axes.errorbar(claims, rates, yerr=spread, color=SERIES[0], fmt="o-", markersize=6, linewidth=1.6, elinewidth=1.2)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        return to_svg(figure, name, f"share that was right, by {x_label}")


def roc(curves: Sequence[tuple[str, Sequence[tuple[float, bool]]]], name: str) -> str | None:
    """Receiver operating characteristics of scores centred within their problem: (label, (score, right) pairs) each."""
    from sklearn.metrics import roc_curve

    drawable = [(label, pairs) for label, pairs in curves if len({right for _, right in pairs}) == 2]
    if not drawable:
        return None
    with matplotlib.rc_context(STYLE):
        figure, axes = new_figure()
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1.0, linestyle=(0, (2, 3)))
        for color, (label, pairs) in zip(SERIES, drawable, strict=False):
            false, true, _ = roc_curve([right for _, right in pairs], [score for score, _ in pairs])
            axes.plot(false, true, color=color, label=label)
        axes.set_xlabel("wrong ones taken")
        axes.set_ylabel("right ones taken")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        legend_above(axes, columns=3)
        return to_svg(figure, name, "ROC of consensus and probe, within problems")
