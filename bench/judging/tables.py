"""What `bench.judging.judge` measured, as Markdown tables and as a plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.judging.pools import REGIMES


@dataclass(frozen=True)
class Row:
    """One cell of the results: means over tasks (and draws within each), with 95 % intervals."""

    rule: str
    regime: str
    wrong_share: float
    pick: float  # how often the pick is right
    pick_ci: tuple[float, float]
    auroc: float  # within the pool, without one's own vote
    n_tasks: int


def markdown(rows: Sequence[Row], what: str) -> str:
    """A table a regime: rules down, wrong shares across."""
    parts = []
    for regime in REGIMES:
        shares = sorted({r.wrong_share for r in rows})
        parts.append(
            f"\n{what}, wrong programs {regime}\n\n| rule | "
            + " | ".join(f"{s:.0%} wrong" for s in shares)
            + " |\n|"
            + "---|" * (len(shares) + 1)
        )
        for name in dict.fromkeys(r.rule for r in rows):
            cells = [r for r in rows if r.rule == name and r.regime == regime]
            shown = [f"{100 * r.pick:.1f}" if what.startswith("Right picks") else f"{r.auroc:.3f}" for r in cells]
            parts.append(f"| {name} | " + " | ".join(shown) + " |")
    return "\n".join(parts)


def plot(rows: Sequence[Row], path: Path) -> None:
    """Right picks over the share of wrong programs, one panel a regime."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(REGIMES), figsize=(12, 4.8), sharey=True)
    for axis, regime in zip(axes, REGIMES, strict=True):
        for name in dict.fromkeys(r.rule for r in rows):
            line = [r for r in rows if r.rule == name and r.regime == regime]
            x, y = [r.wrong_share for r in line], [r.pick for r in line]
            style = "-" if name in ("hard", "soft", "sharp") else "--" if "asserts" in name else ":"
            axis.plot(x, y, style, marker=".", label=name)
            axis.fill_between(x, [r.pick_ci[0] for r in line], [r.pick_ci[1] for r in line], alpha=0.1)
        axis.set(title=f"wrong programs {regime}", xlabel="share of wrong programs among 64", ylim=(0, 1.02))
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("the pick is right")
    axes[0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
