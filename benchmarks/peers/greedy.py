"""The nearest rule in plain Python and in NumPy, order by order, and in NumPy for a whole batch; all come to the parts
that the kernel draws. P3 has the first two as twins, P1 the first and the last as peers: in memory, nothing is kept.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.peer import Given, Lot, Peer, given, order_of_lines
from kernels.columns import NO_NODE, Batch

Part = tuple[int, int, int]  # line, node, units
Choose = Callable[[list[int], list[int], Any, Any], list[int]]


def allot(batch: Batch, available: Any, rank: Any, choose: Choose, only: Iterable[int] | None = None) -> list[Part]:
    """The rule, order by order; `choose` says from which nodes, in rank order. only: some orders, in this order."""
    first, skus, quantities = batch.first_line.tolist(), batch.sku.tolist(), batch.quantity.tolist()
    places = batch.postal_code.tolist()
    parts: list[Part] = []
    for order in range(len(places)) if only is None else only:
        lines = range(first[order], first[order + 1])
        need: dict[int, int] = {}
        for line in lines:
            need[skus[line]] = need.get(skus[line], 0) + quantities[line]
        chosen = choose(list(need), list(need.values()), rank[places[order]], available)
        for line in lines:
            units = available[skus[line]]
            left = quantities[line]
            for node in chosen:
                taken = int(min(left, units[node]))
                if taken:
                    units[node] -= taken
                    left -= taken
                    parts.append((line, int(node), taken))
            if left:
                parts.append((line, NO_NODE, left))
    return parts


def choose_plain(skus: list[int], need: list[int], rank: list[int], available: list[list[int]]) -> list[int]:
    """In plain Python."""
    stock = [available[sku] for sku in skus]
    wanted = list(zip(stock, need, strict=True))
    for node in rank:
        for units, count in wanted:
            if units[node] < count:
                break
        else:
            return [node]
    ranked = [node for node in rank if any(units[node] for units in stock)]
    for i, one in enumerate(ranked):
        for other in ranked[i + 1 :]:
            if all(units[one] + units[other] >= count for units, count in wanted):
                return [one, other]
    missing, chosen = list(need), set[int]()
    while any(missing):
        gives = [(0 if node in chosen else sum(map(min, missing, (units[node] for units in stock)))) for node in ranked]
        most = max(gives, default=0)
        if most == 0:
            break
        best = ranked[gives.index(most)]
        chosen.add(best)
        missing = [left - min(left, units[best]) for left, units in zip(missing, stock, strict=True)]
    return [node for node in ranked if node in chosen]


def choose_numpy(skus: list[int], need: list[int], rank: Any, available: Any) -> list[int]:
    """In NumPy."""
    wanted = np.array(need)[:, None]
    stock = available[skus][:, rank]
    whole = (stock >= wanted).all(axis=0)
    if whole.any():
        return [rank[whole.argmax()]]
    pairs = np.triu((stock[:, :, None] + stock[:, None, :] >= wanted[:, :, None]).all(axis=0), 1)
    if pairs.any():
        return [rank[k] for k in divmod(int(pairs.argmax()), rank.size)]
    missing, chosen = wanted.copy(), np.zeros(rank.size, bool)
    while missing.any():
        gives = np.where(chosen, 0, np.minimum(missing, stock).sum(axis=0))
        best = int(gives.argmax())
        if gives[best] == 0:
            break
        chosen[best] = True
        missing -= np.minimum(missing, stock[:, best : best + 1])
    return list(rank[chosen])


def allot_together(batch: Batch, available: Any, rank: Any) -> Any:
    """The rule for a whole batch whose lines are merged; rows of line, node and units, int64, in no special order.

    Stock only falls, so the node that is right for an order before the batch stays right as long as it can give what
    those before want of it too. Orders for which it cannot, and orders that share a SKU with one of those and come
    after it, are decided one by one.
    """
    order, sku, quantity = order_of_lines(batch), batch.sku.astype(np.int64), batch.quantity
    node, late = _nearest_whole(batch, order, available, rank)
    cell = sku * available.shape[1] + node[order]
    stock = available.reshape(-1)
    late[order[_wanted_up_to(cell, quantity) > stock[cell]]] = True
    if late.any():
        _add_those_behind(order, sku, late)
    at_once = ~late[order]
    np.subtract.at(stock, cell[at_once], quantity[at_once])
    rows = np.stack([np.flatnonzero(at_once), node[order[at_once]], quantity[at_once]], axis=1)
    rest = allot(batch, available, rank, choose_numpy, np.flatnonzero(late).tolist())
    return np.concatenate([rows, np.array(rest, np.int64).reshape(-1, 3)])


def _nearest_whole(batch: Batch, order: Any, available: Any, rank: Any) -> tuple[Any, Any]:
    """Of each order the first node that has all of it now, and whether there is none."""
    node = rank[batch.postal_code, 0].astype(np.int64)
    fits = available[batch.sku, node[order]] >= batch.quantity
    late = ~np.logical_and.reduceat(fits, batch.first_line[:-1])
    if not late.any():
        return node, late
    far = np.flatnonzero(late)
    at = np.flatnonzero(late[order])
    ranked = rank[batch.postal_code[order[at]]]
    enough = available[batch.sku[at][:, None], ranked] >= batch.quantity[at][:, None]
    first = np.searchsorted(order[at], far)
    whole = np.logical_and.reduceat(enough, first, axis=0)
    node[far] = rank[batch.postal_code[far], whole.argmax(axis=1)]
    late[far] = ~whole.any(axis=1)
    return node, late


def _wanted_up_to(cell: Any, quantity: Any) -> Any:
    """Of each line, what it and the lines before it want of its cell."""
    by = np.argsort(cell, kind="stable")
    total = np.cumsum(quantity[by], dtype=np.int64)
    begins = np.flatnonzero(np.diff(cell[by], prepend=-1))
    before = np.repeat(total[begins] - quantity[by][begins], np.diff(begins, append=cell.size))
    wanted = np.empty_like(total)
    wanted[by] = total - before
    return wanted


def _add_those_behind(order: Any, sku: Any, late: Any) -> None:
    """Mark as late what comes after a late order that wants one of its SKUs, and so on."""
    known = -1
    while known != (known := int(late.sum())):
        lines = late[order]
        first_late = np.full(int(sku.max()) + 1, late.size)
        np.minimum.at(first_late, sku[lines], order[lines])
        late[order[order > first_late[sku]]] = True


class _InMemory(Peer):
    """It keeps what it decided, as rows of line, node and units for each lot, and nothing else."""

    durable, lot_orders = "never", 13_000

    def __init__(self, rank: Any) -> None:
        self._rank = rank
        self._decided: list[tuple[Lot, Any]] = []

    def fill(self, available: Any) -> None:
        self._available = available.copy()
        self._decided = []

    def prepare(self, lot: Lot) -> Lot:
        return lot

    def stored(self) -> Given:
        ids: list[str] = []
        pieces = []
        for lot, parts in self._decided:
            rows = np.array(parts, np.int64).reshape(-1, 3)
            rows = rows[rows[:, 1] != NO_NODE]
            line = rows[:, 0]
            order = len(ids) + order_of_lines(lot.batch)[line]
            pieces.append(np.stack([order, lot.batch.sku[line], rows[:, 1], rows[:, 2]], axis=1))
            ids += lot.ids
        return given(ids, pieces)


class PlainPython(_InMemory):
    """Lists and loops."""

    name = "plain Python"

    def __init__(self, rank: Any) -> None:
        super().__init__(rank.tolist())

    def fill(self, available: Any) -> None:
        super().fill(available)
        self._available = available.tolist()

    def decide(self, prepared: Lot) -> None:
        self._decided.append((prepared, allot(prepared.batch, self._available, self._rank, choose_plain)))


class WholeBatches(_InMemory):
    """Arrays of a whole batch at once."""

    name = "NumPy, whole batches"

    def decide(self, prepared: Lot) -> None:
        self._decided.append((prepared, allot_together(prepared.batch, self._available, self._rank)))


@contextmanager
def plain_python(folder: Path, rank: Any) -> Iterator[Peer]:
    """Nothing to start."""
    yield PlainPython(rank)


@contextmanager
def whole_batches(folder: Path, rank: Any) -> Iterator[Peer]:
    """Nothing to start."""
    yield WholeBatches(rank)
