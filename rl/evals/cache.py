"""Finished evaluations on disk, keyed by model weights, benchmark data, settings and scoring code, so that nothing is computed twice.

    DIR/<model hash>/<benchmark>-<key>.json

Each says how its samples were drawn (`how_sampled`), since another machine may find it. Results in which anything is missing are not kept:
an infrastructure failure deserves another try.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from probing.samplers.config import SamplingConfig
from rl.benchmarks.base import Benchmark
from rl.benchmarks.data import REPOSITORY
from rl.config.evals import EvalsConfig
from rl.config.run_folder import write_atomically
from rl.console import UserError, warn
from rl.evals.engine import precision
from rl.evals.metrics import Sample
from rl.evals.runner import EvalResult

HASHED = ("*.safetensors", "pytorch_model*.bin", "adapter_model*.bin", "*.json", "*.jinja", "*.model", "merges.txt")
LIBRARIES = ("torch", "transformers", "tokenizers")
NO_MATTER = {"batch_size", "part", "device", "dtype", "weights"}  # of `sampling`; the last three come in as the precision that they make


def model_hash(path: str) -> str:
    """Hash of a checkpoint: of the files in its folder, or of a Hub id with the revision that is cached; of an adapter with its base.

    Raises UserError for an adapter that names no base.
    """
    from probing.models.loading import ADAPTER, ModelError, adapter_base, is_adapter  # torch

    digest = hashlib.sha256()
    folder = Path(path).expanduser()
    if not folder.is_dir():
        from huggingface_hub import try_to_load_from_cache

        config = try_to_load_from_cache(path, "config.json")
        revision = Path(config).parent.name if isinstance(config, str) else "unknown"
        return hashlib.sha256(f"{path}@{revision}".encode()).hexdigest()
    for file in sorted({f for pattern in HASHED for f in folder.glob(pattern)}):
        digest.update(file.name.encode())
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    if is_adapter(path):
        try:
            digest.update(model_hash(adapter_base(path)).encode())
        except ModelError as error:
            raise UserError(str(error), str(folder / ADAPTER), "give an adapter written by save_pretrained") from None
    return digest.hexdigest()


def who_answers(sampling: SamplingConfig, model: str) -> str:
    """What a cached answer depends on beside the model's weights: the engine in its precision and with its settings, as JSON.

    model: as the user named it, which is a server's name for it where none is given.
    """
    settings = sampling.model_dump(mode="json", exclude_defaults=True, exclude=NO_MATTER) | {"precision": precision(sampling)}
    if sampling.backend == "http":
        settings |= {"server": [sampling.http.url, sampling.http.model or model]}
    return json.dumps(settings, sort_keys=True)


@functools.cache
def scoring_hash() -> str:
    """Hash of the code that decides: a verdict of other adapters, or of another sandbox, is not this one's."""
    digest = hashlib.sha256()
    for name in ("probing/reading", "rl/benchmarks", "rl/evals", "rl/grading", "rewards"):
        folder = REPOSITORY / name
        for file in sorted(folder.rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()


class EvalCache:
    """Results of one model. A file that cannot be read counts as absent and is written again.

    drawn_by: see `who_answers`. offer: the interpreter that runs programs, and the packages that it offers them (`Offer.identity`).
    sampling: what is kept beside a result of how it was drawn (`how_sampled`).
    """

    def __init__(self, folder: Path, model: str, drawn_by: str = "", offer: str = "", sampling: Mapping[str, Any] | None = None) -> None:
        self.folder, self.drawn_by, self.offer = folder.expanduser() / model[:16], drawn_by, offer
        self.sampling = dict(sampling or {})

    def _path(self, benchmark: Benchmark, config: EvalsConfig) -> Path:
        found = {name: importlib.metadata.version(name) for name in LIBRARIES}
        settings = json.dumps(
            [
                benchmark.digest(),
                config.model_dump(mode="json", exclude={"benchmarks", "dtype"}),  # `drawn_by` has the precision
                *(found, scoring_hash(), self.drawn_by, self.offer),
            ],
            sort_keys=True,
        )
        return self.folder / f"{benchmark.name}-{hashlib.sha256(settings.encode()).hexdigest()[:16]}.json"

    def get(self, benchmark: Benchmark, config: EvalsConfig) -> EvalResult | None:
        """The result of an earlier evaluation with the same settings; None where there is none."""
        try:
            stored = json.loads(self._path(benchmark, config).read_text(encoding="utf-8"))
            samples = [Sample(**row) for row in stored["samples"]]
            return EvalResult(stored["benchmark"], stored["metrics"], stored["tasks"], samples, stored["sampling"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, benchmark: Benchmark, config: EvalsConfig, result: EvalResult) -> None:
        """Keep a result, unless anything in it is missing. Warns where it cannot be written: the result itself is there."""
        if result.metrics.get("missing") != 0:  # an unavailable scorer's result has no such count
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self._path(benchmark, config), json.dumps(asdict(result) | {"sampling": self.sampling}))
        except OSError as error:
            warn(f"the result of {benchmark.name} is not kept in {self.folder}: {error.strerror}")
