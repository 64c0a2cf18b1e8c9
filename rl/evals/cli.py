"""`ucoder eval`: measure a model on benchmarks.

    ucoder eval --model seedling --benchmarks seedling --samples 16 --json eval.json
    ucoder eval --model Qwen/Qwen2.5-Coder-7B-Instruct --benchmarks humaneval_plus,mbpp_plus --temperature 0
    ucoder eval --model Qwen/Qwen2.5-Coder-7B-Instruct --benchmarks humaneval_plus --url http://localhost:8000/v1

The JSON holds every figure with what is needed to repeat it: model hash, data hash, versions, seed and command.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
import typing
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from probing.memory import keep_freed_memory
from probing.samplers.config import SamplingConfig
from rewards.sandbox import Sandbox, SandboxConfig, SandboxError
from rl.config import EvalsConfig, resolve_model
from rl.config_loader import load
from rl.console import UserError, make_console, stage
from rl.evals.base import BENCHMARKS, Benchmark, Unavailable, load_benchmark, normal_name
from rl.evals.cache import Cache, model_hash
from rl.evals.engine import check_engine, precision, sampling_of
from rl.evals.external import scorable
from rl.evals.prompts import CodePrompt
from rl.evals.runner import EvalResult, evaluate
from rl.evals.skills import measure_skills
from rl.evals.tables import how_asked, results_table, skills_card
from rl.monitor import clean
from rl.run_folder import check_writable, versions, write_atomically

STDOUT = Path("-")  # as --json OUT
EVALPLUS = ("humaneval", "humaneval_plus", "mbpp", "mbpp_plus")
BACKENDS = typing.get_args(SamplingConfig.model_fields["backend"].annotation)
HTTP_PATIENCE = 30.0  # seconds for a server to come back: somebody is watching, unlike a run
COMPILE_CONFIG = EvalsConfig(samples=2, max_new_tokens=256)  # for the skills card where seedling-bench was not asked for


def _parser() -> argparse.ArgumentParser:
    names = ", ".join(BENCHMARKS)
    top = argparse.ArgumentParser(
        prog="ucoder eval",
        description="Measure a model on benchmarks: pass@k with intervals, majority@k.",
        epilog="The other keys of a config's section `sampling` can be given too: --sampling.vllm.tensor_parallel 2",
    )
    top.add_argument("--model", default="seedling", help="`seedling` (bundled), a checkpoint folder, or a Hugging Face Hub id")
    top.add_argument("--benchmarks", default="seedling", help=f"names with commas between them, of: {names}; empty: none")
    top.add_argument("--samples", type=int, default=16, help="completions of each task (default 16)")
    top.add_argument("--temperature", type=float, default=1.0, help="0 is greedy: one sample a task (default 1)")
    top.add_argument("--top_p", type=float, default=1.0, help="nucleus mass (default 1)")
    top.add_argument("--max_new_tokens", type=int, default=512, help="tokens that a completion may take (default 512)")
    top.add_argument("--limit", type=int, help="only the first so many tasks of each benchmark")
    top.add_argument("--seed", type=int, default=EvalsConfig().seed, help="sampling seed")
    top.add_argument("--batch_size", type=int, default=256, help="most sequences decoded at once (default 256)")
    top.add_argument(
        "--prompt",
        choices=typing.get_args(EvalsConfig.model_fields["prompt"].annotation),
        default=EvalsConfig().prompt,
        help="how HumanEval and MBPP are asked: as evalplus does, as Qwen's harness does, or plainly (default evalplus)",
    )
    top.add_argument(
        "--dtype",
        choices=typing.get_args(EvalsConfig.model_fields["dtype"].annotation),
        default=EvalsConfig().dtype,
        help="precision of the weights; auto: bfloat16 where the hardware has it (default float32)",
    )
    top.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default auto)")
    top.add_argument("--backend", choices=BACKENDS, help="engine that draws the samples (default transformers; with --url, http)")
    top.add_argument("--url", help="of an OpenAI-compatible server, up to and with /v1; it must have the model")
    top.add_argument("--http_model", metavar="NAME", help="the server's name for the model (default: as in --model)")
    top.add_argument(
        "--json",
        type=Path,
        metavar="OUT",
        help="write every figure, and each task's row, to this file; -: to stdout, and the tables to stderr",
    )
    top.add_argument(
        "--skills",
        action=argparse.BooleanOptionalAction,
        help="print the card of the five skills too (default: for --model seedling on the whole of its own bench)",
    )
    top.add_argument("--cache", type=Path, metavar="DIR", help="folder of finished results, keyed by model, data and settings")
    top.add_argument("--export", choices=("evalplus", "official"), help="write samples for the public tools")
    top.add_argument("--export_dir", type=Path, default=Path("samples"), metavar="DIR", help="where they go (default samples/)")
    return top


def main(argv: Sequence[str]) -> int:
    """Run the command; returns its exit status. Raises UserError for what the user has to put right."""
    keep_freed_memory()
    args, others = _parser().parse_known_args(argv)
    config, names = _config(args), [n.strip() for n in args.benchmarks.split(",") if n.strip()]
    sampling = sampling_of(config, _sampling(args, others))
    if args.skills is None:
        args.skills = args.model == "seedling" and "seedling" in names and config.limit is None
    if not names and not args.skills:
        raise UserError(
            "no benchmark is named, and no skills are asked for", "command line", "name some with --benchmarks, or add --skills"
        )
    benchmarks = {name: load_benchmark(name, config.limit, fetch=True) for name in names}
    if args.export == "evalplus" and not all(normal_name(name) in EVALPLUS for name in names):
        raise UserError(f"evalplus knows only {', '.join(EVALPLUS)}", "--export", "use --export official for the others")
    path = resolve_model(args.model)
    if args.json not in (None, STDOUT):
        check_writable(args.json, "--json")
    if args.export:
        check_writable(args.export_dir / "samples", "--export_dir")
    check_engine(sampling, path)
    record: dict[str, Any] = {
        "model": args.model,
        "model_hash": model_hash(path),
        "command": shlex.join(["ucoder", "eval", *argv]),
        "seed": config.seed,
        "config": config.model_dump(mode="json"),
        "sampling": {
            "backend": sampling.backend,
            "dtype": precision(sampling),
            "device": sampling.device,
            "batch_size": sampling.batch_size,
        },
        "versions": versions(),
    }
    started, console = time.monotonic(), make_console(stderr=args.json == STDOUT)
    benchmarks = {name: benchmark if args.export else scorable(benchmark) for name, benchmark in benchmarks.items()}
    for name, benchmark in benchmarks.items():
        if isinstance(benchmark, Unavailable):
            _say_unavailable(console, name, benchmark.reason, benchmark.remedy)
    results, skills = _measure(args, path, config, sampling, benchmarks, record["model_hash"], console)
    for name, result in results.items():
        if "unavailable" in result.metrics:
            _say_unavailable(console, name, result.metrics["unavailable"], result.metrics["remedy"])
        if args.export:
            benchmark = benchmarks[name]
            assert isinstance(benchmark, Benchmark)
            file = write_samples(benchmark, result, args.export_dir)
            short = "; evalplus wants every task, and --limit left some out" if args.export == "evalplus" and config.limit else ""
            console.print(f"samples of {name} written to {file}{short}", markup=False, soft_wrap=True)
    scored = {name: result for name, result in results.items() if "unavailable" not in result.metrics}
    if scored:
        styled = [n for n in scored if isinstance(b := benchmarks[n], Benchmark) and any(isinstance(t.prompt, CodePrompt) for t in b.tasks)]
        console.print(results_table({n: r.metrics for n, r in scored.items()}, how_asked(record["config"], precision(sampling), styled)))
    if absent := [name for name in benchmarks if name not in scored]:
        console.print(f"unavailable, for the reasons above: {', '.join(absent)}", markup=False, soft_wrap=True)
    if skills:
        console.print(skills_card(skills))
    if args.json is not None:
        record["benchmarks"] = {
            name: {"unavailable": b.reason, "remedy": b.remedy}
            if isinstance(b, Unavailable)
            else {"metrics": results[name].metrics, "tasks": results[name].tasks, "data": b.source, "data_hash": b.digest()}
            for name, b in benchmarks.items()
        }
        record |= {"skills": skills, "seconds": round(time.monotonic() - started, 1)}
        text = json.dumps(record, indent=1, default=clean) + "\n"
        if args.json == STDOUT:
            sys.stdout.write(text)
        else:
            write_atomically(args.json, text)
            console.print(f"written to {args.json}", markup=False, soft_wrap=True)
    return 0


def _say_unavailable(console: Any, name: str, reason: str, remedy: str) -> None:
    console.print(f"{name}: unavailable. {reason}; {remedy}", markup=False, soft_wrap=True)


def _sampling(args: argparse.Namespace, others: Sequence[str]) -> SamplingConfig:
    """The sampler's settings: this command's own options, and any key of the section as --sampling.KEY."""
    if others and not others[0].startswith("--sampling."):
        raise UserError(f"unknown argument {others[0]!r}", "command line", "see ucoder eval --help")
    if args.url and args.backend not in (None, "http"):
        raise UserError(f"--url is for the backend http, not {args.backend}", "command line", "drop one of the two")
    given = {
        "backend": args.backend or ("http" if args.url else None),
        "batch_size": args.batch_size,
        "device": args.device,
        "http.url": args.url,
        "http.model": args.http_model,
        "http.patience": HTTP_PATIENCE,
    }
    words = [word for key, value in given.items() if value is not None for word in (f"--{key}", str(value))]
    return load(SamplingConfig, None, [*words, *(word.replace("--sampling.", "--", 1) for word in others)])


def _config(args: argparse.Namespace) -> EvalsConfig:
    keys = ("samples", "temperature", "top_p", "max_new_tokens", "limit", "seed", "prompt", "dtype")
    try:
        return EvalsConfig(**{key: getattr(args, key) for key in keys})
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"--{first['loc'][0]} {first['input']}: {first['msg'].lower()}", "command line", "see ucoder eval --help") from None


def _measure(
    args: argparse.Namespace,
    path: str,
    config: EvalsConfig,
    sampling: SamplingConfig,
    benchmarks: dict[str, Benchmark | Unavailable],
    key: str,
    console: Any,
) -> tuple[dict[str, EvalResult], dict[str, Any]]:
    """(results by benchmark, figures of the skills card)."""
    cache = Cache(args.cache, key, sampling.backend) if args.cache is not None else None
    results: dict[str, EvalResult] = {}
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
        return results, {}

    from probing.asking import Asker
    from probing.models import ModelError, load_tokenizer
    from probing.samplers.base import SamplerError
    from probing.samplers.factory import open_sampler

    try:
        tokenizer = load_tokenizer(path)
        with closing(open_sampler(sampling, path)) as sampler, Sandbox(SandboxConfig()) as sandbox:
            for name, benchmark in wanted.items():
                with stage(f"eval {name}", len(benchmark.tasks) * config.draws, "samples", console) as advance:
                    results[name] = evaluate(sampler, tokenizer, sandbox, benchmark, config, advance)
                if cache:
                    cache.put(benchmark, config, results[name])
            skills = {}
            if args.skills:
                skills = measure_skills(sampler, Asker.of(tokenizer), config.seed, partial(_bar, console))
                skills |= _compile_figure(results.get("seedling") or evaluate(sampler, tokenizer, sandbox, _bench(), COMPILE_CONFIG))
    except (ModelError, SamplerError, SandboxError) as error:
        raise UserError(str(error), args.model) from None
    except ValueError as error:
        if "max_new_tokens" not in str(error):
            raise
        raise UserError(str(error), "command line", "lower --max_new_tokens") from None
    return results, skills


def write_samples(benchmark: Benchmark, result: EvalResult, folder: Path) -> Path:
    """The samples in the format of the benchmark's public tool."""
    groups: dict[str, list[tuple[str, str | None]]] = {task.id: [] for task in benchmark.tasks}
    for sample in result.samples:
        groups[sample.task_id].append((sample.completion, sample.code))
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{benchmark.name}.{'json' if benchmark.name == 'livecodebench' else 'jsonl'}"
    write_atomically(file, benchmark.export([(task, groups[task.id]) for task in benchmark.tasks]))
    return file


@contextmanager
def _bar(console: Any, name: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    with stage(name, total, unit, console) as advance:
        yield advance


def _bench() -> Benchmark:
    bench = load_benchmark("seedling")
    if isinstance(bench, Unavailable):
        raise UserError(bench.reason, "--skills", bench.remedy)
    return bench


def _compile_figure(result: EvalResult) -> dict[str, Any]:
    return {"compile": result.metrics.get("compile_rate"), "compile_of": result.metrics["samples"] - result.metrics["missing"]}


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
