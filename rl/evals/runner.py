"""Runs one benchmark on one model: sample, extract, execute once each, grade in the parent, and count.

    result = evaluate(sampler, tokenizer, sandbox, load_benchmark("seedling"), EvalsConfig(samples=16))
    result.metrics["pass@1"], result.metrics["pass@1_ci"]

Infrastructure failures are left out and counted (`missing`); nothing here marks them wrong.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from probing.prompt import Question
from probing.reading.text import opened_thinking
from probing.samplers.base import Completion, Progress, Sampler, SamplingParams
from rewards.clusters.clustering import cluster
from rewards.clusters.signatures import OutcomeMatrix
from rewards.programs.normal_form import normal_form
from rewards.records import Execution, Kind, Program
from rewards.sandbox import Sandbox
from rl.benchmarks.base import Benchmark, EvalTask, Grade
from rl.benchmarks.external import ExternalBenchmark
from rl.benchmarks.prompts import CodePrompt, question_of, with_spaces
from rl.config.evals import EvalsConfig
from rl.evals.metrics import KS, NOT_OFFERED, UNAVAILABLE, Sample, metrics_of, task_row
from rl.evals.passk import pass_at_k

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PART_CHARACTERS = 3_000_000  # input text of one program in the sandbox
UNKNOWN = Grade(None)
SYNTAX_ERRORS = ("SyntaxError", "IndentationError", "TabError")  # of a program that a benchmark's own wrapping compiles
VALID_SHARE = 0.8  # ρ: least share of inputs that must give a value for a program to have a vote


@dataclass(frozen=True)
class EvalResult:
    """What a benchmark said about a model. `metrics` and `tasks` are JSON-able."""

    benchmark: str
    metrics: dict[str, Any]
    tasks: list[dict[str, Any]]  # one row a task: id, n, correct, missing, pass@k, top_share, majority_correct, entropy, mean_length
    samples: list[Sample] = field(repr=False, default_factory=list)
    sampling: dict[str, Any] | None = None  # of a result from the cache: how its samples were drawn then (`how_sampled`)


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
    questions = questions_of(tokenizer, benchmark, config)
    answers = answers_to(sampler, questions, config.draws, params, config.seed, progress)
    written = [bool(q.prefill) and not opened_thinking(q.prefill) for q in questions]  # the answer's start is a public harness's
    harness = [isinstance(task.prompt, CodePrompt) and w for task, w in zip(benchmark.tasks, written, strict=True)]
    return [[replace(a, text=with_spaces(a.text)) for a in group] if h else group for h, group in zip(harness, answers, strict=True)]


def questions_of(tokenizer: PreTrainedTokenizerBase, benchmark: Benchmark, config: EvalsConfig) -> list[Question]:
    """What the model is asked, a question for each task. Raises UserError where its chat template refuses the turns."""
    return [question_of(tokenizer, task.prompt, config.prompt, config.chat_template_args) for task in benchmark.tasks]


def score(benchmark: Benchmark, answers: Sequence[Sequence[Completion]], sandbox: Sandbox, config: EvalsConfig) -> EvalResult:
    """Executes and grades answers that are already there, `answers[i]` to task i.

    Where nothing here can score them, the metrics say why under `unavailable`, and the samples are there without a verdict.
    """
    if (absent := benchmark.unavailable()) is not None:
        figures = {"unavailable": absent.reason, "remedy": absent.remedy, "samples": sum(map(len, answers))}
        drawn = zip(benchmark.tasks, answers, strict=True)
        unscored = [_without_program(task, i, c, None, UNAVAILABLE) for task, group in drawn for i, c in enumerate(group)]
        return EvalResult(benchmark.name, figures, [{"id": task.id, "n": 0} for task in benchmark.tasks], unscored)
    if isinstance(benchmark, ExternalBenchmark):
        return _score_externally(benchmark, answers, config)
    with _fitting(sandbox, benchmark.sandbox) as fitting:
        benchmark = benchmark.prepared(fitting)
        apart = benchmark.lost.union(benchmark.without)
        asked = [[] if task.id in apart else group for task, group in zip(benchmark.tasks, answers, strict=True)]
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
        if task.id in benchmark.lost:
            samples += [_without_program(task, i, c, None, "missing") for i, c in enumerate(completions)]
            rows.append({"id": task.id, "n": 0, "correct": 0, "missing": len(completions)})
            continue
        found, entropy, top_share = _samples(task, completions, distinct, benchmark.has_base)
        samples += found
        rows.append(task_row(task, found, entropy, top_share, benchmark.has_behaviours))
    return EvalResult(benchmark.name, metrics_of(rows, samples, config), rows, samples)


def _score_externally(benchmark: ExternalBenchmark, answers: Sequence[Sequence[Completion]], config: EvalsConfig) -> EvalResult:
    """By the official scorer. Nothing is known of behaviours then."""
    texts = [(task, [c.text for c in group]) for task, group in zip(benchmark.tasks, answers, strict=True)]
    verdicts = benchmark.score_answers(texts)
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
    metrics = metrics_of(rows, samples, config)
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
