"""The figure that a run is judged by: which it is, its gain with an interval, and how it was measured."""

from __future__ import annotations

import math

from rl.run_data import RunData, known

# figure, gain, in words; the first that both the base and the result have is the headline. Greedy decoding comes first: its gain cannot
# come from a lower temperature
HEADLINES = (("greedy_pass@1", "greedy_gain", "greedy pass@1"), ("pass@1", "gain", "pass@1"))


def percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def points(value: float) -> str:
    return f"{100 * value:+.1f} points"


def headline_of(run: RunData) -> tuple[str, str, str]:
    """(figure, gain, in words) of HEADLINES; the last where none was measured."""
    return next((h for h in HEADLINES if known(run.base, h[0]) is not None and known(run.final, h[0]) is not None), HEADLINES[-1])


def gain_interval(run: RunData) -> tuple[float | None, float | None, float | None, str]:
    """(gain, low, high, what kind of interval): paired where the run wrote one, else from the two intervals, unpaired and so wider.

    All None where there is no gain: nothing was measured, or the run ends with its base.
    """
    figure, of_gain, _ = headline_of(run)
    base, final = known(run.base, figure), known(run.final, figure)
    if base is None or final is None or run.kept_base:
        return None, None, None, ""
    gain, interval = known(run.final, of_gain), run.final.get(f"{of_gain}_ci")
    if gain is not None and interval is not None:
        return gain, interval[0], interval[1], "bootstrap, paired over tasks"
    intervals = [row[f"{figure}_ci"] for row in (run.base, run.final) if row.get(f"{figure}_ci")]
    if len(intervals) < 2:
        return final - base, None, None, ""
    half = math.hypot(*((high - low) / 2 for low, high in intervals))
    return final - base, final - base - half, final - base + half, "unpaired, from the two 95 % intervals"


def how_measured(run: RunData) -> str:
    """What the verdict's figure is: benchmark, samples, temperature; empty where the run does not say."""
    evals = run.config.get("evals") or {}
    name = next((name for name, figures in (run.base.get("benchmarks") or {}).items() if "unavailable" not in figures), None)
    if name is None or "temperature" not in evals:
        return ""
    if (words := headline_of(run)[2]) != "pass@1" and evals["temperature"] > 0:
        return ", ".join(filter(None, [f"{words} on {name}", evals.get("dtype")]))
    drawn = "greedy" if evals["temperature"] == 0 else f"{evals['samples']} samples a task at temperature {evals['temperature']:g}"
    return ", ".join(filter(None, [f"pass@1 on {name}", drawn, evals.get("dtype")]))
