"""`ucoder`: the one console command. Each subcommand imports what it needs only when it is called."""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import sys
from collections.abc import Sequence

from rewards.text import discarding, print_utf8, shorten
from rewards.user_error import Options
from rl.console import UserError, error_screen

# name: module whose `main(argv) -> int` does the work, one line of help
COMMANDS: dict[str, tuple[str, str]] = {
    "eval": ("rl.evals.cli", "measure a model on benchmarks: pass@k with intervals"),
    "compare": ("rl.evals.compare", "what one evaluation gains over another, with intervals"),
    "solve": ("rl.solve.cli", "write a program for a statement: sample, execute, vote"),
    "judge": ("rewards.judge.cli", "cluster and rank a file of candidate solutions"),
    "sandbox": ("rewards.sandbox.cli", "run one program on inputs, in isolation"),
    "watch": ("rl.watch.cli", "what a run is doing now, or how it ended"),
    "report": ("rl.report.cli", "write a run's report as one HTML file"),
    "audit": ("rl.marking.cli", "label accuracy of a run, by a person's marks in its report"),
    "push": ("rl.sharing.cli", "share a run's checkpoint and problems on the Hugging Face Hub"),
    "plan": ("rl.planning.cli", "what a config would cost, without running it"),
    "config": ("rl.config.cli", "check a config and print it resolved, list every key, or show its prompts"),
    "dashboard": ("rl.dashboard.cli", "make the Weights & Biases dashboard"),
}

FULL = (errno.ENOSPC, errno.EDQUOT)  # the disk, or the user's quota, is full
CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP, errno.ENAMETOOLONG)  # the path may not, or can never, be used
LONGEST_PATH = 200  # characters of a path that an error shows


def parser() -> argparse.ArgumentParser:
    """The command's own options: which subcommand is meant."""
    top = Options(
        prog="ucoder",
        description="A label-free self-improvement loop for code language models.",
        epilog="A run is started with: accelerate launch --quiet rl/train.py [--config FILE] (left out: configs/seedling.yaml)",
    )
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (_, text) in COMMANDS.items():
        commands.add_parser(name, help=text, add_help=False)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand on its own arguments; returns its exit status."""
    print_utf8()
    words = list(sys.argv[1:] if argv is None else argv)
    with error_screen():
        command = parser().parse_args(words[:1]).command
        try:
            status = importlib.import_module(COMMANDS[command][0]).main(words[1:])
            sys.stdout.flush()
            return status
        except BrokenPipeError:  # the reader closed the pipe, as `head` does
            _close_stdout()
            return 1
        except OSError as error:
            if error.errno in FULL:
                _close_stdout()
                said = f"what   not all could be written: {error.strerror}\nwhere  {error.filename or 'stdout'}"
                print(f"ucoder stopped\n{said}\ndo     make room, or write to another place", file=sys.stderr)
                return 2
            if error.errno not in CLOSED or not isinstance(error.filename, str):
                raise
            where = shorten(error.filename, LONGEST_PATH)
            raise UserError(f"this path cannot be used: {error.strerror}", where, "check the path and its permissions") from None


def _close_stdout() -> None:
    """Discard what is still written to a stdout that accepts nothing, also at exit."""
    sys.stdout = discarding()
    os.dup2(sys.stdout.fileno(), 1)


if __name__ == "__main__":
    raise SystemExit(main())
