"""Breadth of finished runs, on all tasks of their benchmark: is pass@16 kept, and is greedy decoding past the base's vote?

    python -m bench.ablate.breadth runs/seed-0 runs/seed-1 runs/seed-2

A run samples its first tasks alone (`evals.sampled`), too few to tell a point of pass@16. Here the base and each run's chosen checkpoint
draw --samples answers to every task, by `ucoder eval`, whose cache in --out keeps what is finished. Writes
bench/results/bundled_breadth.json: differences from the base over all seeds, paired by task, with 95 % intervals over tasks and seeds
(`bench.ablate.stats`). *Past voting* is the chosen checkpoint's greedy pass@1, which the run measured, minus the base's majority@16; what
that vote has over the base's own greedy decoding is told beside it.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.ablate.bundled import estimate, record_of
from bench.ablate.collect import TaskScores, task_scores
from bench.command import module_command, shown
from bench.markdown import interval, percent, table
from rl.config.run_folder import git_commit, read_json, versions, write_atomically
from rl.console import UserError, error_screen
from rl.evals.cli import main as ucoder_eval
from rl.run_data import read_config

RESULT = Path(__file__).resolve().parents[1] / "results" / "bundled_breadth.json"
SCORES = ("pass@1", "pass@4", "pass@16", "majority@16")


def sampled(
    model: str, evals: Mapping[str, Any], samples: int, temperature: float, out: Path, name: str
) -> tuple[dict[str, Any], TaskScores]:
    """(what `ucoder eval --json` says of a model on the run's first benchmark, its scores by task); evaluated unless the cache has it."""
    benchmark, path = evals["benchmarks"][0], out / f"{name}.json"
    keys = {
        "model": model,
        "benchmarks": benchmark,
        "samples": samples,
        "temperature": temperature,
        **{key: evals[key] for key in ("max_new_tokens", "top_p", "prompt", "seed", "dtype")},
        "cache": out / "cache",
        "json": path,
    }
    ucoder_eval([word for key, value in keys.items() for word in (f"--{key}", str(value))] + ["--no-skills"])
    found = read_json(path)
    measured = found["benchmarks"][benchmark]
    if "tasks" not in measured:
        raise UserError(f"{benchmark} cannot be scored here: {measured['unavailable']}", model, measured["remedy"])
    rows = measured["tasks"]
    return found, {score: {row["id"]: row[score] for row in rows if score in row} for score in SCORES}


def compare(folders: Sequence[Path], samples: int, temperature: float, out: Path) -> dict[str, Any]:
    """Every model's figures, and the differences over all seeds.

    Raises UserError for a run that has not finished, for two of one seed, and for runs of several bases.
    """
    runs, configs = [record_of(folder) for folder in folders], [read_config(folder / "config.yaml") for folder in folders]
    bases, evals = {config["model"] for config in configs}, configs[0]["evals"]
    if len(bases) > 1:
        raise UserError(f"the runs start from different models: {', '.join(sorted(bases))}", "command line", "name runs of one base")
    if any({**config["evals"], "seed": None} != {**evals, "seed": None} for config in configs):
        raise UserError("the runs were evaluated with other settings (evals)", "command line", "name runs of one config")
    if evals["chat_template_args"] or evals["limit"]:
        raise UserError("runs with evals.limit or evals.chat_template_args are not compared here", str(folders[0]), "use ucoder compare")
    names = [f"seed-{run['seed']}" for run in runs]
    if len({*names}) < len(names):
        raise UserError(f"two runs have one seed: {', '.join(names)}", "command line", "name one run a seed")
    benchmark = evals["benchmarks"][0]
    record, base = sampled(bases.pop(), evals, samples, temperature, out, "base")
    base |= {"greedy": task_scores(folders[0], 0, benchmark)["greedy"]}
    records, final = {"base": record}, []
    for name, folder, run in zip(names, folders, runs, strict=True):
        records[name], scores = sampled(str(folder / "best"), evals, samples, temperature, out, name)
        final.append(scores | {"greedy": task_scores(folder, run["summary"]["final"]["round"], benchmark)["greedy"]})
    every = [base] * len(final)
    found = {score: estimate(final, every, score, score) for score in SCORES}
    found["past voting"] = estimate(final, every, "greedy", "majority@16")
    return {
        "rounds": {name: run["summary"]["final"]["round"] for name, run in zip(names, runs, strict=True)},
        "commits": {name: run["commit"] for name, run in zip(names, runs, strict=True)},
        "over_seeds": found,
        "vote over greedy": estimate([base], [base], "majority@16", "greedy"),
        "models": {
            name: {"command": shown(*shlex.split(record["command"])), **figures(record, benchmark)} for name, record in records.items()
        },
    }


def figures(record: Mapping[str, Any], benchmark: str) -> dict[str, Any]:
    """The figures of one evaluation, without those of single tasks."""
    metrics = record["benchmarks"][benchmark]["metrics"]
    return {key: metrics[key] for name in SCORES for key in (name, f"{name}_ci") if key in metrics} | {"tasks": metrics["tasks"]}


def main(argv: Sequence[str] | None = None) -> None:
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="python -m bench.ablate.breadth", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path, help="run folders, one a seed")
    parser.add_argument("--samples", type=int, default=32, help="answers to each task (default 32)")
    parser.add_argument("--temperature", type=float, default=1.0, help="at this temperature (default 1)")
    parser.add_argument("--out", type=Path, default=Path("runs/breadth"), help="folder of the evaluations (default runs/breadth)")
    parser.add_argument("--json", type=Path, default=RESULT, help="where the figures go (default bench/results/bundled_breadth.json)")
    args = parser.parse_args(words)
    with error_screen():
        args.out.mkdir(parents=True, exist_ok=True)
        found = compare(args.folders, args.samples, args.temperature, args.out)
    record = {"command": module_command("bench.ablate.breadth", words), "commit": git_commit(), "versions": versions(), **found}
    write_atomically(args.json, json.dumps(record, indent=1) + "\n")
    header = ["model", *SCORES]
    rows = [
        [name, *(interval(row, s) if f"{s}_ci" in row else percent(row.get(s)) for s in SCORES)] for name, row in found["models"].items()
    ]
    print(table(header, rows) + "\n")
    rows = [[name, str(row["tasks"]), interval(row, "gain", points=True)] for name, row in found["over_seeds"].items() if row is not None]
    print(table(["score", "tasks", f"chosen minus base over {len(args.folders)} seeds, points"], rows))
    if (vote := found["vote over greedy"]) is not None:
        print(f"\nThe base's majority@16 minus its greedy pass@1: {interval(vote, 'gain', points=True)} points on {vote['tasks']:,} tasks")


if __name__ == "__main__":
    main()
