"""Evaluations of real models beside their published figures: one table from the files of `ucoder eval --json`.

    ucoder eval --model Qwen/Qwen2.5-Coder-0.5B-Instruct --benchmarks humaneval_plus,mbpp_plus --temperature 0 \\
        --max_new_tokens 768 --json evals/0.5b-greedy.json
    python -m bench.real.evals evals          # → bench/results/real_evals.json, and Markdown on stdout

A run of HumanEval+ or MBPP+ gives two rows: all tests, and those of HumanEval or MBPP alone, as evalplus reports them. Published figures
are Qwen2.5-Coder's (arXiv 2409.12186), greedy; a row has one where the model's name says which it is. A checkpoint made from such a
model has another name and none. The published MBPP figures are of evalplus's 399 tasks (v0.1.0), ours of its 378 (v0.2.0).
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.command import shown
from bench.markdown import interval, percent, table
from rl.config.run_folder import write_atomically
from rl.console import UserError, error_screen
from rl.evals.compare import read_record

RESULTS = Path(__file__).parents[1] / "results" / "real_evals.json"
SOURCE = "arXiv 2409.12186"
PUBLISHED: dict[str, dict[str, float]] = {  # pass@1 in percent
    "qwen2.5-coder-0.5b-instruct": {"humaneval": 61.6, "humaneval_plus": 57.3, "mbpp": 52.4, "mbpp_plus": 43.7},
    "qwen2.5-coder-1.5b-instruct": {"humaneval": 70.7, "humaneval_plus": 66.5, "mbpp": 69.2, "mbpp_plus": 59.4},
}
QUANTISED = r"([-.](q\d\w*|b?f\w*16))?\.gguf$"  # what a GGUF file's name has after the model's
FIGURES = (("pass@1", "", "all"), ("pass@1_base", "_plus", "base"))  # key, ending taken off the benchmark's name, which tests


def rows_of(record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The rows of one evaluation: one a benchmark and set of tests, and one of HumanEval+ and MBPP+ together."""
    config = record["config"]
    model, greedy, whole = Path(record["model"]).name, config["temperature"] == 0, config["limit"] is None
    known = PUBLISHED.get(re.sub(QUANTISED, "", model.lower()), {})
    shared = {
        "model": model,
        "prompt": config["prompt"],
        "temperature": config["temperature"],
        "samples": 1 if greedy else config["samples"],
        "dtype": record["sampling"]["dtype"],
        "backend": record["sampling"]["backend"],
        "limit": config["limit"],
        "model_hash": record["model_hash"] and record["model_hash"][:16],  # none where answers were graded that were already there
        "commit": record["versions"].get("commit"),
        "command": shown(*shlex.split(record["command"])),
    }
    found = {name: entry["metrics"] for name, entry in record["benchmarks"].items() if "pass@1" in entry.get("metrics", {})}
    if record.get("pooled"):
        found["humaneval_plus + mbpp_plus"] = record["pooled"]
    for name, metrics in found.items():
        for key, ending, tests in FIGURES:
            if key not in metrics:
                continue
            benchmark = name.replace(ending, "") if ending else name
            comparable = greedy and whole and not (benchmark == "mbpp" and tests == "all")  # sanitized MBPP has other tasks
            yield {
                "model": model,
                "benchmark": benchmark,
                "tests": tests,
                **shared,
                "tasks": metrics["tasks"],
                "pass@1": metrics[key],
                "pass@1_ci": metrics[f"{key}_ci"],
                "missing": metrics.get("missing"),
                "no_program": metrics.get("no_program"),
                "mean_length": metrics.get("mean_length"),
                "published": known.get(benchmark) if comparable else None,
            }


def collect(folder: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """(rows of all evaluations in a folder, names of its JSON files that are none). Raises UserError when it has no evaluation."""
    rows: list[dict[str, Any]] = []
    others = []
    for path in sorted(folder.glob("*.json")):
        try:
            record = read_record(path)
        except UserError:
            others.append(path.name)
            continue
        rows += [row | {"file": path.name} for row in rows_of(record)]
    if not rows:
        raise UserError("there is no evaluation in this folder", str(folder), "write some with: ucoder eval --json")
    return sorted(rows, key=lambda r: (r["model"], r["prompt"], r["temperature"], r["dtype"], r["file"])), others


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table of RESULTS.md; what was evaluated on the first tasks alone says so."""
    header = ["model", "benchmark", "tasks", "prompt", "decoding", "dtype", "pass@1 [95 %]", "published", "difference, points"]
    lines = []
    for row in rows:
        greedy = row["temperature"] == 0
        published = row["published"]
        lines.append(
            [
                row["model"],
                row["benchmark"],
                str(row["tasks"]) + (" (the first of each)" if row["limit"] else ""),
                row["prompt"],
                "greedy" if greedy else f"T = {row['temperature']:g}, {row['samples']} samples",
                row["dtype"],
                interval(row, "pass@1"),
                "–" if published is None else f"{published:.1f} %",
                "–" if published is None else f"{100 * row['pass@1'] - published:+.1f}",
                percent(row["no_program"]),
                "–" if row["mean_length"] is None else f"{row['mean_length']:.0f}",
            ]
        )
    return table([*header, "no program", "tokens"], lines)


def rows_of_other_files(path: Path, found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows that are there already, of evaluations whose files are not among those that were read."""
    before = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.is_file() else []
    read = {row["file"] for row in found}
    return [row for row in before if row["file"] not in read]


def main() -> None:
    parser = argparse.ArgumentParser(description="Evaluations of real models beside their published figures.")
    parser.add_argument("folder", type=Path, help="folder of files written by ucoder eval --json")
    parser.add_argument("--out", type=Path, default=RESULTS, help="where the rows go (default bench/results/real_evals.json)")
    args = parser.parse_args()
    with error_screen():
        found, others = collect(args.folder)
        rows = [*rows_of_other_files(args.out, found), *found]
        write_atomically(args.out, json.dumps({"published": SOURCE, "rows": rows}, indent=1) + "\n")
    print(markdown(rows))
    if others:
        print(f"\nno evaluations: {', '.join(others)}")


if __name__ == "__main__":
    main()
