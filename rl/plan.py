"""`ucoder plan`: what a config would cost, before it runs: samples, tokens, executions, memory, disk, hours.

An estimate for choosing a machine and a config, not a measurement. Every assumption it makes is printed beside it.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.table import Table

from rl.config import Config, config_from_argv
from rl.console import UserError, duration, make_console
from rl.model_size import ModelSize, read_model_size

# Assumptions. Shares lie in [0, 1].
KEPT_PROBLEMS = 0.5  # proposals that survive parsing, duplicates, rating and interface
FILLED_TOKENS = 0.5  # share of max_new_tokens that an answer takes
DISTINCT_PROGRAMS = 0.5  # share of a problem's samples that differ after normalisation, and are run
BYTES_PER_TOKEN = 24  # token id, logprob and text in candidates.jsonl
BYTES_PER_OUTCOME = 32  # one outcome in executions.jsonl
TASKS = {
    "seedling": 240,
    "humaneval": 164,
    "humaneval_plus": 164,
    "mbpp": 500,
    "mbpp_plus": 378,
    "livecodebench": 400,
    "bigcodebench": 1140,
}
TASKS_UNKNOWN = 500
TRAINING_PASSES = 3.0  # a backward pass costs two forward passes

# device: effective FLOP/s when sampling in large batches, when training, and executions a second on a core
DEVICES: dict[str, tuple[str, float, float]] = {
    "cpu": ("2 CPU cores, fp32", 4e10, 1e11),
    "a100": ("one A100 80 GB, bf16", 3e13, 1.2e14),
    "h100": ("one H100 80 GB, bf16", 6e13, 3e14),
}
EXECUTIONS_PER_CORE_SECOND = 400.0


@dataclass(frozen=True)
class Stage:
    """One stage of one round. `executions` are calls of a program on one input."""

    name: str
    samples: float
    tokens: float
    executions: float
    hours: float


@dataclass(frozen=True)
class Plan:
    """The estimate. Memory in bytes per device, disk in bytes for the whole run."""

    stages: tuple[Stage, ...]  # of one round
    rounds: int
    base_evaluation_hours: float
    sampling_memory: float
    training_memory: float
    disk: float
    parameters: float
    assumptions: tuple[str, ...]

    @property
    def hours(self) -> float:
        return self.base_evaluation_hours + self.rounds * sum(stage.hours for stage in self.stages)


def make_plan(config: Config, size: ModelSize, device: str = "cpu", devices: int = 1, tokens_per_second: float | None = None) -> Plan:
    """Count what one round asks for, and price it on `devices` of one kind.

    tokens_per_second: measured sampling speed over all devices; overrides the assumed one.
    """
    name, sampling_flops, training_flops = DEVICES[device]
    speed = tokens_per_second or sampling_flops * devices / (2 * size.parameters)
    run_speed = EXECUTIONS_PER_CORE_SECOND * config.sandbox.workers
    kept = config.problems.count * KEPT_PROBLEMS
    inputs = config.suites.inputs

    def stage(label: str, samples: float, max_tokens: int, executions: float = 0.0, extra_hours: float = 0.0) -> Stage:
        tokens = samples * max_tokens * FILLED_TOKENS
        return Stage(label, samples, tokens, executions, tokens / speed / 3600 + executions / run_speed / 3600 + extra_hours)

    p, s, g = config.problems, config.solutions, config.grpo
    stages = [
        stage("problems", p.count, p.max_new_tokens),
        stage("rating", p.count * p.ratings_per_problem, p.rating_max_new_tokens),
        stage("interface", p.count, p.interface_max_new_tokens),
        stage("test inputs", kept * config.suites.samples, config.suites.max_new_tokens),
        stage("solutions", kept * s.samples, s.max_new_tokens, kept * s.samples * DISTINCT_PROGRAMS * config.suites.pool),
    ]
    bank_tokens = stages[-1].tokens
    stages.append(Stage("probe", 0, 0, 0, bank_tokens / (speed * 5) / 3600))  # one forward pass over the bank, with no decoding
    if "sft" in config.consolidation:
        tokens = kept * s.max_new_tokens * FILLED_TOKENS * config.sft.epochs
        stages.append(Stage("sft", kept * config.sft.epochs, 0, 0, _training_hours(tokens, size, training_flops, devices)))
    if "grpo" in config.consolidation:
        rollouts = g.steps / g.num_iterations * g.rollouts_per_step
        trained = g.steps * g.rollouts_per_step * g.max_new_tokens * FILLED_TOKENS
        hours = _training_hours(trained, size, training_flops, devices)
        stages.append(stage("grpo", rollouts, g.max_new_tokens, rollouts * DISTINCT_PROGRAMS * inputs, hours))
    tasks = sum(min(TASKS.get(b, TASKS_UNKNOWN), config.evals.limit or TASKS_UNKNOWN * 10) for b in config.evals.benchmarks)
    stages.append(stage("eval", tasks * config.evals.samples, config.evals.max_new_tokens, tasks * config.evals.samples * 32))
    outcomes = kept * s.samples * DISTINCT_PROGRAMS * inputs
    disk = config.rounds * (2 * size.weight_bytes + bank_tokens * BYTES_PER_TOKEN + outcomes * BYTES_PER_OUTCOME)
    disk += size.parameters * 12  # the optimizer's state in the newest trainer checkpoint
    return Plan(
        tuple(stages),
        config.rounds,
        stages[-1].hours,
        sampling_memory(config, size, device),
        training_memory(config, size),
        disk,
        size.parameters,
        (
            f"model: {size.parameters / 1e6:,.1f} M parameters ({size.source})",
            f"machine: {devices} x {name}; {config.sandbox.workers} sandbox workers, {EXECUTIONS_PER_CORE_SECOND:,.0f} executions/s each",
            f"sampling {speed:,.0f} tokens/s" + (" (given)" if tokens_per_second else f" ({sampling_flops:.0e} FLOP/s in use)"),
            f"training {training_flops:.0e} FLOP/s in use, a backward pass costing two forward passes",
            f"{KEPT_PROBLEMS:.0%} of proposals are kept; answers take {FILLED_TOKENS:.0%} of max_new_tokens",
            f"{DISTINCT_PROGRAMS:.0%} of samples are distinct programs; {BYTES_PER_TOKEN} bytes a token, {BYTES_PER_OUTCOME} an outcome",
        ),
    )


def _training_hours(tokens: float, size: ModelSize, flops: float, devices: int) -> float:
    return 2 * TRAINING_PASSES * size.parameters * tokens / (flops * devices) / 3600


def sampling_memory(config: Config, size: ModelSize, device: str) -> float:
    """Bytes: weights, and the keys and values of the largest batch of sequences."""
    width = 4 if device == "cpu" else 2
    longest = 2 * max(config.solutions.max_new_tokens, config.suites.max_new_tokens)  # prompt and answer
    return size.parameters * width + config.sampling.batch_size * longest * size.kv_values_per_token * width


def training_memory(config: Config, size: ModelSize) -> float:
    """Bytes: weights, gradients, two Adam moments, and the logits and activations of one micro-batch."""
    training = config.grpo if "grpo" in config.consolidation else config.sft
    width = 4 if training.weights_dtype == "float32" else 2
    rows = training.micro_batch or (config.grpo.rollouts_per_step if "grpo" in config.consolidation else config.sft.batch)
    tokens = rows * 2 * config.solutions.max_new_tokens
    layers = 1 if training.gradient_checkpointing else size.layers
    activations = tokens * (size.hidden * 16 * layers + 2 * size.vocabulary) * 4
    return size.parameters * width * 4 + activations


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
    console = make_console()
    table = Table(title=f"One round of {plan.rounds}", title_justify="left")
    for title in ("stage", "samples", "tokens", "executions", "time"):
        table.add_column(title, justify="left" if title == "stage" else "right")
    for s in plan.stages:
        table.add_row(s.name, f"{s.samples:,.0f}", f"{s.tokens:,.0f}", f"{s.executions:,.0f}", duration(s.hours * 3600))
    total = [sum(getattr(s, key) for s in plan.stages) for key in ("samples", "tokens", "executions", "hours")]
    table.add_row("a round", *(f"{value:,.0f}" for value in total[:3]), duration(total[3] * 3600), style="bold")
    console.print(table)
    free = shutil.disk_usage(_existing_parent(Path(config.run_dir))).free
    for label, text in (
        ("whole run", f"{duration(plan.hours * 3600)} ({plan.rounds} rounds, and the base's evaluation)"),
        ("memory", f"{size_text(plan.sampling_memory)} sampling, {size_text(plan.training_memory)} training, on each device"),
        ("disk", f"{size_text(plan.disk)} in {config.run_dir} ({size_text(free)} free)"),
    ):
        console.print(f"{label:<12} {text}", highlight=False, soft_wrap=True, markup=False)
    if plan.disk > free:
        console.print("the disk is too small: choose another --run_dir, or lower solutions.samples or problems.count", style="red")
    console.print("\nAssumed, not measured:", highlight=False)
    for line in plan.assumptions:
        console.print(f"  {line}", highlight=False, soft_wrap=True, markup=False)


def _existing_parent(path: Path) -> Path:
    path = path.expanduser().resolve()
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        usage="ucoder plan [CONFIG] [options] [--KEY VALUE ...]",
        description="What a config would cost, without running it.",
        epilog="CONFIG is a YAML file (left out: the defaults); overrides look like --rounds 1 --grpo.learning_rate 1e-5",
        allow_abbrev=False,
    )
    parser.add_argument("--device", choices=sorted(DEVICES), help="kind of machine (default: h100 where nvidia-smi is found, else cpu)")
    parser.add_argument("--devices", type=int, default=1, help="number of GPUs")
    parser.add_argument("--tokens-per-second", type=float, help="measured sampling speed over all devices")
    parser.add_argument("--parameters", type=float, help="number of parameters, where the model is not at hand: 7.6e9")
    parser.add_argument("--json", action="store_true", help="print the estimate as JSON")
    args, rest = parser.parse_known_args(argv)
    if args.devices < 1:
        raise UserError(f"--devices is {args.devices}", "command line", "give 1 or more")
    config = config_from_argv(rest)
    size = read_model_size(config.model, args.parameters)
    device = args.device or ("h100" if shutil.which("nvidia-smi") else "cpu")
    plan = make_plan(config, size, device, args.devices, args.tokens_per_second)
    if args.json:
        print(json.dumps({**asdict(plan), "hours": plan.hours}, indent=2))
    else:
        print_plan(plan, config)
    return 0
