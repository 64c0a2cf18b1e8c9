"""From finished run folders to `ablation.json`: figures by arm and seed, intervals, paired differences, recovered gain, targets."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from bench.ablate.plan import LEAD, LONG_ARMS, Job
from bench.ablate.stats import Estimate, Floats, Resampler, align
from rl.config.evals import EvalsConfig
from rl.config.run_folder import read_json
from rl.loop.decodings import BEST, GREEDY, Decoding
from rl.round_files import read_rows
from rl.tracking.monitor import read_metrics

# score -> the decoding whose rows have it (`rl.loop.decodings`), and its key there; the first that all runs have is the headline
SCORES = {
    "greedy": (GREEDY, "pass@1"),
    "best temperature": (BEST, "pass@1"),
    "pass@1": ("", "pass@1"),
    "pass@16": ("", "pass@16"),
    "majority@16": ("", "majority@16"),
}
HEADLINES = {"greedy": "greedy_pass@1", "pass@1": "pass@1"}  # score -> its key in a run's summary
# figure of the training log -> name here; each is a mean over the groups of a step
THROUGH_TIME = {
    "audit/accuracy": "accuracy",
    "audit/label_accuracy": "label_accuracy",
    "audit/reward_accuracy": "reward_accuracy",
    "audit/reward_auroc_within": "reward_auroc",
    "audit/majority_wrong": "majority_wrong",
    "entropy": "entropy",
    "distinct_behaviours": "distinct_behaviours",
    "majority_share": "majority_share",
    "kl": "kl",
}
TaskScores = dict[str, dict[str, float]]  # score -> task -> value
BINS = 16  # points of a curve, at most
BREADTH_KEPT = 0.01  # pass@16 that may be lost
HELD = 0.01  # of the headline that a long run may end, or choose, below its best


def task_scores(run: Path, round: int, benchmark: str) -> TaskScores:
    """Score -> task -> value of one evaluated checkpoint; empty where it was not decoded so."""
    found: TaskScores = {}
    for score, (decoding, key) in SCORES.items():
        path = Decoding(decoding, EvalsConfig()).file(run / f"round_{round:02d}", benchmark)
        found[score] = {row["id"]: row[key] for row in read_rows(path) if key in row} if path.is_file() else {}
    return found


def headline_of(scores: Iterable[TaskScores]) -> str:
    """The first of HEADLINES that all checkpoints have."""
    every = list(scores)
    return next((score for score in HEADLINES if all(found[score] for found in every)), "pass@1")


def summary_of(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "summary.json").read_text())
    return found


def minutes_of(job: Job) -> float:
    """Wall time of a run's own stages; of a run that is its lead's copy, the lead's."""
    return round(summary_of(job.folder)["loop_seconds"] / 60, 2)


def through_time(run: Path) -> list[dict[str, float | None]]:
    """The training log's figures, one row a step, over all rounds."""
    rows = [row for row in read_metrics(run / "metrics.jsonl") if row["stage"] in ("grpo", "sft") and row["step"] is not None]
    return [{"round": row["round"], "step": row["step"]} | {name: row.get(key) for key, name in THROUGH_TIME.items()} for row in rows]


def curves(runs: Sequence[Path]) -> dict[str, list[list[float]]]:
    """Figure -> points (step, mean over the seeds and over the steps of a bin)."""
    steps = [row for run in runs for row in through_time(run)]
    last = max((int(row["step"] or 0) for row in steps), default=0)
    edges = np.linspace(0, last, min(BINS, last) + 1)
    found: dict[str, list[list[float]]] = {}
    for name in THROUGH_TIME.values():
        points = []
        for low, high in pairwise(edges):
            known = [v for row in steps if low < (row["step"] or 0) <= high and (v := row[name]) is not None]
            if known:
                points.append([round(float((low + 1 + high) / 2), 2), float(np.mean(known))])
        found[name] = points
    return found


def seed_figures(job: Job) -> dict[str, Any]:
    """What one run came to."""
    summary = summary_of(job.folder)
    last = summary["rounds"][-1]
    training = last["training"]
    kept: tuple[str, ...] = ("greedy_pass@1", "greedy_gain", "greedy_gain_ci", "best_pass@1", "best_temperature")
    kept += ("best_gain", "best_gain_ci", "pass@1", "gain", "gain_ci", "pass@16", "majority@16")
    kept += (
        "majority_wrong",
        "entropy",
        "mean_length",
        "label_accuracy",
        "label_accuracy_kept",
        "probe_auroc_within_controlled",
        "probe_weight",
        "probe_source",
    )
    return {
        "seed": job.seed,
        **{name: last.get(name) for name in kept},
        "problems": training.get("problems"),
        "sft_pairs": training.get("sft_pairs"),
        "steps": len(through_time(job.folder)),
        "guard_actions": [f"{a['guard']}: {a['guard_action']}" for a in training.get("guard_actions", [])],
        "stopped_because": training.get("stopped_because"),
        "minutes": minutes_of(job),
    }


