"""Do the sandbox's two lanes say the same of every program? (`make bench-lanes`)

    python -m bench.speed.lanes                 # every HumanEval+ and MBPP+ reference on all its inputs, and 10,000 mutants
    python -m bench.speed.lanes --mutants 500 --reference-inputs 20

Each program runs once with the fast lane open (and nothing of it checked again) and once in a child of its own. Two outcomes differ unless
they are equal, kind and text, or one of them depends on the machine's load (timeout, memory, killed), which is counted apart. Exit status
1 when any differ. Writes bench/results/lanes.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from bench.judging.pools import SUITES, data_folder
from bench.speed.sandbox import rows
from rewards.programs.mutants import mutants
from rewards.records import Program
from rewards.sandbox import Sandbox, SandboxConfig
from rewards.sandbox.jobs import LOAD_DEPENDENT
from rl.config.run_folder import git_commit


def references(folder: Path, n_inputs: int | None = None) -> list[Program]:
    """The reference of every row at hand, on its first inputs or on all."""
    found = []
    for name in SUITES.values():
        path = folder / name
        for file in sorted(path.glob("*.jsonl.gz")) if path.is_dir() else [path] * path.exists():
            for row in rows(file):
                inputs = tuple(repr(x) for x in [*row["base_input"], *row["plus_input"]][:n_inputs])
                found.append(Program(row["prompt"] + row["canonical_solution"], row["entry_point"], inputs))
    return found


def distinct_mutants(programs: Sequence[Program], number: int, n_inputs: int) -> list[Program]:
    """So many distinct mutants of these programs, each on its program's first inputs: of first order, then mutants of mutants."""

    def grow() -> Iterator[Program]:
        parents, seed = list(programs), 0
        while parents:
            children = [
                Program(mutant.code, p.entry, p.inputs[:n_inputs])
                for p in parents
                for mutant in mutants(p.code, 40 if seed == 0 else 2, seed)
            ]
            yield from children
            parents, seed = children, seed + 1

    return list(islice(dict.fromkeys(islice(grow(), 3 * number)), number))


def run(programs: Sequence[Program], fast_lane: bool, **limits: Any) -> tuple[list[Any], dict[str, int]]:
    """Executions, and what the sandbox counted."""
    with Sandbox(SandboxConfig(fast_lane=fast_lane, recheck_share=0, **limits)) as sandbox:
        return list(sandbox.run(programs)), dict(sandbox.counts)


def compare(programs: Sequence[Program], **limits: Any) -> dict[str, Any]:
    """Outcomes that are equal, that depend on load, and that differ; examples of the last."""
    (fast, counts), (strict, _) = run(programs, True, **limits), run(programs, False, **limits)
    found: Counter[str] = Counter()
    examples: list[dict[str, str]] = []
    for program, one, other in zip(programs, fast, strict, strict=True):
        for text, a, b in zip(program.inputs, one.outcomes, other.outcomes, strict=True):
            verdict = "equal" if a == b else "load" if {a.kind, b.kind} & LOAD_DEPENDENT else "differ"
            found[verdict] += 1
            if verdict == "differ" and len(examples) < 20:
                examples.append({"code": program.code, "input": text, "fast": str(a), "strict": str(b)})
    counted = {"programs": len(programs), "stayed_in_fast_lane": counts["fast"] - counts.get("moved", 0)}
    return counted | {name: found[name] for name in ("equal", "load", "differ")} | {"examples": examples}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutants", type=int, default=10_000)
    parser.add_argument("--mutant-inputs", type=int, default=10, help="inputs that a mutant gets")
    parser.add_argument("--reference-inputs", type=int, help="inputs that a reference gets (default: all)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results" / "lanes.json")
    arguments = parser.parse_args()
    folder = data_folder()
    if folder is None:
        print("bench.speed.lanes: no benchmark data: set UCODER_DATA to a folder with humanevalplus/ and mbppplus/", file=sys.stderr)
        return 2
    command = f"python -m bench.speed.lanes --mutants {arguments.mutants} --mutant-inputs {arguments.mutant_inputs}"
    command += f" --reference-inputs {arguments.reference_inputs}" if arguments.reference_inputs else ""
    result: dict[str, Any] = {"command": command, "commit": git_commit()}
    programs = references(folder, arguments.reference_inputs)
    result["references"] = compare(programs, seconds_per_input=20, seconds_per_program=120)
    print(json.dumps(result["references"], indent=1), flush=True)
    changed = distinct_mutants(programs, arguments.mutants, arguments.mutant_inputs)
    result["mutants"] = compare(changed, seconds_per_input=0.4, seconds_per_program=4, max_timeouts=1, memory_mb=256)
    print(json.dumps(result["mutants"], indent=1))
    arguments.out.parent.mkdir(exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    return int(result["references"]["differ"] + result["mutants"]["differ"] > 0)


if __name__ == "__main__":
    sys.exit(main())
