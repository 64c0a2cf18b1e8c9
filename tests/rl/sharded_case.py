"""Sampling from a model that FSDP2 has sharded: `torchrun` starts it on two processes. Leaves OUT/rank_R.json with each rank's tokens."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from torch.distributed.fsdp import fully_shard

from probing.samplers.base import SamplingParams
from probing.samplers.engines.transformers import TransformersSampler
from rl.models.checkpoints import load_policy
from rl.training.rollouts import whole_parameters


def main(policy: Path, out: Path) -> None:
    torch.distributed.init_process_group("gloo")
    rank = torch.distributed.get_rank()
    model, tokenizer = load_policy(policy)
    for layer in model.model.layers:
        fully_shard(layer, reshard_after_forward=True)
    fully_shard(model, reshard_after_forward=True)
    found = []
    for turn in range(2):  # ranks decode for different numbers of steps
        with whole_parameters(model), torch.no_grad():
            sampler = TransformersSampler(model.eval(), tokenizer)
            drawn = sampler.sample(["abc", "def"][: rank + 1], 3, SamplingParams(max_new_tokens=4 + 6 * rank), seed=turn)
        found.append([[c.token_ids for c in group] for group in drawn])
        model(input_ids=torch.tensor([[3, 4, 5]]), labels=torch.tensor([[3, 4, 5]])).loss.backward()  # training goes on, sharded
    sharded = all(isinstance(p, torch.distributed.tensor.DTensor) for p in model.parameters())
    (out / f"rank_{rank}.json").write_text(json.dumps({"drawn": found, "sharded": sharded}))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
