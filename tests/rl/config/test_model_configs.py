"""Every shipped config of a real model: built, and trained for a step, on a tiny random model of the same architecture and prompts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from probing.models.loading import load_tokenizer
from probing.prompt import Question
from probing.prompts.asking import Asker
from probing.records import Problem
from probing.samplers.engines.transformers import TransformersSampler
from probing.stages.problems import Funnel, select_proposals
from probing.stages.proposals import propose
from probing.stages.solutions import sample_solutions, solve_question
from rl.config.schema import Config, load_config
from rl.models.checkpoints import load_policy
from rl.planning.costs import DEVICES
from rl.planning.model_size import QWEN_SHAPES, read_model_size
from rl.planning.plan import make_plan
from rl.scoring.tasks import GrpoTask
from rl.training.grpo import train_grpo
from tests.rl.grpo_case import RecordingScorer, make_tasks

pytestmark = pytest.mark.slow

CONFIGS = sorted((Path(__file__).parents[3] / "configs").glob("qwen*.yaml"))
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PROBLEM = Problem("p", "Sum", "Return the sum of xs.", "total", "def total(xs: list[int]) -> int:", "total([1]) == 1", "lists")


def save_tiny_qwen(path: Path, shape: dict[str, Any]) -> Path:
    """The architecture of one size of Qwen2.5-Coder (attention groups, tied or not, ChatML), two layers deep and 32 or so wide."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<|endoftext|>": 0, "<|im_start|>": 1, "<|im_end|>": 2} | {c: i + 3 for i, c in enumerate(alphabet)}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer.chat_template = CHATML
    tokenizer.save_pretrained(path)
    heads, kv_heads = shape["num_attention_heads"], shape["num_key_value_heads"]
    config = Qwen2Config(
        vocab_size=len(vocabulary),
        hidden_size=4 * heads,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        tie_word_embeddings=shape["tie_word_embeddings"],
        max_position_embeddings=4096,
        eos_token_id=2,
        pad_token_id=0,
        bos_token_id=None,
    )
    Qwen2ForCausalLM(config).save_pretrained(path)
    return path


def shape_of(config: Config) -> dict[str, Any]:
    return QWEN_SHAPES[config.model.removeprefix("Qwen/Qwen2.5-Coder-").removesuffix("-Instruct")]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_a_config_is_built_and_trains(path: Path, tmp_path: Path) -> None:
    config = load_config(path)
    policy = save_tiny_qwen(tmp_path / "policy", shape_of(config))
    tokenizer = load_tokenizer(str(policy))
    prompt = solve_question(Asker.of(tokenizer), PROBLEM).text
    assert (
        prompt.startswith("<|im_start|>user\n") and prompt.endswith("<|im_start|>assistant\n```python\n") and PROBLEM.description in prompt
    )
    tasks = [GrpoTask(t.problem_id, prompt, t.entry, t.inputs, t.bank) for t in make_tasks()]
    small = {"steps": 1, "rollouts_per_step": 16, "group_size": 4, "max_new_tokens": 6, "micro_batch": min(config.grpo.micro_batch or 8, 8)}
    grpo = config.grpo.model_copy(update={**small, "rollouts": "policy"})  # vLLM holds the weights on GPUs only
    records: list[dict[str, Any]] = []
    found = train_grpo(policy, tmp_path / "out", tasks, RecordingScorer(tasks, with_probe=False), grpo, 1, records.append)
    assert records[0]["loss"] is not None and (found.checkpoint / "config.json").is_file()


def test_the_stages_ask_a_chat_model_through_its_own_template(tmp_path: Path) -> None:
    config = load_config(CONFIGS[0], ["--problems.count", "6", "--problems.max_new_tokens", "12", "--solutions.samples", "2"])
    model, tokenizer = load_policy(save_tiny_qwen(tmp_path, shape_of(config)))
    sampler = TransformersSampler(model, tokenizer)
    seen: list[str] = []

    class Listening(Asker):
        def __call__(self, skill: str, **fields: Any) -> Question:
            seen.append(super().__call__(skill, **fields).text)
            return super().__call__(skill, **fields)

    ask = Listening.of(tokenizer)

    funnel = Funnel()
    assert select_proposals(propose(sampler, ask, config.problems, 1), config.problems, "r01", funnel) == []  # noise is no problem
    assert funnel.proposed == 6
    solutions = config.solutions.model_copy(update={"max_new_tokens": 8})
    assert len(list(sample_solutions(sampler, ask, [PROBLEM], solutions, 1))) == 2
    assert all(text.startswith("<|im_start|>user") for text in seen)


@pytest.mark.parametrize("path", [path for path in CONFIGS if path.stem.rsplit("-", 1)[1] not in ("cpu", "short")], ids=lambda p: p.stem)
def test_a_config_fits_on_the_machine_that_it_names(path: Path) -> None:
    config = load_config(path)
    head = path.read_text().splitlines()[0]
    size = read_model_size(config.model)
    launch = next(line for line in path.read_text().splitlines() if "accelerate launch" in line).split("accelerate/")[1].split(".yaml")[0]
    device, devices = ("h200" if "141 GB" in head else "h100"), (1 if launch == "one_gpu" else 8)
    plan = make_plan(config, size, device, devices, launch="ddp" if launch == "one_gpu" else launch)
    assert max(plan.training_memory, plan.sampling_memory) < DEVICES[device].memory, plan
    assert (config.solutions.samples, config.suites.inputs, config.rounds) == (128, 100, 6)  # the paper's
    assert config.grpo.rollouts_per_step % devices == 0


@pytest.mark.parametrize(("name", "millions"), [("0.5B", 494), ("1.5B", 1544), ("3B", 3086), ("7B", 7616), ("14B", 14770), ("32B", 32764)])
def test_published_shapes_have_the_published_sizes(name: str, millions: float) -> None:
    assert read_model_size(f"Qwen/Qwen2.5-Coder-{name}-Instruct").parameters == pytest.approx(millions * 1e6, rel=0.005)
