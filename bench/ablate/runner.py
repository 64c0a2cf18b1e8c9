"""Runs a plan: so many runs at once, each a process of its own; what is finished is not run again.

A killed run goes on where it was, since `rl/train.py` does. A run starts once its lead has finished, and takes over what they share: where
the two differ in the guards alone, all rounds before one of the lead's guards acted.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from bench.ablate.plan import Job, Stage, differ_in_guards_alone, lead_of, shared_stages
from rl.benchmarks.base import Benchmark, load_benchmark
from rl.config.loader import read_yaml
from rl.config.run_folder import check_same_config, config_text, write_atomically
from rl.config.schema import Config
from rl.console import UserError, duration
from rl.models.source import resolve_model
from rl.tracking.monitor import read_metrics

ROOT = Path(__file__).resolve().parents[2]
POLL_SECONDS = 0.5


def finished(job: Job) -> bool:
    """Whether the run has made all its rounds, or was stopped by a guard. Raises UserError where another config's run is in its folder."""
    check_same_config(job.folder, job.config)
    rows = sorted(job.folder.glob("round_[0-9][0-9]/metrics.json"))
    if not rows or not all((job.folder / name).is_file() for name in ("config.yaml", "report.html")):
        return False
    last = json.loads(rows[-1].read_text())
    return last["round"] == job.config.rounds or bool((last.get("training") or {}).get("stop_run"))


def identity(base: Path, config: Config) -> dict[str, str]:
    """Hashes of what all runs depend on: the config that they vary, the base model's weights, the benchmarks."""
    folder = Path(resolve_model(config.model))
    weights = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        weights.update(path.read_bytes())
    found = {"config": hashlib.sha256(whole_text(base).encode()).hexdigest()[:16], "weights": weights.hexdigest()[:16]}
    for name in config.evals.benchmarks:
        benchmark = load_benchmark(name)
        found[name] = benchmark.digest()[:16] if isinstance(benchmark, Benchmark) else "absent"
    return found


def whole_text(base: Path) -> str:
    """A config as YAML that needs no other file: what it extends is merged in."""
    return yaml.safe_dump(read_yaml(base)[0], sort_keys=False, width=120)


