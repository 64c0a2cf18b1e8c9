"""`ucoder compare`: what one evaluation gains over another, task by task.

    ucoder compare base.json final.json
    ucoder compare base.json final.json --benchmarks humaneval_plus,mbpp_plus --json gain.json
    ucoder compare base.json final.json --figure pass@16      # what the gain costs in breadth

Both files are written by `ucoder eval --json`. Gains are differences in points, of pass@1 unless another figure is named; their 95 %
intervals come from a bootstrap over tasks, each task's two figures kept together; where all tasks differ by the same, from a bound
(`rl.evals.passk.interval_of_equals`). Files with other tasks, another prompt, other decoding or other packages are refused: their
difference would not be the models'.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from rewards.text import json_fault
from rewards.user_error import Options
from rewards.user_files import check_writable
from rl.config.evals import EvalsConfig, normal_name
from rl.config.run_folder import write_atomically
from rl.console import UserError, make_console, warn
from rl.evals.metrics import interval_over_tasks
from rl.evals.passk import bootstrap_interval, interval_of_equals
from rl.evals.tables import cell, how_asked
from rl.tracking.monitor import clean

Record = Mapping[str, Any]  # what `ucoder eval --json` writes
POOLED = "pooled"
PASS_AT_1 = "pass@1"
ROUNDING = 1e-12  # between equal differences
SAME_CONFIG = ("prompt", "temperature", "top_p", "max_new_tokens", "dtype")
SAME_SAMPLING = ("backend", "dtype")
RECORD = {"model", "command", "config", "sampling", "benchmarks"}  # what a record has at least
SETTINGS = {"prompt", "temperature", "top_p", "samples", "bootstrap", "seed"}  # what its config has
MAJORITY = "majority_correct"  # beside the figures with an @, which are of so many samples, the one that is compared


def main(argv: Sequence[str]) -> int:
    """Run the command; returns its exit status. Raises UserError for files that cannot be compared."""
    top = Options(prog="ucoder compare", description="What one evaluation gains over another, with intervals.")
    top.add_argument("before", type=Path, metavar="A.json", help="written by ucoder eval --json")
    top.add_argument("after", type=Path, metavar="B.json", help="the one whose gain over A is asked for")
    top.add_argument("--benchmarks", help="names with commas between them (default: those of the files, which must have the same)")
    top.add_argument("--figure", default=PASS_AT_1, help="what is compared, such as pass@16 or majority@16 (default pass@1)")
    top.add_argument("--json", type=Path, metavar="OUT", help="write the gains to this file")
    args = top.parse_args(argv)
    before, after = read_record(args.before), read_record(args.after)
    names = [normal_name(n) for n in args.benchmarks.split(",") if n.strip()] if args.benchmarks is not None else None
    if args.json is not None:
        check_writable(args.json, "--json")
    found = gains(before, after, names, args.figure)
    console = make_console()
    console.print(_table(before, after, found, args.figure))
    if args.json is not None:
        files = {side: {"file": str(path), "model": r["model"], "command": r["command"]} for side, path, r in
                 (("before", args.before, before), ("after", args.after, after))}  # fmt: skip
        write_atomically(args.json, json.dumps(files | {"figure": args.figure, "gains": found}, indent=1, default=clean) + "\n")
        console.print(f"written to {args.json}", markup=False, soft_wrap=True)
    return 0


def read_record(path: Path) -> Record:
    """The record in a file. Raises UserError when it is not one of `ucoder eval --json`."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"the file cannot be read: {error.strerror}", str(path), "give a file of ucoder eval --json") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"the file is not JSON: {json_fault(error)}", str(path), "give a file of ucoder eval --json") from None
    if (fault := _fault(record)) is not None:
        raise UserError(f"this is no evaluation, or one of an older version: {fault}", str(path), "write it with: ucoder eval --json")
    return record


def _fault(record: Any) -> str | None:
    """What keeps a JSON value from being a record; None where nothing does."""
    if not isinstance(record, dict) or not record.keys() >= RECORD:
        return f"it has not all of {', '.join(sorted(RECORD))}"
    config, sampling, benchmarks = record["config"], record["sampling"], record["benchmarks"]
    if not isinstance(config, dict) or not config.keys() >= SETTINGS:
        return f"config has not all of {', '.join(sorted(SETTINGS))}"
    if not all(isinstance(config[key], int) for key in ("samples", "bootstrap", "seed")):
        return "samples, bootstrap and seed of config are not all whole numbers"
    if not all(isinstance(config[key], int | float) for key in ("temperature", "top_p")):
        return "temperature and top_p of config are not both numbers"
    if not isinstance(sampling, dict) or "dtype" not in sampling:
        return "sampling has no dtype"
    if not isinstance(benchmarks, dict) or not all(isinstance(found, dict) for found in benchmarks.values()):
        return "benchmarks is no object of objects"
    if not isinstance(packages := record.get("packages", []), list) or not all(isinstance(name, str) for name in packages):
        return "packages is no list of texts"
    return next((f"{name} {said}" for name, found in benchmarks.items() if (said := _benchmark_fault(found)) is not None), None)


