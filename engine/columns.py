"""Columns with room: arrays whose address space is reserved for the limit, and whose memory is taken when touched.

So nothing is ever copied to grow, and a kernel may keep the same array for the life of a state.
"""

import itertools
import mmap
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

_LINE_BYTES = 64
_starts = itertools.count(0, 7)
_NO_RESERVE = 0x4000 if sys.platform == "linux" else 0  # Python names it from 3.13 on
_PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NO_RESERVE


@dataclass(frozen=True)
class Limits:
    """How much one engine holds. Address space, not memory, is what a high limit costs."""

    cell: int = 0  # the number of this engine among its peers: the upper 16 bits of its order numbers
    skus_max: int = 1 << 21
    channels_max: int = 1 << 10
    postal_codes_max: int = 1 << 17
    orders_max: int = 1 << 25
    lines_max: int = 1 << 26
    parts_max: int = 1 << 27
    keys_max: int = 1 << 26  # idempotency keys, those of orders among them
    fences_max: int = 1 << 20
    exceptions_max: int = 1 << 20
    commit_orders_max: int = 1 << 20  # orders and answers of one commit


def reserve(shape: int | tuple[int, ...], dtype: Any, huge_pages: bool = False) -> Any:
    """An array of zeros whose pages come into being when they are first written.

    huge_pages: for tables that are looked up at random, where small pages would cost a miss of their own each time.
    Columns start at different offsets in a page: rows that are written side by side into twenty page-aligned columns
    would all want the same few lines of the first cache (measured: twice the time to enter an order).
    """
    dims = (shape,) if isinstance(shape, int) else shape
    size = int(np.prod(dims, dtype=np.int64)) * np.dtype(dtype).itemsize
    if size < 1 << 16:
        return np.zeros(dims, dtype)
    memory = mmap.mmap(-1, size + mmap.PAGESIZE, flags=_PRIVATE)
    if huge_pages and hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    start = next(_starts) * _LINE_BYTES % mmap.PAGESIZE
    return np.frombuffer(memory, np.uint8, size, start).view(dtype).reshape(dims)
