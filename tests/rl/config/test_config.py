"""Configs: what is accepted, what is refused, and that the refusal names the place and the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from rl.config import schema as config
from rl.config.loader import known_keys, nearest
from rl.config.schema import Config, config_from_argv, load_config
from rl.console import UserError

ROOT = Path(__file__).resolve().parents[3]
RUN_CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", RUN_CONFIGS, ids=lambda p: p.stem)
def test_every_shipped_config_is_valid(path: Path) -> None:
    assert load_config(path).run_dir.startswith("runs/")


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "accelerate").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_accelerate_config_is_read_by_accelerate(path: Path) -> None:
    config_args = pytest.importorskip("accelerate.commands.config.config_args")
    config = config_args.load_config_from_file(str(path))
    assert config.num_processes == yaml.safe_load(path.read_text())["num_processes"]


def test_every_key_has_a_meaning() -> None:
    assert [".".join(key) for key, meaning in known_keys(Config).items() if not meaning] == []


def test_a_config_is_frozen() -> None:
    with pytest.raises(ValidationError):
        load_config(None).rounds = 5


def test_overrides_reach_every_depth_and_type() -> None:
    config = config_from_argv(
        [
            *("--rounds", "1", "--grpo.learning_rate=1e-5", "--evals.benchmarks", "seedling,mbpp", "--evals.limit", "null"),
            *("--tracking.report_to", "[]", "--run-dir", "007", "--problems.topics", "[a, 'b, c']", "--seed", "3"),
        ]
    )
    assert (config.rounds, config.grpo.learning_rate, config.seed, config.run_dir) == (1, 1e-5, 3, "007")
    assert config.evals.benchmarks == ("seedling", "mbpp")
    assert config.evals.limit is None
    assert config.tracking.report_to == ()
    assert config.problems.topics == ("a", "b, c")


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("rounds: 7\ngrpo:\n  learning_rate: 2e-5\n")
    config = config_from_argv(["--grpo.steps", "9", f"--config={path}", "--rounds", "2"])
    assert (config.rounds, config.grpo.steps, config.grpo.learning_rate) == (2, 9, 2e-5)


def test_without_a_config_the_laptops_is_read_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    laptop = load_config(ROOT / "configs" / "seedling.yaml")
    monkeypatch.chdir(tmp_path)
    assert config_from_argv([]) == laptop
    assert config_from_argv(["--rounds", "7"]) == laptop.model_copy(update={"rounds": 7})


def test_a_missing_config_of_the_laptops_is_an_error_not_built_in_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "seedling.yaml"
    monkeypatch.setattr(config, "BARE_CONFIG", gone)
    with pytest.raises(UserError, match="give --config FILE"):
        config_from_argv([])


def test_the_resolved_config_reads_back_equal(tmp_path: Path) -> None:
    from rl.config.run_folder import config_text

    config = config_from_argv(["--config", str(ROOT / "configs" / "seedling.yaml"), "--grpo.learning_rate", "3e-6"])
    path = tmp_path / "config.yaml"
    path.write_text(config_text(config))
    assert load_config(path) == config


@pytest.mark.parametrize(
    ("text", "what", "line", "remedy"),
    [
        ("seed: 1\nrouns: 2\n", "unknown key rouns", 2, "did you mean rounds?"),
        ("grpo:\n  steps: 2\n  learning_rte: 1\n", "unknown key grpo.learning_rte", 3, "did you mean grpo.learning_rate?"),
        ("learning_rate: 1\n", "unknown key learning_rate", 1, "grpo.learning_rate or sft.learning_rate"),
        ("zzzz: 1\n", "unknown key zzzz", 1, "keys here: "),
        ("rounds: many\n", "rounds: input should be a valid integer", 1, "rounds is: "),
        ("rounds: 0\n", "rounds: input should be greater than or equal to 1 (given: 0)", 1, "rounds is: "),
        ("seed: 1\nrounds:\n  x: 1\n", "rounds: this key holds one value", 2, ""),
        ("consolidation: ppo\n", "consolidation: input should be 'grpo', 'sft' or 'sft+grpo'", 1, ""),
        ("grpo:\n  group_size: 7\n", "group_size (7) does not divide rollouts_per_step (128)", 1, "say 126"),
        ("solutions:\n  band_low: 0.9\n", "band_low (0.9) is not below band_high (0.8)", 1, ""),
        ("suites:\n  inputs: 900\n", "pool (200) is smaller than inputs (900)", 1, ""),
        ("proposer: {}\nproblems: {source: own.jsonl}\n", "but problems.source is own.jsonl", None, "set problems.source to self"),
        (
            "proposer: {}\nproblems: {source: a.jsonl}\nsolutions: {source: b.jsonl}\n",
            "proposer trains the policy on the problems that it invents",
            None,
            "or proposer to null",
        ),
        ("proposer: {}\nproblems: {top_p: 0.9}\n", "problems.top_p (0.9) cuts its tail off", None, "set problems.top_p to 1"),
        ("oracle: nothing\n", "oracle: write it as module:function, not 'nothing'", 1, ""),
        ("seed: 1\nseed: 2\n", "the key seed is given twice", 2, "remove one"),
        ("seed: [1\n", "not valid YAML", 2, "correct that line"),
        ("- 1\n", "a config file holds `key: value` lines", None, ""),
        ("seed: 2026-13-41\n", "a value that cannot be read: month must be in 1..12", None, "correct that value"),
        ("seed: " + "9" * 5000 + "\n", "a value that cannot be read", None, "correct that value"),
        ("seed: " + "[" * 5000 + "\n", "nested too deeply", None, "correct that value"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_mistake_in_a_file_names_its_line_and_remedy(tmp_path: Path, text: str, what: str, line: int | None, remedy: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        load_config(path)
    assert what in caught.value.what
    assert str(path) in caught.value.where
    assert line is None or f"line {line}" in caught.value.where
    assert remedy in caught.value.what + caught.value.remedy


def test_all_mistakes_are_shown_at_once(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("rouns: 2\nseed: x\n")
    with pytest.raises(UserError) as caught:
        load_config(path, ["--grpo.steps", "none"])
    for part in ("rouns", "line 1", "seed", "line 2", "grpo.steps", "command line", "3 mistakes"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("argv", "what"),
    [
        (["--rounds"], "--rounds has no value"),
        (["--rounds", "--seed", "1"], "--rounds has no value"),
        (["--seed", "1", "rounds=1"], "cannot read the argument 'rounds=1'"),
        (["--config"], "--config has no value"),
        (["--config", "no/such.yaml"], "does not exist"),
        (["--consolidation.x", "1"], "consolidation: this key holds one value"),
        (["--oracle", "null"], "audit is true but oracle is null"),
    ],
)
def test_a_mistake_on_the_command_line_is_named(argv: list[str], what: str) -> None:
    with pytest.raises(UserError) as caught:
        config_from_argv(argv)
    assert what in caught.value.what


def test_a_misspelt_file_gets_its_right_name(tmp_path: Path) -> None:
    (tmp_path / "seedling.yaml").write_text("seed: 1\n")
    with pytest.raises(UserError) as caught:
        load_config(tmp_path / "seeding.yaml")
    assert "seedling.yaml?" in caught.value.remedy


def test_nearest_prefers_the_same_section() -> None:
    assert nearest(Config, ("sft", "learning_rte")) == "sft.learning_rate"


def test_a_run_is_not_sampled_from_a_server_of_text_alone() -> None:
    with pytest.raises(UserError, match="a run needs the logprobs"):
        load_config(None, ["--sampling.http.text_only", "true", "--sampling.http.parity_prompts", "0"])
    with pytest.raises(UserError, match="parity_prompts to 0"):
        load_config(None, ["--sampling.http.text_only", "true"])


ORACLE = ("--oracle", "seedling.grammar:reference_for")


def test_an_oracle_arm_needs_its_oracle_and_its_name() -> None:
    """Its last part alone counts: it is what the run is called."""
    with pytest.raises(UserError, match="oracle is null"):
        load_config(None, ["--grpo.reward", "oracle", "--run_dir", "runs/oracle"])
    with pytest.raises(UserError, match="folder is named seed1: put oracle into"):
        load_config(None, ["--grpo.reward", "oracle", *ORACLE, "--run_dir", "runs/oracle/seed1"])
    for words in (["--run_dir", "runs/oracle-1"], ["--run_dir", "runs/seed1", "--consolidation", "sft"]):
        assert load_config(None, ["--grpo.reward", "oracle", *ORACLE, *words]).grpo.reward == "oracle"


def test_weights_by_margin_that_scaling_would_undo_are_refused() -> None:
    with pytest.raises(UserError, match="set grpo\\.scale_rewards to batch or none"):
        load_config(None, ["--reward.by_margin", "1"])
    assert load_config(None, ["--reward.by_margin", "1", "--grpo.scale_rewards", "batch"]).reward.by_margin == 1


def test_a_teacher_that_makes_the_proposals_of_a_trained_proposer_is_refused() -> None:
    with pytest.raises(UserError, match=r"teacher\.decay to 0, or proposer to null"):
        load_config(None, ["--teacher.decay", "0.5", "--proposer", "{}"])


def test_a_mean_of_adapters_is_refused() -> None:
    lora = ["--grpo.lora.checkpoint", "adapter"]
    with pytest.raises(UserError, match=r"lora\.checkpoint to merged, or teacher\.decay to 0 or 1"):
        load_config(None, ["--teacher.decay", "0.5", *lora])
    assert load_config(None, ["--teacher.decay", "1", *lora]).teacher.decay == 1


def test_a_contest_without_a_bank_that_votes_is_refused() -> None:
    with pytest.raises(UserError, match="set consensus\\.anchor to bank or both"):
        load_config(None, ["--reward.contest", "0.5", "--consensus.anchor", "group"])
    assert load_config(None, ["--reward.contest", "0.5", "--consensus.anchor", "both"]).reward.contest == 0.5


def test_none_is_a_value_where_a_key_has_one_of_that_name() -> None:
    assert load_config(None, ["--grpo.scale_rewards", "none"]).grpo.scale_rewards == "none"
    assert load_config(None, ["--grpo.epsilon_high", "none"]).grpo.epsilon_high is None


def test_a_config_may_extend_another(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "base.yaml").write_text("rounds: 5\ngrpo:\n  steps: 7\n  beta: 0.1\n")
    (tmp_path / "mine.yaml").write_text("extends: below/base.yaml\ngrpo:\n  steps: 9\n")
    config = load_config(tmp_path / "mine.yaml", ["--grpo.beta", "0.2"])
    assert (config.rounds, config.grpo.steps, config.grpo.beta) == (5, 9, 0.2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("extends: nowhere.yaml\n", "does not exist"),
        ("extends: mine.yaml\n", "extends itself"),
        ("extends: [a, b]\n", "extends names one file"),
        ("extends: base.yaml\n", "unknown key rownds"),
    ],
)
def test_what_is_wrong_with_an_extended_config_is_said_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "base.yaml").write_text("rownds: 3\n")
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(UserError, match=said) as caught:
        load_config(tmp_path / "mine.yaml")
    assert ".yaml" in caught.value.where
