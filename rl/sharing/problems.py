"""The problems of a run as a `datasets` dataset, each row with its provenance.

The labels are the majority's behaviour, not the truth: a row says how many agreed, and nothing was checked against a reference.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from probing.records import SELF_MADE
from rl.report.browser import largest_text
from rl.run_data import Row, RunData
from rl.sharing.published import base_name

if TYPE_CHECKING:
    from datasets import Dataset

# column: type, what it holds
COLUMNS: dict[str, tuple[str, str]] = {
    "id": ("string", "unique within the run"),
    "title": ("string", "title of the problem"),
    "statement": ("string", "what the solver reads"),
    "entry": ("string", "name of the function to write; `<stdin>` for a program that reads standard input"),
    "signature": ("string", "its signature; empty for a program"),
    "interface": ("string", "signature and docstring; null for a program"),
    "example": ("string", "as the model, or the source, wrote it; never trusted"),
    "topic": (
        "string",
        "what the model was asked for, or the topic of `beyond`; `own` where the statement is not the model's",
    ),
    "beyond": ("string", "id of the solved problem that it was asked to go a step beyond; null where it was asked for by topic"),
    "source": ("string", "`self`: the model invented the problem; else the file or dataset that its statement is from, and the row"),
    "rating": ("float64", "the model's own rating, 0 to 1; null where the statement is not the model's"),
    "inputs": ("strings", "test inputs, each a Python literal: the list of positional arguments, or the text for standard input"),
    "input_origins": ("strings", "`model`, `mutated` or (of a program) `statement`, one for each input"),
    "solution": ("string", "the program that most members of the winning cluster wrote; null where nothing won"),
    "samples": ("int64", "solutions that were sampled"),
    "votes": ("int64", "of these, how many ran on enough inputs to have a vote"),
    "agreement": ("float64", "share of the votes that behave like the winner"),
    "entropy": ("float64", "of the behaviours, nats"),
    "in_band": ("bool", "in the band of agreement that training draws from"),
    "run": ("string", "name of the run"),
    "round": ("int64", "round in which it was made"),
    "author": ("string", "the model that wrote the row, all but what is from `source`"),
    "seed": ("int64", "seed of the run"),
    "ucoder_version": ("string", "version of the software, with the commit where it is known"),
}


def author(run: RunData, number: int) -> str:
    """The policy that a round starts from."""
    if number == 1:
        return base_name(str(run.config.get("model", "unknown")))[0]
    return f"checkpoint of round {number - 1}"


def problem_rows(run: RunData) -> Iterator[Row]:
    """One row a problem that consensus has judged, over all rounds."""
    version = " ".join(str(run.versions[name]) for name in ("ucoder", "commit") if name in run.versions)
    for files in run.rounds:
        verdicts = {row["problem_id"]: row for row in files.rows("clusters")}
        suites = {row["problem_id"]: row for row in files.rows("suites")}
        programs = files.by_problem("executions")
        for problem in files.rows("problems"):
            verdict = verdicts.get(problem["id"])
            if verdict is None:
                continue
            winner = largest_text(verdict, verdict["top"], programs.get(problem["id"], ()))
            yield {
                **{name: problem[name] for name in ("id", "title", "entry", "signature", "interface", "example", "topic", "rating")},
                "statement": problem["description"],
                "beyond": problem.get("beyond"),
                "source": problem.get("source", SELF_MADE),
                "inputs": list(suites[problem["id"]]["inputs"]),
                "input_origins": list(suites[problem["id"]]["origins"]),
                "solution": winner["program"] if winner else None,
                "samples": len(verdict["labels"]),
                "votes": verdict["n_valid"],
                "agreement": verdict["top_share"],
                "entropy": verdict["entropy"],
                "in_band": verdict["kept"],
                "run": run.name,
                "round": files.number,
                "author": author(run, files.number),
                "seed": run.config.get("seed"),
                "ucoder_version": version,
            }


def problem_dataset(run: RunData) -> Dataset:
    """The rows as a dataset with stated types."""
    import datasets

    kinds: dict[str, Any] = {name: datasets.Value(name) for name in ("string", "float64", "int64", "bool")}
    kinds["strings"] = datasets.List(datasets.Value("string"))
    features = datasets.Features({name: kinds[kind] for name, (kind, _) in COLUMNS.items()})
    return datasets.Dataset.from_list(list(problem_rows(run)), features=features)
