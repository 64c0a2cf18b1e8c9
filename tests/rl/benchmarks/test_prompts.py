"""Prompts of HumanEval and MBPP, held to the character against what the public harnesses send (evalplus 0.3.1, Qwen2.5-Coder d5ead97)."""

from __future__ import annotations

from typing import Any

import pytest

from probing.prompt import Prompt
from probing.samplers.base import SamplingParams
from rewards.sandbox import Sandbox
from rl.benchmarks.evalplus import SANDBOX, PlusBenchmark, task_of
from rl.benchmarks.humaneval import load as load_humaneval
from rl.benchmarks.mbpp import load as load_mbpp
from rl.benchmarks.prompts import CodePrompt, question_of
from rl.config.evals import EvalsConfig
from rl.console import UserError
from rl.evals.runner import evaluate
from tests.evals.toys import ListSampler
from tests.probing.tiny_models import tokenizer

# Qwen2.5's template without its tools
CHATML = (
    "{% if messages[0]['role'] == 'system' %}<|im_start|>system\n{{ messages[0]['content'] }}<|im_end|>\n"
    "{% else %}<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n{% endif %}"
    "{% for m in messages %}"
    "{% if m['role'] != 'system' %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
INC = 'from typing import List\n\n\ndef inc(xs: List[int]) -> List[int]:\n    """ Add one to each.\n    >>> inc([1])\n    [2]\n    """\n'
SHARED = (
    '"""\nWrite a function to find the shared elements from the given two lists.\n'
    'assert set(similar_elements((3, 4, 5, 6),(5, 7, 4, 10))) == set((4, 5))\n"""\n'
)
EVALPLUS_INC = '''<|im_start|>system
You are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>
<|im_start|>user
Please provide a self-contained Python script that solves the following problem in a markdown code block:
```
from typing import List


def inc(xs: List[int]) -> List[int]:
    """ Add one to each.
    >>> inc([1])
    [2]
    """
```
<|im_end|>
<|im_start|>assistant
Below is a Python script with a self-contained function that solves the problem and passes corresponding tests:
```python
'''
EVALPLUS_SHARED = '''<|im_start|>system
You are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>
<|im_start|>user
Please provide a self-contained Python script that solves the following problem in a markdown code block:
```
"""
Write a function to find the shared elements from the given two lists.
assert set(similar_elements((3, 4, 5, 6),(5, 7, 4, 10))) == set((4, 5))
"""
```
<|im_end|>
<|im_start|>assistant
Below is a Python script with a self-contained function that solves the problem and passes corresponding tests:
```python
'''
QWEN_INC = '''<|im_start|>system
You are an intelligent programming assistant to produce Python algorithmic solutions<|im_end|>
<|im_start|>user
Can you complete the following Python function?
```python
from typing import List


def inc(xs: List[int]) -> List[int]:
    """ Add one to each.
    >>> inc([1])
    [2]
    """
```
<|im_end|>
<|im_start|>assistant
```python
'''
ENDS = ("<|endoftext|>", "<|endofmask|>", "</s>", "\nif __name__", "\ndef main(", "\nprint(")


def row(prompt: str, entry: str, solution: str, inputs: list[Any]) -> dict[str, Any]:
    return {
        "task_id": "Mbpp/9999",
        "prompt": prompt,
        "entry_point": entry,
        "canonical_solution": solution,
        "base_input": inputs,
        "plus_input": [],
        "atol": 0,
    }


HUMANEVAL_ROW = row(INC, "inc", "    return [x + 1 for x in xs]\n", [[[1]], [[]]])
MBPP_ROW = row(SHARED, "similar_elements", "def similar_elements(a, b):\n    return tuple(set(a) & set(b))\n", [[[1], [1]]])


def chatml() -> Any:
    made = tokenizer()
    made.chat_template = CHATML
    return made


@pytest.mark.parametrize(
    ("data", "mbpp", "style", "text", "stop"),
    [
        (HUMANEVAL_ROW, False, "evalplus", EVALPLUS_INC, (*ENDS, "\n```\n")),
        (MBPP_ROW, True, "evalplus", EVALPLUS_SHARED, (*ENDS, "\n```\n")),
        (HUMANEVAL_ROW, False, "qwen", QWEN_INC, (*ENDS, "\n#", "\n```")),
    ],
)
def test_prompts_are_the_public_harnesses(data: dict[str, Any], mbpp: bool, style: Any, text: str, stop: tuple[str, ...]) -> None:
    question = question_of(chatml(), task_of(data, mbpp).prompt, style)
    assert question.text == text
    assert question.stop == stop
    assert question.text.endswith("<|im_start|>assistant\n" + question.prefill)


@pytest.mark.parametrize(("data", "mbpp", "own"), [(HUMANEVAL_ROW, False, INC), (MBPP_ROW, True, SHARED)])
def test_a_plain_question_leaves_the_answer_to_the_model(data: dict[str, Any], mbpp: bool, own: str) -> None:
    question = question_of(chatml(), task_of(data, mbpp).prompt, "plain")
    assert (question.prefill, question.stop) == ("", ())
    assert question.text.endswith("<|im_end|>\n<|im_start|>assistant\n")
    assert all(line.strip() in question.text for line in own.splitlines() if line != '"""')


@pytest.mark.parametrize("style", ["evalplus", "qwen", "plain"])
def test_a_model_without_a_chat_template_continues_the_code(style: Any) -> None:
    humaneval = question_of(tokenizer(), task_of(HUMANEVAL_ROW, False).prompt, style)
    assert humaneval.text == humaneval.prefill == INC
    assert humaneval.stop == (*ENDS, "\ndef ", "\nclass ", "\nimport ", "\nfrom ", "\nassert ")
    mbpp = question_of(tokenizer(), task_of(MBPP_ROW, True).prompt, style)
    assert mbpp.text == SHARED and mbpp.stop == (*ENDS, '\n"""', "\nassert")


def test_a_continuation_starts_with_the_tokens_that_the_tokenizer_puts_before_any_text() -> None:
    from tokenizers.processors import TemplateProcessing

    made = tokenizer()
    made.backend_tokenizer.post_processor = TemplateProcessing(single="<end> $A", special_tokens=[("<end>", 1)])
    question = question_of(made, CodePrompt("ab", "humaneval", ""), "evalplus")
    assert (question.text, question.prefill) == ("<end>ab\n", "ab\n")
    assert made(question.text, add_special_tokens=False).input_ids == made("ab\n").input_ids


def test_other_benchmarks_keep_their_own_words() -> None:
    assert question_of(chatml(), "Do it.", "qwen").text == question_of(chatml(), Prompt("Do it."), "evalplus").text


def test_a_template_that_takes_no_system_turn_is_named() -> None:
    made = tokenizer()
    made.chat_template = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}x"
    with pytest.raises(UserError, match=r"refuses the prompt 'qwen'.*System role not supported"):
        question_of(made, task_of(HUMANEVAL_ROW, False).prompt, "qwen")
    assert question_of(made, task_of(HUMANEVAL_ROW, False).prompt, "evalplus").text.startswith("x")


