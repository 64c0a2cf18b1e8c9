"""What machines do in an hour and what fits on them: speeds and memory behind `ucoder plan`, each with where it comes from."""

from __future__ import annotations

from dataclasses import dataclass

from probing.records import SELF_MADE
from probing.samplers.config import INT8_PARAMETERS
from rl.config.schema import Config
from rl.planning.model_size import ModelSize

TRAINING_PASSES = 3.0  # a backward pass costs two forward passes
PROMPT_TOKENS = 300  # of a solution's prompt, with a real model's chat template
EXECUTIONS_PER_CORE_SECOND = 400.0
TRAINING_SHARE = 0.35  # of the matrix rate that training reaches (model FLOPs utilisation)
CPU_TRAINING_FLOPS = 1e11
INT8_SPEEDUP = 8.0  # bench/results/real_sampling.json: the 0.5B, 128 rows, beside transformers' generate
BFLOAT16_SPEEDUP = 1.75  # bench/results/training_passes.json: a micro-batch of the 0.5B on a CPU with AVX-512 BF16

# name of a way to launch: (are gradients and optimizer sharded, are weights)
LAUNCHES = {"ddp": (False, False), "zero2": (True, False), "zero3": (True, True), "fsdp2": (True, True)}


@dataclass(frozen=True)
class Device:
    """One device. Rates are what large operations reach."""

    text: str
    flops: float  # a second, in a large matrix product: of 16-bit numbers on a GPU
    float32: float  # the same of 32-bit numbers
    bandwidth: float  # bytes a second, of its memory
    memory: float  # bytes
    source: str


DEVICES = {
    "cpu": Device("2 CPU cores, fp32", 4e10, 4e10, 1.5e10, 16e9, "small-batch decoding on two laptop cores"),
    "a100": Device("A100 80 GB, bf16", 2.8e14, 1.75e13, 1.8e12, 80e9, "nine tenths of the datasheet"),
    "h100": Device("H100 80 GB, bf16", 7.8e14, 6e13, 3.0e12, 80e9, "an H200's matrix rate (the same chip), 90 % of its own bandwidth"),
    "h200": Device("H200 141 GB, bf16", 7.8e14, 6e13, 4.3e12, 141e9, "measured on one: an 8192-wide matrix product, a copy in its memory"),
}
FLOAT32_SOURCE = "nine tenths of the datasheet's float32 rate, without TF32: torch's default"


@dataclass(frozen=True)
class SamplerEfficiency:
    """How well a sampler uses a GPU."""

    share: float  # of the bandwidth
    seconds: float  # a step, beyond what memory takes
    source: str


ENGINES = {
    "transformers": SamplerEfficiency(0.5, 0.030, "assumed: a decoding loop in Python"),
    "vllm": SamplerEfficiency(0.7, 0.005, "assumed"),
}


def matrix_rate(device: str, dtype: str) -> tuple[float, str]:
    """FLOP/s of one device, and where that comes from. dtype: `float32`, or one of 16 bits."""
    machine = DEVICES[device]
    return (machine.float32, FLOAT32_SOURCE) if dtype == "float32" and device != "cpu" else (machine.flops, machine.source)


def sampling_speed(config: Config, size: ModelSize, device: str, devices: int, dtype: str | None = None) -> tuple[float, str]:
    """Tokens a second over all devices, and what it rests on: a step reads the weights once, and the keys and values of its batch.

    dtype: of weights, keys and values (None: `sampling.dtype`).
    """
    machine = DEVICES[device]
    if device == "cpu":
        weights = config.sampling.weights
        return cpu_sampling_speed(size, devices, weights == "int8" or (weights == "auto" and size.parameters >= INT8_PARAMETERS))
    dtype = dtype or config.sampling.dtype
    width = 4 if dtype == "float32" else 2  # bytes
    name = "transformers" if config.sampling.backend == "transformers" else "vllm"
    engine, spans = ENGINES[name], config.sampling.vllm.tensor_parallel if name == "vllm" else 1
    batch = config.sampling.batch_size
    context = PROMPT_TOKENS + config.solutions.max_new_tokens / 2
    read = (size.parameters + batch * context * size.kv_values_per_token) * width
    reading = read / (machine.bandwidth * spans * engine.share)
    computing = 2 * size.parameters * batch / (matrix_rate(device, dtype)[0] * spans)
    speed = batch / (max(reading, computing) + engine.seconds) * (devices / spans)
    how = f"batches of {batch}, {engine.share:.0%} of {machine.bandwidth / 1e12:.1f} TB/s and {1000 * engine.seconds:.0f} ms a step"
    return speed, f"{how} with {name} ({engine.source}); bandwidth: {machine.source}"


def cpu_sampling_speed(size: ModelSize, devices: int, int8: bool) -> tuple[float, str]:
    """Tokens a second over all CPUs, and what it rests on. int8: drawn from 8-bit weights."""
    machine = DEVICES["cpu"]
    flops, source = machine.flops, machine.source
    if int8:
        flops, source = flops * INT8_SPEEDUP, f"{source}, {INT8_SPEEDUP:g} times as much with 8-bit weights"
    return flops * devices / (2 * size.parameters), f"{flops:.0e} FLOP/s in use ({source})"


