"""Stop strings, watched token by token: has the text of a row come to hold one, without decoding that text at every step?

The text that is generated is matched as UTF-8 bytes: a stop string may begin in one token and end in another, and a character may be
split over tokens. All that matters of a row's past is the longest end of its bytes that begins a stop string: its state, a small integer
(as in the automaton of Aho and Corasick, 1975). What a token does to a state is worked out once and then looked up, so a step costs one
dictionary lookup a row. A hit is confirmed on the decoded text, once a row.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from probing.samplers.base import first_stop

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

START = 0  # state of a row that has generated nothing, or nothing that a stop string begins with
BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")  # how SentencePiece vocabularies write the token of a single byte

Ints = npt.NDArray[np.int64]


class StopWatch:
    """Follows rows of tokens through their states. One watch serves any number of rows; `stops` holds non-empty strings."""

    def __init__(self, stops: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> None:
        self.stops, self.tokenizer = tuple(stops), tokenizer
        self.patterns = [stop.encode() for stop in stops]
        self.beginnings = {pattern[:length] for pattern in self.patterns for length in range(len(pattern))}
        self.longest = max(map(len, self.patterns)) - 1
        self.bytes_of = TokenBytes(tokenizer)
        self.pasts = [b""]  # state -> the end of the row's bytes that begins a stop string
        self.states = {b"": START}
        self.moves: dict[tuple[int, int], int] = {}  # (state, token) -> next state; ~next state when a stop string is complete

    def step(self, states: Ints, tokens: Ints) -> tuple[Ints, npt.NDArray[np.bool_]]:
        """The next state of each row (int[B]), and whether its token may have completed a stop string: to be confirmed."""
        moves = self.moves
        pairs = list(zip(states.tolist(), tokens.tolist(), strict=True))
        try:
            moved = np.array([moves[pair] for pair in pairs], dtype=np.int64)
        except KeyError:
            for pair in pairs:
                if pair not in moves:
                    moves[pair] = self._move(*pair)
            moved = np.array([moves[pair] for pair in pairs], dtype=np.int64)
        hit = moved < 0
        return np.where(hit, ~moved, moved), hit

    def confirm(self, tokens: Sequence[int]) -> bool:
        """Whether the decoded text of a row holds a stop string. It need not, where decoding is more than joining the tokens' bytes."""
        return first_stop(decoded(self.tokenizer, tokens), self.stops) is not None

    def _move(self, state: int, token: int) -> int:
        text = self.pasts[state] + self.bytes_of[token]
        past = next(text[start:] for start in range(max(0, len(text) - self.longest), len(text) + 1) if text[start:] in self.beginnings)
        if past not in self.states:
            self.states[past] = len(self.pasts)
            self.pasts.append(past)
        after = self.states[past]
        return ~after if any(pattern in text for pattern in self.patterns) else after


class TokenBytes:
    """The bytes that each token adds to a decoded text; none for special tokens and for numbers beyond the vocabulary."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        added = getattr(tokenizer, "added_tokens_decoder", {})
        self.special = {token for token, content in added.items() if content.special} | set(tokenizer.all_special_ids)
        self.alphabet = byte_alphabet() if _byte_level(tokenizer) else None
        self.anchor = next((token for token in range(len(tokenizer)) if decoded(tokenizer, [token]).strip()), None)

    def __getitem__(self, token: int) -> bytes:
        piece: Any = self.tokenizer.convert_ids_to_tokens(token)
        if token in self.special or not piece:
            return b""
        if self.alphabet is not None:
            known = [self.alphabet.get(character) for character in piece]
            return piece.encode() if None in known else bytes(byte for byte in known if byte is not None)
        if byte := BYTE_TOKEN.fullmatch(piece):
            return bytes([int(byte[1], 16)])
        if self.anchor is None:
            return decoded(self.tokenizer, [token]).encode()
        before = decoded(self.tokenizer, [self.anchor])  # some decoders drop the blank that a text begins with
        return decoded(self.tokenizer, [self.anchor, token]).removeprefix(before).encode()


def decoded(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[int]) -> str:
    """The text of an answer: what `Completion.text` is cut from."""
    text = tokenizer.decode(list(tokens), skip_special_tokens=True)
    assert isinstance(text, str)
    return text


def byte_alphabet() -> dict[str, int]:
    """Character -> byte in the vocabularies of byte-level BPE (Radford et al., 2019): printable bytes stand for themselves, the
    other 68 for the characters from U+0100 on."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    return {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(others)}


def _byte_level(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the tokenizer writes its tokens in the byte alphabet."""
    decoder = getattr(getattr(tokenizer, "backend_tokenizer", None), "decoder", None)
    return decoder is not None and "ByteLevel" in set(_types(json.loads(decoder.__getstate__())))


def _types(state: Any) -> Iterator[str]:
    """The types of a decoder and of those that it is made of."""
    if isinstance(state, dict):
        yield str(state.get("type"))
        for part in state.get("decoders", []):
            yield from _types(part)
