"""`ucoder eval`: measure a model on benchmarks.

    ucoder eval --model seedling --benchmarks seedling --samples 16 --json eval.json
    ucoder eval --model Qwen/Qwen2.5-Coder-7B-Instruct --benchmarks humaneval_plus,mbpp_plus --temperature 0
    ucoder eval --model Qwen/Qwen2.5-Coder-7B-Instruct --benchmarks humaneval_plus --url http://localhost:8000/v1
    ucoder eval --answers samples.jsonl.gz --model Qwen2.5-Coder-7B-Instruct --temperature 0     # of --samples_out: graded, nothing asked

The JSON holds every figure with what is needed to repeat it: model hash, data hash, versions, seed and command.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import Any

from probing.memory import keep_freed_memory
from probing.samplers.base import Completion
from probing.samplers.config import SamplingConfig
from rewards.sandbox import Sandbox, SandboxConfig, SandboxError
from rewards.sandbox.cli import package_settings
from rewards.sandbox.packages import make_offer
from rewards.user_files import check_writable
from rl.benchmarks.base import Benchmark, Unavailable, load_benchmark
from rl.benchmarks.external import scorable
from rl.benchmarks.prompts import CodePrompt
from rl.config.evals import EvalsConfig, normal_name
from rl.config.run_folder import versions, write_atomically
from rl.console import UserError, make_console, stage
from rl.evals.answers_file import AnswersFile
from rl.evals.cache import EvalCache, model_hash, who_answers
from rl.evals.compare import pooled
from rl.evals.engine import check_engine, check_lengths, engine_errors, how_sampled, sampling_of
from rl.evals.engine_options import sampling_from
from rl.evals.metrics import modules_not_offered, tasks_left_out
from rl.evals.options import STDOUT, config_from, fill_defaults, parser
from rl.evals.runner import EvalResult, evaluate, questions_of, score
from rl.evals.samples_file import write_export, write_samples_file
from rl.evals.tables import FIGURES, cell, how_asked, results_table, skills_card
from rl.models.source import resolve_model
from rl.tracking.monitor import clean

EVALPLUS = ("humaneval", "humaneval_plus", "mbpp", "mbpp_plus")
POOLED = ("humaneval_plus", "mbpp_plus")  # their tasks are also counted together


def main(argv: Sequence[str]) -> int:
    """Run the command; returns its exit status. Raises UserError for what the user has to put right."""
    keep_freed_memory()
    args, others = parser().parse_known_args(argv)
    answers = fill_defaults(args)
    config, names = config_from(args), list({normal_name(n): n.strip() for n in args.benchmarks.split(",") if n.strip()}.values())
    sampling = sampling_of(config, sampling_from(args, others, "eval"))
    if args.skills is None:
        args.skills = args.model == "seedling" and "seedling" in names and config.limit is None
    if not names and not args.skills:
        raise UserError(
            "no benchmark is named, and no skills are asked for", "command line", "name some with --benchmarks, or add --skills"
        )
    benchmarks = {name: load_benchmark(name, config.limit, fetch=True) for name in names}
    given = given_answers(answers, benchmarks, config) if answers is not None else None
    if args.export == "evalplus" and not all(normal_name(name) in EVALPLUS for name in names):
        raise UserError(f"evalplus knows only {', '.join(EVALPLUS)}", "--export", "use --export official for the others")
    offered = package_settings(args)
    path = resolve_model(args.model) if answers is None else None
    if args.json not in (None, STDOUT):
        check_writable(args.json, "--json")
    if args.samples_out is not None:
        check_writable(args.samples_out, "--samples_out")
    if args.export:
        check_writable(args.export_dir / "samples", "--export_dir")
    if args.cache is not None:
        check_writable(args.cache.expanduser() / "results", "--cache")
    if path is not None:
        check_engine(sampling, path)
    record: dict[str, Any] = {
        "model": args.model,
        "model_hash": None if path is None else model_hash(path),
        "answers": None if answers is None else answers.record(),
        "command": shlex.join(["ucoder", "eval", *argv]),
        "seed": config.seed,
        "config": config.model_dump(mode="json"),
        "sampling": how_sampled(sampling, asked=path is not None),
        "packages": make_offer(**offered).versions,
        "versions": versions(),
    }
    started, console = time.monotonic(), make_console(stderr=args.json == STDOUT)
    benchmarks = {name: benchmark if args.export else scorable(benchmark) for name, benchmark in benchmarks.items()}
    for name, benchmark in benchmarks.items():
        if isinstance(benchmark, Unavailable):
            _say_unavailable(console, name, benchmark.reason, benchmark.remedy)
    skills: dict[str, Any] = {}
    results: dict[str, EvalResult] = {}
    try:
        if path is None:
            _grade(given or {}, benchmarks, config, offered, console, results)
        else:
            skills = _measure(args, path, config, sampling, offered, benchmarks, record["model_hash"], console, results)
    except BaseException:  # Ctrl-C too: what is finished took hours
        if results:
            finished = {name: b for name, b in benchmarks.items() if name in results or isinstance(b, Unavailable)}
            unfinished = [name for name in benchmarks if name not in finished] or ["skills"]
            record |= {"unfinished": unfinished, "pooled": None, "skills": skills}
            _write(args, record, finished, results, console, started)
            _export(args, config, finished, results, console)
        raise
    for name, result in results.items():
        if "unavailable" in result.metrics:
            _say_unavailable(console, name, result.metrics["unavailable"], result.metrics["remedy"])
    scored = {name: result for name, result in results.items() if "unavailable" not in result.metrics}
    together = _print_figures(console, scored, benchmarks, config, record["sampling"]["dtype"])
    if absent := [name for name in benchmarks if name not in scored]:
        console.print(f"unavailable, for the reasons above: {', '.join(absent)}", markup=False, soft_wrap=True)
    if skills:
        console.print(skills_card(skills))
    _write(args, record | {"pooled": together, "skills": skills}, benchmarks, results, console, started)
    _export(args, config, benchmarks, results, console)
    return 0


def _export(
    args: argparse.Namespace,
    config: EvalsConfig,
    benchmarks: Mapping[str, Benchmark | Unavailable],
    results: Mapping[str, EvalResult],
    console: Any,
) -> None:
    """--export, where it is asked for."""
    for name, result in results.items() if args.export else ():
        benchmark = benchmarks[name]
        assert isinstance(benchmark, Benchmark)
        file = write_export(name, benchmark, result, args.export_dir)
        short = "; evalplus wants every task, and --limit left some out" if args.export == "evalplus" and config.limit else ""
        console.print(f"samples of {name} written to {file}{short}", markup=False, soft_wrap=True)


def _write(
    args: argparse.Namespace,
    record: dict[str, Any],
    benchmarks: Mapping[str, Benchmark | Unavailable],
    results: Mapping[str, EvalResult],
    console: Any,
    started: float,
) -> None:
    """--samples_out and --json, where they are asked for."""
    if args.samples_out is not None:
        count = write_samples_file(args.samples_out, results)
        console.print(f"{count:,} samples written to {args.samples_out}", markup=False, soft_wrap=True)
    if args.json is None:
        return
    found: dict[str, dict[str, Any]] = {
        name: {"unavailable": b.reason, "remedy": b.remedy}
        if isinstance(b, Unavailable)
        else {"metrics": results[name].metrics, "tasks": results[name].tasks, "data": b.source, "data_hash": b.digest()}
        for name, b in benchmarks.items()
    }
    for name, result in results.items():
        if result.sampling is not None:  # drawn by an earlier command, perhaps elsewhere
            found[name]["sampling"] = result.sampling
    text = json.dumps(record | {"benchmarks": found, "seconds": round(time.monotonic() - started, 1)}, indent=1, default=clean) + "\n"
    if args.json == STDOUT:
        sys.stdout.write(text)
    else:
        write_atomically(args.json, text)
        console.print(f"written to {args.json}", markup=False, soft_wrap=True)


def _print_figures(
    console: Any, scored: Mapping[str, EvalResult], benchmarks: Mapping[str, Benchmark | Unavailable], config: EvalsConfig, dtype: str
) -> dict[str, Any] | None:
    """Prints the table, what modules that are not offered cost, and the figures of HumanEval+ and MBPP+ together, which are returned."""
    if scored:
        styled = [n for n in scored if isinstance(b := benchmarks[n], Benchmark) and any(isinstance(t.prompt, CodePrompt) for t in b.tasks)]
        how = how_asked(config.model_dump(mode="json"), dtype, styled)
        console.print(results_table({name: result.metrics for name, result in scored.items()}, how))
    for name, result in scored.items():
        for said in (tasks_left_out(result.tasks), modules_not_offered(result.metrics, "--packages")):
            if said:
                console.print(f"{name}: {said}", markup=False, soft_wrap=True)
    plus = {name: result.tasks for name, result in scored.items() if normal_name(name) in POOLED}
    together = pooled(plus, config) if len(plus) > 1 else None
    if together:
        figures = "; ".join(f"{title} {cell(together, key, True)}" for title, key, _ in FIGURES if key in together)
        console.print(f"{' and '.join(plus)} together, {together['tasks']} tasks: {figures}", markup=False, soft_wrap=True)
    return together


def _say_unavailable(console: Any, name: str, reason: str, remedy: str) -> None:
    console.print(f"{name}: unavailable. {reason}; {remedy}", markup=False, soft_wrap=True)


def given_answers(
    answers: AnswersFile, benchmarks: Mapping[str, Benchmark | Unavailable], config: EvalsConfig
) -> dict[str, list[list[Completion]]]:
    """The file's answers to the tasks of each benchmark that is here. Raises UserError for tasks without answers, and unknown ones."""
    found = {}
    for name, benchmark in benchmarks.items():
        if isinstance(benchmark, Benchmark):
            whole = load_benchmark(name, fetch=True)
            assert isinstance(whole, Benchmark)
            known = {task.id for task in whole.tasks}
            found[name] = answers.to(name, benchmark, known, config.prompt != "plain")
    return found


