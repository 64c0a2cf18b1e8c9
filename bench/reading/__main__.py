"""How many answers of real models have no program: by the one reader, and by the two readers that were here before it.

    python -m bench.reading                  # → bench/results/reading.json, and Markdown on stdout

The answers are those committed in bench/data/real (its README says how they were drawn). The readers before are taken from the project's
history as they stood at commit 4a43772: `extract_code`, by which training and `ucoder judge` read, and `solution_of`, by which benchmarks
did. What a reader finds is one of:

| name          | what it is                                                          |
|---------------|---------------------------------------------------------------------|
| program       | Python that defines the entry at module level                       |
| another name  | Python that does not: functions of other names                      |
| not compiling | no Python                                                           |
| none          | no program was found                                                |
"""

from __future__ import annotations

import argparse
import ast
import json
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.command import module_command
from bench.markdown import percent, table
from probing.reading import read_program
from rl.benchmarks.base import EvalTask, Unavailable, load_benchmark
from rl.config.run_folder import versions, write_atomically
from rl.console import UserError, error_screen
from rl.evals.answers_file import read_answers

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "bench" / "data" / "real"
RESULTS = ROOT / "bench" / "results" / "reading.json"
FILES = {  # file: whose answers
    "greedy.jsonl.gz": "Qwen2.5-Coder-0.5B, greedy",
    "t0.8.jsonl.gz": "Qwen2.5-Coder-0.5B, T = 0.8",
    "smollm2.jsonl.gz": "SmolLM2-135M, greedy",
}
BEFORE = "4a4377282c66134fe90ccab69a1b30442051394b"
OLD = {"before, training": ("probing/answers.py", "extract_code"), "before, benchmarks": ("rl/evals/answers.py", "solution_of")}
NOW = "the one reader"
KINDS = ("program", "another name", "not compiling", "none")
SHOWN = 400  # characters of an answer that is listed

Reader = Callable[[str, str, str], str | None]  # (answer, entry, code that the prompt gave) -> program


def old_function(path: str, name: str) -> Callable[..., str | None]:
    """A function of a module as it stood at `BEFORE`. Raises UserError where the history is not here."""
    done = subprocess.run(["git", "-C", str(ROOT), "show", f"{BEFORE}:{path}"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"the project's history has no {path} at {BEFORE[:7]}", str(ROOT), "run this in a clone with its whole history")
    space: dict[str, Any] = {"__name__": f"before_{name}"}
    exec(compile(done.stdout, path, "exec"), space)
    function: Callable[..., str | None] = space[name]
    return function


def readers() -> dict[str, Reader]:
    extract_code, solution_of = (old_function(*place) for place in OLD.values())
    first, second = OLD
    return {
        first: lambda answer, entry, given: extract_code(answer),
        second: lambda answer, entry, given: solution_of(answer, entry, given),
        NOW: read_program,
    }


def kind_of(code: str | None, entry: str) -> str:
    """What a reader found: one of `KINDS`."""
    if code is None:
        return "none"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            body = ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "not compiling"
    names = {node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    stored = {
        n.id for s in body for n in ast.walk(s) if isinstance(s, ast.Assign) and isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }
    return "program" if entry in names | stored else "another name"


def measure(answers: Sequence[tuple[EvalTask, str]], known: Mapping[str, Reader]) -> dict[str, Any]:
    """Counts of the kinds by reader, and the answers in which the one reader finds no program that compiles."""
    counts = {name: Counter[str]() for name in known}
    left = []
    for task, answer in answers:
        for name, read in known.items():
            kind = kind_of(read(answer, task.entry, getattr(task, "given", "")), task.entry)
            counts[name][kind] += 1
            if name == NOW and kind in ("none", "not compiling"):
                left.append({"task": task.id, "kind": kind, "end": answer[-SHOWN:]})
    return {
        "answers": len(answers),
        "counts": {name: {kind: found[kind] for kind in KINDS} for name, found in counts.items()},
        "none_share": {name: found["none"] / max(len(answers), 1) for name, found in counts.items()},
        "left": left,
    }


def load(path: Path) -> list[tuple[EvalTask, str]]:
    """The answers of a file with their tasks."""
    found = []
    for name, by_task in read_answers(path, max_new_tokens=1 << 30).answers.items():
        benchmark = load_benchmark(name)
        if isinstance(benchmark, Unavailable):
            raise UserError(f"{name} cannot be had: {benchmark.reason}", str(path), benchmark.remedy)
        tasks = {task.id: task for task in benchmark.tasks}
        found += [(tasks[task], answer.text) for task, group in by_task.items() for answer in group]
    return found


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """One line an answer file and reader: the share without a program, then the counts."""
    header = ["answers of", "number", "reader", "without a program", *KINDS]
    lines = [
        [row["answers_of"], f"{row['answers']:,}", name, percent(row["none_share"][name]), *(f"{counts[kind]:,}" for kind in KINDS)]
        for row in rows
        for name, counts in row["counts"].items()
    ]
    return table(header, lines)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.reading", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    with error_screen():
        known = readers()
        rows = [{"file": file, "answers_of": whose} | measure(load(DATA / file), known) for file, whose in FILES.items()]
        record = {
            "command": module_command("bench.reading", sys.argv[1:]),
            "before": BEFORE,
            "versions": versions(),
            "rows": rows,
        }
        write_atomically(args.out, json.dumps(record, indent=1) + "\n")
    print(markdown(rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