def long_figures(job: Job, benchmark: str, draws: int) -> dict[str, Any]:
    """A long run by round: where it was best, where it ended, where its own choice lies; differences paired over tasks."""
    summary = summary_of(job.folder)
    rows = [summary["base"], *summary["rounds"]]
    kept: tuple[str, ...] = (
        "greedy_pass@1",
        "greedy_pass@1_ci",
        "pass@1",
        "pass@1_ci",
        "pass@16",
        "majority@16",
        "majority_wrong",
        "entropy",
    )
    kept += ("mean_length", "label_accuracy", "probe_weight", "held_out_agreement", "started_from")
    scores = [task_scores(job.folder, row["round"], benchmark) for row in rows]
    headline = headline_of(scores)
    values, _ = align({str(row["round"]): [found[headline]] for row, found in zip(rows, scores, strict=True)})
    resampler = Resampler(1, next(iter(values.values())).shape[1], draws)
    best = max(values, key=lambda name: float(values[name].mean()))
    last, final = str(rows[-1]["round"]), str(summary["final"]["round"])
    end = resampler.difference(values[last], values[best])
    chosen = resampler.difference(values[final], values[best])
    return {
        "arm": job.arm,
        "seed": job.seed,
        "headline": headline,
        "rounds": [{"round": row["round"], **{name: row.get(name) for name in kept}} for row in rows],
        "best_round": int(best),
        "best": float(values[best].mean()),
        "end_round": int(last),
        "end_minus_best": end.as_dict(),
        "chosen_round": int(final),
        "chosen_minus_best": chosen.as_dict(),
        "guard_actions": sum(row["stage"] == "guards" for row in read_metrics(job.folder / "metrics.jsonl")),
        "curves": {name: [[row["round"], row["step"], row[name]] for row in through_time(job.folder)] for name in ("entropy", "accuracy")},
        "minutes": minutes_of(job),
    }


def ends_compared(jobs: Sequence[Job], benchmark: str, draws: int) -> list[dict[str, Any]]:
    """The lead's last round minus each other arm's in the long runs, on the seeds that have both: the headline, paired over tasks."""
    last = {(job.arm, job.seed): task_scores(job.folder, summary_of(job.folder)["rounds"][-1]["round"], benchmark) for job in jobs}
    found = []
    for arm in dict.fromkeys(job.arm for job in jobs if job.arm != LEAD):
        seeds = sorted(seed for other, seed in last if other == arm and (LEAD, seed) in last)
        if not seeds:
            continue
        headline = headline_of([last[name, seed] for name in (LEAD, arm) for seed in seeds])
        values, _ = align({name: [last[name, seed][headline] for seed in seeds] for name in (LEAD, arm)})
        difference = Resampler(len(seeds), values[arm].shape[1], draws).difference(values[LEAD], values[arm])
        found.append({"arm": LEAD, "minus": arm, "seeds": seeds, **difference.as_dict()})
    return found


def analyse(jobs: Sequence[Job], draws: int = 4000) -> dict[str, Any]:
    """Everything that the tables and plots show, from finished runs. Arms are compared on the seeds that all of them have."""
    short = [job for job in jobs if not job.long]
    benchmark = short[0].config.evals.benchmarks[0]
    seeds = sorted(set.intersection(*({j.seed for j in short if j.arm == arm} for arm in {j.arm for j in short})))
    runs = {arm: [j for j in short if j.arm == arm and j.seed in seeds] for arm in dict.fromkeys(j.arm for j in short)}
    if not seeds:
        raise ValueError("no seed has finished in every arm")
    found = {arm: [task_scores(j.folder, j.config.rounds, benchmark) for j in by_seed] for arm, by_seed in runs.items()}
    found["base"] = [task_scores(j.folder, 0, benchmark) for j in next(iter(runs.values()))]
    headline = headline_of(scores for by_seed in found.values() for scores in by_seed)
    arrays: dict[str, dict[str, Floats]] = {}
    left_out = 0
    for score in SCORES:
        if all(seed[score] for by_seed in found.values() for seed in by_seed):
            arrays[score], missing = align({arm: [seed[score] for seed in by_seed] for arm, by_seed in found.items()})
            left_out = max(left_out, missing)
    values = arrays[headline]
    resamplers = Resamplers(len(seeds), draws)
    arms = {arm: arm_figures(arm, arrays, headline, resamplers) for arm in ("base", *runs)}
    for arm, by_seed in runs.items():
        arms[arm] |= past_the_base(headline, found[arm], found["base"], resamplers)
        arms[arm] |= {"by_seed": [seed_figures(job) for job in by_seed], "curves": curves([job.folder for job in by_seed])}
    pairs = [(one, other) for other, one in combinations(values, 2)]
    long = [job for job in jobs if job.long and job.arm in LONG_ARMS]
    return {
        "benchmark": benchmark,
        "seeds": seeds,
        "headline": headline,
        "tasks": values["base"].shape[1],
        "tasks_of": {score: by_arm["base"].shape[1] for score, by_arm in arrays.items()},
        "tasks_left_out": left_out,
        "arms": arms,
        "differences": [{"arm": a, "minus": b, **resamplers.difference(values[a], values[b]).as_dict()} for a, b in pairs],
        "long": {job.name: long_figures(job, benchmark, draws) for job in long},
        "long_differences": ends_compared(long, benchmark, draws),
    }


