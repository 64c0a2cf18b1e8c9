"""Guards against collapse: from signals that need no labels to actions, each with its cause.

Published label-free runs rise and then fall while their proxies keep climbing (arXiv 2603.08660). The guards watch what
falls before accuracy does. This is the decision alone: a state machine without torch; `rl.training.guard_callback` carries it out.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from rl.config.training import GuardAction, GuardRule, GuardsConfig

__all__ = ["Action", "Guards", "GuardsConfig", "Observed"]


@dataclass(frozen=True)
class Observed:
    """What one step showed. None means not measured at this step; it is never taken for a figure.

    >>> Observed(step=3, entropy=0.4).kl is None
    True
    """

    step: int
    loss: float | None = None
    grad_norm: float | None = None
    entropy: float | None = None  # mean token entropy, nats
    distinct: float | None = None  # distinct behaviours a group
    majority: float | None = None  # mean share of a group's largest cluster
    length: float | None = None  # tokens a rollout
    probe: float | None = None  # share of pairs within groups that the frozen probe orders as consensus does
    kl: float | None = None  # from the round's start, nats a token
    held_out: float | None = None  # agreement on held-out self-made problems


@dataclass(frozen=True)
class Action:
    """Something to be done, and why."""

    step: int
    kind: GuardAction
    guard: str  # the signal that tripped
    value: float  # what was compared with the limit
    limit: float
    cause: str  # a sentence for the log

    def record(self) -> dict[str, Any]:
        return {"guard_action": self.kind, **{k: v for k, v in asdict(self).items() if k != "kind"}}


@dataclass(frozen=True)
class _Watch:
    """The memory of one guard."""

    seen: int = 0  # measurements so far
    baseline: float = 0.0  # mean of the first ones
    smooth: float = 0.0  # moving average
    best: float = -math.inf  # highest raw measurement
    trips: int = 0
    silent_until: int = 0  # step


@dataclass
class Guards:
    """The state machine: `observe` a step's signals, get the actions to take. Same signals, same actions.

    >>> guards = Guards(GuardsConfig(warmup=1, smoothing=1.0, cooldown=1))
    >>> guards.observe(Observed(step=1, entropy=1.0))
    []
    >>> [a.kind for a in guards.observe(Observed(step=2, entropy=0.1))]
    ['raise_kl']
    """

    config: GuardsConfig
    watches: dict[str, _Watch] = field(default_factory=dict)
    ended: bool = False  # an action has ended the round: nothing follows

    def observe(self, signals: Observed) -> list[Action]:
        """Take note of one step and say what to do. At most one action a guard, and none after one that ends the round."""
        if self.ended:
            return []
        broken = [name for name in ("loss", "grad_norm") if (v := getattr(signals, name)) is not None and not math.isfinite(v)]
        if broken:
            self.ended = True
            value = getattr(signals, broken[0])
            cause = f"{broken[0]} is {value} at step {signals.step}: the weights cannot be trusted any more"
            return [Action(signals.step, kind, broken[0], value, math.inf, cause) for kind in ("roll_back", "stop")]
        if not self.config.enabled:
            return []
        actions = []
        for name in ("entropy", "distinct", "majority", "length", "probe", "kl", "held_out"):
            rule, value = getattr(self.config, name), getattr(signals, name)
            if rule is None or value is None or math.isnan(value):
                continue
            action = self._watch(name, rule, value, signals.step)
            if action is not None:
                actions.append(action)
                if action.kind in ("end_round", "roll_back", "stop"):
                    self.ended = True
                    break
        return actions

    def _watch(self, name: str, rule: GuardRule, value: float, step: int) -> Action | None:
        old, config = self.watches.get(name, _Watch()), self.config
        seen = old.seen + 1
        smooth = value if old.seen == 0 else (1 - config.smoothing) * old.smooth + config.smoothing * value
        baseline = old.baseline + (value - old.baseline) / seen if seen <= config.warmup else old.baseline
        watch = replace(old, seen=seen, smooth=smooth, baseline=baseline, best=max(old.best, value))
        self.watches[name] = watch
        measured, tripped, text = _compare(name, rule.limit, watch, value)
        in_warmup = seen <= config.warmup and name not in ("kl", "held_out")
        if not tripped or in_warmup or step < watch.silent_until:
            return None
        kind = rule.actions[min(watch.trips, len(rule.actions) - 1)]
        self.watches[name] = replace(watch, trips=watch.trips + 1, silent_until=step + config.cooldown)
        return Action(step, kind, name, measured, rule.limit, f"step {step}: {text}")

    def state(self) -> dict[str, Any]:
        """Everything `restore` needs (JSON; minus infinity is written as null)."""
        watches = {name: asdict(w) | {"best": w.best if math.isfinite(w.best) else None} for name, w in self.watches.items()}
        return {"watches": watches, "ended": self.ended}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state that `state` wrote."""
        self.watches = {
            name: _Watch(**{**w, "best": -math.inf if w["best"] is None else w["best"]}) for name, w in state["watches"].items()
        }
        self.ended = state["ended"]


def _compare(name: str, limit: float, watch: _Watch, value: float) -> tuple[float, bool, str]:
    """(what is compared, whether it passes the limit, a sentence) for one guard."""
    ratio = watch.smooth / watch.baseline if watch.baseline else math.nan
    match name:
        case "entropy" | "distinct":
            what = "token entropy" if name == "entropy" else "distinct behaviours a group"
            return ratio, ratio < limit, f"{what} fell to {ratio:.0%} of its baseline {watch.baseline:.3g} (limit {limit:.0%})"
        case "majority":
            return (
                watch.smooth,
                watch.smooth > limit,
                f"the majority's share rose to {watch.smooth:.2f} (limit {limit:.2f}): groups have nothing left to compare",
            )
        case "length":
            drift = max(ratio, 1 / ratio) if ratio > 0 else math.inf
            return (
                drift,
                drift > limit,
                f"rollouts went from {watch.baseline:.1f} to {watch.smooth:.1f} tokens, a factor of {drift:.2f} (limit {limit:.2f})",
            )
        case "probe":
            return (
                watch.smooth,
                watch.smooth < limit,
                f"the frozen probe orders {watch.smooth:.0%} of pairs as consensus does (limit {limit:.0%})",
            )
        case "kl":
            return watch.smooth, watch.smooth > limit, f"KL from the round's start is {watch.smooth:.3g} nats a token (limit {limit:.3g})"
        case _:
            fall = watch.best - value
            return fall, fall > limit, f"agreement on held-out problems is {value:.3f}, {fall:.3f} below its best (limit {limit:.3f})"
