"""Whether a GGUF file stores one matrix twice, told from a few rows of it: for plans, which load no model.

llama.cpp writes the output matrix of a tied model a second time, in a finer type. `probing.models.gguf_model` ties the two again when it
reads a model, after a comparison of all rows; this module reads `SAMPLED` rows of each.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from probing.models.gguf_header import GgufHeader, GgufTensor

OUTPUT, EMBEDDINGS = "output.weight", "token_embd.weight"  # names of the two matrices in a GGUF file
# Two quantisations of one matrix differ by 0.04 (5 against 8 bits) and 0.07 (4 against 6) of its size; unrelated matrices by 1 or more.
COPIES = 0.3
SAMPLED = 64  # rows


def stored_twice(header: GgufHeader) -> bool:
    """Whether the output matrix is a copy of the embeddings. Needs the package gguf."""
    output, embeddings = header.named(OUTPUT), header.named(EMBEDDINGS)
    if output is None or embeddings is None or output.shape != embeddings.shape:
        return False
    rows = np.unique(np.linspace(0, output.shape[0] - 1, SAMPLED).astype(np.int64))
    one, other = (_rows(header, tensor, rows) for tensor in (output, embeddings))
    allowed = COPIES if output.kind != embeddings.kind else 0.0
    return bool(np.square(one - other).sum() <= allowed**2 * np.square(one).sum())


def _rows(header: GgufHeader, tensor: GgufTensor, rows: Any) -> Any:
    """float32[rows, columns]: some rows of a matrix."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
    from gguf.quants import dequantize

    kind = GGMLQuantizationType(tensor.kind)
    elements, size = GGML_QUANT_SIZES[kind]
    width = tensor.shape[-1] // elements * size  # bytes of a row
    found = []
    with header.path.open("rb") as file:
        for row in rows.tolist():
            file.seek(header.data_start + tensor.offset + row * width)
            found.append(np.frombuffer(file.read(width), dtype=np.uint8))
    return dequantize(np.stack(found), kind).astype(np.float32)
