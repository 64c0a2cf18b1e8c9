"""How far the 8-bit copy that samples on a CPU is from the policy that it was made of.

    python -m bench.int8_policy --model Qwen/Qwen2.5-Coder-0.5B-Instruct

Answers are drawn from the policy itself; both then give every token's distribution at every place of these texts. Reported over places:
KL(policy || copy) and KL(copy || policy) in nats a token, how often the likeliest token is the same, and how far the logprob of the drawn
token moves; over answers drawn from the copy: the importance ratio policy / copy of a token and of a whole answer, and the effective
share of the answers that it leaves. Also how long a copy takes to make. Writes `bench/results/int8_policy.json`.

Shapes: P places of one answer, V tokens.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from bench.command import module_command
from bench.real.sampling import questions
from probing.memory import keep_freed_memory
from probing.models.loading import load_model
from probing.samplers.base import Completion, SamplingParams
from probing.samplers.engines.int8 import input_levels, int8_copy
from probing.samplers.engines.transformers import TransformersSampler
from rl.config.run_folder import git_commit
from rl.models.source import resolve_model

OUT = Path(__file__).parent / "results" / "int8_policy.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="folder, .gguf file or Hub id")
    parser.add_argument("--prompts", type=int, default=40)
    parser.add_argument("--max-new-tokens", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    keep_freed_memory()
    model, tokenizer = load_model(resolve_model(args.model), "cpu", "float32")
    texts, stop = questions(tokenizer, args.prompts)
    prompts = [list(ids) for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]]
    started = time.perf_counter()
    copy = int8_copy(model)
    seconds = time.perf_counter() - started
    params = SamplingParams(max_new_tokens=args.max_new_tokens, stop=stop)
    drawn = {name: TransformersSampler(m, tokenizer).sample(texts, 1, params, args.seed) for name, m in (("policy", model), ("copy", copy))}
    places = [compare(model, copy, prompt, answer) for prompt, (answer,) in zip(prompts, drawn["policy"], strict=True)]
    figures = {name: np.concatenate([place[name] for place in places]) for name in places[0]}
    ratios = [log_ratio(model, prompt, answer) for prompt, (answer,) in zip(prompts, drawn["copy"], strict=True)]
    per_token, per_answer = np.exp(np.concatenate(ratios)), np.exp([ratio.sum() for ratio in ratios])
    row = {
        "model": args.model,
        "prompts": len(prompts),
        "tokens": len(figures["kl"]),
        "kl_per_token": float(figures["kl"].mean()),
        "kl_per_token_reverse": float(figures["reverse"].mean()),
        "kl_per_token_99": float(np.quantile(figures["kl"], 0.99)),
        "greedy_agreement": float(figures["agree"].mean()),
        "logprob_shift": float(np.abs(figures["shift"]).mean()),
        "ratio_token_quantiles": np.quantile(per_token, [0.01, 0.5, 0.99]).tolist(),
        "ratio_answer_quantiles": np.quantile(per_answer, [0.05, 0.5, 0.95]).tolist(),
        "effective_share_of_answers": float(per_answer.sum() ** 2 / (per_answer**2).sum() / len(per_answer)),
        "copy_seconds": seconds,
        "input_levels": input_levels(),
    }
    row |= {"command": module_command("bench.int8_policy", sys.argv[1:]), "commit": git_commit(), "torch": torch.__version__}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(row, indent=1) + "\n")
    print(json.dumps(row, indent=1))


@torch.no_grad()
def logprobs_of(model: PreTrainedModel, prompt: list[int], answer: Completion) -> torch.Tensor:
    """float32[P, V]: what a model gives at each place of an answer."""
    ids = torch.tensor([prompt + list(answer.token_ids[:-1])])
    logits: torch.Tensor = model(ids, logits_to_keep=len(answer.token_ids)).logits[0]
    return torch.log_softmax(logits.float(), dim=-1)


def compare(policy: PreTrainedModel, copy: PreTrainedModel, prompt: list[int], answer: Completion) -> dict[str, Any]:
    """Figures of each place of an answer, float64[P] each."""
    p_PV, q_PV = logprobs_of(policy, prompt, answer), logprobs_of(copy, prompt, answer)
    token_P1 = torch.tensor(answer.token_ids)[:, None]
    found = {
        "kl": (p_PV.exp() * (p_PV - q_PV)).sum(dim=-1),
        "reverse": (q_PV.exp() * (q_PV - p_PV)).sum(dim=-1),
        "agree": (p_PV.argmax(dim=-1) == q_PV.argmax(dim=-1)),
        "shift": (q_PV - p_PV).gather(1, token_P1)[:, 0],
    }
    return {name: values.double().numpy() for name, values in found.items()}


def log_ratio(policy: PreTrainedModel, prompt: list[int], answer: Completion) -> np.ndarray[Any, np.dtype[np.float64]]:
    """float64[P]: log of policy over copy, for the tokens of an answer that the copy drew by its own logprobs."""
    own_P = logprobs_of(policy, prompt, answer).gather(1, torch.tensor(answer.token_ids)[:, None])[:, 0].double().numpy()
    ratio: np.ndarray[Any, np.dtype[np.float64]] = own_P - np.array(answer.logprobs)
    return ratio


if __name__ == "__main__":
    main()
