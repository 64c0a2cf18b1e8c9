"""What a model's name means: folders and Hub ids are checked, a GGUF file is read once, and every mistake is one screen."""

from __future__ import annotations

import io
import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from probing.models import gguf_model
from probing.models.loading import load_model
from rl import cli
from rl.config.run_folder import open_run
from rl.config.schema import load_config
from rl.console import UserError
from rl.models import source as model_source
from rl.models.source import check_model, resolve_model
from rl.planning.model_size import read_model_size
from tests.probing.tiny_gguf import TOKENS, tiny_model, write_gguf
from tests.rl.tiny import NO_WEIGHTS, make_checkpoint


def test_a_checkpoint_folder_resolves_to_itself(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "m")
    assert resolve_model(str(folder)) == str(folder)


@pytest.mark.parametrize("lost", ["config.json", "model.safetensors", "tokenizer.json"])
def test_an_incomplete_checkpoint_is_named(tmp_path: Path, lost: str) -> None:
    folder = make_checkpoint(tmp_path / "m")
    (folder / lost).unlink()
    with pytest.raises(UserError) as caught:
        resolve_model(str(folder))
    assert lost.split(".")[-1] in caught.value.what
    assert caught.value.where == str(folder)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("/no/such/model", "no model at"),
        ("./gone", "no model at"),
        ("seedlng", "no model"),
        ("nobody/no-such-model-at-all", "neither cached nor reachable"),
    ],
)
def test_a_missing_model_is_named(name: str, what: str) -> None:
    with pytest.raises(UserError) as caught:
        resolve_model(name)
    assert what in caught.value.what
    assert caught.value.remedy


@pytest.mark.parametrize(("kind", "refused"), [("qwen2", False), ("bart_encoder", True)])
def test_a_hub_model_of_another_kind_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, refused: bool) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"model_type": kind}))
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *_, **__: str(config))
    with pytest.raises(UserError, match="no causal language model") if refused else nullcontext():
        assert check_model("org/model") == "org/model"


def test_an_adapters_folder_is_a_model_too(tmp_path: Path) -> None:
    for name in ("adapter_config.json", "tokenizer.json"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "adapter_model.safetensors").write_bytes(NO_WEIGHTS)
    assert resolve_model(str(tmp_path)) == str(tmp_path)


@pytest.mark.parametrize(
    ("file", "content", "what"),
    [
        ("config.json", b'{"model_type": ', "config.json of the model folder is damaged, or cut off"),
        ("tokenizer.json", b"[1]", "tokenizer.json of the model folder is damaged"),
        ("model.safetensors", b"", "cut off within its header"),
        ("model.safetensors", b"version https://git-lfs.github.com/spec/v1", "cut off within its header"),
        ("model.safetensors", NO_WEIGHTS[:-1], "cut off within its header"),
        ("model.safetensors", NO_WEIGHTS + b"0", "11 bytes instead of 10"),
        (
            "model.safetensors.index.json",
            b'{"weight_map": {"a": "model-2.safetensors"}}',
            "model-2.safetensors of the model folder is missing",
        ),
        ("config.json", b'{"model_type": "t5"}', "no causal language model of the type 't5'"),
        ("config.json", b"{}", "no causal language model of the type None"),
    ],
)
def test_what_transformers_could_not_load_is_said_before_any_work(tmp_path: Path, file: str, content: bytes, what: str) -> None:
    folder = make_checkpoint(tmp_path / "m")
    (folder / file).write_bytes(content)
    with pytest.raises(UserError) as caught:
        resolve_model(str(folder))
    assert what in caught.value.what and caught.value.where == str(folder)


def test_a_folder_of_gguf_files_is_told_to_name_one(tmp_path: Path) -> None:
    (tmp_path / "m.Q4.gguf").write_bytes(b"GGUF")
    with pytest.raises(UserError) as caught:
        resolve_model(str(tmp_path))
    assert str(tmp_path / "m.Q4.gguf") in caught.value.remedy


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_gguf(tmp_path / "tiny.gguf", tiny_model())


@pytest.fixture
def said() -> Console:
    return Console(record=True, width=400, force_terminal=False, file=io.StringIO())


def never(*_: Any) -> Any:
    pytest.fail("the file is read again")


