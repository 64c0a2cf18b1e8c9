"""`ucoder solve` with transformers, servers and vLLM (all but the first stand-ins). The model is random, and so writes no program."""

from __future__ import annotations

from pathlib import Path

import pytest

from rl.cli import main
from tests.probing import doubles
from tests.probing.doubles.server import Server
from tests.probing.tiny_models import write_checkpoint
from tests.solve.toys import STATEMENT

pytestmark = pytest.mark.slow
DOUBLES = Path(doubles.__file__).parent


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"), 2048)


@pytest.mark.parametrize("backend", ["transformers", "http", "http, text alone", "http, other weights", "vllm"])
def test_every_engine_is_asked(
    checkpoint: str, backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(DOUBLES))
    monkeypatch.setenv("PYTHONPATH", str(DOUBLES))
    file = tmp_path / "problem.md"
    file.write_text(STATEMENT + "\nlargest_gap([1, 5]) == 4\n")
    words = ["solve", str(file), "--model", checkpoint, "--samples", "3", "--max_new_tokens", "4", "--device", "cpu"]
    with Server(checkpoint, 2048) as server, pytest.raises(SystemExit) as left:
        served = backend.startswith("http")
        server.text_alone = backend == "http, text alone"
        if backend == "http, other weights":
            server.root = "/somewhere/else"
            words += ["--http_model", server.name]
        main([*words, *(["--url", server.url] if served else ["--backend", backend])])
    said = capsys.readouterr().err
    assert left.value.code == 2 and "none of 3 answers holds a program" in said
    assert (server.completions > 0) == served
    assert ("taken as text" in said) == (backend in ("http, text alone", "http, other weights"))
