"""How often does each consensus rule pick a right program as the share of wrong ones grows? (`make bench-judge`)

    python -m bench.judging.judge                  # all tasks that are present
    python -m bench.judging.judge --tasks 40       # fewer

Pools of 64 from HumanEval+ and MBPP+ references, rewrites, mutants and stubs (`bench.judging.pools`), 20 to 90 % of them wrong. Beside
the rules: a random candidate, the most frequent text, and the paper's pass/fail rule and CodeT with asserts of which some are wrong.
Writes bench/results/judge.json and judge.png and prints Markdown tables. Intervals: 95 %, bootstrap over tasks.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from bench.judging.pools import (
    REGIMES,
    Population,
    as_programs,
    data_folder,
    draw,
    load_tasks,
    make_population,
    pool_matrix,
    programs_of,
    with_asserts,
)
from bench.judging.tables import Row, markdown, plot
from rewards.clusters.clustering import cluster
from rewards.clusters.inputs import InputsConfig, select_inputs
from rewards.clusters.signatures import OutcomeMatrix
from rewards.clusters.theorem import estimate_agreement, optimistic_bound
from rewards.rules.base import Rule
from rewards.rules.codet import CodeT
from rewards.rules.hard import Hard
from rewards.rules.passfail import PassFail
from rewards.rules.sharp import Sharp
from rewards.rules.soft import Soft
from rewards.sandbox import Sandbox, SandboxConfig
from rl.config.run_folder import git_commit

SIZE = 64
WRONG_SHARES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
ASSERT_ACCURACIES = (1.0, 0.8, 0.6)
INPUT_COUNTS = (2, 4, 8, 16)
RESULTS = Path(__file__).parents[1] / "results"


def expected_right(scores: np.ndarray, weights: np.ndarray, right: np.ndarray) -> float:
    """Probability that a sample drawn from those with the highest score is right (weights: multiplicities)."""
    best = scores >= np.nanmax(scores) - 1e-12
    return float((weights * right)[best].sum() / weights[best].sum())


def auroc(scores: np.ndarray, weights: np.ndarray, right: np.ndarray) -> float:
    """Probability that a right sample scores above a wrong one, ties half: how good a reward the scores are inside a group."""
    order = np.sign(scores[right][:, None] - scores[~right][None, :])
    pairs = weights[right][:, None] * weights[~right][None, :]
    return float(((order + 1) / 2 * pairs).sum() / pairs.sum())


def contenders() -> dict[str, Callable[[OutcomeMatrix, np.ndarray, np.random.Generator], tuple[np.ndarray, np.ndarray]]]:
    """Name -> (pool, the reference's codes, rng) -> (scores to pick by, scores without one's own vote)."""

    def voting(rule: Rule, alone: Rule) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
        return lambda pool, reference, rng: (rule.scores(pool, pool), alone.scores(pool))

    def tested(rule: Rule, alone: Rule, accuracy: float) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
        def scores(pool: OutcomeMatrix, reference: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
            pool = with_asserts(pool, reference, accuracy, rng)
            return rule.scores(pool, pool), alone.scores(pool)

        return scores

    found: dict[str, Callable[..., tuple[np.ndarray, np.ndarray]]] = {
        "random": lambda pool, reference, rng: (np.zeros(pool.n_programs), np.zeros(pool.n_programs)),
        "text majority": lambda pool, reference, rng: (pool.weights.astype(float), pool.weights.astype(float)),
        "hard": voting(Hard(), Hard()),
        "soft": voting(Soft(), Soft()),
        "sharp": voting(Sharp(), Sharp()),
        "hard, constants may win": voting(Hard(bar_degenerate=False), Hard(bar_degenerate=False)),
        "sharp, constants may win": voting(Sharp(bar_degenerate=False), Sharp(bar_degenerate=False)),
    }
    for accuracy in ASSERT_ACCURACIES:
        found[f"passfail, asserts {accuracy:.0%} right"] = tested(PassFail(), PassFail(), accuracy)
        found[f"codet, asserts {accuracy:.0%} right"] = tested(CodeT(), CodeT(), accuracy)
    return found


def interval(values: np.ndarray, rng: np.random.Generator, draws: int = 1000) -> tuple[float, float]:
    """95 % bootstrap interval of the mean of values float64[tasks]."""
    means = values[rng.integers(0, len(values), (draws, len(values)))].mean(axis=1)
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))


def populate(
    n_tasks: int | None, n_visible: int, n_hidden: int, n_right: int, n_wrong: int, seed: int
) -> tuple[list[Population], dict[str, Any]]:
    """Execute the programs of the tasks. Exits with a sentence when there is no data."""
    folder = data_folder()
    if folder is None:
        raise SystemExit("no benchmark data: set UCODER_DATA to the folder that holds humanevalplus/ and mbppplus/")
    tasks = load_tasks(folder, n_visible + n_hidden, seed)
    if n_tasks is not None:
        tasks = [tasks[i] for i in sorted(np.random.default_rng(seed).permutation(len(tasks))[:n_tasks])]
    populations, n_programs, start = [], 0, time.monotonic()
    with Sandbox(SandboxConfig(seconds_per_input=0.3, seconds_per_program=5.0, max_timeouts=1)) as sandbox:
        for done, task in enumerate(tasks, 1):
            reference = next(iter(sandbox.run(as_programs(task, [task.reference]))))
            codes, origins = programs_of(task, reference, n_right, n_wrong, seed)
            population = make_population(task, codes, origins, list(sandbox.run(as_programs(task, codes))), n_visible)
            n_programs += len(codes)
            if population is not None:
                populations.append(population)
            print(
                f"\r{done}/{len(tasks)} tasks, {n_programs} programs, {time.monotonic() - start:.0f} s", end="", file=sys.stderr, flush=True
            )
    print(file=sys.stderr)
    facts = {
        "tasks": len(tasks),
        "tasks_used": len(populations),
        "programs": n_programs,
        "calls": n_programs * (n_visible + n_hidden),
        "sandbox_seconds": round(time.monotonic() - start, 1),
        "rewrites_right": float(np.mean([p.right[i] for p in populations for i, o in enumerate(p.origins) if o == "rewrite"])),
        "mutants_right": float(
            np.mean([p.right[i] for p in populations for i, o in enumerate(p.origins) if o not in ("rewrite", "reference")])
        ),
        "references_that_look_degenerate": sum(bool(p.visible.degenerate[0]) for p in populations),
    }
    return populations, facts


def compare_rules(populations: Sequence[Population], draws: int, seed: int) -> list[Row]:
    """Every contender on the same pools."""
    rows = []
    rules = contenders()
    for regime in REGIMES:
        for share in WRONG_SHARES:
            picks: dict[str, list[float]] = {name: [] for name in rules}
            areas: dict[str, list[float]] = {name: [] for name in rules}
            for t, population in enumerate(populations):
                results: dict[str, list[tuple[float, float]]] = {name: [] for name in rules}
                for repeat in range(draws):
                    rng = np.random.default_rng([seed, t, repeat, round(100 * share), REGIMES.index(regime)])
                    chosen = draw(population, SIZE, share, regime, rng)
                    if chosen is None:
                        continue
                    pool, right = pool_matrix(population, chosen)
                    for name, score in rules.items():
                        voting, alone = score(pool, population.visible.codes[0], rng)
                        results[name].append((expected_right(voting, pool.weights, right), auroc(alone, pool.weights, right)))
                for name, pairs in results.items():
                    if pairs:
                        pick, area = np.mean(pairs, axis=0)
                        picks[name].append(float(pick))
                        areas[name].append(float(area))
            boot = np.random.default_rng(seed)
            for name in rules:
                values = np.array(picks[name])
                rows.append(
                    Row(name, regime, share, float(values.mean()), interval(values, boot), float(np.mean(areas[name])), len(values))
                )
    return rows


def compare_inputs(populations: Sequence[Population], draws: int, seed: int, share: float = 0.6) -> list[dict[str, Any]]:
    """Few inputs, chosen greedily on split entropy or taken as they come: how often is the pick right?"""
    rows = []
    for m in INPUT_COUNTS:
        found: dict[tuple[str, str], list[float]] = {}
        for t, population in enumerate(populations):
            for repeat in range(draws):
                rng = np.random.default_rng([seed, t, repeat, m])
                chosen = draw(population, SIZE, share, "systematic", rng)
                if chosen is None:
                    continue
                pool, right = pool_matrix(population, chosen)
                columns = {"as they come": np.arange(m), "selected": select_inputs(pool, InputsConfig(keep=m))}
                for how, kept in columns.items():
                    part = pool.select_inputs(kept)
                    for name, rule in (("hard", Hard()), ("soft", Soft()), ("sharp", Sharp())):
                        found.setdefault((how, name), []).append(expected_right(rule.scores(part, part), part.weights, right))
        rows += [{"inputs": m, "chosen": how, "rule": name, "pick": float(np.mean(v)), "pools": len(v)} for (how, name), v in found.items()]
    return rows


def theorem_figures(populations: Sequence[Population], seed: int) -> dict[str, Any]:
    """p estimated with labels and without, and how often the optimistic bound says anything (pools of 64, half wrong, spread)."""
    labelled, free, sayings, needed = [], [], 0, []
    for t, population in enumerate(populations):
        chosen = draw(population, SIZE, 0.5, "spread", np.random.default_rng([seed, t]))
        if chosen is None:
            continue
        pool, right = pool_matrix(population, chosen)
        clustering = cluster(pool)
        with_labels, without = estimate_agreement(pool, clustering, ~right), estimate_agreement(pool, clustering)
        labelled.append((with_labels.p_samples, with_labels.p_mean, with_labels.p_max))
        free.append((without.p_samples, without.p_mean, without.p_max))
        report = optimistic_bound(pool, clustering)
        sayings += not report.vacuous
        needed += [report.needed] if report.needed is not None else []
    names = ("p_samples", "p_mean", "p_max")
    return {
        "with_labels": dict(zip(names, np.nanmean(labelled, axis=0).round(4).tolist(), strict=True)),
        "without_labels": dict(zip(names, np.nanmean(free, axis=0).round(4).tolist(), strict=True)),
        "bound_says_something": sayings / len(free),
        "median_inputs_needed": float(np.median(needed)) if needed else None,
        "inputs_there": populations[0].visible.n_inputs,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.judging.judge", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", type=int, help="use so many tasks, drawn with the seed (default: all)")
    parser.add_argument("--draws", type=int, default=3, help="pools a task, share and regime (default 3)")
    parser.add_argument("--visible", type=int, default=24, help="inputs that the judge sees (default 24)")
    parser.add_argument("--hidden", type=int, default=24, help="inputs that only decide who is right (default 24)")
    parser.add_argument("--right", type=int, default=6, help="distinct right programs wanted a task (default 6)")
    parser.add_argument("--wrong", type=int, default=27, help="mutants a task (default 27)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for judge.json and judge.png (default bench/results)")
    args = parser.parse_args(argv)
    populations, facts = populate(args.tasks, args.visible, args.hidden, args.right, args.wrong, args.seed)
    if not populations:
        print("no task has enough usable inputs", file=sys.stderr)
        return 1
    rows = compare_rules(populations, args.draws, args.seed)
    inputs = compare_inputs(populations, args.draws, args.seed)
    theorem = theorem_figures(populations, args.seed)
    settings = {k: v for k, v in vars(args).items() if k != "out"} | {"size": SIZE}
    given = [f"--{k} {v}" for k, v in settings.items() if k != "size" and v != parser.get_default(k)]
    command = " ".join(["python -m bench.judging.judge", *given])
    result = {
        "command": command,
        "commit": git_commit(),
        "python": platform.python_version(),
        "settings": settings,
        "population": facts,
        "rules": [asdict(r) for r in rows],
        "inputs": inputs,
        "theorem": theorem,
    }
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "judge.json").write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    plot(rows, args.out / "judge.png")
    print(markdown(rows, "Right picks (%)"))
    print(markdown(rows, "AUROC of the scores within a pool"))
    print("\nRight picks (%) with few inputs, 60 % wrong, systematic\n\n| inputs | chosen | hard | soft | sharp |\n|---|---|---|---|---|")
    for m in INPUT_COUNTS:
        for how in ("as they come", "selected"):
            cells = [f"{100 * r['pick']:.1f}" for r in inputs if r["inputs"] == m and r["chosen"] == how]
            print(f"| {m} | {how} | " + " | ".join(cells) + " |")
    print(f"\nTheorem 2.4: {json.dumps(theorem)}\nPopulation: {json.dumps(facts)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
