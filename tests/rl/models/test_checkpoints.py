"""Checkpoints: whole or not there, and damage is seen before anything is built on it."""

from __future__ import annotations

import errno
import json
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from probing.samplers.base import PromptError
from rl.config.run_folder import FREE_KEYS
from rl.console import make_console
from rl.loop.failures import EXIT_FAILED, failure_screen, is_full
from rl.models.checkpoints import atomic_folder, damage, latest_complete, mark_complete, read_result, write_result
from rl.progress import ProgressFile
from rl.ranks.ranks import EXIT_LOST, RankError
from rl.run import Run


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "checkpoint"
    with atomic_folder(path) as partial:
        (partial / "config.json").write_text("{}")
        (partial / "deep").mkdir()
        (partial / "deep" / "model.safetensors").write_bytes(bytes(range(256)) * 64)
    return path


def test_what_was_written_is_sound(checkpoint: Path) -> None:
    assert damage(checkpoint) is None
    (checkpoint / "README.md").write_text("added later, by a person")
    assert damage(checkpoint) is None


def test_a_cut_file_a_changed_byte_and_a_missing_one_are_told_apart(checkpoint: Path) -> None:
    path = checkpoint / "deep" / "model.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:1000])
    assert "has 1,000 bytes instead of 16,384" in str(damage(checkpoint))
    path.write_bytes(content[:-1] + b"?")
    assert "SHA-256 differs" in str(damage(checkpoint))
    path.unlink()
    assert "is missing" in str(damage(checkpoint))


def test_a_checkpoint_without_its_manifest_is_not_trusted(checkpoint: Path) -> None:
    (checkpoint / "manifest.json").unlink()
    assert "manifest.json is missing" in str(damage(checkpoint))


def test_a_failure_while_writing_leaves_the_older_one(checkpoint: Path) -> None:
    def write() -> None:
        with atomic_folder(checkpoint) as partial:
            (partial / "config.json").write_text("new")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write()
    assert damage(checkpoint) is None and (checkpoint / "config.json").read_text() == "{}"


def test_a_finished_training_with_a_damaged_checkpoint_is_not_finished(
    tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_result(tmp_path, {"history": []})
    assert read_result(tmp_path) == {"history": []}
    (checkpoint / "config.json").write_text("{ }")
    assert read_result(tmp_path) is None
    assert "config.json" in capsys.readouterr().err


def test_the_newest_sound_trainer_checkpoint_is_resumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for step in (2, 10):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "optimizer.pt").write_bytes(b"x" * 100)
        mark_complete(folder, {"step": step})
    found = latest_complete(tmp_path)
    assert found == (tmp_path / "checkpoint-10", {"step": 10})
    (tmp_path / "checkpoint-10" / "optimizer.pt").write_bytes(b"x" * 50)
    found = latest_complete(tmp_path)
    assert found == (tmp_path / "checkpoint-2", {"step": 2})
    assert "passing over a damaged checkpoint" in capsys.readouterr().err
    json.loads((tmp_path / "checkpoint-2" / "complete.json").read_text())


def test_a_full_disk_is_known_by_whoever_meets_it() -> None:
    assert is_full(OSError(errno.ENOSPC, "No space left on device"))
    assert is_full(RuntimeError("[enforce fail] . PytorchStreamWriter failed writing file data/3: file write failed"))
    wrapped = RuntimeError("could not save")
    wrapped.__cause__ = OSError(errno.EDQUOT, "Disk quota exceeded")
    assert is_full(wrapped) and not is_full(RuntimeError("shapes differ"))


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (RankError("rank 3 (host b, pid 9) has died in round 1, solutions"), EXIT_LOST, "rank 3 (host b, pid 9)"),
        (OSError(errno.ENOSPC, "No space left on device", "/runs/x"), EXIT_FAILED, "/runs/x: No space left on device"),
    ],
)
def test_a_failure_ends_in_one_screen(error: Exception, status: int, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught, failure_screen():
        raise error
    said = capsys.readouterr().err
    assert caught.value.code == status and words in said and "the same command goes on" in said and "Traceback" not in said


@pytest.mark.parametrize(
    ("doing", "keys"),
    [
        ("grpo", ("grpo.micro_batch", "grpo.gradient_checkpointing", "grpo.vllm_memory")),
        ("sft", ("sft.micro_batch", "sft.gradient_checkpointing")),
        ("proposer", ("grpo.micro_batch",)),
        ("solutions", ("sampling.batch_size", "sampling.vllm.gpu_memory")),
        (None, ("sampling.batch_size",)),
    ],
)
def test_a_full_device_names_the_keys_that_take_less(doing: str | None, keys: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """All of them may change within a run, so that the same command goes on with them."""
    bars = SimpleNamespace(console=make_console(quiet=True), progress=ProgressFile(None))
    bar = Run.bar(bars, 1, doing, 3, "steps") if doing else nullcontext()  # type: ignore[arg-type]
    with pytest.raises(SystemExit) as caught, failure_screen(), bar:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    said = capsys.readouterr().err
    assert caught.value.code == EXIT_FAILED and "Tried to allocate 2.00 GiB" in said and (doing is None or f"in {doing}" in said)
    assert all(key in said for key in keys) and "the same command goes on" in said and "Traceback" not in said
    assert all(key in FREE_KEYS or key.endswith("micro_batch") for key in keys)


def test_a_prompt_that_does_not_fit_is_said_with_where_it_was_asked(capsys: pytest.CaptureFixture[str]) -> None:
    bars: Any = SimpleNamespace(console=make_console(quiet=True), progress=ProgressFile(None))
    with pytest.raises(SystemExit) as caught, failure_screen(), Run.bar(bars, 1, "solutions", 3, "samples"):
        raise PromptError("prompt 3 has 9000 tokens, which with max_new_tokens=512 passes the engine's 4096")
    said = capsys.readouterr().err
    assert caught.value.code == EXIT_FAILED and "in solutions" in said and "prompt 3 has 9000 tokens" in said and "Traceback" not in said
    assert "max_new_tokens of what is asked" in said


def test_a_defect_keeps_its_traceback() -> None:
    with pytest.raises(RuntimeError, match="shapes differ"), failure_screen():
        raise RuntimeError("shapes differ")
