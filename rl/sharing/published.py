"""A run as strangers see it: of a local path only the last part is published, in the config, the cards and the report alike."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

from probing.models.gguf_header import is_gguf
from probing.records import SELF_MADE
from probing.stages.config import HUB
from rl.run_data import Row, RunData

FOLDERS = ("run_dir", "prompts", "sandbox.environment", "sandbox.cache_dir")  # keys of the config that may name a local folder
MODELS = ("model", "sampling.http.model")  # a model here, or at the Hub
SOURCES = ("problems.source", "solutions.source")


def base_name(model: str) -> tuple[str, bool]:
    """(name of the base model for a reader, whether it is one of the Hub). Of a local path only the last part is published."""
    if model != "seedling" and _is_local(model):
        return Path(model).expanduser().name, False
    return model, model != "seedling"


def outside_name(source: str) -> str | None:
    """The name of a source for a reader, a file's without its folder; None for what the model made."""
    if source == SELF_MADE:
        return None
    return source if source.startswith(HUB) else Path(source).name


def published_config(config: Row) -> Row:
    """The config with its local paths cut: `./NAME`, which is not taken for a model of the Hub, the seedling or a bundled prompt set."""
    found = copy.deepcopy(config)
    for key in (*FOLDERS, *MODELS, *SOURCES):
        *sections, last = key.split(".")
        section = found
        for name in sections:
            section = section.get(name) or {}
        value = section.get(last)
        if not isinstance(value, str):
            continue
        if key in SOURCES:
            section[last] = outside_name(value) or value
        elif (key in MODELS and value != "seedling" and _is_local(value)) or (key in FOLDERS and "/" in value):
            section[last] = f"./{Path(value).expanduser().name}"
    return found


def published(run: RunData) -> RunData:
    """The run for a report that is given away: its config cut so, and its folder known by its name alone (its files stay in place)."""
    return replace(run, folder=Path(run.name), config=published_config(run.config))


def _is_local(model: str) -> bool:
    return Path(model).expanduser().exists() or model.startswith((".", "/", "~")) or model.count("/") > 1 or is_gguf(model)
