"""What the probe may learn from, and which of it is kept: a choice made without any reference solution.

Three sources, all from execution consensus:
- margin: member of the winning cluster or not, on problems with a clear winner;
- soft: leave-one-out agreement, input by input, on every problem (a(r) in docs/method.md);
- pairs: the share of a sample's own cluster. The fit sums contrasts inside a problem, so this is learning from every pair of samples, each
  weighted by how much more of the vote one has than the other.

All are judged by the same held-out labels, those of `margin`, since a clear winner is the most that is known without a reference.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from probing.probe.config import ProbeConfig
from probing.probe.contrasts import Floats
from probing.probe.hidden_states import StateFeatures
from probing.probe.quality import Probe, compare_targets, fit_probe


def label_sources(
    in_top: npt.ArrayLike, margin: npt.ArrayLike, agreement: npt.ArrayLike, cluster_share: npt.ArrayLike, min_margin: float
) -> dict[str, Floats]:
    """Targets float64[N] of each source, NaN where it says nothing.

    Args, each [N], NaN where our infrastructure failed: `in_top` 1 in the winning cluster, else 0, NaN in a problem without a winner;
    `margin` of the sample's problem; soft `agreement` in [0, 1]; `cluster_share` in [0, 1], 0 for a program that is not valid.
    """
    top_N, margin_N = np.asarray(in_top, dtype=np.float64), np.asarray(margin, dtype=np.float64)
    return {
        "margin": np.where(margin_N >= min_margin, top_N, np.nan),
        "soft": np.asarray(agreement, dtype=np.float64),
        "pairs": np.asarray(cluster_share, dtype=np.float64),
    }


@threadpool_limits.wrap(limits=1)  # thousands of small products: threads gain nothing, and wait for one another where cores are shared
def fit_best_probe(
    features: StateFeatures, sources: dict[str, Floats], groups: npt.ArrayLike, config: ProbeConfig, seed: int
) -> tuple[Probe, dict[str, float]]:
    """The probe of that source of `config.sources` whose held-out, length-controlled AUROC within problems is highest on the labels of
    `margin`.

    Returns it (its report names the source) and that AUROC of every source (see `compare_targets`), NaN where it can give no probe. Ties go
    to the first. With one source there is nothing to compare, and no figure.
    """
    names: list[str] = list(config.sources)
    labels = sources["margin"]
    aurocs = compare_targets(features, labels, [sources[name] for name in names], groups, config, seed) if len(names) > 1 else []
    found = dict(zip(names, aurocs, strict=False))
    best = max(names, key=lambda name: np.nan_to_num(found.get(name, -1.0), nan=-1.0))
    probe = fit_probe(features, labels, groups, config, seed, sources[best])
    return replace(probe, report=replace(probe.report, source=best, sources=found)), found
