"""What the parent and the child say to each other: a request and authenticated frames in shared memory.

Standard library only: both sides import it. A slot is one memfd: request area, then progress words, then result frames.

    request   u32 length, marshal of {key, programs: [(code, entry, suite, todo)], suites: [[input text, ...]],
              ballast: objects of each size to make first}
    progress  u32 program, u32 input (LOADING before the first call), written by the child, read by its zygote for deadlines
    frame     u32 payload length, u8 type, u32 program, payload, 16 bytes BLAKE2b(key, sequence number + header + payload)

A forged, cut or reordered frame fails its tag and ends the reading: what was not read is undecided, never a value.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator

REQUEST_BYTES = 24 << 20
PROGRESS_BYTES = 64
RESULT_BYTES = 24 << 20
SLOT_BYTES = REQUEST_BYTES + PROGRESS_BYTES + RESULT_BYTES
SLOTS = 2  # the next unit waits in the second while the first runs

LENGTH = struct.Struct("<I")
PROGRESS = struct.Struct("<II")
HEADER = struct.Struct("<IBI")
SEQUENCE = struct.Struct("<I")
FIRST = struct.Struct("<I")
SECONDS = struct.Struct("<d")
TAG_BYTES = 16
KEY_BYTES = 16
LOADING = 0xFFFFFFFF

RESULTS, DONE, WHOLE, STRICT = 1, 2, 3, 4  # frame types
VALUE, EXCEPTION, MEMORY, TOO_LARGE, UNSERIALISABLE, REFUSED, NOT_OFFERED = "vxmluri"  # first letter of an outcome's text
EXIT_FULL = 96  # the child stopped because the result area was full

COMMAND = struct.Struct("<IIddd")  # slot, strict, seconds per input, seconds per program, processor seconds in all
REPLY = struct.Struct("<IIiIIId")  # slot, end, exit code or signal, program, input, confined, seconds
EXITED, SIGNALLED, INPUT_TIMEOUT, PROGRAM_TIMEOUT = range(4)
_blake2b = hashlib.blake2b


def tag(key: bytes, sequence: int, header: bytes, payload: bytes) -> bytes:
    """Authentication tag of one frame."""
    return _blake2b(SEQUENCE.pack(sequence) + header + payload, digest_size=TAG_BYTES, key=key).digest()


def read_frames(area: memoryview, key: bytes, most: int) -> Iterator[tuple[int, int, bytes]]:
    """(type, program, payload) of each frame, at most so many, up to the first that is absent or does not carry its tag."""
    position, sequence = 0, 0
    while sequence < most and position + HEADER.size + TAG_BYTES <= len(area):
        header = bytes(area[position : position + HEADER.size])
        length, kind, program = HEADER.unpack(header)
        end = position + HEADER.size + length
        if kind == 0 or end + TAG_BYTES > len(area):
            return
        payload = bytes(area[position + HEADER.size : end])
        if bytes(area[end : end + TAG_BYTES]) != tag(key, sequence, header, payload):
            return
        yield kind, program, payload
        position, sequence = end + TAG_BYTES, sequence + 1


class FrameWriter:
    """Appends frames to a result area (child side)."""

    __slots__ = ("_area", "_key", "_position", "_sequence", "_tag")

    def __init__(self, area: memoryview, key: bytes) -> None:
        self._area, self._key, self._position, self._sequence, self._tag = area, key, 0, 0, tag

    def write(self, kind: int, program: int, payload: bytes) -> bool:
        """Append one frame; False when it does not fit."""
        header = HEADER.pack(len(payload), kind, program)
        frame = header + payload + self._tag(self._key, self._sequence, header, payload)
        end = self._position + len(frame)
        if end > len(self._area):
            return False
        self._area[self._position : end] = frame
        self._position, self._sequence = end, self._sequence + 1
        return True
