"""Stop strings: an answer ends at the first token after which its decoded text holds one, whatever the tokenizer cuts it into."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from probing.models.loading import load_tokenizer
from probing.samplers.base import Completion, SamplingParams, cut_at_stop, first_stop
from probing.samplers.config import HttpConfig, SamplingConfig, VllmConfig
from probing.samplers.engines.http import HttpSampler
from probing.samplers.engines.transformers import TransformersSampler
from probing.samplers.engines.vllm import VllmSampler
from probing.samplers.stops import START, StopWatch, TokenBytes
from tests.probing.doubles.server import Server
from tests.probing.tiny_models import model, tokenizer

SEEDLING = Path(__file__).parents[3] / "seedling" / "weights"
DOUBLES = Path(__file__).parents[1] / "doubles"
CORPUS = ["a = 1\n```\nassert x == '→ é'\n", "def f(x):\n    return x\n```", "if __name__ == '__main__':\n\n\nassert", "→→ é é ```\n\n"] * 4
STOPS = ("\n```", "\nassert", "→ é", "\n\n\n", "==")


def byte_level() -> PreTrainedTokenizerFast:
    """Byte-level BPE: tokens of several characters, and characters of several tokens."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    special = ["<pad>", "<end>", "<unk>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=330, special_tokens=special, initial_alphabet=alphabet))
    core.add_tokens(["<call> é"])  # an added token is text as it stands
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<end>", pad_token="<pad>", unk_token="<unk>")


def sentence_piece() -> PreTrainedTokenizerFast:
    """As SentencePiece's: blanks written as a bar, a first one dropped, unknown characters as tokens of one byte each."""
    pieces = [
        "<pad>",
        "<end>",
        "<unk>",
        *(f"<0x{byte:02X}>" for byte in range(256)),
        "▁a",
        "▁",
        "a",
        "=",
        "==",
        "\n",
        "```",
        "▁assert",
        "``",
    ]
    core = Tokenizer(models.BPE(vocab={piece: i for i, piece in enumerate(pieces)}, merges=[], byte_fallback=True, unk_token="<unk>"))
    core.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<end>", pad_token="<pad>", unk_token="<unk>")


TOKENIZERS = {"bytes": byte_level(), "pieces": sentence_piece(), "characters": tokenizer(), "seedling": load_tokenizer(str(SEEDLING))}


def brute_force(tok: PreTrainedTokenizerBase, ids: list[int], stops: tuple[str, ...]) -> int | None:
    """Tokens up to the first after which the decoded text holds a stop string."""
    for count in range(1, len(ids) + 1):
        if first_stop(tok.decode(ids[:count], skip_special_tokens=True), stops) is not None:
            return count
    return None


@pytest.mark.parametrize("kind", TOKENIZERS)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_row_stops_where_decoding_all_of_it_at_every_step_would_stop_it(kind: str, data: st.DataObject) -> None:
    tok = TOKENIZERS[kind]
    stops = tuple(data.draw(st.lists(st.sampled_from(STOPS), min_size=1, max_size=3, unique=True)))
    likely = [i for text in (*STOPS, *CORPUS) for i in tok(text, add_special_tokens=False)["input_ids"]]
    ids = data.draw(st.lists(st.one_of(st.sampled_from(likely), st.integers(0, len(tok) + 1)), min_size=1, max_size=40))
    watch, state, found = StopWatch(stops, tok), np.array([START]), None
    for count, token in enumerate(ids, start=1):
        state, hit = watch.step(state, np.array([token]))
        if hit[0] and watch.confirm(ids[:count]):
            found = count
            break
    assert found == brute_force(tok, ids, stops)


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_the_bytes_of_tokens_join_to_the_decoded_text(kind: str) -> None:
    tok = TOKENIZERS[kind]
    text = "a == 1\n```\nassert a" if kind != "characters" else "a b == 1\n```\n"
    ids = tok(text, add_special_tokens=False)["input_ids"]
    assert b"".join(map(TokenBytes(tok).__getitem__, ids)).decode().lstrip(" ") == tok.decode(ids)
    assert TokenBytes(tok)[tok.eos_token_id] == b"" == TokenBytes(tok)[len(tok) + 5]


@pytest.mark.parametrize("stops", [(), ("b", "`:"), ("a", "e", "i"), ("abcab", "c\n", "0")])
def test_sampling_is_cut_short_and_otherwise_the_same(stops: tuple[str, ...]) -> None:
    sampler = TransformersSampler(model("qwen2"), tokenizer(), batch_size=7)
    prompts = ["ab", "solve this: x", "def f(a, b): a"]
    free = sampler.sample(prompts, 12, SamplingParams(max_new_tokens=24), seed=5)
    stops = stops or tuple(c.text[4:7] for c in free[0] if len(c.text) > 12)  # texts of several tokens that do come
    held = sampler.sample(prompts, 12, SamplingParams(max_new_tokens=24, stop=stops), seed=5)
    pairs = [pair for groups in zip(free, held, strict=True) for pair in zip(*groups, strict=True)]
    for whole, cut in pairs:
        count = brute_force(sampler.tokenizer, list(whole.token_ids), stops)
        assert cut.token_ids == whole.token_ids[:count]
        np.testing.assert_allclose(cut.logprobs, whole.logprobs[:count], atol=1e-5)
        assert cut.finished == (whole.finished or count is not None)
        assert cut.text == cut_at_stop(whole.text, stops) and not any(stop in cut.text for stop in stops)
    assert any(cut != whole for whole, cut in pairs)


