"""Pretrains the seedling from nothing: tokenizer, corpus, a small Qwen2 decoder, weights, and a hash to compare.

The loss is on the answers alone (loss over whole documents never learnt to copy constants from the statement). Hidden
matrices are trained with Muon, the rest with AdamW; the rate is held, then lowered linearly to zero.

    python -m seedling.pretrain --out seedling/weights            # the bundled model
    python -m seedling.pretrain --documents 2000 --out /tmp/tiny  # a quick look
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch.nn import functional as F
from tqdm import tqdm
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from probing.memory import keep_freed_memory, trim_heap
from probing.models.loading import multiplies_bfloat16
from rewards.user_error import UserError
from seedling.bench import held_out
from seedling.corpus import POLISH_WEIGHTS, SKILL_WEIGHTS, TOKENIZER_DOCUMENTS, Document, corpus_digest, documents
from seedling.muon import Muon
from seedling.pretraining_files import Position, Settings, finished_phases, forget, load_partial, partial_path, save, save_partial
from seedling.spellings import RATES
from seedling.tokenizer import PAD, corpus_tokenizer, render_document

WEIGHTS_PATH = Path(__file__).parent / "weights"
BATCH_TOKENS = 3072  # padded tokens a step; larger steps need more documents for the same loss (docs/log/corpus.md)
POOL_BATCHES = 96  # documents are sorted by length inside pools of this many batches, so little is padding
MUON_RATE, ADAM_RATE = 0.02, 3e-3
SAVE_SECONDS = 300.0  # between checkpoints inside a phase
TRIM_STEPS = 50  # between two times that freed memory goes back to the system
DECAY_SHARE = 0.4  # the last part of training, in which the rate falls to zero


def build_model(vocabulary: int, layers: int, width: int, seed: int) -> Qwen2ForCausalLM:
    """A small Qwen2 decoder with random weights; heads are 32 wide, two query heads share a key head."""
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=width * 5 // 2,
        num_hidden_layers=layers,
        num_attention_heads=width // 32,
        num_key_value_heads=width // 64,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=2,
        pad_token_id=0,
    )
    return Qwen2ForCausalLM(config)


Example = tuple[list[int], int]  # token ids of a whole document, and where its answer starts


def encode(tokenizer: PreTrainedTokenizerFast, batch: list[Document]) -> list[Example]:
    parts = [render_document(d.prompt, d.answer) for d in batch]
    prompts = tokenizer([p for p, _ in parts], add_special_tokens=False)["input_ids"]
    answers = tokenizer([a for _, a in parts], add_special_tokens=False)["input_ids"]
    return [(p + a, len(p)) for p, a in zip(prompts, answers, strict=True)]


def batches(examples: Iterator[Example], total: int, rng: random.Random) -> Iterator[list[Example]]:
    """Groups `total` examples into batches of about BATCH_TOKENS padded tokens, similar lengths together."""
    done = 0
    while done < total:
        pool: list[Example] = []
        size = 0
        while size < POOL_BATCHES * BATCH_TOKENS and done < total:
            pool.append(next(examples))
            size += len(pool[-1][0])
            done += 1
        pool.sort(key=lambda e: len(e[0]))
        cut: list[list[Example]] = [[]]
        for example in pool:
            if (len(cut[-1]) + 1) * len(example[0]) > BATCH_TOKENS:
                cut.append([])
            cut[-1].append(example)
        rng.shuffle(cut)
        yield from cut


def answer_loss(model: Qwen2ForCausalLM, batch: list[Example], device: torch.device) -> tuple[torch.Tensor, int]:
    """Mean cross entropy (nats) on the answer tokens of a batch, and the number of padded tokens."""
    length = max(len(ids) for ids, _ in batch)
    ids_BL = torch.zeros(len(batch), length, dtype=torch.long)
    answer_BL = torch.zeros(len(batch), length, dtype=torch.bool)
    for i, (ids, start) in enumerate(batch):
        ids_BL[i, : len(ids)] = torch.tensor(ids)
        answer_BL[i, start : len(ids)] = True
    ids_BL, answer_BL = ids_BL.to(device), answer_BL.to(device)
    # Right padding under a causal mask: no real token sees a pad, so no attention mask is needed.
    h_BLD = model.model(input_ids=ids_BL[:, :-1], use_cache=False).last_hidden_state
    h_ND = h_BLD[answer_BL[:, 1:]]
    return F.cross_entropy(model.lm_head(h_ND).float(), ids_BL[:, 1:][answer_BL[:, 1:]]), ids_BL.numel()


def optimizers(model: Qwen2ForCausalLM, dtype: torch.dtype) -> list[torch.optim.Optimizer]:
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    return [
        Muon(matrices, lr=MUON_RATE, dtype=dtype),
        torch.optim.AdamW(others, lr=ADAM_RATE, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def rate_at(share: float) -> float:
    """Learning rate, as a share of its peak, after `share` of the training: warm up, hold, fall to zero."""
    return min(share / 0.01 + 1e-3, 1.0, max((1.0 - share) / DECAY_SHARE, 0.0))


def weights_hash(model: Qwen2ForCausalLM) -> str:
    """SHA-256 over names and values of all weights, first 16 digits."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().float().numpy().tobytes())
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Phase:
    """A stretch of pretraining with a mix of skills and a learning rate of its own, which falls to zero at its end."""

    name: str
    documents: int
    weights: Mapping[str, float]  # share of each skill
    peak: float  # of the full learning rates


