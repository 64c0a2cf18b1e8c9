"""What we override and read of TRL is there in the installed version, is used by it, and is listed where it is overridden."""

from __future__ import annotations

import ast
import inspect
import sys
from pathlib import Path

import pytest
from transformers import Trainer
from trl import GRPOTrainer, SFTTrainer
from trl.trainer.utils import add_fused_lm_head

import rl
from rl.training.pair_trainer import PairTrainer
from rl.training.trainer import PolicyTrainer

OURS = {PolicyTrainer: GRPOTrainer, PairTrainer: SFTTrainer}


def overridden(ours: type, theirs: type) -> set[str]:
    """Names that our class defines and a base of TRL's or transformers' defines too."""
    return {name for name in vars(ours) if not name.startswith("__") and hasattr(theirs, name)}


def trees(theirs: type) -> list[ast.AST]:
    """The sources of the trainer's classes, from TRL's to transformers'."""
    modules = {c.__module__ for c in theirs.__mro__ if c.__module__.startswith(("trl", "transformers"))}
    return [ast.parse(inspect.getsource(sys.modules[module])) for module in modules]


def attributes(tree: ast.AST, of: str) -> set[str]:
    """Attributes that are looked up on a variable, or on an attribute, of the given name."""
    looked_up = (n for n in ast.walk(tree) if isinstance(n, ast.Attribute))
    return {n.attr for n in looked_up if getattr(n.value, "id", getattr(n.value, "attr", None)) == of}


def stored_on_self(tree: ast.AST) -> set[str]:
    stores = (n for n in ast.walk(tree) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store))
    return {n.attr for n in stores if isinstance(n.value, ast.Name) and n.value.id == "self"}


def calls_on_self(theirs: type) -> set[str]:
    called = (n.func for tree in trees(theirs) for n in ast.walk(tree) if isinstance(n, ast.Call))
    return {f.attr for f in called if isinstance(f, ast.Attribute) and isinstance(f.value, ast.Name) and f.value.id == "self"}


def private_names() -> set[str]:
    """Private names of the trainer that some module of ours looks up and PolicyTrainer does not define."""
    found = attributes(ast.parse(inspect.getsource(PolicyTrainer)), "self")
    for path in Path(rl.__file__).parent.rglob("*.py"):
        found |= attributes(ast.parse(path.read_text()), "trainer")
    own = set(vars(PolicyTrainer)) | stored_on_self(ast.parse(inspect.getsource(PolicyTrainer)))
    return {name for name in found - own if name.startswith("_") and not name.startswith("__")}


@pytest.mark.parametrize("ours", OURS)
def test_every_override_is_of_a_method_that_the_library_still_calls(ours: type) -> None:
    names = overridden(ours, OURS[ours])
    assert names, "nothing is overridden: is this class still needed?"
    assert names <= calls_on_self(OURS[ours]), names - calls_on_self(OURS[ours])


def test_our_trainer_overrides_exactly_these() -> None:
    # a method of ours that a new TRL also has would become an override by accident, and one that is gone there would never run
    assert overridden(PolicyTrainer, GRPOTrainer) == {
        "_generate_and_score_completions",
        "_compute_loss",
        "_get_per_token_logps_and_entropies",
        "create_optimizer",
        "_send_telemetry",
        "create_model_card",
    }


@pytest.mark.parametrize("name", sorted(overridden(PolicyTrainer, GRPOTrainer)))
def test_an_override_takes_the_arguments_of_what_it_overrides(name: str) -> None:
    theirs = list(inspect.signature(getattr(GRPOTrainer, name)).parameters.values())
    ours = list(inspect.signature(getattr(PolicyTrainer, name)).parameters.values())
    named = [p.name for p in ours if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert named == [p.name for p in theirs][: len(named)]
    takes_rest = any(p.kind is p.VAR_POSITIONAL for p in ours)
    assert takes_rest or len(named) == len(theirs)


def test_private_names_are_set_by_the_library() -> None:
    names = private_names()
    assert {"_metrics", "_entropy_bonus_enabled", "_last_loaded_step"} <= names  # the search finds what is known to be there
    stored = set().union(*map(stored_on_self, trees(GRPOTrainer)))
    methods = {name for c in (GRPOTrainer, Trainer) for name in dir(c)}
    assert names <= stored | methods, names - stored - methods


def test_the_docstring_lists_every_override_and_private_name() -> None:
    listed = sys.modules[PolicyTrainer.__module__].__doc__ or ""
    missing = {name for name in overridden(PolicyTrainer, GRPOTrainer) | private_names() if f"`{name}" not in listed}
    assert not missing
    assert all(f"`{name}`" in listed for name in overridden(PairTrainer, SFTTrainer))


def test_reward_functions_still_get_what_ours_ask_for() -> None:
    source = inspect.getsource(GRPOTrainer._calculate_rewards)
    assert 'reward_kwargs["trainer_state"]' in source and 'reward_kwargs["log_metric"]' in source


def test_a_batch_still_holds_what_the_kl_is_measured_on() -> None:
    source = inspect.getsource(GRPOTrainer._generate_and_score_completions)
    for key in ("prompt_ids", "prompt_mask", "completion_ids", "completion_mask", "advantages"):
        assert f'"{key}": {key}' in source, key


def test_advantages_are_still_read_after_the_logprobs_and_may_differ_by_token() -> None:
    # the importance weights are multiplied into them between the two
    source = inspect.getsource(GRPOTrainer._compute_loss)
    read = source.index('advantages = inputs["advantages"]')
    assert source.index("self._get_per_token_logps_and_entropies(") < read < source.index("advantages.dim() == 1")
    assert '"sampling_per_token_logps"] = sampling_per_token_logps' in inspect.getsource(GRPOTrainer._generate_and_score_completions)


def test_the_fused_head_still_takes_a_temperature() -> None:
    assert "temperature" in inspect.signature(add_fused_lm_head).parameters
