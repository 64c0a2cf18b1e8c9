"""The options of commands that ask a model (`ucoder eval`, `ucoder solve`): which engine draws the samples, where, and which packages
programs may import.
"""

from __future__ import annotations

import argparse
import json
import typing
from collections.abc import Sequence
from typing import Any

from probing.samplers.config import SamplingConfig
from rewards.text import json_fault
from rl.config.loader import load
from rl.console import UserError

BACKENDS = typing.get_args(SamplingConfig.model_fields["backend"].annotation)
HTTP_PATIENCE = 30.0  # seconds for a server to come back: somebody is watching, unlike a run
EPILOG = "The other keys of a config's section `sampling` can be given too: --sampling.vllm.tensor_parallel 2"


def add_engine_options(top: argparse.ArgumentParser) -> None:
    """The options that `sampling_from` and `template_args_from` read."""
    top.add_argument("--batch_size", type=int, default=256, help="most sequences decoded at once (default 256)")
    top.add_argument(
        "--chat_template_args",
        metavar="JSON",
        help="""arguments of the model's chat template: '{"enable_thinking": false}'""",
    )
    top.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default auto)")
    top.add_argument("--backend", choices=BACKENDS, help="engine that draws the samples (default transformers; with --url, http)")
    top.add_argument("--url", help="of an OpenAI-compatible server, up to and with /v1; it must have the model")
    top.add_argument("--http_model", metavar="NAME", help="the server's name for the model (default: as in --model)")


def sampling_from(args: argparse.Namespace, others: Sequence[str], command: str, parity_prompts: int | None = None) -> SamplingConfig:
    """The sampler's settings: the command's own options, and any key of the section as --sampling.KEY. Raises UserError.

    command: named in the message on an unknown option. parity_prompts: of a server, where they are not given (None: the section's default).
    """
    if others and not others[0].startswith("--sampling."):
        raise UserError(f"unknown argument {others[0]!r}", "command line", f"see ucoder {command} --help")
    if args.url and args.backend not in (None, "http"):
        raise UserError(f"--url is for the backend http, not {args.backend}", "command line", "drop one of the two")
    given = {
        "backend": args.backend or ("http" if args.url else None),
        "batch_size": args.batch_size,
        "device": args.device,
        "http.url": args.url,
        "http.model": args.http_model,
        "http.patience": HTTP_PATIENCE,
        "http.parity_prompts": parity_prompts,
    }
    words = [word for key, value in given.items() if value is not None for word in (f"--{key}", str(value))]
    return load(SamplingConfig, None, [*words, *(word.replace("--sampling.", "--", 1) for word in others)])


def template_args_from(args: argparse.Namespace) -> dict[str, Any] | None:
    """--chat_template_args, read. Raises UserError."""
    text, remedy = args.chat_template_args, """write '{"enable_thinking": false}'"""
    try:
        value = None if text is None else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"--chat_template_args is no JSON: {json_fault(error)}", "command line", remedy) from None
    if not isinstance(value, dict | None):
        raise UserError(f"--chat_template_args is no JSON object: {text}", "command line", remedy)
    return value
