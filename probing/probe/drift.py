"""The probe while the policy moves: its AUROC on the policy's own samples, and a weight that falls when that falls.

The probe reads a frozen copy, but what the policy writes drifts away from what the probe was fitted on. After each step the samples have
consensus labels, so its AUROC within groups can be followed without a reference. The weight never rises above what was earned held out.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from probing.probe.auroc import auroc_by_group
from probing.probe.config import ProbeConfig
from probing.probe.contrasts import numbered
from probing.probe.quality import ProbeReport, earned_weight


class DriftAudit:
    """Follows one probe through one round.

    The current AUROC is the mean over the last `config.drift_groups` groups with both kinds of sample; while there are fewer, the held-out
    figure stands in for the rest, so that a few groups by chance do not silence the probe.
    """

    def __init__(self, report: ProbeReport, config: ProbeConfig) -> None:
        self.report, self.config = report, config
        self.recent: deque[float] = deque(maxlen=config.drift_groups)

    def observe(self, scores: npt.ArrayLike, labels: npt.ArrayLike, groups: npt.ArrayLike) -> float:
        """Take in N samples of a step and return the weight from now on.

        float[N] probe scores, float[N] consensus labels (0 or 1), groups [N]. A NaN score or label leaves the sample out.
        """
        scores_N, labels_N, groups_N = np.asarray(scores, np.float64), np.asarray(labels, np.float64), np.asarray(groups)
        known = np.isfinite(scores_N) & np.isfinite(labels_N)
        if known.any():
            by_group = auroc_by_group(scores_N[known, None], labels_N[known, None] > 0.5, numbered(groups_N[known]))[:, 0]
            self.recent.extend(by_group[np.isfinite(by_group)].tolist())
        return self.weight

    def state(self) -> list[float]:
        """What `restore` needs, to go on in another process."""
        return list(self.recent)

    def restore(self, state: list[float]) -> None:
        self.recent.clear()
        self.recent.extend(state)

    @property
    def auroc(self) -> float:
        """AUROC within groups as it stands; the held-out one before the first sample."""
        missing = self.config.drift_groups - len(self.recent)
        return (sum(self.recent) + missing * self.report.within.get("controlled", float("nan"))) / self.config.drift_groups

    @property
    def weight(self) -> float:
        """g as it stands, at most the weight that was earned held out."""
        return min(self.report.earned_weight, earned_weight(self.auroc, self.report.null_mean, self.report.null_sd, self.config))
