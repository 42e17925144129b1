"""New orders and reservations in one step: from what was asked to the book, the key index and the columns of the
journal.

One call instead of one for each stage: a commit of few orders costs as much as its calls do, and a thread that waits
for the interpreter after each of them holds up a whole surge.
"""

from typing import NamedTuple

import numpy as np

from kernels.cheapest import Prices
from kernels.columns import (
    NO_NODE,
    Batch,
    Book,
    Capacity,
    Cells,
    Drawn,
    Fences,
    Head,
    OnShort,
    Outcome,
    Places,
    Policies,
    Stage,
)
from kernels.keys import KeyIndex, set_values_from
from kernels.nearest import nearest
from kernels.options import I32, I64, U8, U64x2, brief, kernel, leaf
from kernels.stages import Entries, enter_orders

_LAST_NUMBER = int(Head.LAST_NUMBER)
_REFUSED = int(Outcome.REFUSED)
_SHORT, _BACK_ORDERED = int(Stage.SHORT), int(Stage.BACK_ORDERED)
_RESERVED, _ALLOCATED = int(Stage.RESERVED), int(Stage.ALLOCATED)
_BACK_ORDER = int(OnShort.BACK_ORDER)


class Placed(NamedTuple):
    """What becomes of a batch, beside what it drew."""

    number: I64  # [order] 0 where refused
    is_reservation: U8  # [order]
    line_count: I32  # [order]
    expires_at: I64  # [order] UTC us, of reservations: given; of orders: 0
    row: I32  # [order] of the book, NONE where refused
    first_part: I64  # [line + 1]
    stage: U8  # [part] Stage


def empty_placed(orders: int, lines: int, parts: int, expires_at: I64 | None) -> Placed:
    """Output columns for a batch; expires_at: of reservations."""
    is_reservation = np.zeros(orders, np.uint8) if expires_at is None else np.ones(orders, np.uint8)
    return Placed(
        np.empty(orders, np.int64), is_reservation, np.empty(orders, np.int32),
        np.zeros(orders, np.int64) if expires_at is None else expires_at, np.empty(orders, np.int32),
        np.empty(lines + 1, np.int64), np.empty(parts, np.uint8),
    )  # fmt: skip


def _number(batch: Batch, heads: I64, policies: Policies, drawn: Drawn, placed: Placed) -> None:
    """Number the orders that were not refused, and say in which stage each part begins. `placed` is written."""
    last = heads[_LAST_NUMBER]
    placed.first_part[0] = 0
    part = 0
    for order in range(batch.channel.size):
        placed.number[order] = 0
        if drawn.outcome[order] != _REFUSED:
            last += 1
            placed.number[order] = last
        placed.line_count[order] = batch.first_line[order + 1] - batch.first_line[order]
        given, short = _RESERVED, _SHORT
        if placed.is_reservation[order] == 0:
            given = _ALLOCATED
            if policies.on_short[batch.channel[order]] == _BACK_ORDER:
                short = _BACK_ORDERED
        for line in range(batch.first_line[order], batch.first_line[order + 1]):
            for _ in range(drawn.part_count[line]):
                placed.stage[part] = short if drawn.node[part] == NO_NODE else given
                part += 1
            placed.first_part[line + 1] = part


_number_them, number_orders = leaf(_number), brief(_number)


@leaf
def _count(batch: Batch, prices: Prices) -> None:
    """What is ordered, and where to: a forecast is made of it (engine/prices.py)."""
    for order in range(batch.channel.size):
        prices.reached[batch.postal_code[order]] += 1
        for line in range(batch.first_line[order], batch.first_line[order + 1]):
            prices.ordered[batch.sku[line]] += batch.quantity[line]


def _place(
    batch: Batch, keys: U64x2, location: int, stamp: int, nodes: int, book: Book, index: KeyIndex, cells: Cells,
    fences: Fences, policies: Policies, places: Places, prices: Prices, capacity: Capacity, drawn: Drawn,
    placed: Placed,
) -> int:  # fmt: skip
    """Draw the parts of every order, number the orders, enter them, and give their keys their answer.

    keys [order, 2]: all of them are in the index. location: of the first order; each further one is the next place.
    stamp: of the commit, UTC us. `drawn` and `placed` are written, with room as `nearest` says; returns the number of
    parts.
    """
    if prices.value.size:
        _count(batch, prices)
    count = nearest(batch, nodes, cells, fences, policies, places, prices, capacity, drawn)
    _number_them(batch, book.heads, policies, drawn, placed)
    entries = Entries(
        placed.number, placed.is_reservation, batch.channel, batch.postal_code, placed.line_count, drawn.outcome,
        placed.expires_at, batch.sku, batch.quantity, drawn.part_count, drawn.node, placed.stage, drawn.quantity,
        drawn.fenced,
    )  # fmt: skip
    enter_orders(entries, location, stamp, True, book, cells, fences, placed.row)
    set_values_from(index, keys, location, placed.row)
    return count


place, place_few = kernel(_place), brief(_place)
