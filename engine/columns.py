"""Columns with room: arrays whose address space is reserved for the limit, and whose memory is taken when touched.

So nothing is ever copied to grow, and a kernel may keep the same array for the life of a state.
"""

import ctypes
import itertools
import mmap
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Self

import numpy as np

_LINE_BYTES = 64
_starts = itertools.count(0, 7)
_NO_RESERVE = 0x4000 if sys.platform == "linux" else 0  # Python names it from 3.13 on
_PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NO_RESERVE
_POPULATE_WRITE = 23  # of madvise, Linux 5.14 and later: take the pages now, change nothing in them
AHEAD_BYTES_MIN = 1 << 20  # of each growing column; an eighth of what is in use where that is more
ROUND_BYTES = 16 << 20  # of all columns together, taken at a time: no other thread can map memory while one is taken
WANTED_ORDERS = 4096  # after so many the columns are looked at again


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
    documents_max: int = 1 << 25  # payments, refunds, shipments and returns of open orders
    items_max: int = 1 << 26  # lines of shipments
    keys_max: int = 1 << 26  # idempotency keys, those of orders among them
    fences_max: int = 1 << 20
    exceptions_max: int = 1 << 20
    supply_max: int = 1 << 18  # rows of dated supply: SKU, node and reference
    commit_orders_max: int = 1 << 20  # orders and answers of one commit


_ROWS_MAX = (1 << 31) - 1  # rows are named by int32
LIMIT_RANGES = {field.name: (1, _ROWS_MAX) for field in fields(Limits)} | {
    "cell": (0, (1 << 15) - 1),  # numbers are positive int64
    "channels_max": (1, 1 << 15),  # int16
    "commit_orders_max": (1, 1 << 20),  # engine.apply.PLACE_BITS
}


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


_madvise = ctypes.CDLL(None).madvise if sys.platform == "linux" else None


class Growing(NamedTuple):
    """A column that grows with every order."""

    column: Any  # a row for each row of its first axis
    used: Callable[[], int]  # rows in use
    rows_per_order: int  # about, of an order of two lines


class RoomAhead:
    """Takes the memory that columns will grow into, in a thread of its own, before a commit has to wait for it.

    A new page costs 1 us, and 10 where the machine is a virtual one and its host has to find it first; an order needs
    two hundred bytes. Measured: a tenth more orders a second, and the 99th percentile of a batch down by a third.
    """

    def __init__(self, columns: Sequence[Growing]) -> None:
        self._columns = columns
        self._taken = [0] * len(columns)  # bytes of each column
        self._orders = WANTED_ORDERS  # since the columns were last looked at: at first they are
        self._wanted = threading.Semaphore(0)
        self._ends = False
        self._thread = threading.Thread(target=self._keep_ahead, name="allot-room", daemon=True)
        self._thread.start()

    def want(self, orders: int = WANTED_ORDERS) -> None:
        """Columns have grown by so many orders. For one thread."""
        self._orders += orders
        if self._orders >= WANTED_ORDERS:
            self._orders = 0
            self._wanted.release()

    def take(self, size: int, goes_on: Callable[[], bool]) -> bool:
        """Take so many bytes for orders to come, every column in proportion, round by round while that goes on; whether
        all were taken. For a thread of its own.
        """
        of_order = sum(it.rows_per_order * it.column.strides[0] for it in self._columns)
        begins = [max(taken, self._used(i)) for i, taken in enumerate(self._taken)]
        rounds = -(-size // ROUND_BYTES)
        for turn in range(1, rounds + 1):
            if self._ends or not goes_on():
                return False
            for i, (column, _, rows_per_order) in enumerate(self._columns):
                share = size * turn // rounds * rows_per_order * column.strides[0] // of_order
                if not self._take(i, min(begins[i] + share, column.nbytes)):
                    return False
        return True

    @property
    def bytes_ahead(self) -> int:
        """Memory that `take` has taken and that no row uses yet."""
        return sum(max(0, taken - self._usual(i)) for i, taken in enumerate(self._taken))

    def close(self) -> None:
        """End the thread."""
        self._ends = True
        self._wanted.release()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _keep_ahead(self) -> None:
        while self._wanted.acquire() and not self._ends:
            for i in range(len(self._columns)):
                self._take(i, self._usual(i))

    def _used(self, i: int) -> int:
        return self._columns[i].used() * int(self._columns[i].column.strides[0])

    def _usual(self, i: int) -> int:
        """Bytes of a column that are always taken, those in use among them."""
        used = self._used(i)
        return min(used + max(AHEAD_BYTES_MIN, used >> 3), self._columns[i].column.nbytes)

    def _take(self, i: int, upto: int) -> bool:
        """Take a column's memory up to some byte of it; False where the system cannot. Two threads may: doing it twice
        is harmless."""
        if upto > self._taken[i]:
            start = max(self._taken[i], self._used(i))
            if not _populate(self._columns[i].column.ctypes.data + start, upto - start):
                return False
            self._taken[i] = max(self._taken[i], upto)
        return True


def _populate(address: int, size: int) -> bool:
    """Take the whole pages in a piece of memory. False where the system cannot: they come when they are touched."""
    first = -(-address // mmap.PAGESIZE) * mmap.PAGESIZE
    whole = (address + size - first) // mmap.PAGESIZE * mmap.PAGESIZE
    if whole <= 0:
        return True
    if _madvise is None:
        return False
    return bool(_madvise(ctypes.c_void_p(first), ctypes.c_size_t(whole), _POPULATE_WRITE) == 0)
