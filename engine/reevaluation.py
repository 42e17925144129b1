"""Re-evaluation: open orders of which nothing is picked yet are planned anew, and moved where that saves more than it
costs.

    window: the newest open orders, and the stock they hold  ->  engine/planning.py  ->  better: what saves  ->  moves

The window is looked at between two commits, the plan is made outside (ARCHITECTURE.md, decision 32), and the moves are
checked again when they are carried out: an order that changed meanwhile, or whose new place is gone, stays as it is.
Source: P. J. Xu, R. Allgor, S. C. Graves, "Benefits of reevaluating real-time order fulfillment decisions", 2009.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from engine.answers import Reevaluated
from engine.capacity import beyond
from engine.commands import Reevaluate
from engine.commit import Commit
from engine.intake.rate_card import RateCard, kilometres_to_nodes
from engine.outcomes import Cause, Method, Reply
from engine.ragged import elements, offsets, owners
from engine.reallocation import by_node, first_by_node
from engine.sourcing import read
from engine.state import State
from engine.stock import NO_CHANNEL, move_columns
from kernels.columns import NO_NODE, NODES_MAX, NONE, Figure, Head, OrderKind, Stage
from kernels.stages import OpenOrders

WINDOW_ORDERS_MAX = 8192  # newest first; a look of about 50 ms
WINDOW_UNITS_MAX = 131_072
MOVED_ORDERS_MAX = 1024  # of one commit
SAVING_MAX = 1 << 52  # of one order, minor units: a double's whole numbers
_AT_REST = (Stage.SHORT, Stage.BACK_ORDERED, Stage.CANCELLED)
_DEAR = 1000.0  # times the dearest shipment: what a node that may not give, and a short unit, cost the plan


@dataclass(frozen=True)
class Window:
    """A copy of what a plan rests on. Lines are those with allocated units."""

    order: Any  # int32 [order] row
    number: Any  # int64 [order]
    seen: Any  # uint64 [order] what its parts are, as one figure
    zone: Any  # int32 [order]
    first_line: Any  # int64 [order + 1]
    line: Any  # int32 [line] row
    sku: Any  # int32 [line] row of the stock
    held: Any  # int32 [line, node] units allocated
    free: Any  # int64 [SKU, node] units that nobody has; less than 0 where too much is committed
    kilometres: Any  # float64 [zone, node]
    serves: Any  # bool [zone, node] whether the node may give


def window(state: State) -> Window:
    """The newest open orders that may be split, over any number of nodes, are not picked yet and have no SKU with
    ring-fences."""
    book, nodes = state.book, state.node_count
    rows = _may_move(state)
    held = read(state, rows)
    line = owners(offsets(held.part_count))
    allocated = held.stage == Stage.ALLOCATED
    at = _by_node(line[allocated], held.node[allocated], held.part_quantity[allocated], (held.line.size, nodes))
    kept = at.any(axis=1)
    order_of_line = owners(offsets(held.line_count))
    skus, sku = np.unique(held.sku[kept], return_inverse=True)
    at = at[kept]
    keys = np.column_stack([book.orders.postal_code[rows], state.serving[book.orders.channel[rows]].view(np.int64)])
    zones, zone = np.unique(keys, axis=0, return_inverse=True)
    bits = np.arange(nodes)
    serves = zones[:, 1:].view(np.uint64)[:, bits // 64] >> (bits % 64).astype(np.uint64) & np.uint64(1)
    serves[:, state.days.full()[:nodes]] = 0  # a plan that sends units there is not carried out
    km = kilometres_to_nodes(state, zones[:, 0])
    return Window(
        rows.astype(np.int32), book.orders.number[rows], _fingerprints(held), zone.reshape(-1).astype(np.int32),
        offsets(np.bincount(order_of_line[kept], minlength=rows.size)), held.line[kept], sku.astype(np.int32), at,
        _free(state, state.cells.row_of[skus][:, None], np.arange(nodes)), km, serves != 0,
    )  # fmt: skip


def _may_move(state: State) -> Any:
    """Rows of the orders of a window, newest first."""
    book = state.book
    count = state.head(Head.ORDERS)
    rows = np.flatnonzero((book.orders.kind[:count] == OrderKind.ORDER) & (book.orders.due_at[:count] == 0))
    if rows.size > WINDOW_ORDERS_MAX:
        rows = rows[np.argpartition(-book.orders.number[rows], WINDOW_ORDERS_MAX)[:WINDOW_ORDERS_MAX]]
    rows = rows[np.argsort(-book.orders.number[rows])]
    held = read(state, rows)
    order_of_line = owners(offsets(held.line_count))
    order = order_of_line[owners(offsets(held.part_count))]
    allocated = held.stage == Stage.ALLOCATED
    left = np.bincount(order, ~allocated & ~np.isin(held.stage, _AT_REST), rows.size)
    fenced = np.bincount(order_of_line, state.fences.head[held.sku] != NONE, rows.size)
    units = np.bincount(order, np.where(allocated, held.part_quantity, 0), rows.size)
    split = state.policies.split[book.orders.channel[rows]] != 0
    nodes_max, _ = state.terms.of(rows)
    fit = (left == 0) & (fenced == 0) & (units > 0) & split & (nodes_max == 0)
    return rows[fit & (np.cumsum(units * fit) <= WINDOW_UNITS_MAX)]


def _by_node(row: Any, node: Any, units: Any, shape: tuple[int, int]) -> Any:
    """int32 of a shape [row, node]: units added up."""
    flat = np.bincount(row * shape[1] + node, units, shape[0] * shape[1])
    return flat.astype(np.int32).reshape(shape)


def _free(state: State, rows: Any, nodes: Any) -> Any:
    """int64: units that nobody has at cells, less than 0 where too much is committed."""
    figures = state.cells.figures[rows, nodes]
    free = figures[..., Figure.ON_HAND].astype(np.int64)
    for taken in (Figure.UNAVAILABLE, Figure.ALLOCATED, Figure.RESERVED, Figure.SAFETY_STOCK):
        free -= figures[..., taken]
    return free


def _fingerprints(held: OpenOrders) -> Any:
    """uint64 [order]: a hash of the parts of each, to see whether anything of it has changed."""
    line = owners(offsets(held.part_count))
    out = np.zeros(held.line_count.size, np.uint64)
    with np.errstate(over="ignore"):
        place = (held.part.astype(np.int64) << 16) + (held.node << 4) + held.stage
        part = place.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + held.part_quantity.astype(np.uint64)
        part = (part ^ part >> np.uint64(29)) * np.uint64(0xBF58476D1CE4E5B9)
        np.add.at(out, owners(offsets(held.line_count))[line], part ^ part >> np.uint64(32))
    return out


def better(seen: Window, card: RateCard, fee: int, request_id: str = "", asked: bytes = b"") -> Reevaluate:
    """Plan a window anew: orders that each save more than `fee`, minor units a moved unit, and find room in this turn.

    What an order saves is exact: its shipments by the card before and after.
    """
    from engine.planning import Demand, plan  # here, since its kernels are a tenth of a second of every start
    from kernels.pricing import Costs

    shipment, unit = card.costs_over(seen.kilometres)
    dear = _DEAR * (1 + shipment.max(initial=0) + unit.max(initial=0))
    quantity = seen.held.sum(axis=1, dtype=np.int32)
    costs = Costs(np.where(seen.serves, shipment, shipment + dear), unit, dear)
    stock = seen.free.copy()
    np.add.at(stock, seen.sku, seen.held)
    found = plan(Demand(seen.first_line, seen.zone, seen.sku, quantity), costs, np.maximum(stock, 0)).parts
    given = found.node != NO_NODE
    line = owners(offsets(found.part_count))[given]
    placed = _by_node(line, found.node[given], found.quantity[given], seen.held.shape)
    order = owners(seen.first_line)
    before, after, leaves = (np.zeros((seen.order.size, seen.held.shape[1]), np.int64) for _ in range(3))
    for units, of_lines in ((before, seen.held), (after, placed), (leaves, np.maximum(seen.held - placed, 0))):
        np.add.at(units, order, of_lines)
    cost_before, cost_after = (
        ((units > 0) * shipment[seen.zone] + units * unit[seen.zone]).sum(axis=1) for units in (before, after)
    )
    saving = (
        np.floor(cost_before - cost_after - fee * leaves.sum(axis=1)).clip(-SAVING_MAX, SAVING_MAX).astype(np.int64)
    )
    whole = (after.sum(axis=1) == before.sum(axis=1)) & ~((after > before) & ~seen.serves[seen.zone]).any(axis=1)
    best = np.flatnonzero(whole & (saving > 0))
    best = best[np.argsort(-saving[best], kind="stable")]
    moves = [_moves_of(seen, int(one), placed) for one in best]
    lines, node, to_node, units = (
        np.array([move[i] for of_one in moves for move in of_one], dtype)
        for i, dtype in enumerate((np.int64, np.int16, np.int16, np.int32))
    )
    first = offsets(np.array([len(of_one) for of_one in moves], np.int64))
    cells = seen.sku[lines] * np.int64(seen.held.shape[1])
    turn = _with_room(seen.free.ravel(), np.arange(best.size), first, cells + node, cells + to_node, units)
    turn = turn[:MOVED_ORDERS_MAX]
    of, best = elements(first, turn), best[turn]
    return Reevaluate(
        request_id, asked, seen.order[best], seen.number[best], seen.seen[best], saving[best],
        offsets(np.diff(first)[turn]), seen.line[lines[of]], node[of], to_node[of], units[of],
    )  # fmt: skip


def _moves_of(seen: Window, order: int, placed: Any) -> list[tuple[int, int, int, int]]:
    """(line, node, new node, units): from nodes that lose units of a line to those that gain, in their order."""
    out = []
    for line in range(seen.first_line[order], seen.first_line[order + 1]):
        change = placed[line] - seen.held[line]
        gains = [[node, int(change[node])] for node in np.flatnonzero(change > 0).tolist()]
        for node in np.flatnonzero(change < 0).tolist():
            left = -int(change[node])
            while left:
                units = min(left, gains[0][1])
                out.append((line, node, gains[0][0], units))
                left, gains[0][1] = left - units, gains[0][1] - units
                gains = gains if gains[0][1] else gains[1:]
    return out


def reevaluate(commit: Commit, command: Reevaluate) -> Reevaluated:
    """Move the orders that are as they were when they were planned, and for whose units there is still room."""
    state = commit.state
    request_id = pa.array([command.request_id], pa.string())
    keys, new = commit.claim(NO_CHANNEL, Method.REEVALUATE, request_id)
    value = xxhash.xxh3_128_intdigest(command.asked)
    content = np.array([[value >> 64, value & 0xFFFFFFFFFFFFFFFF]], np.uint64)
    if not new[0]:
        return Reevaluated(*first_by_node(commit, content, keys))
    orders = _fitting(state, command)
    moves = elements(command.first_move, orders)
    node, to_node, units = command.node[moves], command.to_node[moves], command.quantity[moves]
    if moves.size:
        part = _parts_at(state, command.order[orders], command.line[moves], node)
        to = np.full(moves.size, Stage.ALLOCATED, np.uint8)
        columns = move_columns(state, part, to, units, Cause.REEVALUATED, to_node, np.zeros(moves.size, np.int32))
        commit.move(columns, claimed=False)
    left, arrived = (np.bincount(at, units, state.node_count).astype(np.int64) for at in (node, to_node))
    none = np.zeros(state.node_count, np.int64)
    saved = int(command.saving[orders].sum())
    told = by_node(commit, Method.REEVALUATE, request_id, content, saved, keys, (left, arrived, none, none))
    return Reevaluated(Reply.DONE, False, saved, *told)


def _with_room(free: Any, orders: Any, first_move: Any, leaves: Any, arrives: Any, units: Any) -> Any:
    """The orders for whose units there is room, int64, in their turn: one that finds none may find it where a later one
    has left. free: int64 [cell]; orders: to look at, in turn; leaves, arrives: cells, units [move]."""
    room, waiting = free.copy(), orders.tolist()
    taken: list[int] = []
    while waiting:
        stay = []
        for one in waiting:
            moves = slice(first_move[one], first_move[one + 1])
            np.subtract.at(room, arrives[moves], units[moves])
            if (room[arrives[moves]] < 0).any():
                np.add.at(room, arrives[moves], units[moves])
                stay.append(one)
                continue
            np.add.at(room, leaves[moves], units[moves])
            taken.append(one)
        if len(stay) == len(waiting):
            break
        waiting = stay
    return np.array(taken, np.int64)


def _fitting(state: State, command: Reevaluate) -> Any:
    """The orders to move, int64, in their turn."""
    book = state.book
    same = book.orders.number[command.order] == command.number  # no row of another order, or of none
    there = np.flatnonzero(same)
    same[there] = _fingerprints(read(state, command.order[there])) == command.seen[there]
    order = owners(command.first_move)
    sku = book.lines.sku[command.line]
    channel = book.orders.channel[command.order][order]
    bit = state.serving[channel, command.to_node // 64] >> (command.to_node % 64).astype(np.uint64) & np.uint64(1)
    allowed = (bit == 1) & (state.policies.split[channel] != 0) & (state.fences.head[sku] == NONE)
    same &= np.bincount(order, ~allowed, command.order.size) == 0
    row = state.cells.row_of[sku]
    cells, cell = np.unique(
        np.concatenate([row * NODES_MAX + node for node in (command.node, command.to_node)]), return_inverse=True
    )
    of = same[order]
    same[beyond(state.capacity, order[of], command.to_node[of], command.quantity[of])] = False
    free = _free(state, cells // NODES_MAX, cells % NODES_MAX)
    leaves, arrives = cell[: order.size], cell[order.size :]
    return _with_room(free, np.flatnonzero(same), command.first_move, leaves, arrives, command.quantity)


def _parts_at(state: State, orders: Any, line: Any, node: Any) -> Any:
    """int32 [move]: rows of the allocated parts of lines at nodes."""
    held = read(state, orders)
    allocated = held.stage == Stage.ALLOCATED
    of = held.line[owners(offsets(held.part_count))][allocated].astype(np.int64) * NODES_MAX + held.node[allocated]
    turn = np.argsort(of)
    return held.part[allocated][turn][np.searchsorted(of, line.astype(np.int64) * NODES_MAX + node, sorter=turn)]
