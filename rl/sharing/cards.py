"""The model card and the dataset card of a run. Everything in them is read from the run's folder."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import jinja2
import yaml
from huggingface_hub import DatasetCardData, EvalResult, ModelCardData

from probing.records import SELF_MADE
from rl.round_tables import with_interval
from rl.run_data import Row, RunData, known
from rl.sharing.problems import COLUMNS
from rl.sharing.published import base_name, outside_name, published_config

HERE = Path(__file__).parent
TAGS = ["code", "ucoder", "self-improvement"]
DATASET_FILE = "problems.parquet"

NO_EXTERNAL_DATA = (
    "**No external data.** After the base model, training used no labels, no code corpus, no tests and no solutions from outside: "
    "every problem, test input and solution that the model learnt from was written by the model itself."
)
OWN_STATEMENTS = (
    "**Statements from outside.** After the base model, training used no labels, no tests and no reference solutions. The statements of "
    "{which} problems are from `{source}`; {written} written by the model itself. Each problem of the dataset names its source."
)
OWN_SOLUTIONS = " The solutions whose behaviour votes were collected elsewhere (`{solutions}`), and nobody has checked them."
ORACLE = (
    "**Not label-free.** This run is an oracle arm: reference solutions from outside decided the reward. "
    "Problems, test inputs and solutions were written by the model itself."
)
ORACLE_OF_OWN = (
    "**Not label-free.** This run is an oracle arm: reference solutions from outside decided the reward. "
    "Statements of problems are from `{source}`."
)
AUDITED = " Reference solutions were read to audit the labels for the log; no figure of the audit reached training."
DECONTAMINATED = (
    " Problems that overlap a benchmark (word n-grams) were dropped before training; otherwise benchmarks were used for evaluation only."
)
SEEDLING = " The base model, the seedling, was pretrained on a generated grammar of small Python tasks and on nothing else."
OTHER_BASE = " What the base model was pretrained on is stated by its own authors."

TRAINING = {
    "sft": "It was trained on what their behaviour agreed on (supervised).",
    "grpo": "Agreement of their behaviour{probe} was the reward (GRPO).",
    "sft+grpo": "It was trained on what their behaviour agreed on (supervised); then agreement{probe} was the reward (GRPO).",
}
PROPOSER = " It was trained to propose, too: its own problems were rewarded where the votes on them fell in the training band."
OTHER_REWARDS = {
    "random": "The reward was random (GRPO): an ablation.",
    "oracle": "Reference solutions decided the reward (GRPO): an ablation that bounds what the label-free reward can reach.",
}


def uses(config: Row) -> str:
    """The reward that the run was trained on: `label_free`, `random` or `oracle`."""
    return "label_free" if config["consolidation"] == "sft" else str(config["grpo"]["reward"])


def data_statement(config: Row) -> str:
    """What the model learnt from, as the run's config says."""
    statements = outside_name(config["problems"].get("source", SELF_MADE))
    if uses(config) == "oracle":
        text = ORACLE if statements is None else ORACLE_OF_OWN.format(source=statements)
    else:
        text = (NO_EXTERNAL_DATA if statements is None else _own_statement(config, statements)) + (AUDITED if config["audit"] else "")
    return text + DECONTAMINATED + (SEEDLING if config["model"] == "seedling" else OTHER_BASE)


def _own_statement(config: Row, statements: str) -> str:
    solutions = outside_name(config["solutions"].get("source", SELF_MADE))
    which = "some" if config["problems"]["share"] else "the"
    written = "test inputs were" if solutions is not None else "every other part of a problem, its test inputs and solutions were"
    text = OWN_STATEMENTS.format(which=which, source=statements, written=written)
    return text if solutions is None else text + OWN_SOLUTIONS.format(solutions=solutions)


def training_statement(config: Row) -> str:
    """How the policy was trained, in words."""
    probe = " and a probe of hidden states" if config["reward"]["w_quality"] else ""
    text = OTHER_REWARDS.get(uses(config)) or TRAINING[config["consolidation"]].format(probe=probe)
    return text + (PROPOSER if config.get("proposer") is not None else "")


def gain_text(row: Row, key: str = "gain") -> str:
    """`+2.3 [0.1, 4.5]` points; a dash where it was not measured."""
    gain = known(row, key)
    if gain is None:
        return "–"
    low, high = row[f"{key}_ci"]
    return f"{100 * gain:+.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def benchmark_rows(run: RunData) -> list[tuple[str, str, str]]:
    """(benchmark, pass@1 of the base, pass@1 of the result), each with its interval, or why there is none."""

    def cell(row: Row, name: str) -> str:
        figures = (row.get("benchmarks") or {}).get(name) or {}
        return f"unavailable: {figures['unavailable']}" if "unavailable" in figures else with_interval(figures, "pass@1")

    names = dict.fromkeys(name for row in (run.base, run.final) for name in row.get("benchmarks") or {})
    return [(name, cell(run.base, name), cell(run.final, name)) for name in names]


def model_card(run: RunData, repo: str, dataset: str, adapter_of: str | None = None) -> str:
    """README.md of the model repository `repo`, whose problems lie in the dataset repository `dataset`.

    adapter_of: the model of the Hub that the weights are an adapter of; None: they are whole.
    """
    config = run.config
    base, of_the_hub = base_name(config["model"])
    data = ModelCardData(
        library_name="transformers" if adapter_of is None else "peft",
        pipeline_tag="text-generation",
        model_name=repo.split("/")[-1],
        tags=TAGS,
        datasets=[dataset],
        eval_results=[
            EvalResult(task_type="text-generation", dataset_type=name, dataset_name=name, metric_type="pass@1", metric_value=value)
            for name, figures in (run.final.get("benchmarks") or {}).items()
            if (value := known(figures, "pass@1")) is not None
        ]
        or None,
        base_model=adapter_of or (base if of_the_hub else None),
        license="apache-2.0" if config["model"] == "seedling" else None,
    )
    return _render(
        "model_card",
        data,
        repo=repo,
        dataset=dataset,
        base=base,
        adapter_of=adapter_of,
        number=run.final["round"],
        training=training_statement(config),
        statement=data_statement(config),
        evals=config["evals"],
        choice=(run.final.get("choice") or {}).get("reason"),
        rows=run.rows,
        benchmarks=benchmark_rows(run),
        config=yaml.safe_dump(published_config(config), sort_keys=False, width=100),
        versions=run.versions,
    )


def dataset_card(run: RunData, repo: str, dataset: str, count: int) -> str:
    """README.md of the dataset repository."""
    data = DatasetCardData(
        language=["en"],
        task_categories=["text-generation"],
        tags=[*TAGS, "synthetic"],
        pretty_name=dataset.split("/")[-1],
        configs=[{"config_name": "default", "data_files": DATASET_FILE}],
        license="apache-2.0" if run.config["model"] == "seedling" else None,
    )
    return _render(
        "dataset_card",
        data,
        repo=repo,
        dataset=dataset,
        source=outside_name(run.config["problems"].get("source", SELF_MADE)),
        statement=data_statement(run.config),
        columns=COLUMNS,
        count=count,
    )


def _render(name: str, data: ModelCardData | DatasetCardData, **values: Any) -> str:
    return f"---\n{data.to_yaml()}\n---\n\n" + _templates().get_template(f"{name}.md.jinja").render(values)


@functools.cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters |= {"share": with_interval, "gain": gain_text}
    return environment
