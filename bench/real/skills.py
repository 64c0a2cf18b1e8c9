"""What share of a real model's answers the loop can use, stage by stage (bench/results/real_skills.json).

    python -m bench.real.skills --models PATH [PATH ...] --proposals 96

The figures are those of `ucoder eval --skills`; here several models are measured with one setting, on a CPU with 8-bit weights
(`probing.samplers.engines.int8`), and the rows are kept together. A model that has a row already is measured again and replaces it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.command import module_command
from probing.memory import keep_freed_memory
from probing.models.loading import load_model
from probing.prompts.asking import Asker
from probing.samplers.base import Progress
from probing.samplers.engines.int8 import has_int8, int8_copy
from probing.samplers.engines.transformers import TransformersSampler
from rewards.sandbox import Sandbox, SandboxConfig
from rl.config.run_folder import git_commit, versions, write_atomically
from rl.console import error_screen, make_console, stage
from rl.evals.skills import measure_skills
from rl.evals.tables import SKILLS
from rl.models.source import resolve_model

RESULT = Path(__file__).resolve().parents[1] / "results" / "real_skills.json"


def measure(name: str, proposals: int, batch: int, max_new_tokens: int, seed: int) -> dict[str, Any]:
    """One model's row."""
    console, started = make_console(), time.monotonic()

    @contextmanager
    def bar(title: str, total: int, unit: str) -> Iterator[Progress]:
        with stage(f"{Path(name).name} · {title}", total, unit, console) as advance:
            yield advance

    model, tokenizer = load_model(resolve_model(name), dtype="auto")
    eight_bits = has_int8(model.device)
    sampler = TransformersSampler(int8_copy(model) if eight_bits else model, tokenizer, batch)
    device = str(model.device)
    del model  # of the whole weights only what the copy shares is kept
    with Sandbox(SandboxConfig()) as sandbox:
        figures = measure_skills(sampler, Asker.of(tokenizer), sandbox, seed, bar, proposals, max_new_tokens, answers=8)
    kept = {key: value for key, value in figures.items() if key != "problems"}
    return {
        "model": Path(name).name,
        **kept,
        "weights": "int8" if eight_bits else str(sampler.model.dtype),
        "device": device,
        "seed": seed,
        "proposals": proposals,
        "max_new_tokens": max_new_tokens,
        "minutes": round((time.monotonic() - started) / 60, 1),
        "commit": git_commit(),
        "versions": versions(),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: a line a skill, a column a model."""
    lines = [f"| skill | wanted | {' | '.join(row['model'] for row in rows)} |", "|---|---|" + "---|" * len(rows)]
    for key, (title, floor) in SKILLS.items():
        cells = ["–" if row.get(key) is None else f"{row[key]:.3f} (of {row.get(f'{key}_of', '')})" for row in rows]
        lines.append(f"| {title} | {'' if floor is None else f'≥ {floor}'} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", required=True, help="`seedling`, checkpoint folders, .gguf files or Hub ids")
    parser.add_argument("--proposals", type=int, default=96, help="problems asked for; later stages shrink with them (default 96)")
    parser.add_argument("--batch", type=int, default=96, help="sequences decoded at once (default 96)")
    parser.add_argument("--max_new_tokens", type=int, default=300, help="tokens that an answer may take (default 300)")
    parser.add_argument("--seed", type=int, default=1234)
    parser.add_argument("--json", type=Path, default=RESULT)
    args = parser.parse_args()
    keep_freed_memory()
    with error_screen():
        rows = json.loads(args.json.read_text())["rows"] if args.json.is_file() else []
        for name in args.models:
            row = measure(name, args.proposals, args.batch, args.max_new_tokens, args.seed)
            row["command"] = module_command("bench.real.skills", sys.argv[1:])
            rows = [other for other in rows if other["model"] != row["model"]] + [row]
            write_atomically(args.json, json.dumps({"rows": rows}, indent=1) + "\n")
        print(table(rows))


if __name__ == "__main__":
    main()
