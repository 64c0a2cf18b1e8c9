"""How much of a bank must the quality probe read? Fits on shares of a finished run's first round, asked about problems kept apart.

    python -m bench.probe_share runs/seedling

For each split some problems in the band of agreement are held out, and the probe is fitted, as the loop does it, on shares of the others.
The figure is its AUROC within the held-out problems against the votes, over all their answers; the last row fits on every problem, in the
band or not. Writes `bench/results/probe_share.json`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.command import module_command
from probing.models.loading import load_model
from probing.probe.auroc import auroc_within
from probing.probe.config import ProbeConfig
from probing.probe.contrasts import numbered
from probing.probe.hidden_states import HiddenStates, StateFeatures
from probing.probe.label_sources import fit_best_probe
from probing.prompts.asking import Asker
from probing.records import Problem, TestSuite
from probing.stages.solutions import solve_question
from rl.config.run_folder import git_commit, write_atomically
from rl.config.schema import load_config
from rl.console import error_screen, stage
from rl.labels.bank import Banks
from rl.labels.candidate_scores import score_candidates
from rl.models.source import resolve_model
from rl.ranks.states import read_states
from rl.round_files import Verdict, read_bank, read_candidates, read_records

RESULTS = Path(__file__).parent / "results" / "probe_share.json"
SHARES = ((64, 8, 2), (96, 8, 2), (128, 8, 2), (96, 16, 2), (128, 16, 2), (128, 16, 4))  # problems, answers, layers


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="python -m bench.probe_share", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--splits", type=int, default=6, help="random splits (default 6)")
    parser.add_argument("--held-out", type=int, default=70, help="problems held out in each (default 70)")
    args = parser.parse_args(words)
    with error_screen():
        rows = measure(args.run, args.splits, args.held_out)
        command = module_command("bench.probe_share", words)
        write_atomically(RESULTS, json.dumps({"command": command, "commit": git_commit(), "rows": rows}, indent=1) + "\n")
        print("| problems × answers, layers | AUROC within, held-out problems | spread over splits | seconds of a fit |\n|---|---|---|---|")
        for row in rows:
            print(f"| {row['name']} | {row['auroc']:.4f} | {row['spread']:.4f} | {row['seconds']:.1f} |")
    return 0


def measure(run: Path, splits: int, held_out: int) -> list[dict[str, float | str]]:
    """A row for each share, and for mean logprob: means over the splits, and their standard deviation."""
    config, folder = load_config(run / "config.yaml"), run / "round_01"
    problems = read_records(folder / "problems.jsonl", Problem)
    verdicts = read_records(folder / "clusters.jsonl", Verdict)
    candidates = read_candidates(folder / "candidates.jsonl")
    suites, programs = read_records(folder / "suites.jsonl", TestSuite), read_bank(folder / "executions.jsonl")
    banks = Banks(suites, programs, verdicts, config.sandbox.canonicaliser())
    places = [(c.problem_id, c.index) for c in candidates]
    sources = score_candidates(verdicts, banks, config.consensus).label_sources(places, config.probe.label_margin)
    model, tokenizer = load_model(resolve_model(config.model), config.sampling.device, config.sampling.dtype)
    ask, by_id = Asker.of(tokenizer), {p.id: p for p in problems}
    prompts = [solve_question(ask, by_id[c.problem_id], c.view).text for c in candidates]
    features = read_states(HiddenStates(model, tokenizer, 4), prompts, [(c.token_ids, c.code) for c in candidates])

    problem_N, index_N = np.array([problem_id for problem_id, _ in places]), np.array([index for _, index in places])
    kept = np.array([v.problem_id for v in verdicts if v.kept])
    found: dict[str, list[tuple[float, float]]] = {}
    with stage("fits", splits * (len(SHARES) + 1), "fits") as advance:
        for split in range(splits):
            apart = np.random.default_rng(split).permutation(kept)[:held_out]
            others = kept[~np.isin(kept, apart)]
            judged_N = np.isin(problem_N, apart) & np.isfinite(sources["margin"])
            right, groups = sources["margin"][judged_N] > 0.5, numbered(problem_N[judged_N])
            for count, answers, layers in SHARES:
                chosen = others[np.linspace(0, len(others) - 1, min(count, len(others))).round().astype(int)]
                read_N = np.isin(problem_N, chosen) & (index_N < answers)
                score_N, seconds = fitted_scores(thinned(features, layers), read_N, sources, problem_N, config.probe, split)
                name = f"{len(chosen)} × {answers}, {layers}"
                found.setdefault(name, []).append((auroc_within(score_N[judged_N], right, groups)[0], seconds))
                advance(1)
            score_N, seconds = fitted_scores(features, ~np.isin(problem_N, apart), sources, problem_N, config.probe, split)
            found.setdefault("all × all, 4", []).append((auroc_within(score_N[judged_N], right, groups)[0], seconds))
            advance(1)
            bare = features.mean_logprob[judged_N].astype(np.float64)
            found.setdefault("mean logprob, nothing fitted", []).append((auroc_within(bare, right, groups)[0], 0.0))
    return [
        {
            "name": name,
            "auroc": float(np.mean([auroc for auroc, _ in pairs])),
            "spread": float(np.std([auroc for auroc, _ in pairs], ddof=1)) if len(pairs) > 1 else 0.0,
            "seconds": float(np.mean([seconds for _, seconds in pairs])),
        }
        for name, pairs in found.items()
    ]


def thinned(features: StateFeatures, layers: int) -> StateFeatures:
    """The same with so many of its layers, the first and the last among them."""
    places = np.linspace(0, len(features.layers) - 1, layers).round().astype(int)
    return replace(features, states=features.states[:, places], layers=tuple(features.layers[i] for i in places))


def fitted_scores(
    features: StateFeatures, read_N: np.ndarray, sources: dict[str, np.ndarray], problem_N: np.ndarray, config: ProbeConfig, seed: int
) -> tuple[np.ndarray, float]:
    """Evidence float64[N] of every answer by a probe fitted on those that are read, bool[N]; seconds of the fit."""
    started = time.perf_counter()
    probe, _ = fit_best_probe(features.take(read_N), {k: v[read_N] for k, v in sources.items()}, problem_N[read_N], config, seed)
    return probe.evidence(features), time.perf_counter() - started


if __name__ == "__main__":
    raise SystemExit(main())
