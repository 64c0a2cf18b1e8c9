"""Puts the page together: figures and views in, one HTML file out."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import yaml
from markupsafe import Markup

from rewards.clusters.hidden import TOLERANCE
from rewards.records import Kind
from rewards.user_files import check_writable
from rl.config.run_folder import flatten, write_atomically
from rl.console import duration
from rl.report import plots
from rl.report.answers import COLUMNS as ANSWER_COLUMNS
from rl.report.answers import answer_counts
from rl.report.browser import browser_data, script_json
from rl.report.conclusion import conclude
from rl.report.headline import how_measured, percent, points
from rl.report.next_steps import next_steps
from rl.report.reliability import claim_pairs
from rl.round_files import BOUND_ERROR
from rl.run_data import Row, RunData, again, known, read_run

HERE = Path(__file__).parent
TABLE_COLUMNS = (  # heading, key, kind
    ("greedy", "greedy_pass@1", "interval"),
    ("best T", "best_pass@1", "interval"),
    ("T", "best_temperature", "number"),
    ("pass@1", "pass@1", "interval"),
    ("pass@16", "pass@16", "percent"),
    ("majority@16", "majority@16", "percent"),
    ("labels right", "label_accuracy", "percent"),
    ("probe, controlled", "probe_auroc_within_controlled", "auroc"),
    ("probe, raw", "probe_auroc_within_raw", "auroc"),
    ("pooled", "probe_auroc_pooled", "auroc"),
    ("length alone", "length_auroc_within", "auroc"),
    ("mean logprob", "logprob_auroc_within", "auroc"),
    ("entropy, nats", "entropy", "number"),
    ("tokens", "mean_length", "number"),
)
INPUT_COLUMNS = (  # heading, key of the round's consensus figures, kind, what it means
    ("inputs", "inputs_kept", "count", "those that vote, mean a problem"),
    ("rank", "input_rank", "count", "independent ways in which they part programs from the winner, mean; 1: all inputs say the same"),
    ("dead", "dead_share", "percent", "of all inputs that were written, those on which nearly every sample errs; they do not vote"),
    ("duplicates", "duplicate_share", "percent", "inputs that split the programs exactly as an earlier one does"),
    ("p", "median_wrong_agreement", "auroc", "share of inputs on which two wrong behaviours agree, at most; median of problems with two"),
    (
        "bounded, optimistic",
        "optimistic_bound_says_something",
        "percent",
        "problems where theorem 2.4 would say anything, were the selected inputs independent draws",
    ),
    (
        "hidden",
        "median_hidden_difference",
        "percent",
        "share of inputs on which two programs of one cluster may still differ, with "
        f"{100 * (1 - BOUND_ERROR):g} % confidence; valid for selected inputs; median",
    ),
    ("pool needed", "median_pool_needed", "count", f"inputs in the pool that would make it {100 * TOLERANCE:g} %; median"),
)


def write_report(run_dir: Path, out: Path | None = None, compare: Path | None = None) -> Path:
    """Write the report of a run (default: RUN/report.html), beside a second run where `compare` is given; returns its path."""
    run = read_run(Path(run_dir))
    other = read_run(Path(compare)) if compare is not None else None
    path = out or run.folder / "report.html"
    check_writable(path, "the report")
    write_atomically(path, render(run, other))
    return path


def render(run: RunData, other: RunData | None = None) -> str:
    """The page as a string. The same run gives the same bytes."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {"percent": percent, "points": points, "duration": duration}
    named = [(run.name, run)] if other is None else list(zip(_labels(run, other), (run, other), strict=True))
    script = "".join((HERE / name).read_text(encoding="utf-8") for name in ("report.js", "browser.js"))
    problems = browser_data(run)
    return environment.get_template("report.html.jinja").render(
        css=Markup((HERE / "report.css").read_text(encoding="utf-8")),
        js=Markup(script),
        js_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        run=run,
        verdict=conclude(run),
        sides=[_side(label, side, place) for place, (label, side) in enumerate(named)],
        comparing=other is not None,
        facts=_facts(run),
        learning=_named_plots(
            ("greedy pass@1", plots.learning_curve(named, "greedy_pass@1", "greedy", "greedy pass@1"), "with its 95 % interval"),
            ("pass@1", plots.learning_curve(named, "pass@1", "pass1", "pass@1"), "sampled, with its 95 % interval"),
            *(
                (
                    "Known and reachable" + (f": {label}" if other is not None else ""),
                    plots.breadth_curves(side, f"breadth-{place}"),
                    "pass@16 is what sampling can reach; labels come from votes",
                )
                for place, (label, side) in enumerate(named)
            ),
        ),
        training=_named_plots(
            *(
                (title, plots.training_curve(named, key, f"step-{i}", title), unit)
                for i, (key, title, unit) in enumerate(plots.TRAINING_FIGURES)
            )
        ),
        columns=TABLE_COLUMNS,
        input_columns=INPUT_COLUMNS,
        answer_columns=ANSWER_COLUMNS,
        cell=table_cell,
        problem_data=Markup(script_json(problems)) if problems["problems"] else None,
        config_text=yaml.safe_dump(run.config, sort_keys=False, width=100),
        command=again(run),
        config_differences=[] if other is None else _differences(run.config, other.config),
        version_differences=[] if other is None else _differences(run.versions, other.versions),
    )


