"""The plan: counts follow the config, prices follow the counts, and nothing is loaded or written."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from rl.benchmarks.base import BENCHMARKS
from rl.config.run_folder import config_text
from rl.config.schema import load_config
from rl.config.training import LoraSection
from rl.console import UserError
from rl.dashboard.preview import write_preview
from rl.planning import cli, plan
from rl.planning.costs import sampling_memory, training_memory
from rl.planning.measured_shares import finished_rounds, shares_of, spent_by_stage
from rl.planning.model_size import ModelSize, read_model_size

SIZE = ModelSize(5e6, 4, 256, 1000, 1024, "test")
ROOT = Path(__file__).resolve().parents[3]


def stages(*overrides: str) -> dict[str, plan.StageCost]:
    return {stage.name: stage for stage in plan.make_plan(load_config(None, overrides), SIZE).stages}


def test_counts_by_hand() -> None:
    found = stages(
        *(
            "--problems.count",
            "100",
            "--problems.ratings_per_problem",
            "3",
            "--solutions.samples",
            "10",
            "--solutions.max_new_tokens",
            "20",
        ),
        *("--suites.pool", "8", "--suites.inputs", "4", "--grpo.steps", "5", "--grpo.rollouts_per_step", "16"),
        *("--evals.samples", "2", "--evals.limit", "30"),
    )
    assert found["problems"].samples == 100
    assert found["rating"].samples == 210  # seven in ten are well-formed and new
    assert found["solutions"].samples == 500  # half of the proposals are kept
    assert found["solutions"].tokens == 5000  # filled to half
    assert found["solutions"].executions == 2000  # half of the programs differ, eight inputs each
    assert found["grpo"].samples == 80
    assert found["grpo"].executions == 160
    assert found["eval"].samples == 90  # two samples of each task, and one greedy


def test_own_problems_are_not_invented_and_collected_solutions_not_sampled() -> None:
    own = ("--problems.count", "100", "--problems.source", "mine.jsonl")
    found, mixed = stages(*own), stages(*own, "--problems.share", "0.5")
    assert (found["problems"].samples, found["rating"].samples, found["interface"].samples) == (0, 0, 100)
    assert (mixed["problems"].samples, mixed["interface"].samples) == (50, 75)  # half of the fifty proposals are kept
    collected = stages(*own, "--solutions.source", "mine.jsonl")
    assert collected["solutions"].samples == 0 and collected["solutions"].executions == found["solutions"].executions > 0


def test_twice_the_rounds_cost_twice_the_rounds() -> None:
    one, two = (plan.make_plan(load_config(None, ["--rounds", str(n)]), SIZE) for n in (1, 2))
    assert two.hours - two.base_evaluation_hours == pytest.approx(2 * (one.hours - one.base_evaluation_hours))


def test_measured_speed_replaces_the_assumed_one() -> None:
    config = load_config(None)
    slow, fast = (plan.make_plan(config, SIZE, tokens_per_second=speed) for speed in (100.0, 200.0))
    assert slow.stages[0].hours == pytest.approx(2 * fast.stages[0].hours)
    assert any("200 tokens/s (given)" in line for line in fast.assumptions)


@pytest.mark.parametrize(("consolidation", "names"), [("grpo", {"grpo"}), ("sft", {"sft"}), ("sft+grpo", {"sft", "grpo"})])
def test_only_the_training_that_runs_is_priced(consolidation: str, names: set[str]) -> None:
    assert stages("--consolidation", consolidation).keys() & {"sft", "grpo"} == names


def test_the_proposer_is_priced_where_it_is_trained_and_draws_nothing() -> None:
    found = stages("--proposer", "{}", "--problems.count", "100")
    assert found["proposer"].samples == 100 and found["proposer"].tokens == 0 and found["proposer"].hours > 0
    assert "proposer" not in stages()


def write_model(folder: Path, tied: bool = True) -> Path:
    folder.mkdir()
    config = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 16}
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": 32, "tie_word_embeddings": tied}))
    return folder


def test_parameters_are_counted_in_the_weights(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m")
    header = json.dumps({"a": {"shape": [3, 5]}, "b": {"shape": [7]}, "__metadata__": {"format": "pt"}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    size = read_model_size(str(folder))
    assert (size.parameters, size.kv_values_per_token) == (22, 2 * 2 * 2 * 2)


@pytest.mark.parametrize(
    ("file", "text", "what"),
    [
        ("config.json", "{", "damaged, or cut off"),
        ("model.safetensors", "\x10", "damaged, or cut off"),
        ("config.json", '{"vocab_size": 32}', "does not say the shape of a decoder"),
    ],
)
def test_a_folder_that_cannot_be_read_is_said_in_words(tmp_path: Path, file: str, text: str, what: str) -> None:
    (write_model(tmp_path / "m") / file).write_text(text)
    with pytest.raises(UserError, match=what):
        read_model_size(str(tmp_path / "m"))


def test_the_shape_is_read_under_other_names_too(tmp_path: Path) -> None:
    old = {"n_embd": 8, "n_layer": 2, "n_head": 4, "vocab_size": 32}
    new = {"text_config": {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 32}}
    for name, config in (("old", old), ("new", new)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    found = [read_model_size(str(tmp_path / name)) for name in ("old", "new")]
    assert {(size.layers, size.hidden, size.vocabulary, size.kv_values_per_token) for size in found} == {(2, 8, 32, 2 * 2 * 8)}


@pytest.mark.parametrize(("tied", "parameters"), [(True, 256 + 7), (False, 512 + 7)])
def test_a_tied_matrix_that_is_stored_twice_counts_once(tmp_path: Path, tied: bool, parameters: int) -> None:
    folder = write_model(tmp_path / "m", tied=tied)
    shapes = {"model.embed_tokens.weight": [32, 8], "lm_head.weight": [32, 8], "model.norm.weight": [7]}
    header = json.dumps({name: {"shape": shape} for name, shape in shapes.items()}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    assert read_model_size(str(folder)).parameters == parameters


@pytest.mark.parametrize("types", [{}, {"output.weight": "Q8_0", "token_embd.weight": "Q4_0"}])
def test_a_gguf_s_copy_of_the_embeddings_counts_once(tmp_path: Path, types: dict[str, str]) -> None:
    pytest.importorskip("gguf")
    from tests.probing.tiny_gguf import tiny_model, write_gguf

    model = tiny_model(tied=False)
    two = read_model_size(str(write_gguf(tmp_path / "two.gguf", model, types=types)))
    model.lm_head.weight.data.copy_(model.model.embed_tokens.weight)
    once = read_model_size(str(write_gguf(tmp_path / "once.gguf", model, types=types)))
    assert two.parameters - once.parameters == model.lm_head.weight.numel() and "tied matrix once" in once.source
    assert two.parameters == sum(p.numel() for p in model.parameters())


def test_parameters_are_computed_from_the_shape(tmp_path: Path) -> None:
    block = 2 * 8 * 8 + 2 * 8 * 4 + 3 * 8 * 16
    assert read_model_size(str(write_model(tmp_path / "m"))).parameters == 2 * block + 32 * 8
    assert read_model_size(str(write_model(tmp_path / "n", tied=False))).parameters == 2 * block + 2 * 32 * 8


@pytest.mark.parametrize(("name", "parameters"), [("org/Some-7B-Instruct", 7e9), ("org/tiny-0.5b", 0.5e9)])
def test_a_name_tells_a_size(name: str, parameters: float) -> None:
    assert read_model_size(name).parameters == parameters


def test_an_unknown_size_asks_for_it() -> None:
    with pytest.raises(UserError, match="not available here"):
        read_model_size("org/model")
    assert read_model_size("org/model", 3e9).parameters == 3e9


def test_shares_are_read_off_a_run_and_a_plan_is_held_against_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A made-up run: half as many problems kept as planned, answers of known length."""
    run = tmp_path / "run"
    folder = run / "round_01"
    folder.mkdir(parents=True)
    overrides = ["--problems.count", "100", "--solutions.samples", "4", "--rounds", "1"]
    overrides += ["--grpo.rollouts_per_step", "16", "--grpo.steps", "2"]
    (run / "config.yaml").write_text(config_text(load_config(None, overrides)))
    (folder / "funnel.json").write_text(json.dumps({"proposed": 100, "kept": 25, "dropped": {"malformed": 40, "low rating": 35}}))
    (folder / "candidates.jsonl").write_text("{}\n" * 100)
    (folder / "executions.jsonl").write_text("{}\n" * 30)
    (folder / "metrics.json").write_text("{}")
    spent = {"problems/samples": 100, "problems/tokens": 9000, "rating/samples": 60, "rating/tokens": 600, "solutions/samples": 100}
    rows = [{"round": 1, "stage": "spent", "step": None, "time": 0.0, **spent, "solutions/tokens": 5000}]
    rows += [{"round": 1, "stage": "grpo", "step": step, "time": 0.0, "tokens": 40.0} for step in (1, 2)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    shares = shares_of(run)
    assert (shares.kept, shares.rated, shares.distinct) == (0.25, 0.6, 0.3)
    assert shares.lengths == {"problems": 90.0, "rating": 10.0, "solutions": 50.0, "grpo": 40.0}
    measured = plan.make_plan(load_config(None, overrides), SIZE, shares=shares)
    assert {s.name: (s.samples, s.tokens) for s in measured.stages if s.name in shares.lengths} == {
        "problems": (100, 9000),
        "rating": (60, 600),
        "solutions": (100, 5000),
        "grpo": (32, 1280),
    }
    words = [str(run / "config.yaml"), "--parameters", "3e6", "--device", "cpu"]
    assert cli.main([*words, "--like", str(run), "--check", str(run)]) == 0
    assert cli.main([*words, "--check", str(run)]) == 1  # twice as many problems as were kept
    assert "solutions" in capsys.readouterr().out


def unfinished_run(folder: Path, evaluated: int) -> Path:
    """A run that goes on: so many of its rounds are evaluated, and one more has begun."""
    folder.mkdir()
    (folder / "config.yaml").write_text(config_text(load_config(None, ["--rounds", "3"])))
    rows = []
    for number in range(evaluated + 2):
        spent = {"solutions/samples": 100, "solutions/tokens": 5000} if number else {}
        spent |= {"eval/samples": 10, "eval/tokens": 100} if number <= evaluated else {}
        rows += [{"round": number, "stage": "spent", "step": None, "time": 0.0, **spent}]
        rows += [{"round": number, "stage": "grpo", "step": 1, "time": 0.0, "tokens": 40.0}] if number else []
        (folder / f"round_{number:02d}").mkdir()
        if number <= evaluated:
            (folder / f"round_{number:02d}" / "metrics.json").write_text("{}")
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_a_round_that_goes_on_is_not_held_against_the_plan(tmp_path: Path) -> None:
    run = unfinished_run(tmp_path / "run", evaluated=1)
    assert finished_rounds(run) == [0, 1]
    spent = spent_by_stage(run, finished_rounds(run))
    assert (spent["solutions"], spent["eval"]) == ((100.0, 5000.0), (20.0, 200.0))
    assert spent["grpo"][0] == load_config(None).grpo.rollouts_per_step
    with pytest.raises(UserError, match="no round of it is finished"):
        cli.main(["--parameters", "3e6", "--device", "cpu", "--check", str(unfinished_run(tmp_path / "new", evaluated=0))])


@pytest.mark.parametrize("content", [b"[]\n", b"{}\n", b"\xff\x00\xfe\n"])
def test_a_broken_log_is_named(tmp_path: Path, content: bytes) -> None:
    run = unfinished_run(tmp_path / "run", evaluated=1)
    (run / "metrics.jsonl").write_bytes(content)
    for read in (spent_by_stage, lambda folder: write_preview(folder, tmp_path / "page.html")):
        with pytest.raises(UserError) as raised:
            read(run)
        assert raised.value.where == str(run / "metrics.jsonl")


def test_a_round_without_its_candidates_is_named(tmp_path: Path) -> None:
    run = unfinished_run(tmp_path / "run", evaluated=1)
    (run / "round_01" / "executions.jsonl").write_text("{}\n")
    (run / "round_01" / "funnel.json").write_text(json.dumps({"proposed": 1, "kept": 1, "dropped": {}}))
    with pytest.raises(UserError, match=r"a round has no candidates\.jsonl") as raised:
        shares_of(run)
    assert raised.value.where == str(run / "round_01")


@pytest.mark.parametrize("option", ["--tokens-per-second", "--parameters"])
@pytest.mark.parametrize("value", ["0", "-5", "nan", "inf"])
def test_a_speed_or_size_that_is_none_is_refused(option: str, value: str) -> None:
    with pytest.raises(UserError, match=f"{option} is {value}"):
        cli.main(["--device", "cpu", "--parameters", "3e6", f"{option}={value}"])


def test_a_folder_that_is_no_run_is_refused_in_words(tmp_path: Path) -> None:
    for flag in ("--like", "--check"):
        with pytest.raises(UserError, match="not the folder of a run"):
            cli.main(["--parameters", "3e6", "--device", "cpu", flag, str(tmp_path)])


def test_memory_is_shared_by_sharded_devices_and_spared_by_adapters() -> None:
    size = read_model_size("Qwen/Qwen2.5-Coder-7B-Instruct")
    config = load_config(None, ["--grpo.weights_dtype", "bfloat16", "--grpo.micro_batch", "1", "--grpo.gradient_checkpointing", "true"])
    needed = [plan.make_plan(config, size, "h100", 8, launch=launch).training_memory for launch in ("ddp", "zero2", "zero3")]
    assert needed[0] > needed[1] > needed[2] > 2 * size.parameters  # at least the probe's whole frozen copy
    lora = config.model_copy(update={"grpo": config.grpo.model_copy(update={"lora": LoraSection()})})
    assert plan.make_plan(lora, size, "h100").training_memory < 0.6 * plan.make_plan(config, size, "h100").training_memory


def test_memory_counts_the_8_bit_copy_that_rollouts_are_drawn_from() -> None:
    size = read_model_size("Qwen/Qwen2.5-Coder-0.5B-Instruct")
    full, int8 = (load_config(None, ["--grpo.rollout_weights", weights]) for weights in ("full", "int8"))
    assert training_memory(int8, size, "cpu") - training_memory(full, size, "cpu") == size.parameters


@pytest.mark.parametrize(
    ("words", "sampling", "training"),
    [
        (["--grpo.max_new_tokens", "9000"], False, True),
        (["--evals.max_new_tokens", "9000"], True, False),
        (["--problems.max_new_tokens", "9000"], True, False),
        (["--problems.max_new_tokens", "9000", "--proposer", "{}"], True, True),
        (["--solutions.max_new_tokens", "9000"], True, False),
        (["--solutions.max_new_tokens", "9000", "--consolidation", "sft"], True, True),
        (["--problems.max_new_tokens", "9000", "--problems.source", "mine.jsonl"], False, False),
        (["--solutions.max_new_tokens", "9000", "--problems.source", "mine.jsonl", "--solutions.source", "mine.jsonl"], False, False),
    ],
)
def test_memory_follows_the_longest_answer_that_is_asked_for(words: list[str], sampling: bool, training: bool) -> None:
    short, config = load_config(None, words[2:]), load_config(None, words)
    assert (sampling_memory(config, SIZE, "cpu") > sampling_memory(short, SIZE, "cpu")) is sampling
    assert (training_memory(config, SIZE, "cpu") > training_memory(short, SIZE, "cpu")) is training


def test_an_evaluation_asks_as_many_tasks_as_its_benchmarks_have() -> None:
    def asked(*names: str, limit: str = "null") -> int:
        words = ["--evals.benchmarks", json.dumps(names), "--evals.temperature", "0", "--evals.limit", limit]
        return plan.evaluation_samples(load_config(None, words).evals)

    assert set(plan.TASKS) <= set(BENCHMARKS), "every name is one of the registry's"
    assert asked("bigcodebench_complete_hard", "bigcodebench_instruct") == 148 + 1140
    assert asked("HumanEval+") == asked("humaneval_plus") == 164
    assert asked("livecodebench:v6:2024-08-01:2025-05-01") == asked("livecodebench") == plan.TASKS["livecodebench"]
    assert asked("fullstackbench", "seedling", limit="30") == 60


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["seedling"], None),
        (["fullstackbench"], "fullstackbench: 500 tasks (not known)"),
        (["livecodebench:v6:2024-08-01"], "livecodebench:v6:2024-08-01: 1,055 tasks (those of the whole benchmark)"),
    ],
)
def test_a_task_count_that_is_not_known_is_said(names: list[str], words: str | None) -> None:
    found = plan.make_plan(load_config(None, ["--evals.benchmarks", json.dumps(names)]), SIZE).assumptions
    assert [line for line in found if " tasks (" in line] == ([words] if words else [])


