"""What the tests of engines share: a small checkpoint, and a server that has it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.probing.doubles.server import Server
from tests.probing.tiny_models import model, tokenizer


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("checkpoint")
    model("qwen2", positions=256).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return str(folder)


@pytest.fixture
def server(checkpoint: str) -> Iterator[Server]:
    with Server(checkpoint) as running:
        yield running
