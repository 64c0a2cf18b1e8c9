"""Runs one benchmark on one model: sample, extract, execute once each, grade in the parent, and count.

    result = evaluate(sampler, tokenizer, sandbox, load_benchmark("seedling"), EvalsConfig(samples=16))
    result.metrics["pass@1"], result.metrics["pass@1_ci"]

Infrastructure failures are left out and counted (`missing`); nothing here marks them wrong.
"""

from __future__ import annotations

import ast
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from probing.reading.text import opened_thinking
from probing.samplers.base import Completion, Progress, Sampler, SamplingParams
from rewards.clusters.clustering import cluster
from rewards.clusters.signatures import OutcomeMatrix
from rewards.programs.normal_form import normal_form
from rewards.records import Execution, Kind, Program, absence
from rewards.sandbox import Sandbox
from rl.benchmarks.base import Benchmark, EvalTask, Grade
from rl.benchmarks.external import ExternalBenchmark
from rl.benchmarks.prompts import CodePrompt, question_of, with_spaces
from rl.config.schema import EvalsConfig
from rl.evals.passk import bootstrap_interval, majority_at_k, pass_at_k, wilson_interval

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

KS = (1, 4, 16, 64)  # pass@k for those k that the samples allow
MAJORITY_OF = 16  # majority@16; of fewer samples, of all of them
PART_CHARACTERS = 3_000_000  # input text of one program in the sandbox
UNKNOWN = Grade(None)
UNAVAILABLE = "unavailable"  # outcome of the samples of a task that cannot be scored here
SYNTAX_ERRORS = ("SyntaxError", "IndentationError", "TabError")  # of a program that a benchmark's own wrapping compiles
NOT_OFFERED = "module not offered: "  # in front of a module's name
VALID_SHARE = 0.8  # ρ: least share of inputs that must give a value for a program to have a vote


@dataclass(frozen=True)
class Sample:
    """One completion with its verdict."""

    task_id: str
    index: int  # 0..n-1 within the task
    completion: str
    code: str | None  # the program as it was run; None when there is none
    n_tokens: int
    finished: bool  # not cut off by the length limit
    passed: bool | None  # None: our infrastructure failed
    label: int  # behaviour cluster within the task, the largest first; -1: no vote
    base: bool | None  # passed the original benchmark's tests; None where there are no others, or our infrastructure failed
    # "passed", "wrong", "no program", "does not compile", "missing", UNAVAILABLE, `NOT_OFFERED` and a module, or the first failure's kind
    outcome: str


@dataclass(frozen=True)
class EvalResult:
    """What a benchmark said about a model. `metrics` and `tasks` are JSON-able."""

    benchmark: str
    metrics: dict[str, Any]
    tasks: list[dict[str, Any]]  # one row a task: id, n, correct, missing, pass@k, top_share, majority_correct, entropy, mean_length
    samples: list[Sample] = field(repr=False, default_factory=list)


@dataclass
class _Distinct:
    """A program of a task and the samples that wrote it."""

    task: EvalTask
    program: Program
    samples: list[int]
    execution: Execution | None = None
    grade: Grade = UNKNOWN


def evaluate(
    sampler: Sampler,
    tokenizer: PreTrainedTokenizerBase,
    sandbox: Sandbox,
    benchmark: Benchmark,
    config: EvalsConfig,
    progress: Progress | None = None,
) -> EvalResult:
    """Samples the model on every task and scores it. `progress` is called with the number of samples that have just finished.

    temperature 0 is greedy: one sample a task. Deterministic for one sampler, seed and machine.
    """
    return score(benchmark, ask(sampler, tokenizer, benchmark, config, progress), sandbox, config)


