"""Does a round gain more where more of its labels are right?

    python -m bench.ablate.label_gain runs/seed-0 runs/seed-1

Reads audited runs of the bundled model; nothing is computed anew. For each round: by how much greedy pass@1 (on the first benchmark)
changed from the checkpoint that it started from, and the share of right labels in its band, by kind of problem. Then Pearson's r between
the two, and the slope of a least-squares line, with 95 % bootstrap intervals over rounds: over all rounds; and each taken relative to
the mean of the rounds of its number, since first rounds have both better labels and more to gain. A round that several runs share
counts once. Writes bench/results/label_gain.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.ablate.by_kind import labels_by_kind
from bench.ablate.collect import greedy_of
from bench.command import module_command
from bench.markdown import number, percent, table
from rl.config.run_folder import git_commit, read_json, versions, write_atomically
from rl.console import UserError, error_screen
from rl.round_files import VERDICTS
from seedling.mistakes import KINDS

RESULT = Path(__file__).resolve().parents[1] / "results" / "label_gain.json"
LEAST = 4  # rounds, below which there is no correlation
RESAMPLES = 2000


def rounds_of(run: Path) -> list[dict[str, Any]]:
    """Each audited and evaluated round of a run. Raises UserError where there is none.

    "labels": kind -> share of right labels (None without any), "problems": kind -> how many labels; "change" of greedy pass@1.
    """
    found = []
    for folder in sorted(run.glob("round_*")):
        labels, after = labels_by_kind(folder), greedy_of(folder)
        started_from = read_json(folder / "metrics.json").get("started_from")
        if labels is None or after is None or started_from is None:  # the last is written once the round is over
            continue
        start = run / f"round_{started_from:02d}"
        before = greedy_of(start)
        if before is None:
            raise UserError("the checkpoint that this round started from has no greedy pass@1", str(start), "leave the run out")
        shares, problems = ({kind: part[i] for kind, part in labels.items()} for i in (0, 1))
        digest = hashlib.sha256((folder / VERDICTS.file).read_bytes() + (folder / "eval.json").read_bytes()).hexdigest()
        row = {"run": str(run), "round": int(folder.name.removeprefix("round_")), "change": after - before, "greedy": after}
        found.append({**row, "labels": shares, "problems": problems, "digest": digest})
    if not found:
        raise UserError("no audited round with greedy pass@1 lies here", str(run), "name a run of the bundled model, with audit: true")
    return found


def distinct(rounds: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rounds without copies of one: runs that differ in a later round only share the earlier ones."""
    found: dict[tuple[int, str], dict[str, Any]] = {}
    for row in rounds:
        found.setdefault((row["round"], row["digest"]), row)
    return list(found.values())


def centred(pair_N2: np.ndarray, numbers: Sequence[int]) -> np.ndarray:
    """Each pair less the mean of the pairs whose round has the same number; a number that is there once tells nothing, and is left out.

    >>> centred(np.array([[1.0, 2.0], [3.0, 4.0], [9.0, 9.0]]), [1, 1, 2]).tolist()
    [[-1.0, -1.0], [1.0, 1.0]]
    """
    number_N = np.array(numbers)
    groups = [pair_N2[number_N == n] for n in sorted(set(numbers))]
    return np.concatenate([np.empty((0, 2)), *(group_K2 - group_K2.mean(axis=0) for group_K2 in groups if len(group_K2) > 1)])


def relation(pair_N2: np.ndarray, seed: int = 0) -> dict[str, Any] | None:
    """Pearson's r of shares of right labels and changes (float[N, 2], in this order), and the slope of change on share; None with fewer
    than LEAST rounds, or without spread.

    Each with its 95 % bootstrap interval over rounds. Resamples without spread are left out.
    """
    if len(pair_N2) < LEAST or (pair_N2.std(axis=0) == 0).any():
        return None
    rng = np.random.default_rng(seed)
    drawn = (pair_N2[rng.integers(len(pair_N2), size=len(pair_N2))] for _ in range(RESAMPLES))
    low_high = np.quantile([_fit(pair) for pair in drawn if (pair.std(axis=0) > 0).all()], [0.025, 0.975], axis=0)
    r, slope = _fit(pair_N2)
    return {"rounds": len(pair_N2), "r": r, "r_ci": low_high[:, 0].tolist(), "slope": slope, "slope_ci": low_high[:, 1].tolist()}


def _fit(pair_N2: np.ndarray) -> tuple[float, float]:
    share_N, change_N = pair_N2.T
    r = float(np.corrcoef(share_N, change_N)[0, 1])
    return r, r * float(change_N.std() / share_N.std())


def main(argv: Sequence[str] | None = None) -> None:
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="python -m bench.ablate.label_gain", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path, help="run folders")
    parser.add_argument("--json", type=Path, default=RESULT, help="where the figures go (default bench/results/label_gain.json)")
    args = parser.parse_args(words)
    with error_screen():
        rounds = distinct([row for folder in args.folders for row in rounds_of(folder)])
    found = {}
    for kind in ("all", *KINDS):
        known = [row for row in rounds if row["labels"][kind] is not None]
        pair_N2 = np.array([(row["labels"][kind], row["change"]) for row in known], dtype=np.float64).reshape(-1, 2)
        found[kind] = {"all": relation(pair_N2), "same_number": relation(centred(pair_N2, [row["round"] for row in known]))}
    record = {"command": module_command("bench.ablate.label_gain", words), "commit": git_commit(), "versions": versions()}
    write_atomically(args.json, json.dumps({**record, "relations": found, "rounds": rounds}, indent=1) + "\n")
    print(table(["run", "round", "greedy, change in points", "labels right: all", *KINDS], [_cells(row) for row in rounds]))
    slope = "gain in points for 10 points of labels"
    header = ["labels of", "r, all rounds", slope, "r, rounds of one number", slope]
    print("\n" + table(header, [[kind, *_told(both["all"]), *_told(both["same_number"])] for kind, both in found.items()]))


def _cells(row: dict[str, Any]) -> list[str]:
    labels = [f"{percent(share)} ({row['problems'][kind]})" for kind, share in row["labels"].items()]
    return [row["run"], str(row["round"]), f"{100 * row['change']:+.1f}", *labels]


def _told(relation: dict[str, Any] | None) -> list[str]:
    if relation is None:
        return ["–", "–"]
    cells = []
    for key, factor in (("r", 1), ("slope", 10)):
        low, high = relation[f"{key}_ci"]
        cells.append(f"{number(relation[key] * factor, 2)} [{number(low * factor, 2)}, {number(high * factor, 2)}]")
    return cells


if __name__ == "__main__":
    main()
