"""The round on a real model with its controls: who gains what on HumanEval+ and MBPP+ together, greedy? (bench/results/real_run.json)

    python -m bench.real.run --model MODEL [--config configs/qwen2.5-coder-0.5b-short.yaml] [--jobs 4] [--arms grpo sft_ipc ...]
    python -m bench.real.run --model MODEL --collect        # only the table, from what has finished

One arm leads (`--lead`): the others take over its problems, answers, executions and votes as soon as they are there, and train beside it
(`--jobs` at once). Its gain is the claim; the others are its controls. Further words (`--grpo.steps 12`) are config keys for every arm.
Killed, the same command goes on. A run with other settings is another attempt (`--attempt 2 --what TEXT --out DIR`): the file keeps
every attempt with its controls, and its first figures are those of the last one. The gain is in points of greedy pass@1 over all tasks
of the config's benchmarks, paired by task, with a 95 % bootstrap interval.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.ablate.plan import shared_stages
from bench.ablate.runner import POLL_SECONDS, ROOT, take_over
from bench.command import module_command
from rl.config.run_folder import git_commit, versions, write_atomically
from rl.config.schema import Config, load_config
from rl.console import UserError, duration, error_screen
from rl.evals.compare import paired_gain
from rl.round_files import read_rows
from rl.stage_times import StageTimes

CONFIG = Path("configs/qwen2.5-coder-0.5b-short.yaml")
RESULT = ROOT / "bench" / "results" / "real_run.json"
SHARED = "round_01/scores.jsonl"  # the last file that arms have in common: from here on each trains on its own
LORA = ("--grpo.lora.rank", "16", "--grpo.learning_rate", "1e-4")
SFT_LORA = ("--sft.lora.rank", "16", "--sft.learning_rate", "1e-4")
# Each differs from the first in these keys and in nothing else.
ARMS: dict[str, tuple[str, tuple[str, ...]]] = {
    "grpo": ("GRPO on the mixed reward, all weights", ()),
    "grpo_fast": ("the same, twice the rate", ("--grpo.learning_rate", "1e-5")),
    "grpo_lora": ("the same, LoRA of rank 16", LORA),
    "grpo_votes": ("consensus alone, no probe", ("--reward.w_quality", "0")),
    "grpo_mean": ("advantages not divided by the group's deviation", ("--grpo.scale_rewards", "none", "--grpo.learning_rate", "1e-5")),
    "grpo_lora_votes": ("LoRA of rank 16, consensus alone", (*LORA, "--reward.w_quality", "0")),
    "sft_ipc": ("the paper's SFT-IPC", ("--consolidation", "sft")),
    "sft_ipc_lora": ("the paper's SFT-IPC, LoRA of rank 16", ("--consolidation", "sft", *SFT_LORA)),
    "sft_unexecuted": ("SFT on own answers, none of them run", ("--consolidation", "sft", "--sft.select", "unexecuted")),
    "sft_unexecuted_lora": (
        "SFT on own answers, none of them run, LoRA of rank 16",
        ("--consolidation", "sft", "--sft.select", "unexecuted", *SFT_LORA),
    ),
    "random": ("GRPO on a random reward", ("--grpo.reward", "random", "--reward.w_quality", "0")),
}
LEAD = "grpo"


@dataclass(frozen=True)
class Arm:
    name: str
    config: Config
    words: tuple[str, ...]  # of `rl/train.py`, after --config FILE

    @property
    def folder(self) -> Path:
        return ROOT / self.config.run_dir

    @property
    def done(self) -> bool:
        return (self.folder / "round_01" / "metrics.json").is_file()


def make_arms(base: Path, model: str, out: Path, names: Sequence[str], seed: int, extra: Sequence[str], lead: str = LEAD) -> list[Arm]:
    """The arms, the lead first. Raises UserError for keys that no config has."""
    found = []
    for name in dict.fromkeys([lead, *names]):
        folder = (out / f"seed-{seed}" / name).absolute()
        folder = folder.relative_to(ROOT) if folder.is_relative_to(ROOT) else folder  # arms start in ROOT
        words: tuple[str, ...] = (
            "--model",
            model,
            "--seed",
            str(seed),
            "--rounds",
            "1",
            "--run_dir",
            str(folder),
            "--tracking.report_to",
            "[]",
        )
        words = (*words, *ARMS[name][1], *extra)
        found.append(Arm(name, load_config(base, words), words))
    return found


def run_arms(arms: Sequence[Arm], base: Path, jobs: int) -> list[str]:
    """Run what has not finished, the lead first; the names of arms that failed."""
    lead = arms[0]
    waiting, running, failed = [arm for arm in arms if not arm.done], dict[subprocess.Popen[bytes], Arm](), list[str]()
    while waiting or running:
        ready = [arm for arm in waiting if arm is lead or (lead.folder / SHARED).is_file()]
        for arm in ready[: jobs - len(running)]:
            waiting.remove(arm)
            if arm is not lead:
                take_over(lead.folder, arm.folder, shared_stages(lead.config, arm.config))
            running[start(arm, base)] = arm
            print(f"started  {arm.name}", flush=True)
        time.sleep(POLL_SECONDS)
        for process in [process for process in running if process.poll() is not None]:
            arm = running.pop(process)
            print(f"{'finished' if process.returncode == 0 else f'FAILED ({process.returncode})'}  {arm.name}", flush=True)
            if process.returncode:
                failed.append(arm.name)
                if arm is lead and not (lead.folder / SHARED).is_file():
                    failed += [other.name for other in waiting]
                    waiting = []
    return failed


def start(arm: Arm, base: Path) -> subprocess.Popen[bytes]:
    arm.folder.parent.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    with arm.folder.with_name(arm.name + ".log").open("ab") as log:
        words = [sys.executable, "rl/train.py", "--config", str(base), *arm.words]
        return subprocess.Popen(words, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)


def row_of(arm: Arm) -> dict[str, Any]:
    """What a finished arm gained over the base, on all tasks together and by benchmark."""
    metrics = json.loads((arm.folder / "round_01" / "metrics.json").read_text())
    base = json.loads((arm.folder / "round_00" / "metrics.json").read_text())
    evals = arm.config.evals
    pairs = {name: pairs_of(arm.folder, name) for name in evals.benchmarks}
    together = paired_gain([pair for found in pairs.values() for pair in found], evals.bootstrap, evals.seed)
    logged = read_rows(arm.folder / "metrics.jsonl")
    steps = [row for row in logged if row["round"] == 1 and row["step"] is not None]
    verdicts = read_rows(arm.folder / "round_01" / "clusters.jsonl")
    return {
        "arm": arm.name,
        "what": ARMS[arm.name][0],
        "base": together["before"],
        "final": together["after"],
        "gain": together["gain"],
        "gain_ci": together["gain_ci"],
        "better": together["better"],
        "worse": together["worse"],
        "tasks": together["tasks"],
        "benchmarks": {name: paired_gain(found, evals.bootstrap, evals.seed) for name, found in pairs.items()},
        "no_program": shares(metrics, "no program"),
        "no_program_base": shares(base, "no program"),
        "mean_length": {name: found.get("mean_length") for name, found in metrics["benchmarks"].items()},
        "mean_length_base": {name: found.get("mean_length") for name, found in base["benchmarks"].items()},
        "minutes": round(StageTimes(arm.folder).total() / 60, 1),  # of all stages, over all processes of the run
        "training_minutes": round(sum(row.get("seconds") or 0.0 for row in steps) / 60, 1),  # of all steps, those before a kill too
        "seconds": metrics["seconds"],
        "funnel": metrics.get("funnel"),
        "problems_kept": sum(verdict["kept"] for verdict in verdicts),
        "problems_voted": len(verdicts),
        "mean_top_share": float(np.mean([verdict["top_share"] for verdict in verdicts])) if verdicts else None,
        "training": metrics.get("training"),
        "first_step": steps[0] if steps else None,
        "last_step": steps[-1] if steps else None,
        "commit": json.loads((arm.folder / "versions.json").read_text()).get("commit"),  # that trained it
        "overrides": list(arm.words),
    }


def pairs_of(folder: Path, benchmark: str) -> list[tuple[float, float]]:
    """(before, after) of each task that has a figure in both."""
    before = {row["id"]: row["pass@1"] for row in read_rows(folder / "round_00" / f"eval_{benchmark}.jsonl") if "pass@1" in row}
    after = {row["id"]: row["pass@1"] for row in read_rows(folder / "round_01" / f"eval_{benchmark}.jsonl") if "pass@1" in row}
    return [(before[task], after[task]) for task in before if task in after]


def shares(metrics: Mapping[str, Any], outcome: str) -> dict[str, float]:
    """Share of samples with an outcome, by benchmark."""
    found = metrics["benchmarks"].items()
    return {name: m["outcomes"].get(outcome, 0) / m["samples"] for name, m in found if m.get("samples")}


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown, for RESULTS.md."""
    lines = ["| arm | base | final | gain, points [95 %] | better / worse | tokens | minutes |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        lengths = [value for value in row["mean_length"].values() if value is not None]
        lines.append(
            f"| {row['what']} | {100 * row['base']:.1f} % | {100 * row['final']:.1f} % | {row['gain']:+.1f} "
            f"[{row['gain_ci'][0]:.1f}, {row['gain_ci'][1]:.1f}] | {row['better']} / {row['worse']} | "
            f"{np.mean(lengths):.0f} | {row['minutes']} |"
        )
    return "\n".join(lines)


def with_attempt(record: Mapping[str, Any], attempt: Mapping[str, Any]) -> dict[str, Any]:
    """The file's content with one more attempt, or with that attempt's new figures; in front the last attempt and all controls."""
    attempts = {one["attempt"]: one for one in record.get("attempts", ())} | {attempt["attempt"]: attempt}
    ordered = [attempts[number] for number in sorted(attempts)]
    last = ordered[-1]
    front = {key: last["lead"][key] for key in ("base", "final", "gain", "gain_ci", "minutes")}
    controls = [{"attempt": one["attempt"], **control} for one in ordered for control in one["controls"]]
    return {"attempt": last["attempt"], **front, "controls": controls, "attempts": ordered}


def main(argv: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("--model", required=True, help="checkpoint folder, GGUF file or Hub id")
    parser.add_argument("--config", type=Path, default=CONFIG, help=f"config of the round (default {CONFIG})")
    parser.add_argument("--arms", nargs="*", choices=list(ARMS), default=list(ARMS), help="arms beside the lead (default: all)")
    parser.add_argument("--lead", choices=list(ARMS), default=LEAD, help=f"the arm that is claimed (default {LEAD})")
    parser.add_argument("--seed", type=int, default=0, help="seed of the round (default 0)")
    parser.add_argument("--jobs", type=int, default=1, help="arms at once (default 1)")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "real", help="folder of the runs")
    parser.add_argument("--json", type=Path, default=RESULT, help="where the figures go")
    parser.add_argument("--attempt", type=int, default=1, help="number of the attempt, whose figures are replaced in the file (default 1)")
    parser.add_argument("--what", default="", help="what the attempt changes, in words")
    parser.add_argument("--collect", action="store_true", help="run nothing")
    args, extra = parser.parse_known_args(words)
    with error_screen():
        arms = make_arms(args.config, args.model, args.out, args.arms, args.seed, extra, args.lead)
        failed = [] if args.collect else run_arms(arms, args.config, args.jobs)
        if not arms[0].done:
            raise UserError(f"the leading arm, {args.lead}, has not finished", str(arms[0].folder), "see the .log file beside it")
        rows = [row_of(arm) for arm in arms if arm.done]
        attempt = {
            "attempt": args.attempt,
            "what": args.what,
            "command": module_command("bench.real.run", words),
            "commit": git_commit(),
            "versions": versions(),
            "seed": args.seed,
            "lead": rows[0],
            "controls": rows[1:],
        }
        record = with_attempt(json.loads(args.json.read_text()) if args.json.is_file() else {}, attempt)
        args.json.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(args.json, json.dumps(record, indent=1) + "\n")
        print(table(rows))
        print(f"written to {args.json}; failed: {', '.join(failed) or 'none'}; {duration(60 * sum(row['minutes'] for row in rows))} in all")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