def ask(
    sampler: Sampler,
    tokenizer: PreTrainedTokenizerBase,
    benchmark: Benchmark,
    config: EvalsConfig,
    progress: Progress | None = None,
) -> list[list[Completion]]:
    """The model's answers to every task, each with the prefill of its prompt in front; not yet scored."""
    from probing.prompts.asking import answers_to  # torch: not needed to score answers that are already there

    params = SamplingParams(config.temperature, config.top_p, config.max_new_tokens)
    questions = [question_of(tokenizer, task.prompt, config.prompt, config.chat_template_args) for task in benchmark.tasks]
    answers = answers_to(sampler, questions, config.draws, params, config.seed, progress)
    written = [bool(q.prefill) and not opened_thinking(q.prefill) for q in questions]  # the answer's start is a public harness's
    harness = [isinstance(task.prompt, CodePrompt) and w for task, w in zip(benchmark.tasks, written, strict=True)]
    return [[replace(a, text=with_spaces(a.text)) for a in group] if h else group for h, group in zip(harness, answers, strict=True)]


def score(benchmark: Benchmark, answers: Sequence[Sequence[Completion]], sandbox: Sandbox, config: EvalsConfig) -> EvalResult:
    """Executes and grades answers that are already there, `answers[i]` to task i; `unavailable` where nothing here can score them."""
    if (absent := benchmark.unavailable()) is not None:
        figures = {"unavailable": absent.reason, "remedy": absent.remedy, "samples": sum(map(len, answers))}
        return EvalResult(benchmark.name, figures, [{"id": task.id, "n": 0} for task in benchmark.tasks])
    if isinstance(benchmark, ExternalBenchmark):
        return _score_externally(benchmark, answers, config)
    with _fitting(sandbox, benchmark.sandbox) as fitting:
        benchmark = benchmark.prepared(fitting)
        asked = [[] if task.id in benchmark.without else group for task, group in zip(benchmark.tasks, answers, strict=True)]
        groups = [_distinct_programs(benchmark, task, group) for task, group in zip(benchmark.tasks, asked, strict=True)]
        programs = [program for group in groups for program in group]
        for program, execution in zip(programs, execute([benchmark.wrapped(p.task, p.program) for p in programs], fitting), strict=True):
            program.execution = execution
        grades = benchmark.grades([(p.task, p.execution) for p in programs if p.execution is not None], fitting)
        for program, grade in zip(programs, grades, strict=True):
            program.grade = grade
    samples: list[Sample] = []
    rows: list[dict[str, Any]] = []
    for task, completions, distinct in zip(benchmark.tasks, answers, groups, strict=True):
        if (reason := benchmark.without.get(task.id)) is not None:
            samples += [_without_program(task, i, c, None, UNAVAILABLE) for i, c in enumerate(completions)]
            rows.append({"id": task.id, "n": 0, "correct": 0, "missing": 0, "unavailable": reason})
            continue
        found, entropy, top_share = _samples(task, completions, distinct, benchmark.has_base)
        samples += found
        rows.append(_row(task, found, entropy, top_share, benchmark.has_behaviours))
    return EvalResult(benchmark.name, _metrics(rows, samples, config), rows, samples)


def _score_externally(benchmark: ExternalBenchmark, answers: Sequence[Sequence[Completion]], config: EvalsConfig) -> EvalResult:
    """By the official scorer. Nothing is known of behaviours then."""
    texts = [(task, [c.text for c in group]) for task, group in zip(benchmark.tasks, answers, strict=True)]
    verdicts = benchmark.judge(texts)
    samples, rows = [], []
    for task, group, judged in zip(benchmark.tasks, answers, verdicts, strict=True):
        found = [
            _without_program(task, i, c, passed, "missing" if passed is None else "passed" if passed else "failed")
            for i, (c, passed) in enumerate(zip(group, judged, strict=True))
        ]
        correct, n = sum(s.passed is True for s in found), sum(s.passed is not None for s in found)
        row: dict[str, Any] = {"id": task.id, "n": n, "correct": correct, "missing": len(found) - n}
        rows.append(row | {f"pass@{k}": pass_at_k(n, correct, k) for k in KS if k <= n})
        samples += found
    metrics = _metrics(rows, samples, config)
    for key in ("compile_rate", "no_program"):
        metrics.pop(key, None)  # the scorer does not say
    return EvalResult(benchmark.name, metrics, rows, samples)


def _without_program(task: EvalTask, index: int, answer: Completion, passed: bool | None, outcome: str) -> Sample:
    """A sample of which no program was run here."""
    return Sample(task.id, index, answer.text, None, len(answer.token_ids), answer.finished, passed, -1, None, outcome)


