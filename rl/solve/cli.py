"""`ucoder solve`: a program for a statement, chosen by execution consensus among a model's own candidates.

    ucoder solve PROBLEM.md --model Qwen/Qwen2.5-Coder-7B-Instruct --samples 32
    ucoder solve - --model MODEL --signature 'def f(xs: list[int]) -> int:' --json - < statement.txt
    ucoder solve PROBLEM.md --model NAME --url http://localhost:8000/v1 --out solution.py --interactive
    ucoder solve PROBLEM.md --model MODEL --io stdin --out program.py

Exit status: 0 with a program, 1 when no candidate has a vote, 2 for what the user has to put right. docs/solve.md has an example.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
import typing
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console

from probing.memory import keep_freed_memory
from probing.stages.config import ProblemsConfig, SolutionsConfig, SuitesConfig
from rewards.sandbox import Sandbox, SandboxConfig
from rewards.sandbox.cli import add_package_options, package_settings
from rewards.user_error import Options, bad_value
from rewards.user_files import check_writable
from rl.config.evals import EvalsConfig
from rl.config.run_folder import versions, write_atomically
from rl.console import UserError, make_console, stage
from rl.evals.engine import check_engine, engine_errors, in_precision
from rl.evals.engine_options import EPILOG, add_engine_options, sampling_from, template_args_from
from rl.models.source import resolve_model
from rl.solve.dialogue import talk
from rl.solve.report import Solved, as_record, print_no_vote, print_program, print_trust
from rl.solve.serving import as_served
from rl.solve.solving import SolveSettings, solve
from rl.solve.statement import STDIN, Statement, read_program_statement, read_statement, read_text

EXIT_NO_VOTE = 1
STDOUT = Path("-")


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    defaults, top = (
        SolveSettings(),
        Options(
            prog="ucoder solve",
            description="Write a program for a statement: sample candidates, run them on inputs that the model wrote, and vote.",
            epilog=EPILOG,
        ),
    )
    top.add_argument("problem", metavar="PROBLEM.md", help="the statement, a text or Markdown file; - for standard input")
    top.add_argument("--model", required=True, help="a checkpoint folder, a .gguf file, a Hub id, or `seedling` (bundled)")
    top.add_argument("--signature", help="'def f(xs: list[int]) -> int:' (default: the statement's own, else one that the model writes)")
    top.add_argument(
        "--io",
        choices=typing.get_args(ProblemsConfig.model_fields["io"].annotation),
        default="function",
        help="what the solution is: a function, or a program that reads standard input and prints (default function)",
    )
    top.add_argument("--samples", type=int, default=defaults.solutions.samples, help="candidates (default %(default)s)")
    top.add_argument("--temperature", type=float, default=defaults.solutions.temperature, help="of candidates (default %(default)s)")
    top.add_argument("--top_p", type=float, default=1.0, help="nucleus mass (default 1)")
    top.add_argument("--max_new_tokens", type=int, default=512, help="tokens that a candidate may take (default 512)")
    top.add_argument("--inputs", type=int, default=defaults.suites.inputs, help="test inputs kept (default %(default)s)")
    top.add_argument("--seed", type=int, default=0, help="sampling seed (default 0)")
    top.add_argument(
        "--examples",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="rule out candidates that contradict an example of the statement (default: yes)",
    )
    top.add_argument("--interactive", action="store_true", help="ask me about inputs on which the largest clusters differ")
    top.add_argument("--prompts", metavar="SET", help="prompt set: a name or a folder (default: the model's own)")
    top.add_argument(
        "--dtype",
        choices=typing.get_args(EvalsConfig.model_fields["dtype"].annotation),
        help="precision of the weights (default: bfloat16 on GPUs that have it, 8-bit weights on x86 CPUs where those are faster)",
    )
    add_engine_options(top)
    add_package_options(top)
    top.add_argument("--show", type=int, default=5, help="inputs shown on which candidates disagree (default 5)")
    top.add_argument("--out", type=Path, metavar="FILE.py", help="write the program to this file")
    top.add_argument(
        "--json",
        type=Path,
        nargs="?",
        const=STDOUT,
        metavar="OUT",
        help="write everything as one JSON object to this file; with - (or nothing) to stdout, the report then to stderr",
    )
    return top


def main(argv: Sequence[str]) -> int:
    """Run the command; returns its exit status. Raises UserError for what the user has to put right."""
    keep_freed_memory()
    args, others = parser().parse_known_args(argv)
    started = time.monotonic()
    settings = settings_from(args)
    if args.interactive and args.problem == STDIN:
        raise UserError("the statement and the answers cannot both come from standard input", "--interactive", "give a file")
    if args.io == "stdin" and args.signature is not None:
        raise UserError("a program that reads standard input has no signature", "--signature", "leave out --signature, or --io stdin")
    text = read_text(args.problem)
    statement = read_program_statement(text) if args.io == "stdin" else read_statement(text, args.signature)
    for option, path in (("--out", args.out), ("--json", args.json)):
        if path not in (None, STDOUT):
            check_writable(path, option)
    console = make_console(stderr=args.json == STDOUT)
    solved = _solve(args, others, statement, settings, console)
    if solved.code is not None and args.out is not None:
        write_atomically(args.out, solved.code.rstrip() + "\n")
    _print(solved, args, console)
    if args.json is not None:
        record = {
            "model": args.model,
            "command": shlex.join(["ucoder", "solve", *argv]),
            "seed": settings.seed,
            "temperature": settings.solutions.temperature,
            "seconds": round(time.monotonic() - started, 1),
            "versions": versions(),
            **as_record(solved),
        }
        text = json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"
        if args.json == STDOUT:
            sys.stdout.write(text)
        else:
            write_atomically(args.json, text)
    return 0 if solved.code is not None else EXIT_NO_VOTE


def settings_from(args: argparse.Namespace) -> SolveSettings:
    """What is sampled. Raises UserError for a value out of range."""
    try:
        solutions = SolutionsConfig(
            samples=args.samples, temperature=args.temperature, top_p=args.top_p, max_new_tokens=args.max_new_tokens
        )
        suites = SuitesConfig(inputs=args.inputs, pool=max(2 * args.inputs, 1))
    except ValidationError as error:
        raise bad_value(error, "ucoder solve") from None
    if args.show < 0:
        raise UserError(f"--show {args.show}: a number of lines", "command line", "give 0 or more")
    return SolveSettings(solutions, suites, seed=args.seed, examples=args.examples)


def _solve(args: argparse.Namespace, others: Sequence[str], statement: Statement, settings: SolveSettings, console: Console) -> Solved:
    sampling = sampling_from(args, others, "solve", parity_prompts=0)  # what the weights answer, their execution judges
    template_args, offered = template_args_from(args), package_settings(args)
    sampling = sampling if args.dtype is None else in_precision(args.dtype, sampling)
    path = resolve_model(args.model)
    check_engine(sampling, path)
    sampling = as_served(sampling, path)

    from probing.models.loading import load_tokenizer
    from probing.prompts.asking import Asker
    from probing.samplers.engines.factory import open_sampler
    from rl.config.chat_check import check_skills, check_template_args

    bar = partial(stage, console=make_console(stderr=True, quiet=not sys.stderr.isatty()))
    with engine_errors(args.model, "shorten the statement, lower --max_new_tokens, or take a model with a longer context"):
        tokenizer = load_tokenizer(path)
        check_template_args(tokenizer, template_args or {}, "--chat_template_args")
        ask = Asker.of(tokenizer, args.prompts, template_args)
        if statement.reads_stdin:
            check_skills(ask.prompts, ("tests_stdin", "solve_stdin"), "--io stdin")
        with closing(open_sampler(sampling, path)) as sampler, Sandbox(SandboxConfig(**offered)) as sandbox:
            return solve(
                sampler,
                ask,
                sandbox,
                statement,
                settings,
                bar,
                partial(talk, console=console, ask=partial(_input, console)) if args.interactive else None,
            )


def _input(console: Console, prompt: str) -> str:
    return console.input(prompt, markup=False)


def _print(solved: Solved, args: argparse.Namespace, console: Console) -> None:
    """The program and the report; where there is no program, why."""
    if solved.code is None:
        why = "your answers rule out every candidate that was left" if solved.ruled_out_all else "no candidate has a vote"
        console.print(f"No vote: {why} ({len(solved.candidates)} sampled). There is no program to show.", markup=False, highlight=False)
        print_no_vote(as_record(solved), console)
        return
    print_program(solved.code, console)
    console.print()
    print_trust(solved, args.show, console)
    if args.out is not None:
        console.print(f"written to {args.out}", markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