def test_memory_counts_a_sharded_policy_that_is_gathered_to_sample_from_it() -> None:
    size = read_model_size("Qwen/Qwen2.5-Coder-7B-Instruct")
    words = ["--grpo.weights_dtype", "bfloat16", "--grpo.micro_batch", "1", "--grpo.gradient_checkpointing", "true"]
    config = load_config(None, words)

    def needed(launch: str, **changes: object) -> float:
        grpo = config.grpo.model_copy(update=changes)
        return plan.make_plan(config.model_copy(update={"grpo": grpo}), size, "h100", 8, launch=launch).training_memory

    served = needed("zero3", rollouts="vllm_server")  # a tensor at a time
    assert 0.8 * 2 * size.parameters < needed("zero3") - served < 2 * size.parameters  # the activations of a step are not there then
    assert needed("zero2") == needed("zero2", rollouts="vllm_server")  # whole as it is
    adapted = {name: needed("zero3", rollouts=name, lora=LoraSection()) for name in ("policy", "vllm_server")}
    assert adapted["policy"] == adapted["vllm_server"]  # TRL merges an adapter into whole weights


def test_float32_on_a_gpu_takes_longer_and_more_memory() -> None:
    """Training by its `compute_dtype`, samples by `sampling.dtype`, evaluations by `evals.dtype`."""
    size = ModelSize(7e9, 28, 3584, 152_064, 28_672, "given")

    def on_gpu(*words: str) -> tuple[dict[str, float], plan.Plan]:
        made = plan.make_plan(load_config(None, ["--evals.dtype", "bfloat16", "--sandbox.workers", "64", *words]), size, "h100")
        return {stage.name: stage.hours for stage in made.stages}, made

    plain, bfloat16 = on_gpu()
    trained, float32 = on_gpu("--grpo.compute_dtype", "float32")
    assert trained["grpo"] > 5 * plain["grpo"] and trained["solutions"] == plain["solutions"]
    assert float32.training_memory > bfloat16.training_memory and any("float32" in line for line in float32.assumptions)
    drawn, float32 = on_gpu("--sampling.dtype", "float32")
    assert drawn["solutions"] > 1.2 * plain["solutions"] and drawn["eval"] == plain["eval"]
    assert float32.sampling_memory == 2 * bfloat16.sampling_memory
    assert on_gpu("--evals.dtype", "float32")[0]["eval"] > 1.2 * plain["eval"]


