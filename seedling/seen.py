"""What the bundled weights saw in pretraining, exactly: the corpus is a function of its seed, and is written again to look into it."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from rewards.user_error import UserError
from seedling.corpus import TOKENIZER_DOCUMENTS, HeldOut, corpus_digest, drawn
from seedling.grammar import Task

CARD_PATH = Path(__file__).parent / "weights" / "pretraining.json"
READ_AHEAD = 512  # documents beyond those trained on: pretraining takes them 256 at a time, and may leave some over


@dataclass
class Seen:
    """Skeletons and behaviours of a corpus."""

    skeletons: set[tuple[str, ...]] = field(default_factory=set)
    digests: set[bytes] = field(default_factory=set)  # of behaviours, which would fill memory as they are

    def add(self, task: Task, signature: tuple[str, ...]) -> None:
        self.skeletons.add(task.skeleton)
        self.digests.add(digest(signature))

    def has_behaviour(self, signature: tuple[str, ...]) -> bool:
        return digest(signature) in self.digests


def digest(signature: tuple[str, ...]) -> bytes:
    return hashlib.blake2b("\0".join(signature).encode(), digest_size=16).digest()


def corpus_tasks(held_out: HeldOut, card: Path = CARD_PATH, most: int | None = None) -> Iterator[tuple[Task, tuple[str, ...]]]:
    """(task, behaviour) of every document behind the weights that the card describes: the vocabulary's and each phase's, in order.

    held_out: what that pretraining was kept from; no task of it is among them. most: documents of each phase at most, to look
    at a part. Raises UserError where the card's corpus is not today's, or was kept from other tasks.
    """
    facts = json.loads(card.read_text(encoding="utf-8"))
    settings, again = facts.get("settings", {}), "pretrain again: make pretrain"
    if settings.get("held_out") != held_out.digest:
        raise UserError("these weights were kept from other tasks than those of the bench and dev files", str(card), again)
    if settings.get("corpus") != corpus_digest(facts["seed"], held_out):
        raise UserError("these weights saw another corpus than the one that seedling.corpus writes", str(card), again)
    for number, phase in enumerate(facts["phases"]):
        count = TOKENIZER_DOCUMENTS + phase["documents"] + READ_AHEAD
        stream = drawn(facts["seed"] + number, held_out, facts["skill_weights"][phase["name"]])
        yield from ((task, signature) for task, signature, _ in itertools.islice(stream, count if most is None else most))


def seen_in_corpus(held_out: HeldOut, card: Path = CARD_PATH) -> Seen:
    """Everything in it. Minutes."""
    seen = Seen()
    for task, signature in tqdm(corpus_tasks(held_out, card), unit="doc", desc="writing the corpus again", mininterval=5):
        seen.add(task, signature)
    return seen
