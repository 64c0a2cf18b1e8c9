"""`ucoder push`: what is shared loads with plain libraries, says where it came from, and claims nothing that the run did not do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
import yaml
from huggingface_hub import HfApi, ModelCard, constants, errors
from transformers import AutoModelForCausalLM, AutoTokenizer

from rl.cli import main
from rl.console import UserError
from rl.run_data import read_run
from rl.sharing import push
from rl.sharing.cards import model_card
from rl.sharing.problems import COLUMNS
from tests.rl.fake_run import PROBLEMS, write_run
from tests.rl.tiny import save_tiny_policy

pytestmark = pytest.mark.slow

REPO = "someone/tiny"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_run(tmp_path_factory.mktemp("push") / "first")
    save_tiny_policy(folder / "round_03" / "grpo" / "checkpoint", seed=5)
    return folder


@pytest.fixture(scope="module")
def shared(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("shared") / "out"
    assert main(["push", str(run), "--repo", REPO, "--dry-run", str(out)]) == 0
    return out


def test_the_model_loads_with_plain_transformers(run: Path, shared: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(shared / "model")
    tokenizer = AutoTokenizer.from_pretrained(shared / "model")
    ids = tokenizer("abc", return_tensors="pt")["input_ids"]
    trained = AutoModelForCausalLM.from_pretrained(run / "round_03" / "grpo" / "checkpoint")
    assert torch.equal(model(input_ids=ids).logits, trained(input_ids=ids).logits)
    assert tokenizer.decode(model.generate(ids, max_new_tokens=2, do_sample=False)[0]).startswith("abc")


def test_the_problems_load_with_plain_datasets_and_each_says_where_it_is_from(shared: Path, tmp_path: Path) -> None:
    rows = list(datasets.load_dataset(str(shared / "dataset"), split="train", cache_dir=str(tmp_path)))
    assert len(rows) == 3 * PROBLEMS
    assert len({row["id"] for row in rows}) == len(rows)
    for row in rows:
        assert set(row) == set(COLUMNS)
        assert row["run"] == "first" and row["seed"] == 0 and row["ucoder_version"]
        assert row["author"] == ("seedling" if row["round"] == 1 else f"checkpoint of round {row['round'] - 1}")
        assert len(row["inputs"]) == len(row["input_origins"]) > 0
    assert all("sum(x for x in xs" in row["solution"] for row in rows), "the winner is the cluster of the most"


def test_the_card_has_base_statement_results_config_and_versions(run: Path, shared: Path) -> None:
    card = ModelCard.load(shared / "model" / "README.md")
    wanted = {"library_name": "transformers", "license": "apache-2.0", "datasets": [f"{REPO}-problems"]}
    assert {name: card.data.to_dict()[name] for name in wanted} == wanted
    assert card.data.eval_results[0].metric_value == pytest.approx(0.54)
    assert "`seedling` after 3 rounds" in card.text
    assert "**No external data.**" in card.text
    assert "chosen without labels: its answers agree most." in card.text
    assert "| 3 (this model) | – | – | 54.0 % [51.5, 56.5] | +13.0 [10.0, 16.0] |" in card.text
    assert "| seedling | 41.0 % [38.5, 43.5] | 54.0 % [51.5, 56.5] |" in card.text
    written = yaml.safe_load(card.text.split("```yaml\n")[1].split("```")[0])
    assert written == {**yaml.safe_load((run / "config.yaml").read_text()), "run_dir": "./first"}
    assert written == yaml.safe_load((shared / "model" / "run" / "config.yaml").read_text())
    assert all(f"| {name} | {version} |" in card.text for name, version in read_run(run).versions.items())
    assert {path.name for path in (shared / "model" / "run").iterdir()} >= {"config.yaml", "versions.json", "summary.json", "report.html"}


def changed(run: Path, change: Callable[[dict[str, Any]], None]) -> str:
    data = read_run(run)
    change(data.config)
    return model_card(data, REPO, f"{REPO}-problems")


def test_an_oracle_run_is_not_called_label_free(run: Path) -> None:
    text = changed(run, lambda config: config["grpo"].update(reward="oracle"))
    assert "**Not label-free.**" in text and "No external data" not in text


def test_a_trained_proposer_is_named(run: Path) -> None:
    assert "trained to propose" in changed(run, lambda config: config.update(proposer={"steps": None}))
    assert "trained to propose" not in changed(run, lambda config: config.update(proposer=None))


def test_an_audit_is_owned_up_to(run: Path) -> None:
    assert "to audit the labels" in changed(run, lambda config: config.update(audit=True))
    assert "to audit the labels" not in changed(run, lambda config: config.update(audit=False))


def test_a_base_of_the_hub_is_named_and_a_local_path_is_not_given_away(run: Path) -> None:
    hub = changed(run, lambda config: config.update(model="Qwen/Qwen2.5-Coder-7B"))
    assert "base_model: Qwen/Qwen2.5-Coder-7B" in hub and "license" not in hub.split("---")[1]
    local = changed(run, lambda config: config.update(model="/home/someone/models/mine"))
    assert "`mine` after" in local and "/home/someone" not in local and "base_model" not in local
    called = changed(run, lambda config: config.update(model="/home/someone/seedling"))
    assert "license" not in called.split("---")[1] and "model: ./seedling" in called, "a folder of that name is not the bundled model"


def test_no_local_path_is_given_away(tmp_path: Path) -> None:
    folder = tmp_path / "someone-private" / "run"
    write_run(folder, rounds=1)
    save_tiny_policy(folder / "round_01" / "grpo" / "checkpoint")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    here = folder.parent
    config |= {"model": str(here / "mine"), "prompts": str(here / "words")}
    config["problems"]["source"], config["solutions"]["source"] = str(here / "p.jsonl"), str(here / "s.jsonl")
    config["sandbox"] |= {"environment": str(here / "env"), "cache_dir": str(here / "cache")}
    config["sampling"]["http"]["model"] = str(here / "served")
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    out = tmp_path / "out"
    assert main(["push", str(folder), "--repo", REPO, "--dry-run", str(out)]) == 0
    written = [path for path in out.rglob("*") if path.is_file()]
    assert [str(path) for path in written if b"someone-private" in path.read_bytes()] == []
    kept = yaml.safe_load((out / "model" / "run" / "config.yaml").read_text())
    assert (kept["model"], kept["problems"]["source"], kept["sandbox"]["cache_dir"]) == ("./mine", "p.jsonl", "./cache")
    rows = datasets.load_dataset(str(out / "dataset"), split="train", cache_dir=str(tmp_path / "hf"))
    assert set(rows["author"]) == {"mine"}


def test_an_unavailable_benchmark_has_no_number(run: Path) -> None:
    data = read_run(run)
    data.final["benchmarks"]["livecodebench"] = {"unavailable": "no data"}
    assert "| livecodebench | – | unavailable: no data |" in model_card(data, REPO, f"{REPO}-problems")


@pytest.mark.parametrize(
    ("repo", "spoil", "said"),
    [
        ("a/b/c", lambda run, out: None, "no repository name"),
        (REPO, lambda run, out: (out.mkdir(), (out / "mine.txt").write_text("x")), "something there already"),
        (REPO, lambda run, out: (run / "round_01" / "grpo" / "checkpoint" / "config.json").unlink(), "checkpoint is gone"),
        (REPO, lambda run, out: (run / "config.yaml").write_text("rounds: 9\n"), "not finished"),
    ],
)
def test_what_cannot_be_shared_ends_in_one_screen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], repo: str, spoil: Callable[[Path, Path], Any], said: str
) -> None:
    run, out = write_run(tmp_path / "run", rounds=1), tmp_path / "out"
    save_tiny_policy(run / "round_01" / "grpo" / "checkpoint")
    spoil(run, out)
    with pytest.raises(SystemExit) as left:
        main(["push", str(run), "--repo", repo, "--dry-run", str(out)])
    assert left.value.code == 2
    assert said in capsys.readouterr().err


def adapter_run(folder: Path, base: str) -> Path:
    """A run that ends with an adapter of `base`."""
    write_run(folder, rounds=1)
    checkpoint = folder / "round_01" / "grpo" / "checkpoint"
    checkpoint.mkdir(parents=True)
    (checkpoint / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": base, "peft_type": "LORA"}))
    (checkpoint / "adapter_model.safetensors").write_bytes(b"weights")
    return folder


def test_the_card_of_an_adapter_names_its_base_and_how_to_load_both(tmp_path: Path) -> None:
    run, out = adapter_run(tmp_path / "run", "org/base-7B"), tmp_path / "out"
    assert main(["push", str(run), "--repo", REPO, "--dry-run", str(out)]) == 0
    card = ModelCard.load(out / "model" / "README.md")
    wanted = {"library_name": "peft", "base_model": "org/base-7B"}
    assert {name: card.data.to_dict()[name] for name in wanted} == wanted
    assert "an adapter of [org/base-7B](https://huggingface.co/org/base-7B)" in card.text
    assert f'AutoPeftModelForCausalLM.from_pretrained("{REPO}")' in card.text and "import AutoModelForCausalLM" not in card.text


@pytest.mark.parametrize("base", ["/data/models/mine", "~/mine"])
def test_an_adapter_of_a_base_that_nobody_else_has_is_refused(tmp_path: Path, base: str) -> None:
    with pytest.raises(UserError, match="adapter") as raised:
        push.best_checkpoint(read_run(adapter_run(tmp_path / "run", base)))
    assert "lora.checkpoint" in str(raised.value.remedy)


class Hub:
    """Stands in for the Hub; remembers what was sent."""

    sent: list[tuple[str, str, bool, set[str]]]
    refuses = False

    def create_repo(self, name: str, repo_type: str, private: bool, exist_ok: bool) -> str:
        if Hub.refuses:
            raise errors.LocalTokenNotFoundError("no token")
        self.private = private
        return f"https://hub/{repo_type}/{name}"

    def upload_folder(self, repo_id: str, repo_type: str, folder_path: Path, commit_message: str) -> None:
        Hub.sent.append((repo_id, repo_type, self.private, {path.name for path in folder_path.iterdir()}))


def test_both_repositories_are_sent(run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(push, "HfApi", Hub)
    Hub.sent, Hub.refuses = [], False
    assert main(["push", str(run), "--repo", REPO, "--private"]) == 0
    (model, kind, private, files), (data, data_kind, _, data_files) = Hub.sent
    assert (model, kind, private, data, data_kind) == (REPO, "model", True, f"{REPO}-problems", "dataset")
    assert files >= {"README.md", "config.json", "model.safetensors", "tokenizer.json", "run"}
    assert data_files == {"README.md", "problems.parquet"}
    assert "https://hub/model/someone/tiny" in capsys.readouterr().out


def test_a_hub_that_cannot_be_reached_ends_in_one_screen(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(push, "HfApi", lambda: HfApi(endpoint="http://127.0.0.1:9", token="hf_none"))  # nothing listens there
    with pytest.raises(SystemExit) as left:
        main(["push", str(run), "--repo", REPO])
    assert left.value.code == 2
    assert "Connection refused" in capsys.readouterr().err


def test_a_refusal_of_the_hub_ends_in_one_screen(run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(push, "HfApi", Hub)
    Hub.refuses = True
    with pytest.raises(SystemExit) as left:
        main(["push", str(run), "--repo", REPO])
    assert left.value.code == 2
    assert "hf auth login" in capsys.readouterr().err
