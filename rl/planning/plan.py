"""What a config would cost, before it runs: samples, tokens, executions, GPU hours, memory, disk.

An estimate for choosing a machine and a config, not a measurement. Every assumption it makes is said beside it, with its source.
`rl.planning.cli` prints it.
"""

from __future__ import annotations

from dataclasses import dataclass

from probing.records import SELF_MADE
from rl.config.evals import EvalsConfig, normal_name
from rl.config.schema import Config
from rl.config.training import OptimizerSection
from rl.planning.costs import (
    DEVICES,
    EXECUTIONS_PER_CORE_SECOND,
    PROMPT_TOKENS,
    TRAINING_PASSES,
    evaluation_speed,
    sampling_memory,
    sampling_speed,
    training_flops,
    training_memory,
)
from rl.planning.measured_shares import Shares
from rl.planning.model_size import ModelSize

BYTES_PER_TOKEN = 24  # token id, logprob and text in candidates.jsonl
BYTES_PER_OUTCOME = 32  # one outcome in executions.jsonl
DEVICES_A_MACHINE = 8
STATE_POOLINGS = 2  # of `probing.probe.hidden_states`
TASKS = {  # of `rl.benchmarks.base.BENCHMARKS`
    "seedling": 1000,
    "seedling_dev": 400,
    "humaneval": 164,
    "humaneval_plus": 164,
    "mbpp": 427,
    "mbpp_plus": 378,
    "livecodebench": 1055,  # release v6
    "bigcodebench_complete": 1140,
    "bigcodebench_complete_hard": 148,
    "bigcodebench_instruct": 1140,
    "bigcodebench_instruct_hard": 148,
}
TASKS_UNKNOWN = 500
LARGE = 4e9  # parameters from which weights are sharded too, unless --launch says otherwise


@dataclass(frozen=True)
class StageCost:
    """One stage of one round. `executions` are calls of a program on one input; `hours` on all devices together."""

    name: str
    samples: float
    tokens: float
    executions: float
    hours: float


@dataclass(frozen=True)
class Plan:
    """The estimate. Memory in bytes per device, disk in bytes for the whole run."""

    stages: tuple[StageCost, ...]  # of one round
    rounds: int
    devices: int
    base_evaluation_hours: float
    sampling_memory: float
    training_memory: float
    device_memory: float
    disk: float
    parameters: float
    launch: str
    assumptions: tuple[str, ...]

    @property
    def hours(self) -> float:
        return self.base_evaluation_hours + self.rounds * sum(stage.hours for stage in self.stages)


def tasks_of(benchmark: str) -> int | None:
    """Tasks of a benchmark, whatever its options leave out; None: not known."""
    return TASKS.get(normal_name(benchmark.partition(":")[0]))


def assumed_tasks(evals: EvalsConfig) -> list[str]:
    """A line for each benchmark whose number of tasks is a guess."""
    names = [*evals.benchmarks, *([evals.chosen_on] if evals.chosen_on else [])]
    lines = {name: f"{name}: {TASKS_UNKNOWN:,} tasks (not known)" for name in names if tasks_of(name) is None}
    whole = {name: count for name in names if ":" in name and (count := tasks_of(name)) is not None}
    return [*lines.values(), *(f"{name}: {count:,} tasks (those of the whole benchmark)" for name, count in whole.items())]


def evaluation_samples(evals: EvalsConfig) -> int:
    """Completions that one checkpoint's evaluation asks for, at most: a best temperature of 0 needs none that greedy has not."""

    def tasks(benchmark: str) -> int:
        known = tasks_of(benchmark) or TASKS_UNKNOWN
        return known if evals.limit is None else min(known, evals.limit)

    total = 0
    for name in evals.benchmarks:
        drawn = evals.temperature > 0
        total += min(tasks(name), evals.sampled or tasks(name)) * evals.draws if drawn else tasks(name)
        total += tasks(name) * (evals.greedy and drawn)
        total += tasks(name) * evals.choice_samples * (evals.chosen_on is not None)
    if evals.chosen_on is not None:
        total += sum(tasks(evals.chosen_on) * (evals.choice_samples if t else 1) for t in set(evals.temperatures))
    return total


