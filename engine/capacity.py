"""The days of nodes: how many orders and units a node may take on one, and what was taken of it on the present one.

Kernels draw from what is left (`Capacity`, kernels/capacity.py); here is what was taken, counted from applied tables,
live and in replay alike. A node's day begins with the first commit after its cut-off, and nothing else turns it.

What counts: an order or a reservation counts at each node, with its units there, in each commit that gives it units of
the node: when it enters, when it is served as a back-order, when it is moved there. A reservation that ends gives back
what it took on the same day, and its order takes it again. Nothing else comes back: what an order that was cancelled
or moved away had taken of a day is spent.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from engine.answers import NULL_I64
from engine.ragged import offsets, owners
from kernels.columns import NO_NODE, NODES_MAX, Capacity, Stage

UNLIMITED = -1
PER_DAY_MAX = 1_000_000_000  # orders or units
MINUTES_OF_A_DAY = 1440
UTC_OFFSET_MINUTES_MAX = 14 * 60
DAY_TERMS = ("orders_per_day", "units_per_day", "day_starts_at", "utc_offset_minutes")
NO_DAY_TERMS = (UNLIMITED, UNLIMITED, 0, 0)
DAY_TERM_RANGES = {
    "orders_per_day": (0, PER_DAY_MAX), "units_per_day": (0, PER_DAY_MAX), "day_starts_at": (0, MINUTES_OF_A_DAY - 1),
    "utc_offset_minutes": (-UTC_OFFSET_MINUTES_MAX, UTC_OFFSET_MINUTES_MAX),
}  # fmt: skip
_ORDERS, _UNITS, _STARTS_AT, _UTC_OFFSET = range(4)
_MINUTE_US = 60_000_000
_ENOUGH = 1 << 60  # what is left where there is no limit
_WAITING = (Stage.SHORT, Stage.BACK_ORDERED)


def no_day_terms(nodes: int) -> Any:
    """int64 [node] as DAY_TERMS: nodes without limits."""
    return np.tile(np.array(NO_DAY_TERMS, np.int64), (nodes, 1))


def day_columns(terms: Any) -> dict[str, Any]:
    """The columns of PutNodes for int64 [node] as DAY_TERMS; none where no node has any."""
    if (terms == NO_DAY_TERMS).all():
        return {}
    kinds = (np.int32, np.int32, np.int16, np.int16)
    return {name: terms[:, at].astype(kind) for at, (name, kind) in enumerate(zip(DAY_TERMS, kinds, strict=True))}


class Days:
    """What nodes may take on a day, and what they have taken. `capacity` is what kernels see of it."""

    def __init__(self, capacity: Capacity) -> None:
        self.capacity = capacity
        self.terms = no_day_terms(NODES_MAX)  # [node] as DAY_TERMS
        self.number = np.zeros(NODES_MAX, np.int64)  # [node] which day it is, of those with a limit
        self.taken = np.zeros((NODES_MAX, 2), np.int64)  # [node] orders and units, on that day
        self.since = np.zeros(NODES_MAX, np.int64)  # [node] from this commit on, all that was taken is in `taken`
        self.sequence = self.stamp = 0  # of the commit under way
        self.limited = np.zeros(NODES_MAX, bool)
        self._before: tuple[Any, Any, Any] | None = None
        self.is_any = False  # whether any node has a limit

    def begin(self, sequence: int, stamp: int) -> Any:
        """A commit begins: turn the days that are over; bool [node], the nodes whose day begins."""
        self.sequence, self.stamp = sequence, stamp
        self._before = None
        begins = self.begins(stamp)
        if begins.any():
            self._before = self.number.copy(), self.taken.copy(), self.since.copy()
            self.number[begins] = self._numbers(stamp)[begins]
            self.taken[begins] = 0
            self.since[begins] = sequence
            self.refresh()
        return begins

    def begins(self, stamp: int) -> Any:
        """bool [node]: the nodes whose next day begins with a commit at a moment, UTC us."""
        return self.limited & (self._numbers(stamp) > self.number) if self.is_any else self.limited

    def next_begin(self) -> int:
        """When the next day of a node with a limit begins, UTC us, after the last commit that was tried."""
        at = self.limited
        begins = (self._numbers(self.stamp)[at] + 1) * MINUTES_OF_A_DAY
        return int((begins + self.terms[at, _STARTS_AT] - self.terms[at, _UTC_OFFSET]).min()) * _MINUTE_US

    def undo(self) -> None:
        """The commit came to nothing: its stamp does not count."""
        if self._before is not None:
            self.number, self.taken, self.since = self._before
            self._before = None
            self.refresh()

    def capacity_at(self, stamp: int) -> Capacity:
        """What a commit at a moment, UTC us, would find left."""
        begins = self.begins(stamp)
        if not begins.any():
            return self.capacity
        return self.capacity._replace(left=self._left(np.where(begins[:, None], 0, self.taken)))

    def _numbers(self, stamp: int) -> Any:
        minutes = stamp // _MINUTE_US + self.terms[:, _UTC_OFFSET] - self.terms[:, _STARTS_AT]
        return minutes // MINUTES_OF_A_DAY

    def put(self, node: Any, columns: Mapping[str, Any]) -> None:
        """Nodes are put: with the terms that the columns have, or with none. What a node took before it had a limit,
        or on another day, does not count."""
        before = self.limited.copy(), self.number.copy()
        for at, (name, none) in enumerate(zip(DAY_TERMS, NO_DAY_TERMS, strict=True)):
            values = columns.get(name)
            self.terms[node, at] = none if values is None else values
        self._set_limited()
        self.number[node] = np.where(self.limited[node], self._numbers(self.stamp)[node], 0)
        anew = np.zeros(NODES_MAX, bool)
        anew[node] = True
        anew &= ~(before[0] & self.limited) | (before[1] != self.number)
        self.taken[anew] = 0
        self.since[anew] = np.where(self.limited[anew], self.sequence + 1, 0)
        self.refresh()

    def digest(self) -> bytes:
        """Of everything that replay must come to."""
        return b"".join(column.tobytes() for column in (self.terms, self.number, self.taken, self.since))

    def fill(self, terms: Any, number: Any, taken: Any, since: Any) -> None:
        """Set what a snapshot has of the first nodes."""
        for target, values in ((self.terms, terms), (self.number, number), (self.taken, taken), (self.since, since)):
            target[: values.shape[0]] = values
        self._set_limited()
        self.refresh()

    @property
    def is_put(self) -> bool:
        """Whether any node has terms of its day, even without a limit."""
        return bool((self.terms != NO_DAY_TERMS).any())

    def _set_limited(self) -> None:
        self.limited = (self.terms[:, : _UNITS + 1] != UNLIMITED).any(axis=1)
        self.is_any = bool(self.limited.any())
        self.capacity.limited[:] = np.packbits(self.limited, bitorder="little").view(np.uint64)

    def refresh(self) -> None:
        """Bring what is left up to date: what was drawn, and did not come to a table, is left again."""
        self.capacity.left[:] = self._left(self.taken)

    def _left(self, taken: Any) -> Any:
        per_day = self.terms[:, : _UNITS + 1]
        return np.where(per_day == UNLIMITED, _ENOUGH, per_day - taken)

    def full(self) -> Any:
        """bool [node]: the nodes that can be given nothing more today."""
        return self.limited & (self.capacity.left < 1).any(axis=1)

    # What is taken, from tables as they are applied

    def count_orders(self, orders: Mapping[str, Any], lines: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
        """Orders and reservations enter. One that keeps its reservation's units took them when that was made."""
        if not self.is_any:
            return
        order = owners(offsets(orders["line_count"]))[owners(offsets(lines["part_count"]))]
        node = parts["node"]
        counts = self.limited[node] & (node != NO_NODE)
        decided_in = orders.get("decided_in")
        if decided_in is not None:
            counts &= (decided_in[order] == NULL_I64) | (decided_in[order] >= self.since[node])
        self._take(order[counts], node[counts], parts["quantity"][counts], 1)

    def count_moves(self, moves: Mapping[str, Any]) -> None:
        """Units get a node: those that had none, and those that stay in their stage."""
        if not self.is_any:
            return
        node, to = moves["node"], moves["to"]
        gets = (np.isin(moves["from"], _WAITING) & (to == Stage.ALLOCATED)) | (moves["from"] == to)
        gets &= self.limited[node] & (node != NO_NODE)
        if gets.any():
            _, order = np.unique(moves["number"][gets], return_inverse=True)
            self._take(order, node[gets], moves["quantity"][gets], 1)

    def count_ended(self, order: Any, entered: Any, node: Any, units: Any) -> None:
        """Reservations end. Of each part that holds units: whose it is, the commit that entered that, node, units."""
        back = self.limited[node] & (entered >= self.since[node])
        self._take(order[back], node[back], units[back], -1)

    def lend(self, entered: Any, node: Any, units: Any) -> None:
        """Let what a reservation holds be drawn as if it had ended, until `refresh`."""
        back = self.limited[node] & (entered >= self.since[node])
        self.capacity.left[:, _UNITS] += np.bincount(node[back], units[back], NODES_MAX).astype(np.int64)
        self.capacity.left[np.unique(node[back]), _ORDERS] += 1

    def _take(self, order: Any, node: Any, units: Any, sign: int) -> None:
        self.taken += sign * _counted(order, node, units)
        self.refresh()


