"""GGUF files: a file gives the model that was written into it, and what cannot be read says why before a weight is touched."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from probing.models import gguf_model
from probing.models.chat_template import render_chat
from probing.models.gguf_header import GgufError, read_header
from probing.models.gguf_model import FromGguf, check_gguf, load_gguf
from probing.models.loading import end_token_ids, load_model
from tests.probing.tiny_gguf import END, END_OF_TEXT, TOKENS, WIDTH, gguf, tiny_model, write_gguf

IDS = torch.tensor([[5, 70, 256, 9, 33, 120, 7]])


def logits(model: PreTrainedModel) -> torch.Tensor:
    with torch.no_grad():
        return model(IDS).logits


def read(path: Path) -> FromGguf:
    return load_gguf(check_gguf(path))


@pytest.mark.parametrize("kind", ["qwen2", "llama"])
@pytest.mark.parametrize("tied", [True, False])
def test_a_file_gives_the_model_that_was_written(tmp_path: Path, kind: str, tied: bool) -> None:
    model = tiny_model(kind, tied)
    read(write_gguf(tmp_path / "m.gguf", model)).save(tmp_path / "saved")
    loaded, tokenizer = load_model(str(tmp_path / "saved"), "cpu", "float32")
    assert (logits(loaded) - logits(model)).abs().max() < 1e-5
    assert loaded.config.tie_word_embeddings == tied
    assert (loaded.lm_head.weight is loaded.model.embed_tokens.weight) == tied
    text = "if ab:\n    return 12 # é"
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text
    assert tokenizer("ab", add_special_tokens=False)["input_ids"] == [TOKENS.index("ab")]
    assert render_chat(tokenizer, "Hi") == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id) == (END, END_OF_TEXT)
    assert end_token_ids(loaded, tokenizer) == {END, END_OF_TEXT}  # the file names the first alone


def test_copies_of_one_matrix_are_tied_to_the_finer_one(tmp_path: Path) -> None:
    model = tiny_model(tied=False)
    model.lm_head.weight.data.copy_(model.model.embed_tokens.weight)
    found = read(write_gguf(tmp_path / "m.gguf", model, types={"output.weight": "Q8_0", "token_embd.weight": "Q4_0"}))
    assert found.model.config.tie_word_embeddings and "tied again" in found.notes[0]
    found.save(tmp_path / "saved")
    loaded, _ = load_model(str(tmp_path / "saved"), "cpu", "float32")
    assert loaded.lm_head.weight is loaded.model.embed_tokens.weight
    error = (loaded.lm_head.weight - model.lm_head.weight).abs().max() / model.lm_head.weight.abs().max()
    assert error < 0.01  # of 8 bits and bfloat16; 4 bits are off by 0.06


def test_two_matrices_in_unlike_types_stay_two(tmp_path: Path) -> None:
    model = tiny_model(tied=False)
    found = read(write_gguf(tmp_path / "m.gguf", model, types={"output.weight": "Q8_0", "token_embd.weight": "Q4_0"}))
    assert not found.model.config.tie_word_embeddings and found.notes == ()
    assert (found.model.lm_head.weight.float() - model.lm_head.weight).abs().max() < 0.02


def test_matrices_of_one_type_are_copies_only_where_they_are_equal(tmp_path: Path) -> None:
    model = tiny_model(tied=False)
    model.lm_head.weight.data.copy_(model.model.embed_tokens.weight)
    assert read(write_gguf(tmp_path / "a.gguf", model)).model.config.tie_word_embeddings
    model.lm_head.weight.data[0, 0] += 0.05  # trained apart
    assert not read(write_gguf(tmp_path / "b.gguf", model)).model.config.tie_word_embeddings


@pytest.mark.parametrize(
    ("kind", "dtype"), [("F32", torch.float32), ("F16", torch.float16), ("BF16", torch.bfloat16), ("Q8_0", torch.bfloat16)]
)
def test_plain_floats_keep_their_type_and_quantised_weights_become_bfloat16(tmp_path: Path, kind: str, dtype: torch.dtype) -> None:
    model = tiny_model()
    names = [f"blk.{i}.{n}.weight" for i in (0, 1) for n in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")]
    found = read(write_gguf(tmp_path / "m.gguf", model, types=dict.fromkeys([*names, "token_embd.weight"], kind)))
    assert found.model.dtype == dtype
    assert (found.model.model.layers[1].mlp.up_proj.weight.float() - model.model.layers[1].mlp.up_proj.weight).abs().max() < 0.01


def test_a_weight_that_the_file_lacks_is_not_made_up(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", tiny_model(), without="blk.1.ffn_up.weight")
    with pytest.raises(GgufError, match=r"lacks 1 of the model's weights, model\.layers\.1\.mlp\.up_proj\.weight"):
        read(path)


def test_what_transformers_leaves_out_is_said(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", tiny_model("llama"), more={"rope_freqs.weight": torch.ones(8)})
    (note,) = read(path).notes
    assert note.startswith("8 numbers of the file have no place") and "rope_freqs.weight" in note


def test_progress_counts_every_byte_of_weights(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    header = check_gguf(write_gguf(tmp_path / "m.gguf", tiny_model()))
    counts: list[int] = []
    load_gguf(header, counts.append).save(tmp_path / "saved")
    assert len(counts) == len(header.tensors) and sum(counts) == 4 * header.parameters
    assert capfd.readouterr().err == ""  # no bar of anybody else's


@pytest.mark.parametrize(
    ("metadata", "said", "remedy"),
    [
        ({"split.count": 3, "split.no": 1}, "part 2 of 3 of a split model", "llama-gguf-split --merge"),
        ({"general.type": "adapter"}, "holds no model: its general.type is 'adapter'", "the model itself"),
        ({"general.architecture": "clip"}, "architecture 'clip'", "original checkpoint"),
        ({"general.architecture": "t5"}, "architecture 't5'", "original checkpoint"),
    ],
)
def test_files_of_other_things_are_refused(tmp_path: Path, metadata: dict[str, str | int], said: str, remedy: str) -> None:
    path = tmp_path / "m.gguf"
    write_gguf(path, tiny_model(), {key: value for key, value in metadata.items() if key != "general.architecture"})
    if arch := metadata.get("general.architecture"):
        bytes_of = path.read_bytes()
        old = struct.pack("<Q", 5) + b"qwen2"
        path.write_bytes(bytes_of.replace(old, struct.pack("<Q", len(str(arch))) + str(arch).encode(), 1))
    with pytest.raises(GgufError, match=said) as caught:
        check_gguf(path)
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: b"", "this is not a GGUF file"),
        (lambda data: b"PK\x03\x04" + data[4:], "this is not a GGUF file"),
        (lambda data: data[:4], "cut off within its header"),
        (lambda data: data[:3000], "cut off within its header"),
        (lambda data: data[: len(data) - 4000], "the file is cut off: .* would end at byte"),
        (lambda data: data[:4] + struct.pack("<I", 1) + data[8:], "of version 1"),
        (lambda data: data[:4] + struct.pack(">I", 3) + data[8:], "big-endian"),
        (lambda data: data[:24] + struct.pack("<Q", 2**62) + data[32:], "damaged"),
        (lambda data: data[:8] + struct.pack("<Q", 2**40) + data[16:], "damaged"),
    ],
)
def test_broken_files_are_refused(tmp_path: Path, damage: object, said: str) -> None:
    path = write_gguf(tmp_path / "m.gguf", tiny_model())
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(GgufError, match=said):
        check_gguf(path)


def test_a_type_that_nobody_here_knows_is_refused(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", tiny_model())
    entry = b"token_embd.weight" + struct.pack("<IQQI", 2, WIDTH, len(TOKENS), 0)
    data = path.read_bytes()
    assert data.count(entry) == 1
    path.write_bytes(data.replace(entry, entry[:-4] + struct.pack("<I", 999)))
    with pytest.raises(GgufError, match=r"token_embd\.weight in ggml type 999"):
        check_gguf(path)


def test_the_missing_extra_is_named_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf_model.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(GgufError) as caught:
        check_gguf(tmp_path / "not even there.gguf")
    assert caught.value.remedy == "pip install 'ucoder[gguf]'"


def test_the_header_alone_tells_the_shape(tmp_path: Path) -> None:
    model = tiny_model()
    header = read_header(write_gguf(tmp_path / "m.gguf", model))
    assert header.architecture == "qwen2" and header.value("block_count") == 2
    assert header.parameters == model.num_parameters()
    embeddings = header.named("token_embd.weight")
    assert embeddings is not None and embeddings.shape == (len(TOKENS), WIDTH)
    assert header.metadata["tokenizer.ggml.tokens"] == len(TOKENS)


def test_the_header_is_parsed_by_the_gguf_package_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []

    class Counting(gguf.GGUFReader):
        def __init__(self, path: str) -> None:
            parsed.append(path)
            super().__init__(path)

    monkeypatch.setattr(gguf, "GGUFReader", Counting)
    read(write_gguf(tmp_path / "m.gguf", tiny_model()))
    assert len(parsed) == 1 and gguf.GGUFReader is Counting