def _benchmark_fault(found: Mapping[str, Any]) -> str | None:
    metrics, rows = found.get("metrics", found), found.get("tasks")
    if not isinstance(metrics, dict):
        return "has metrics that are no object"
    if "unavailable" in metrics:
        return None
    if "data_hash" not in found or not isinstance(rows, list):
        return "has no data_hash, or no list of tasks"
    if not all(isinstance(row, dict) and isinstance(row.get("id"), str) for row in rows):
        return "has a task without an id"
    if any(not isinstance(value, int | float) for row in rows for key, value in row.items() if comparable(key)):
        return "has a figure that is no number"
    return None


def comparable(key: str) -> bool:
    """Whether a key of a task's row is a share of right answers, and no id, count or length."""
    return "@" in key or key == MAJORITY


def gains(before: Record, after: Record, names: Sequence[str] | None = None, figure: str = PASS_AT_1) -> dict[str, dict[str, Any]]:
    """Gain of `after` over `before` by benchmark, and as `pooled` over the tasks of all where there are several that share none.

    names: benchmarks to compare (None: all of both), each counted once. figure: of a task's row in the files. Each gain has: tasks, before
    and after (means of the figure), gain and gain_ci (points), alike (all tasks differ by the same: gain_ci is a bound), better and worse
    (tasks), missing (tasks without the figure on either side, which are left out). Raises UserError for records that differ in more than
    the model, for a figure that neither has, and where no benchmark is left.
    """
    if not comparable(figure):
        raise UserError(f"{figure} is no share of right answers", "--figure", f"name one with an @, such as pass@16, or {MAJORITY}")
    ours, theirs = _scored(before), _scored(after)
    names = list(dict.fromkeys(names if names is not None else [*ours, *theirs]))
    if not names:
        raise UserError("no benchmark is left to compare", "benchmarks", "give evaluations with scored ones, and name some of them or none")
    if lacking := [name for name in names if name not in ours or name not in theirs]:
        said = f"not both files have figures of {', '.join(lacking)}"
        raise UserError(said, "benchmarks", "name what both have with --benchmarks, or evaluate both on the same")
    _check_settings(before, after)
    found: dict[str, dict[str, Any]] = {}
    pairs: dict[str, list[tuple[float, float]]] = {}
    missing, ids = {}, {}
    for name in names:
        a, b = ours[name], theirs[name]
        a_rows, b_rows = ({row["id"]: row for row in side["tasks"]} for side in (a, b))
        if a_rows.keys() != b_rows.keys() or a["data_hash"] != b["data_hash"]:
            raise UserError(f"the two were evaluated on other tasks of {name}", "data_hash", "evaluate both on the same data")
        both = [(a_rows[i], b_rows[i]) for i in a_rows if figure in a_rows[i] and figure in b_rows[i]]
        if not both:
            held = sorted({key for a_row in a_rows.values() for key in a_row if comparable(key)})
            remedy = f"name one of: {', '.join(held)}" if held else "evaluate again: all of its tasks are missing"
            raise UserError(f"no task of {name} has {figure} in both files", "--figure", remedy)
        pairs[name] = [(one[figure], two[figure]) for one, two in both]
        ids[name] = set(a_rows)
        missing[name] = len(a_rows) - len(both)
    config = before["config"]
    for name in names:
        found[name] = paired_gain(pairs[name], config["bootstrap"], config["seed"]) | {"missing": missing[name]}
    shared = [f"{one} and {two}" for one, two in itertools.combinations(names, 2) if ids[one] & ids[two]]
    if shared:  # the same tasks twice would pass for more evidence than there is
        warn(f"nothing is pooled, since these share tasks: {'; '.join(shared)}. Name others with --benchmarks")
    elif len(names) > 1:
        together = [pair for name in names for pair in pairs[name]]
        found[POOLED] = paired_gain(together, config["bootstrap"], config["seed"]) | {"missing": sum(missing.values())}
    return found


