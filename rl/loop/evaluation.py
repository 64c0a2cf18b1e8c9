"""After every round (and before the first): evaluate the checkpoint, write the round's row, and at the end the summary.

round_NN/temperature.json, eval.json    see `rl.loop.decodings`
round_NN/metrics.json    one row of summary.json        summary.json    base, rounds, final, loop_seconds, stage_seconds, peak_memory_mb
round_NN/published.json  the trackers have the round's tables, checkpoint and probe
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from probing.models.loading import load_model, load_tokenizer
from rl.benchmarks.base import Unavailable, load_benchmark
from rl.benchmarks.presence import agreed
from rl.config.run_folder import write_atomically
from rl.console import UserError, warn
from rl.evals.engine import sampling_of
from rl.evals.passk import bootstrap_interval
from rl.loop.choice import checkpoint_of, choose_checkpoint, point_to_best, started_from
from rl.loop.decodings import BEST, GREEDY, Asked, Decoding, best_temperature, measure_benchmark
from rl.loop.held_out import held_out_of
from rl.loop.round import begun, shared_sampler
from rl.ranks.shards import discard_parts
from rl.report.publish import publish_result, publish_round
from rl.round_files import Stage, read_rows
from rl.round_tables import print_summary
from rl.tracking.monitor import clean, read_metrics

if TYPE_CHECKING:
    from rl.run import Run

PUBLISHED = "published.json"

# what a row takes over from the first benchmark's metrics; `docs/method.md` has the symbols, `rl.loop.decodings` the ways of decoding
_FROM_EVAL = (
    "greedy_pass@1",
    "greedy_pass@1_ci",
    "best_pass@1",
    "best_pass@1_ci",
    "best_temperature",
    "pass@1",
    "pass@1_ci",
    "pass@4",
    "pass@16",
    "majority@16",
    "majority_wrong",
    "entropy",
    "mean_length",
    "compile_rate",
    "missing",
)
# gains over the base, paired over tasks: key, and the decoding whose rows it compares
_GAINS = (("greedy_gain", GREEDY), ("best_gain", BEST), ("gain", ""))


def evaluate_policy(run: Run, index: int, policy: str) -> dict[str, Any]:
    """Evaluates a checkpoint on the configured benchmarks and returns the round's row."""
    folder, evals = run.round_folder(index), run.config.evaluation

    @contextmanager
    def asked(stage: str) -> Iterator[Asked]:
        sampling = sampling_of(evals, run.config.sampling)
        sampler = shared_sampler(run, folder, policy, lambda: load_model(policy, sampling.device, sampling.dtype), sampling)
        yield Asked(run, index, sampler, load_tokenizer(policy))
        run.log("spent", index, {f"{stage}/samples": sampler.samples, f"{stage}/tokens": sampler.tokens})
        sampler.close()

    def choose_temperature() -> dict[str, Any]:
        with asked("temperature") as checkpoint:
            return best_temperature(checkpoint, evals)

    def compute() -> dict[str, Any]:
        benchmarks: dict[str, Any] = {}
        with asked("eval") as checkpoint:
            for name in evals.benchmarks:
                benchmark = agreed(name, load_benchmark(name, evals.limit), folder, run.ranks)
                if isinstance(benchmark, Unavailable):
                    benchmarks[name] = {"unavailable": benchmark.reason}
                else:
                    benchmarks[name] = measure_benchmark(checkpoint, benchmark, evals, best, folder)
        return benchmarks

    best: float | None = None
    if evals.chosen_on is not None:
        best = run.once(index, _stage("temperature"), choose_temperature)["chosen"]
    benchmarks = run.once(index, _stage("eval"), compute)
    row = _row(run, index, benchmarks)
    if run.main:
        new = not (folder / "metrics.json").exists()
        write_atomically(folder / "metrics.json", json.dumps(row, indent=1, default=clean))
        run.monitor.round(row, index)
        _write_summary(run)
        if new:
            refresh_report(run, index)
        if index and (new or not _published(run, index)):
            publish_round(run, row)
            write_atomically(folder / PUBLISHED, "{}\n")
    return row


def _published(run: Run, index: int) -> bool:
    """Whether an earlier start has published the round. Runs made before that was written down had done so before the next round began."""
    return (run.round_folder(index) / PUBLISHED).exists() or begun(run.round_folder(index + 1, make=False))


def refresh_report(run: Run, index: int) -> None:
    """The report as of now, for whoever looks while the run goes on. What it cannot show is said, and the run goes on."""
    from rl.report import write_report

    with run.progress.stage(index, "report"):
        try:
            write_report(run.folder)
        except UserError as error:
            warn(f"the report was not written: {error.what} ({error.where})")


def _stage(name: str) -> Stage[dict[str, Any], dict[str, Any]]:
    return Stage(name, f"{name}.json", _write_json, _read_json, read_back=True)


