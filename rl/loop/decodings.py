"""How a checkpoint is decoded in the loop's evaluation: sampled, greedily, and at the temperature that suits it best.

The headline is greedy pass@1, and best temperature against best temperature: a gain at one fixed temperature may be sharpness, which a
lower temperature gives without training. The best temperature is chosen for each checkpoint (the base too) on tasks of their own
(`evals.chosen_on`), never on those that are reported.

    round_NN/temperature.json    pass@1 by temperature on those tasks, and the choice
    round_NN/eval_NAME.jsonl     tasks sampled at `evals.temperature`      eval_NAME_greedy.jsonl, eval_NAME_best.jsonl   the other two
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl.benchmarks.base import Benchmark, Unavailable, load_benchmark
from rl.benchmarks.presence import agreed
from rl.config.evals import EvalsConfig
from rl.console import UserError, warn
from rl.evals.metrics import modules_not_offered, tasks_left_out
from rl.evals.runner import EvalResult, ask, score
from rl.loop.round import RoundError
from rl.round_files import write_rows

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from probing.samplers.base import Sampler
    from rl.run import Run

GREEDY, BEST = "greedy", "best"  # names of the two decodings beside sampling; in front of their figures, behind their files' names


@dataclass(frozen=True)
class Decoding:
    """One way of decoding a benchmark."""

    name: str  # "" for sampling at `evals.temperature`, or GREEDY, BEST
    settings: EvalsConfig
    most: int | None = None  # tasks, the first ones; None: all

    def file(self, folder: Path, benchmark: str) -> Path:
        return folder / f"eval_{benchmark}{f'_{self.name}' if self.name else ''}.jsonl"


def decodings(evals: EvalsConfig, best: float | None) -> list[Decoding]:
    """What is decoded of each benchmark. best: the checkpoint's best temperature, None where none was chosen."""
    found = [Decoding("", evals, evals.sampled if evals.temperature > 0 else None)]
    if evals.greedy and evals.temperature > 0:
        found.append(Decoding(GREEDY, evals.at(0.0, 1)))
    if best is not None:
        found.append(Decoding(BEST, evals.at(best, evals.choice_samples)))
    return found


@dataclass(frozen=True)
class Asked:
    """A checkpoint that answers: what every decoding of it needs."""

    run: Run
    index: int  # round
    sampler: Sampler
    tokenizer: PreTrainedTokenizerBase

    def measure(self, benchmark: Benchmark, decoding: Decoding) -> EvalResult | None:
        """Ask and score; None on ranks that do not score. Raises RoundError where the sandbox failed on too many of the answers."""
        run, part = self.run, replace(benchmark, tasks=benchmark.tasks[: decoding.most])
        settings = decoding.settings
        title = " ".join(filter(None, ["eval", benchmark.name, decoding.name]))
        with run.bar(self.index, title, len(part.tasks) * settings.draws, "samples") as advance:
            answers = ask(self.sampler, self.tokenizer, part, settings, advance)
        if not run.main:
            return None
        result = score(part, answers, run.sandbox, settings)
        if "unavailable" in result.metrics:  # the scorer has gone since it was asked for
            warn(f"{benchmark.name} could not be scored: {result.metrics['unavailable']}")
            return result
        missing, samples = result.metrics["missing"], result.metrics["samples"]
        if missing > max(run.config.grpo.max_missing * samples, settings.draws):  # one task that cannot be graded here stops no run
            raise RoundError(
                f"round {self.index}: the sandbox failed on {missing} of {samples} answers to {benchmark.name}; "
                "the figures cannot be trusted"
            )
        return result


def measure_benchmark(asked: Asked, benchmark: Benchmark, evals: EvalsConfig, best: float | None, folder: Path) -> dict[str, Any]:
    """All decodings of a benchmark, each with its rows in `folder`; returns the figures, {} on ranks that do not score."""
    figures: dict[str, Any] = {}
    done: dict[float, EvalResult | None] = {}  # whole benchmarks by temperature: greedy may be the best
    for decoding in decodings(evals, best):
        temperature = decoding.settings.temperature
        again = temperature == 0 and temperature in done
        result = done[temperature] if again else asked.measure(benchmark, decoding)
        if decoding.most is None:
            done[temperature] = result
        if result is None:
            continue
        write_rows(decoding.file(folder, benchmark.name), result.tasks)
        figures |= figures_of(decoding, result)
        for said in (tasks_left_out(result.tasks), modules_not_offered(result.metrics)):
            if said and not decoding.name:
                asked.run.console.print(f"{benchmark.name}: {said}", markup=False, soft_wrap=True)
    return figures


def figures_of(decoding: Decoding, result: EvalResult) -> dict[str, Any]:
    """Every figure of sampling; of the others pass@1 under their name, with its interval and the number of tasks."""
    if not decoding.name:
        greedy = {f"{GREEDY}_{key}": result.metrics[key] for key in ("pass@1", "pass@1_ci", "tasks") if key in result.metrics}
        return result.metrics | (greedy if decoding.settings.temperature == 0 and decoding.most is None else {})
    kept = {f"{decoding.name}_{key}": result.metrics[key] for key in ("pass@1", "pass@1_ci", "tasks") if key in result.metrics}
    return kept | ({"best_temperature": decoding.settings.temperature} if decoding.name == BEST else {})


def best_temperature(asked: Asked, evals: EvalsConfig) -> dict[str, Any]:
    """pass@1 by temperature on `evals.chosen_on`, and the best one, the lower of equals; {} on ranks that do not score.

    Raises UserError where the benchmark cannot be scored here.
    """
    assert evals.chosen_on is not None
    found_here = load_benchmark(evals.chosen_on, evals.limit)
    benchmark = agreed(evals.chosen_on, found_here, asked.run.round_folder(asked.index), asked.run.ranks)
    if isinstance(benchmark, Unavailable):
        raise UserError(f"{evals.chosen_on}: {benchmark.reason}", "evals.chosen_on", "name another benchmark, or null")
    found: dict[float, float] = {}
    for temperature in sorted(set(evals.temperatures)):
        settings = evals.at(temperature, evals.choice_samples)
        result = asked.measure(benchmark, Decoding(f"T = {temperature:g}", settings))
        if result is not None and "pass@1" in result.metrics:
            found[temperature] = result.metrics["pass@1"]
    if not asked.run.main:
        return {}
    if not found:
        raise UserError(f"{evals.chosen_on} has no task that can be scored", "evals.chosen_on", "name another benchmark, or null")
    return {"on": evals.chosen_on, "pass@1": {f"{t:g}": value for t, value in found.items()}, "chosen": pick(found)}


def pick(by_temperature: Mapping[float, float]) -> float:
    """The temperature of the highest pass@1, the lowest of equals.

    >>> pick({0.2: 0.5, 0.0: 0.5, 1.0: 0.4})
    0.0
    """
    return min(by_temperature, key=lambda temperature: (-by_temperature[temperature], temperature))
