"""Back-ordered units bound to dated supply: who waits for which units that are expected.

Called by engine/supply.py, which brings the orders in the sequence in which receipts serve them, and the supply of one
SKU by date. Nothing is written but what is bound: bindings are worked out anew whenever something changes.
"""

from typing import NamedTuple

import numpy as np

from kernels.columns import NO_NODE, NODES_MAX, NONE, Book, Stage
from kernels.options import I16, I32, I64, U8, U64, U64x2, allocating_kernel, kernel, leaf

_BACK_ORDERED, _CANCELLED = int(Stage.BACK_ORDERED), int(Stage.CANCELLED)
_ONE, _WORDS = np.uint64(1), NODES_MAX // 64


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


class Asking(NamedTuple):
    """What binds an open order to nodes."""

    split: U8  # [channel] 0: an order leaves from one node
    serving: U64x2  # [channel, word] bits of the nodes that may serve open orders
    nodes_max: U8  # [order] that may give to it together; 0: any number
    complete: U8  # [order] 1: all units or none


@leaf
def _nodes_max(order: int, book: Book, asking: Asking) -> int:
    """How many nodes may give to an order together; 0: any number."""
    return int(asking.nodes_max[order]) if asking.split[book.orders.channel[order]] else 1


@leaf
def _find_nodes(order: int, most: int, book: Book, there: U64) -> int:
    """How many more nodes an order may have. there [word]: bits of those that it leaves from, where that is limited."""
    there[:] = 0
    if most == 0:
        return NODES_MAX
    line = book.orders.first[order]
    while line != NONE:
        part = book.lines.first[line]
        while part != NONE:
            node = book.parts.node[part]
            if node != NO_NODE and book.parts.stage[part] != _CANCELLED:
                bit = _ONE << np.uint64(node & 63)
                if there[node >> 6] & bit == 0:
                    there[node >> 6] |= bit
                    most -= 1
            part = book.parts.next[part]
        line = book.lines.next[line]
    return most


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
def waiting_lines(orders: I32, book: Book, sku: I32, of: I32) -> int:
    """The lines of orders that have back-ordered units: their SKUs, and which of the orders each is of; how many."""
    count = 0
    for i in range(orders.size):
        line = book.orders.first[orders[i]]
        while line != NONE:
            if _waiting_units(line, book) > 0:
                sku[count], of[count] = book.lines.sku[line], i
                count += 1
            line = book.lines.next[line]
    return count


@leaf
def _waits_for_others(order: int, sku: int, book: Book) -> bool:
    """Whether an order waits for another SKU too."""
    line = book.orders.first[order]
    while line != NONE:
        if book.lines.sku[line] != sku and _waiting_units(line, book) > 0:
            return True
        line = book.lines.next[line]
    return False


@leaf
def _find_whole(
    need: int, first: int, more: int, may: U64, there: U64, supply: Supply, gathered: I64, one: U64
) -> None:
    """one [word]: the bit of the node that can give all of a line first, from supply `first` on, if there is any.
    gathered [node]: for work."""
    one[:] = 0
    gathered[:] = 0
    for at in range(first, supply.left.size):
        node = supply.node[at]
        word, bit = node >> 6, _ONE << np.uint64(node & 63)
        if may[word] & bit != 0 and (more > 0 or there[word] & bit != 0):
            gathered[node] += supply.left[at]
            if gathered[node] >= need:
                one[word] = bit
                return


@leaf
def _bind_line(
    need: int, first: int, more: int, order: int, position: int, may: U64, there: U64, supply: Supply, out: Bindings,
    count: int,
) -> tuple[int, int, int]:  # fmt: skip
    """Bind units of one line to supply from `first` on, at nodes that may serve; no more than `more` of them are new,
    and are added to `there`. Returns the units left over, the bindings, and how many nodes more the order may have."""
    waiting = need
    for at in range(first, supply.left.size):
        if need == 0:
            break
        word, bit = supply.node[at] >> 6, _ONE << np.uint64(supply.node[at] & 63)
        is_new = there[word] & bit == 0
        if supply.left[at] == 0 or may[word] & bit == 0 or (is_new and more <= 0):
            continue
        if is_new and more < NODES_MAX:
            there[word] |= bit
            more -= 1
        units = min(need, supply.left[at])
        supply.left[at] -= units
        need -= units
        out.order[count], out.position[count], out.waiting[count] = order, position, waiting
        out.supply[count], out.units[count] = at, units
        count += 1
    return need, count, more


@leaf
def _copy(words: U64, to: U64) -> None:
    for word in range(words.size):
        to[word] = words[word]


@leaf
def _bind(
    sku: int, orders: I32, book: Book, asking: Asking, supply: Supply, out: Bindings,
    there: U64, there_before: U64, one: U64, gathered: I64,
) -> int:  # fmt: skip
    count, first = 0, 0
    for i in range(orders.size):
        while first < supply.left.size and supply.left[first] == 0:
            first += 1
        if first == supply.left.size:
            break
        order, position = orders[i], 0
        may = asking.serving[book.orders.channel[order]]
        most = _nodes_max(order, book, asking)
        more = _find_nodes(order, most, book, there)
        if (most == 1 or asking.complete[order]) and _waits_for_others(order, sku, book):
            continue
        line = book.orders.first[order]
        while line != NONE:
            position += 1
            need = _waiting_units(line, book) if book.lines.sku[line] == sku else 0
            if need > 0:
                before, more_before = count, more
                _copy(there, there_before)
                if most == 1:
                    _find_whole(need, first, more, may, there, supply, gathered, one)
                need, count, more = _bind_line(
                    need, first, more, order, position, one if most == 1 else may, there, supply, out, count
                )  # fmt: skip
                if need > 0 and asking.complete[order]:
                    for binding in range(before, count):
                        supply.left[out.supply[binding]] += out.units[binding]
                    count, more = before, more_before
                    _copy(there_before, there)
            line = book.lines.next[line]
    return count


@allocating_kernel
def bind(sku: int, orders: I32, book: Book, asking: Asking, supply: Supply, out: Bindings) -> int:
    """Each order in turn takes of the earliest supply that may serve it. Returns the bindings; `supply.left` and `out`
    are written.

    orders [order]: rows in the sequence in which receipts serve them, each once. An order that may not leave from any
    number of nodes waits for those it leaves from and those that it finds first. A line of one that leaves from one
    node, or is to be complete, is bound wholly or not at all, and not while the order waits for another SKU too: what
    comes of one is not kept until the others come. Nobody is looked at once all supply is taken.
    """
    there, there_before, one = np.zeros(_WORDS, np.uint64), np.zeros(_WORDS, np.uint64), np.zeros(_WORDS, np.uint64)
    gathered = np.zeros(NODES_MAX, np.int64)
    return _bind(sku, orders, book, asking, supply, out, there, there_before, one, gathered)