def test_more_gpus_take_less_time_and_as_many_device_hours() -> None:
    size = read_model_size("Qwen/Qwen2.5-Coder-7B-Instruct")
    config = load_config(None, ["--sampling.backend", "vllm", "--sandbox.workers", "64"])
    one, eight = (plan.make_plan(config, size, "h200", n) for n in (1, 8))
    assert one.stages[0].hours == pytest.approx(8 * eight.stages[0].hours)


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_shipped_config_can_be_planned(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main([str(path), "--parameters", "3e6", "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    for word in ("solutions", "whole run", "memory", "disk", "Assumed, not measured"):
        assert word in out
    assert list(tmp_path.iterdir()) == []


def test_json_can_be_read_back(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--json", "--model", "org/a-1B", "--rounds", "2"]) == 0
    assert json.loads(capsys.readouterr().out)["rounds"] == 2


def test_choosing_a_temperature_is_a_part_of_what_an_evaluation_spends(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(config_text(load_config(None, [])))
    spent = ({f"{name}/samples": 10, f"{name}/tokens": 100} for name in ("temperature", "eval"))
    rows = [{"round": 1, "stage": "spent", "step": None, "time": 0.0, **figures} for figures in spent]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert spent_by_stage(tmp_path)["eval"] == (20.0, 200.0)