def paired_gain(pairs: Sequence[tuple[float, float]], resamples: int, seed: int) -> dict[str, Any]:
    """pairs: (before, after) of each task, both shares. Raises UserError when there are none."""
    if not pairs:
        raise UserError("no task has a figure in both files", "tasks", "evaluate again: all of them are missing")
    before_T, after_T = np.array(pairs, dtype=np.float64).T
    gain_T = after_T - before_T
    alike = bool(np.ptp(gain_T) < ROUNDING)
    low, high = interval_of_equals(float(gain_T[0]), len(pairs), -1.0, 1.0) if alike else bootstrap_interval(gain_T, resamples, seed)
    return {
        "tasks": len(pairs),
        "before": float(before_T.mean()),
        "after": float(after_T.mean()),
        "gain": 100 * float(gain_T.mean()),
        "gain_ci": [100 * low, 100 * high],
        "alike": alike,
        "better": int((after_T > before_T).sum()),
        "worse": int((after_T < before_T).sum()),
    }


def pooled(results: Mapping[str, Sequence[Mapping[str, Any]]], config: EvalsConfig) -> dict[str, Any] | None:
    """pass@1 over the tasks of several benchmarks together, each task counted once; None without one that has a figure.

    results: rows of the tasks by benchmark.
    """
    found: dict[str, Any] = {"benchmarks": list(results)}
    for key in ("pass@1", "pass@1_base"):
        values = [row[key] for rows in results.values() for row in rows if key in row]
        if values:
            found |= {"tasks": len(values), key: float(np.mean(values)), f"{key}_ci": list(interval_over_tasks(values, config))}
    return found if "pass@1" in found else None


def _scored(record: Record) -> dict[str, Any]:
    """The benchmarks that have figures, by the registry's names."""
    scored = {name: found for name, found in record["benchmarks"].items() if "unavailable" not in found.get("metrics", found)}
    return {normal_name(name): found for name, found in scored.items()}


def _check_settings(before: Record, after: Record) -> None:
    def settings(record: Record) -> dict[str, Any]:
        config = record["config"]
        kept = {key: config.get(key) for key in SAME_CONFIG}
        kept["samples"] = 1 if config["temperature"] == 0 else config["samples"]
        return kept | {f"sampling.{key}": record["sampling"].get(key) for key in SAME_SAMPLING}

    a, b = settings(before), settings(after)
    args = [record["config"].get("chat_template_args") for record in (before, after)]
    if all(args):
        a["chat_template_args"], b["chat_template_args"] = args
    elif any(args):  # another model's template may know none
        warn(f"chat_template_args: {args[0]} in A, {args[1]} in B")
    offered = [set(record.get("packages") or ()) for record in (before, after)]
    if offered[0] != offered[1]:
        said = [", ".join(sorted(one - other)) or "none of these" for one, other in (offered, offered[::-1])]
        if all("packages" in record for record in (before, after)):
            a["packages"], b["packages"] = said
        else:  # older evaluations do not say
            warn(f"packages: {said[0]} in A, {said[1]} in B; one of the files does not say which were offered")
    if differing := [f"{key}: {a[key]} in A, {b[key]} in B" for key in a if a[key] != b[key]]:
        raise UserError("the two were evaluated otherwise\n" + "\n".join(differing), "config", "evaluate both with the same settings")


def _table(before: Record, after: Record, found: Mapping[str, Mapping[str, Any]], figure: str) -> Table:
    how = how_asked(before["config"], before["sampling"]["dtype"], list(found))
    table = Table(
        title=f"{figure} of {after['model']} (B) against {before['model']} (A): {how}", title_justify="left", caption_justify="left"
    )
    if alike := [name for name, gain in found.items() if gain["alike"]]:
        table.caption = f"{', '.join(alike)}: all tasks differ by the same; the interval is a bound from their number alone"
    for column in ("", "tasks", "A", "B", "gain, points", "better / worse", "no program, A → B", "tokens, A → B"):
        table.add_column(column, justify="right" if column else "left")
    for name, gain in found.items():
        a, b = (scored.get(name, {}).get("metrics", {}) for scored in (_scored(before), _scored(after)))
        low, high = gain["gain_ci"]
        table.add_row(
            name,
            f"{gain['tasks']}" + (f" ({gain['missing']} missing)" if gain["missing"] else ""),
            f"{100 * gain['before']:.1f} %",
            f"{100 * gain['after']:.1f} %",
            f"{gain['gain']:+.1f} [{low:+.1f}, {high:+.1f}]",
            f"{gain['better']} / {gain['worse']}",
            f"{cell(a, 'no_program', True)} → {cell(b, 'no_program', True)}",
            f"{cell(a, 'mean_length', False)} → {cell(b, 'mean_length', False)}",
        )
    return table


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
