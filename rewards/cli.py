"""`ucoder judge FILE.jsonl --entry NAME --inputs FILE.json`: cluster and rank a file of candidate solutions, without any expected output.

FILE.jsonl: one JSON object a line with "code" (and "logprob", a mean token logprob in nats, which breaks ties).
FILE.json: a JSON list with one entry an input: a list of positional arguments, or a text with a Python literal of such a list.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from rewards.consensus import ConsensusConfig
from rewards.inputs import InputsConfig
from rewards.judging import Verdict, judge
from rewards.literals import parse_assert, parse_input
from rewards.records import Outcome
from rewards.sandbox import Sandbox, SandboxConfig, SandboxError

EXIT_USER_ERROR = 2
SHOWN_OUTCOMES = 3  # outcomes printed of each cluster's representative


class JudgeInputError(ValueError):
    """A file or option that cannot be used; says what, where, and what to do."""

    def __init__(self, what: str, where: str, remedy: str) -> None:
        super().__init__(what)
        self.what, self.where, self.remedy = what, where, remedy


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise JudgeInputError("there is no such file", str(path), "give the path of an existing file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise JudgeInputError(f"the file cannot be read: {error}", str(path), "give a readable UTF-8 text file") from None


def read_candidates(path: Path) -> tuple[list[str], list[float] | None]:
    """Codes, and mean logprobs if every line has one. Raises JudgeInputError with the line's number."""
    codes, logprobs = [], []
    for number, line in enumerate(_read(path).splitlines(), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise JudgeInputError(f"not JSON: {error.msg}", where, 'one object a line: {"code": "def f(x): ..."}') from None
        if not isinstance(row, dict) or not isinstance(row.get("code"), str):
            raise JudgeInputError('no text under "code"', where, 'one object a line: {"code": "def f(x): ..."}')
        codes.append(row["code"])
        logprob = row.get("logprob")
        if logprob is not None and (isinstance(logprob, bool) or not isinstance(logprob, int | float) or math.isnan(logprob)):
            raise JudgeInputError(f'"logprob" must be a number, not {logprob!r}', where, "give nats per token, or leave it out")
        if logprob is not None:
            logprobs.append(float(logprob))
    if not codes:
        raise JudgeInputError("the file holds no candidates", str(path), 'one object a line: {"code": "def f(x): ..."}')
    if logprobs and len(logprobs) != len(codes):
        raise JudgeInputError(
            f'only {len(logprobs)} of {len(codes)} candidates have a "logprob"', str(path), "give all of them one, or none"
        )
    return codes, logprobs or None


def read_list(path: Path, what: str) -> list[Any]:
    """A JSON list that is not empty."""
    try:
        rows = json.loads(_read(path))
    except json.JSONDecodeError as error:
        raise JudgeInputError(f"not JSON: {error.msg}", f"{path}, line {error.lineno}", f"a JSON list of {what}") from None
    if not isinstance(rows, list) or not rows:
        raise JudgeInputError(f"not a list of {what}" if rows else f"no {what} in it", str(path), f"a JSON list of {what}")
    return rows


def read_inputs(path: Path) -> list[str]:
    """Inputs as Python literals, each a list of positional arguments."""
    inputs = []
    for number, row in enumerate(read_list(path, "inputs"), 1):
        literal = parse_input(row if isinstance(row, str) else repr(row))
        if literal is None:
            raise JudgeInputError(
                f"{json.dumps(row)[:80]} is no list of arguments", f"{path}, input {number}", "write [[1, 2], 3] for the call f([1, 2], 3)"
            )
        inputs.append(literal)
    return inputs


def read_asserts(path: Path, entry: str) -> tuple[list[str], list[Outcome | None]]:
    """Inputs and expected outcomes of the asserts that can be read."""
    found = [parse_assert(text, entry) if isinstance(text, str) else None for text in read_list(path, "asserts")]
    readable = [pair for pair in found if pair is not None]
    if not readable:
        raise JudgeInputError(f"none of the asserts is about {entry}", str(path), f'write texts such as "assert {entry}(1) == 2"')
    return [literal for literal, _ in readable], [outcome for _, outcome in readable]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ucoder judge", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="candidates, JSON lines")
    parser.add_argument("--entry", required=True, help="name of the function that the candidates define")
    parser.add_argument("--inputs", type=Path, required=True, help="inputs, a JSON list")
    parser.add_argument("--asserts", type=Path, help="model-written asserts, a JSON list of texts (rules codet and passfail)")
    defaults = ConsensusConfig()
    parser.add_argument("--rule", default=defaults.rule, help=f"hard, soft, sharp, codet, passfail (default {defaults.rule})")
    parser.add_argument("--rho", type=float, default=defaults.rho, help=f"least share of inputs that give a value (default {defaults.rho})")
    parser.add_argument("--tau", type=int, default=defaults.tau, help=f"least number of samples of a winner (default {defaults.tau})")
    parser.add_argument("--keep", type=int, default=100, help="inputs kept, the most telling ones (default 100)")
    parser.add_argument("--error", type=float, default=0.05, help="total error that theorem 2.4 is asked about (default 0.05)")
    parser.add_argument("--mutants", type=int, default=20, help="mutants of the winner that the inputs are measured with (default 20)")
    parser.add_argument("--seconds", type=float, default=1.0, help="seconds a call may take (default 1)")
    parser.add_argument("--show", type=int, default=10, help="clusters and candidates printed (default 10)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    return parser


def as_json(verdict: Verdict, inputs: Sequence[str]) -> dict[str, Any]:
    """The verdict as plain data; NaN becomes null."""

    def plain(value: Any) -> Any:
        return None if isinstance(value, float) and math.isnan(value) else value

    c, matrix = verdict.clustering, verdict.matrix
    first_of_row = {int(row): i for i, row in reversed(list(enumerate(verdict.row_of)))}
    clusters = [
        {
            "share": float(c.shares[k]),
            "samples": int(c.counts[k]),
            "winner": k == c.top,
            "degenerate": bool(c.degenerate[k]),
            "representative": first_of_row[int(c.representatives[k])],
            "outcomes": [matrix.legend[code] if code >= 0 else "error" for code in matrix.codes[c.representatives[k]]],
        }
        for k in range(c.n_clusters)
    ]
    ranking = [
        {
            "candidate": int(i),
            "score": plain(float(verdict.scores[i])),
            "cluster": int(c.labels[verdict.row_of[i]]),
            "value_share": float(matrix.value_share[verdict.row_of[i]]),
        }
        for i in verdict.order
    ]
    return {
        "candidates": len(verdict.row_of),
        "distinct_programs": matrix.n_programs,
        "valid": c.n_valid,
        "missing": c.n_missing,
        "top_share": c.top_share,
        "margin": c.margin,
        "entropy": c.entropy,
        "inputs": [inputs[j] for j in verdict.kept_inputs],
        "input_quality": asdict(verdict.quality),
        "theorem": {k: plain(v) for k, v in asdict(verdict.bound).items()} | {"vacuous": verdict.bound.vacuous},
        "clusters": clusters,
        "ranking": ranking,
    }


def print_tables(report: dict[str, Any], verdict: Verdict, show: int, console: Console) -> None:
    """The report for a person."""

    def cut(text: str, width: int) -> str:
        return text if len(text) <= width else text[: width - 1] + "…"

    r, quality = report, report["input_quality"]
    console.print(
        f"{r['candidates']} candidates, {r['distinct_programs']} distinct programs, {r['valid']} valid, {r['missing']} missing; "
        f"{len(r['inputs'])} inputs"
    )
    clusters = Table(title=f"Clusters (entropy {r['entropy']:.2f} nats, margin {r['margin']:+.2f})", title_justify="left")
    for name in ("cluster", "share", "samples", "like", f"outcomes on the {SHOWN_OUTCOMES} most telling inputs", "note"):
        clusters.add_column(name, justify="left" if name.startswith(("outcomes", "note")) else "right")
    for k, row in enumerate(r["clusters"][:show]):
        note = " ".join(["winner"] * row["winner"] + ["constant or echo"] * row["degenerate"])
        outcomes = "  ".join(cut(text, 24) for text in row["outcomes"][:SHOWN_OUTCOMES])
        clusters.add_row(str(k), f"{100 * row['share']:.1f} %", str(row["samples"]), f"#{row['representative']}", outcomes, note)
    console.print(clusters, markup=False)
    if len(r["clusters"]) > show:
        console.print(f"… and {len(r['clusters']) - show} more clusters")
    if verdict.clustering.top < 0:
        console.print("No cluster wins: none is large enough, or only constant and echoing programs are.")
    ranking = Table(title="Candidates, the best first", title_justify="left")
    for name in ("candidate", "score", "cluster", "values"):
        ranking.add_column(name, justify="right")
    for row in r["ranking"][:show]:
        score = "missing" if row["score"] is None else f"{row['score']:.3f}"
        label = str(row["cluster"]) if row["cluster"] >= 0 else "–"
        ranking.add_row(f"#{row['candidate']}", score, label, f"{100 * row['value_share']:.0f} %")
    console.print(ranking)
    killed = "–" if quality["mutants_killed"] is None else f"{100 * quality['mutants_killed']:.0f} %"
    console.print(
        f"Inputs: rank {quality['rank']}, {quality['n_behaviours']} behaviours told apart, mutants killed {killed}, "
        f"errors {100 * quality['error_share']:.0f} %, nearly everything errs on {100 * quality['dead_share']:.0f} % of them"
    )
    console.print(verdict.bound.sentence())


def run(args: argparse.Namespace) -> int:
    """Do what the parsed arguments ask. Raises JudgeInputError."""
    try:
        consensus = ConsensusConfig(rule=args.rule, rho=args.rho, tau=args.tau)
        selection = InputsConfig(keep=args.keep)
        sandbox = SandboxConfig(seconds_per_input=args.seconds, seconds_per_program=max(10.0, args.seconds))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "options"
        raise JudgeInputError(f"{name}: {first['msg']}", "command line", "see ucoder judge --help") from None
    if not 0 < args.error < 1 or args.mutants < 0 or args.show < 1:
        raise JudgeInputError("--error must lie between 0 and 1, --mutants be at least 0, --show at least 1", "command line", "see --help")
    if not args.entry.isidentifier():
        raise JudgeInputError(f"{args.entry!r} is no name of a function", "command line, --entry", "give the name without parentheses")
    if consensus.needs_expected_outputs and args.asserts is None:
        raise JudgeInputError(
            f"the rule {args.rule} compares with asserts", "command line", "give --asserts FILE.json, or --rule hard or soft"
        )
    codes, logprobs = read_candidates(args.file)
    inputs: list[str] = read_inputs(args.inputs)
    expected: list[Outcome | None] = [None] * len(inputs)
    if args.asserts is not None:
        more, outcomes = read_asserts(args.asserts, args.entry)
        inputs, expected = inputs + more, expected + outcomes
    with Sandbox(sandbox) as executor:
        verdict = judge(
            codes,
            args.entry,
            inputs,
            executor,
            consensus,
            selection,
            expected=expected,
            logprobs=logprobs,
            n_mutants=args.mutants,
            error=args.error,
        )
    report = as_json(verdict, inputs)
    if args.json:
        print(json.dumps(report, ensure_ascii=False, allow_nan=False))
    else:
        print_tables(report, verdict, args.show, Console(width=None if sys.stdout.isatty() else 140, highlight=False))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status, 2 for anything that the user has to put right."""
    try:
        return run(_parser().parse_args(argv))
    except JudgeInputError as error:
        print(f"ucoder judge cannot start\nwhat   {error.what}\nwhere  {error.where}\ndo     {error.remedy}", file=sys.stderr)
    except SandboxError as error:
        print(f"ucoder judge cannot start\nwhat   {error}\nwhere  sandbox", file=sys.stderr)
    return EXIT_USER_ERROR


if __name__ == "__main__":
    raise SystemExit(main())
