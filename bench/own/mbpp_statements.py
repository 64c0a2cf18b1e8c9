"""Unlabelled MBPP statements as problems of one's own: those that overlap no benchmark, statement and untyped signature alone.

    python -m bench.own.mbpp_statements mbpp.jsonl
    python rl/train.py --config configs/own-problems.yaml --problems.source mbpp.jsonl

Reads `mbpp/mbpp.jsonl` of $UCODER_DATA (the 974 rows of github.com/google-research/google-research, folder mbpp/, CC BY 4.0), or
`mbpp/unlabelled-statements.jsonl.gz`, in which rows have a statement and a signature already. Of a row's reference nothing is taken but the
`def` line of the function that its first assert calls; of its asserts nothing but that function's name.

Overlap is judged as in a run (`rl.own.problems.Benchmarks`), against every benchmark whose data is here; MBPP+ and HumanEval+ must be.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from probing.parsing.proposals import header_of
from probing.stages.config import ProblemsConfig
from rewards.user_files import check_writable
from rl.benchmarks.base import benchmark_statements, load_benchmark
from rl.benchmarks.data import find_data
from rl.benchmarks.mbpp import entry_of
from rl.config.run_folder import write_atomically
from rl.console import UserError, error_screen
from rl.own.problems import OVERLAP, Benchmarks, CheckedRow, check_rows
from rl.own.source import Rows, read_source

FILES = ("mbpp/unlabelled-statements.jsonl.gz", "mbpp/mbpp.jsonl")
MUST_BE_THERE = ("humaneval_plus", "mbpp_plus")


def statement_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of MBPP without its answer: id, description, signature."""
    if "signature" in row:
        return {"id": row["task_id"], "description": row["description"], "signature": row["signature"]}
    name = entry_of(dict(row))
    code = str(row["code"])
    found = re.search(rf"def\s+{re.escape(str(name))}\s*\(", code)
    if found is None:
        raise ValueError(f"MBPP/{row['task_id']}: its code does not define {name}")
    return {"id": f"MBPP/{row['task_id']}", "description": row["text"], "signature": f"{header_of(code[found.start() :])}:"}


def kept_rows(rows: Sequence[Mapping[str, Any]], benchmarks: Benchmarks) -> tuple[list[dict[str, Any]], list[CheckedRow]]:
    """(rows that can be used, what became of every row)."""
    judged = list(check_rows(Rows("mbpp", rows, ""), benchmarks))
    return [dict(row) for row, found in zip(rows, judged, strict=True) if found.problem is not None], judged


def summary(judged: Sequence[CheckedRow], path: Path) -> str:
    dropped = Counter(row.reason for row in judged if row.problem is None)
    overlaps = Counter(row.overlaps.split()[0] for row in judged if row.overlaps)
    lines = [f"{path}: {sum(row.problem is not None for row in judged)} of {len(judged)} statements remain"]
    for reason, count in sorted(dropped.items()):
        of = ", ".join(f"{name} {n}" for name, n in sorted(overlaps.items()))
        lines.append(f"dropped, {reason}: {count}" + (f" ({of})" if reason == OVERLAP else ""))
    return "\n".join(lines)


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.own.mbpp_statements", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path, help="the file to write, FILE.jsonl")
    out: Path = parser.parse_args(argv).out
    with error_screen():
        check_writable(out, "out")
        source = find_data(*FILES)
        if source is None:
            raise UserError(f"there is no {' or '.join(FILES)}", "$UCODER_DATA", "put mbpp.jsonl of google-research's folder mbpp/ there")
        for name in MUST_BE_THERE:
            benchmark = load_benchmark(name)
            if not hasattr(benchmark, "tasks"):
                raise UserError(f"{name} is not here, so overlaps with it cannot be found", "$UCODER_DATA", "see docs/benchmarks.md")
        config = ProblemsConfig()
        benchmarks = Benchmarks(benchmark_statements(), config.decontamination_ngram, config.near_duplicate)
        rows, judged = kept_rows([statement_row(row) for row in read_source(str(source), "mbpp").rows], benchmarks)
        write_atomically(out, "".join(json.dumps(row) + "\n" for row in rows))
        print(summary(judged, out))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
