"""Writes a run folder as the loop writes one, with made-up figures: for the report's tests."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from probing.records import Candidate, Problem, TestSuite
from rewards.records import Execution, Kind, Outcome
from rl.config.run_folder import config_text, versions
from rl.config.schema import Config, load_config
from rl.loop.figures import consensus_figures
from rl.round_files import BankProgram, Verdict, write_bank, write_records, write_rows
from rl.tracking.monitor import Monitor

SAMPLES = 16
PROBLEMS = 14
INPUTS = ("[[1, 2, 3]]", "[[]]", "[[-4, 4]]", "[[7]]", "[[0, 0, 5, 5]]", "[[10, -3]]")
PROGRAMS = (  # body, outcomes on INPUTS
    ("return sum(x for x in xs if x % 2 == 0)", ("value:2", "value:0", "value:0", "value:0", "value:0", "value:10")),
    (
        "total = 0\n    for x in xs:\n        if x % 2:\n            total += x\n    return total",
        ("value:4", "value:0", "value:0", "value:7", "value:10", "value:-3"),
    ),
    ("return max(xs)", ("value:3", "exception:ValueError", "value:4", "value:7", "value:5", "value:10")),
)
OUTCOMES = {"does not compile": 31, "exception": 400, "missing": 2, "no program": 1234, "passed": 1000, "timeout": 33, "wrong": 500}
TITLES = ("Sum of evens", "Longest word", "Count vowels", "Merge <two> dicts & lists", "Digits reversed", "Run lengths", "Second largest")


def _row(number: int, gain: float, audited: bool) -> dict[str, Any]:
    at = 0.41 + gain * number / 3
    row: dict[str, Any] = {
        "round": number,
        "pass@1": at,
        "pass@1_ci": [at - 0.025, at + 0.025],
        "pass@16": 0.83 + 0.01 * number,
        "majority@16": at + 0.08,
        "entropy": 1.4 - 0.2 * number,
        "mean_length": 44.0 + number,
        "benchmarks": {"seedling": {"pass@1": at, "pass@1_ci": [at - 0.025, at + 0.025], "samples": 3200, "outcomes": OUTCOMES}},
        "seconds": {"eval": 21.0},
    }
    if number:
        row |= {
            "gain": at - 0.41,
            "gain_ci": [at - 0.44, at - 0.38],
            "label_accuracy": 0.6 + 0.03 * number if audited else None,
            "probe_auroc_within_raw": 0.66 + 0.01 * number,
            "probe_auroc_within_controlled": 0.64 + 0.01 * number,
            "probe_auroc_pooled": 0.81,
            "length_auroc_within": 0.55,
            "logprob_auroc_within": 0.62,
            "funnel": {"proposed": 160, "kept": 90 + number, "dropped": {"malformed": 30, "near_duplicate": 28 - number, "low_rating": 12}},
            "seconds": {
                "problems": 14.0,
                "test inputs": 9.0,
                "solutions": 41.0,
                "executions": 12.0,
                "probe": 8.0,
                "training": 66.0,
                "eval": 21.0,
            },
            "training": {"checkpoint": f"round_{number:02d}/grpo/checkpoint", "stop_run": False},
        }
    return row


def write_run(folder: Path, rounds: int = 3, gain: float = 0.13, audited: bool = True, guards: bool = True, seed: int = 0) -> Path:
    """A finished run of `rounds` rounds in `folder`; returns it."""
    folder.mkdir(parents=True)
    chance = random.Random(seed)
    keys = {"run_dir": folder, "rounds": rounds, "seed": seed, "tracking.report_to": "[]", "reward.w_quality": 0.5}
    config = load_config(None, [word for key, value in keys.items() for word in (f"--{key}", str(value))])
    (folder / "config.yaml").write_text(config_text(config))
    (folder / "versions.json").write_text(json.dumps(versions()))
    rows = [_row(number, gain, audited) for number in range(rounds + 1)]
    with Monitor(folder, config, clock=lambda: 0.0) as monitor:
        for number, row in enumerate(rows):
            if number:
                monitor.log("consensus", number, consensus_figures(_write_round(folder / f"round_{number:02d}", number, chance, audited)))
                monitor.log("sampling", number, {"samples": PROBLEMS * SAMPLES, "no_program": 1 / SAMPLES, "cut_off": 0.0})
                _write_training(monitor, number, chance, guards)
            (folder / f"round_{number:02d}").mkdir(exist_ok=True)
            (folder / f"round_{number:02d}" / "metrics.json").write_text(json.dumps(row))
            monitor.round(row, number)
    write_summary(folder, rows, config)
    return folder


def write_summary(folder: Path, rows: Sequence[Mapping[str, Any]], config: Config) -> None:
    stages: dict[str, float] = {}
    for row in rows:
        for name, seconds in row["seconds"].items():
            stages[name] = stages.get(name, 0.0) + seconds
    final = {**rows[-1], "choice": {"round": len(rows) - 1, "reason": "its answers agree most", "agreement": {}}}
    summary = {"base": rows[0], "rounds": rows[1:], "final": final, "loop_seconds": sum(stages.values()) + 9, "stage_seconds": stages}
    (folder / "summary.json").write_text(json.dumps({**summary, "peak_memory_mb": 2345}))


def _write_training(monitor: Monitor, number: int, chance: random.Random, guards: bool) -> None:
    log = monitor.training_log(number)
    for step in range(1, 25):
        progress = (number - 1) + step / 24
        log(
            {
                "step": step,
                "reward": 1e-8 * chance.gauss(0, 1),
                "consensus": 0.5 + 0.05 * progress + 0.02 * chance.gauss(0, 1),
                "quality": 0.55 + 0.04 * progress + 0.02 * chance.gauss(0, 1),
                "entropy": 0.52 - 0.06 * progress + 0.01 * chance.gauss(0, 1),
                "majority_share": 0.5 + 0.06 * progress + 0.02 * chance.gauss(0, 1),
                "distinct_behaviours": 5 - progress + 0.3 * chance.gauss(0, 1),
                "tokens": 44 + progress + chance.gauss(0, 1),
                "no_program": float(step % 3),
                "kl": 0.01 * step / 24 if step % 5 == 0 else None,
                "probe_concordance": 0.66 + 0.02 * chance.gauss(0, 1),
                "loss": 0.01 * chance.gauss(0, 1),
                "audit/accuracy": 0.45 + 0.06 * progress + 0.02 * chance.gauss(0, 1),
                "outcomes/value": 1800.0,
                "outcomes/exception": 200.0,
                "outcomes/infrastructure": 0.0,
            }
        )
    if guards and number == 3:
        cause = "step 20: token entropy fell to 29% of its baseline 0.52 (limit 30%)"
        log({"guard_action": "raise_kl", "step": 20, "guard": "entropy", "value": 0.29, "limit": 0.3, "cause": cause})


def _write_round(folder: Path, number: int, chance: random.Random, audited: bool) -> list[Verdict]:
    folder.mkdir()
    problems, suites, candidates, bank, verdicts, scores = [], [], [], [], [], []
    for place in range(PROBLEMS):
        pid, title = f"r{number:02d}-{place:04d}", TITLES[place % len(TITLES)]
        text = f"Given a list xs, return the {title.lower()} of it, as an integer."
        problems.append(
            Problem(
                pid,
                title,
                text,
                "f",
                "def f(xs: list[int]) -> int:",
                "f([1, 2]) == 2",
                "lists",
                0.8,
                f'def f(xs: list[int]) -> int:\n    """{title}."""',
            )
        )
        suites.append(TestSuite(pid, INPUTS, ("model",) * len(INPUTS)))
        first = chance.randint(5, 13)
        second = chance.randint(1, SAMPLES - first - 1)
        labels = [0] * first + [1] * second + [2] * (SAMPLES - first - second - 1) + [-1]
        chance.shuffle(labels)
        for index, label in enumerate(labels):
            code = f"def f(xs: list[int]) -> int:\n    {PROGRAMS[label][0]}\n" if label >= 0 else None
            candidates.append(Candidate(pid, index, code or "?", code, (5, 6, 2), (-0.1, -0.2, -0.1), True))
            row = {
                "problem_id": pid,
                "index": index,
                "consensus": [first, second, 1, 0][label] / SAMPLES,
                "mean_logprob": -0.3 - 0.1 * chance.random(),
            }
            scores.append(
                {
                    **row,
                    "probe": min(1.0, max(0.0, chance.gauss(0.6 if label == 0 else 0.45, 0.15))),
                    "n_tokens": 30 + chance.randint(0, 20),
                }
            )
        for label, (body, outcomes) in enumerate(PROGRAMS):
            members = tuple(i for i, found in enumerate(labels) if found == label)
            if members:
                parts = [text.split(":") for text in outcomes]
                execution = Execution(tuple(Outcome(Kind(kind), payload) for kind, payload in parts))
                bank.append(BankProgram(pid, f"def f(xs: list[int]) -> int:\n    {body}\n", members, execution))
        counts = tuple(sorted((labels.count(label) for label in (0, 1, 2) if labels.count(label)), reverse=True))
        share = first / (SAMPLES - 1)
        right = (chance.random() < share + 0.15) if audited else None
        verdicts.append(
            Verdict(
                pid,
                tuple(range(len(INPUTS))),
                tuple(labels),
                counts,
                0,
                share,
                0.2,
                0.8,
                SAMPLES - 1,
                place % 5 != 0,
                right,
                dead_share=0.125,
                input_rank=3,
                duplicate_share=0.5,
                wrong_agreement=0.25,
                optimistic_bound=0.0 if place % 2 else 0.9,
                hidden_difference=0.125,
                pool_needed=96,
            )
        )
    write_records(folder / "problems.jsonl", problems)
    write_records(folder / "suites.jsonl", suites)
    write_records(folder / "candidates.jsonl", candidates)
    write_bank(folder / "executions.jsonl", bank)
    write_records(folder / "clusters.jsonl", verdicts)
    write_rows(folder / "scores.jsonl", scores)
    (folder / "probe.json").write_text(json.dumps(_probe_report()))
    return verdicts


def _probe_report() -> dict[str, Any]:
    from probing.probe.quality import ProbeReport

    report = ProbeReport(available=True, reason="", samples=400, problems=40, informative=30, positive_share=0.6, earned_weight=0.25)
    figures = {"within": {"controlled": 0.65, "raw": 0.67}, "within_se": 0.02, "null_mean": 0.5, "calibration_error": 0.04}
    return asdict(replace(report, **figures, layer=2, pooling="end"))