def _grade(
    answers: Mapping[str, list[list[Completion]]],
    benchmarks: Mapping[str, Benchmark | Unavailable],
    config: EvalsConfig,
    offered: dict[str, Any],
    console: Any,
    results: dict[str, EvalResult],
) -> None:
    """Puts each benchmark's result into `results` as it is there."""
    try:
        with Sandbox(SandboxConfig(**offered)) as sandbox:
            for name, benchmark in benchmarks.items():
                if isinstance(benchmark, Benchmark):
                    console.print(f"{name}: grading {sum(map(len, answers[name])):,} answers", markup=False)
                    results[name] = score(benchmark, answers[name], sandbox, config)
    except SandboxError as error:
        raise UserError(str(error), "sandbox") from None


def _measure(
    args: argparse.Namespace,
    path: str,
    config: EvalsConfig,
    sampling: SamplingConfig,
    offered: dict[str, Any],
    benchmarks: dict[str, Benchmark | Unavailable],
    key: str,
    console: Any,
    results: dict[str, EvalResult],
) -> dict[str, Any]:
    """Puts each benchmark's result into `results` as it is there; returns the figures of the skills card."""
    cache = None
    if args.cache is not None:
        drawn_by, how = who_answers(sampling, args.model), how_sampled(sampling, asked=True)
        cache = EvalCache(args.cache, key, drawn_by, make_offer(**offered).identity(), how)
    wanted: dict[str, Benchmark] = {}
    for name, benchmark in benchmarks.items():
        if isinstance(benchmark, Benchmark):
            found = cache.get(benchmark, config) if cache else None
            if found is not None:
                console.print(f"{name}: taken from the cache", markup=False)
                results[name] = found
            else:
                wanted[name] = benchmark
    if not wanted and not args.skills:
        return {}

    from probing.models.loading import load_tokenizer
    from probing.prompts.asking import Asker
    from probing.samplers.engines.factory import open_sampler
    from rl.config.chat_check import check_template_args

    with engine_errors(args.model):
        tokenizer = load_tokenizer(path)
        check_template_args(tokenizer, config.chat_template_args or {}, "--chat_template_args")
        skills_ask = Asker.of(tokenizer, args.prompts, config.chat_template_args) if args.skills else None
        asked = {name: questions_of(tokenizer, benchmark, config) for name, benchmark in wanted.items()}
        with closing(open_sampler(sampling, path)) as sampler, Sandbox(SandboxConfig(**offered)) as sandbox:
            for name, questions in asked.items():
                check_lengths(sampler, tokenizer, name, questions, config.max_new_tokens)
            for name, benchmark in wanted.items():
                with stage(f"eval {name}", len(benchmark.tasks) * config.draws, "samples", console) as advance:
                    results[name] = evaluate(sampler, tokenizer, sandbox, benchmark, config, advance)
                if cache:
                    cache.put(benchmark, config, results[name])
            if skills_ask is None:
                return {}
            from rl.evals.skills import measure_skills

            return measure_skills(
                sampler, skills_ask, sandbox, config.seed, partial(stage, console=console), config.limit, config.max_new_tokens
            )


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
