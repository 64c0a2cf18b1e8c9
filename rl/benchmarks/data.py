"""Where the data of benchmarks lies: files in $UCODER_DATA or shared/data, and datasets of the Hugging Face Hub."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

from rewards.text import json_lines
from rl.models.hub import hub_answers

REPOSITORY = Path(__file__).resolve().parents[2]


def data_folders() -> list[Path]:
    """Where benchmark files are looked for: $UCODER_DATA, then shared/data beside the repository."""
    stated = os.environ.get("UCODER_DATA")
    return [*([Path(stated).expanduser()] if stated else []), REPOSITORY.parent / "shared" / "data"]


def find_data(*names: str) -> Path | None:
    """The first of the named files (paths inside a data folder) that is there."""
    return next((folder / name for folder in data_folders() for name in names if (folder / name).is_file()), None)


def hub_file(repo: str, file: str, fetch: bool) -> Path | None:
    """A file of a dataset on the Hub, from the cache; downloaded only where `fetch` says so."""
    from huggingface_hub import errors, hf_hub_download

    try:
        return Path(hf_hub_download(repo, file, repo_type="dataset", local_files_only=not (fetch and hub_answers())))
    except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError, OSError):
        return None


def hub_rows(repo: str, config: str | None, split: str, fetch: bool) -> list[dict[str, Any]] | None:
    """The rows of a dataset on the Hub, from the cache; downloaded only where `fetch` says so. None where they cannot be had."""
    from huggingface_hub.constants import HF_HUB_CACHE

    fetch = fetch and hub_answers()
    if not fetch and not (Path(HF_HUB_CACHE) / f"datasets--{repo.replace('/', '--')}").is_dir():
        return None
    import datasets

    try:
        loaded = datasets.load_dataset(repo, config, split=split, download_config=datasets.DownloadConfig(local_files_only=not fetch))
    except (OSError, ValueError):
        return None
    return [dict(row) for row in loaded]


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Rows of a JSON lines file, gzipped or not."""
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    return [json.loads(line) for _, line in json_lines(text)]
