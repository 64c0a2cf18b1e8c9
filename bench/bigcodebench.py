"""Do our verdicts on BigCodeBench equal the official ones? Real programs of a real model, with the verdicts that its authors published.

    make install-bigcodebench
    python -m bench.bigcodebench             # → bench/results/bigcodebench.json

The programs are greedy answers of Qwen2.5-Coder-1.5B (base) to BigCodeBench-Complete-Hard, calibrated, and their statuses by
`bigcodebench.evaluate`, from Qwen's repository: `outputs/qwen2.5-coder-1.5b-base-bigcodebench_hard.jsonl.gz` in a data folder. Each runs
with its task's unit tests in our sandbox, and so does each task's own solution: where that fails, the task is unavailable here.
"""

from __future__ import annotations

import argparse
import collections
import gzip
import json
import sys
import time
from pathlib import Path
from typing import Any

from bench.command import module_command
from rewards.records import Kind, Program
from rewards.sandbox import Sandbox, SandboxConfig
from rewards.sandbox.packages import make_offer
from rl.benchmarks.base import Unavailable, load_benchmark
from rl.benchmarks.bigcodebench_scoring import BigCodeBenchmark, fault_of
from rl.benchmarks.data import find_data
from rl.config.run_folder import versions

RESULTS = Path(__file__).parent / "results" / "bigcodebench.json"
OUTPUTS = "outputs/qwen2.5-coder-1.5b-base-bigcodebench_hard.jsonl.gz"
NAME = "bigcodebench_complete_hard"


def measure(benchmark: BigCodeBenchmark, rows: list[dict[str, Any]], sandbox: Sandbox) -> list[dict[str, Any]]:
    """For each published answer: both verdicts, what ours was said for, and why the task is unavailable where it is."""
    tasks = {task.id: task for task in benchmark.tasks}
    benchmark = benchmark.prepared(sandbox)
    programs = [benchmark.wrapped(task, Program(row["solution"], task.entry, ())) for row in rows if (task := tasks[row["task_id"]])]
    found = []
    for row, execution in zip(rows, sandbox.run(programs), strict=True):
        outcome = execution.outcomes[0]
        missing = execution.missing or row["task_id"] in benchmark.lost
        ours = "missing" if missing else "timeout" if outcome.kind is Kind.TIMEOUT else "fail" if fault_of(outcome) else "pass"
        found.append(
            {
                "task": row["task_id"],
                "official": row["status"],
                "ours": ours,
                "said": fault_of(outcome),
                "unavailable": benchmark.without.get(row["task_id"]),
                "seconds": round(execution.seconds, 2),
            }
        )
    return found


def summary(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts over all tasks, and over those that were scored here."""
    available = [row for row in found if row["unavailable"] is None and row["ours"] != "missing"]
    differing = [row for row in available if (row["official"] == "pass") != (row["ours"] == "pass")]
    return {
        "tasks": len(found),
        "available": len(available),
        "official_pass": sum(row["official"] == "pass" for row in found),
        "official_pass_available": sum(row["official"] == "pass" for row in available),
        "ours_pass": sum(row["ours"] == "pass" for row in available),
        "agree": len(available) - len(differing),
        "differ": [row["task"] for row in differing],
        "missing": sum(row["ours"] == "missing" for row in found),
        "statuses": dict(collections.Counter(f"{row['official']} / {row['ours']}" for row in available)),
    }


def main() -> int:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    benchmark, path = load_benchmark(NAME), find_data(OUTPUTS)
    absent = benchmark if isinstance(benchmark, Unavailable) else benchmark.unavailable()
    if absent is not None or path is None:
        print(f"{NAME}: unavailable. " + (f"{absent.reason}; {absent.remedy}" if absent else f"no {OUTPUTS} in a data folder"))
        return 0
    assert isinstance(benchmark, BigCodeBenchmark)
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    started = time.monotonic()
    with Sandbox(SandboxConfig().model_copy(update=dict(benchmark.sandbox))) as sandbox:
        found = measure(benchmark, rows, sandbox)
        walls = sandbox.describe().partition(", offering")[0]
    figures = summary(found)
    record = figures | {
        "unavailable": {row["task"]: row["unavailable"] for row in found if row["unavailable"] is not None},
        "rows": found,
        "sandbox": walls,
        "seconds": round(time.monotonic() - started),
        "libraries": make_offer(benchmark.sandbox["packages"], benchmark.sandbox["environment"]).versions,
        "versions": versions(),
        "command": module_command("bench.bigcodebench", sys.argv[1:]),
    }
    RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(
        f"{figures['agree']} of {figures['available']} verdicts agree ({figures['official_pass_available']} pass officially, "
        f"{figures['ours_pass']} here); {figures['tasks'] - figures['available']} of {figures['tasks']} tasks are unavailable here"
    )
    for row in found:
        if row["task"] in figures["differ"]:
            print(f"  {row['task']}: {row['official']} officially, {row['ours']} here: {row['said']}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
