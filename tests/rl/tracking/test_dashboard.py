"""`ucoder dashboard`: what Weights & Biases refuses, or does not answer, ends in one screen."""

from __future__ import annotations

import pytest
import requests
import wandb
from wandb.sdk.lib.service.service_connection import WandbApiFailedError

from rl.cli import main

pytestmark = pytest.mark.slow
pytest.importorskip("wandb_workspaces")

FAULTS = [wandb.errors.AuthenticationError("not verified"), WandbApiFailedError("no answer"), requests.ConnectionError("no route")]


@pytest.mark.parametrize("words", [[], ["--entity", "me"]], ids=["who am I", "save"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
def test_a_server_that_does_not_take_it_ends_in_one_screen(
    fault: Exception, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def api() -> None:
        raise fault

    monkeypatch.setattr(wandb, "Api", api)
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    with pytest.raises(SystemExit) as ended:
        main(["dashboard", *words])
    assert ended.value.code == 2
    screen = capsys.readouterr().err
    assert str(fault) in screen and "--preview" in screen and "Traceback" not in screen
