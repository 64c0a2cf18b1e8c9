"""Finished evaluations on disk, keyed by model weights, benchmark data, settings and scoring code, so that nothing is computed twice.

    DIR/<model hash>/<benchmark>-<key>.json

Results in which anything is missing are not kept: an infrastructure failure deserves another try.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
from dataclasses import asdict
from pathlib import Path

from rl.benchmarks.base import Benchmark
from rl.benchmarks.data import REPOSITORY
from rl.config.evals import EvalsConfig
from rl.config.run_folder import write_atomically
from rl.evals.metrics import Sample
from rl.evals.runner import EvalResult

HASHED = ("*.safetensors", "pytorch_model*.bin", "*.json", "*.jinja", "*.model", "merges.txt")
LIBRARIES = ("torch", "transformers", "tokenizers")


def model_hash(path: str) -> str:
    """Hash of a checkpoint: of the files in its folder, or of a Hub id with the revision that is cached."""
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
    return digest.hexdigest()


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

    offer: the interpreter that runs programs, and the packages that it offers them (`Offer.identity`).
    """

    def __init__(self, folder: Path, model: str, backend: str = "transformers", offer: str = "") -> None:
        self.folder, self.backend, self.offer = folder.expanduser() / model[:16], backend, offer

    def _path(self, benchmark: Benchmark, config: EvalsConfig) -> Path:
        found = {name: importlib.metadata.version(name) for name in LIBRARIES}
        settings = json.dumps(
            [benchmark.digest(), config.model_dump(mode="json", exclude={"benchmarks"}), found, scoring_hash(), self.backend, self.offer],
            sort_keys=True,
        )
        return self.folder / f"{benchmark.name}-{hashlib.sha256(settings.encode()).hexdigest()[:16]}.json"

    def get(self, benchmark: Benchmark, config: EvalsConfig) -> EvalResult | None:
        """The result of an earlier evaluation with the same settings; None where there is none."""
        try:
            stored = json.loads(self._path(benchmark, config).read_text(encoding="utf-8"))
            samples = [Sample(**row) for row in stored["samples"]]
            return EvalResult(stored["benchmark"], stored["metrics"], stored["tasks"], samples)
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def put(self, benchmark: Benchmark, config: EvalsConfig, result: EvalResult) -> None:
        """Keep a result, unless anything in it is missing."""
        if result.metrics.get("missing") == 0:  # an unavailable scorer's result has no such count
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self._path(benchmark, config), json.dumps(asdict(result)))
