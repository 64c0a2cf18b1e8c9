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
The published verdicts on MBPP are of MBPP+ v0.1.0, tests and oracles here those of v0.2.0. Sanitized MBPP's own asserts are run too; they
are other tests than evalplus's, so nothing is published for them.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.metadata
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.command import module_command
from rewards.programs.normal_form import normal_form
from rewards.records import Execution, Kind, Program
from rewards.sandbox import Sandbox, SandboxConfig
from rl.benchmarks.base import Benchmark, EvalTask, Grade, Unavailable, load_benchmark
from rl.benchmarks.data import find_data
from rl.config.run_folder import git_commit, versions, write_atomically
from rl.evals.runner import execute

RESULTS = Path(__file__).resolve().parents[1] / "results" / "raw_outputs.json"
OUTPUTS = "outputs/qwen2.5-coder-1.5b-base-{}.jsonl.gz"
BENCHMARKS = {"humaneval": "humaneval", "humaneval_plus": "humaneval", "mbpp": "mbpp", "mbpp_plus": "mbpp"}  # name: whose outputs
FORMS = ("raw", "solution", "sanitised")
MORE_SECONDS = 50.0  # for a call in the second look at a difference
AS_SETS = "evalplus compares the results as sets since v0.2.0 ({})"
# Why verdicts on a task differ, where reading the program and the harness's source has told.
REASONS = {
    "Mbpp/2": AS_SETS.format("similar_elements"),
    "Mbpp/232": AS_SETS.format("larg_nnum"),
    "Mbpp/579": AS_SETS.format("find_dissimilar"),
    "Mbpp/123": "tries every divisor of every number up to 10,000, twice: some 4 seconds, at the limit of both",
    "Mbpp/435": "the answer ends in `n=int(input())`: our reader leaves it out; evalplus's sanitizer keeps it, "
    "since it takes the parameter `n` for the variable, and it fails for want of input",
    "Mbpp/585": "the answer is cut off inside a test function, which our reader leaves out with its `import pytest`: the published program "
    "does not parse, the sanitised one imports pytest, which is not offered",
    "Mbpp/599": "a loop over 100,000,007 numbers: evalplus gives four times the reference's own time, we give 4 seconds",
}


@dataclass(frozen=True)
class Row:
    """A task with the verdicts on its answer. None: our infrastructure failed, or nobody has looked."""

    task: str
    published: bool | None  # None: for other tests than these
    verdicts: Mapping[str, bool | None]  # of each of `FORMS`; `sanitised` is None where evalplus is not installed
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
) -> list[tuple[Grade, Execution | None]]:
    """The verdict on each program, those of a task that differ in layout alone run once. A missing program has failed."""
    distinct = {(task.id, normal_form(program.code)): (task, program) for task, program in programs if program is not None}
    executions = execute([program for _, program in distinct.values()], sandbox)
    runs = [(task, execution) for (task, _), execution in zip(distinct.values(), executions, strict=True)]
    found = dict(zip(distinct, zip(benchmark.grades(runs, sandbox), executions, strict=True), strict=True))
    return [(Grade(False, False), None) if p is None else found[task.id, normal_form(p.code)] for task, p in programs]


def first_failure(execution: Execution | None) -> str:
    """The first outcome that is no value; empty where all are."""
    if execution is None:
        return "no program"
    bad = next((o for o in execution.outcomes if o.kind is not Kind.VALUE), None)
    return "" if bad is None else f"{bad.kind.value}: {bad.payload[:80]}"


def graded(
    benchmark: Benchmark, rows: Mapping[str, Mapping[str, Any]], tasks: Sequence[EvalTask], seconds: float | None
) -> dict[str, list[Row]]:
    """Rows of the tasks by which tests count: "all", and "base" for the older benchmark's alone. seconds: for a call; None: as usual."""
    limits = {} if seconds is None else {"seconds_per_input": seconds, "seconds_per_program": 12 * seconds}
    with Sandbox(SandboxConfig().model_copy(update={**benchmark.sandbox, **limits})) as sandbox:
        prepared = {task.id: task for task in benchmark.prepared(sandbox).tasks}
        tasks = [prepared[task.id] for task in tasks]
        programs = [(task, form, program) for task in tasks for form, program in programs_of(benchmark, task, rows[task.id]).items()]
        judged = verdicts_on(benchmark, [(task, program) for task, _, program in programs], sandbox)
    found: dict[str, list[Row]] = {}
    for tests in ("all", "base") if benchmark.has_base else ("all",):
        verdicts: dict[str, dict[str, bool | None]] = {task.id: {} for task in tasks}
        said: dict[str, dict[str, str]] = {task.id: {} for task in tasks}
        for (task, form, program), (verdict, execution) in zip(programs, judged, strict=True):
            absent = program is None and form == "sanitised"
            verdicts[task.id][form] = None if absent else verdict.passed if tests == "all" else verdict.base
            said[task.id][form] = "evalplus is not installed" if absent else first_failure(execution)
        found[tests] = [Row(t.id, published(benchmark, rows[t.id], tests), verdicts[t.id], said[t.id]) for t in tasks]
    return found