def test_the_prompt_s_own_text_neither_holds_nor_begins_a_stop_string() -> None:
    sampler = TransformersSampler(model("qwen2"), tokenizer())
    free = sampler.sample(["xxab"], 40, SamplingParams(max_new_tokens=1), 0)[0]
    follower = free[0].text
    params = SamplingParams(max_new_tokens=1, stop=("xx", "b" + follower))
    assert [c.finished for c in sampler.sample(["xxab"], 40, params, 0)[0]] == [c.finished for c in free]


@pytest.mark.parametrize("stop", [("",), "ab", ["ab"], ("a", 1)])
def test_stop_strings_that_are_none_are_refused(stop: Any) -> None:
    with pytest.raises(ValueError, match="stop must be a tuple"):
        SamplingParams(stop=stop)


# engines

PARAMS = SamplingParams(max_new_tokens=20, stop=("a", "1", "``"))
PROMPTS = ["ab", "def f(a, b):"]


def stopped_rightly(completion: Completion) -> bool:
    """Whether an answer is the brute-force cut of itself, and ended by a stop string."""
    tok = tokenizer()
    count = brute_force(tok, list(completion.token_ids), PARAMS.stop)
    text = cut_at_stop(tok.decode(completion.token_ids, skip_special_tokens=True), PARAMS.stop)
    assert count in (None, len(completion.token_ids)) and completion.text == text
    assert completion.finished or count is None
    return count is not None


@pytest.mark.slow
def test_vllm_stops_at_stop_strings(checkpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(DOUBLES))
    sampler = VllmSampler(SamplingConfig(backend="vllm", device="cpu", vllm=VllmConfig(parity_prompts=1)), checkpoint)
    try:
        drawn = sampler.sample(PROMPTS, 8, PARAMS, 1)
    finally:
        sampler.close()
    assert sum(stopped_rightly(completion) for group in drawn for completion in group)


def test_a_server_stops_at_stop_strings(server: Server, checkpoint: str) -> None:
    sampler = HttpSampler(SamplingConfig(backend="http", device="cpu", http=HttpConfig(url=server.url, parity_prompts=1)), checkpoint)
    assert sum(stopped_rightly(completion) for group in sampler.sample(PROMPTS, 8, PARAMS, 1) for completion in group)
    sampler.sample(PROMPTS, 1, SamplingParams(max_new_tokens=2), 0)
    assert "stop" not in server.bodies[-1]


def test_a_server_s_text_that_comes_cut_gets_no_end_token_of_ours(server: Server, checkpoint: str) -> None:
    http = HttpConfig(url=server.url, parity_prompts=0, retokenise=True)
    sampler = HttpSampler(SamplingConfig(backend="http", device="cpu", http=http), checkpoint)
    drawn = [completion for group in sampler.sample(PROMPTS, 8, PARAMS, 1) for completion in group]
    end = sampler.tokenizer.eos_token_id
    assert all((end in c.token_ids) == (c.text == "") for c in drawn) and any(c.finished and c.text for c in drawn)
    assert not any(stop in c.text for c in drawn for stop in PARAMS.stop)


def test_a_server_that_takes_four_stop_strings_gets_no_more_and_its_answers_are_cut_all_the_same(server: Server, checkpoint: str) -> None:
    """The fifth cuts here, and ends an answer that the server went on with up to the length limit."""
    http = HttpConfig(url=server.url, parity_prompts=0, retokenise=True)
    sampler = HttpSampler(SamplingConfig(backend="http", device="cpu", http=http), checkpoint)
    first = ("never 1", "never 2", "never 3", "never 4")
    plain = [c for group in sampler.sample(PROMPTS, 8, SamplingParams(max_new_tokens=20, stop=first), 1) for c in group]
    drawn = [c for group in sampler.sample(PROMPTS, 8, SamplingParams(max_new_tokens=20, stop=(*first, "a")), 1) for c in group]
    assert server.bodies[-1]["stop"] == list(first)
    assert [c.text for c in drawn] == [cut_at_stop(c.text, ("a",)) for c in plain]
    assert any("a" in c.text and not c.finished for c in plain)
    assert all(d.finished for c, d in zip(plain, drawn, strict=True) if "a" in c.text)
    assert all(sum(d.logprobs) >= sum(c.logprobs) - 1e-9 for c, d in zip(plain, drawn, strict=True))
