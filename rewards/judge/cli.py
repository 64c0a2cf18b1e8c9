"""`ucoder judge FILE.jsonl --entry NAME --inputs FILE.json`: cluster and rank a file of candidate solutions, without any expected output.

FILE.jsonl: one JSON object a line with "code", a program or a model's answer that holds one (and "logprob", a mean token logprob in nats,
which breaks ties).
FILE.json: a JSON list with one entry an input: a list of positional arguments, or a text with a Python literal of such a list. With
`--io stdin` (and no --entry) candidates are programs, and each entry is a text for their standard input.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console

from probing.records import STDIN
from rewards.clusters.inputs import InputsConfig
from rewards.judge.determinism import Steady
from rewards.judge.files import read_asserts, read_candidates
from rewards.judge.ranking import rank
from rewards.judge.report import as_json, print_tables
from rewards.records import Outcome
from rewards.rules.consensus import ConsensusConfig
from rewards.sandbox import Sandbox, SandboxConfig
from rewards.sandbox.cli import add_package_options, check_entry, package_settings, sandbox_errors
from rewards.text import argument_text, whole_file
from rewards.user_error import COMMAND_LINE, Options, UserError, bad_value
from rewards.user_files import check_writable, read_inputs, read_text, read_texts

STDOUT = Path("-")


def _parser() -> Options:
    parser = Options(prog="ucoder judge", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, metavar="FILE", help="candidates, JSON lines")
    parser.add_argument("--entry", type=argument_text, help="name of the function that the candidates define")
    parser.add_argument(
        "--io", choices=("function", "stdin"), default="function", help="stdin: candidates are programs that read standard input and print"
    )
    parser.add_argument("--inputs", type=Path, required=True, help="inputs, a JSON list")
    parser.add_argument("--given", type=Path, help="code that the prompt gave, such as imports: put in front where a candidate needs it")
    parser.add_argument("--asserts", type=Path, help="model-written asserts, a JSON list of texts (rules codet and passfail)")
    defaults = ConsensusConfig()
    parser.add_argument("--rule", default=defaults.rule, help=f"hard, soft, sharp, codet, passfail (default {defaults.rule})")
    parser.add_argument("--rho", type=float, default=defaults.rho, help=f"least share of inputs that give a value (default {defaults.rho})")
    parser.add_argument("--tau", type=int, default=defaults.tau, help=f"least number of samples of a winner (default {defaults.tau})")
    parser.add_argument("--keep", type=int, default=100, help="inputs kept, the most telling ones (default 100)")
    parser.add_argument("--recheck", default=defaults.recheck, help="which programs run twice: never, suspects, always (default suspects)")
    parser.add_argument("--error", type=float, default=0.05, help="chance of error that the bounds are asked about (default 0.05)")
    parser.add_argument("--mutants", type=int, default=20, help="mutants of the winner that the inputs are measured with (default 20)")
    parser.add_argument("--seconds", type=float, default=1.0, help="seconds a call may take (default 1)")
    add_package_options(parser)
    parser.add_argument("--show", type=int, default=10, help="clusters and candidates printed (default 10)")
    parser.add_argument(
        "--json",
        type=Path,
        nargs="?",
        const=STDOUT,
        metavar="OUT",
        help="write everything as one JSON object to this file; with - (or nothing) to stdout, the tables then to stderr",
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Do what the parsed arguments ask. Raises UserError."""
    try:
        consensus = ConsensusConfig(rule=args.rule, rho=args.rho, tau=args.tau, recheck=args.recheck)
        selection = InputsConfig(keep=args.keep)
        offered = package_settings(args)
        sandbox = SandboxConfig(seconds_per_input=args.seconds, seconds_per_program=max(10.0, args.seconds), **offered)
    except ValidationError as error:
        raise bad_value(error, "ucoder judge", {"seconds_per_input": "--seconds"}) from None
    if not 0 < args.error < 1 or args.mutants < 0 or args.show < 1:
        raise UserError(
            "--error must lie between 0 and 1, --mutants be at least 0, --show at least 1", COMMAND_LINE, "see ucoder judge --help"
        )
    entry = _entry(args)
    if entry != STDIN:
        check_entry(entry)
    if consensus.needs_expected_outputs and args.asserts is None:
        raise UserError(f"the rule {args.rule} compares with asserts", COMMAND_LINE, "give --asserts FILE.json, or --rule hard or soft")
    if args.json not in (None, STDOUT):
        check_writable(args.json, "--json")
    codes, logprobs = read_candidates(args.file)
    inputs: list[str] = read_texts(args.inputs) if entry == STDIN else read_inputs(args.inputs)
    given = "" if args.given is None else read_text(args.given)
    expected: list[Outcome | None] = [None] * len(inputs)
    if args.asserts is not None:
        more, outcomes = read_asserts(args.asserts, entry)
        inputs, expected = inputs + more, expected + outcomes
    with sandbox_errors(), Sandbox(sandbox) as box, closing(Steady(box, consensus.recheck)) as executor:
        ranking = rank(
            codes,
            entry,
            inputs,
            executor,
            consensus,
            selection,
            given=given,
            expected=expected,
            logprobs=logprobs,
            n_mutants=args.mutants,
            error=args.error,
        )
    report = as_json(ranking)
    tables = sys.stderr if args.json == STDOUT else sys.stdout
    print_tables(report, ranking, args.show, Console(file=tables, width=None if tables.isatty() else 140, highlight=False))
    if args.json is not None:
        text = json.dumps(report, ensure_ascii=False, allow_nan=False) + "\n"
        if args.json == STDOUT:
            sys.stdout.write(text)
        else:
            with whole_file(args.json) as part:
                part.write_text(text, encoding="utf-8", errors="backslashreplace")
    return 0


def _entry(args: argparse.Namespace) -> str:
    """The function's name, or STDIN. Raises UserError for options that do not go together."""
    if args.io == "stdin":
        given = [f"--{name}" for name in ("entry", "asserts", "given") if getattr(args, name) is not None]
        if given:
            said = f"{' and '.join(given)} {'is' if len(given) == 1 else 'are'} about functions, but --io is stdin"
            raise UserError(said, COMMAND_LINE, f"leave {' and '.join(given)} out")
        return STDIN
    if args.entry is None:
        remedy = "give the name of the function that is called, or --io stdin for programs that read standard input"
        raise UserError("--entry is missing", COMMAND_LINE, remedy)
    return str(args.entry)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status. Raises UserError for anything that the user has to put right."""
    return run(_parser().parse_args(argv))
