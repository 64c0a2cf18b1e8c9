"""What `ucoder solve` is worth: the program that it hands out against greedy decoding and pass@1, on tasks of MBPP+.

    python -m bench.solve --model MODEL --tasks 100 --samples 32
    python -m bench.solve --model MODEL --tasks 100 --answers bench/data/real/t0.8.jsonl.gz --greedy bench/data/real/greedy.jsonl.gz

Solving sees a task's statement alone, which in MBPP+ shows one assert. Reference and tests only grade what was handed out. With --answers,
candidates and the greedy answer are those of the files, and the model writes signatures, interfaces and test inputs; without --model too,
the inputs are mutants of the one call that the statement shows. Solved twice from the same candidates: by the vote alone, and with the
shown assert ruling out candidates that contradict it, as the command does.

One row a task goes to --rows (JSON lines) as soon as it is done: a run that was stopped goes on there. Tasks are taken in a random order
that the seed fixes, so the first so many are a sample of all. The summary goes to bench/results/solve.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.command import module_command
from bench.solve.summary import markdown, summary
from probing.memory import keep_freed_memory
from probing.models.loading import load_tokenizer
from probing.prompts.asking import Asker, answers_to
from probing.samplers.base import Completion, Sampler, SamplingParams
from probing.samplers.config import SamplingConfig
from probing.samplers.engines.factory import open_sampler
from probing.stages.config import SolutionsConfig, SuitesConfig
from probing.stages.solutions import candidates_of, solve_question
from rewards.judge.determinism import Steady
from rewards.sandbox import Sandbox, SandboxConfig
from rl.benchmarks.base import Benchmark, EvalTask, load_benchmark
from rl.config.evals import EvalsConfig
from rl.config.run_folder import git_commit, write_atomically
from rl.console import UserError, error_screen, make_console, stage
from rl.evals.answers_file import AnswersFile, read_answers
from rl.evals.cache import model_hash
from rl.evals.engine import engine_errors
from rl.evals.runner import score
from rl.models.source import resolve_model
from rl.solve.solving import SolveSettings, vote_of
from rl.solve.stages import WrittenProblem, problem_of_examples, suite_of_examples, write_inputs, write_problems
from rl.solve.statement import read_statement
from rl.solve.vote import Vote

RESULT = Path(__file__).parents[1] / "results" / "solve.json"
BENCHMARK = "mbpp_plus"

Writer = tuple[Sampler, Asker]


@dataclass(frozen=True, eq=False)
class Given:
    """Answers that are already there: to each task by its id."""

    candidates: Mapping[str, Sequence[Completion]]
    greedy: Mapping[str, Completion]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    words = list(sys.argv[1:] if argv is None else argv)
    args = parser().parse_args(words)
    keep_freed_memory()
    with error_screen():
        benchmark = load_benchmark(BENCHMARK)
        if not isinstance(benchmark, Benchmark):
            raise UserError(benchmark.reason, BENCHMARK, benchmark.remedy)
        settings = SolveSettings(
            SolutionsConfig(samples=args.samples, temperature=args.temperature, max_new_tokens=args.max_new_tokens),
            SuitesConfig(samples=args.input_answers, max_new_tokens=args.input_tokens),
            seed=args.seed,
        )
        if args.model is None and args.answers is None:
            raise UserError("there is nothing to draw candidates from", "command line", "give --model, or --answers FILE")
        given = given_answers(args, benchmark) if args.answers is not None else None
        how = described(args, settings, given)
        rows = read_rows(args.rows, how)
        order = np.random.default_rng(args.seed).permutation(len(benchmark.tasks))[: args.tasks]
        left = [task for task in (benchmark.tasks[i] for i in order) if task.id not in rows]
        if left:
            measure(args, settings, benchmark, left, given, rows)
        found = [rows[benchmark.tasks[i].id] for i in order if benchmark.tasks[i].id in rows]
        record = {"command": module_command("bench.solve", words), "commit": git_commit(), **how, **summary(found)}
        lines = ",\n".join(f"  {json.dumps(row)}" for row in found)  # one line a task
        write_atomically(args.json, f'{json.dumps(record, indent=1)[:-2]},\n "rows": [\n{lines}\n ]\n}}\n')
        print(markdown(record))
    return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m bench.solve", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("--model", help="a checkpoint folder, a .gguf file, or a Hub id")
    top.add_argument("--tasks", type=int, default=100, help="tasks of MBPP+ (default 100)")
    top.add_argument("--samples", type=int, default=32, help="candidates of each task (default 32)")
    top.add_argument("--temperature", type=float, default=0.8, help="of the candidates (default 0.8)")
    top.add_argument("--max_new_tokens", type=int, default=512, help="tokens of a candidate (default 512)")
    top.add_argument("--input_answers", type=int, default=4, help="answers with test inputs, of each task (default 4)")
    top.add_argument("--input_tokens", type=int, default=512, help="tokens of such an answer (default 512)")
    top.add_argument("--answers", type=Path, help="take the candidates from this file of ucoder eval --samples_out")
    top.add_argument("--greedy", type=Path, help="and the greedy answers from this one")
    top.add_argument("--chunk", type=int, default=25, help="tasks whose inputs are written together (default 25)")
    top.add_argument("--batch_size", type=int, default=128, help="sequences decoded at once (default 128)")
    top.add_argument("--seed", type=int, default=0)
    top.add_argument("--rows", type=Path, default=Path("solve-rows.jsonl"), help="rows of the finished tasks (default solve-rows.jsonl)")
    top.add_argument("--json", type=Path, default=RESULT, help="where the summary goes (default bench/results/solve.json)")
    return top


def described(args: argparse.Namespace, settings: SolveSettings, given: Given | None) -> dict[str, Any]:
    """What the rows depend on: rows of other settings are not mixed with them."""
    return {
        "benchmark": BENCHMARK,
        "model": None if args.model is None else Path(args.model).name,  # that writes the inputs
        "model_hash": None if args.model is None else model_hash(resolve_model(args.model))[:16],
        "candidates": "sampled here" if given is None else args.answers.name,
        "answers_hash": None if given is None else [hashlib.sha256(p.read_bytes()).hexdigest()[:16] for p in (args.answers, args.greedy)],
        "max_new_tokens": settings.solutions.max_new_tokens,
        "samples": settings.solutions.samples if given is None else len(next(iter(given.candidates.values()))),
        "temperature": settings.solutions.temperature,
        "suites": settings.suites.model_dump(mode="json"),
        "seed": settings.seed,
    }


def read_rows(path: Path, how: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The rows that are there, by task; the file begins with their settings. Raises UserError when those are others."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(how) + "\n")
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    if json.loads(lines[0]) != how:
        raise UserError("the rows that are there were made with other settings", str(path), "give another --rows, or the same settings")
    rows = [json.loads(line) for line in lines[1:]]
    return {row["id"]: row for row in rows}


def given_answers(args: argparse.Namespace, benchmark: Benchmark) -> Given:
    """The answers of the files. Raises UserError for tasks without any."""
    if args.greedy is None:
        raise UserError("--answers is given without --greedy", "command line", "give the greedy answers too")
    known = {task.id for task in benchmark.tasks}

    def answers(path: Path) -> AnswersFile:
        return read_answers(path, args.max_new_tokens)

    drawn = answers(args.answers).to(BENCHMARK, benchmark, known, True)
    greedy = answers(args.greedy).to(BENCHMARK, benchmark, known, True)
    ids = [task.id for task in benchmark.tasks]
    return Given(dict(zip(ids, drawn, strict=True)), {i: group[0] for i, group in zip(ids, greedy, strict=True)})


def measure(
    args: argparse.Namespace,
    settings: SolveSettings,
    benchmark: Benchmark,
    tasks: Sequence[EvalTask],
    given: Given | None,
    rows: dict[str, dict[str, Any]],
) -> None:
    """Adds the rows of the tasks, to `rows` and to the file."""
    with ExitStack() as stack:
        writer = None
        if args.model is not None:
            stack.enter_context(engine_errors(args.model))
            path = resolve_model(args.model)
            sampler = stack.enter_context(closing(open_sampler(SamplingConfig(batch_size=args.batch_size), path)))
            writer = sampler, Asker.of(load_tokenizer(path))
        sandbox = stack.enter_context(Sandbox(SandboxConfig()))
        executor = stack.enter_context(closing(Steady(sandbox, settings.consensus.recheck)))
        advance = stack.enter_context(stage("tasks", len(tasks), "tasks", make_console()))
        for start in range(0, len(tasks), args.chunk):
            for row in solve_tasks(writer, executor, settings, benchmark, tasks[start : start + args.chunk], given):
                rows[row["id"]] = row
                with args.rows.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
                advance(1)


def solve_tasks(
    writer: Writer | None,
    executor: Steady,
    settings: SolveSettings,
    benchmark: Benchmark,
    tasks: Sequence[EvalTask],
    given: Given | None,
) -> Iterator[dict[str, Any]]:
    """The row of each task. writer: the model, where one is asked."""
    started = time.process_time()
    statements = [read_statement(task.statement) for task in tasks]
    if writer is None:
        problems = list(map(problem_of_examples, statements))
        made = {w.problem.id: suite_of_examples(w, settings.suites, settings.seed) for w in problems if w is not None}
        suites = {key: suite for key, suite in made.items() if suite is not None}
    else:
        problems = write_problems(*writer, statements, settings.seed, quiet)
        suites = write_inputs(*writer, [w for w in problems if w is not None], settings.suites, settings.seed, quiet)
    spent = round((time.process_time() - started) / len(tasks), 1)
    answers = answers_of(tasks, problems, settings, writer, given)
    for task, written, drawn, passed in zip(tasks, problems, answers, graded(benchmark, tasks, answers, executor.sandbox), strict=True):
        row: dict[str, Any] = {"id": task.id, "greedy": passed[0] if passed else None, "passed": passed[1:]}
        row |= {"asking_cpu_seconds": spent}
        suite = suites.get(written.problem.id) if written is not None else None
        if written is None or suite is None:
            yield row | {"unsolved": "no signature" if written is None else "no test inputs"}
            continue
        row |= {"signature_from": written.signature_from, "has_interface": written.has_interface}
        row |= {"inputs_written": suite.origins.count("model"), "inputs": len(suite.inputs)}
        vote = vote_of(executor, written, suite, candidates_of(written.problem, drawn[1:]), settings, quiet)
        for name, counted in (("vote", vote), ("examples", vote.with_examples(written.statement.examples)[0])):
            row[name] = outcome_of(counted, row["passed"])
        yield row


def graded(
    benchmark: Benchmark, tasks: Sequence[EvalTask], answers: Sequence[Sequence[Completion]], sandbox: Sandbox
) -> list[list[bool | None]]:
    """Whether each answer passes its task's tests; None where our infrastructure failed."""
    found = score(replace(benchmark, tasks=tuple(tasks)), answers, sandbox, EvalsConfig(samples=1)).samples
    passed = iter([sample.passed for sample in found])
    return [[next(passed) for _ in group] for group in answers]