def execute(programs: Sequence[Program], sandbox: Sandbox) -> list[Execution]:
    """Executions of the programs; one with more input text than the sandbox takes at once is run in parts."""
    parts = [list(split_inputs(program)) for program in programs]
    ran = sandbox.run([part for group in parts for part in group])
    joined = []
    for group in parts:
        executions = [next(ran) for _ in group]
        joined.append(Execution(tuple(o for e in executions for o in e.outcomes), sum(e.seconds for e in executions)))
    next(ran, None)  # let the run end
    return joined


def split_inputs(program: Program, limit: int = PART_CHARACTERS) -> Iterator[Program]:
    """The program with as many of its inputs at a time as `limit` characters hold, at least one."""
    if sum(map(len, program.inputs)) <= limit:
        yield program
        return
    part: list[str] = []
    for text in program.inputs:
        if part and sum(map(len, part)) + len(text) > limit:
            yield replace(program, inputs=tuple(part))
            part = []
        part.append(text)
    yield replace(program, inputs=tuple(part))


def _fitting(sandbox: Sandbox, settings: Mapping[str, Any]) -> AbstractContextManager[Sandbox]:
    """The sandbox itself, or one of its kind with the settings that the benchmark needs."""
    config = sandbox.config.model_copy(update=dict(settings))
    return nullcontext(sandbox) if config == sandbox.config else Sandbox(config)


def _distinct_programs(benchmark: Benchmark, task: EvalTask, group: Sequence[Completion]) -> list[_Distinct]:
    """The programs of a task that differ after normalisation."""
    found: dict[str, _Distinct] = {}
    for index, completion in enumerate(group):
        program = benchmark.program(task, completion.text)
        if program is not None:
            found.setdefault(normal_form(program.code), _Distinct(task, program, [])).samples.append(index)
    return list(found.values())


def _outcome(program: _Distinct) -> str:
    assert program.execution is not None
    if program.grade.passed is None:
        return "missing"
    if program.grade.passed:
        return "passed"
    bad = next((o for o in program.execution.outcomes if o.kind is not Kind.VALUE), None)
    if bad is None:
        return "wrong"
    if (name := program.execution.absent_module) is not None:
        return NOT_OFFERED + name
    refused = bad.kind is Kind.REFUSED and bad.payload.startswith("does not compile")
    compiled_later = bad.kind is Kind.EXCEPTION and bad.payload in SYNTAX_ERRORS and not _parses(program.program.code)
    return "does not compile" if refused or compiled_later else bad.kind.value


def _parses(code: str) -> bool:
    try:
        ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _samples(
    task: EvalTask, completions: Sequence[Completion], distinct: Sequence[_Distinct], has_base: bool
) -> tuple[list[Sample], float, float]:
    """(samples of one task, behavioural entropy in nats, share of the largest cluster among all samples that are not missing)."""
    n = len(completions)
    grades = [Grade(False, False if has_base else None)] * n
    code: list[str | None] = [None] * n
    outcome, label = ["no program"] * n, [-1] * n
    executions = [p.execution for p in distinct if p.execution is not None]
    clusters = cluster(OutcomeMatrix.from_executions(executions, [len(p.samples) for p in distinct]), VALID_SHARE, tau=1)
    for program, its_label in zip(distinct, clusters.labels, strict=True):
        for i in program.samples:
            grades[i], code[i], outcome[i], label[i] = program.grade, program.program.code, _outcome(program), int(its_label)
    known = sum(v.passed is not None for v in grades)
    top = max((label.count(c) for c in set(label) - {-1}), default=0)
    samples = [
        Sample(task.id, i, c.text, code[i], len(c.token_ids), c.finished, v.passed, its if v.passed is not None else -1, v.base, outcome[i])
        for i, (c, v, its) in enumerate(zip(completions, grades, label, strict=True))
    ]
    return samples, clusters.entropy, top / max(known, 1)


