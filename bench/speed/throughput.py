"""Tokens a second of the three things that a round does with the model: sampling, reading hidden states, training.

    python -m bench.speed.throughput [--model PATH] [--device cuda]           # make bench-throughput

Beside each stands its model FLOPs utilisation: 2 x parameters x tokens (sampling and reading) or 6 x (training), over the rate of a large
matrix product in the same dtype on the same device. Training is a plain step of AdamW on sampled answers, so that it can be measured
where TRL is not installed. Writes `bench/results/throughput.json`, one entry a device and model.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bench.command import module_command
from bench.speed.sampling import device_name, matmul_parameters, matmul_rate
from probing.memory import keep_freed_memory
from probing.models.chat_template import render_chat
from probing.models.loading import ModelError, load_model
from probing.probe.hidden_states import HiddenStates
from probing.prompts.templates import render
from probing.samplers.base import SamplingParams
from probing.samplers.engines.transformers import TransformersSampler
from rl.config.run_folder import git_commit
from rl.console import UserError, error_screen
from rl.models.source import resolve_model
from rl.round_files import read_rows

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=str(ROOT / "seedling" / "weights"), help="checkpoint folder, .gguf file, or Hub id")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--problems", type=int, default=12, help="prompts, from seedling-bench")
    parser.add_argument("--samples", type=int, default=128, help="samples a prompt")
    parser.add_argument("--batch", type=int, default=512, help="sequences decoded at once")
    parser.add_argument("--micro-batch", type=int, default=64, help="answers in one training pass")
    parser.add_argument("--max-new-tokens", type=int, default=160)
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results" / "throughput.json")
    args = parser.parse_args()
    keep_freed_memory()
    with error_screen():
        try:
            model, tokenizer = load_model(resolve_model(args.model), args.device)
        except (ValueError, ModelError) as error:
            raise UserError(str(error), f"--model {args.model} --device {args.device}") from error
    result = measure(model, tokenizer, args.problems, args.samples, args.batch, args.micro_batch, args.max_new_tokens)
    result |= {"command": module_command("bench.speed.throughput", sys.argv[1:]), "commit": git_commit()}
    results = json.loads(args.out.read_text()) if args.out.is_file() else {}
    results[f"{device_name(model)} | {model.num_parameters() / 1e6:.1f} M parameters | {model.dtype}"] = result
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(results, indent=1) + "\n")
    print("| what | tokens/s | model FLOPs utilisation |\n|---|---|---|")
    for name in ("sampling", "hidden states", "training"):
        print(f"| {name} | {result[name]['tokens_per_second']:,.0f} | {result[name]['utilisation']:.1%} |")


def measure(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, problems: int, samples: int, batch: int, micro_batch: int, most: int
) -> dict[str, Any]:
    """Rates after a warm-up each. Tokens are those of answers; prompts are computed once and not counted."""
    rows = read_rows(ROOT / "seedling" / "bench.jsonl")[:problems]
    texts = [render_chat(tokenizer, render("solve", description=row["description"], interface=row["interface"])) for row in rows]
    sampler = TransformersSampler(model, tokenizer, batch)
    params = SamplingParams(max_new_tokens=most)
    sampler.sample(texts[:1], min(samples, batch), params, 0)
    drawn, seconds = timed(model, lambda: sampler.sample(texts, samples, params, 1))
    prompts = [list(ids) for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]]
    asked = [prompt for prompt, group in zip(prompts, drawn, strict=True) for _ in group]
    answers = [list(completion.token_ids) for group in drawn for completion in group]
    tokens = sum(map(len, answers))
    flops, weights = matmul_rate(model, 8192 if model.device.type == "cuda" else 1024), matmul_parameters(model)

    def figures(tokens: float, seconds: float, passes: int) -> dict[str, float]:
        return {
            "tokens": tokens,
            "seconds": seconds,
            "tokens_per_second": tokens / seconds,
            "utilisation": passes * 2.0 * weights * tokens / seconds / flops,
        }

    result: dict[str, Any] = {"sampling": figures(tokens, seconds, 1)}
    reader = HiddenStates(model, tokenizer)
    reader.extract(asked[:samples], answers[:samples])
    _, seconds = timed(model, lambda: reader.extract(asked, answers))
    result["hidden states"] = figures(tokens, seconds, 1)
    model.requires_grad_(True).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0)
    whole = [prompt + answer for prompt, answer in zip(asked, answers, strict=True)]
    step(model, optimizer, whole[:micro_batch])
    chosen = [whole[i : i + micro_batch] for i in range(0, min(len(whole), 8 * micro_batch), micro_batch)]
    _, seconds = timed(model, lambda: train(model, optimizer, chosen))
    result["training"] = figures(sum(len(row) for rows in chosen for row in rows), seconds, 3)
    return result | {
        "matmul_tflops": flops / 1e12,
        "parameters": model.num_parameters(),
        "samples": len(answers),
        "torch": torch.__version__,
    }


def timed(model: PreTrainedModel, work: Any) -> tuple[Any, float]:
    """What `work` returns, and its wall time in seconds, the device's queue emptied on both sides."""
    if model.device.type == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    found = work()
    if model.device.type == "cuda":
        torch.cuda.synchronize()
    return found, time.perf_counter() - started


def train(model: PreTrainedModel, optimizer: torch.optim.Optimizer, batches: list[list[list[int]]]) -> None:
    for rows in batches:
        step(model, optimizer, rows)


def step(model: PreTrainedModel, optimizer: torch.optim.Optimizer, rows: list[list[int]]) -> None:
    """One optimizer step on whole texts, padded right."""
    width = max(map(len, rows))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows], device=model.device)
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=model.device)
    loss = model(input_ids=ids, attention_mask=mask, labels=ids.masked_fill(mask == 0, -100)).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()


if __name__ == "__main__":
    main()