def check_identity(out: Path, base: Path, config: Config) -> dict[str, str]:
    """The identity; UserError when the folder holds runs of another one. Leaves a copy of `base` there (`frozen_base`)."""
    now, path = identity(base, config), out / "identity.json"
    if path.is_file() and (before := json.loads(path.read_text())) != now:
        changed = [name for name in now if before.get(name) != now[name]]
        raise UserError(f"the runs there were made with other {', '.join(changed)}", str(out), "delete the folder, or choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(now, indent=1))
    write_atomically(frozen_base(out), whole_text(base))
    return now


def frozen_base(out: Path) -> Path:
    """The copy of the config that the runs are started with, so that editing the original meanwhile changes nothing."""
    return out / "base.yaml"


def take_over(lead: Path, arm: Path, stages: Sequence[Stage]) -> None:
    """Link the lead's files of some stages into a run that has not started yet, and copy its log of them.

    Killed halfway it is simply done again: the run counts as started once it has a config.yaml.
    """
    if (arm / "config.yaml").exists():
        return
    shutil.rmtree(arm, ignore_errors=True)
    arm.mkdir(parents=True)
    logged = {stage.logged_as for stage in stages}
    rows = [row for row in read_metrics(lead / "metrics.jsonl") if row["round"] == 1 and row["stage"] in logged]
    write_atomically(arm / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    for stage in stages:
        for pattern in stage.files:
            for source in sorted(lead.glob(pattern)):
                target = arm / source.relative_to(lead)
                target.parent.mkdir(exist_ok=True)
                os.link(source, target)


def rounds_of_the_lead(lead: Job, job: Job) -> int:
    """How many first rounds of a run repeat its finished lead's: where the two differ in the guards alone, those before a guard acted."""
    if not differ_in_guards_alone(lead.config, job.config):
        return 0
    acted = [row for row in read_metrics(lead.folder / "metrics.jsonl") if row["stage"] == "guards"]
    # the guard between rounds acts upon the next one, the others upon the round that they watch
    return min((row["round"] - (row.get("guard") != "between_rounds") for row in acted), default=lead.config.rounds)


def repeats_lead(job: Job, jobs: Sequence[Job]) -> bool:
    """Whether all rounds of a finished run are its lead's: then nothing was run for it."""
    lead = lead_of(job, jobs)
    return lead is not None and rounds_of_the_lead(lead, job) == job.config.rounds


def take_over_rounds(lead: Path, job: Job, rounds: int) -> None:
    """Link everything that the lead's first rounds left into a run that has not started yet. Where these are all, the run is done: the
    config, which counts as the sign of that, is its own.
    """
    if (job.folder / "config.yaml").exists():
        return
    shutil.rmtree(job.folder, ignore_errors=True)
    if rounds == job.config.rounds:
        shutil.copytree(lead, job.folder, copy_function=os.link, ignore=shutil.ignore_patterns("config.yaml", "best", ".lock"))
        write_atomically(job.folder / "config.yaml", config_text(job.config))
        return
    for number in range(rounds + 1):
        shutil.copytree(lead / f"round_{number:02d}", job.folder / f"round_{number:02d}", copy_function=os.link)
    rows = [row for row in read_metrics(lead / "metrics.jsonl") if row["round"] <= rounds and row["stage"] != "guards"]
    write_atomically(job.folder / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def say_now(text: str) -> None:
    """Print a line that is seen at once, also in a file."""
    print(text, flush=True)


def run_plan(jobs: Sequence[Job], base: Path, at_once: int, threads: int, say: Callable[[str], None] = say_now) -> list[Job]:
    """Run what is not finished, `at_once` runs at a time with `threads` threads each; returns the runs that failed, or whose lead did.

    A run's output goes to `FOLDER.log` beside its folder.
    """
    done = {job.folder for job in jobs if finished(job)}
    waiting = [job for job in jobs if job.folder not in done]
    if done:
        say(f"{len(done)} of {len(jobs)} runs are finished already")
    running: dict[subprocess.Popen[bytes], tuple[Job, float]] = {}
    failed: list[Job] = []
    try:
        while waiting or running:
            for job in [job for job in waiting if (lead := lead_of(job, jobs)) is None or lead.folder in done][: at_once - len(running)]:
                waiting.remove(job)
                if (lead := lead_of(job, jobs)) is not None and (rounds := rounds_of_the_lead(lead, job)):
                    take_over_rounds(lead.folder, job, rounds)
                    if rounds == job.config.rounds:
                        done.add(job.folder)
                        say(f"{len(done):3d}/{len(jobs)}  {job.name}  the same as {lead.name}, where no guard acted")
                        continue
                    say(f"         {job.name}  has its first {rounds} rounds from {lead.name}, where no guard acted")
                elif lead is not None:
                    take_over(lead.folder, job.folder, shared_stages(lead.config, job.config))
                running[_start(job, base, threads)] = job, time.monotonic()
            for process in [process for process in running if process.poll() is not None]:
                job, started = running.pop(process)
                taken = duration(time.monotonic() - started)
                if process.returncode == 0:
                    done.add(job.folder)
                    say(f"{len(done):3d}/{len(jobs)}  {job.name}  {taken}")
                    continue
                lost = [job, *(other for other in waiting if lead_of(other, jobs) is job)]
                waiting = [other for other in waiting if other not in lost]
                failed += lost
                tail = _log(job).read_text(errors="replace").splitlines()[-12:]
                say("\n  ".join([f"FAILED  {job.name}  after {taken}, status {process.returncode}; {_log(job)} ends with", *tail]))
            time.sleep(POLL_SECONDS if running else 0)
    finally:
        for process in running:
            os.killpg(process.pid, signal.SIGTERM)
        for process in running:
            process.wait()
    return failed


def _log(job: Job) -> Path:
    return job.folder.with_name(job.folder.name + ".log")


def _start(job: Job, base: Path, threads: int) -> subprocess.Popen[bytes]:
    job.folder.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)} | {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    with _log(job).open("ab") as log:
        return subprocess.Popen(job.command(base), cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)