def answers_of(
    tasks: Sequence[EvalTask],
    problems: Sequence[WrittenProblem | None],
    settings: SolveSettings,
    writer: Writer | None,
    given: Given | None,
) -> list[list[Completion]]:
    """Each task's greedy answer, then its candidates: of the files, else of the model, which is asked the same question for both.

    Empty for a task without a signature, which the model cannot be asked.
    """
    if given is not None:
        return [[given.greedy[task.id], *given.candidates[task.id]] for task in tasks]
    if writer is None:
        return [[] for _ in tasks]
    sampler, ask = writer
    config = settings.solutions
    questions = [solve_question(ask, written.problem) for written in problems if written is not None]
    greedy, drawn = (
        iter(answers_to(sampler, questions, n, SamplingParams(temperature, config.top_p, config.max_new_tokens), settings.seed))
        for n, temperature in ((1, 0.0), (config.samples, config.temperature))
    )
    return [[*next(greedy), *next(drawn)] if written is not None else [] for written in problems]


def outcome_of(vote: Vote, passed: Sequence[bool | None]) -> dict[str, Any]:
    """What was handed out, and whether it passes: False where nothing was, None where our infrastructure failed on it."""
    clustering = vote.ranking.judgement.clustering
    if vote.winner is None:
        lost = "lost" in vote.ranking.no_vote
        return {"candidate": None, "passed": None if lost else False, "won": False, "share": None, "behaviours": 0}
    candidate = int(vote.programs.places[vote.programs.row_of == vote.winner][0])
    first = int(vote.programs.places[vote.ranking.order[0]])
    return {
        "candidate": candidate,
        "passed": passed[candidate],
        "won": vote.is_won,
        "share": round(clustering.top_share, 4) if vote.is_won else None,
        "behaviours": clustering.n_clusters,
        "bound": None if vote.ranking.bound.vacuous else round(vote.ranking.bound.bound, 4),
        "first_of_ranking": passed[first],
    }


def quiet(name: str, total: int, unit: str) -> Any:
    """No bar of its own: the tasks have one."""
    return stage(name, max(total, 1), unit, make_console(quiet=True))


if __name__ == "__main__":
    raise SystemExit(main())
