"""How the cost of a round grows with problems, samples, inputs and ranks: time by stage, memory, and the exponents of both.

    python -m bench.speed.scale                 # make bench-scale
    python -m bench.speed.scale --jobs 2        # two runs at a time

Runs the whole loop on the bundled model, one dial at a time, from a common base. Time is processor time of all ranks and their children, so
that a busy machine changes little. A stage whose time grows as size^e has the exponent e: 1 is linear. Memory is what the first rank and
its children held at most. Writes `bench/results/scale.json`, run by run (one that is there already is not made again), and `scale.png`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from bench.command import module_command
from rl.config.run_folder import git_commit

ROOT = Path(__file__).resolve().parents[2]
BASE = {"problems": 60, "samples": 16, "inputs": 25, "ranks": 1}
DIALS: dict[str, tuple[int, ...]] = {"problems": (60, 240, 960), "samples": (16, 64, 256), "inputs": (25, 100, 400), "ranks": (1, 2)}
STAGES = ("problems", "test inputs", "solutions", "executions", "consensus", "probe", "training", "eval")
LEAST_SECONDS = 1.0  # below it a stage's time is start-up, and says nothing about growth
POLL_SECONDS = 0.2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--most", type=int, default=10**6, help="runs to make now; the next call makes others")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--again", action="store_true", help="make all runs again")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results" / "scale.json")
    args = parser.parse_args()
    result: dict[str, Any] = json.loads(args.out.read_text()) if args.out.is_file() and not args.again else {"base": BASE, "runs": []}
    if result["base"] != BASE:
        raise SystemExit(f"{args.out} has another base ({result['base']}): give --again")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    result["command"] = module_command("bench.speed.scale", sys.argv[1:])
    with ThreadPoolExecutor(args.jobs) as threads:
        for run in as_completed([threads.submit(run_once, setting) for setting in missing(result["runs"])[: args.most]]):
            result["runs"].append(run.result())
            print(json.dumps(result["runs"][-1]), file=sys.stderr, flush=True)
            result["exponents"] = {dial: exponents(result["runs"], dial) for dial in DIALS if dial != "ranks"}
            args.out.write_text(json.dumps(result, indent=1) + "\n")
    print(table(result))
    plot(result, args.out.with_suffix(".png"))


def missing(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, int]]:
    """The base, then the second value of each dial, then the greatest ones, but those that have been run."""
    settings = [BASE] + [BASE | {dial: values[place]} for place in (1, 2) for dial, values in DIALS.items() if place < len(values)]
    return [setting for setting in settings if not any(all(run[dial] == setting[dial] for dial in BASE) for run in runs)]


def run_once(setting: Mapping[str, int]) -> dict[str, Any]:
    """Processor and wall seconds by stage of round 1, and peak memory in MB."""
    with tempfile.TemporaryDirectory(prefix="ucoder-scale-") as scratch:
        folder = Path(scratch) / "run"
        overrides = {
            "run_dir": folder,
            "rounds": 1,
            "problems.count": setting["problems"],
            "solutions.samples": setting["samples"],
            "suites.inputs": setting["inputs"],
            "suites.pool": 2 * setting["inputs"],
            "solutions.band_low": 0.05,
            "solutions.band_high": 1.0,
            "sampling.part": 256,
            "grpo.steps": 2,
            "grpo.rollouts_per_step": 64,
            "guards.held_out_problems": 0,
            "choice.problems": 0,
            "evals.limit": 20,
            "evals.samples": 4,
            "tracking.report_to": "[]",
            "audit": "false",
        }
        flags = [word for key, value in overrides.items() for word in (f"--{key}", str(value))]
        launch = [
            "-m",
            "accelerate.commands.launch",
            "--quiet",
            "--config_file",
            f"configs/accelerate/{'cpu' if setting['ranks'] == 1 else 'cpu2'}.yaml",
        ]
        command = [sys.executable, *launch, "--main_process_port", "0", "rl/train.py", "--config", "configs/seedling.yaml", *flags]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        log = Path(scratch) / "log"
        with log.open("wb") as file:
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=file)
            cpu = cpu_by_stage(process, folder / "times.json")
        if process.returncode != 0:
            raise RuntimeError(f"the run failed ({setting}):\n{log.read_text(errors='replace')[-3000:]}")
        summary = json.loads((folder / "summary.json").read_text())
        kept = json.loads((folder / "round_01" / "funnel.json").read_text())["kept"]
    seconds = summary["rounds"][0]["seconds"]
    return {
        **setting,
        "kept": kept,
        "cpu_seconds": cpu,
        "seconds": seconds,
        "peak_memory_mb": summary["peak_memory_mb"],
        "commit": git_commit(),
    }


def cpu_by_stage(process: subprocess.Popen[bytes], times: Path) -> dict[str, float]:
    """Processor seconds of the process and all that it started, by stage of round 1, until it ends.

    A run notes each stage in times.json as it ends: what was used since the note before is that stage's.
    """
    used: defaultdict[str, float] = defaultdict(float)
    known: dict[str, dict[str, float]] = {}
    before = now = 0.0
    while process.poll() is None:
        time.sleep(POLL_SECONDS)
        now = max(now, cpu_of(process.pid))  # a child that has just ended is in nobody's account for a moment
        noted = json.loads(times.read_text())["stages"] if times.is_file() else {}
        if noted != known:
            changed = [
                (index, stage) for index in noted for stage in noted[index] if noted[index][stage] != known.get(index, {}).get(stage)
            ]
            if changed and changed[-1][0] == "1":
                used[changed[-1][1]] += now - before
            before, known = now, noted
    return {stage: round(seconds, 2) for stage, seconds in used.items()}


def cpu_of(pid: int) -> float:
    """Processor seconds of a process and its descendants, with those that have ended and were waited for."""
    total = 0.0
    with contextlib.suppress(psutil.NoSuchProcess):
        me = psutil.Process(pid)
        for process in [me, *me.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                spent = process.cpu_times()
                total += spent.user + spent.system + spent.children_user + spent.children_system
    return total


def exponents(runs: Sequence[Mapping[str, Any]], dial: str) -> dict[str, list[float] | None]:
    """The power of the dial that each stage's time, and the memory, grows with: fitted over all values, and between the two greatest (where
    start-up weighs least). For stages after the first, problems are those that were kept. None: not measured, or too short.
    """
    line = line_of(runs, dial)
    if len(line) < 2:
        return dict.fromkeys((*STAGES, "memory"))
    found: dict[str, list[float] | None] = {}
    for stage in (*STAGES, "memory"):
        later = dial == "problems" and stage not in ("problems", "memory")
        sizes = np.log([run["kept" if later else dial] for run in line])
        values = [run["peak_memory_mb"] if stage == "memory" else run["cpu_seconds"].get(stage, 0.0) for run in line]
        enough = min(values) > 0 and max(values) >= LEAST_SECONDS
        found[stage] = [slope(sizes, values), slope(sizes[-2:], values[-2:])] if enough else None
    return found


def line_of(runs: Sequence[Mapping[str, Any]], dial: str) -> list[Mapping[str, Any]]:
    """The runs that differ from the base in this dial alone, by its value."""
    return sorted((run for run in runs if all(run[other] == BASE[other] for other in BASE if other != dial)), key=lambda run: run[dial])


def slope(log_sizes: np.ndarray, values: Sequence[float]) -> float:
    return round(float(np.polyfit(log_sizes, np.log(values), 1)[0]), 2)


def table(result: Mapping[str, Any]) -> str:
    """Exponents as a Markdown table, and what two ranks use beside one."""
    names = (*STAGES, "memory")
    rows = [f"| | {' | '.join(names)} |", "|" + "---|" * (len(names) + 1)]
    for dial, found in result["exponents"].items():
        cells = ["–" if (e := found[name]) is None else f"{e[0]:.2f} ({e[1]:.2f})" for name in names]
        measured = [run[dial] for run in line_of(result["runs"], dial)]
        rows.append(f"| {dial} ({', '.join(map(str, measured))}) | {' | '.join(cells)} |")
    two = next((run for run in result["runs"] if run["ranks"] == 2), None)
    if two is not None:
        one = next(run for run in result["runs"] if all(run[dial] == BASE[dial] for dial in BASE))
        pairs = [(two["cpu_seconds"].get(s, math.nan), one["cpu_seconds"].get(s, math.nan)) for s in STAGES]
        pairs.append((two["peak_memory_mb"], one["peak_memory_mb"]))
        rows.append(f"| 2 ranks together, times 1 rank | {' | '.join('–' if math.isnan(a / b) else f'{a / b:.2f}' for a, b in pairs)} |")
    return "\n".join(rows)


def plot(result: Mapping[str, Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    dials = list(result["exponents"])
    figure, axes = plt.subplots(1, len(dials), figsize=(4.5 * len(dials), 4), sharey=True, squeeze=False)
    for axis, dial in zip(axes[0], dials, strict=True):
        line = line_of(result["runs"], dial)
        for stage in STAGES:
            axis.plot([r[dial] for r in line], [r["cpu_seconds"].get(stage, math.nan) for r in line], marker="o", label=stage)
        axis.plot([r[dial] for r in line], [r["peak_memory_mb"] / 1000 for r in line], "k--", label="memory, GB")
        axis.set(xscale="log", yscale="log", xlabel=dial)
        axis.grid(alpha=0.3)
    axes[0][0].set_ylabel("processor seconds of a round")
    axes[0][-1].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