def _write_json(path: Path, value: Any) -> None:
    write_atomically(path, json.dumps(value, indent=1, default=clean))


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text())


def _row(run: Run, index: int, benchmarks: Mapping[str, Any]) -> dict[str, Any]:
    first: Mapping[str, Any] = next((m for m in benchmarks.values() if "unavailable" not in m), {})
    row: dict[str, Any] = {"round": index, **{name: first[name] for name in _FROM_EVAL if name in first}, "benchmarks": benchmarks}
    if index:
        row |= gain_over_base(run, index)
        logged = {r["stage"]: r for r in read_metrics(run.folder / "metrics.jsonl") if r["round"] == index and r["step"] is None}
        consensus, probe = logged.get("consensus", {}), logged.get("probe", {})
        row |= {
            "label_accuracy": consensus.get("label_accuracy"),
            "label_accuracy_kept": consensus.get("label_accuracy_kept"),
            "probe_auroc_within_raw": probe.get("within/raw"),
            "probe_auroc_within_controlled": probe.get("within/controlled"),
            "probe_auroc_pooled": probe.get("pooled/raw"),
            "length_auroc_within": probe.get("within/length"),
            "logprob_auroc_within": probe.get("within/mean_logprob"),
            "probe_weight": probe.get("earned_weight"),
            "probe_source": probe.get("source"),
            "probe_auroc_reference": probe.get("audit/probe_within"),
            "logprob_auroc_reference": probe.get("audit/mean_logprob_within"),
            "consensus_auroc_reference": probe.get("audit/consensus_within"),
            "held_out_agreement": held_out_of(run, index),
            "started_from": started_from(run, index),
            "funnel": _read_json(run.round_folder(index) / "funnel.json"),
            "training": _read_json(run.round_folder(index) / "training.json"),
        }
    row["seconds"] = run.times.of(index)
    return row


def gain_over_base(run: Run, index: int) -> dict[str, Any]:
    """Each decoding's pass@1 minus the base's on the first benchmark, over the tasks that both have: `greedy_gain`, `best_gain` (each
    checkpoint at its own best temperature) and `gain` (at `evals.temperature`), with 95 % intervals under `_ci`, tasks paired."""
    evals = run.config.evals
    for name in evals.benchmarks:
        found: dict[str, Any] = {}
        for key, decoding in _GAINS:
            before, after = (Decoding(decoding, evals).file(run.round_folder(i), name) for i in (0, index))
            if not (before.exists() and after.exists()):
                continue
            base = {row["id"]: row["pass@1"] for row in read_rows(before) if "pass@1" in row}
            pairs = [row["pass@1"] - base[row["id"]] for row in read_rows(after) if "pass@1" in row and row["id"] in base]
            if pairs:
                found |= {key: float(np.mean(pairs)), f"{key}_ci": list(bootstrap_interval(pairs, evals.bootstrap, evals.seed))}
        if found:
            if evals.temperature == 0:
                found |= {f"greedy_{key}": found[key] for key in ("gain", "gain_ci")}
            return found
    return {}


def _write_summary(run: Run) -> dict[str, Any]:
    """summary.json of all rounds so far; `final` is the one whose checkpoint the run ends with (`rl.loop.choice`), with the reason."""
    rows: list[dict[str, Any]] = []
    while (path := run.folder / f"round_{len(rows):02d}" / "metrics.json").exists():
        rows.append(_read_json(path))
    stages: dict[str, float] = {}
    for row in rows:
        for name, seconds in row["seconds"].items():
            stages[name] = round(stages.get(name, 0.0) + seconds, 2)
    choice = choose_checkpoint(run, len(rows) - 1)
    summary = {
        "base": rows[0],
        "rounds": rows[1:],
        "final": {**rows[choice.round], "choice": choice.as_dict()},
        "loop_seconds": round(run.loop_seconds(), 1),
        "stage_seconds": stages,
        "peak_memory_mb": round(run.memory.megabytes),
    }
    write_atomically(run.folder / "summary.json", json.dumps(summary, indent=1))
    return summary


def finish(run: Run) -> None:
    """The report, the final table, and where to find the result."""
    run.state.wait_for_everyone()
    if not run.main:
        return
    for folder in run.folder.glob("round_*"):
        discard_parts(folder)
    from rl.report import write_report

    summary = _write_summary(run)
    report = write_report(run.folder)
    final = summary["final"]
    run.log("choice", len(summary["rounds"]), final["choice"])
    checkpoint = Path(checkpoint_of(run, final["round"]))
    point_to_best(run, checkpoint)
    publish_result(run, checkpoint, report)
    print_summary(summary, {"best checkpoint": str(checkpoint), "chosen": final["choice"]["reason"], "report": str(report)}, run.console)
