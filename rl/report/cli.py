"""`ucoder report RUN_DIR`: write a run's report as one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rewards.user_error import Options
from rewards.user_files import check_writable


def main(argv: Sequence[str]) -> int:
    """Run the command; returns its exit status. Raises UserError for what the user has to put right."""
    parser = Options(prog="ucoder report", description="Write a run's report as one self-contained HTML file.")
    parser.add_argument("run_dir", type=Path, help="folder of the run, finished or not")
    parser.add_argument("--compare", type=Path, metavar="RUN_DIR", help="a second run to show beside it")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to write (default: RUN_DIR/report.html)")
    parser.add_argument("--screenshot", type=Path, metavar="PNG", help="also take a picture of its top, by headless Chromium")
    parser.add_argument("--width", type=int, default=1280, help="of the picture, in pixels (default 1280)")
    parser.add_argument("--height", type=int, default=1600, help="of the picture, in pixels (default 1600)")
    parser.add_argument("--dark", action="store_true", help="take the picture in the dark theme")
    args = parser.parse_args(argv)
    from rl.report import write_report

    for path, option in ((args.out, "--out"), (args.screenshot, "--screenshot")):
        if path is not None:
            check_writable(path, option)
    page = write_report(args.run_dir, args.out, args.compare)
    print(page)
    if args.screenshot is not None:
        from rl.report.screenshot import screenshot

        print(screenshot(page, args.screenshot, args.width, args.height, args.dark))
    return 0
