"""What a model that fits the seedling's corpus perfectly would reach: greedy, sampling at temperatures, majority@16, pass@64.

The corpus is an exact distribution over programs (`seedling.spellings`), so its figures can be computed without pretraining:
greedy decoding and temperatures from the prefix tree of each step's texts, token by token; votes and pass@k from the shares of
the behaviours on a task's hidden inputs. A real model of this size also skips or repeats steps and confuses operations; that is
not counted here. Between temperatures 0 and 1 the figures are close, not exact: the names of earlier steps are ignored.

    python -m bench.theory.perfect_fit    # seedling-bench, dev and every operation alone; writes bench/results/perfect_fit.json
    python -m bench.theory.perfect_fit --limit 100 --operations 0
"""

from __future__ import annotations

import argparse
import ast
import functools
import itertools
import json
import random
import shlex
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerFast

from bench.markdown import table
from bench.theory.vote import elect
from rl.config.run_folder import git_commit, write_atomically
from rl.console import UserError, error_screen
from seedling.bench import BENCH_PATH, DEV_PATH, HIDDEN_INPUTS
from seedling.grammar import Step, Task, parse
from seedling.inputs import random_inputs
from seedling.mistakes import KINDS, is_rushed, kind_of
from seedling.operations import OPERATIONS, TYPES
from seedling.spellings import RATES, Behaviour, Content, Rates, distribution, names, spell
from seedling.tokenizer import corpus_tokenizer

RESULTS = Path(__file__).resolve().parents[1] / "results" / "perfect_fit.json"
SEED = 1  # of `make pretrain`
TEMPERATURES = (0.0, 0.2, 0.6, 0.8, 1.0)  # the last one is the corpus itself
VOTES, DRAWS, MANY = 16, 400, 64
RARE = 1e-3  # values that fewer programs reach are followed no further: these programs are wrong, and none votes as another does
FAILED = "raises"  # in the place of a value

Cut = Callable[[Sequence[str]], list[Sequence[Any]]]  # texts to their tokens


def corpus_tokens(texts: Sequence[str]) -> list[Sequence[Any]]:
    """The tokens of texts that begin a line. The tokenizer that pretraining makes never joins two lines that both hold words."""
    return _tokenizer()(list(texts), add_special_tokens=False)["input_ids"]


@functools.cache
def _tokenizer() -> PreTrainedTokenizerFast:
    return corpus_tokenizer(SEED)


def decoded(chances: Mapping[str, float], cut: Cut, temperatures: Sequence[float] = TEMPERATURES) -> dict[str, np.ndarray]:
    """float64[temperatures] for each text: its chance when the texts' prefix tree is sampled token by token; 0 is greedy decoding.

    No text may begin another.
    """
    found: dict[str, np.ndarray] = {}
    rows = list(zip(cut(list(chances)), chances.items(), strict=True))

    def walk(rows: list[tuple[Sequence[Any], tuple[str, float]]], depth: int, reached: np.ndarray) -> None:
        if len(rows) == 1:
            found[rows[0][1][0]] = reached
            return
        branches = defaultdict(list)
        for row in rows:
            branches[row[0][depth]].append(row)
        sizes = np.array([sum(chance for _, (_, chance) in branch) for branch in branches.values()])
        sizes /= sizes.max()
        for place, branch in enumerate(branches.values()):
            share = [sizes[place] ** (1 / t) / (sizes ** (1 / t)).sum() if t else float(place == sizes.argmax()) for t in temperatures]
            walk(branch, depth + 1, reached * share)

    walk(rows, 0, np.ones(len(temperatures)))
    return found


@functools.lru_cache(maxsize=2048)
def behaviours(step: Step, last: bool, rushed: bool, rates: Rates) -> list[tuple[np.ndarray, Content]]:
    """(float64[temperatures], a content of it) for every behaviour of a step's texts."""
    texts = {s.text: held for s, held in distribution(step, TYPES[step.operation.source][0], last, rushed, rates).items()}
    found: dict[Behaviour, tuple[np.ndarray, Content]] = {}
    for text, shares in decoded({text: chance for text, (chance, _) in texts.items()}, corpus_tokens).items():
        content = texts[text][1]
        before = found[content.behaviour][0] if content.behaviour in found else 0.0
        found[content.behaviour] = (before + shares, content)
    return list(found.values())


@functools.lru_cache(maxsize=8192)
def runner(content: Content, last: bool) -> Callable[[Any], Any]:
    """The function that a text of this content is."""
    source = TYPES[content.step.operation.source][0]
    spelling = spell(content, source, last, names(content, last)[0])
    scope: dict[str, Any] = {}
    exec(f"def run({source}):\n{spelling.text}" + ("" if last else f"    return {spelling.variable}\n"), scope)  # our own tables
    return scope["run"]


def outcome(run: Callable[[Any], Any], value: Any) -> Any:
    if value is FAILED:
        return FAILED
    try:
        return run(value)
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, ZeroDivisionError):
        return FAILED


@dataclass(frozen=True)
class Outlook:
    """A task's figures, all chances."""

    kind: str  # one of KINDS
    pass_at_1: tuple[float, ...]  # at TEMPERATURES; the first is greedy decoding, right or wrong
    majority: float  # of VOTES samples at temperature 1
    pass_at_many: float  # of MANY samples at temperature 1


