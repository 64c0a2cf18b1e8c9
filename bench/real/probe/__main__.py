"""Does the hidden state of a real model know more than its mean logprob about which of its own answers are right?

    python -m bench.real.probe --model MODEL --dtype int8 --out FOLDER      # the model answers the tasks itself
    python -m bench.real.probe --model MODEL --answers bench/data/real/t0.8.jsonl.gz --out FOLDER
    python -m bench.real.probe --out FOLDER --collect        # figures of what was read so far

Answers of the model to MBPP+ (drawn here, or from a file of `ucoder eval --samples_out`) are graded, and the model reads the first
--samples of each task once more: hidden states at some layers and places, token logprobs. Reported are AUROCs within tasks, with 95 %
intervals by bootstrap over tasks.

- Tasks are drawn at random from all of the benchmark's, so that pass@1 and the share of mixed tasks are the benchmark's too. A task counts
  in an AUROC where it is mixed: where some of its answers that were read are right, and some are wrong. Drawing mixed tasks alone would
  give the same AUROC of a score that is not fitted, but references would then choose what the label-free probe learns from. Tasks that are
  neither mixed nor learnt from are graded and not read: their states enter no figure.
- Label-free probes learn from votes: all answers of a task are run on the benchmark's inputs, without the expected outputs, and those of
  equal outputs form a cluster. Members of the largest are right and the others wrong, where it leads by a tenth of the votes. These are
  better votes than the loop has on inputs of its own. Other probes learn from the references: what states hold at best.
- A probe never saw the task that it scores; layer, pooling and penalty are chosen without it too. Intervals hold for the probes as fitted.

Everything is kept in --out, task by task: a run that was stopped goes on there. The row of the model goes to --json, beside other models'.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import typing
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.command import module_command
from bench.real.probe.drawing import Drawing, draw_answers
from bench.real.probe.scores import FitSettings, bears
from bench.real.probe.stored import Folder, grade, read
from bench.real.probe.summary import answers_of, drawn, markdown, summary
from probing.memory import keep_freed_memory
from probing.models.loading import load_model, multiplies_bfloat16
from probing.probe.hidden_states import LAST, POOLINGS, HiddenStates
from probing.samplers.base import Completion
from rewards.sandbox import Sandbox, SandboxConfig
from rl.benchmarks.base import Benchmark, EvalTask, load_benchmark
from rl.config.evals import EvalsConfig
from rl.config.run_folder import git_commit, versions, write_atomically
from rl.console import UserError, error_screen, make_console, stage
from rl.evals.answers_file import AnswersFile, read_answers
from rl.evals.cache import model_hash
from rl.evals.engine import engine_errors
from rl.models.source import resolve_model

RESULT = Path(__file__).parents[2] / "results" / "real_probe.json"
BENCHMARK = "mbpp_plus"
DTYPES = typing.get_args(EvalsConfig.model_fields["dtype"].annotation)
DEPTHS = (1 / 3, 1 / 2, 2 / 3, 1.0)  # of the layers whose states are read


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    words = list(sys.argv[1:] if argv is None else argv)
    args = parser().parse_args(words)
    keep_freed_memory()
    with error_screen():
        if not args.collect:
            measure(args)
        folder = Folder.found(args.out)
        complete = folder.complete()
        if not complete:
            raise UserError("no task has both verdicts and states", str(args.out), "run without --collect first")
        answers = answers_of(complete)
        with stage("probes", 2 * args.splits, "rounds of fits", make_console()) as advance:
            found = summary(answers, args.splits, folder.settings["seed"], FitSettings(), advance)
        row = folder.settings | drawn(list(folder.rows.values()), folder.settings["samples"]) | found
        row |= {"command": module_command("bench.real.probe", words), "commit": git_commit(), "versions": versions()}
        rows = merged(args.json, row)
        print(markdown([row for row in rows if row["model"] == folder.settings["model"]]))
    return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m bench.real.probe", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument("--model", help="a checkpoint folder, a .gguf file, or a Hub id: the model that gave the answers")
    top.add_argument("--answers", type=Path, help="its answers to MBPP+, a file of ucoder eval --samples_out (default: drawn here)")
    top.add_argument("--out", type=Path, required=True, help="folder of verdicts and states, one for each model")
    top.add_argument("--tasks", type=int, default=100, help="tasks drawn at random (default 100); more of them go on in the same folder")
    top.add_argument("--samples", type=int, default=8, help="answers of each task whose states are read (default 8); all of them vote")
    top.add_argument("--max_new_tokens", type=int, default=512, help="tokens at which an answer counts as cut off (default 512)")
    drawing = top.add_argument_group("answers that are drawn here")
    drawing.add_argument("--votes", type=int, default=16, help="answers drawn to each task (default 16)")
    drawing.add_argument("--temperature", type=float, default=0.8, help="at this temperature (default 0.8)")
    drawing.add_argument("--dtype", default="float32", choices=DTYPES, help="by weights of this precision (default float32)")
    drawing.add_argument("--batch_size", type=int, default=160, help="so many at once (default 160)")
    top.add_argument("--splits", type=int, default=3, help="cuts into folds over which a fitted score's AUROC is averaged (default 3)")
    top.add_argument("--seed", type=int, default=0)
    top.add_argument("--collect", action="store_true", help="only the figures, of what --out holds")
    top.add_argument("--json", type=Path, default=RESULT, help="where the row goes (default bench/results/real_probe.json)")
    return top


def measure(args: argparse.Namespace) -> None:
    """Draws the answers that no file has, grades them and reads the states that the folder has not."""
    if args.model is None:
        raise UserError("there is nothing to read", "command line", "give --model, or --collect")
    benchmark = load_benchmark(BENCHMARK)
    if not isinstance(benchmark, Benchmark):
        raise UserError(benchmark.reason, BENCHMARK, benchmark.remedy)
    known = {task.id for task in benchmark.tasks}
    order = np.random.default_rng(args.seed).permutation(len(benchmark.tasks))[: args.tasks]
    tasks = [benchmark.tasks[i] for i in order if benchmark.tasks[i].id not in benchmark.without]
    benchmark = replace(benchmark, tasks=tuple(tasks))
    how = Drawing(args.votes, args.temperature, args.max_new_tokens, args.dtype, args.seed)
    file = read_answers(args.answers or drawn_file(args, tasks, how), args.max_new_tokens)
    given = {styled: answers_to(file, benchmark, known, styled) for styled in (False, True)}
    shortest = min(map(len, given[False].values()))
    if not 2 <= args.samples <= shortest:
        raise UserError(
            f"--samples {args.samples}, and the file has {shortest} answers of each task", "command line", "give 2 or more of them"
        )
    with engine_errors(args.model):
        path = resolve_model(args.model)
        model, tokenizer = load_model(path, dtype=dtype_here())
        depth = int(model.config.num_hidden_layers)
        layers = tuple(sorted({max(1, round(depth * share)) for share in DEPTHS}))
        reader = HiddenStates(model, tokenizer, layers, (*POOLINGS, LAST))
    settings = {
        "model": Path(args.model).name,
        "model_hash": model_hash(path)[:16],
        "benchmark": BENCHMARK,
        "answers_file": how.record if args.answers is None else file.record() | {"max_new_tokens": args.max_new_tokens},
        "samples": args.samples,
        "seed": args.seed,
        "layers": list(layers),
        "poolings": list(reader.poolings),
        "dtype": str(model.dtype).removeprefix("torch."),
        "device": model.device.type,
    }
    folder = Folder(args.out, settings)
    grade_all(folder, benchmark, tasks, given[True])
    read_all(folder, reader, benchmark, tasks, {task.id: given[False][task.id][: args.samples] for task in tasks})


def drawn_file(args: argparse.Namespace, tasks: Sequence[EvalTask], how: Drawing) -> Path:
    """The file of answers in --out, with what it lacks drawn from the model."""
    with engine_errors(args.model), stage("answers", len(tasks) * how.samples, "answers", make_console()) as advance:
        return draw_answers(args.out, resolve_model(args.model), BENCHMARK, tasks, how, args.batch_size, advance)


def answers_to(file: AnswersFile, benchmark: Benchmark, known: Collection[str], styled: bool) -> dict[str, list[Completion]]:
    """By task id. known: ids of all the benchmark's tasks. styled: as a public harness hands them on; else as the model wrote them."""
    return {task.id: group for task, group in zip(benchmark.tasks, file.to(BENCHMARK, benchmark, known, styled), strict=True)}


