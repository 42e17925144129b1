"""Columns with room: arrays whose address space is reserved for the limit, and whose memory is taken when touched.

So nothing is ever copied to grow, and a kernel may keep the same array for the life of a state.
"""

import mmap
from dataclasses import dataclass
from typing import Any

import numpy as np

_PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)


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
    fences_max: int = 1 << 20
    exceptions_max: int = 1 << 20
    commit_orders_max: int = 1 << 20  # orders and answers of one commit


def reserve(shape: int | tuple[int, ...], dtype: Any) -> Any:
    """An array of zeros whose pages come into being when they are first written."""
    dims = (shape,) if isinstance(shape, int) else shape
    size = int(np.prod(dims, dtype=np.int64)) * np.dtype(dtype).itemsize
    if size < 1 << 16:
        return np.zeros(dims, dtype)
    memory = mmap.mmap(-1, size, flags=_PRIVATE)
    return np.frombuffer(memory, dtype).reshape(dims)
