"""Keeps freed memory in the process, so that large CPU tensors do not pay for page faults again and again.

By default glibc returns big blocks to the system at once; on a virtual machine each fresh page costs microseconds, and a
small model's step then spends most of its time in the kernel.
"""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # <malloc.h>


def keep_freed_memory() -> bool:
    """Tells glibc to serve big blocks from its own heap and never to trim it. True when it took effect (Linux, glibc)."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl
        return False
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 64 * 2**20))
    return all(mallopt(name, value) == 1 for name, value in settings)