@pytest.mark.parametrize(
    ("style", "answer"),
    [
        ("evalplus", "def inc(xs):\n\treturn [x + 1 for x in xs]"),
        ("qwen", "def inc(xs):\n    return [x + 1 for x in xs]"),
        ("plain", "```python\ndef inc(xs):\n    return [x + 1 for x in xs]\n```"),
    ],
)
def test_the_answer_is_read_with_its_prefill_and_the_stops_reach_the_sampler(sandbox: Sandbox, style: Any, answer: str) -> None:
    benchmark, sampler = PlusBenchmark("plus", (task_of(HUMANEVAL_ROW, False),), "tests", SANDBOX), ListSampler([answer])
    result = evaluate(sampler, chatml(), sandbox, benchmark, EvalsConfig(samples=1, temperature=0, prompt=style))
    [sample] = result.samples
    assert sample.passed
    question = question_of(chatml(), benchmark.tasks[0].prompt, style)
    assert sample.completion == question.prefill + answer.replace("\t", "    ")
    assert sampler.asked[0][0] == [question.text]
    assert sampler.asked[0][2] == SamplingParams(0, 1.0, 512, question.stop)


def test_a_continuation_is_read_with_the_code_that_it_continues(sandbox: Sandbox) -> None:
    benchmark = PlusBenchmark("plus", (task_of(HUMANEVAL_ROW, False),), "tests", SANDBOX)
    [sample] = evaluate(ListSampler(["    return [x + 1 for x in xs]"]), tokenizer(), sandbox, benchmark, EvalsConfig(samples=1)).samples
    assert sample.passed


@pytest.mark.parametrize("load", [load_humaneval, load_mbpp])
def test_humaneval_and_mbpp_take_the_styles(load: Any) -> None:
    benchmark = load()
    if not hasattr(benchmark, "tasks"):
        pytest.skip(benchmark.reason)
    assert all(isinstance(task.prompt, CodePrompt) for task in benchmark.tasks)
    if load is load_mbpp:
        shared = next(task for task in benchmark.tasks if task.entry == "similar_elements")
        assert question_of(chatml(), shared.prompt, "evalplus").text == EVALPLUS_SHARED


OPENS_THINKING = CHATML.replace("assistant\n{% endif", "assistant\n<think>\n{% endif")
DRAFT = "Perhaps:\n```python\ndef inc(xs):\n    return [x + 1 for x in xs]\n```\nor is it"


def thinking() -> Any:
    made = tokenizer()
    made.chat_template = OPENS_THINKING
    return made


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (DRAFT, "no program"),  # cut off in its thinking, whose start the template wrote
        (DRAFT + "\n</think>\n```python\ndef inc(xs):\n    return xs\n```", "wrong"),
        ("Hm.\n</think>\n\n" + DRAFT, "passed"),
    ],
)
def test_what_follows_a_template_that_opens_the_thinking_is_thinking(sandbox: Sandbox, answer: str, outcome: str) -> None:
    benchmark, sampler = PlusBenchmark("plus", (task_of(HUMANEVAL_ROW, False),), "tests", SANDBOX), ListSampler([answer])
    [sample] = evaluate(sampler, thinking(), sandbox, benchmark, EvalsConfig(samples=1, temperature=0, prompt="plain")).samples
    assert sampler.asked[0][0][0].endswith("<|im_start|>assistant\n<think>\n")
    assert (sample.outcome, sample.completion) == (outcome, "<think>\n" + answer)


@pytest.mark.parametrize("style", ["evalplus", "qwen"])
def test_an_answer_whose_start_is_written_for_the_model_does_not_think(style: Any) -> None:
    opened, plain = (question_of(made, task_of(HUMANEVAL_ROW, False).prompt, style) for made in (thinking(), chatml()))
    assert opened.prefill == plain.prefill
    assert opened.text == plain.text.removesuffix(plain.prefill) + "<think>\n\n</think>\n\n" + plain.prefill