def evaluation_speed(config: Config, size: ModelSize, device: str, devices: int) -> float:
    """Tokens a second of an evaluation, whose weights `evals.dtype` names."""
    if device == "cpu":
        return cpu_sampling_speed(size, devices, config.evals.dtype == "int8")[0]
    return sampling_speed(config, size, device, devices, config.evals.dtype)[0]


def training_flops(device: str, dtype: str) -> tuple[float, str]:
    """FLOP/s of one device in training, and what it rests on. dtype: `compute_dtype` of the config."""
    if device == "cpu" and dtype == "bfloat16":
        return CPU_TRAINING_FLOPS * BFLOAT16_SPEEDUP, f"{DEVICES[device].source}, {BFLOAT16_SPEEDUP:g} times as much where it has bfloat16"
    if device == "cpu":
        return CPU_TRAINING_FLOPS, DEVICES[device].source
    rate, source = matrix_rate(device, dtype)
    return rate * TRAINING_SHARE, f"{TRAINING_SHARE:.0%} (assumed) of {rate:.1e}: {source}"


def sampling_memory(config: Config, size: ModelSize, device: str) -> float:
    """Bytes on each device: weights, and the keys and values of the largest batch of sequences."""
    p = config.problems
    asked = [config.suites.max_new_tokens, config.evals.max_new_tokens]
    asked += [p.max_new_tokens, p.rating_max_new_tokens] if p.self_made else []
    asked += [p.interface_max_new_tokens] if p.io == "function" else []
    asked += [config.solutions.max_new_tokens] if config.solutions.source == SELF_MADE else []
    width = 4 if device == "cpu" or config.sampling.dtype == "float32" else 2
    longest = PROMPT_TOKENS + max(asked)
    spans = config.sampling.vllm.tensor_parallel if config.sampling.backend == "vllm" else 1
    return (size.parameters * width + config.sampling.batch_size * longest * size.kv_values_per_token * width) / spans


def training_memory(config: Config, size: ModelSize, device: str, launch: str = "ddp", devices: int = 1) -> float:
    """Bytes on each device: weights, gradients, two Adam moments (and the 32-bit weights that DeepSpeed keeps beside 16-bit ones), the
    logits and activations of one micro-batch, or a sharded policy gathered to sample from it, whichever is more, the frozen copies that
    the probe and the KL guard read, the 8-bit copy that rollouts are drawn from, and a colocated vLLM's share.
    """
    training = config.grpo if "grpo" in config.consolidation else config.sft
    width = 4 if training.weights_dtype == "float32" else 2
    trained = size.parameters if training.lora is None else size.parameters * lora_share(size, training.lora.rank)
    shards_state, shards_weights = LAUNCHES[launch]
    optimizer = trained * ((12 if width == 2 else 8) if shards_state else 2 * width)
    state = (trained * width + optimizer) / (devices if shards_state else 1)
    weights = size.parameters * width / (devices if shards_weights else 1)
    rows = training.micro_batch or (config.grpo.rollouts_per_step if "grpo" in config.consolidation else config.sft.batch) // devices
    answer = config.grpo.max_new_tokens if "grpo" in config.consolidation else config.solutions.max_new_tokens
    if config.proposer is not None:
        answer = max(answer, config.problems.max_new_tokens)
    tokens = max(1, rows) * (PROMPT_TOKENS + answer)
    layers = 1 if training.gradient_checkpointing else size.layers
    checkpoints = tokens * size.hidden * 2 * size.layers if training.gradient_checkpointing else 0
    computed = 4 if device != "cpu" and training.compute_dtype == "float32" else 2  # bytes; the table of a CPU's memory was met with 2
    activations = tokens * (size.hidden * 16 * layers * computed + 2 * size.vocabulary * 4) + checkpoints
    vllm = DEVICES[device].memory * config.grpo.vllm_memory if config.grpo.rollouts == "vllm_colocate" else 0.0
    copies = frozen_copies(config, devices if shards_weights else 1)
    gathered = size.parameters * width if shards_weights and gathers_policy(config) else 0.0
    rounded = size.parameters if "grpo" in config.consolidation and config.grpo.rollout_weights == "int8" else 0.0
    return weights + state + max(activations, gathered) + copies * size.parameters * (4 if device == "cpu" else 2) + rounded + vllm


def gathers_policy(config: Config) -> bool:
    """Whether a sharded policy becomes whole on each device between steps: to decode from it, or to merge an adapter for TRL's vLLM."""
    return "grpo" in config.consolidation and (config.grpo.rollouts == "policy" or config.grpo.lora is not None)


def frozen_copies(config: Config, shards: int) -> float:
    """Frozen models that stay on each device while GRPO trains: the teacher, which the probe reads, whole; the KL's reference sharded."""
    if "grpo" not in config.consolidation:
        return 0.0
    probe = config.reward.w_quality > 0
    reference = config.grpo.beta > 0 or (config.guards.enabled and config.guards.kl_every > 0)
    return float(probe) + float(reference) / shards


def lora_share(size: ModelSize, rank: int) -> float:
    """Weights of rank-`rank` adapters on every linear layer, as a share of all weights.

    >>> round(lora_share(ModelSize(7.6e9, 28, 3584, 152064, 28672, ""), 16), 4)
    0.0053
    """
    per_layer = 2 * rank * 7 * size.hidden * 1.8  # seven layers of about (1 to 5.3) x hidden on either side
    return min(1.0, size.layers * per_layer / size.parameters)