def _row(task: EvalTask, samples: Sequence[Sample], entropy: float, top_share: float, has_behaviours: bool = True) -> dict[str, Any]:
    known = [s for s in samples if s.passed is not None]
    correct = [bool(s.passed) for s in known]
    labels = [s.label for s in known]
    row: dict[str, Any] = {"id": task.id, "n": len(known), "correct": sum(correct), "missing": len(samples) - len(known)}
    row |= {f"pass@{k}": pass_at_k(len(known), sum(correct), k) for k in KS if k <= len(known)}
    if known and known[0].base is not None:
        row["correct_base"] = sum(s.base is True for s in known)
        row["pass@1_base"] = row["correct_base"] / len(known)
    if known and has_behaviours:
        of = min(MAJORITY_OF, len(samples))
        if of <= len(known):
            row[f"majority@{of}"] = majority_at_k(labels, correct, of, seed=zlib.crc32(task.id.encode()))
        row["majority_correct"] = majority_at_k(labels, correct, len(known))
        row |= {"top_share": top_share, "entropy": entropy}
    row["mean_length"] = float(np.mean([s.n_tokens for s in samples]))
    return row


def interval_over_tasks(values: Sequence[float], config: EvalsConfig) -> tuple[float, float]:
    """95 % interval of the mean: by bootstrap; Wilson's where all tasks are right, or all wrong, which a bootstrap takes for certain."""
    if set(values) in ({0.0}, {1.0}):
        return wilson_interval(sum(values), len(values))
    return bootstrap_interval(values, config.bootstrap, config.seed)


def modules_not_offered(metrics: Mapping[str, Any], remedy: str = "sandbox.packages") -> str:
    """A sentence on the answers that failed for modules that programs are not offered; empty where there were none. See `absence`."""
    counts = {name.removeprefix(NOT_OFFERED): n for name, n in metrics.get("outcomes", {}).items() if name.startswith(NOT_OFFERED)}
    return absence(dict(sorted(counts.items(), key=lambda item: -item[1])), metrics.get("samples", 0), remedy=remedy)


def tasks_left_out(rows: Sequence[Mapping[str, Any]]) -> str:
    """A sentence on the tasks that cannot be scored here, with their reasons; empty where all can."""
    reasons = [f"{row['id']} ({row['unavailable']})" for row in rows if "unavailable" in row]
    return f"{len(reasons)} of {len(rows)} tasks are unavailable here and left out: {'; '.join(reasons)}" if reasons else ""


def _metrics(rows: Sequence[Mapping[str, Any]], samples: Sequence[Sample], config: EvalsConfig) -> dict[str, Any]:
    """Means over tasks; a figure is left out where no task has it."""
    metrics: dict[str, Any] = {}

    def mean_of(name: str, key: str) -> None:
        values = [row[key] for row in rows if key in row]
        if values:
            metrics[name] = float(np.mean(values))

    for key in ("pass@1_base", *(f"pass@{k}" for k in KS)):
        mean_of(key, key)
        if key in metrics:
            metrics[f"{key}_ci"] = list(interval_over_tasks([row[key] for row in rows if key in row], config))
    for key in sorted({key for row in rows for key in row if key.startswith("majority@")}):
        mean_of(key, key)
    wrong = [1.0 - row["majority_correct"] for row in rows if "majority_correct" in row]
    if wrong:
        metrics["majority_wrong"] = float(np.mean(wrong))
    mean_of("entropy", "entropy")
    mean_of("top_share", "top_share")
    asked = [s for s in samples if s.outcome != UNAVAILABLE]
    known = [s for s in asked if s.passed is not None]
    if samples:
        metrics["mean_length"] = float(np.mean([s.n_tokens for s in samples]))
        metrics["cut_off"] = sum(not s.finished for s in samples) / len(samples)
    if known:
        metrics["no_program"] = sum(s.outcome == "no program" for s in known) / len(known)
        metrics["compile_rate"] = 1.0 - sum(s.outcome in ("no program", "does not compile") for s in known) / len(known)
    metrics["outcomes"] = dict(sorted(Counter(s.outcome for s in samples).items()))
    unavailable = sum("unavailable" in row for row in rows)
    metrics["tasks"], metrics["tasks_missing"] = len(rows), sum(row["n"] == 0 for row in rows) - unavailable
    metrics["samples"], metrics["missing"] = len(samples), len(asked) - len(known)
    if unavailable:
        metrics["tasks_unavailable"] = unavailable
    return metrics