def phases(total: int) -> tuple[Phase, ...]:
    """The main phase, and a short one for the skills that need few tokens but many documents (ratings, test inputs, interfaces)."""
    polish = total // 7
    return Phase("main", total - polish, SKILL_WEIGHTS, 1.0), Phase("polish", polish, POLISH_WEIGHTS, 0.3)


def train_phase(
    model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerFast, phase: Phase, seed: int, settings: Settings, partial: Path
) -> dict[str, float]:
    """Trains one phase in place, with weights in float32.

    seed: of the phase's documents. partial: a file that is written every `SAVE_SECONDS`, and resumed from where it exists; the documents
    before its position are generated again to skip them. Returns the phase's documents, tokens, minutes and last loss.
    """
    dtype: torch.dtype = getattr(torch, settings.precision)
    device = model.device
    stream = itertools.islice(documents(seed, held_out(), phase.weights), TOKENIZER_DOCUMENTS, None)

    def examples() -> Iterator[Example]:
        while True:
            yield from encode(tokenizer, [next(stream) for _ in range(256)])

    optimisers = optimizers(model, dtype)
    bases = [o.param_groups[0]["lr"] * phase.peak for o in optimisers]
    at = load_partial(partial, model, optimisers) if partial.exists() else Position()
    began = saved = 0.0  # when the first batch was trained on, and when the position was saved
    before, passed = at.seconds, 0
    model.train()
    with tqdm(total=phase.documents, unit="doc", desc=phase.name, mininterval=5) as bar:
        for step, batch in enumerate(batches(examples(), phase.documents, random.Random(seed))):
            passed += len(batch)
            bar.update(len(batch))
            if passed <= at.documents:  # trained on before the run was stopped
                continue
            if not began:
                began = saved = time.monotonic()
            for optimiser, base in zip(optimisers, bases, strict=True):
                optimiser.param_groups[0]["lr"] = base * rate_at(at.documents / phase.documents)
            with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                loss, size = answer_loss(model, batch, device)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for optimiser in optimisers:
                optimiser.step()
                optimiser.zero_grad(set_to_none=True)
            at.documents += len(batch)
            at.tokens += size
            if step % 10 == 0:
                at.final_loss = loss.item() if step == 0 else 0.9 * at.final_loss + 0.1 * loss.item()
            at.seconds = before + time.monotonic() - began
            if time.monotonic() - saved > SAVE_SECONDS:
                save_partial(partial, model, optimisers, at, settings)
                saved = time.monotonic()
            if step % TRIM_STEPS == 0:
                trim_heap()  # batches differ in shape, and what they leave does not fit the next ones
            bar.set_postfix(loss=f"{at.final_loss:.3f}", tokens_per_s=f"{at.tokens / at.seconds:.0f}", refresh=False)
    return {
        "documents": at.documents,
        "tokens": at.tokens,
        "final_loss": round(at.final_loss, 4),
        "minutes": round(at.seconds / 60, 1),
    }


