"""`ucoder plan`: what a config would cost, printed, and held against a finished run.

ucoder plan configs/qwen2.5-coder-7b.yaml --gpu h200 --num 8
ucoder plan configs/seedling.yaml --like runs/seedling --check runs/seedling
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from rewards.user_error import Options
from rl.config.schema import Config, config_from_argv
from rl.console import UserError, duration, make_console
from rl.planning.costs import DEVICES, LAUNCHES
from rl.planning.measured_shares import finished_rounds, shares_of, spent_by_stage
from rl.planning.model_size import read_model_size
from rl.planning.plan import Plan, StageCost, make_plan

WITHIN = 0.25  # of measured samples and tokens, for a plan that holds


def size_text(count: float) -> str:
    """Bytes for people.

    >>> size_text(3.2e9)
    '3.2 GB'
    """
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            return f"{count:,.0f} {unit}" if count >= 100 or unit == "B" else f"{count:,.1f} {unit}"
        count /= 1000
    raise AssertionError("unreachable")


def print_plan(plan: Plan, config: Config) -> None:
    """The plan as a table of stages, then memory, disk and what the figures rest on."""
    console = make_console()
    table = Table(title=f"One round of {plan.rounds}", title_justify="left")
    for title in ("stage", "samples", "tokens", "executions", "time", "device hours"):
        table.add_column(title, justify="left" if title == "stage" else "right")
    total = [sum(getattr(s, key) for s in plan.stages) for key in ("samples", "tokens", "executions", "hours")]
    for s in [*plan.stages, StageCost("a round", *total)]:
        counts = (f"{value:,.0f}" for value in (s.samples, s.tokens, s.executions))
        hours = f"{s.hours * plan.devices:,.2f}"
        table.add_row(s.name, *counts, duration(s.hours * 3600), hours, style="bold" if s.name == "a round" else "")
    console.print(table)
    free = shutil.disk_usage(_existing_parent(Path(config.run_dir))).free
    for label, text in (
        (
            "whole run",
            f"{duration(plan.hours * 3600)}, {plan.hours * plan.devices:,.1f} device hours ({plan.rounds} rounds and a first evaluation)",
        ),
        ("memory", f"{size_text(plan.sampling_memory)} sampling, {size_text(plan.training_memory)} training, on each device"),
        ("disk", f"{size_text(plan.disk)} in {config.run_dir} ({size_text(free)} free)"),
    ):
        console.print(f"{label:<12} {text}", highlight=False, soft_wrap=True, markup=False)
    if max(plan.sampling_memory, plan.training_memory) > plan.device_memory:
        remedy = "more devices, --launch zero3, a smaller micro_batch or batch_size, gradient_checkpointing, or lora"
        remedy += ", or reward.w_quality: 0" if config.reward.w_quality else ""
        console.print(f"that is more than the {size_text(plan.device_memory)} of a device: {remedy}", style="red", soft_wrap=True)
    if plan.disk > free:
        console.print("the disk is too small: choose another --run_dir, or lower solutions.samples or problems.count", style="red")
    console.print("\nAssumed, not measured:", highlight=False)
    for line in plan.assumptions:
        console.print(f"  {line}", highlight=False, soft_wrap=True, markup=False)


def _existing_parent(path: Path) -> Path:
    path = path.expanduser().resolve()
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def check(plan: Plan, run: Path) -> bool:
    """Print the plan's samples and tokens beside those of a run's finished rounds, and say whether all lie within a quarter.

    Raises UserError where no round is finished, or the run did not log them.
    """
    finished = finished_rounds(run)
    spent = spent_by_stage(run, finished)
    rounds = len([number for number in finished if number > 0])
    if not rounds:
        raise UserError("no round of it is finished, so there is nothing to check against", str(run), "wait until round 1 is evaluated")
    if not spent:
        raise UserError("the run's log says nothing of what its stages asked for", str(run), "give the folder of a run of this version")
    table = Table(title=f"Planned and measured, {rounds} rounds of {run}", title_justify="left")
    for title in ("stage", "samples planned", "measured", "tokens planned", "measured", "off"):
        table.add_column(title, justify="left" if title == "stage" else "right")
    worst = 0.0
    for stage in plan.stages:
        if stage.name in spent:
            times = len(finished) if stage.name == "eval" else rounds  # the base is evaluated, too
            samples, tokens = spent[stage.name]
            off = max(_deviation(stage.samples * times, samples), _deviation(stage.tokens * times, tokens))
            worst = max(worst, off)
            cells = (f"{value:,.0f}" for value in (stage.samples * times, samples, stage.tokens * times, tokens))
            table.add_row(stage.name, *cells, f"{off:.0%}")
    make_console().print(table)
    return worst <= WITHIN


def _deviation(planned: float, measured: float) -> float:
    """As a share of what was measured."""
    if measured == 0:
        return 0.0 if planned == 0 else math.inf
    return abs(planned / measured - 1)


def main(argv: Sequence[str]) -> int:
    """Run the command; returns its exit status. Raises UserError for what the user has to put right."""
    parser = Options(
        usage="ucoder plan [CONFIG] [options] [--KEY VALUE ...]",
        description="What a config would cost, without running it.",
        epilog="CONFIG is a YAML file (left out: configs/seedling.yaml); overrides look like --rounds 1 --grpo.learning_rate 1e-5",
        allow_abbrev=False,
    )
    parser.add_argument("--gpu", "--device", dest="device", choices=sorted(DEVICES), help="kind of machine (default: what is found here)")
    parser.add_argument("--num", "--devices", dest="devices", type=int, default=1, help="number of GPUs")
    parser.add_argument("--launch", choices=LAUNCHES, help="how training is spread over devices (default: by number and size)")
    parser.add_argument("--tokens-per-second", type=float, help="measured sampling speed over all devices")
    parser.add_argument("--parameters", type=float, help="number of parameters, where the model is not available: 7.6e9")
    parser.add_argument("--like", type=Path, metavar="RUN", help="take shares and lengths of answers from a finished run")
    parser.add_argument("--check", type=Path, metavar="RUN", help="hold the plan against a finished run; status 1 when over 25 %% off")
    parser.add_argument("--json", action="store_true", help="print the estimate as JSON")
    args, rest = parser.parse_known_args(argv)
    if args.devices < 1:
        raise UserError(f"--num is {args.devices}", "command line", "give 1 or more")
    for option, value in (("--tokens-per-second", args.tokens_per_second), ("--parameters", args.parameters)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise UserError(f"{option} is {value:g}", "command line", "give a number above 0")
    config = config_from_argv(rest)
    size = read_model_size(config.model, args.parameters)
    device = args.device or ("h100" if shutil.which("nvidia-smi") else "cpu")
    shares = shares_of(args.like) if args.like else None
    plan = make_plan(config, size, device, args.devices, args.tokens_per_second, args.launch, shares)
    if args.json:
        print(json.dumps({**asdict(plan), "hours": plan.hours}, indent=2))
    else:
        print_plan(plan, config)
    return 0 if args.check is None or check(plan, args.check) else 1
