"""Which part of the method gives which part of the gain? (`make ablate`, `make ablate QUICK=1`)

    python -m bench.ablate --no-long      # five seeds, ten arms, on 2 cores (`make ablate`)
    python -m bench.ablate                # and runs of 20 rounds, three arms on three seeds (`make ablate LONG=1`)
    python -m bench.ablate --quick        # all of it in small: 15 minutes
    python -m bench.ablate --collect      # only the tables and the plot, from the runs that are finished
    python -m bench.ablate --arms --no-long --try "rare --reward.rarity 0.3"      # an idea of your own, beside ours

Arms: base (greedily and at its best temperature), SFT on answers that were not executed, SFT-IPC, random reward, consensus (soft, soft
without guards, hard), mixed (consensus and probe), probe only, oracle; each from the same candidates, with the same number of steps. Runs
lie in runs/ablation and are resumed; results go to bench/results/ablation.json and .png (with --quick: ablation_quick.*). Further words
(`--grpo.steps 32`) are config keys for every run.
"""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.ablate.collect import analyse, minutes_of, targets
from bench.ablate.plan import ARMS, FULL, LEAD, QUICK, Job, make_plan
from bench.ablate.plot import draw
from bench.ablate.runner import check_identity, finished, frozen_base, repeats_lead, run_plan
from bench.ablate.tables import tables
from bench.command import module_command
from rewards.sandbox.config import available_cores
from rl.config.run_folder import git_commit, versions, write_atomically
from rl.console import UserError, duration, error_screen

BASE = Path("configs/seedling.yaml")
RESULTS = Path(__file__).resolve().parents[1] / "results"


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(
        prog="python -m bench.ablate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    found.add_argument("--quick", action="store_true", help="one seed, few steps, part of the benchmark")
    found.add_argument("--seeds", type=int, help="how many seeds (default: 5, with --quick 1)")
    found.add_argument(
        "--arms", nargs="*", choices=list(ARMS), default=list(ARMS), help=f"arms to run beside base and {LEAD} (default: all)"
    )
    found.add_argument(
        "--try", dest="tried", action="append", default=[], metavar='"NAME KEYS"', help=f"one more arm: {LEAD} with these keys"
    )
    found.add_argument("--no-long", action="store_true", help="leave the runs of 20 rounds out; what of them is finished still counts")
    found.add_argument("--jobs", type=int, default=available_cores(), help="runs at once, which share the cores (default: one a core)")
    found.add_argument("--config", type=Path, default=BASE, help=f"config that the arms vary (default {BASE})")
    found.add_argument("--out", type=Path, help="folder of the runs (default runs/ablation/full or quick)")
    found.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON and the plot (default bench/results)")
    found.add_argument("--collect", action="store_true", help="run nothing; analyse the runs that are finished")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Run the ablation; returns the exit status: 0, or 1 when a run failed."""
    words = list(sys.argv[1:] if argv is None else argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the runs are ended too
    args, extra = parser().parse_known_args(words)
    started = time.monotonic()
    with error_screen():
        settings = QUICK if args.quick else FULL
        seeds = range(args.seeds if args.seeds is not None else settings.seeds)
        if not seeds or args.jobs < 1:
            raise UserError("--seeds and --jobs must be at least 1", "command line")
        out = args.out or Path("runs/ablation") / settings.name
        threads = max(1, available_cores() // args.jobs)
        workers = () if any(word.startswith("--sandbox.workers") for word in extra) else ("--sandbox.workers", str(threads))
        every = make_plan(args.config, settings, out, seeds, args.arms, (*workers, *extra), tried_arms(args.tried))
        jobs = [job for job in every if not (job.long and args.no_long)]
        hashes = check_identity(out, args.config, jobs[0].config)
        failed = [] if args.collect else run_plan(jobs, frozen_base(out), args.jobs, threads)
        complete = [job for job in every if finished(job)]
        if not complete:
            raise UserError("no run has finished", str(out), "see the .log files there")
        result = describe(complete, jobs, module_command("bench.ablate", words), hashes)
        args.results.mkdir(parents=True, exist_ok=True)
        name = "ablation" if settings is FULL else "ablation_quick"
        write_atomically(args.results / f"{name}.json", json.dumps(result, indent=1, allow_nan=False) + "\n")
        draw(result, args.results / f"{name}.png")
        print(tables(result))
        made = sum(job in complete for job in jobs)
        print(f"\n{args.results / name}.json and .png, {made} of {len(jobs)} runs, {duration(time.monotonic() - started)}")
    return 1 if failed else 0


def tried_arms(words: Sequence[str]) -> dict[str, list[str]]:
    """The keys of each arm given with --try, by its name. Raises UserError for one without keys, or with a name that is taken."""
    found: dict[str, list[str]] = {}
    for text in words:
        name, *keys = shlex.split(text) or [""]
        if not keys or not name.isidentifier() or name in (*ARMS, "base", *found):
            raise UserError(
                f"--try {text!r} needs a name of its own and config keys", "command line", 'as in --try "rare --reward.rarity 0.3"'
            )
        found[name] = keys
    return found


def describe(complete: Sequence[Job], planned: Sequence[Job], command: str, hashes: dict[str, str]) -> dict[str, Any]:
    """ablation.json: where it comes from, and the figures."""
    found = analyse(complete)
    return {
        "command": command,
        "commit": git_commit(),
        "versions": versions(),
        "hashes": hashes,
        "minutes_of_runs": round(sum(minutes_of(job) for job in complete if not job.long and not repeats_lead(job, complete)), 1),
        "not_finished": [job.name for job in planned if job not in complete],
        "overrides": {job.arm: list(job.overrides) for job in complete if job.seed == complete[0].seed and not job.long},
        **found,
        "targets": targets(found),
    }


if __name__ == "__main__":
    raise SystemExit(main())