def pretrain(out: Path, settings: Settings, resume: bool = False) -> None:
    """All phases, a checkpoint after each. resume: go on with what lies in `out`, from the last finished phase or inside one.

    Raises UserError where there is nothing to resume, or it was begun with other settings.
    """
    keep_freed_memory()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    every = phases(settings.documents)
    done = finished_phases(out, settings) if resume else []
    if done:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(out)
        model = Qwen2ForCausalLM.from_pretrained(out)
    else:
        tokenizer = corpus_tokenizer(settings.seed)
        model = build_model(len(tokenizer), settings.layers, settings.width, settings.seed)
    if not resume:
        forget(out)
    torch.nn.Module.to(model, device)
    if device.type == "cpu":
        model.set_attn_implementation("eager")  # on short documents twice as fast as the fused attention's backward
    assert tokenizer.pad_token == PAD and tokenizer.pad_token_id == 0
    size = f"{model.num_parameters() / 1e6:.2f} M parameters, vocabulary {len(tokenizer)}"
    print(f"{size}, {settings.documents} documents, on {device} in {settings.precision}")
    if len(done) == len(every):
        print(f"all {len(every)} phases are finished: {out}")
    for number, phase in enumerate(every):
        partial = partial_path(out, phase.name)
        if number < len(done):
            partial.unlink(missing_ok=True)  # a kill came between the phase's end and its removal
            continue
        done.append({"name": phase.name, **train_phase(model, tokenizer, phase, settings.seed + number, settings, partial)})
        card = {
            "seed": settings.seed,
            "phases": done,
            "layers": model.config.num_hidden_layers,
            "width": model.config.hidden_size,
            "parameters": model.num_parameters(),
            "rates": settings.rates,
            "skill_weights": {p.name: p.weights for p in every},
            "threads": torch.get_num_threads(),
            "device": str(device),
            "precision": settings.precision,
            "settings": asdict(settings),
            "weights_hash": weights_hash(model),
        }
        save(out, model, tokenizer, card)
        partial.unlink(missing_ok=True)
        print(json.dumps(card))


def precision_here(asked: str) -> str:
    """`auto` is bfloat16 where the device multiplies it in hardware, else float32."""
    if asked != "auto":
        return asked
    return "bfloat16" if multiplies_bfloat16(torch.device("cuda" if torch.cuda.is_available() else "cpu")) else "float32"


def main() -> None:
    parser = argparse.ArgumentParser(description="Pretrain the seedling from nothing.")
    parser.add_argument("--out", type=Path, default=WEIGHTS_PATH)
    parser.add_argument("--documents", type=int, default=190_000, help="documents to train on in all phases, each seen once")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--precision",
        choices=("auto", "bfloat16", "float32"),
        default="auto",
        help="of matrix products; auto: bfloat16 where the processor has units for it. Another precision gives other weights",
    )
    parser.add_argument("--resume", action="store_true", help="continue the stopped pretraining in --out, with the same options")
    options = parser.parse_args()
    precision = precision_here(options.precision)
    settings = Settings(
        options.documents,
        options.layers,
        options.width,
        options.seed,
        precision,
        asdict(RATES),
        BATCH_TOKENS,
        corpus_digest(options.seed, held_out()),
        held_out().digest,
    )
    try:
        pretrain(options.out, settings, options.resume)
    except UserError as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()
