"""What a GGUF file says of itself: its metadata and the table of its tensors, without reading a weight and without the `gguf` package.

The layout is that of the format's specification (ggml, docs/gguf.md): a magic word, a version, two counts, key-value pairs, one entry a
tensor, then the tensors' data. `probing.models.gguf_model` makes an ordinary checkpoint of such a file.
"""

from __future__ import annotations

import math
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAGIC = b"GGUF"
VERSIONS = (2, 3)
SUFFIX = ".gguf"
STRING, ARRAY = 8, 9  # value types without a fixed size
FORMATS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}  # value type -> struct
ALIGNMENT = 32  # of the tensors' data, where `general.alignment` says nothing

REFETCH = "fetch it again, and compare its size or SHA-256 with the source's"
RECONVERT = "convert the model again with llama.cpp"


class GgufError(Exception):
    """A GGUF file that cannot be used. `str(error)` says what is wrong, `remedy` what to do."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.remedy = remedy


@dataclass(frozen=True)
class GgufTensor:
    """One entry of the tensor table."""

    name: str
    shape: tuple[int, ...]  # rows first, as in torch
    kind: int  # ggml's number of the type that it is stored in
    offset: int  # bytes from the start of the data

    @property
    def count(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class GgufHeader:
    """Metadata and tensor table of a file.

    >>> GgufHeader(Path("a.gguf"), {"general.architecture": "qwen2"}, (GgufTensor("w", (2, 3), 0, 0),), 64).parameters
    6
    """

    path: Path
    metadata: dict[str, Any]  # numbers, texts, lists of numbers; of a list of texts its length alone
    tensors: tuple[GgufTensor, ...]
    data_start: int  # bytes from the start of the file

    @property
    def architecture(self) -> str:
        return str(self.metadata["general.architecture"])

    @property
    def parameters(self) -> int:
        """Number of weights. An output matrix that is stored apart counts, also where it is a copy of the embeddings."""
        return sum(tensor.count for tensor in self.tensors)

    def named(self, name: str) -> GgufTensor | None:
        return next((tensor for tensor in self.tensors if tensor.name == name), None)

    def value(self, key: str, default: Any = None) -> Any:
        """A value of the architecture's own: `header.value("block_count")` reads `qwen2.block_count`."""
        return self.metadata.get(f"{self.architecture}.{key}", default)


def is_gguf(name: str) -> bool:
    """Whether a model is named as a GGUF file is. The file need not be there."""
    return name.lower().endswith(SUFFIX)


def read_header(path: Path) -> GgufHeader:
    """The header of a file. Raises GgufError where it is not a GGUF file, or ends before its header does."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if size < len(MAGIC) or file.read(len(MAGIC)) != MAGIC:
            raise GgufError("this is not a GGUF file: it does not begin with the word GGUF", "give a .gguf file, or a checkpoint folder")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                return _parse(path, data)
            except (struct.error, IndexError, KeyError, ValueError, OverflowError):
                raise GgufError(f"the file is damaged, or cut off within its header ({size:,} bytes)", REFETCH) from None


def _parse(path: Path, data: mmap.mmap) -> GgufHeader:
    cursor = _Cursor(data, len(MAGIC))
    version = cursor.number("<I")
    if version not in VERSIONS:
        (swapped,) = struct.unpack(">I", struct.pack("<I", version))
        said = "big-endian" if swapped in VERSIONS else f"of version {version}"
        raise GgufError(f"the file is {said}; little-endian GGUF of versions 2 and 3 can be read", RECONVERT)
    n_tensors, n_values = cursor.number("<Q"), cursor.number("<Q")
    metadata = {}
    for _ in range(n_values):
        key = cursor.text()
        metadata[key] = cursor.value(cursor.number("<I"))
    tensors = tuple(cursor.tensor() for _ in range(n_tensors))
    if "general.architecture" not in metadata:
        raise GgufError("the file does not say of which architecture it is (general.architecture)", RECONVERT)
    alignment = int(metadata.get("general.alignment") or ALIGNMENT)
    return GgufHeader(path, metadata, tensors, -(-cursor.place // alignment) * alignment)


class _Cursor:
    """Reads values one after the other."""

    def __init__(self, data: mmap.mmap, place: int) -> None:
        self.data, self.place = data, place

    def number(self, form: str) -> Any:
        (value,) = struct.unpack_from(form, self.data, self.place)
        self.place += struct.calcsize(form)
        return value

    def skip(self, length: int) -> int:
        """Go on by `length` bytes; returns where they began. Raises IndexError past the end of the file."""
        start, self.place = self.place, self.place + length
        if self.place > len(self.data):
            raise IndexError(self.place)
        return start

    def text(self) -> str:
        start = self.skip(self.number("<Q"))
        return self.data[start : self.place].decode("utf-8")

    def value(self, kind: int) -> Any:
        """A value of one of the format's types. Raises KeyError for a type that is not of the format."""
        if kind == STRING:
            return self.text()
        if kind != ARRAY:
            return self.number(FORMATS[kind])
        of, length = self.number("<I"), self.number("<Q")
        if of == STRING:  # a vocabulary has 10⁵: they are walked over, not decoded
            for _ in range(length):
                self.skip(self.number("<Q"))
            return length
        size = struct.calcsize(FORMATS[of])
        start = self.skip(length * size)
        return list(struct.unpack_from(f"<{length}{FORMATS[of][1:]}", self.data, start))

    def tensor(self) -> GgufTensor:
        name = self.text()
        dimensions = [self.number("<Q") for _ in range(self.number("<I"))]
        return GgufTensor(name, tuple(reversed(dimensions)), self.number("<I"), self.number("<Q"))
