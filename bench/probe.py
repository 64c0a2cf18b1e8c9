"""What the quality probe knows, against references it never saw: AUROC by label source, and where the majority is wrong.

    python -m bench.probe [--model PATH] [--samples 96]

Samples each problem of seedling-bench, runs the samples, takes labels from consensus alone, and fits a probe by each label source on one
half of the problems. The other half is then scored (and the halves change places), so that every figure is of problems that the probe
never saw. References serve for the audit only. Writes `bench/results/probe.json`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.command import module_command
from probing.memory import keep_freed_memory
from probing.models.chat_template import render_chat
from probing.models.loading import load_model
from probing.probe.auroc import auroc_within
from probing.probe.config import ProbeConfig
from probing.probe.contrasts import Bools, Floats, Ints
from probing.probe.hidden_states import HiddenStates, StateFeatures
from probing.probe.label_sources import label_sources
from probing.probe.quality import fit_probe
from probing.prompts.templates import render
from probing.reading import read_program
from probing.samplers.base import SamplingParams
from probing.samplers.engines.transformers import TransformersSampler
from rewards.clusters.clustering import cluster
from rewards.clusters.signatures import OutcomeMatrix
from rewards.records import Execution, Kind, Program
from rewards.rules.soft import Soft
from rewards.sandbox import Sandbox, SandboxConfig
from rl.config.run_folder import git_commit
from rl.console import error_screen, stage
from rl.models.source import resolve_model
from rl.round_files import read_rows
from rl.tracking.monitor import clean

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Pool:
    """N samples of some problems, with what consensus says and what the references say."""

    features: StateFeatures
    groups: Ints  # [N], problem
    clusters: Ints  # [N], cluster within the problem, -1 when not valid
    in_top: Floats  # [N], 1 or 0, NaN without a winner
    margin: Floats  # [N], of the problem
    agreement: Floats  # [N]
    cluster_share: Floats  # [N]
    correct: Bools  # [N], equals the reference on every input (audit only)
    states_seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=str(ROOT / "seedling" / "weights"), help="checkpoint folder, .gguf file, or Hub id")
    parser.add_argument("--problems", type=int, default=120)
    parser.add_argument("--samples", type=int, default=48)
    parser.add_argument("--max-new-tokens", type=int, default=160)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results" / "probe.json")
    args = parser.parse_args()
    with error_screen():
        model = resolve_model(args.model)
    pool = sample_pool(model, args.problems, args.samples, args.max_new_tokens, args.seed)
    settings = {name: getattr(args, name) for name in ("problems", "samples", "max_new_tokens", "seed")}
    origin = {"command": module_command("bench.probe", sys.argv[1:]), "commit": git_commit(), **settings}
    result = origin | audit(pool, ProbeConfig(), args.seed)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(clean(result), indent=1, allow_nan=False) + "\n")
    print(json.dumps(result, indent=1))


def sample_pool(model_path: str, problems: int, n: int, most: int, seed: int) -> Pool:
    """Sample, execute, cluster and read the hidden states of `problems` x `n` answers."""
    keep_freed_memory()
    model, tokenizer = load_model(model_path)
    rows = read_rows(ROOT / "seedling" / "bench.jsonl")[:problems]
    prompts = [render_chat(tokenizer, render("solve", description=row["description"], interface=row["interface"])) for row in rows]
    with stage("solutions", len(prompts) * n, "samples") as advance:
        drawn = TransformersSampler(model, tokenizer).sample(prompts, n, SamplingParams(max_new_tokens=most), seed, advance)
    codes = [[read_program(completion.text) for completion in group] for group in drawn]
    reader = HiddenStates(model, tokenizer)
    started = time.perf_counter()
    ids = [tokenizer(prompt, add_special_tokens=False)["input_ids"] for prompt in prompts]
    flat = [(i, completion, code) for i, group in enumerate(drawn) for completion, code in zip(group, codes[i], strict=True)]
    ends = [reader.end_of_code(completion.token_ids, code) for _, completion, code in flat]
    with stage("hidden states", len(flat), "samples") as advance:
        features = reader.extract([ids[i] for i, _, _ in flat], [completion.token_ids for _, completion, _ in flat], ends, advance)
    seconds = time.perf_counter() - started
    columns: list[np.ndarray] = []
    with Sandbox(SandboxConfig()) as sandbox:
        for row, group in zip(rows, codes, strict=True):
            sources = list(dict.fromkeys(code or "" for code in group))
            ran = list(sandbox.run(Program(code, row["entry"], tuple(row["inputs"])) for code in [row["reference"], *sources]))
            columns.append(votes(ran[0], [ran[1 + sources.index(code or "")] for code in group]))
    stacked = np.concatenate(columns, axis=1)
    return Pool(
        features=features,
        groups=np.repeat(np.arange(len(rows)), n),
        clusters=stacked[0].astype(np.int64),
        in_top=stacked[1],
        margin=stacked[2],
        agreement=stacked[3],
        cluster_share=stacked[4],
        correct=stacked[5] > 0.5,
        states_seconds=seconds,
    )


def votes(reference: Execution, executions: list[Execution]) -> np.ndarray:
    """float64[6, n]: cluster, membership of the winner, margin, soft agreement, share of the own cluster, correctness."""
    matrix = OutcomeMatrix.from_executions(executions)
    found = cluster(matrix)
    in_top = (found.labels == found.top).astype(np.float64) if found.top >= 0 else np.full(len(executions), np.nan)
    share = np.where(found.labels >= 0, np.append(found.shares, 0.0)[found.labels], 0.0)
    wanted = [o if o.kind is Kind.VALUE else None for o in reference.outcomes]
    correct = [all(w is None or w == o for w, o in zip(wanted, e.outcomes, strict=True)) for e in executions]
    margin = np.full(len(executions), found.margin)
    return np.stack([found.labels, in_top, margin, Soft().scores(matrix), share, np.array(correct, dtype=np.float64)])


def audit(pool: Pool, config: ProbeConfig, seed: int) -> dict[str, Any]:
    """Every figure, from two-fold scores: each half of the problems is scored by probes fitted on the other."""
    half = np.random.default_rng(seed).permutation(int(pool.groups.max()) + 1) % 2
    sources = label_sources(pool.in_top, pool.margin, pool.agreement, pool.cluster_share, config.label_margin)
    scores = {name: np.full(len(pool.groups), np.nan) for name in sources}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in sources}
    with stage("probes", 2 * len(sources), "fits") as advance:
        for side, name in itertools.product((0, 1), sources):
            train, test = half[pool.groups] == side, half[pool.groups] != side
            probe = fit_probe(pool.features.take(train), sources["margin"][train], pool.groups[train], config, seed, sources[name][train])
            found[name].append(asdict(probe.report))
            scores[name][test] = probe.score(pool.features.take(test), pool.groups[test])
            advance(1)
    scores["mean_logprob"] = pool.features.mean_logprob.astype(np.float64)
    scores["consensus"] = pool.agreement
    winner = np.isfinite(pool.in_top)
    return {
        "pass_at_1": float(pool.correct.mean()),
        "majority_right": float(np.mean([right_majority(pool, g) for g in range(int(pool.groups.max()) + 1)])),
        "states_seconds": pool.states_seconds,
        "within_reference": {name: auroc_within(s, pool.correct, pool.groups) for name, s in scores.items() if np.isfinite(s).all()},
        "within_consensus": {
            name: auroc_within(s[winner], pool.in_top[winner] > 0.5, pool.groups[winner])
            for name, s in scores.items()
            if np.isfinite(s).all()
        },
        "majority_wrong": majority_wrong(pool, {name: s for name, s in scores.items() if np.isfinite(s).all()}, seed),
        "reports": found,
    }


def right_majority(pool: Pool, group: int) -> bool:
    """Whether the winning cluster of a problem is right."""
    winners = (pool.groups == group) & (pool.in_top == 1)
    return bool(winners.any() and pool.correct[winners].all())


def picks(pool: Pool, scores_N: Floats) -> tuple[Floats, Floats, Floats]:
    """On each problem whose majority is wrong and that has a right cluster: is the cluster with the best mean score right (1 or 0), how
    often would one drawn evenly be, and the score's AUROC against the reference there (NaN where no valid sample is wrong).
    """
    hits, chances, aurocs = [], [], []
    for group in range(int(pool.groups.max()) + 1):
        rows = np.flatnonzero((pool.groups == group) & (pool.clusters >= 0))
        if right_majority(pool, group) or not pool.correct[rows].any():
            continue
        kinds = np.unique(pool.clusters[rows])
        mean = np.array([scores_N[rows][pool.clusters[rows] == kind].mean() for kind in kinds])
        right = np.array([pool.correct[rows][pool.clusters[rows] == kind].all() for kind in kinds])
        hits.append(float(right[mean.argmax()]))
        chances.append(float(right.mean()))
        aurocs.append(auroc_within(scores_N[rows], pool.correct[rows], np.zeros(len(rows), dtype=np.int64))[0])
    return np.array(hits), np.array(chances), np.array(aurocs)


def majority_wrong(pool: Pool, scores: dict[str, Floats], seed: int, resamples: int = 4000) -> dict[str, Any]:
    """Where the majority is wrong: how often each score points to a right cluster, and how much oftener than chance and than mean
    logprob. 95 % intervals by bootstrap over the problems, the same draws for all, so that differences are paired.
    """
    found = {name: picks(pool, score_N) for name, score_N in scores.items()}
    _, chance_P, _ = found["mean_logprob"]
    logprob_P = found["mean_logprob"][0]
    if not len(chance_P):
        return {"problems": 0}
    draws = np.random.default_rng(seed).integers(0, len(chance_P), (resamples, len(chance_P)))

    def estimate(values_P: Floats) -> dict[str, Any]:
        return {"value": float(values_P.mean()), "ci": np.quantile(values_P[draws].mean(axis=1), [0.025, 0.975]).tolist()}

    rows = {
        name: {
            "right": estimate(hits_P),
            "minus_chance": estimate(hits_P - chance_P),
            "minus_logprob": estimate(hits_P - logprob_P),
            "within": float(np.nanmean(auroc_P)),
        }
        for name, (hits_P, _, auroc_P) in found.items()
    }
    return {"problems": len(chance_P), "chance": estimate(chance_P), "scores": rows}


if __name__ == "__main__":
    main()
