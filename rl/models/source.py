"""What the name of a model means: `seedling`, a checkpoint folder, a Hugging Face Hub id, or a GGUF file; and where its checkpoint lies.

transformers reads a GGUF file slowly, and cannot save what it has read. So a file is read once and kept as an ordinary checkpoint:

    RUN/model                                of a run, which needs the file no more
    $UCODER_CACHE/gguf/SHA-256, else         of a command without a run folder
    ~/.cache/ucoder/gguf/SHA-256

Beside the checkpoint lies the SHA-256 of its file (`source.json`): a run does not go on with another file of the same name.
"""

from __future__ import annotations

import difflib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from probing.models.gguf_header import GgufError, is_gguf
from rl.console import UserError, make_console, stage
from rl.models.folders import check_checkpoint, check_kind
from rl.models.hub import hub_answers

SEEDLING_WEIGHTS = Path(__file__).resolve().parents[2] / "seedling" / "weights"
KEPT = "model"  # folder in a run's, for the checkpoint of a GGUF file
SOURCE = "source.json"
GIVE = "give a checkpoint folder, a .gguf file, a Hugging Face Hub id, or `seedling`"


def resolve_model(name: str, kept: Path | None = None, console: Console | None = None) -> str:
    """The checkpoint folder or Hub id that transformers loads: `seedling` becomes the bundled folder, a folder is checked, a Hub id is
    looked up, and of a GGUF file there is a checkpoint afterwards, made where there is none.

    kept: where the checkpoint of a GGUF file is, or is to be (None: the user's cache). console: where its making is said (None: stderr).
    Raises UserError when there is nothing to load.
    """
    if not names_gguf(name):
        return check_model(name)
    file, out = Path(name).expanduser(), console or make_console(stderr=True)
    if kept is not None:
        _keep(file, kept, out)
        return str(kept)
    check_model(name)
    kept = cache_folder() / "gguf" / _sha256(file)
    with _alone(kept):
        _keep(file, kept, out)
    return str(kept)


def check_model(name: str, kept: Path | None = None) -> str:
    """As `resolve_model`, but makes nothing: whatever can be known beforehand of a model that cannot be loaded is an error now.

    Returns the checkpoint's folder or Hub id; of a GGUF file `kept`, or the file itself. Raises UserError.
    """
    if names_gguf(name):
        if kept is None or not (kept / SOURCE).is_file():
            _check_gguf(Path(name).expanduser())
        return str(kept or name)
    folder = SEEDLING_WEIGHTS if name == "seedling" else Path(name).expanduser()
    if name == "seedling" or folder.exists():
        check_checkpoint(folder, bundled=name == "seedling")
        return str(folder)
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise UserError(f"no model at {name}", "model", GIVE)
    if difflib.get_close_matches(name, ["seedling"], 1, 0.7):
        raise UserError(f"no model {name!r}", "model", "did you mean seedling?")
    _check_hub(name)
    return name


def names_gguf(name: str) -> bool:
    """Whether a model's name is that of a GGUF file, be it there or not."""
    return is_gguf(name) and not Path(name).expanduser().is_dir()


def cache_folder() -> Path:
    """Where things that take long to make are kept between commands."""
    return Path(os.environ.get("UCODER_CACHE") or "~/.cache/ucoder").expanduser()


def _check_gguf(file: Path) -> Any:
    """The header of a file that can be read."""
    from probing.models.gguf_model import check_gguf

    if not file.is_file():
        raise UserError(f"no model file {file}", "model", f"check the path, or {GIVE}")
    try:
        return check_gguf(file)
    except GgufError as error:
        raise UserError(str(error), str(file), error.remedy) from None
    except OSError as error:
        raise UserError(f"the model file cannot be read: {error.strerror}", str(file), "give a readable file") from None


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _keep(file: Path, folder: Path, console: Console) -> None:
    """Leave the checkpoint of a GGUF file in `folder`. One that is there and whole stays; one of another file is an error."""
    from rl.models.checkpoints import damage

    wrong = None
    if (folder / SOURCE).is_file():
        source, wrong = json.loads((folder / SOURCE).read_text(encoding="utf-8")), damage(folder)
        if not file.is_file():
            if wrong is not None:
                said = f"the checkpoint made of {file} is damaged ({wrong}), and the file is gone"
                raise UserError(said, str(folder), "put the file back")
            return _say(console, f"{folder}, made of {source['file']}, which is not there any more")
        if (digest := _sha256(file)) != source["sha256"]:
            said = f"{file} is not the file that this model was made of: its SHA-256 is {digest[:12]}…, not {source['sha256'][:12]}…"
            raise UserError(said, str(folder), "choose another --run_dir, or put the first file back")
        if wrong is None:
            return _say(console, f"{folder}, made of {file} before")
    return _convert(file, folder, console, wrong)


