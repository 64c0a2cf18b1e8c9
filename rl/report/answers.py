"""What became of the model's answers: how many passed, were wrong, failed, did not compile, or held no program at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rl.evals.metrics import UNAVAILABLE
from rl.run_data import RunData, known

COLUMNS = (  # heading, field of `AnswerCounts`, what it means
    ("answers", "answers", "all that were drawn"),
    ("passed", "passed", "their programs pass every test"),
    ("wrong", "wrong", "their programs return something else"),
    ("failed", "failed", "their programs raise, time out, or break another limit"),
    ("not compiling", "not_compiling", "their programs are no valid Python"),
    ("no program", "no_program", "no program was found in them, as where they are cut off in their thinking"),
    ("missing", "missing", "lost to our own failures; not counted in any score"),
)
OWN_COUNTS = ("passed", "wrong", "no program", "does not compile", "missing", UNAVAILABLE)  # outcomes that are no failure of a program


@dataclass(frozen=True)
class AnswerCounts:
    """The answers of one round to one benchmark, or to the round's own problems. None: not known, which is not zero."""

    round: int
    where: str
    answers: int
    passed: int | None
    wrong: int | None
    failed: int | None
    not_compiling: int | None
    no_program: int | None
    missing: int | None


def answer_counts(run: RunData) -> list[AnswerCounts]:
    """By round: the answers of stage 5, whose rightness nobody knows, then those of each benchmark."""
    evaluated = [(row["round"], name, figures) for row in run.rows for name, figures in (row.get("benchmarks") or {}).items()]
    found = [*_of_stage_5(run), *(_of_benchmark(n, name, f) for n, name, f in evaluated if f.get("outcomes"))]
    return sorted(found, key=lambda counts: counts.round)


def _of_benchmark(number: int, name: str, figures: Mapping[str, object]) -> AnswerCounts:
    outcomes = figures["outcomes"]
    assert isinstance(outcomes, Mapping)
    return AnswerCounts(
        number,
        name,
        answers=sum(outcomes.values()) - outcomes.get(UNAVAILABLE, 0),
        passed=outcomes.get("passed", 0),
        wrong=outcomes.get("wrong", 0),
        failed=sum(count for outcome, count in outcomes.items() if outcome not in OWN_COUNTS),
        not_compiling=outcomes.get("does not compile", 0),
        no_program=outcomes.get("no program", 0),
        missing=outcomes.get("missing", 0),
    )


def _of_stage_5(run: RunData) -> Iterator[AnswerCounts]:
    for row in run.metrics:
        samples, share = known(row, "samples"), known(row, "no_program")
        if row["stage"] == "sampling" and samples and share is not None:
            yield AnswerCounts(
                row["round"], "its own problems (stage 5)", int(samples), None, None, None, None, round(share * samples), None
            )