def _side(label: str, run: RunData, place: int) -> dict[str, Any]:
    """What is shown of each run on its own, one under the other. place: 0 or 1, for ids that differ."""
    return {
        "label": label,
        "run": run,
        "verdict": (conclusion := conclude(run)),
        "steps": next_steps(run, conclusion),
        "measured": how_measured(run),
        "benchmarks": _benchmarks(run),
        "answers": answer_counts(run),
        "funnels": [(row["round"], row["funnel"]) for row in run.rows if row.get("funnel")],
        "proposer": [row for row in run.metrics if row["stage"] == "proposals"],
        "funnel_plot": _funnel_plot(run, f"funnel-{place}"),
        "reliability": _reliability(run, place),
        "inputs": [row for row in run.metrics if row["stage"] == "consensus"],
        "time_plot": _time_plot(run, f"time-{place}"),
        "work": _work(run),
    }


def table_cell(row: Row, key: str, kind: str) -> str:
    """A figure as text; a missing one is a dash."""
    value = known(row, key)
    if value is None:
        return "–"
    if kind == "interval" and row.get(f"{key}_ci"):
        low, high = row[f"{key}_ci"]
        return f"{100 * value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
    by_kind = {"interval": f"{100 * value:.1f}", "percent": f"{100 * value:.1f}", "auroc": f"{value:.3f}", "count": f"{value:.1f}"}
    return by_kind.get(kind, f"{value:.2f}")


def _named_plots(*entries: tuple[str, str | None, str]) -> list[tuple[str, Markup, str]]:
    return [(title, Markup(svg), note) for title, svg, note in entries if svg is not None]


def _labels(run: RunData, other: RunData) -> tuple[str, str]:
    if run.name != other.name:
        return run.name, other.name
    return str(run.folder), str(other.folder)


def _facts(run: RunData) -> list[tuple[str, str]]:
    """The line under the title."""
    done = len(run.rows) - 1
    facts = [
        ("model", str(run.config.get("model", "unknown"))),
        ("rounds", f"{done} of {run.config.get('rounds', '?')}" + ("" if run.finished else ", not all done")),
        ("training", str(run.config.get("consolidation", "unknown"))),
        ("seed", str(run.config.get("seed", "unknown"))),
    ]
    if run.summary.get("loop_seconds"):
        facts.append(("time", duration(run.summary["loop_seconds"])))
    if run.summary.get("peak_memory_mb"):
        facts.append(("memory", f"{run.summary['peak_memory_mb'] / 1024:.1f} GB at most"))
    if run.versions.get("commit"):
        facts.append(("commit", run.versions["commit"]))
    return facts


