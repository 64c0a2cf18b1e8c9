"""The options of `ucoder eval`, and the settings that they make."""

from __future__ import annotations

import argparse
import typing
from pathlib import Path

from pydantic import ValidationError

from rewards.sandbox.cli import add_package_options
from rewards.user_error import Options, bad_value
from rl.benchmarks.base import BENCHMARKS
from rl.config.evals import EvalsConfig
from rl.console import UserError
from rl.evals.answers_file import AnswersFile, read_answers
from rl.evals.engine_options import EPILOG, add_engine_options, template_args_from

STDOUT = Path("-")  # as --json OUT


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    names = ", ".join(BENCHMARKS)
    top = Options(
        prog="ucoder eval",
        description="Measure a model on benchmarks: pass@k with intervals, majority@k.",
        epilog=EPILOG,
    )
    top.add_argument("--model", help="`seedling` (bundled, the default), a checkpoint folder, a .gguf file, or a Hub id")
    top.add_argument("--benchmarks", help=f"names with commas between them, of: {names}; empty: none (default seedling)")
    top.add_argument("--samples", type=int, help="completions of each task (default 16)")
    top.add_argument("--temperature", type=float, help="0 is greedy: one sample a task (default 1)")
    top.add_argument("--top_p", type=float, default=1.0, help="nucleus mass (default 1)")
    top.add_argument("--max_new_tokens", type=int, default=512, help="tokens that a completion may take (default 512; evalplus: 768)")
    top.add_argument("--limit", type=int, help="only the first so many tasks of each benchmark; with --skills, so many proposals")
    top.add_argument("--seed", type=int, default=EvalsConfig().seed, help="sampling seed")
    top.add_argument(
        "--prompt",
        choices=typing.get_args(EvalsConfig.model_fields["prompt"].annotation),
        default=EvalsConfig().prompt,
        help="how HumanEval and MBPP are asked: as evalplus does, as Qwen's harness does, or plainly (default evalplus)",
    )
    top.add_argument(
        "--dtype",
        choices=typing.get_args(EvalsConfig.model_fields["dtype"].annotation),
        default=EvalsConfig().dtype,
        help="precision of the weights; auto: bfloat16 where the hardware has it; int8: on x86 CPUs (default float32)",
    )
    add_engine_options(top)
    top.add_argument(
        "--json",
        type=Path,
        metavar="OUT",
        help="write every figure, and each task's row, to this file; -: to stdout, and the tables to stderr; where a later benchmark "
        "fails, what is finished is written, and `unfinished` names the rest",
    )
    top.add_argument(
        "--skills",
        action=argparse.BooleanOptionalAction,
        help="print the card of the five skills too (default: for --model seedling on the whole of its own bench)",
    )
    top.add_argument(
        "--answers",
        type=Path,
        metavar="FILE",
        help="grade the answers in this file (of --samples_out) and load no model; --model says whose they are, and --temperature, "
        "--top_p, --max_new_tokens, --prompt, --dtype, --backend and --seed how they were drawn",
    )
    add_package_options(top)
    top.add_argument("--samples_out", type=Path, metavar="FILE", help="write every sample to this file: .jsonl or .jsonl.gz")
    top.add_argument("--prompts", metavar="SET", help="prompt set for --skills: a name or a folder (default: the model's own)")
    top.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="folder of finished results, keyed by model, data and settings; in --json, `sampling` of such a result says how it was drawn",
    )
    top.add_argument("--export", choices=("evalplus", "official"), help="write samples for the public tools")
    top.add_argument("--export_dir", type=Path, default=Path("samples"), metavar="DIR", help="where they go (default samples/)")
    return top


def fill_defaults(args: argparse.Namespace) -> AnswersFile | None:
    """Put defaults where nothing is given; returns the answers to be graded, if there are any. Raises UserError.

    What is said of answers that are already there has no defaults: a wrong word on how they were drawn would be believed.
    """
    if args.answers is None:
        args.model = "seedling" if args.model is None else args.model
        args.benchmarks = "seedling" if args.benchmarks is None else args.benchmarks
        return None
    for key, wanted in (("model", "whose answers they are"), ("temperature", "how they were drawn (0: greedily)")):
        if getattr(args, key) is None:
            raise UserError(f"--answers is given without --{key}", "command line", f"say with --{key} {wanted}")
    given = [f"--{key}" for key in ("url", "skills", "cache", "samples") if getattr(args, key)]
    if given:
        raise UserError(f"--answers loads no model and asks for nothing: {', '.join(given)} has no meaning", "command line", "drop it")
    answers = read_answers(args.answers, args.max_new_tokens)
    args.skills = False
    if args.benchmarks is None:
        args.benchmarks = ",".join(answers.answers)
    args.samples = answers.samples([name.strip() for name in args.benchmarks.split(",") if name.strip()])
    if args.temperature == 0 and args.samples > 1:
        said = f"the file has {args.samples} answers to each task, and greedy decoding gives one"
        raise UserError(said, "--temperature 0", "say how they were drawn with --temperature")
    return answers


def config_from(args: argparse.Namespace) -> EvalsConfig:
    """What is measured, and how. Raises UserError for a value out of range."""
    keys = ("samples", "temperature", "top_p", "max_new_tokens", "limit", "seed", "prompt", "dtype")
    values = {key: getattr(args, key) for key in keys if getattr(args, key) is not None} | {"chat_template_args": template_args_from(args)}
    try:
        return EvalsConfig(**values)
    except ValidationError as error:
        raise bad_value(error, "ucoder eval") from None
