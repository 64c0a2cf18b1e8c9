"""What transformers itself gives the tokens of an answer."""

from __future__ import annotations

import torch

from probing.models.loading import load_model
from probing.samplers.base import Completion


def logprobs_of(checkpoint: str, prompt: str, completion: Completion) -> torch.Tensor:
    """float32[L]: the logprobs of a completion's L tokens under a checkpoint."""
    loaded, tok = load_model(checkpoint, "cpu")
    ids = tok(prompt, add_special_tokens=False)["input_ids"]
    logprobs = torch.log_softmax(loaded(torch.tensor([ids + list(completion.token_ids)])).logits[0].float(), -1)
    return logprobs[len(ids) - 1 : -1].gather(1, torch.tensor(completion.token_ids)[:, None])[:, 0]