def _benchmarks(run: RunData) -> list[tuple[str, list[tuple[str, str]]]]:
    """For each benchmark its pass@1 by round, greedy where that was measured, or why there is none; only where there is more than one."""
    names = list(dict.fromkeys(name for row in run.rows for name in row.get("benchmarks") or {}))
    if len(names) < 2:
        return []
    found = []
    for name in names:
        cells = []
        for row in run.rows:
            figures = (row.get("benchmarks") or {}).get(name, {})
            key = "greedy_pass@1" if "greedy_pass@1" in figures else "pass@1"
            text = f"unavailable: {figures['unavailable']}" if "unavailable" in figures else table_cell(figures, key, "interval")
            cells.append((str(row["round"]), text))
        found.append((name, cells))
    return found


def _funnel_plot(run: RunData, name: str) -> Markup | None:
    bars = [
        (
            f"round {row['round']}",
            {"kept": float(row["funnel"]["kept"]), **{k: float(v) for k, v in row["funnel"].get("dropped", {}).items()}},
        )
        for row in run.rows
        if row.get("funnel")
    ]
    svg = plots.stacked_bars(bars, name, "problems", "Problems proposed in each round: kept, and why dropped") if bars else None
    return None if svg is None else Markup(svg)


def _time_plot(run: RunData, name: str) -> Markup | None:
    bars = [(f"round {row['round']}", {k: float(v) for k, v in row["seconds"].items()}) for row in run.rows if row.get("seconds")]
    svg = plots.stacked_bars(bars, name, "seconds", "Seconds by stage in each round") if bars else None
    return None if svg is None else Markup(svg)


def _work(run: RunData) -> list[tuple[str, int]]:
    """What was bought with the time: counts over all rounds, where the run logged them."""

    def total(stage: str, *names: str) -> int:
        rows = [row for row in run.metrics if row["stage"] == stage]
        return sum(value or 0 for row in rows for name, value in row.items() if name.split("/")[-1] in names)

    counts = {
        "answers sampled before training": total("spent", "samples"),
        "tokens of these": total("spent", "tokens"),
        "calls in the sandbox, stage 5": total("sandbox", *(kind.value for kind in Kind)),
        "optimizer steps": len(run.training_steps()),
    }
    return [(name, count) for name, count in counts.items() if count]


def _reliability(run: RunData, place: int) -> dict[str, Any]:
    record = claim_pairs(run)
    truth = "audited against the oracle" if record.truth == "audit" else "against consensus labels, not the truth"
    curves = [("probe", record.centred_probe), ("mean logprob", record.centred_logprob), ("shortness", record.centred_length)]
    auroc = plots.auroc_dots(run, f"auroc-{place}")
    label = "right (audited)" if record.truth == "audit" else "in the winning cluster"
    return {
        "probes": [(files.number, files.probe) for files in run.rounds if files.probe],
        "plots": _named_plots(
            ("What separates right from wrong", auroc, "within held-out problems; a dot a round, the latest filled"),
            (
                "Does agreement mean right?",
                plots.reliability(record.shares, f"shares-{place}", "share of the winning cluster", "right (audited)"),
                "by problem",
            ),
            (
                "Is the probe calibrated?",
                plots.reliability(record.probes, f"calibration-{place}", "probability given by the probe", label),
                truth,
            ),
            ("What ranks answers within a problem?", plots.roc(curves, f"roc-{place}"), truth),
        ),
    }


def _differences(mine: Row, theirs: Row) -> Sequence[tuple[str, str, str]]:
    """Keys in which two configs, or two sets of versions, differ."""
    a, b = flatten(mine), flatten(theirs)
    return [(key, str(a.get(key, "–")), str(b.get(key, "–"))) for key in dict.fromkeys([*a, *b]) if a.get(key) != b.get(key)]
