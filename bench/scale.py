"""How the cost of a round grows with problems, samples, inputs and ranks: time by stage, memory, and the exponents of both.

    python -m bench.scale                 # make bench-scale

Runs the whole loop on the bundled model, one dial at a time, from a common base. A stage whose time grows as size^e has the exponent e:
1 is linear. Memory is what the first rank and its children held at most. Writes `bench/results/scale.json` and `scale.png`.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
BASE = {"problems": 60, "samples": 16, "inputs": 25, "ranks": 1}
DIALS: dict[str, tuple[int, ...]] = {"problems": (60, 240, 960), "samples": (16, 64, 256), "inputs": (25, 100, 400), "ranks": (1, 2)}
STAGES = ("problems", "test inputs", "solutions", "executions", "consensus", "probe", "training", "eval")
LEAST_SECONDS = 0.5  # below it a stage's time is start-up, and says nothing about growth


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dials", nargs="+", default=list(DIALS), choices=DIALS)
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results" / "scale.json")
    parser.add_argument("--plot-only", action="store_true", help="draw the figures that are there already")
    args = parser.parse_args()
    if args.plot_only:
        result = json.loads(args.out.read_text())
    else:
        result = {"base": BASE, "runs": measure(args.dials)}
        result["exponents"] = {dial: exponents(result["runs"], dial) for dial in args.dials if dial != "ranks"}
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(result, indent=1) + "\n")
    print(table(result))
    plot(result, args.out.with_suffix(".png"))


def measure(dials: Sequence[str]) -> list[dict[str, Any]]:
    """One run for each value of each dial, the base once."""
    settings = [BASE] + [BASE | {dial: value} for dial in dials for value in DIALS[dial] if value != BASE[dial]]
    runs = []
    for setting in settings:
        with tempfile.TemporaryDirectory(prefix="ucoder-scale-") as folder:
            runs.append(setting | run_once(setting, Path(folder) / "run"))
        print(json.dumps(runs[-1]), file=sys.stderr, flush=True)
    return runs


def run_once(setting: Mapping[str, int], folder: Path) -> dict[str, Any]:
    """Seconds by stage of round 1, and peak memory in MB."""
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
        "grpo.steps": 4,
        "evals.limit": 40,
        "evals.samples": 4,
        "tracking.report_to": "[]",
        "audit": "false",
    }
    flags = [word for key, value in overrides.items() for word in (f"--{key}", str(value))]
    launch = ["-m", "accelerate.commands.launch", "--config_file", f"configs/accelerate/{'cpu' if setting['ranks'] == 1 else 'cpu2'}.yaml"]
    command = [sys.executable, *launch, "--main_process_port", "0", "rl/train.py", "--config", "configs/seedling.yaml", *flags]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"the run failed ({setting}):\n{done.stderr[-3000:]}")
    summary = json.loads((folder / "summary.json").read_text())
    return {"seconds": summary["rounds"][0]["seconds"], "peak_memory_mb": summary["peak_memory_mb"]}


def exponents(runs: Sequence[Mapping[str, Any]], dial: str) -> dict[str, float | None]:
    """The power of the dial that each stage's time, and the memory, grows with, between its least and greatest value; None: too short."""
    line = sorted((run for run in runs if all(run[other] == BASE[other] for other in BASE if other != dial)), key=lambda run: run[dial])
    sizes = np.log([run[dial] for run in line])
    found: dict[str, float | None] = {}
    for stage in STAGES:
        seconds = [run["seconds"].get(stage, 0.0) for run in line]
        found[stage] = slope(sizes, seconds) if min(seconds) > 0 and max(seconds) >= LEAST_SECONDS else None
    found["memory"] = slope(sizes, [run["peak_memory_mb"] for run in line])
    return found


def slope(log_sizes: np.ndarray, values: Sequence[float]) -> float:
    return round(float(np.polyfit(log_sizes, np.log(values), 1)[0]), 2)


def table(result: Mapping[str, Any]) -> str:
    """Exponents as a Markdown table, and the speed-up of two ranks."""
    rows = [f"| | {' | '.join([*STAGES, 'memory'])} |", "|" + "---|" * (len(STAGES) + 2)]
    for dial, found in result["exponents"].items():
        cells = ["–" if found[name] is None else f"{found[name]:.2f}" for name in (*STAGES, "memory")]
        rows.append(f"| {dial} ({', '.join(map(str, DIALS[dial]))}) | {' | '.join(cells)} |")
    two = next((run for run in result["runs"] if run["ranks"] == 2), None)
    if two is not None:
        one = next(run for run in result["runs"] if all(run[dial] == BASE[dial] for dial in BASE))
        ratios = [two["seconds"].get(s, math.nan) / one["seconds"][s] if one["seconds"].get(s) else math.nan for s in STAGES]
        ratios.append(two["peak_memory_mb"] / one["peak_memory_mb"])
        rows.append(f"| 2 ranks, times 1 rank | {' | '.join('–' if math.isnan(r) else f'{r:.2f}' for r in ratios)} |")
    return "\n".join(rows)


def plot(result: Mapping[str, Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    dials = list(result["exponents"])
    figure, axes = plt.subplots(1, len(dials), figsize=(4.5 * len(dials), 4), sharey=True, squeeze=False)
    for axis, dial in zip(axes[0], dials, strict=True):
        line = sorted((r for r in result["runs"] if all(r[o] == BASE[o] for o in BASE if o != dial)), key=lambda run: run[dial])
        for stage in STAGES:
            axis.plot([r[dial] for r in line], [r["seconds"].get(stage, math.nan) for r in line], marker="o", label=stage)
        axis.plot([r[dial] for r in line], [r["peak_memory_mb"] / 1000 for r in line], "k--", label="memory, GB")
        axis.set(xscale="log", yscale="log", xlabel=dial)
        axis.grid(alpha=0.3)
    axes[0][0].set_ylabel("seconds of a round")
    axes[0][-1].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
