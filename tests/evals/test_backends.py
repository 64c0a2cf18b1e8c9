"""`ucoder eval` with each sampler: a server, vLLM (both stand-ins), and what is said where they are not there."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from probing.samplers.config import SamplingConfig
from rl.cli import main
from rl.config.evals import EvalsConfig
from rl.evals.engine import how_sampled, precision, sampling_of
from tests.evals.toys import TOY
from tests.probing import doubles
from tests.probing.doubles.server import Server
from tests.probing.tiny_models import write_checkpoint

pytestmark = pytest.mark.slow

DOUBLES = Path(doubles.__file__).parent
ASKED = ["--benchmarks", "toy", "--samples", "2", "--max_new_tokens", "8", "--device", "cpu"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"), 256)


@pytest.fixture
def server(checkpoint: str) -> Iterator[Server]:
    with Server(checkpoint) as started:
        yield started


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rl.evals.cli.load_benchmark", lambda *_, **__: TOY)


def completions(out: Path) -> list[str]:
    with gzip.open(out, "rt", encoding="utf-8") as file:
        return [json.loads(line)["completion"] for line in file]


def test_a_server_is_evaluated(checkpoint: str, server: Server, tmp_path: Path) -> None:
    out, samples = tmp_path / "out.json", tmp_path / "samples.jsonl.gz"
    words = ["eval", "--model", checkpoint, *ASKED, "--url", server.url, "--json", str(out), "--samples_out", str(samples)]
    assert main([*words, "--sampling.http.parity_prompts", "1"]) == 0
    record = json.loads(out.read_text())
    asked = {"backend": "http", "batch_size": 256, "device": "cpu"}
    assert record["sampling"] == asked | {"hardware": "the server's", "dtype": "the server's"}
    assert record["benchmarks"]["toy"]["metrics"]["samples"] == 4 == len(completions(samples))
    assert server.completions == 3, "one for the parity check, one for each task"


def test_a_result_from_the_cache_says_where_it_was_drawn(checkpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for card in ("one card", "another"):
        monkeypatch.setattr("rl.evals.engine.hardware", lambda *_, card=card: card)
        out = tmp_path / "out.json"
        assert main(["eval", "--model", checkpoint, *ASKED, "--cache", str(tmp_path / "cache"), "--json", str(out)]) == 0
        found.append(json.loads(out.read_text()))
    assert "sampling" not in found[0]["benchmarks"]["toy"]
    assert found[1]["benchmarks"]["toy"]["sampling"] == found[0]["sampling"] != found[1]["sampling"]


def test_greedy_answers_are_the_same_from_every_engine(
    checkpoint: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(DOUBLES))
    monkeypatch.setenv("PYTHONPATH", str(DOUBLES))
    found = {}
    for backend, more in (("transformers", []), ("http", ["--url", server.url]), ("vllm", ["--backend", "vllm"])):
        out = tmp_path / f"{backend}.jsonl.gz"
        words = ["eval", "--model", checkpoint, *ASKED, "--temperature", "0", "--samples_out", str(out), *more]
        assert main(words) == 0
        found[backend] = completions(out)
    assert found["transformers"] == found["http"] == found["vllm"]
    assert len(found["http"]) == 2


def test_a_server_with_another_model_is_refused_at_once(checkpoint: str, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["eval", "--model", checkpoint, *ASKED, "--url", server.url, "--http_model", "other"])
    said = capsys.readouterr().err
    assert left.value.code == 2 and f"has {checkpoint}, not other" in said and "--http_model" in said
    assert server.completions == 0


def test_a_package_that_is_not_there_is_named(checkpoint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for backend in ("vllm", "ray"):
        with pytest.raises(SystemExit) as left:
            main(["eval", "--model", checkpoint, *ASKED, "--backend", backend])
        assert left.value.code == 2 and f"pip install 'ucoder[{backend}]'" in capsys.readouterr().err


def test_evaluation_has_its_own_precision() -> None:
    training = SamplingConfig(dtype="bfloat16", batch_size=7, device="cpu")
    assert sampling_of(EvalsConfig(), training) == training.model_copy(update={"dtype": "float32", "weights": "full"})
    assert precision(sampling_of(EvalsConfig(dtype="bfloat16"), training)) == "bfloat16"
    rounded = sampling_of(EvalsConfig(dtype="int8"), training)
    assert (rounded.dtype, rounded.weights, precision(rounded)) == ("float32", "int8", "int8 weights")
    assert precision(SamplingConfig(dtype="auto", device="cpu")) == "float32"
    assert precision(SamplingConfig(backend="http")) == "the server's"


@pytest.mark.parametrize("backend", ["transformers", "http"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
def test_answers_that_are_graded_later_have_the_precision_of_those_that_are_drawn(dtype: str, backend: str) -> None:
    evals = EvalsConfig.model_validate({"dtype": dtype})
    sampling = sampling_of(evals, SamplingConfig.model_validate({"backend": backend, "device": "cpu"}))
    assert how_sampled(sampling, asked=False)["dtype"] == how_sampled(sampling, asked=True)["dtype"]
