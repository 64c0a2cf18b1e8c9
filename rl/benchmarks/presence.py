"""Which benchmarks are here, found out when a run opens: said aloud, before any work, and left in RUN/benchmarks.json.

{"unavailable": {"mbpp_plus": "no mbppplus/MbppPlus.jsonl.gz in $UCODER_DATA or shared/data, ..."}, "texts": {"seedling": "9f2c...", ...}}

unavailable: those of `evals.benchmarks` that cannot be scored, with the reason. texts: those whose data is here, which problems are
decontaminated against, each with a digest of its tasks' ids, prompts and statements.

RUN/round_01/parts/scorable/NAME    whether a benchmark could be scored when the round's evaluation came to it: the first rank's word, by
which all go. A server may answer one rank and not another, and ranks that disagree would wait for one another's samples for ever.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl.benchmarks.base import BENCHMARKS, Benchmark, Unavailable, load_benchmark
from rl.benchmarks.external import scorable
from rl.config.run_folder import read_json, write_atomically
from rl.config.schema import Config
from rl.console import UserError, warn
from rl.ranks.ranks import Ranks
from rl.ranks.shards import wait_for

FILE = "benchmarks.json"
SCORABLE = "parts/scorable"
KEY = "evals.benchmarks"


@dataclass(frozen=True)
class Presence:
    """What is here of the benchmarks."""

    asked: tuple[str, ...]  # `evals.benchmarks`
    unavailable: tuple[Unavailable, ...]  # of these
    texts: dict[str, str]  # benchmark -> digest, of all known ones whose data is here

    @property
    def record(self) -> dict[str, Any]:
        """What benchmarks.json holds."""
        return {"unavailable": {absent.name: absent.reason for absent in self.unavailable}, "texts": self.texts}

    def describe(self) -> str:
        """A line for the console."""
        absent = [name for name in dict.fromkeys([*self.asked, *BENCHMARKS]) if name not in self.texts]
        return f"decontamination  against {', '.join(self.texts) or 'nothing'}" + (f"; not here: {', '.join(absent)}" if absent else "")

    def warn(self) -> None:
        """Say which benchmarks will have no figure, and what would help."""
        for absent in self.unavailable:
            warn(f"{absent.name} will not be evaluated: {absent.reason}. To have it: {absent.remedy}")


def look_for_benchmarks(config: Config, score: bool = True) -> Presence:
    """Loads every known benchmark and those of the config, and asks the latter whether they can be scored here.

    score: whether this process scores; one that does not need not ask for a benchmark's server or libraries.
    """
    asked, texts = config.evals.benchmarks, {}
    for name in dict.fromkeys([*asked, *BENCHMARKS]):
        benchmark = load_benchmark(name)
        if isinstance(benchmark, Benchmark):
            texts[name] = _digest(benchmark)
    found = [(name, scorable(load_benchmark(name))) for name in (asked if score else ())]
    unavailable = [Unavailable(name, answer.reason, answer.remedy) for name, answer in found if isinstance(answer, Unavailable)]
    return Presence(tuple(asked), tuple(unavailable), texts)


def _digest(benchmark: Benchmark) -> str:
    """Of what ranks share: answers are asked for by prompt, and problems compared with statements. The first rank alone scores."""
    parts = [f"{task.id}\0{task.prompt!r}\0{task.statement}\0" for task in benchmark.tasks]
    return hashlib.sha256("".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def check_any(presence: Presence, folder: Path) -> None:
    """Raises UserError where not one of `evals.benchmarks` can be scored: the run would end in a table of dashes. A run whose base was
    evaluated like that goes on."""
    if not presence.asked or len(presence.unavailable) < len(presence.asked) or (folder / "round_00" / "eval.json").is_file():
        return
    lines = [f"{absent.name}: {absent.reason}" for absent in presence.unavailable]
    remedies = list(dict.fromkeys(absent.remedy for absent in presence.unavailable))
    raise UserError("not one benchmark can be scored here\n" + "\n".join(lines), KEY, "\n".join([*remedies, f"or name others in {KEY}"]))


def keep_presence(presence: Presence, folder: Path) -> None:
    """Leave benchmarks.json in the run's folder, and say where it differs from what the run was started with."""
    before = read_json(folder / FILE).get("texts")
    if before is not None and before != presence.texts:
        changed = [name for name in dict.fromkeys([*before, *presence.texts]) if before.get(name) != presence.texts.get(name)]
        warn(f"other benchmark data is here than when the run was started ({', '.join(changed)}): rounds may not be comparable")
    write_atomically(folder / FILE, json.dumps(presence.record, indent=1) + "\n")


def check_same_texts(presence: Presence, folder: Path) -> None:
    """Raises UserError where this rank has other benchmark data than the first, which left its record in the run's folder: they would ask
    for other answers and keep other problems."""
    first = read_json(folder / FILE).get("texts", {})
    differing = [name for name in dict.fromkeys([*first, *presence.texts]) if first.get(name) != presence.texts.get(name)]
    if differing:
        remedy = "give every machine the same benchmark data ($UCODER_DATA, the caches of evalplus and the Hub)"
        raise UserError(f"this rank has other data of {', '.join(differing)} than the first", str(folder / FILE), remedy)


def agreed(name: str, benchmark: Benchmark | Unavailable, folder: Path, ranks: Ranks) -> Benchmark | Unavailable:
    """The benchmark, or why the first rank cannot score it. Every rank calls it before anything is sampled for the benchmark.

    folder: the round's. Raises UserError where this rank lacks data that the first has.
    """
    path = folder / SCORABLE / name
    if ranks.main and not path.exists():
        found = scorable(benchmark)
        path.parent.mkdir(parents=True, exist_ok=True)
        said = {"reason": found.reason, "remedy": found.remedy} if isinstance(found, Unavailable) else None
        write_atomically(path, json.dumps(said))
    wait_for(path, ranks)
    absent = json.loads(path.read_text(encoding="utf-8"))
    if absent is not None:
        return Unavailable(name, **absent)
    if isinstance(benchmark, Unavailable):
        raise UserError(f"rank {ranks.number} has no data of {name}, and the first has", KEY, benchmark.remedy)
    return benchmark


def forget_scorable(folder: Path) -> None:
    """Remove what an earlier start found in the rounds: servers and data may have come since. Before any rank asks."""
    for found in folder.glob(f"round_*/{SCORABLE}"):
        shutil.rmtree(found)
