"""AUROC within tasks of every score, with intervals over tasks, and the tables of RESULTS.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bench.markdown import table
from bench.real.probe.scores import (
    CONTROLS,
    MEAN_LOGPROB,
    PAIRS,
    STATES,
    WITH_CONTROLS,
    WITH_LOGPROBS,
    Answers,
    FitSettings,
    Fitted,
    bare_scores,
    bears,
    contrasts,
    votes,
)
from probing.probe.auroc import auroc_by_group
from probing.probe.contrasts import Floats
from probing.probe.hidden_states import StateFeatures
from rl.console import UserError
from rl.evals.passk import bootstrap_interval
from rl.ranks.states import joined_features

LEAST_TASKS = 10  # with both kinds of answer, by votes and by references; below it nothing is fitted
RESAMPLES = 10_000
GAINS = (
    (STATES, MEAN_LOGPROB),
    (WITH_LOGPROBS, MEAN_LOGPROB),
    (CONTROLS, MEAN_LOGPROB),
    (WITH_CONTROLS, CONTROLS),
    (PAIRS, STATES),
)
SOURCES = ("votes", "references")  # what a fit learns from


def answers_of(complete: Sequence[tuple[Mapping[str, Any], StateFeatures]]) -> Answers:
    """Everything of the tasks that are read. All graded answers of a task vote; those whose states were read are scored.

    Raises UserError where a state is not a finite number.
    """
    features = joined_features([of_task for _, of_task in complete])
    if not features.finite().all():
        said = f"the states of {int((~features.finite()).sum())} answers are not finite numbers"
        raise UserError(said, "the folder of --out", "read them again into another folder, on a device without bfloat16")
    sizes = [len(of_task.lengths) for _, of_task in complete]
    voted = [votes(row["clusters"], row["passed"]) for row, _ in complete]
    passed = [verdict for (row, _), size in zip(complete, sizes, strict=True) for verdict in row["passed"][:size]]
    return Answers(
        features=features,
        groups=np.repeat(np.arange(len(complete)), sizes).astype(np.int64),
        voted=np.concatenate([winner_N[:size] for (winner_N, _), size in zip(voted, sizes, strict=True)]),
        share=np.concatenate([share_N[:size] for (_, share_N), size in zip(voted, sizes, strict=True)]),
        right=np.array([np.nan if verdict is None else float(verdict) for verdict in passed]),
    )


def drawn(rows: Sequence[Mapping[str, Any]], read: int) -> dict[str, Any]:
    """Figures of all tasks that were drawn and graded. read: how many answers of each are read, which pass@1 counts."""
    known = [[verdict for verdict in row["passed"][:read] if verdict is not None] for row in rows]
    clear = [(row, winner_n) for row in rows if np.isfinite(winner_n := votes(row["clusters"], row["passed"])[0]).any()]
    return {
        "tasks": len(rows),
        "tasks_to_read": sum(bears(row["clusters"], row["passed"], read) for row in rows),
        "pass@1": float(np.mean([np.mean(of_task) for of_task in known if of_task])),
        "mixed_share": float(np.mean([len(set(of_task)) > 1 for of_task in known if of_task])),
        "clear_winners": len(clear),
        "clear_winners_right": sum(bool(row["passed"][int(np.flatnonzero(winner_n == 1)[0])]) for row, winner_n in clear),
    }


def summary(answers: Answers, splits: int, seed: int, settings: FitSettings, advance: Callable[[int], None]) -> dict[str, Any]:
    """Every figure of one model. AUROCs of a fitted score are means over `splits` cuts into folds. Raises UserError for too few tasks.

    advance: called after each of the 2 * splits rounds of fits.
    """
    mixed_G, learnt_G = contrasts(answers.right, answers.groups), contrasts(answers.voted, answers.groups)
    if min(int(mixed_G.sum()), int(learnt_G.sum())) < LEAST_TASKS:
        said = f"{mixed_G.sum()} tasks have right and wrong answers, {learnt_G.sum()} a clear winner and others: {LEAST_TASKS} are needed"
        raise UserError(said, "--tasks", "read more tasks, or more answers of each")
    within = {("", name): aurocs(answers, [scores_N]) for name, scores_N in bare_scores(answers).items()}
    fitted = Fitted(answers, settings, seed)
    for source, targets_N in zip(SOURCES, (answers.voted, answers.right), strict=True):
        rounds = []
        for split in range(splits):
            rounds.append(fitted.scores(targets_N, split))
            advance(1)
        within |= {(source, name): aurocs(answers, [found[name] for found in rounds]) for name in rounds[0]}
    known = np.isfinite(answers.right)
    return {
        "tasks_read": len(mixed_G),
        "mixed_tasks": int(mixed_G.sum()),
        "learnt_tasks": int(learnt_G.sum()),
        "pairs": int(sum(_pairs(answers.right[known & (answers.groups == g)]) for g in np.flatnonzero(mixed_G))),
        "answers": len(known),
        "without_verdict": int((~known).sum()),
        "splits": splits,
        "folds": settings.folds,
        "scores": [
            {"score": name, "fitted_on": source or None} | _estimate("auroc", of_task, seed) for (source, name), of_task in within.items()
        ],
        "gains": [
            {"score": name, "over": other, "fitted_on": source}
            | _estimate("gain", within[source, name] - within[source if (source, other) in within else "", other], seed)
            for source in SOURCES
            for name, other in GAINS
        ],
    }


def aurocs(answers: Answers, rounds: Sequence[Floats]) -> Floats:
    """float64[T]: AUROC against the references inside each mixed task, mean over the rounds of scores."""
    known = np.isfinite(answers.right)
    columns = np.stack([scores_N[known] for scores_N in rounds], axis=1)
    right = np.repeat(answers.right[known, None] > 0.5, len(rounds), axis=1)
    by_task = auroc_by_group(columns, right, answers.groups[known])
    return by_task[np.isfinite(by_task[:, 0])].mean(axis=1)


def _estimate(key: str, of_task: Floats, seed: int) -> dict[str, Any]:
    """The mean over mixed tasks and its 95 % interval by bootstrap over them; the same draws for all, so differences are paired."""
    return {key: float(of_task.mean()), f"{key}_ci": list(bootstrap_interval(of_task, RESAMPLES, seed))}


def _pairs(right_n: Floats) -> int:
    return int(right_n.sum() * (len(right_n) - right_n.sum()))


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """A section a model: who was measured, the AUROCs, the paired differences."""
    parts = []
    for row in rows:
        found = {(score["fitted_on"], score["score"]): score for score in row["scores"]}
        names = list(dict.fromkeys(score["score"] for score in row["scores"]))
        lines = [[name, *(_cell(found.get((source, name)), "auroc") for source in (None, *SOURCES))] for name in names]
        gains = {(gain["fitted_on"], gain["score"], gain["over"]): gain for gain in row["gains"]}
        changes = [[f"{name} − {other}", *(_cell(gains[source, name, other], "gain") for source in SOURCES)] for name, other in GAINS]
        parts += [
            f"{row['model']}: {row['tasks']} tasks of {row['benchmark']} drawn at random, {row['samples']} answers each "
            f"({row['answers_file']['file']}), pass@1 {100 * row['pass@1']:.1f} %, {100 * row['mixed_share']:.0f} % mixed. Of "
            f"{row['tasks_to_read']} that enter a figure {row['tasks_read']} were read: {row['mixed_tasks']} are mixed ({row['pairs']:,} "
            f"pairs), {row['learnt_tasks']} have a contrast in the votes. Layers {', '.join(map(str, row['layers']))}, {row['dtype']}.",
            table(["score", "nothing fitted", "fitted on votes", "fitted on references"], lines),
            table(["AUROC within, difference", "fitted on votes", "fitted on references"], changes),
        ]
    return "\n\n".join(parts)


def _cell(row: Mapping[str, Any] | None, key: str) -> str:
    if row is None:
        return ""
    low, high = row[f"{key}_ci"]
    sign = "+" if key == "gain" else ""
    return f"{row[key]:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"
