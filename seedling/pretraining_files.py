"""What a pretraining leaves in its folder: weights and card after each phase, and where a phase stands, so that it can be resumed.

model.safetensors, config.json, tokenizer.json, …    after each phase, as transformers saves them
pretraining.json                                      the card: settings, and documents, tokens, minutes and loss of each finished phase
PHASE.partial.pt                                      inside a phase: weights, optimisers, position
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerFast, Qwen2ForCausalLM

from rewards.text import whole_file
from rewards.user_error import UserError

CARD = "pretraining.json"
AGAIN = "give the same options, or start anew without --resume"


@dataclass(frozen=True)
class Settings:
    """What decides the weights, beside the number of threads and the machine."""

    documents: int  # of all phases
    layers: int
    width: int
    seed: int
    precision: str  # of matrix products: bfloat16 or float32
    rates: Mapping[str, float]  # of `seedling.spellings`
    batch_tokens: int  # padded tokens a step
    corpus: str  # `seedling.corpus.corpus_digest`
    held_out: str  # `HeldOut.digest` of the tasks that the corpus leaves out


@dataclass
class Position:
    """Where a phase stands."""

    documents: int = 0
    tokens: int = 0  # padded ones
    final_loss: float = 0.0  # nats, smoothed
    seconds: float = 0.0


def partial_path(out: Path, phase: str) -> Path:
    return out / f"{phase}.partial.pt"


def forget(out: Path) -> None:
    """Remove what a resumed pretraining would go on from."""
    for path in (out / CARD, *out.glob("*.partial.pt")):
        path.unlink(missing_ok=True)


def finished_phases(out: Path, settings: Settings) -> list[dict[str, Any]]:
    """The card's phases, empty where no phase has ended. Raises UserError where there is nothing to resume, or other settings made it."""
    if (out / CARD).is_file():
        card: dict[str, Any] = json.loads((out / CARD).read_text(encoding="utf-8"))
        _check(card.get("settings"), settings, out / CARD)
        return list(card["phases"])
    partials = sorted(out.glob("*.partial.pt"))
    if not partials:
        raise UserError("no stopped pretraining lies here", str(out), "start one without --resume")
    _check(torch.load(partials[0], map_location="cpu", weights_only=False)["settings"], settings, partials[0])
    return []


def _check(found: Mapping[str, Any] | None, settings: Settings, path: Path) -> None:
    if found is None:
        raise UserError("these weights were made by an older version, which kept no settings", str(path), AGAIN)
    for name, value in asdict(settings).items():
        if found.get(name) != value:
            raise UserError(f"this pretraining has {name} {found.get(name)}, not {value}", str(path), AGAIN)


def save_partial(
    path: Path, model: Qwen2ForCausalLM, optimisers: Sequence[torch.optim.Optimizer], at: Position, settings: Settings
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    held = {"model": model.state_dict(), "optimisers": [o.state_dict() for o in optimisers], "at": asdict(at), "settings": asdict(settings)}
    with whole_file(path) as part:
        torch.save(held, part)


def load_partial(path: Path, model: Qwen2ForCausalLM, optimisers: Sequence[torch.optim.Optimizer]) -> Position:
    found = torch.load(path, map_location=model.device, weights_only=False)  # our own file
    model.load_state_dict(found["model"])
    for optimiser, state in zip(optimisers, found["optimisers"], strict=True):
        optimiser.load_state_dict(state)
    return Position(**found["at"])


def save(out: Path, model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerFast, card: Mapping[str, object]) -> None:
    """Weights first: the card says that they are there."""
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    with whole_file(out / CARD) as part:
        part.write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
