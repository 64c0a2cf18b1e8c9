"""How fast our sampler is beside transformers' plain `generate`, on the real lengths of n samples a problem.

    python -m bench.speed.sampling --model seedling/weights

Both draw at temperature 1 from the same prompts, each at its best batch size (found on a part of the prompts), in turns, so that a
machine that slows down slows both. Beside them stands the arithmetic floor: 2 x parameters x tokens over the rate of a large matrix
product on this machine. That the two draw from one distribution is checked by the model's mean logprob of their samples. Writes
`bench/results/sampling.json`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bench.command import module_command
from probing.memory import keep_freed_memory
from probing.models.chat_template import render_chat
from probing.models.loading import end_token_ids, load_model
from probing.probe.hidden_states import HiddenStates
from probing.prompts.templates import render
from probing.samplers.base import SamplingParams
from probing.samplers.engines.transformers import TransformersSampler
from rl.config.run_folder import git_commit
from rl.console import error_screen
from rl.models.source import resolve_model
from rl.round_files import read_rows

ROOT = Path(__file__).resolve().parents[2]
Draw = Callable[[Sequence[Sequence[int]], int], list[list[list[int]]]]  # prompts, batch size -> ids of every sample of every prompt


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=str(ROOT / "seedling" / "weights"), help="checkpoint folder, .gguf file, or Hub id")
    parser.add_argument("--problems", type=int, default=12, help="prompts, from seedling-bench")
    parser.add_argument("--samples", type=int, default=128, help="samples a prompt")
    parser.add_argument("--max-new-tokens", type=int, default=160)
    parser.add_argument("--batches", type=int, nargs="+", default=[64, 128, 256, 512], help="batch sizes to choose from")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results" / "sampling.json")
    args = parser.parse_args()
    keep_freed_memory()
    with error_screen():
        path = resolve_model(args.model)
    model, tokenizer = load_model(path, args.device)
    rows = read_rows(ROOT / "seedling" / "bench.jsonl")[: args.problems]
    texts = [render_chat(tokenizer, render("solve", description=row["description"], interface=row["interface"])) for row in rows]
    result = compare(model, tokenizer, texts, args.samples, args.max_new_tokens, args.batches, args.turns)
    result |= {"command": module_command("bench.speed.sampling", sys.argv[1:]), "commit": git_commit()}
    result |= {"device": device_name(model), "threads": torch.get_num_threads(), "torch": torch.__version__}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def compare(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: list[str], n: int, most: int, batches: list[int], turns: int
) -> dict[str, Any]:
    """Times, rates and their ratio, each sampler at its best batch; and whether the samples are alike."""
    prompts = [list(ids) for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]]
    params = SamplingParams(max_new_tokens=most)
    ends = end_token_ids(model, tokenizer)
    seeds = iter(range(10**6))

    def ours(prompts: Sequence[Sequence[int]], batch: int) -> list[list[list[int]]]:
        drawn = TransformersSampler(model, tokenizer, batch).sample_ids(prompts, n, params, next(seeds))
        return [[list(ids) for ids, _, _ in rows] for rows in drawn]

    def plain(prompts: Sequence[Sequence[int]], batch: int) -> list[list[list[int]]]:
        return generate(model, prompts, n, most, batch, ends)

    samplers: dict[str, Draw] = {"ours": ours, "generate": plain}
    few = prompts[: max(1, max(batches) // n)]
    best = {name: max(batches, key=lambda batch: timed(draw, few, batch)["tokens_per_second"]) for name, draw in samplers.items()}
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in samplers}
    for _ in range(turns):
        for name, draw in samplers.items():
            runs[name].append(timed(draw, prompts, best[name]))
    rate = {name: float(np.median([run["tokens_per_second"] for run in found])) for name, found in runs.items()}
    cpu = {name: float(np.median([run["tokens_per_cpu_second"] for run in found])) for name, found in runs.items()}
    tokens = runs["ours"][-1]["tokens"]
    work = 2.0 * matmul_parameters(model) * (tokens + sum(map(len, prompts)))
    flops = matmul_rate(model)
    likelihood = {name: logprob_of(model, tokenizer, prompts, found[-1].pop("samples")) for name, found in runs.items()}
    gap = likelihood["ours"][0] - likelihood["generate"][0]
    error = (likelihood["ours"][1] ** 2 + likelihood["generate"][1] ** 2) ** 0.5
    for run in (run for found in runs.values() for run in found):
        run.pop("samples", None)
    return {
        "ratio": rate["ours"] / rate["generate"],
        "ratio_by_cpu_time": cpu["ours"] / cpu["generate"],
        "tokens_per_second": rate,
        "tokens_per_cpu_second": cpu,
        "best_batch": best,
        "floor_seconds": work / flops,
        "times_floor": {name: float(np.median([run["seconds"] for run in found])) / (work / flops) for name, found in runs.items()},
        "matmul_gflops": flops / 1e9,
        "parameters": model.num_parameters(),
        "problems": len(prompts),
        "samples": n,
        "mean_prompt_tokens": float(np.mean([len(prompt) for prompt in prompts])),
        "mean_new_tokens": tokens / (n * len(prompts)),
        "logprob_gap_in_standard_errors": gap / error,
        "runs": runs,
    }


def timed(draw: Draw, prompts: Sequence[Sequence[int]], batch: int) -> dict[str, Any]:
    """One run: wall and processor seconds, and tokens (end token included) a second of each."""
    wall, cpu = time.perf_counter(), time.process_time()
    samples = draw(prompts, batch)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    tokens = sum(len(ids) for rows in samples for ids in rows)
    rates = {"tokens_per_second": tokens / wall, "tokens_per_cpu_second": tokens / cpu}
    return {"batch": batch, "seconds": wall, "cpu_seconds": cpu, "tokens": tokens, **rates, "samples": samples}


def generate(
    model: PreTrainedModel, prompts: Sequence[Sequence[int]], n: int, most: int, batch: int, ends: frozenset[int]
) -> list[list[list[int]]]:
    """Plain `generate` at temperature 1, left-padded batches of neighbouring rows, each cut after its end token."""
    generator: Any = model  # transformers types `generate` by protocols that its own models do not meet
    rows = [ids for prompt in prompts for ids in [list(prompt)] * n]
    drawn: list[list[int]] = []
    for start in range(0, len(rows), batch):
        chunk = rows[start : start + batch]
        width = max(map(len, chunk))
        pad = min(ends)
        ids = torch.tensor([[pad] * (width - len(row)) + row for row in chunk], device=model.device)
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in chunk], device=model.device)
        found = generator.generate(
            ids, attention_mask=mask, do_sample=True, top_k=0, top_p=1.0, temperature=1.0, max_new_tokens=most, pad_token_id=pad
        )
        for row in found[:, width:].tolist():
            stop = next((place + 1 for place, token in enumerate(row) if token in ends), len(row))
            drawn.append(row[:stop])
    return [drawn[start : start + n] for start in range(0, len(drawn), n)]


def logprob_of(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Sequence[int]], samples: list[list[list[int]]]
) -> tuple[float, float]:
    """Mean over samples of the whole answer's logprob (nats) under the model, and its standard error."""
    answers = [ids for rows in samples for ids in rows]
    asked = [prompt for prompt, rows in zip(prompts, samples, strict=True) for _ in rows]
    features = HiddenStates(model, tokenizer, layers=1).extract(asked, answers)
    total = features.mean_logprob.astype(np.float64) * features.lengths
    return float(total.mean()), float(total.std(ddof=1) / len(total) ** 0.5)


def matmul_parameters(model: PreTrainedModel) -> int:
    """Parameters that each token is multiplied with: all but an input embedding of its own."""
    outputs = model.get_output_embeddings()
    inputs = model.get_input_embeddings()
    assert isinstance(inputs, torch.nn.Embedding) and isinstance(outputs, torch.nn.Linear)
    return model.num_parameters() - (0 if inputs.weight is outputs.weight else inputs.weight.numel())


def matmul_rate(model: PreTrainedModel, size: int = 1024, seconds: float = 2.0) -> float:
    """Best rate of a square matrix product in the model's dtype on its device, in floating-point operations a second."""
    a = torch.randn(size, size, device=model.device, dtype=model.dtype)
    best, started = 0.0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        before = time.perf_counter()
        product = a @ a
        product[0, 0].item()  # waits for the device
        best = max(best, 2 * size**3 / (time.perf_counter() - before))
    return best


def device_name(model: PreTrainedModel) -> str:
    """The GPU's name, or the number of CPU threads."""
    return torch.cuda.get_device_name(model.device) if model.device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"


if __name__ == "__main__":
    main()
