"""The checks behind a report's verdict: reasons to trust a run's result, or not to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rewards.mixed import MixedConfig
from rewards.records import Kind
from rl.evals.metrics import modules_not_offered
from rl.report.headline import gain_interval, headline_of, percent, points
from rl.run_data import Row, RunData, known

CheckStatus = Literal["good", "warn", "bad", "unknown"]

KEPT_GAIN = 0.02  # points of pass@1 that the result may lie below the best round
LOST_BREADTH = 0.02  # points of pass@16 that may be lost
LENGTH_FACTOR = 1.5  # change of mean length, either way, that asks for a look
MORE_THAN_SHARPNESS = 0.02  # points of majority@16 from which a gain is more than sharper sampling
MISSING_SHARE = 0.01  # share of rollouts, or of answers to a benchmark, that our own infrastructure may lose
LABELS_RIGHT = 0.5  # share of labels in the training band that must be right: more that teach than mislead


@dataclass(frozen=True)
class Check:
    """One reason to trust the result, or not to."""

    status: CheckStatus
    title: str
    detail: str
    first: bool = False  # shown on the first screen: guards, missing answers, sandbox, labels


def checks_of(run: RunData) -> tuple[Check, ...]:
    """Every check that applies to the run: those of the gain too, once a round has been evaluated and the result is not the base."""
    checks = [_guards(run), _missing(run), _sandbox(run), *_labels(run)]
    if run.kept_base:
        checks += [_held(run), *_probe(run), *_modules(run)]
    elif len(run.rows) > 1:
        checks += [_interval(run), _held(run), _breadth(run), *_sharpness(run), *_probe(run), *_length(run), *_modules(run)]
    return tuple(checks)


def _interval(run: RunData) -> Check:
    _, low, high, kind = gain_interval(run)
    if low is None or high is None:
        return Check("unknown", "Is the gain more than noise?", "The run gave no interval.")
    text = f"95 % interval of the gain: {points(low)} to {points(high)} ({kind})."
    return Check("good" if low > 0 else "bad" if high < 0 else "warn", "Is the gain more than noise?", text)


def _held(run: RunData) -> Check:
    title = "Did it hold to the end?"
    figure, _, words = headline_of(run)
    scores = {row["round"]: value for row in run.rows if (value := known(row, figure)) is not None}
    result = scores.get(run.final["round"])
    if result is None:
        return Check("unknown", title, f"The result has no {words}.")
    best = max(scores, key=lambda number: scores[number])
    text = f"The result (round {run.final['round']}) has {percent(result)} {words}; round {best} reached {percent(scores[best])}."
    if run.final.get("choice"):
        text += f" Chosen without labels, {run.final['choice']['reason']}."
    return Check("good" if result >= scores[best] - KEPT_GAIN else "warn", title, text)


def _breadth(run: RunData) -> Check:
    title = "Was breadth kept?"
    before, after = known(run.base, "pass@16"), known(run.final, "pass@16")
    if before is None or after is None:
        return Check("unknown", title, "pass@16 was not measured.")
    text = f"pass@16 went from {percent(before)} to {percent(after)}."
    if after < before - LOST_BREADTH:
        return Check("warn", title, text + " The model solves fewer problems in 16 tries: it narrowed.")
    return Check("good", title, text)


def _sharpness(run: RunData) -> tuple[Check, ...]:
    """A policy that says its likeliest answer more often gains pass@1 at one temperature, but neither at the best one of each nor
    in majority@16, which is looked at where no best temperature was chosen."""
    title, temperature = "Was more gained than sharpness?", run.config.get("evals", {}).get("temperature")
    if temperature == 0:
        return ()
    if (gain := known(run.final, "best_gain")) is not None and (interval := run.final.get("best_gain_ci")) is not None:
        at = " and ".join(f"{row['best_temperature']:g}" for row in (run.base, run.final))
        text = f"Each at its best temperature ({at}), base and result differ by {points(gain)}"
        text += f" (95 %: {points(interval[0])} to {points(interval[1])})."
        if (sampled := known(run.final, "gain")) is not None and temperature is not None:
            text += f" At temperature {temperature:g} by {points(sampled)}."
        return (Check("good" if interval[0] > 0 else "bad" if interval[1] < 0 else "warn", title, text),)
    before, after = known(run.base, "majority@16"), known(run.final, "majority@16")
    if before is None or after is None:
        return (Check("unknown", title, "majority@16 was not measured."),)
    text = f"majority@16 went from {percent(before)} to {percent(after)}."
    if after - before >= MORE_THAN_SHARPNESS:
        return (Check("good", title, text),)
    more = " The model may only say its likeliest answer more often: ucoder eval --temperature 0 on both tells."
    return (Check("warn", title, text + more),)


def _labels(run: RunData) -> list[Check]:
    """By a person's marks, by an oracle, or how far the votes agree where there is neither."""
    checks = _marked(run)
    title = "Were the labels better than the model?"
    pairs = [
        (row["round"], accuracy, policy)
        for row, before in zip(run.rows[1:], run.rows, strict=False)
        if (accuracy := known(row, "label_accuracy")) is not None and (policy := known(before, "pass@1")) is not None
    ]
    if pairs:
        worst = min(pairs, key=lambda pair: pair[1])
        text = f"Consensus labels were right in {percent(worst[1])} of audited problems in the worst round ({worst[0]})."
        status: CheckStatus = "good" if worst[1] > worst[2] else "warn"
        checks.append(Check(status, title, text + f" The policy's pass@1 then was {percent(worst[2])}.", first=True))
    if checks:
        return checks
    shares = [share for row in run.metrics if row["stage"] == "consensus" and (share := known(row, "top_share")) is not None]
    votes = (
        f" Winners had {percent(shares[-1], 0)} of the votes in the last round, which says how sure they are, not how right."
        if shares
        else ""
    )
    return [Check("unknown", title, f"Not audited: no oracle, and nobody has marked labels yet.{votes}", first=True)]


