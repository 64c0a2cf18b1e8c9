"""Did the run improve the model, by how much, and can that be trusted? One sentence, and the checks behind it (`rl.report.checks`)."""

from __future__ import annotations

from dataclasses import dataclass

from rl.report.checks import Check, CheckStatus, checks_of
from rl.report.headline import gain_interval, headline_of, points
from rl.run_data import RunData, known


@dataclass(frozen=True)
class Conclusion:
    """Shares, not percent. `gain` is None where there is nothing to compare."""

    status: CheckStatus
    headline: str
    base: float | None  # of the headline's figure, as are the others
    base_interval: tuple[float, float] | None
    final: float | None
    gain: float | None
    low: float | None
    high: float | None
    interval_kind: str
    checks: tuple[Check, ...]

    @property
    def trust(self) -> tuple[CheckStatus, str]:
        """Can it be trusted? The worst of the checks, in a sentence."""
        bad, warn, unknown = (sum(check.status == status for check in self.checks) for status in ("bad", "warn", "unknown"))
        if bad:
            return "bad", f"No: {bad} of {len(self.checks)} checks failed" + (f", {warn} more ask for a look." if warn else ".")
        if warn:
            return "warn", f"With care: {warn} of {len(self.checks)} checks ask{'s' if warn == 1 else ''} for a look."
        if unknown:
            return "unknown", f"As far as is known: {unknown} of {len(self.checks)} checks could not be made."
        return "good", f"Yes: all {len(self.checks)} checks hold."


def conclude(run: RunData) -> Conclusion:
    """What the run has shown: better or not, by how much, and whether it can be trusted."""
    gain, low, high, kind = gain_interval(run)
    figure, _, words = headline_of(run)
    base, final = known(run.base, figure), known(run.final, figure)
    rounds = len(run.rows) - 1
    status: CheckStatus = "unknown"
    if rounds == 0:
        headline = "Only the base model has been evaluated so far."
    elif run.kept_base:
        headline = "The run ends with its base model" if run.finished else "So far the base model is kept"
        headline += ": no round agreed more."
    elif gain is None:
        headline = "pass@1 was not measured, so there is no verdict."
    elif low is not None and low > 0:
        status, headline = "good", f"The model improved by {100 * gain:.1f} points of {words}."
    elif high is not None and high < 0:
        status, headline = "bad", f"The model got worse by {-100 * gain:.1f} points of {words}."
    else:
        status, headline = "warn", f"No clear change: {points(gain)} of {words}, and the interval includes zero."
    interval = run.base.get(f"{figure}_ci")
    return Conclusion(status, headline, base, None if interval is None else tuple(interval), final, gain, low, high, kind, checks_of(run))
