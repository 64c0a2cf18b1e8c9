"""Does an answer get the same verdict as its sanitised program, and the verdict that was published?

    pip install 'ucoder[evals]'
    python -m bench.reading.raw_outputs          # → bench/results/raw_outputs.json

The answers are greedy completions of Qwen2.5-Coder-1.5B (base) to HumanEval+ and MBPP+, from Qwen's repository with evalplus's
verdicts: `outputs/qwen2.5-coder-1.5b-base-{humaneval,mbpp}.jsonl.gz` in a data folder. Three programs of each answer are graded, by
HumanEval, HumanEval+, MBPP and MBPP+:

| name      | program                                                                          |
|-----------|----------------------------------------------------------------------------------|
| raw       | what our reader finds in the completion                                          |
| solution  | the published program: prompt and completion, as they are                        |
| sanitised | what `evalplus.sanitize` makes of that program                                   |

Programs of a task that differ in layout alone run once. Where verdicts differ, the programs run again with far more time.
The published verdicts on MBPP are of MBPP+ v0.1.0; tests and oracles here are those of v0.2.0, and of sanitized MBPP.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.metadata
import json
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rewards.programs.normal_form import normal_form
from rewards.records import Execution, Kind, Program
from rewards.sandbox import Sandbox, SandboxConfig
from rl.benchmarks.base import Benchmark, EvalTask, Unavailable, Verdict, find_data, load_benchmark
from rl.config.run_folder import versions, write_atomically
from rl.evals.runner import execute

RESULTS = Path(__file__).resolve().parents[1] / "results" / "raw_outputs.json"
OUTPUTS = "outputs/qwen2.5-coder-1.5b-base-{}.jsonl.gz"
BENCHMARKS = {"humaneval": "humaneval", "humaneval_plus": "humaneval", "mbpp": "mbpp", "mbpp_plus": "mbpp"}  # name: whose outputs
FORMS = ("raw", "solution", "sanitised")
MORE_SECONDS = 50.0  # for a call in the second look at a difference
# Why verdicts differ, where reading the program and the harness's source has told. Keys: benchmark, task.
REASONS = {
    (
        "mbpp",
        "Mbpp/435",
    ): "the answer ends in `n=int(input())`: our reader leaves it out; evalplus's sanitizer keeps it, since it takes the "
    "parameter `n` for the variable; it fails for want of input",
    ("mbpp", "Mbpp/585"): "the answer is cut off inside a test function: our reader leaves that out; the published program does not parse",
    ("mbpp", "Mbpp/2"): "MBPP's own asserts compare sets, evalplus v0.1.0 compared a set with a tuple",
    ("mbpp_plus", "Mbpp/2"): "evalplus compares as sets since v0.2.0 (`similar_elements`)",
    ("mbpp_plus", "Mbpp/579"): "evalplus compares as sets since v0.2.0 (`find_dissimilar`)",
    ("mbpp_plus", "Mbpp/599"): "a loop over 100,000,007 numbers: evalplus gives four times the reference's own time, we give 4 seconds",
}


@dataclass(frozen=True)
class Row:
    """A task with the verdicts on its answer. None: our infrastructure failed, or (`sanitised`) evalplus is not installed."""

    task: str
    published: bool
    verdicts: Mapping[str, bool | None]  # of each of `FORMS`
    said: Mapping[str, str]  # the first outcome that is no value; "": all are values


def sanitised(solution: str, entry: str) -> str | None:
    """evalplus's own sanitizer; None where it is not installed."""
    try:
        from evalplus.sanitize import sanitize
    except ImportError:
        return None
    return str(sanitize(solution, entry))


def programs_of(benchmark: Benchmark, task: EvalTask, row: Mapping[str, Any]) -> dict[str, Program | None]:
    """The programs of an answer, by their form."""
    texts = {"solution": row["solution"], "sanitised": sanitised(row["solution"], task.entry)}
    found = {form: None if text is None else Program(text, task.entry, task.inputs) for form, text in texts.items()}
    return {"raw": benchmark.program(task, row["completion"]), **found}


def verdicts_on(
    benchmark: Benchmark, programs: Sequence[tuple[EvalTask, Program | None]], sandbox: Sandbox
) -> list[tuple[Verdict, Execution | None]]:
    """The verdict on each program, those of a task that differ in layout alone run once. A missing program has failed."""
    distinct = {(task.id, normal_form(program.code)): (task, program) for task, program in programs if program is not None}
    executions = execute([program for _, program in distinct.values()], sandbox)
    runs = [(task, execution) for (task, _), execution in zip(distinct.values(), executions, strict=True)]
    found = dict(zip(distinct, zip(benchmark.verdicts(runs, sandbox), executions, strict=True), strict=True))
    return [(Verdict(False, False), None) if p is None else found[task.id, normal_form(p.code)] for task, p in programs]


