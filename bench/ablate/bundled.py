"""The bundled run on several seeds, in one file and one table: what it gains, and whether it gets past the base's own vote.

    make run ARGS="--seed 0 --run_dir runs/seed-0"        # and 1, 2
    python -m bench.ablate.bundled runs/seed-0 runs/seed-1 runs/seed-2

Writes bench/results/bundled_run.json: each run whole, and over all seeds the gain of the chosen checkpoint over the base in every way of
decoding, paired by task, with 95 % intervals over tasks and seeds (`bench.ablate.stats`). *Past voting* is the chosen checkpoint's greedy
pass@1 minus the base's majority@16 on the tasks that were sampled. The first benchmark of the runs counts.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.ablate.collect import SCORES, TaskScores, task_scores
from bench.ablate.stats import Resampler, align
from bench.ablate.summarise import runs_table
from bench.command import shown
from bench.markdown import interval, table
from rl.config.run_folder import flatten, read_json, write_atomically
from rl.config.schema import BARE_CONFIG, load_config
from rl.console import UserError, error_screen
from rl.run_data import read_config

RESULT = Path(__file__).resolve().parents[1] / "results" / "bundled_run.json"


def estimate(scores: Sequence[TaskScores], against: Sequence[TaskScores], score: str, other: str) -> dict[str, Any] | None:
    """Mean of one score minus another over runs and the tasks that all of them have, and how many were left out; None where a run lacks
    either score."""
    if not all(a[score] and b[other] for a, b in zip(scores, against, strict=True)):
        return None
    arrays, left_out = align({"final": [found[score] for found in scores], "base": [found[other] for found in against]})
    final_ST, base_ST = arrays["final"], arrays["base"]
    found = Resampler(*final_ST.shape).difference(final_ST, base_ST)
    return {"gain": found.value, "gain_ci": [found.low, found.high], "tasks": final_ST.shape[1], "tasks_left_out": left_out}


def record_of(folder: Path) -> dict[str, Any]:
    """A finished run: its command, versions, temperatures and summary. Raises UserError for a folder that is none."""
    summary = read_json(folder / "summary.json")
    if "final" not in summary:
        raise UserError("no finished run lies here", str(folder), 'make one: make run ARGS="--seed 0 --run_dir runs/seed-0"')
    config, versions = read_config(folder / "config.yaml"), read_json(folder / "versions.json")
    temperatures = {path.parent.name: json.loads(path.read_text()) for path in sorted(folder.glob("round_*/temperature.json"))}
    return {
        "command": command_of(config),
        "commit": versions.get("commit"),
        "seed": config["seed"],
        "versions": versions,
        "temperatures": temperatures,
        "summary": summary,
    }


def command_of(config: Mapping[str, Any]) -> str:
    """The command that makes such a run: configs/seedling.yaml, with every key in which the run's config differs from it."""
    mine, bundled = flatten(config), flatten(load_config(BARE_CONFIG).model_dump(mode="json"))
    differing = [word for key, value in mine.items() if value != bundled.get(key) for word in (f"--{key}", str(value))]
    return shown("accelerate", "launch", "--quiet", "rl/train.py", "--config", "configs/seedling.yaml", *differing)


def over_seeds(folders: Sequence[Path], runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Gains of the chosen checkpoints over the base, and of their greedy answers over the base's vote."""
    benchmark = next(iter(runs[0]["summary"]["base"]["benchmarks"]))
    base = [task_scores(folder, 0, benchmark) for folder in folders]
    final = [task_scores(folder, run["summary"]["final"]["round"], benchmark) for folder, run in zip(folders, runs, strict=True)]
    found = {score: estimate(final, base, score, score) for score in SCORES}
    return found | {"past voting": estimate(final, base, "greedy", "majority@16")}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, help="run folders, one a seed")
    parser.add_argument("--json", type=Path, default=RESULT, help="where the figures go (default bench/results/bundled_run.json)")
    arguments = parser.parse_args(argv)
    with error_screen():
        runs = [record_of(folder) for folder in arguments.folders]
    together = over_seeds(arguments.folders, runs)
    write_atomically(arguments.json, json.dumps({"over_seeds": together, "runs": runs}, indent=1) + "\n")
    print(runs_table(arguments.folders) + "\n")
    rows = [[name, str(row["tasks"]), interval(row, "gain", points=True)] for name, row in together.items() if row is not None]
    print(table(["score", "tasks", f"chosen minus base over {len(runs)} seeds, points"], rows))


if __name__ == "__main__":
    main()