def test_a_file_is_read_once_and_kept_in_the_run_folder(tmp_path: Path, file: Path, said: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "run" / "model"
    assert resolve_model(str(file), kept, said) == str(kept)
    assert f"reading {file} (qwen2, 0 M weights) once, into {kept}" in (text := said.export_text()) and "read GGUF" in text
    model, _ = load_model(str(kept), "cpu", "float32")
    assert torch.equal(model.model.norm.weight, tiny_model().model.norm.weight)
    monkeypatch.setattr(gguf_model, "load_gguf", never)
    assert resolve_model(str(file), kept, said) == str(kept)
    assert f"{kept}, made of {file} before" in said.export_text()
    file.unlink()
    assert check_model(str(file), kept) == resolve_model(str(file), kept, said) == str(kept)
    assert "which is not there any more" in said.export_text()


def test_another_file_of_the_same_name_is_not_gone_on_with(tmp_path: Path, file: Path, said: Console) -> None:
    kept = tmp_path / "run" / "model"
    resolve_model(str(file), kept, said)
    write_gguf(file, tiny_model(tied=False))
    with pytest.raises(UserError) as caught:
        resolve_model(str(file), kept, said)
    assert "is not the file that this model was made of" in caught.value.what and "--run_dir" in caught.value.remedy


def test_a_damaged_checkpoint_is_made_again(tmp_path: Path, file: Path, said: Console) -> None:
    kept = tmp_path / "run" / "model"
    resolve_model(str(file), kept, said)
    whole = (kept / "model.safetensors").read_bytes()
    (kept / "model.safetensors").write_bytes(whole[:-8])
    resolve_model(str(file), kept, said)
    assert (kept / "model.safetensors").read_bytes() == whole
    (kept / "config.json").unlink()
    file.unlink()
    with pytest.raises(UserError, match="the file is gone"):
        resolve_model(str(file), kept, said)


def test_a_kill_while_it_is_made_leaves_nothing_that_looks_whole(
    tmp_path: Path, file: Path, said: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "run" / "model"
    with monkeypatch.context() as patched:
        patched.setattr(model_source.json, "dumps", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            resolve_model(str(file), kept, said)
    assert not kept.exists()
    resolve_model(str(file), kept, said)
    assert json.loads((kept / "source.json").read_text())["file"] == "tiny.gguf"


def test_without_a_run_folder_it_is_kept_in_the_cache_by_its_content(
    tmp_path: Path, file: Path, said: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UCODER_CACHE", str(tmp_path / "cache"))
    first = resolve_model(str(file), console=said)
    assert first.startswith(str(tmp_path / "cache" / "gguf")) and first in said.export_text()
    renamed = file.rename(tmp_path / "other.gguf")
    with monkeypatch.context() as patched:
        patched.setattr(gguf_model, "load_gguf", never)
        assert resolve_model(str(renamed), console=said) == first
    assert resolve_model(str(write_gguf(file, tiny_model(tied=False))), console=said) != first


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").write_text("")
    monkeypatch.setenv("UCODER_CACHE", str(tmp_path / "cache"))
    with pytest.raises(UserError, match="the cache cannot be written") as caught:
        resolve_model(str(file))
    assert "UCODER_CACHE" in caught.value.remedy


def test_a_broken_file_ends_before_a_run_folder_is_made(tmp_path: Path, file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-4000])
    config = load_config(None, ["--model", str(file), "--run_dir", str(tmp_path / "run")])
    with pytest.raises(UserError, match="the file is cut off"):
        open_run(config)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("words", [["eval", "--no-skills"], ["plan"]])
def test_commands_refuse_a_broken_file_on_one_screen(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.gguf").write_bytes(b"PK\x03\x04")
    with pytest.raises(SystemExit) as left:
        cli.main([*words, "--model", str(tmp_path / "m.gguf")])
    assert left.value.code == 2
    err = capsys.readouterr().err
    assert "what   this is not a GGUF file" in err and f"where  {tmp_path / 'm.gguf'}" in err and "do     give a .gguf file" in err


def test_a_plan_refuses_what_a_run_would(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole[:-4000])
    with pytest.raises(UserError, match="the file is cut off"):
        read_model_size(str(file))
    file.write_bytes(whole)
    monkeypatch.setattr(gguf_model.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="needs the package gguf"):
        read_model_size(str(file))


def test_a_plan_reads_the_size_off_the_header(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf_model, "load_gguf", never)
    size = read_model_size(str(file))
    assert (size.parameters, size.layers, size.hidden, size.vocabulary) == (tiny_model().num_parameters(), 2, 64, len(TOKENS))
    assert size.kv_values_per_token == 2 * 2 * 2 * 16
    assert str(file) in size.source
