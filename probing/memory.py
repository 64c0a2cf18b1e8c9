"""What becomes of freed memory: a CPU's is kept in the process within a stage, and given back between stages, as a device's is.

By default glibc returns big blocks to the system at once; on a virtual machine each fresh page costs microseconds, and a
small model's step then spends most of its time in the kernel. Kept blocks of one batch's shape seldom fit the next one's,
though, so that the heap of a long stage grows (supervised training of 0.5 billion parameters: from 13 to 19 GB in 14 steps).
Two things hold it down: training trims the heap every ten seconds, between micro-batches, and oneDNN, whose kernels torch uses
for bfloat16, keeps those of the last few shapes alone. By default it keeps 1,024 with their buffers; as many batches of
different lengths through three layers of 896 by 4,864 left 2.5 GB in the process before a trim, against 1.5 GB with 64, in the
same time. Between stages all of the heap goes back: after training such a model a process would keep some 7 GB that its
evaluation does not need. On a GPU other processes want what this one is done with.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys

_ONEDNN_SHAPES = "64"  # kernels that oneDNN keeps, a shape each
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # <malloc.h>


def keep_freed_memory() -> bool:
    """Tells glibc to serve big blocks from its own heap and never to trim it. True when it took effect (Linux, glibc).

    oneDNN is told to keep few kernels, unless the environment says how many (`ONEDNN_PRIMITIVE_CACHE_CAPACITY`, read when
    torch first uses it).
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", _ONEDNN_SHAPES)
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl
        return False
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 64 * 2**20))
    return all(mallopt(name, value) == 1 for name, value in settings)


def free_memory() -> None:
    """Give back what nothing refers to any more, in cycles, in torch's cache or in glibc's heap, so that others can have it."""
    import torch

    gc.unfreeze()  # a vLLM engine in this process froze all that there was when it started, a trainer too
    gc.collect()
    torch.cuda.empty_cache()  # nothing where CUDA was not used
    trim_heap()


def trim_heap() -> None:
    """Give the free pages of glibc's heap back to the system, those between blocks that are in use too."""
    if sys.platform.startswith("linux") and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)
