"""`ucoder watch RUN`: what a run is doing, from another terminal or another machine that sees its folder, and after it has ended."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from rich.live import Live

from rewards.user_error import Options
from rl.console import UserError, make_console
from rl.watch.reading import Reader
from rl.watch.screen import page


def main(argv: Sequence[str]) -> int:
    """Run the command; returns its exit status. Raises UserError for what the user has to put right."""
    parser = Options(
        prog="ucoder watch", description="What a run is doing, or how it ended. It reads the run's folder alone, and changes nothing there."
    )
    parser.add_argument("run_dir", type=Path, help="folder of the run: running, finished, killed or failed")
    parser.add_argument("--once", action="store_true", help="print the page once and end (so it does without a terminal)")
    parser.add_argument("--every", type=float, default=2.0, metavar="SECONDS", help="between two looks (default 2)")
    args = parser.parse_args(argv)
    if not args.every > 0:
        raise UserError(f"--every is {args.every:g}", "command line", "give a number of seconds above 0")
    console, reader = make_console(), Reader(args.run_dir)
    run = reader.read()
    if console.is_terminal and not args.once and not run.status.ended:
        try:
            with Live(page(run), console=console, screen=True, auto_refresh=False) as live:
                while not run.status.ended:
                    time.sleep(args.every)
                    run = reader.read()
                    live.update(page(run), refresh=True)
        except KeyboardInterrupt:
            pass
    console.print(page(run))
    return 0
