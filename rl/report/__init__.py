"""`ucoder report`: a run's folder as one self-contained HTML file (no network): verdict first, then what it rests on."""

from __future__ import annotations

from pathlib import Path


def write_report(run_dir: Path, out: Path | None = None, compare: Path | None = None) -> Path:
    """Write the report of a run and return its path (default: RUN/report.html). `compare`: a second run to show beside it.

    Raises UserError when a folder holds no evaluated round.
    """
    from rl.report.page import write_report as write  # plots and templates are imported only when a report is written

    return write(run_dir, out, compare)
