"""Check every statement of docs/method.md, "What can be learnt without labels", by simulation (numpy only, under a minute).

python -m bench.theory                # writes bench/results/theory.json; exit status 1 when a statement does not hold
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from bench.command import module_command
from bench.markdown import table
from bench.theory import collapse, inputs, spellings, updates, vote
from bench.theory.statement import Statement
from rl.config.run_folder import git_commit, write_atomically

PARTS = {"vote": vote, "updates": updates, "spellings": spellings, "collapse": collapse, "inputs": inputs}
RESULTS = Path(__file__).resolve().parents[1] / "results" / "theory.json"
SEED = 16


def check(seed: int = SEED, scale: float = 1.0) -> dict[str, list[Statement]]:
    """The statements of each part. The same seed and scale give the same figures; a smaller scale draws less."""
    return {name: part.statements(np.random.default_rng([seed, i]), scale) for i, (name, part) in enumerate(PARTS.items())}


def shown(figures: dict[str, float]) -> str:
    return "; ".join(f"{name} {value:.4g}" for name, value in figures.items())


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.theory", description="Check what docs/method.md says about learning from votes.")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--out", type=Path, default=RESULTS, help="where the JSON goes (default bench/results/theory.json)")
    words = list(sys.argv[1:] if argv is None else argv)
    args = parser.parse_args(words)
    started = time.monotonic()
    found = check(args.seed)
    record = {
        "command": module_command("bench.theory", words),
        "commit": git_commit(),
        "seed": args.seed,
        "seconds": round(time.monotonic() - started, 1),
        "statements": [{"part": part, **asdict(s)} for part, statements in found.items() for s in statements],
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(args.out, json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False, default=np.generic.item) + "\n")
    everything = [s for statements in found.values() for s in statements]
    print(
        table(
            ["statement", "predicted", "measured", "holds"],
            [[s.name, shown(s.predicted), shown(s.measured), "yes" if s.holds else "NO"] for s in everything],
        )
    )
    print(f"\n{sum(s.holds for s in everything)} of {len(everything)} statements hold; {args.out}, {record['seconds']} s")
    return 0 if all(s.holds for s in everything) else 1


if __name__ == "__main__":
    raise SystemExit(main())