def _marked(run: RunData) -> list[Check]:
    """What a person said of the labels (`ucoder audit`): of those in the training band, or of all where none of these is marked."""
    where, figures = run.marked
    if figures.get("accuracy") is None:
        return []
    low, high = figures["interval"]
    text = f"A person marked {figures['right'] + figures['wrong']} labels {where}: {percent(figures['accuracy'])} are right "
    text += f"(95 %: {percent(low)} to {percent(high)})"
    text += "." if figures["enough"] else "; too few marks for an interval within ±10 points."
    text += "" if figures["random_sample"] else " They are no random sample."
    status: CheckStatus = "good" if low > LABELS_RIGHT else "bad" if high < LABELS_RIGHT else "warn"
    return [Check(status, "Are the labels right?", text, first=True)]


def _probe(run: RunData) -> list[Check]:
    """Only where the probe has a weight: nothing rests on it elsewhere, and what it knows stands in the section on the judge."""
    title, given = "Did the probe know more than length?", quality_weight(run)
    if given == 0:
        return []
    row = next((row for row in reversed(run.rows) if known(row, "probe_auroc_within_controlled") is not None), None)
    if row is None:
        return [Check("unknown", title, "There was no probe, or no problem with both right and wrong samples held out.")]
    controlled, weight = known(row, "probe_auroc_within_controlled"), known(row, "probe_weight")
    assert controlled is not None
    floor = float(run.config.get("probe", {}).get("floor", 0.6))
    text = f"AUROC within problems, length controlled: {controlled:.3f} (round {row['round']}; floor {floor:.2f})."
    if weight is not None:
        text += f" Its weight in the reward was {given * weight:.2f}." if weight > 0 else " It earned no weight in the reward."
    return [Check("good" if controlled > floor and weight != 0 else "warn", title, text)]


def quality_weight(run: RunData) -> float:
    """`reward.w_quality` of the run's config."""
    return float(run.config.get("reward", {}).get("w_quality", MixedConfig().w_quality))


def _guards(run: RunData) -> Check:
    title = "Did the guards stay quiet?"
    events = run.guard_events
    if not events:
        trained = bool(run.training_steps())
        return Check("good" if trained else "unknown", title, "No guard fired." if trained else "Nothing was trained yet.", first=True)
    hard = [event for event in events if event.get("guard_action") in ("stop", "roll_back")]
    names = ", ".join(sorted({str(event.get("guard")) for event in events}))
    text = f"{len(events)} action{'s' if len(events) > 1 else ''} ({names})"
    text += f", {len(hard)} of them stopped or rolled back." if hard else "; see below."
    return Check("bad" if hard else "warn", title, text, first=True)


def _missing(run: RunData) -> Check:
    """Answers to the benchmarks, of the base and of the result, that have no verdict: they are left out of pass@1."""
    title = "Did every answer get its verdict?"
    rows = [run.base, *([run.final] if run.final["round"] != run.base["round"] else [])]
    figures = [found for row in rows for found in (row.get("benchmarks") or {}).values() if found.get("samples")]
    if not figures:
        return Check("unknown", title, "The run does not say how many answers were graded.", first=True)
    lost, total = sum(found.get("missing") or 0 for found in figures), sum(found["samples"] for found in figures)
    text = f"{total - lost:,.0f} of {total:,.0f} answers of the base and the result were graded; {lost:,.0f} are missing and left out."
    return Check("good" if lost <= MISSING_SHARE * total else "bad", title, text, first=True)


def _sandbox(run: RunData) -> Check:
    title = "Did the sandbox hold?"
    lost = _missing_share(run.metrics)
    if lost is None:
        return Check("unknown", title, "Nothing has run in it yet.", first=True)
    text = f"{percent(lost, 2)} of outcomes in rounds and training were lost to our own failures, and left out."
    return Check("good" if lost <= MISSING_SHARE else "bad", title, text, first=True)


def _length(run: RunData) -> list[Check]:
    before, after = known(run.base, "mean_length"), known(run.final, "mean_length")
    if not before or not after:
        return []
    drift = max(after / before, before / after)
    text = f"Answers went from {before:.0f} to {after:.0f} tokens."
    return [Check("good" if drift <= LENGTH_FACTOR else "warn", "Did length stay put?", text)]


def _modules(run: RunData) -> list[Check]:
    """What modules that programs are not offered cost, in the result's evaluation and among the round's candidates."""
    found = [f"{name}: {lost}." for name, m in (run.final.get("benchmarks") or {}).items() if (lost := modules_not_offered(m))]
    shares = [row["not_offered"] for row in run.metrics if row.get("stage") == "consensus" and row.get("not_offered")]
    if shares:
        found.append(f"At most {percent(max(shares), 1)} of a round's candidates had no vote for that reason.")
    return [Check("warn", "Did programs miss a module?", " ".join(found))] if found else []


def _missing_share(metrics: Sequence[Row]) -> float | None:
    """Share of outcomes that were infrastructure failures: of the rounds' candidates, and of all training steps."""
    lost = total = 0.0
    for row in metrics:
        prefix = "" if row["stage"] == "sandbox" else "outcomes/"
        kinds = {kind: row[prefix + kind] for kind in Kind if row.get(prefix + kind) is not None}
        total += sum(kinds.values())
        lost += kinds.get(Kind.INFRASTRUCTURE, 0.0)
    return lost / total if total else None
