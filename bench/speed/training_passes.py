"""How much faster are training's passes in bfloat16 on this CPU, and what does it change?

    python -m bench.speed.training_passes --model MODEL [--turns 3] [--rank 16]

One micro-batch of GRPO: a group of rollouts of different lengths (random tokens) on one prompt, forward and backward by
`rl.training.shared_prefix`, with LoRA adapters. Both dtypes take turns on the same batch, and a turn before the first is not counted.
Reported: seconds and completion tokens a second of each turn, the ratio of the medians, how far the logprobs move, and the cosine
between the gradients. Writes `bench/results/training_passes.json`. Run it while nothing else runs.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from transformers import PreTrainedModel
from trl.trainer.utils import add_fused_lm_head

from bench.command import module_command
from probing.memory import keep_freed_memory
from probing.models.loading import load_model, multiplies_bfloat16
from rl.config.run_folder import git_commit, versions, write_atomically
from rl.models.source import resolve_model
from rl.training.shared_prefix import shared_prefix_logps

OUT = Path(__file__).parents[1] / "results" / "training_passes.json"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def micro_batch(vocabulary: int, rows: int, prompt: int, longest: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """ids and mask, int[rows, prompt + longest]: one prompt, answers of a quarter to the whole of `longest` tokens."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(10, vocabulary - 10, (rows, prompt + longest), generator=generator)
    ids[:, :prompt] = ids[0, :prompt]
    lengths = torch.linspace(longest / 4, longest, rows).long()
    mask = torch.ones_like(ids)
    mask[:, prompt:] = torch.arange(longest) < lengths[:, None]
    return ids * mask, mask


def timed_pass(
    model: Any, backbone: PreTrainedModel, batch: tuple[torch.Tensor, torch.Tensor], longest: int, dtype: torch.dtype
) -> tuple[float, torch.Tensor, torch.Tensor]:
    """Seconds of forward and backward, logprobs float[rows, longest], and all gradients in a row."""
    model.zero_grad()
    started = time.perf_counter()
    with torch.autocast("cpu", dtype, enabled=dtype is not torch.float32):
        logps, _ = shared_prefix_logps(model, backbone, *batch, longest)
    logps.sum().backward()
    seconds = time.perf_counter() - started
    gradient = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    return seconds, logps.detach().float(), gradient.float()


def measure(path: str, rank: int, turns: int, rows: int, prompt: int, longest: int, seed: int) -> dict[str, Any]:
    bare, _ = load_model(path, "cpu", "float32")
    torch.manual_seed(seed)
    model = get_peft_model(bare, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM"))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:  # they start at 0, and A's gradients with them
            torch.nn.init.normal_(parameter, std=0.01)
    add_fused_lm_head(bare, temperature=1.0)
    batch = micro_batch(bare.config.get_text_config().vocab_size, rows, prompt, longest, seed)
    backbone = cast(PreTrainedModel, bare.base_model)
    tokens = int(batch[1][:, prompt:].sum())
    passes: dict[str, list[tuple[float, torch.Tensor, torch.Tensor]]] = {name: [] for name in DTYPES}
    for turn in range(turns + 1):
        for name, dtype in DTYPES.items():
            found = timed_pass(model, backbone, batch, longest, dtype)
            print(f"turn {turn}  {name:<9} {found[0]:6.1f} s", flush=True)
            if turn:
                passes[name].append(found)
    seconds = {name: [round(found[0], 2) for found in turns_of] for name, turns_of in passes.items()}
    (_, exact_BT, exact), (_, rounded_BT, rounded) = passes["float32"][-1], passes["bfloat16"][-1]
    shift = (rounded_BT - exact_BT).abs()[batch[1][:, prompt:].bool()]
    return {
        "rows": rows,
        "prompt_tokens": prompt,
        "completion_tokens": tokens,
        "lora_rank": rank,
        "threads": torch.get_num_threads(),
        "has_bfloat16": multiplies_bfloat16(torch.device("cpu")),
        "seconds": seconds,
        "tokens_per_second": {name: tokens / float(np.median(found)) for name, found in seconds.items()},
        "ratio": float(np.median(seconds["float32"]) / np.median(seconds["bfloat16"])),
        "logprob_shift": float(shift.mean()),
        "gradient_cosine": float(torch.nn.functional.cosine_similarity(exact, rounded, dim=0)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="folder, .gguf file or Hub id")
    parser.add_argument("--rank", type=int, default=16, help="rank of the LoRA adapters (default 16)")
    parser.add_argument("--turns", type=int, default=3, help="turns of each dtype that count (default 3)")
    parser.add_argument("--rows", type=int, default=8, help="rollouts of the group (default 8)")
    parser.add_argument("--prompt-tokens", type=int, default=200)
    parser.add_argument("--longest", type=int, default=224, help="tokens of the longest rollout (default 224)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    keep_freed_memory()
    row = measure(resolve_model(args.model), args.rank, args.turns, args.rows, args.prompt_tokens, args.longest, args.seed)
    command = module_command("bench.speed.training_passes", sys.argv[1:])
    row = {"command": command, "commit": git_commit(), "versions": versions(), "model": args.model, **row}
    write_atomically(args.out, json.dumps(row, indent=1) + "\n")
    print(json.dumps({name: row[name] for name in ("seconds", "ratio", "logprob_shift", "gradient_cosine")}, indent=1))


if __name__ == "__main__":
    main()
