"""What `ucoder push` sends: the folders of the model and of its problems, and their upload to the Hugging Face Hub."""

from __future__ import annotations

import shutil
from pathlib import Path

import yaml
from huggingface_hub import HfApi, errors
from huggingface_hub.utils import validate_repo_id

from rl.config.run_folder import read_json
from rl.console import UserError
from rl.report.page import render
from rl.run_data import RunData
from rl.sharing.cards import DATASET_FILE, dataset_card, model_card
from rl.sharing.problems import problem_dataset
from rl.sharing.published import base_name, published

# What goes wrong between here and the Hub. Its own HTTP error derives from that of the library whose sessions it opens (httpx or httpx2, by
# version): no connection and no answer are errors of that one.
_HTTP_FAULTS = tuple(kind for kind in errors.HfHubHTTPError.__mro__ if issubclass(kind, Exception) and kind is not Exception)
HUB_FAULTS: tuple[type[Exception], ...] = (*_HTTP_FAULTS, errors.LocalTokenNotFoundError, errors.OfflineModeIsEnabled, OSError)
RUN_FILES = ("versions.json", "summary.json", "metrics.jsonl")


def best_checkpoint(run: RunData) -> Path:
    """The checkpoint that the run ends with. Raises UserError where there is none to give away."""
    if not run.finished:
        raise UserError("the run is not finished", str(run.folder), "give its command again: it goes on where it stopped")
    if not run.final["round"]:
        raise UserError("the run ends with its base model: there is nothing new to share", str(run.folder))
    folder = run.folder / run.final["training"]["checkpoint"]
    if not any((folder / name).is_file() for name in ("config.json", "adapter_config.json")):
        raise UserError("the run's checkpoint is gone", str(folder), "give the run's command again: it makes what is missing")
    base = adapter_base(folder)
    if base is not None and not base_name(base)[1]:
        remedy = (
            "train with grpo.lora.checkpoint (or sft.lora.checkpoint) merged, or merge the adapter into its base (peft: merge_and_unload)"
        )
        raise UserError(f"it is an adapter of a model that only this machine has ({base}): nobody else could load it", str(folder), remedy)
    return folder


def adapter_base(checkpoint: Path) -> str | None:
    """The model that an adapter belongs to, as its config names it; None for a checkpoint of whole weights. Raises UserError."""
    path = checkpoint / "adapter_config.json"
    if not path.is_file():
        return None
    base = read_json(path).get("base_model_name_or_path")
    if not isinstance(base, str):
        raise UserError("the adapter names no base model", str(path), "give the run's command again: it makes what is missing")
    return base


def check_name(repo: str) -> None:
    """Raises UserError for what the Hub takes for no repository name."""
    try:
        validate_repo_id(repo)
    except errors.HFValidationError as error:
        raise UserError(f"that is no repository name: {error}", "--repo", "write it as user/name") from None


def write_folders(run: RunData, checkpoint: Path, repo: str, folder: Path) -> None:
    """FOLDER/model: checkpoint, tokenizer, card, and run/ with what it came from. FOLDER/dataset: the problems and their card."""
    model, data, name = folder / "model", folder / "dataset", f"{repo}-problems"
    shutil.copytree(checkpoint, model)
    (model / "run").mkdir()
    for file in RUN_FILES:
        if (run.folder / file).is_file():
            shutil.copy(run.folder / file, model / "run" / file)
    shown = published(run)
    (model / "run" / "config.yaml").write_text(yaml.safe_dump(shown.config, sort_keys=False), encoding="utf-8")
    (model / "run" / "report.html").write_text(render(shown), encoding="utf-8")
    (model / "README.md").write_text(model_card(run, repo, name, adapter_base(checkpoint)), encoding="utf-8")
    data.mkdir(parents=True)
    problems = problem_dataset(run)
    problems.to_parquet(data / DATASET_FILE)
    (data / "README.md").write_text(dataset_card(run, repo, name, len(problems)), encoding="utf-8")


def upload(folder: Path, repo: str, private: bool) -> list[str]:
    """Send both folders; returns their addresses. Raises UserError when the Hub refuses them."""
    api, addresses = HfApi(), []
    try:
        for kind, name in (("model", repo), ("dataset", f"{repo}-problems")):
            addresses.append(str(api.create_repo(name, repo_type=kind, private=private, exist_ok=True)))
            api.upload_folder(repo_id=name, repo_type=kind, folder_path=folder / kind, commit_message="Upload by ucoder push")
    except HUB_FAULTS as error:
        remedy = "check the connection, and log in with: hf auth login; or look at the files first with --dry-run DIR"
        raise UserError(f"the Hub did not take it: {error}", f"--repo {repo}", remedy) from None
    return addresses
