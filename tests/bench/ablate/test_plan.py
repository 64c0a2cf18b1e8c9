"""The ablation's plan: what arms differ in, and which stages they take over from their seed's lead."""

from pathlib import Path

import pytest

from bench.ablate.__main__ import tried_arms
from bench.ablate.plan import ARMS, FULL, LEAD, QUICK, SIGNALS, STAGES, Job, differing_keys, lead_of, make_plan, shared_stages
from rl.config.run_folder import flatten
from rl.config.schema import load_config
from rl.config.training import GuardRule, GuardsConfig
from rl.console import UserError

BASE = Path(__file__).parents[3] / "configs" / "seedling.yaml"
ALL = [stage.name for stage in STAGES]


def plan(settings=FULL, seeds=range(2), **rest) -> list[Job]:
    return make_plan(BASE, settings, Path("runs/ablation"), seeds, list(ARMS), **rest)


def short_plan(settings=FULL) -> list[Job]:
    return [job for job in plan(settings) if not job.long]


def test_arms_of_a_seed_differ_in_what_they_say_and_in_nothing_else():
    jobs = {job.arm: job for job in short_plan() if job.seed == 0}
    lead = flatten(jobs[LEAD].config.model_dump(mode="json"))
    for arm, job in jobs.items():
        words = [word.removeprefix("--") for word in ARMS[arm] if word.startswith("--")]
        mine = flatten(job.config.model_dump(mode="json"))
        differing = {key for key in {*lead, *mine} if lead.get(key) != mine.get(key)} - {"run_dir"}
        assert all(any(key == word or key.startswith(f"{word}.") for word in words) for key in differing), arm
    assert {job.config.grpo.steps for job in jobs.values()} == {30} and len({job.folder for job in jobs.values()}) == len(ARMS)


@pytest.mark.parametrize("arm", [arm for arm in ARMS if arm not in (LEAD, "hard")])
def test_arms_that_change_the_training_alone_take_every_stage_over(arm):
    jobs = short_plan()
    job = next(job for job in jobs if job.arm == arm and job.seed == 1)
    lead = lead_of(job, jobs)
    assert lead is not None and (lead.arm, lead.seed) == (LEAD, 1)
    assert [stage.name for stage in shared_stages(lead.config, job.config)] == ALL


def test_another_rule_fits_its_own_probe():
    jobs = short_plan()
    hard = next(job for job in jobs if job.arm == "hard")
    assert [stage.name for stage in shared_stages(jobs[0].config, hard.config)] == ALL[:-1]


@pytest.mark.parametrize(
    ("override", "left"),
    [
        (("--evals.samples", "4"), 0),
        (("--seed", "9"), 1),
        (("--problems.count", "10"), 1),
        (("--suites.samples", "9"), 2),
        (("--solutions.samples", "9"), 3),
        (("--solutions.band_low", "0.4"), 5),
        (("--solutions.repeats", "drop"), 5),
        (("--consensus.tau", "5"), 5),
        (("--choice.samples", "4"), 6),
        (("--probe.folds", "7"), 7),
        (("--grpo.learning_rate", "1e-3"), len(STAGES)),
    ],
)
def test_a_stage_is_shared_only_when_all_that_it_reads_is_equal(override, left):
    assert len(shared_stages(load_config(BASE), load_config(BASE, override))) == left


@pytest.mark.parametrize("settings", [FULL, QUICK])
def test_arms_that_imitate_take_as_many_steps_as_those_that_reinforce(settings):
    jobs = short_plan(settings)
    assert {job.arm for job in jobs if job.config.consolidation == "sft"} == {"sft_ipc", "sft_unexecuted"}
    assert {job.config.sft.steps for job in jobs} == {job.config.grpo.steps for job in jobs}
    assert len({job.config.solutions.samples for job in jobs}) == 1


def test_long_runs_share_nothing_with_short_ones():
    jobs = plan()
    long = [job for job in jobs if job.long]
    assert {job.arm for job in long} == {LEAD, "soft_unguarded", "random"} and {job.config.rounds for job in long} == {20}
    for job in long:
        lead = lead_of(job, jobs)
        assert lead is None if job.arm == LEAD else lead is not None and lead.long and lead.seed == job.seed
        assert shared_stages(jobs[0].config, job.config) == []


def test_without_guards_no_signal_has_a_limit_and_the_same_problems_stay_apart():
    jobs = {job.arm: job.config for job in short_plan()}
    rules = {name for name, field in GuardsConfig.model_fields.items() if GuardRule in getattr(field.annotation, "__args__", ())}
    assert rules | {"between_rounds"} == set(SIGNALS)
    bare, guarded = jobs["soft_unguarded"].guards, jobs[LEAD].guards
    assert all(getattr(bare, name) is None for name in SIGNALS) and bare.kl_every == 0
    assert (bare.enabled, bare.held_out_problems) == (guarded.enabled, guarded.held_out_problems)


def test_only_the_oracle_s_folder_is_named_so_and_only_it_is_rewarded_by_references():
    for job in plan():
        assert (job.config.grpo.reward == "oracle") == (job.arm == "oracle") == ("oracle" in job.folder.name)


def test_leads_come_first_and_quick_is_smaller():
    jobs = plan()
    assert [job.arm for job in jobs[:2]] == [LEAD, LEAD] and all(job.long for job in jobs[-6:])
    assert len({job.folder for job in jobs}) == len(jobs) == 2 * len(ARMS) + 2 * 3
    quick = plan(QUICK)[0].config
    assert quick.grpo.steps < jobs[0].config.grpo.steps and quick.problems.count < jobs[0].config.problems.count


def test_a_key_that_no_config_has_ends_before_any_work():
    with pytest.raises(UserError, match="learning_rat"):
        plan(extra=["--grpo.learning_rat", "1"])


def test_an_idea_of_one_s_own_is_the_lead_with_its_keys_and_takes_over_what_they_do_not_touch():
    jobs = make_plan(BASE, FULL, Path("runs/ablation"), [0], [], tried=tried_arms(["rare --reward.rarity 0.3"]))
    assert [job.arm for job in jobs if not job.long] == [LEAD, "rare"]
    assert differing_keys(jobs[0].config, jobs[1].config) in (["reward.rarity", "run_dir"], ["run_dir", "reward.rarity"])
    assert [stage.name for stage in shared_stages(jobs[0].config, jobs[1].config)] == ALL


def test_what_an_arm_is_for_holds_against_keys_that_are_given_for_all():
    tried = tried_arms(["fast --grpo.learning_rate 0.5"])
    jobs = make_plan(BASE, FULL, Path("runs/ablation"), [0], ["probe"], ["--grpo.learning_rate", "0.1", "--reward.w_consensus", "3"], tried)
    assert {job.arm: (job.config.grpo.learning_rate, job.config.reward.w_consensus) for job in jobs if not job.long} == {
        LEAD: (0.1, 3.0),
        "probe": (0.1, 0.0),
        "fast": (0.5, 3.0),
    }


@pytest.mark.parametrize("text", ["", "rare", "--reward.rarity 0.3", "soft --reward.rarity 0.3", "base --reward.rarity 0.3"])
def test_an_idea_without_a_name_of_its_own_or_without_keys_is_refused(text):
    with pytest.raises(UserError, match="name of its own"):
        tried_arms([text])