def _counted(order: Any, node: Any, units: Any) -> Any:
    """int64 [node, 2]: orders and units. Of each part: its order, node and units."""
    node = node.astype(np.int64)
    orders = np.unique(order * NODES_MAX + node) % NODES_MAX
    return np.stack(
        [np.bincount(orders, minlength=NODES_MAX), np.bincount(node, units, NODES_MAX).astype(np.int64)], axis=1
    )


def limited_nodes(capacity: Capacity) -> Any:
    """bool [node]: those with a limit."""
    return np.unpackbits(capacity.limited.view(np.uint8), bitorder="little")[:NODES_MAX] != 0


def count_in(capacity: Capacity, order: Any, node: Any, units: Any) -> None:
    """Take parts off what is left, which kernels see. Of each part: its order, node and units."""
    limited = limited_nodes(capacity)
    capacity.left[limited] -= _counted(order, node, units)[limited]


def beyond(capacity: Capacity, order: Any, node: Any, units: Any) -> Any:
    """The orders that find no room at a node where those before them take theirs, int64, ascending. Of each part:
    its order, in their turn, its node and its units."""
    bit = capacity.limited[node >> 6] >> (node & 63).astype(np.uint64) & np.uint64(1)
    order, node, units = (column[bit != 0].astype(np.int64) for column in (order, node, units))
    if order.size == 0:
        return order
    size = int(order.max()) + 1
    pairs, of = np.unique(node * size + order, return_inverse=True)
    at = pairs // size
    starts = np.flatnonzero(np.diff(at, prepend=-1))
    begin = np.repeat(starts, np.diff(np.append(starts, at.size)))
    orders = np.arange(1, at.size + 1) - begin
    so_far = np.cumsum(np.bincount(of, units, pairs.size).astype(np.int64))
    so_far -= np.append(0, so_far)[begin]
    is_beyond = (orders > capacity.left[at, _ORDERS]) | (so_far > capacity.left[at, _UNITS])
    return np.unique(pairs[is_beyond] % size)
