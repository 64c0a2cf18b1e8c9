"""What the tests of engines share: a small checkpoint, and a server that has it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.probing.doubles.server import Server
from tests.probing.tiny_models import write_checkpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"), 256)


@pytest.fixture
def server(checkpoint: str) -> Iterator[Server]:
    with Server(checkpoint) as running:
        yield running
