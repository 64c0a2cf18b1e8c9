"""What `ucoder eval` and `ucoder compare` print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from rl.evals.metrics import MAJORITY_OF

# figure in the table, key of the metrics, whether it is a share
FIGURES = (
    ("pass@1", "pass@1", True),
    ("pass@1, base tests", "pass@1_base", True),
    ("pass@4", "pass@4", True),
    ("pass@16", "pass@16", True),
    ("pass@64", "pass@64", True),
    *((f"majority@{k}", f"majority@{k}", True) for k in range(2, MAJORITY_OF + 1)),
    ("majority wrong", "majority_wrong", True),
    ("compile", "compile_rate", True),
    ("no program", "no_program", True),
    ("cut off", "cut_off", True),
    ("entropy", "entropy", False),
    ("tokens", "mean_length", False),
    ("missing", "missing", False),
)
OF_SEVERAL = ("majority_wrong", "entropy")  # say nothing of one sample a task

# figure: what it is, and the least that a usable base model shows (None: for information)
SKILLS: dict[str, tuple[str, float | None]] = {
    "proposals_usable": ("invent: proposals that are problems", 0.60),
    "distinct": ("invent: of those, like no other", 0.70),
    "interfaces_valid": ("interface: valid typed signatures with a docstring", 0.95),
    "inputs_callable": ("tests: written inputs that are callable", 0.85),
    "inputs_per_problem": ("tests: distinct callable inputs a problem", None),
    "answers_with_program": ("solve: answers with a program", 0.98),
    "votes_in_band": ("votes: problems in the training band", None),
    "rating_auroc": ("rate: intact against corrupted, AUROC", None),
}


def results_table(results: Mapping[str, Mapping[str, Any]], how: str) -> Table:
    """results: metrics by benchmark. how: the settings, in words."""
    table = Table(title=f"Evaluation: {how} (95 % intervals over tasks; entropy in nats; length in tokens)", title_justify="left")
    table.add_column("")
    for name in results:
        table.add_column(name, justify="right")
    several = any(metrics["samples"] > metrics["tasks"] for metrics in results.values())
    for title, key, share in FIGURES:
        if any(key in metrics for metrics in results.values()) and (several or key not in OF_SEVERAL):
            table.add_row(title, *(cell(metrics, key, share) for metrics in results.values()))
    table.add_row("tasks × samples", *(f"{m['tasks']} × {m['samples'] // max(m['tasks'], 1)}" for m in results.values()))
    return table


def cell(metrics: Mapping[str, Any], key: str, share: bool) -> str:
    """A figure as text, a share in percent with its interval; a missing one is a dash."""
    value = metrics.get(key)
    if value is None:
        return "–"
    if not share:
        return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"
    interval = metrics.get(f"{key}_ci")
    return f"{100 * value:.1f} %" + (f" [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]" if interval else "")


def skills_card(skills: Mapping[str, Any]) -> Table:
    """skills: figures of `rl.evals.skills.measure_skills`."""
    table = Table(title="Skills", title_justify="left")
    for title in ("skill", "share or AUROC", "of", "wanted"):
        table.add_column(title, justify="left" if title == "skill" else "right")
    for key, (title, floor) in SKILLS.items():
        value = skills.get(key)
        table.add_row(title, "–" if value is None else f"{value:.3f}", str(skills[f"{key}_of"]), "" if floor is None else f"≥ {floor}")
    return table


def how_asked(config: Mapping[str, Any], dtype: str, styled: Sequence[str] = ()) -> str:
    """Prompt, decoding and precision in words. config: an `EvalsConfig` as a mapping; styled: benchmarks that the prompt's style is for."""
    prompt = f"prompt {config['prompt']}, " if styled else ""
    drawn = "greedy" if config["temperature"] == 0 else f"{config['samples']} samples at temperature {config['temperature']:g}"
    nucleus = f", top-p {config['top_p']:g}" if config["temperature"] and config["top_p"] < 1 else ""
    return f"{prompt}{drawn}{nucleus}, {dtype}"
