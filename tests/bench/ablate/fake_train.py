"""Stands in for `rl/train.py` in the ablation's tests: leaves what a run leaves, with made-up figures, in no time."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

from rl.config.run_folder import config_text
from rl.config.schema import Config, config_from_argv

GAINS = {"soft": 0.12, "oracle": 0.15, "soft_unguarded": -0.02, "random": -0.05}
TASKS = 40


def scores(config: Config, gain: float) -> list[dict[str, Any]]:
    """The same tasks and draws for every arm of a seed, shifted by the arm's gain."""
    chance = random.Random(config.seed)
    rows = []
    for task in range(TASKS):
        score = min(1.0, max(0.0, chance.uniform(0.2, 0.6) + gain + chance.gauss(0, 0.02)))
        rows.append({"id": f"t{task}", "pass@1": score, "pass@16": min(1.0, score + 0.3), "majority@16": float(score > 0.45)})
    return rows


def write_round(config: Config, number: int, gain: float) -> dict[str, Any]:
    folder = Path(config.run_dir) / f"round_{number:02d}"
    if (folder / "metrics.json").exists():  # as the loop does, it goes on after what is there
        found: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
        return found
    folder.mkdir(parents=True, exist_ok=True)
    rows = scores(config, gain)
    (folder / "eval_seedling.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[: TASKS // 2]))  # a part is sampled
    for name, more in (("greedy", 0.1), ("best", 0.05)):
        decoded = [{"id": row["id"], "pass@1": row["pass@1"] + more} for row in rows]
        (folder / f"eval_seedling_{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in decoded))
    (folder / "eval.json").write_text("{}")
    mean = sum(row["pass@1"] for row in rows) / TASKS
    training = {"guard_actions": [{"guard": "entropy", "guard_action": "raise_kl"}], "stop_run": False, "problems": 9}
    row = {"round": number, "pass@1": mean, "pass@1_ci": [mean - 0.05, mean + 0.05], "pass@16": mean + 0.3, "benchmarks": {"seedling": {}}}
    row |= {"greedy_pass@1": mean + 0.1, "greedy_pass@1_ci": [mean + 0.05, mean + 0.15]}
    row |= {"training": training, "label_accuracy": 0.5} if number else {}
    (folder / "metrics.json").write_text(json.dumps(row))
    return row


def main(argv: list[str]) -> int:
    config = config_from_argv(argv)
    out = Path(config.run_dir)
    if "fail" in config.tracking.tags:
        print("the disk is full")
        return 1
    (out / "round_01").mkdir(parents=True, exist_ok=True)
    if not (out / "round_01" / "problems.jsonl").exists():  # made here, unless another run's were taken over
        (out / "round_01" / "funnel.json").write_text("{}")
        (out / "round_01" / "problems.jsonl").write_text(json.dumps({"made_by": out.name}) + "\n")
    (out / "config.yaml").write_text(config_text(config))
    (out / "versions.json").write_text(json.dumps({"commit": "0123456789ab"}))
    rows = [write_round(config, 0, 0.0)]
    with (out / "metrics.jsonl").open("a") as log:
        log.write(json.dumps({"round": 1, "stage": "problems", "step": None, "kept": 9}) + "\n")
        for number in range(1, config.rounds + 1):
            if number == 2 and config.guards.entropy is not None:
                log.write(
                    json.dumps({"round": number, "stage": "guards", "step": 1, "guard": "entropy", "guard_action": "raise_kl"}) + "\n"
                )
            rows.append(write_round(config, number, GAINS[out.name] * number / config.rounds))
            for step in range(1, config.grpo.steps + 1):
                figures = {"audit/label_accuracy": 0.5, "entropy": 1 - step / 100, "audit/majority_wrong": None}
                log.write(json.dumps({"round": number, "stage": "grpo", "step": step, **figures}) + "\n")
    summary = {"base": rows[0], "rounds": rows[1:], "final": rows[-1], "loop_seconds": 60.0, "peak_memory_mb": 1024}
    (out / "summary.json").write_text(json.dumps(summary))
    (out / "report.html").write_text("")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