def published(benchmark: Benchmark, row: Mapping[str, Any], tests: str) -> bool | None:
    """evalplus's verdict; None for sanitized MBPP, whose asserts it does not run."""
    if benchmark.name == "mbpp":
        return None
    plus = benchmark.has_base and tests == "all"
    return row["base_status"] == "pass" and (not plus or row["plus_status"] == "pass")


def differs(row: Row) -> bool:
    """Whether the forms, or the published verdict, differ in what is known."""
    return len({passed for passed in (row.published, *row.verdicts.values()) if passed is not None}) > 1


def summary(name: str, tests: str, rows: Sequence[Row], again: Mapping[str, Row]) -> dict[str, Any]:
    """The counts of a benchmark, and its tasks on which verdicts differ. again: what the second look said, by task."""
    differing = []
    for row in filter(differs, rows):
        later = again.get(row.task, row)
        entry: dict[str, Any] = {"task": row.task, "published": row.published, **row.verdicts, "said": dict(row.said)}
        if later.verdicts != row.verdicts:
            entry["with_more_time"] = dict(later.verdicts)
        differing.append(entry | {"reason": REASONS.get(row.task, "unexplained" if differs(later) else "settled by more time")})
    final = [again.get(row.task, row) for row in rows]
    return {
        "benchmark": name,
        "tests": tests,
        "tasks": len(rows),
        **{f"{form}_pass": sum(row.verdicts[form] is True for row in final) for form in FORMS},
        "published_pass": None if all(row.published is None for row in final) else sum(row.published is True for row in final),
        "missing": [row.task for row in final if row.verdicts["raw"] is None],
        **{
            f"raw_differs_from_{form}": [r.task for r in final if known_to_differ(r.verdicts["raw"], r.verdicts[form])]
            for form in FORMS[1:]
        },
        "raw_differs_from_published": [row.task for row in final if known_to_differ(row.verdicts["raw"], row.published)],
        "differing": differing,
    }


def known_to_differ(one: bool | None, two: bool | None) -> bool:
    return one is not None and two is not None and one != two


def measure(name: str) -> list[dict[str, Any]]:
    """The summaries of one benchmark, or why it cannot be had."""
    benchmark, path = load_benchmark(name), find_data(OUTPUTS.format(BENCHMARKS[name]))
    if isinstance(benchmark, Unavailable) or path is None:
        reason = benchmark.reason if isinstance(benchmark, Unavailable) else f"no {OUTPUTS.format(BENCHMARKS[name])} in a data folder"
        return [{"benchmark": name, "unavailable": reason}]
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = {row["task_id"]: row for row in map(json.loads, file)}
    tasks = [task for task in benchmark.tasks if task.id in rows]
    started = time.monotonic()
    first = graded(benchmark, rows, tasks, None)
    unsettled = {row.task for found in first.values() for row in found if differs(row) or row.verdicts["raw"] is None}
    again = graded(benchmark, rows, [task for task in tasks if task.id in unsettled], MORE_SECONDS) if unsettled else {}
    seconds = round(time.monotonic() - started)
    later = {tests: {row.task: row for row in again.get(tests, ())} for tests in first}
    return [summary(name, tests, found, later[tests]) | {"seconds": seconds} for tests, found in first.items()]


def kept_rows(path: Path, names: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of an earlier result about other benchmarks than the named ones; each has the commit that it was made at."""
    before = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.is_file() else []
    return [row for row in before if row["benchmark"] in BENCHMARKS and row["benchmark"] not in names]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--benchmarks", default=",".join(BENCHMARKS), help="measured now; rows of others stay as they are")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    names = args.benchmarks.split(",")
    found = kept_rows(args.out, names)
    for name in names:
        for row in measure(name):
            print({key: value for key, value in row.items() if key != "differing"})
            for entry in row.get("differing", ()):
                print(f"  {entry}", flush=True)
            found.append(row | {"commit": git_commit()})
    installed = [name for name in ("evalplus",) if sanitised("x = 1", "x") is not None]
    record = {
        "command": module_command("bench.reading.raw_outputs", sys.argv[1:]),
        "versions": versions() | {name: importlib.metadata.version(name) for name in installed},
        "rows": sorted(found, key=lambda row: list(BENCHMARKS).index(row["benchmark"])),
    }
    write_atomically(args.out, json.dumps(record, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
