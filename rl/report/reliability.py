"""Pairs of (what the judge claimed, what was so), for the reliability plots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rl.run_data import Row, RunData, known

Pairs = list[tuple[float, bool]]


@dataclass(frozen=True)
class ClaimPairs:
    """All rounds together. Centred scores have their problem's mean taken out: training compares samples of one problem only."""

    shares: Pairs = field(default_factory=list)  # by problem: share of the winner, whether it behaves like the reference (audit)
    probes: Pairs = field(default_factory=list)  # by candidate: calibrated probability, whether it is right
    centred_probe: Pairs = field(default_factory=list)
    centred_logprob: Pairs = field(default_factory=list)
    centred_length: Pairs = field(default_factory=list)
    truth: str = ""  # what "right" means for candidates: "audit" or "consensus"


def claim_pairs(run: RunData) -> ClaimPairs:
    """Read the verdicts and scores of every round.

    Where scores.jsonl has `correct` (audited runs), that is the truth for candidates; elsewhere it is membership in the winning cluster,
    of problems with a winner, which says how well the probe knows consensus, not how well it knows the truth.
    """
    verdicts = {(f.number, row["problem_id"]): row for f in run.rounds for row in f.rows("clusters")}
    scores = {(f.number, problem): rows for f in run.rounds for problem, rows in f.by_problem("scores").items()}
    audited = any(row.get("correct") is not None for rows in scores.values() for row in rows)
    record = ClaimPairs(truth="audit" if audited else "consensus")
    record.shares.extend((v["top_share"], bool(v["label_correct"])) for v in verdicts.values() if v.get("label_correct") is not None)
    for key, rows in scores.items():
        right = _truth(rows, verdicts.get(key), audited)
        if len(set(right.values())) < 2:
            continue  # nothing to tell apart
        record.probes.extend(
            (value, right[row["index"]]) for row in rows if row["index"] in right and (value := known(row, "probe")) is not None
        )
        for name, sign, pairs in (
            ("probe", 1.0, record.centred_probe),
            ("mean_logprob", 1.0, record.centred_logprob),
            ("n_tokens", -1.0, record.centred_length),
        ):
            pairs += _centred(rows, right, name, sign)
    return record


def _truth(rows: Sequence[Row], verdict: Row | None, audited: bool) -> dict[int, bool]:
    if audited:
        return {row["index"]: bool(row["correct"]) for row in rows if row.get("correct") is not None}
    if verdict is None or verdict["top"] < 0:
        return {}
    return {i: label == verdict["top"] for i, label in enumerate(verdict["labels"]) if label >= 0}


def _centred(rows: Sequence[Row], right: dict[int, bool], name: str, sign: float) -> Pairs:
    pairs = [(sign * value, right[row["index"]]) for row in rows if row["index"] in right and (value := known(row, name)) is not None]
    mean = sum(value for value, _ in pairs) / max(len(pairs), 1)
    return [(value - mean, truth) for value, truth in pairs]
