"""Back-ordered units bound to dated supply: who waits for which units that are expected.

Called by engine/supply.py, which brings the orders in the sequence in which receipts serve them, and the supply of one
SKU by date. Nothing is written but what is bound: bindings are worked out anew whenever something changes.
"""

from typing import NamedTuple

import numpy as np

from kernels.columns import NO_NODE, NODES_MAX, NONE, Book, Stage
from kernels.options import I16, I32, U8, U64, U64x2, kernel, leaf

_BACK_ORDERED, _CANCELLED = int(Stage.BACK_ORDERED), int(Stage.CANCELLED)
_ONE = np.uint64(1)


class Supply(NamedTuple):
    """What is expected of one SKU, the earliest first."""

    node: I16  # [supply]
    left: I32  # [supply] units that nothing is bound to yet


class Bindings(NamedTuple):
    """Units of lines and the supply that they wait for."""

    order: I32  # [binding] row
    position: I32  # [binding] of the line in its order, from 1
    waiting: I32  # [binding] units of the line that wait, bound or not
    supply: I32  # [binding]
    units: I32  # [binding]


def empty_bindings(room: int) -> Bindings:
    """Room for bindings: one for each line that waits, and one more for each supply."""
    return Bindings(*(np.empty(room, np.int32) for _ in Bindings._fields))


@leaf
def _find_nodes(order: int, book: Book, split: U8, serving: U64x2, may: U64) -> None:
    """may [word]: bits of the nodes that may give to an open order. One that may not be split has the node where other
    units of it are or were, if there is any."""
    channel = book.orders.channel[order]
    may[:] = serving[channel]
    if split[channel]:
        return
    there = np.zeros(may.size, np.uint64)
    line = book.orders.first[order]
    while line != NONE:
        part = book.lines.first[line]
        while part != NONE:
            node = book.parts.node[part]
            if node != NO_NODE and book.parts.stage[part] != _CANCELLED:
                there[node >> 6] |= _ONE << np.uint64(node & 63)
            part = book.parts.next[part]
        line = book.lines.next[line]
    if there.any():
        may &= there


@leaf
def _waiting_units(line: int, book: Book) -> int:
    units = 0
    part = book.lines.first[line]
    while part != NONE:
        if book.parts.stage[part] == _BACK_ORDERED:
            units += book.parts.quantity[part]
        part = book.parts.next[part]
    return units


@kernel
def waiting_units(order: int, position: int, book: Book) -> int:
    """Back-ordered units of one line of an open order. position: from 1."""
    line = book.orders.first[order]
    for _ in range(position - 1):
        line = book.lines.next[line]
    return _waiting_units(line, book)


@kernel
def bind(
    sku: int, orders: I32, book: Book, split: U8, serving: U64x2, supply: Supply, out: Bindings
) -> int:  # fmt: skip
    """Each order in turn takes of the earliest supply that may serve it. Returns the bindings; `supply.left` and `out`
    are written.

    orders [order]: rows in the sequence in which receipts serve them, each once; split [channel], serving [channel,
    word]: what channels may do. An order that may not be split, and leaves from no node yet, waits for the node that it
    finds first, and for no other. Nobody is looked at once all supply is taken.
    """
    count, first = 0, 0
    may = np.empty(NODES_MAX // 64, np.uint64)
    for i in range(orders.size):
        while first < supply.left.size and supply.left[first] == 0:
            first += 1
        if first == supply.left.size:
            break
        order, position = orders[i], 0
        _find_nodes(order, book, split, serving, may)
        line = book.orders.first[order]
        while line != NONE:
            position += 1
            need = _waiting_units(line, book) if book.lines.sku[line] == sku else 0
            waiting, at = need, first
            while need > 0 and at < supply.left.size:
                node = supply.node[at]
                if supply.left[at] > 0 and (may[node >> 6] >> np.uint64(node & 63)) & _ONE:
                    units = min(need, supply.left[at])
                    supply.left[at] -= units
                    need -= units
                    out.order[count], out.position[count], out.waiting[count] = order, position, waiting
                    out.supply[count], out.units[count] = at, units
                    count += 1
                    if not split[book.orders.channel[order]]:
                        may[:] = 0
                        may[node >> 6] = _ONE << np.uint64(node & 63)
                at += 1
            line = book.lines.next[line]
    return count
