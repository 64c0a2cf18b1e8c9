"""How `ucoder solve` draws from a server: by text alone, unless the server is vLLM and has this checkpoint.

What solving needs of a server are answers. Logprobs decide ties alone, and nothing is trained on tokens, so any server with
`/v1/completions` does. No weights are loaded here: of `--model` the tokenizer and its chat template are used.
"""

from __future__ import annotations

from probing.samplers.config import SamplingConfig
from rl.console import warn
from rl.evals.engine import check_server

VLLM = "vllm"  # what it says of itself as a model's owner


def as_served(sampling: SamplingConfig, model_path: str) -> SamplingConfig:
    """The sampler's settings for the server as it is; others than those of a server stay. Raises UserError."""
    http = sampling.http
    if sampling.backend != "http" or http.retokenise or http.text_only:
        return sampling
    from probing.samplers.engines.http import same_place

    model = check_server(http, model_path)
    if model.get("owned_by") == VLLM and same_place(model.get("root"), model_path):
        return sampling
    warn(f"the server at {http.url} is not a vLLM with this checkpoint: its answers are taken as text (sampling.http.text_only)")
    return sampling.model_copy(update={"http": http.model_copy(update={"text_only": True, "parity_prompts": 0})})