def first_failure(execution: Execution | None) -> str:
    """The first outcome that is no value."""
    if execution is None:
        return "no program"
    bad = next((o for o in execution.outcomes if o.kind is not Kind.VALUE), None)
    return "" if bad is None else f"{bad.kind.value}: {bad.payload[:80]}"


def graded(benchmark: Benchmark, rows: Mapping[str, Mapping[str, Any]], tasks: Sequence[EvalTask], seconds: float | None) -> list[Row]:
    """A row for each task. seconds: for a call; None: the benchmark's own limits."""
    limits = {} if seconds is None else {"seconds_per_input": seconds, "seconds_per_program": 12 * seconds}
    with Sandbox(SandboxConfig().model_copy(update={**benchmark.sandbox, **limits})) as sandbox:
        prepared = {task.id: task for task in benchmark.prepared(sandbox).tasks}
        tasks = [prepared[task.id] for task in tasks]
        programs = [(task, form, program) for task in tasks for form, program in programs_of(benchmark, task, rows[task.id]).items()]
        verdicts = verdicts_on(benchmark, [(task, program) for task, _, program in programs], sandbox)
    by_task: dict[str, dict[str, tuple[bool | None, str]]] = {}
    for (task, form, program), (verdict, execution) in zip(programs, verdicts, strict=True):
        absent = program is None and form == "sanitised"
        found = (None, "evalplus is not installed") if absent else (verdict.passed, first_failure(execution))
        by_task.setdefault(task.id, {})[form] = found
    plus = benchmark.name.endswith("_plus")
    return [
        Row(
            task.id,
            rows[task.id]["base_status"] == "pass" and (not plus or rows[task.id]["plus_status"] == "pass"),
            {form: passed for form, (passed, _) in by_task[task.id].items()},
            {form: said for form, (_, said) in by_task[task.id].items()},
        )
        for task in tasks
    ]


def differs(row: Row) -> bool:
    """Whether the forms, or the published verdict, differ in what is known."""
    return len({row.published, *(passed for passed in row.verdicts.values() if passed is not None)}) > 1


def summary(name: str, rows: Sequence[Row], again: Mapping[str, Row]) -> dict[str, Any]:
    """The counts of a benchmark, and its tasks on which verdicts differ. again: what the second look said, by task."""
    differing = []
    for row in filter(differs, rows):
        later = again.get(row.task, row)
        entry = {"task": row.task, "published": row.published, **row.verdicts, "said": dict(row.said)}
        if later.verdicts != row.verdicts:
            entry["with_more_time"] = dict(later.verdicts)
        differing.append(entry | {"reason": REASONS.get((name, row.task), "settled by more time" if not differs(later) else "unexplained")})
    final = [again.get(row.task, row) for row in rows]
    return {
        "benchmark": name,
        "tasks": len(rows),
        **{f"{form}_pass": sum(row.verdicts[form] is True for row in final) for form in FORMS},
        "published_pass": sum(row.published for row in final),
        "missing": sum(row.verdicts[form] is None for row in final for form in ("raw", "solution")),
        **{f"raw_differs_from_{form}": [r.task for r in final if r.verdicts["raw"] != r.verdicts[form]] for form in FORMS[1:]},
        "raw_differs_from_published": [row.task for row in final if row.verdicts["raw"] != row.published],
        "differing": differing,
    }


def measure(name: str) -> dict[str, Any]:
    """The summary of one benchmark, or why it cannot be had."""
    benchmark, path = load_benchmark(name), find_data(OUTPUTS.format(BENCHMARKS[name]))
    if isinstance(benchmark, Unavailable) or path is None:
        return {"benchmark": name, "unavailable": f"no {OUTPUTS.format(BENCHMARKS[name])}" if path is None else str(benchmark)}
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = {row["task_id"]: row for row in map(json.loads, file)}
    tasks = [task for task in benchmark.tasks if task.id in rows]
    started = time.monotonic()
    first = graded(benchmark, rows, tasks, None)
    unsettled = {row.task for row in first if differs(row)}
    again = graded(benchmark, rows, [task for task in tasks if task.id in unsettled], MORE_SECONDS) if unsettled else []
    return summary(name, first, {row.task: row for row in again}) | {"seconds": round(time.monotonic() - started)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--benchmarks", default=",".join(BENCHMARKS))
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    found = []
    for name in args.benchmarks.split(","):
        found.append(measure(name))
        print({key: value for key, value in found[-1].items() if key != "differing"})
        for row in found[-1].get("differing", ()):
            print(f"  {row}", flush=True)
    installed = [name for name in ("evalplus",) if sanitised("x = 1", "x") is not None]
    record = {
        "command": shlex.join(["python", "-m", "bench.reading.raw_outputs", *sys.argv[1:]]),
        "versions": versions() | {name: importlib.metadata.version(name) for name in installed},
        "rows": found,
    }
    write_atomically(args.out, json.dumps(record, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
