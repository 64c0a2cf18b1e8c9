"""Which figure that needs no label follows greedy accuracy from round to round?

    python -m bench.ablate.signals runs/ablation/full/long-seed-0/soft runs/ablation/full/long-seed-1/soft

Reads finished or unfinished runs of several rounds; nothing is computed anew. For each signal that the runs logged of a checkpoint it gives
Pearson's correlation with the checkpoint's greedy pass@1 (on the first benchmark, which nothing was chosen by), in each run and over all,
where both are taken relative to their mean in the run. Rounds of one run are not independent, so there is no interval: compare the runs.
Writes bench/results/signals.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.ablate.collect import greedy_of
from bench.command import module_command
from bench.markdown import number, table
from rl.config.run_folder import git_commit, read_json, versions, write_atomically
from rl.console import UserError, error_screen
from rl.run_data import read_config
from rl.tracking.monitor import read_metrics

RESULT = Path(__file__).resolve().parents[1] / "results" / "signals.json"
KEPT_APART = "agreement on problems kept apart"
# What the next round logs of the checkpoint that it starts from, as (stage, key in metrics.jsonl); there may be no next round.
NEXT_ROUND = {
    "top share of its votes": ("consensus", "top_share"),
    "margin of its votes": ("consensus", "margin"),
    "behavioural entropy": ("consensus", "entropy"),
    "distinct behaviours a problem": ("consensus", "distinct_behaviours"),
    "logprob of its solutions": ("sampling", "mean_logprob"),
    "tokens of its solutions": ("sampling", "mean_tokens"),
    "share of its proposals that is kept": ("problems", "kept_share"),
}
LEAST = 4  # checkpoints of a run, below which no correlation is given


def checkpoints_of(run: Path) -> list[dict[str, float | None]]:
    """Each evaluated checkpoint's greedy pass@1 and signals, the base first. Raises UserError where no rounds lie."""
    rows = [dict(row) for row in read_metrics(run / "metrics.jsonl")] if (run / "metrics.jsonl").is_file() else []
    for row in rows:
        if row["stage"] == "problems" and row.get("proposed"):
            row["kept_share"] = row["kept"] / row["proposed"]
    its_own = not read_config(run / "config.yaml").get("teacher", {}).get("decay")  # else the next round asks another model
    logged = {(row["round"], row["stage"]): row for row in rows if row.get("step") is None}
    found = []
    for path in sorted(run.glob("round_[0-9][0-9]")):
        index, metrics = int(path.name.removeprefix("round_")), greedy_of(path)
        if metrics is None:
            continue
        held_out = read_json(path / "held_out.json") if (path / "held_out.json").is_file() else {}
        # a round that started from an earlier checkpoint says nothing of this one
        after = (
            {name: logged.get((index + 1, stage), {}).get(key) for name, (stage, key) in NEXT_ROUND.items()}
            if its_own and _went_on(run, index)
            else {}
        )
        signals = {name: after.get(name) for name in NEXT_ROUND}
        found.append({"round": index, "greedy": metrics, KEPT_APART: held_out.get("agreement"), **signals})
    if len(found) < 2:
        raise UserError("no run of several evaluated rounds lies here", str(run), "name the folder of a run")
    return found


def _went_on(run: Path, index: int) -> bool:
    """Whether the next round started from this round's checkpoint."""
    path = run / f"round_{index + 1:02d}" / "metrics.json"
    return path.is_file() and read_json(path).get("started_from", index) == index


def correlation(runs: Sequence[Sequence[Mapping[str, float | None]]], signal: str) -> float | None:
    """Pearson's r of a signal and greedy accuracy, both relative to their run's mean; None with too few checkpoints, or without spread."""
    pairs = []
    for checkpoints in runs:
        known = np.array([(c[signal], c["greedy"]) for c in checkpoints if c[signal] is not None], dtype=np.float64)
        if len(known) >= LEAST:
            pairs.append(known - known.mean(axis=0))
    if not pairs:
        return None
    signal_N, greedy_N = np.concatenate(pairs).T
    if signal_N.std() == 0 or greedy_N.std() == 0:
        return None
    return float(np.corrcoef(signal_N, greedy_N)[0, 1])


def main(argv: Sequence[str] | None = None) -> None:
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="python -m bench.ablate.signals", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path, help="run folders")
    parser.add_argument("--json", type=Path, default=RESULT, help="where the figures go (default bench/results/signals.json)")
    args = parser.parse_args(words)
    with error_screen():
        runs = {str(folder): checkpoints_of(folder) for folder in args.folders}
    rows: dict[str, Any] = {
        signal: {"all": correlation(list(runs.values()), signal), "by_run": [correlation([run], signal) for run in runs.values()]}
        for signal in (KEPT_APART, *NEXT_ROUND)
    }
    record = {"command": module_command("bench.ablate.signals", words), "commit": git_commit(), "versions": versions()}
    write_atomically(args.json, json.dumps({**record, "correlations": rows, "runs": runs}, indent=1) + "\n")
    header = ["signal", f"r over {sum(map(len, runs.values()))} checkpoints", "r in each run"]
    print(table(header, [[name, number(row["all"], 2), ", ".join(number(r, 2) for r in row["by_run"])] for name, row in rows.items()]))


if __name__ == "__main__":
    main()