def make_plan(
    config: Config,
    size: ModelSize,
    device: str = "cpu",
    devices: int = 1,
    tokens_per_second: float | None = None,
    launch: str | None = None,
    shares: Shares | None = None,
) -> Plan:
    """Count what one round asks for, and price it on `devices` of one kind.

    tokens_per_second: measured sampling speed over all devices; overrides the assumed one. launch: how training is spread over devices.
    """
    shares = shares or Shares()
    launch = launch or ("ddp" if devices == 1 else "zero3" if size.parameters >= LARGE else "zero2")
    speed, speed_source = sampling_speed(config, size, device, devices)
    if tokens_per_second is not None:
        speed, speed_source = tokens_per_second, "given"
    eval_speed = evaluation_speed(config, size, device, devices) if tokens_per_second is None else tokens_per_second
    flops, flops_source = training_flops(device, (config.grpo if "grpo" in config.consolidation else config.sft).compute_dtype)
    machines = -(-devices // DEVICES_A_MACHINE)
    run_speed = EXECUTIONS_PER_CORE_SECOND * config.sandbox.workers * machines
    p, s, g = config.problems, config.solutions, config.grpo
    count = p.count + config.choice.proposals / config.rounds  # those of round 1 alone, spread over all
    made = count if p.source == SELF_MADE else p.share * count
    kept = made * shares.kept + (count - made)  # only a run knows how many of the user's own rows can be used
    rated, inputs = made * max(shares.rated, shares.kept), config.suites.inputs
    drawn = s.samples if s.source == SELF_MADE else 0  # collected solutions are executed, and not sampled

    def stage(name: str, samples: float, most: int, executions: float = 0.0, extra_hours: float = 0.0, speed: float = speed) -> StageCost:
        tokens = samples * shares.tokens(name, most)
        return StageCost(name, samples, tokens, executions, tokens / speed / 3600 + executions / run_speed / 3600 + extra_hours)

    def training_hours(samples: float, answer: float, section: OptimizerSection) -> float:
        """Hours to train on answers with their prompts."""
        flops = training_flops(device, section.compute_dtype)[0]
        return 2 * TRAINING_PASSES * size.parameters * samples * (answer + PROMPT_TOKENS) / (flops * devices) / 3600

    def reading_hours(samples: float, answer: float) -> float:
        """Hours of one forward pass over answers."""
        return 2 * size.parameters * samples * answer / (flops * devices) / 3600

    stages = [
        stage("problems", made, p.max_new_tokens),
        stage("rating", rated * p.ratings_per_problem, p.rating_max_new_tokens),
        stage("interface", kept if p.io == "function" else 0, p.interface_max_new_tokens),
        stage("test inputs", kept * config.suites.samples, config.suites.max_new_tokens),
        stage("solutions", kept * drawn, s.max_new_tokens, kept * s.samples * shares.distinct * config.suites.pool),
    ]
    bank_tokens = kept * s.samples * shares.tokens("solutions", s.max_new_tokens)
    read = min(kept, config.probe.problems) * min(s.samples, config.probe.answers)  # answers whose hidden states are read, in one pass
    answer = shares.tokens("solutions", s.max_new_tokens)
    stages.append(StageCost("probe", 0, 0, 0, reading_hours(read, answer)))
    if config.proposer is not None:
        base = config.grpo if "grpo" in config.consolidation else config.sft
        stages.append(StageCost("proposer", made, 0, 0, training_hours(made, shares.tokens("problems", p.max_new_tokens), base)))
    if "sft" in config.consolidation:
        learnt = config.sft.steps * config.sft.batch if config.sft.steps else kept * config.sft.epochs
        stages.append(StageCost("sft", learnt, 0, 0, training_hours(learnt, answer, config.sft)))
    if "grpo" in config.consolidation:
        rollouts = g.steps / g.num_iterations * g.rollouts_per_step
        length = shares.tokens("grpo", g.max_new_tokens)
        hours = training_hours(g.steps * g.rollouts_per_step, length, g)
        if config.reward.w_quality:
            hours += reading_hours(rollouts, length)  # by the probe's frozen copy
        stages.append(stage("grpo", rollouts, g.max_new_tokens, rollouts * shares.distinct * inputs, hours))
    answers = evaluation_samples(config.evals)
    stages.append(stage("eval", answers, config.evals.max_new_tokens, answers * 32, speed=eval_speed))
    outcomes = kept * s.samples * shares.distinct * config.suites.pool
    disk = config.rounds * (size.weight_bytes * (1 if g.weights_dtype == "bfloat16" else 2) + bank_tokens * BYTES_PER_TOKEN)
    if 0 < config.teacher.decay < 1:  # those of the last two rounds are kept
        trained = config.sft if config.consolidation == "sft" else g
        disk += min(config.rounds - 1, 2) * size.weight_bytes * (1 if trained.weights_dtype == "bfloat16" else 2)
    disk += config.rounds * outcomes * BYTES_PER_OUTCOME
    disk += bank_tokens * BYTES_PER_TOKEN + 2 * size.parameters * 16  # a round's parts, and two trainer checkpoints with their optimizer
    disk += read * state_bytes(config, size)  # until the round is trained
    return Plan(
        tuple(stages),
        config.rounds,
        devices,
        stages[-1].hours,
        sampling_memory(config, size, device),
        training_memory(config, size, device, launch, devices),
        DEVICES[device].memory,
        disk,
        size.parameters,
        launch,
        (
            f"model: {size.parameters / 1e6:,.1f} M parameters ({size.source})",
            f"machine: {devices} x {DEVICES[device].text}, training with {launch}",
            f"sampling {speed:,.0f} tokens/s ({speed_source})",
            f"training {flops * devices:.1e} FLOP/s ({flops_source}), a backward pass costing two forward passes",
            f"{PROMPT_TOKENS} tokens a prompt; {BYTES_PER_TOKEN} bytes a token, {BYTES_PER_OUTCOME} an outcome",
            f"{config.sandbox.workers} sandbox workers for every {DEVICES_A_MACHINE} devices (this machine's cores, unless set), "
            f"{EXECUTIONS_PER_CORE_SECOND:,.0f} calls/s each",
            f"{shares.kept:.0%} of proposals are kept, {shares.distinct:.0%} of samples are distinct programs ({shares.source})",
            *assumed_tasks(config.evals),
            *([] if shares.lengths else [f"answers take {shares.filled:.0%} of max_new_tokens ({shares.source})"]),
        ),
    )


def state_bytes(config: Config, size: ModelSize) -> float:
    """Bytes of the hidden states that the probe reads of one answer."""
    return min(config.probe.layers, size.layers) * STATE_POOLINGS * size.hidden * 4
