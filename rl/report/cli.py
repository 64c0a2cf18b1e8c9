"""`ucoder report RUN_DIR`: write a run's report as one self-contained HTML file."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="ucoder report", description="Write a run's report as one self-contained HTML file.")
    parser.add_argument("run_dir", type=Path, help="folder of the run, finished or not")
    parser.add_argument("--compare", type=Path, metavar="RUN_DIR", help="a second run to show beside it")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to write (default: RUN_DIR/report.html)")
    args = parser.parse_args(argv)
    from rl.report import write_report

    print(write_report(args.run_dir, args.out, args.compare))
    return 0
