"""Plans where they break what orders and channels ask: a plan of least cost knows no terms, so such orders are planned
again.

    plan  ->  engine/sourcing.py: which orders fit  ->  those that do not: by price, over what is left

By price as single orders are (kernels/cheapest.py), at the plan's own prices, each order on its terms. So a plan never
breaks what an order asks for, and the engine has fewer orders to decide by distance alone.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from engine.capacity import count_in
from engine.commands import Parts
from engine.ragged import elements, offsets, owners
from engine.sourcing import draw, fitting, node_bits, of_one_node, rehearsal
from engine.state import State
from kernels.cheapest import Fees
from kernels.columns import NO_NODE, NODES_MAX, NONE, Batch, Drawn, Outcome

VALUE_MAX = 1 << 30  # of a unit, minor units


def on_terms(
    state: State, batch: Batch, parts: Parts, fees: Fees, rows: Any, prices: Any, carries: Callable[[Any], Any]
) -> Parts:  # fmt: skip
    """The plan, with orders planned again that break terms, or that terms left without anything; where that comes to
    nothing but a refusal, as it was. Orders of SKUs with units kept for channels are left alone.

    rows: int32 [sku] cell rows; prices: float64 [sku, node] of a unit of stock, minor units; carries: bool [order,
    node], from where these orders of the batch can be sent.
    """
    fits = fitting(state, batch, parts)
    order = owners(batch.first_line)
    is_fenced, has_some = np.zeros(fits.size, bool), np.zeros(fits.size, bool)
    is_fenced[order[state.fences.head[batch.sku] != NONE]] = True
    has_some[order[owners(offsets(parts.part_count))[parts.node != NO_NODE]]] = True
    empty = ~has_some & (of_one_node(state, batch) | (batch.nodes_max > 0) | (batch.complete != 0))
    fits &= ~empty
    anew = np.flatnonzero(~fits & ~is_fenced)
    if anew.size == 0:
        return parts
    left = rehearsal(state)
    left.decide_by_cost(fees)
    known = rows >= 0
    left.prices.value[rows[known], : prices.shape[1]] = np.minimum(prices[known], VALUE_MAX)
    claim(left, batch, parts, fits)
    pieces, lines = [], []
    groups, of = np.unique(carries(anew), axis=0, return_inverse=True)
    for group, can in enumerate(groups):
        some = anew[of.reshape(-1) == group]
        again = some_orders(batch, some)
        drawn = draw(left, again, only=node_bits(np.zeros(int(can.sum()), np.int64), np.flatnonzero(can), 1)[0])
        taken = drawn.outcome != Outcome.REFUSED
        pieces.append(in_order_of_nodes(drawn).take(elements(again.first_line, np.flatnonzero(taken))))
        lines.append(elements(batch.first_line, some[taken]))
    lines.append(np.setdiff1d(np.arange(batch.sku.size), np.concatenate(lines)))
    pieces.append(parts.take(lines[-1]))
    both = Parts(*(np.concatenate([getattr(piece, name) for piece in pieces]) for name in _COLUMNS))
    return both.take(np.argsort(np.concatenate(lines), kind="stable"))


_COLUMNS = ("part_count", "node", "quantity")


def in_order_of_nodes(drawn: Drawn) -> Parts:
    """What was drawn as a plan has it: the nodes of a line ascending, what is short last."""
    node = np.where(drawn.node == NO_NODE, NODES_MAX, drawn.node)
    turn = np.lexsort((node, owners(offsets(drawn.part_count))))
    return Parts(drawn.part_count, drawn.node[turn], drawn.quantity[turn])


def claim(state: State, batch: Batch, parts: Parts, orders: Any) -> None:
    """Take what a plan gives to some orders, bool [order], off the claims of a rehearsal, and off the days of nodes."""
    line = owners(offsets(parts.part_count))
    order = owners(batch.first_line)[line]
    taken = orders[order] & (parts.node != NO_NODE)
    count_in(state.capacity, order[taken], parts.node[taken], parts.quantity[taken])
    row, node = state.cells.row_of[batch.sku[line[taken]]], parts.node[taken].astype(np.int64)
    np.subtract.at(state.cells.available, (row, node), parts.quantity[taken])
    empty = state.cells.available[row, node] == 0
    bits = np.uint64(1) << (node[empty] & 63).astype(np.uint64)
    np.bitwise_and.at(state.cells.stocked, (row[empty], node[empty] >> 6), ~bits)


def some_orders(batch: Batch, orders: Any) -> Batch:
    """Some orders of a batch."""
    lines = elements(batch.first_line, orders)
    return Batch(
        batch.channel[orders], batch.postal_code[orders], offsets(np.diff(batch.first_line)[orders]), batch.sku[lines],
        batch.quantity[lines], batch.nodes_max[orders], batch.complete[orders],
    )  # fmt: skip