def _convert(file: Path, folder: Path, console: Console, wrong: str | None) -> None:
    """Make the checkpoint. wrong: what was wrong with the one before."""
    from probing.models.gguf_model import load_gguf
    from rl.models.checkpoints import atomic_folder

    header = _check_gguf(file)
    again = f", again: {wrong}" if wrong else ""
    _say(console, f"reading {file} ({header.architecture}, {header.parameters / 1e6:,.0f} M weights) once, into {folder}{again}")
    try:
        with stage("read GGUF", round((file.stat().st_size - header.data_start) / 1e6), "MB", console) as advance:
            found = load_gguf(header, _in_megabytes(advance))
            with atomic_folder(folder) as partial:
                found.save(partial)
                source = {"file": file.name, "sha256": _sha256(file), "notes": found.notes}
                (partial / SOURCE).write_text(json.dumps(source, indent=1), encoding="utf-8")
    except GgufError as error:
        raise UserError(str(error), str(file), error.remedy) from None
    except OSError as error:
        remedy = "make room, or choose another --run_dir (for commands without one: $UCODER_CACHE)"
        raise UserError(f"the checkpoint made of {file} cannot be written: {error}", str(folder), remedy) from None
    for note in found.notes:
        _say(console, note)


def _say(console: Console, text: str) -> None:
    console.print(f"{'model':<16} {text}", markup=False, soft_wrap=True)


def _in_megabytes(advance: Any) -> Any:
    """An `advance` that takes bytes, for a bar that counts megabytes."""
    read = [0]

    def more(count: int) -> None:
        before, read[0] = read[0], read[0] + count
        advance(round(read[0] / 1e6) - round(before / 1e6))

    return more


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time makes a folder of the cache; the others wait for it."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = folder.with_name(f".{folder.name}.lock").open("w")
    except OSError as error:
        remedy = "set UCODER_CACHE to another folder"
        raise UserError(f"the cache cannot be written: {error.strerror}", str(folder.parent), remedy) from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _check_hub(name: str) -> None:
    """A Hub id is there when its config.json is cached or can be fetched, and is usable when that is of a causal language model."""
    from huggingface_hub import errors, hf_hub_download

    try:
        config = hf_hub_download(name, "config.json", etag_timeout=10, local_files_only=not hub_answers())
    except errors.LocalEntryNotFoundError:
        remedy = "download it once while online (hf download " + name + "), or give a checkpoint folder or a .gguf file"
        raise UserError(f"no model folder {name}, and as a Hub id it is neither cached nor reachable", "model", remedy) from None
    except errors.GatedRepoError:
        raise UserError(f"the Hub model {name} is gated", "model", "accept its terms on the Hub and log in with: hf auth login") from None
    except errors.EntryNotFoundError:
        remedy = f"a repository of GGUF files? fetch one (hf download {name} FILE.gguf --local-dir DIR), and give DIR/FILE.gguf"
        raise UserError(f"the Hub repository {name} holds no transformers checkpoint (config.json)", "model", remedy) from None
    except (errors.RepositoryNotFoundError, errors.HFValidationError):
        raise UserError(f"no model folder {name}, and no such model on the Hugging Face Hub", "model", f"check the id, or {GIVE}") from None
    check_kind(json.loads(Path(str(config)).read_text(encoding="utf-8")).get("model_type"), name)