class Resamplers:
    """A `Resampler` for each number of tasks: scores are not all measured on the same ones."""

    def __init__(self, seeds: int, draws: int) -> None:
        self.seeds, self.draws = seeds, draws
        self.made: dict[int, Resampler] = {}

    def of(self, values_ST: Floats) -> Resampler:
        tasks = values_ST.shape[1]
        return self.made.setdefault(tasks, self.made.get(tasks) or Resampler(self.seeds, tasks, self.draws))

    def difference(self, arm_ST: Floats, other_ST: Floats) -> Estimate:
        return self.of(arm_ST).difference(arm_ST, other_ST)


def arm_figures(arm: str, arrays: Mapping[str, Mapping[str, Floats]], headline: str, resamplers: Resamplers) -> dict[str, Any]:
    """Means with intervals, the gain over the base (of the headline, and of each score), and the share of the oracle's gain."""
    values = arrays[headline]
    figures: dict[str, Any] = {score: resamplers.of(by_arm[arm]).estimate(by_arm[arm]).as_dict() for score, by_arm in arrays.items()}
    if arm != "base":
        figures["gain"] = resamplers.difference(values[arm], values["base"]).as_dict()
        has_oracle = "oracle" in values
        recovered = resamplers.of(values[arm]).recovered(values[arm], values["base"], values["oracle"]) if has_oracle else None
        figures["recovered"] = recovered.as_dict() if recovered else None
        figures |= {
            f"{score} minus the base's": resamplers.difference(by_arm[arm], by_arm["base"]).as_dict()
            for score, by_arm in arrays.items()
            if score != headline
        }
    return figures


def past_the_base(headline: str, arm: Sequence[TaskScores], base: Sequence[TaskScores], resamplers: Resamplers) -> dict[str, Any]:
    """The headline against what the base reaches otherwise, on the tasks that both were measured on: by voting ("past voting"), and at its
    best temperature ("past temperature"), which is no training at all. A figure is left out where one of the two was not measured."""
    found = {}
    for name, score in (("past voting", "majority@16"), ("past temperature", "best temperature")):
        if all(seed[headline] for seed in arm) and all(seed[score] for seed in base):
            both, _ = align({"arm": [seed[headline] for seed in arm], "base": [seed[score] for seed in base]})
            found[name] = resamplers.difference(both["arm"], both["base"]).as_dict()
    return found


def targets(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The figures that were aimed for, each with what came out. `met` is None where it could not be measured."""
    arms = result["arms"]
    differences = {(row["arm"], row["minus"]): row for row in result["differences"]}
    checks: list[tuple[str, Mapping[str, Any] | None, str, float]] = []
    lead = arms.get(LEAD, {})
    checks.append((f"share of the oracle's gain that {LEAD} recovers", lead.get("recovered"), "value", 0.90))
    for other in ("sft_unexecuted", "random", "sft_ipc", "mixed", "hard", "probe"):
        checks.append((f"{LEAD} minus {other}", _signed(differences, LEAD, other), "low", 0.0))
    checks.append((f"{LEAD}: pass@16 minus the base's", lead.get("pass@16 minus the base's"), "value", -BREADTH_KEPT))
    checks.append((f"{LEAD}: the headline's gain", lead.get("gain"), "low", 0.0))
    checks.append((f"{LEAD}: headline minus the base at its best temperature", lead.get("past temperature"), "low", 0.0))
    checks.append((f"{LEAD}: headline minus the base's majority@16", lead.get("past voting"), "value", 0.0))
    if long := [row for row in result["long"].values() if row["arm"] == LEAD]:
        for what, key in (("at the end", "end_minus_best"), ("of the chosen round", "chosen_minus_best")):
            worst = min((row[key] for row in long), key=lambda difference: difference["value"])
            checks.append((f"{LEAD}, long: headline {what} minus its best, the worst seed", worst, "value", -HELD))
    found = []
    for name, row, what, bound in checks:
        measured = None if row is None else row["value"] if what == "value" else row["ci"][0]
        met = None if measured is None else bool(measured > bound if what == "low" else measured >= bound)
        wanted = f"interval above {bound:g}" if what == "low" else f"at least {bound:g}"
        found.append({"target": name, "wanted": wanted, "value": row and row["value"], "ci": row and row["ci"], "met": met})
    return found


def _signed(differences: Mapping[tuple[str, str], Mapping[str, Any]], one: str, other: str) -> dict[str, Any] | None:
    """The difference of two arms in the wanted order, None where one of them was not run."""
    if (row := differences.get((one, other))) is not None:
        return {"value": row["value"], "ci": list(row["ci"])}
    if (row := differences.get((other, one))) is not None:
        return Estimate(-row["value"], -row["ci"][1], -row["ci"][0]).as_dict()
    return None


def greedy_of(folder: Path) -> float | None:
    """Greedy pass@1 of a round's checkpoint on the run's first benchmark; None where it was not measured."""
    first = next(iter(read_json(folder / "eval.json").values()), {})
    value: float | None = first.get("greedy_pass@1")
    return value
