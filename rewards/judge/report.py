"""A ranking as plain data (`--json` of `ucoder judge` and `ucoder solve`) and as tables for a person."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from rewards.judge.ranking import NO_VOTE, Ranking
from rewards.records import absence
from rewards.text import shorten

SHOWN_OUTCOMES = 3  # outcomes printed of each cluster's representative


def as_json(ranking: Ranking) -> dict[str, Any]:
    """The ranking as plain data; NaN becomes null. Candidates go by the numbers under which they were given at first."""

    def plain(value: Any) -> Any:
        return None if isinstance(value, float) and math.isnan(value) else value

    c, matrix, programs = ranking.judgement.clustering, ranking.judgement.matrix, ranking.programs
    first_of_row = {int(row): int(place) for row, place in reversed(list(zip(programs.row_of, programs.places, strict=True)))}
    clusters = [
        {
            "share": float(c.shares[k]),
            "samples": int(c.counts[k]),
            "winner": k == c.top,
            "degenerate": bool(c.degenerate[k]),
            "representative": first_of_row[int(c.representatives[k])],
            "outcomes": [matrix.legend[code] if code >= 0 else "error" for code in matrix.codes[c.representatives[k]]],
        }
        for k in range(c.n_clusters)
    ]
    ranked = [
        {
            "candidate": int(programs.places[i]),
            "score": plain(float(ranking.scores[i])),
            "cluster": int(c.labels[programs.row_of[i]]),
            "value_share": float(matrix.value_share[programs.row_of[i]]),
            "no_vote": ranking.no_vote[i],
        }
        for i in ranking.order
    ]
    return {
        "candidates": len(programs.row_of),
        "distinct_programs": matrix.n_programs,
        "valid": c.n_valid,
        "missing": ranking.no_vote.count("lost"),
        "no_vote": {reason: ranking.no_vote.count(reason) for reason in NO_VOTE},
        "not_offered": ranking.not_offered,
        "top_share": c.top_share,
        "margin": c.margin,
        "entropy": c.entropy,
        "inputs": [programs.inputs[j] for j in ranking.judgement.kept],
        "input_quality": asdict(ranking.quality),
        "hidden_differences": asdict(ranking.hidden),
        "theorem": {k: plain(v) for k, v in asdict(ranking.bound).items()} | {"vacuous": ranking.bound.vacuous},
        "clusters": clusters,
        "ranking": ranked,
    }


def print_tables(report: dict[str, Any], ranking: Ranking, show: int, console: Console) -> None:
    """The report for a person."""
    r, quality = report, report["input_quality"]
    console.print(
        f"{r['candidates']} candidates, {r['distinct_programs']} distinct programs, {r['valid']} valid, {r['missing']} missing; "
        f"{len(r['inputs'])} inputs"
    )
    if without := sum(r["no_vote"].values()):
        console.print(f"{without} of them {'has' if without == 1 else 'have'} no vote:")
        for reason, count in r["no_vote"].items():
            if count:
                console.print(f"  {count:>5}  {NO_VOTE[reason]}")
    clusters = Table(title=f"Clusters (entropy {r['entropy']:.2f} nats, margin {r['margin']:+.2f})", title_justify="left")
    for name in ("cluster", "share", "samples", "like", f"outcomes on the {SHOWN_OUTCOMES} most telling inputs", "note"):
        clusters.add_column(name, justify="left" if name.startswith(("outcomes", "note")) else "right")
    for k, row in enumerate(r["clusters"][:show]):
        note = " ".join(["winner"] * row["winner"] + ["constant or echo"] * row["degenerate"])
        outcomes = "  ".join(shorten(text, 24) for text in row["outcomes"][:SHOWN_OUTCOMES])
        clusters.add_row(str(k), f"{100 * row['share']:.1f} %", str(row["samples"]), f"#{row['representative']}", outcomes, note)
    console.print(clusters, markup=False)
    if len(r["clusters"]) > show:
        console.print(f"… and {len(r['clusters']) - show} more clusters")
    if ranking.judgement.clustering.top < 0:
        console.print("No cluster wins: none is large enough, or only constant and echoing programs are.")
    candidates = Table(title="Candidates, the best first", title_justify="left")
    for name in ("candidate", "score", "cluster", "values"):
        candidates.add_column(name, justify="right")
    for row in r["ranking"][:show]:
        score = "missing" if row["score"] is None else f"{row['score']:.3f}"
        label = str(row["cluster"]) if row["cluster"] >= 0 else "–"
        candidates.add_row(f"#{row['candidate']}", score, label, f"{100 * row['value_share']:.0f} %")
    console.print(candidates)
    killed = "–" if quality["mutants_killed"] is None else f"{100 * quality['mutants_killed']:.0f} %"
    console.print(
        f"Inputs: rank {quality['rank']}, {quality['n_behaviours']} behaviours told apart, mutants killed {killed}, "
        f"errors {100 * quality['error_share']:.0f} %, nearly everything errs on {100 * quality['dead_share']:.0f} % of them"
    )
    console.print(ranking.hidden.sentence())
    console.print(ranking.bound.sentence())
    if lost := absence(r["not_offered"], r["candidates"], "candidates", "--packages"):
        console.print(lost)