def outlook(task: Task, inputs: Sequence[Any], rates: Rates = RATES) -> Outlook:
    """What perfectly fitted decoding and voting do on a task, judged on these inputs."""
    states: dict[str, tuple[list[Any], np.ndarray]] = {"": (list(inputs), np.ones(len(TEMPERATURES)))}
    for place, step in enumerate(task.steps):
        last = place == len(task.steps) - 1
        reached: dict[str, tuple[list[Any], np.ndarray]] = {}
        for (values, chance), (share, content) in itertools.product(
            states.values(), behaviours(step, last, last and is_rushed(task), rates)
        ):
            if (chance * share).max() < RARE:
                continue
            results = [outcome(runner(content, last), value) for value in values]
            before = reached.get(repr(results), (results, 0.0))[1]
            reached[repr(results)] = (results, before + chance * share)
        states = reached
    wanted = [task.apply(value) for value in inputs]
    right = sum((chance for results, chance in states.values() if results == wanted), np.zeros(len(TEMPERATURES)))
    rivals = [chance[-1] for results, chance in states.values() if results != wanted and FAILED not in results]
    shares = np.array([right[-1], *rivals])
    ballots = np.random.default_rng(0).multinomial(VOTES, [*shares, max(0.0, 1 - shares.sum())], size=DRAWS)[:, :-1]
    won = (elect(ballots, np.random.default_rng(1)) == 0) & ballots.any(axis=1)
    return Outlook(kind_of(task), tuple(right.tolist()), float(won.mean()), float(1 - (1 - right[-1]) ** MANY))


def figures(outlooks: Sequence[Outlook]) -> dict[str, float]:
    """Means over tasks."""
    by_temperature = np.mean([o.pass_at_1 for o in outlooks], axis=0)
    return {
        "tasks": len(outlooks),
        "greedy": float(by_temperature[0]),
        **{f"T {t:g}": float(value) for t, value in list(zip(TEMPERATURES, by_temperature, strict=True))[1:]},
        f"majority@{VOTES}": float(np.mean([o.majority for o in outlooks])),
        f"pass@{MANY}": float(np.mean([o.pass_at_many for o in outlooks])),
    }


def bench_tasks(path: Path, limit: int | None = None) -> list[tuple[Task, list[Any]]]:
    """(task, its hidden inputs) of a bench file. limit: so many at random; always the same ones."""
    lines, found = path.read_text(encoding="utf-8").splitlines(), []
    for line in lines if limit is None else random.Random(0).sample(lines, min(limit, len(lines))):
        row = json.loads(line)
        task = parse(row["description"])
        assert task is not None, f"{path}: a statement outside the grammar"
        found.append((task, [ast.literal_eval(arguments)[0] for arguments in row["inputs"]]))
    return found


def single_steps(limit: int | None = None) -> list[tuple[Task, list[Any]]]:
    """Every operation alone, its constants drawn once, with hidden inputs as the bench has them."""
    rng = random.Random(0)
    found = []
    for source, operations in OPERATIONS.items():
        inputs = [ast.literal_eval(text) for text in random_inputs(source, HIDDEN_INPUTS, seed=0)]
        for operation in operations:
            constants: tuple[tuple[str, int | str], ...]
            constants = tuple((name, rng.choice([*values])) for name, values in sorted(operation.constants.items()))
            found.append((Task(source, (Step(operation.name, constants),)), inputs))
    return found[:limit]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.theory.perfect_fit", description="What a perfect fit to the seedling's corpus would reach."
    )
    parser.add_argument("--limit", type=int, help="only so many tasks of each bench file, drawn at random")
    parser.add_argument("--operations", type=int, help="only so many operations")
    parser.add_argument("--out", type=Path, default=RESULTS, help="where the JSON goes (default bench/results/perfect_fit.json)")
    words = list(sys.argv[1:] if argv is None else argv)
    args = parser.parse_args(words)
    with error_screen():
        for name, value, least in (("--limit", args.limit, 1), ("--operations", args.operations, 0)):
            if value is not None and value < least:
                raise UserError(f"{name} is {least} at least, not {value}", "command line", "leave it out for all of them")
    sets: dict[str, list[Outlook]] = {}
    for name, path in (("bench", BENCH_PATH), ("dev", DEV_PATH)):
        sets[name] = [outlook(*held) for held in bench_tasks(path, args.limit)]
    for kind in KINDS:
        if held := [o for o in sets["bench"] if o.kind == kind]:
            sets[f"bench, {kind}"] = held
    operations = {task.skeleton[0]: outlook(task, inputs) for task, inputs in single_steps(args.operations)}
    if operations:
        sets["operations, alone"] = list(operations.values())
    rows = {name: figures(outlooks) for name, outlooks in sets.items()}
    record = {
        "command": shlex.join(["python", "-m", "bench.theory.perfect_fit", *words]),
        "commit": git_commit(),
        "rates": asdict(RATES),
        "sets": rows,
        "operations": {name: {"kind": held.kind, **figures([held])} for name, held in operations.items()},
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(args.out, json.dumps(record, indent=1) + "\n")
    columns = [key for key in rows["bench"] if key != "tasks"]
    print(
        table(
            ["tasks", "", *columns],
            [[name, f"{held['tasks']:,}", *(f"{held[key]:.1%}" for key in columns)] for name, held in rows.items()],
        )
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