def dtype_here() -> str:
    """bfloat16 where the device has it in hardware, else float32."""
    if torch.cuda.is_available():
        return "auto"
    return "bfloat16" if multiplies_bfloat16(torch.device("cpu")) else "float32"


def grade_all(folder: Folder, benchmark: Benchmark, tasks: Sequence[EvalTask], answers: Mapping[str, Sequence[Completion]]) -> None:
    left = sum(task.id not in folder.rows for task in tasks)
    if left:
        with Sandbox(SandboxConfig()) as sandbox, stage("verdicts", left, "tasks", make_console()) as advance:
            for done in grade(folder, benchmark, tasks, answers, sandbox):
                advance(done)


def read_all(
    folder: Folder, reader: HiddenStates, benchmark: Benchmark, tasks: Sequence[EvalTask], answers: Mapping[str, Sequence[Completion]]
) -> None:
    """Reads the tasks whose states enter a figure (`bears`), in the order in which they were drawn."""
    read_of = folder.settings["samples"]
    bearing = [task for task in tasks if bears(folder.rows[task.id]["clusters"], folder.rows[task.id]["passed"], read_of)]
    left = [task for task in bearing if not folder.states_of(task.id).is_file()]
    if left:
        started, total = time.monotonic(), sum(len(answers[task.id]) for task in left)
        with stage("hidden states", total, "answers", make_console()) as advance:
            for task in left:
                read(folder, reader, benchmark, task, answers[task.id], advance)
        print(f"read {total:,} answers in {(time.monotonic() - started) / 60:.1f} minutes")


def merged(path: Path, row: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows in the file with this model's replaced or added; written there."""
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.is_file() else []
    rows = [other for other in rows if other["model"] != row["model"]] + [row]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps({"rows": rows}, indent=1) + "\n")
    return rows


if __name__ == "__main__":
    raise SystemExit(main())
