"""What decisions share: nearest allocation of a batch, also upon claims that are thrown away, of open orders that have
nodes already, and open orders as they stand.

Its callers journal what comes of it, or throw it away.
"""

import copy
from itertools import pairwise
from typing import Any

import numpy as np

from engine.capacity import beyond, count_in
from engine.columns import reserve
from engine.commands import Parts
from engine.ragged import offsets, owned, owners
from engine.state import State
from kernels.columns import NO_NODE, NODES_MAX, NONE, Batch, Drawn, Head, OnShort, Outcome, Rule
from kernels.nearest import empty_drawn, foresee, nearest, parts_max
from kernels.reasons import empty_passed, note_all_passed
from kernels.stages import OpenOrders, read_orders, size_orders

EVERY_NODE = np.full(NODES_MAX // 64, ~np.uint64(0))  # bits


def draw(state: State, batch: Batch, taken_before: bool = False, only: Any = None, claims: bool = True) -> Drawn:
    """Nearest allocation of a batch: claims are taken, parts come back, cut to their number.

    taken_before: the orders are open and wait: what is short stays so, and a closed channel still serves them.
    only: uint64 [word], bits of the nodes that may give, where not all of the channel's group may.
    claims: else nothing is taken, and each order is drawn as if it came alone.
    """
    room = parts_max(batch.quantity, state.node_count)
    drawn = empty_drawn(batch.channel.size, batch.sku.size, room, state.node_count)
    policies = state.policies
    if taken_before:
        policies = policies._replace(nodes=state.serving, on_short=np.full_like(policies.on_short, OnShort.KEEP))
    if only is not None:
        policies = policies._replace(nodes=policies.nodes & only)
    kernel = nearest if claims else foresee
    count = kernel(
        batch, state.node_count, state.cells, state.fences, policies, state.places, state.prices, state.capacity, drawn
    )
    return drawn._replace(**{name: getattr(drawn, name)[:count] for name in ("node", "quantity", "fenced", "metres")})


def draw_in_turn(state: State, batch: Batch, at: Any, among: Any = EVERY_NODE) -> Drawn:
    """Draw open orders in their sequence, each with no more nodes than it may leave from. Claims are taken.

    at: uint64 [order, word], the nodes that each leaves from already; among: uint64 [word], those that may give. Where
    an order has a limit and nodes already, these give first, then by nearest as many more as it may have.
    """
    limit = np.where(state.policies.split[batch.channel] == 0, 1, batch.nodes_max)
    is_bound = (limit > 0) & at.any(axis=1)
    cuts = np.flatnonzero(is_bound[1:] | is_bound[:-1]) + 1
    pieces = []
    for first, last in pairwise([0, *cuts.tolist(), is_bound.size]):
        some = piece(batch, first, last)
        if not is_bound[first]:
            pieces.append(draw(state, some, taken_before=True, only=among))
            continue
        more = int(limit[first]) - int(np.bitwise_count(at[first]).sum())
        pieces.append(_draw_with(state, some, at[first], more, among))
    return Drawn(*(np.concatenate(columns) for columns in zip(*pieces, strict=True)))


def _draw_with(state: State, order: Batch, at: Any, more: int, among: Any) -> Drawn:
    """What one order draws that leaves from nodes already, and may leave from so many more."""
    if more <= 0:
        return draw(state, order, taken_before=True, only=at & among)
    if order.complete[0] and (_draw_twice(state, order, at, more, among, claims=False).node == NO_NODE).any():
        return draw(state, order, taken_before=True, only=np.zeros_like(at))
    return _draw_twice(state, order, at, more, among, claims=True)


def _draw_twice(state: State, order: Batch, at: Any, more: int, among: Any, claims: bool) -> Drawn:
    """All that the nodes `at` give, and the rest from `more` others."""
    free = order._replace(nodes_max=np.zeros(1, np.uint8), complete=np.zeros(1, np.uint8))
    first = draw(state, free, taken_before=True, only=at & among, claims=claims)
    missing = np.where(first.node == NO_NODE, first.quantity, 0)
    missing = np.bincount(owners(offsets(first.part_count)), missing, order.sku.size).astype(np.int32)
    lines = np.flatnonzero(missing)
    if lines.size == 0:
        return first
    rest = order._replace(
        first_line=np.array([0, lines.size]), sku=order.sku[lines], quantity=missing[lines],
        nodes_max=np.array([more], np.uint8),
    )  # fmt: skip
    second = draw(state, rest, taken_before=True, only=~at & among, claims=claims)
    given = first.node != NO_NODE
    line = np.concatenate([owners(offsets(first.part_count))[given], lines[owners(offsets(second.part_count))]])
    turn = np.argsort(line, kind="stable")
    both = {
        name: np.concatenate([getattr(first, name)[given], getattr(second, name)])[turn]
        for name in ("node", "quantity", "fenced", "metres")
    }
    return first._replace(part_count=np.bincount(line, minlength=order.sku.size).astype(np.int32), **both)


def on_day(state: State, stamp: int) -> State:
    """The state with what nodes have left of their day at a moment, UTC us."""
    out = copy.copy(state)
    out.capacity = state.days.capacity_at(stamp)
    return out


def rehearsal(state: State) -> State:
    """The state with claims of its own: what is drawn upon it is taken from nobody."""
    cells, rows, fences = state.cells, state.head(Head.CELL_ROWS), state.fences_used
    out = copy.copy(state)
    out.cells = cells._replace(available=_copied(cells.available, rows), stocked=_copied(cells.stocked, rows))
    out.fences = state.fences._replace(remaining=_copied(state.fences.remaining, fences))
    out.capacity = state.capacity._replace(left=state.capacity.left.copy())
    return out


def _copied(column: Any, rows: int) -> Any:
    """A column of its own with the first rows of another; those that come later are 0."""
    out = reserve(column.shape, column.dtype)
    out[:rows] = column[:rows]
    return out


def piece(batch: Batch, first: int, last: int) -> Batch:
    """Some orders of a batch, one after another."""
    lines = slice(batch.first_line[first], batch.first_line[last])
    return Batch(
        batch.channel[first:last], batch.postal_code[first:last],
        batch.first_line[first : last + 1] - batch.first_line[first], batch.sku[lines], batch.quantity[lines],
        batch.nodes_max[first:last], batch.complete[first:last],
    )  # fmt: skip


def node_bits(row: Any, node: Any, rows: int) -> Any:
    """uint64 [row, word] with the bits of the nodes of each row set."""
    bits = np.zeros((rows, NODES_MAX // 64), np.uint64)
    node = node.astype(np.uint64)
    np.bitwise_or.at(bits, (row, node >> np.uint64(6)), np.uint64(1) << (node & np.uint64(63)))
    return bits


def fitting(state: State, batch: Batch, parts: Parts) -> Any:
    """Which orders get what is planned for them, bool [order]: stock and capacity cover all of these together, no units
    are kept for a channel, and their channels have no rule that the plan breaks. Who comes first gets the last units.
    """
    fences, policies, nodes = state.fences, state.policies, state.node_count
    order_of, line = owners(batch.first_line), owners(offsets(parts.part_count))
    order = order_of[line]
    channel, given = batch.channel[order], parts.node != NO_NODE
    is_node = (parts.node >= 0) & (parts.node < nodes)
    node = np.where(is_node, parts.node, 0).astype(np.int64)
    words, bits = np.divmod(node, 64)
    is_served = is_node & (policies.nodes[channel, words] >> bits.astype(np.uint64) & np.uint64(1) != 0)
    wrong = (parts.quantity < 1) | np.where(given, ~is_served, policies.on_short[channel] == OnShort.REFUSE)
    turn = np.where(given, node, nodes)  # in its line: each node once, and what is short is the last
    wrong[1:] |= (turn[1:] <= turn[:-1]) & (line[1:] == line[:-1])
    uncovered = np.bincount(line, parts.quantity, batch.sku.size) != batch.quantity
    fits = np.ones(batch.channel.size, bool)
    fits[order[wrong]] = False
    fits[order_of[uncovered | (fences.head[batch.sku] != NONE)]] = False
    least, most = np.full(fits.size, nodes), np.full(fits.size, NO_NODE)
    np.minimum.at(least, order, parts.node)
    np.maximum.at(most, order, parts.node)
    fits &= ~of_one_node(state, batch) | (least == most)  # from one node all of it, or nothing
    fits &= _keeps_terms(batch, order, node, given)
    drawn = np.flatnonzero(given & fits[order])
    cell = batch.sku[line[drawn]] * nodes + node[drawn]
    by_cell = np.argsort(cell, kind="stable")
    drawn, cell = drawn[by_cell], cell[by_cell]
    so_far = np.cumsum(parts.quantity[drawn], dtype=np.int64)
    starts = np.diff(cell, prepend=-1) != 0
    before = (so_far - parts.quantity[drawn])[starts]  # units of the cells before
    row = state.cells.row_of[cell // nodes]
    available = np.where(row < 0, 0, state.cells.available[row, cell % nodes])
    fits[order[drawn[so_far - before[np.cumsum(starts) - 1] > available]]] = False
    drawn = np.flatnonzero(given & fits[order])
    fits[beyond(state.capacity, order[drawn], node[drawn], parts.quantity[drawn])] = False
    return fits


def of_one_node(state: State, batch: Batch) -> Any:
    """bool [order]: whether an order leaves from one node, or not at all."""
    return (state.policies.split[batch.channel] == 0) | (batch.nodes_max == 1)


def _keeps_terms(batch: Batch, order: Any, node: Any, given: Any) -> Any:
    """bool [order]: whether a plan has no more nodes than the order may leave from, and all units or none where it asks
    for that. order, node, given: of each part; given: it has a node."""
    asks = batch.nodes_max > 0
    kept = np.ones(asks.size, bool)
    if asks.any():
        pairs = np.unique((order.astype(np.int64) * NODES_MAX + node)[given])
        kept &= ~asks | (np.bincount(pairs // NODES_MAX, minlength=asks.size) <= batch.nodes_max)
    if batch.complete.any():
        has_some, is_short = (np.bincount(order[rows], minlength=asks.size) > 0 for rows in (given, ~given))
        kept &= (batch.complete == 0) | ~(has_some & is_short)
    return kept


def planned(state: State, batch: Batch, parts: Parts) -> Drawn:
    """What orders draw that fit. Nothing is claimed."""
    given = parts.node != NO_NODE
    order = owners(batch.first_line)[owners(offsets(parts.part_count))]
    short = np.bincount(order, np.where(given, 0, parts.quantity), batch.channel.size)
    wanted = np.bincount(owners(batch.first_line), batch.quantity, batch.channel.size)
    outcome = np.where(short == 0, Outcome.ALLOCATED, np.where(short == wanted, Outcome.SHORT, Outcome.PARTLY))
    metres = np.where(given, state.places.metres[batch.postal_code[order], np.where(given, parts.node, 0)], 0)
    drawn = Drawn(
        outcome.astype(np.uint8), owned(parts.part_count), owned(parts.node), owned(parts.quantity),
        np.zeros(parts.node.size, np.int32), metres.astype(np.int32),
        np.full(batch.channel.size, Rule.LEAST_COST, np.uint8), empty_passed(batch.sku.size, state.node_count),
        _full(state, order[given], parts.node[given], parts.quantity[given], wanted), np.empty(0, np.int64),
    )  # fmt: skip
    note_all_passed(batch, state.node_count, state.cells, state.fences, state.policies, state.places, drawn)
    return drawn


def _full(state: State, order: Any, node: Any, units: Any, wanted: Any) -> Any:
    """uint64 [order, word]: bits of the nodes whose day has no room for an order once a plan has its own of it. order,
    node, units: of each part of the plan; wanted: int64 [order] units."""
    full = np.zeros_like(empty_passed(wanted.size, state.node_count))
    left = state.capacity._replace(left=state.capacity.left.copy())
    count_in(left, order, node, units)
    for at in np.flatnonzero(state.days.limited[: state.node_count]):
        orders_left, units_left = left.left[at]
        is_full = (units_left < wanted) | (orders_left < 1)
        is_full[order[node == at]] = False
        full[:, at // 64] |= is_full.astype(np.uint64) << np.uint64(at % 64)
    return full


def read(state: State, rows: Any) -> OpenOrders:
    """Lines and parts of open orders, as they are now."""
    rows = np.ascontiguousarray(rows, np.int32)
    totals = np.empty(2, np.int64)
    size_orders(rows, state.book, totals)
    lines, parts = int(totals[0]), int(totals[1])
    line, sku, quantity, part_count = (np.empty(lines, np.int32) for _ in range(4))
    part, part_quantity, fenced = (np.empty(parts, np.int32) for _ in range(3))
    out = OpenOrders(
        np.empty(rows.size, np.int32), line, sku, quantity, part_count, part, np.empty(parts, np.int16),
        np.empty(parts, np.uint8), part_quantity, fenced,
    )  # fmt: skip
    read_orders(rows, state.book, out)
    return out
