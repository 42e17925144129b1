"""Stock commands: receipts, counts, adjustments. What a count takes away is released, what a receipt brings serves
back-orders.

Both in the same commit, so that ATS never rises in between (RULES.md, "Stock").
"""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import xxhash

from engine import schema
from engine.answers import Replies
from engine.commands import MoveStock
from engine.commit import Commit, remember
from engine.outcomes import Cause, Method, MovementKind, Namespace, Reply
from engine.ragged import offsets, owners
from engine.sourcing import draw_in_turn, node_bits, read
from engine.state import State
from engine.supply import take_received
from kernels.columns import NO_NODE, NONE, UNITS_MAX, Batch, Figure, Head, OnShort, OrderKind, Stage
from kernels.searching import committed_parts, waiting_orders
from kernels.stages import OpenOrders

NO_CHANNEL = np.array([-1], np.int16)
FIGURE_OF = {
    MovementKind.RECEIVED: Figure.ON_HAND,
    MovementKind.COUNTED: Figure.ON_HAND,
    MovementKind.ADJUSTED: Figure.ON_HAND,
    MovementKind.RETURNED: Figure.ON_HAND,
    MovementKind.UNAVAILABLE: Figure.UNAVAILABLE,
    MovementKind.SAFETY_STOCK: Figure.SAFETY_STOCK,
}
CAUSE_OF = {
    MovementKind.RECEIVED: Cause.RECEIPT,
    MovementKind.COUNTED: Cause.COUNT,
    MovementKind.ADJUSTED: Cause.ADJUSTMENT,
    MovementKind.RETURNED: Cause.RETURN,
    MovementKind.UNAVAILABLE: Cause.ADJUSTMENT,
    MovementKind.SAFETY_STOCK: Cause.ADJUSTMENT,
}
PARTS_OF_A_MOVE_MAX = 2  # one that is split, and one that is made before another is freed
ABSOLUTE = (MovementKind.COUNTED, MovementKind.SAFETY_STOCK)
_FIGURES = np.array([FIGURE_OF.get(MovementKind(k), 0) if k else 0 for k in range(len(MovementKind) + 1)], np.uint8)
_CAUSES = np.array([CAUSE_OF.get(MovementKind(k), 0) if k else 0 for k in range(len(MovementKind) + 1)], np.uint8)


class _Lost(NamedTuple):
    """Units of orders that a count took away."""

    line: Any  # int32 [part] row
    units: Any  # int32 [part]


def lost_of(state: State, line: Any, units: Any) -> _Lost:
    """Units that lines are about to lose, those of them that do not wait by themselves then. line: rows."""
    order = state.book.lines.order[line]
    short = ~_is_back_ordered(state, order)
    return _Lost(line[short], units[short])


_NONE_LOST = _Lost(np.empty(0, np.int32), np.empty(0, np.int32))


def move_stock(commit: Commit, command: MoveStock) -> Replies:
    """Take one statement or movement, wholly or not at all."""
    state = commit.state
    request_id = pa.array([command.request_id], pa.string())
    keys, new = commit.claim(NO_CHANNEL, Method.MOVE_STOCK, request_id)
    reply, quantity = np.array([Reply.DONE], np.uint8), np.zeros(1, np.int64)
    if new[0]:
        movements, refusal = _movements(state, command)
        if refusal is None:
            quantity[0] = movements["sku"].size
            _take(commit, command, movements)
        else:
            reply[0] = refusal
    content = _content(command)
    return remember(commit, Method.MOVE_STOCK, NO_CHANNEL, request_id, keys, content, new, reply, quantity)


def _content(command: MoveStock) -> Any:
    hashed = xxhash.xxh3_128()
    for column in (command.sku, command.node, command.kind, command.quantity):
        hashed.update(np.ascontiguousarray(column).tobytes())
    hashed.update(np.array([command.source, command.counted_at, command.cause, command.reference], np.int64).tobytes())
    value = hashed.intdigest()
    return np.array([[value >> 64, value & 0xFFFFFFFFFFFFFFFF]], np.uint64)


def _movements(state: State, command: MoveStock) -> tuple[dict[str, Any], Reply | None]:
    """The changes that a command comes to; those of nothing are left out. Or why it is refused."""
    if command.source >= 0 and command.counted_at < state.counted_at.get(command.source, -(1 << 62)):
        return {}, Reply.STATEMENT_TOO_OLD
    kind = command.kind
    figure = _FIGURES[kind]
    rows = state.cells.row_of[command.sku]
    held = np.where(rows == NONE, 0, state.cells.figures[rows, command.node, figure]).astype(np.int64)
    change = command.quantity.astype(np.int64)
    cell = (command.sku.astype(np.int64) << 12) | (command.node.astype(np.int64) << 4) | figure
    absolute = np.isin(kind, ABSOLUTE)
    if absolute.any():  # the last figure given for a cell counts
        last = np.zeros(cell.size, bool)
        last[cell.size - 1 - np.unique(cell[::-1], return_index=True)[1]] = True
        change = np.where(absolute, np.where(last, change - held, 0), change)
    unique, owner = np.unique(cell, return_inverse=True)
    after = np.zeros(unique.size, np.int64)
    after[owner] = held
    np.add.at(after, owner, change)
    low = np.where(unique & 15 == Figure.ON_HAND, -UNITS_MAX, 0)
    if (after < low).any() or (after > UNITS_MAX).any():
        return {}, Reply.FIGURE_OUT_OF_RANGE
    keep = change != 0
    cause = np.full(kind.size, command.cause, np.uint8) if command.cause else _CAUSES[kind]
    columns = {
        "sku": command.sku, "node": command.node, "kind": kind, "figure": figure, "quantity": change.astype(np.int32),
        "cause": cause, "reference": np.full(kind.size, command.reference, np.int64),
    }  # fmt: skip
    return {name: np.ascontiguousarray(column[keep]) for name, column in columns.items()}, None


def _take(commit: Commit, command: MoveStock, movements: dict[str, Any]) -> None:
    state = commit.state
    if command.source >= 0:
        source = np.array([command.source], np.int32)
        commit.add(schema.STATEMENTS, {"source": source, "counted_at": np.array([command.counted_at], np.int64)})
    if movements["sku"].size == 0:
        return
    commit.add(schema.MOVEMENTS, movements)
    if command.reference and state.expected.is_used:
        take_received(commit, movements)
    on_hand = movements["figure"] == Figure.ON_HAND
    less = on_hand & (movements["quantity"] < 0)
    if less.any():
        release_over_committed(commit, movements["sku"][less], movements["node"][less])
    more = np.where(on_hand, movements["quantity"], -movements["quantity"]) > 0  # of the other figures, less is more
    if more.any() and state.head(Head.WAITING_PARTS):
        serve_back_orders(commit, np.unique(movements["sku"][more]), Cause.RECEIPT)


def release_over_committed(commit: Commit, sku: Any, node: Any) -> None:
    """Where less is on hand than is committed: release newest reservations, then newest allocations not yet picked."""
    state, book = commit.state, commit.state.book
    rows = state.cells.row_of[sku]
    deficit = state.cells.figures[rows, node, Figure.DEFICIT]
    committed = state.cells.figures[rows, node, Figure.ALLOCATED] + state.cells.figures[rows, node, Figure.RESERVED]
    is_over = (deficit > 0) & (committed > 0)
    if not is_over.any():
        return
    over = np.zeros(state.cells.available[: state.head(Head.CELL_ROWS)].shape, np.uint8)
    over[rows[is_over], node[is_over]] = 1
    parts = np.empty(state.head(Head.PARTS), np.int32)
    parts = parts[: committed_parts(over, book, state.cells, parts)]
    parts = _newest_first(state, parts)
    left = {(int(r), int(n)): int(d) for r, n, d in zip(rows[is_over], node[is_over], deficit[is_over], strict=True)}
    taken: list[tuple[int, int]] = []
    for part in parts:
        cell = (int(state.cells.row_of[book.lines.sku[book.parts.line[part]]]), int(book.parts.node[part]))
        units = min(left[cell], int(book.parts.quantity[part]))
        if units:
            left[cell] -= units
            taken.append((int(part), units))
    if taken:
        part_rows, units_taken = (np.array(column, np.int32) for column in zip(*taken, strict=True))
        lines = book.parts.line[part_rows]
        is_order = book.orders.kind[book.lines.order[lines]] == OrderKind.ORDER
        short = is_order & ~_is_back_ordered(state, book.lines.order[lines])
        lost = _Lost(lines[short], units_taken[short])  # a reservation is sourced again when it is confirmed
        make_short(commit, part_rows, units_taken, Cause.COUNT)
        serve_back_orders(commit, np.unique(book.lines.sku[lines[is_order]]), Cause.COUNT, lost)


def _newest_first(state: State, parts: Any) -> Any:
    """Parts at cells with a deficit, in the sequence in which they are released: those that the deficits may reach."""
    book, nodes = state.book, state.cells.figures.shape[1]
    line = book.parts.line[parts]
    order, row, node = book.lines.order[line], state.cells.row_of[book.lines.sku[line]], book.parts.node[parts]
    deficit = state.cells.figures[row, node, Figure.DEFICIT]
    cell = row.astype(np.int64) * nodes + node
    is_order = book.orders.kind[order] == OrderKind.ORDER
    by_cell = np.lexsort((-book.orders.number[order], is_order, cell))
    units = book.parts.quantity[parts[by_cell]].astype(np.int64)
    newer = np.cumsum(units) - units  # units of the parts before it
    begins_cell, begins_order = (np.diff(key[by_cell], prepend=-1) != 0 for key in (cell, order))
    starts_at, of_order = (
        np.maximum.accumulate(np.where(begins, np.arange(units.size), 0))
        for begins in (begins_cell, begins_cell | begins_order)
    )
    reached = by_cell[newer[of_order] - newer[starts_at] < deficit[by_cell]]
    position = _positions(state, order[reached], line[reached])
    return parts[reached[np.lexsort((position, -book.orders.number[order[reached]], is_order[reached]))]]


def make_short(commit: Commit, part: Any, units: Any, cause: Cause, actor: int = NONE) -> None:
    """Units of parts lose their node: they become short, or wait where the channel has back-orders. actor: the word of
    who did it."""
    book, state = commit.state.book, commit.state
    order = book.lines.order[book.parts.line[part]]
    to = np.where(_is_back_ordered(state, order), Stage.BACK_ORDERED, Stage.SHORT).astype(np.uint8)
    columns = move_columns(state, part, to, units, cause)
    if actor != NONE:
        columns["actor"] = np.full(part.size, actor, np.int16)
    commit.move(columns, claimed=False)


def _is_back_ordered(state: State, order: Any) -> Any:
    """bool: whether units that orders lose wait. order: rows."""
    orders = state.book.orders
    return (orders.kind[order] == OrderKind.ORDER) & (state.on_short[orders.channel[order]] == OnShort.BACK_ORDER)


def move_columns(
    state: State, part: Any, to: Any, units: Any, cause: Cause, node: Any = None, fenced: Any = None
) -> Any:
    """The journal's columns of moves out of parts as they stand now. node, fenced: where the units get a node."""
    book = state.book
    line = book.parts.line[part]
    order = book.lines.order[line]
    zeros = np.zeros(part.size, np.int32)
    stage, was_at = book.parts.stage[part], book.parts.node[part]
    at = was_at if node is None else node
    from_node = was_at if (stage == to).any() else None
    metres = zeros if node is None else state.places.metres[book.orders.postal_code[order], node]
    return {
        "part": part, "to": to, "quantity": units, "node": at, "fenced": zeros if fenced is None else fenced,
        "metres": metres, "cause": np.full(part.size, cause, np.uint8), "number": book.orders.number[order],
        "line": _positions(state, order, line), "from": stage, "sku": book.lines.sku[line],
        "from_node": from_node,
    }  # fmt: skip


def _positions(state: State, order: Any, line: Any) -> Any:
    """The position of lines in their orders, from 1."""
    book = state.book
    out = np.empty(line.size, np.int32)
    for i, (row, wanted) in enumerate(zip(order, line, strict=True)):
        at, position = book.orders.first[row], 1
        while at != wanted:
            at, position = book.lines.next[at], position + 1
        out[i] = position
    return out


def serve_back_orders(commit: Commit, sku: Any, cause: Cause, lost: _Lost = _NONE_LOST) -> None:
    """Source what waits for these SKUs anew, by channel priority, then age: what nearest gives it becomes allocated.

    An order keeps to its terms with what it has already: one that may not be split gets its units only where the others
    of it leave, one that is to be complete gets all that waits or nothing. lost: units that have just become short wait
    with the others, this once.
    """
    state, book = commit.state, commit.state.book
    rows = np.empty(state.head(Head.WAITING_PARTS), np.int32)
    rows = np.unique(np.append(rows[: waiting_orders(sku, book, rows)], book.lines.order[lost.line]))
    if rows.size == 0:
        return
    channel = book.orders.channel[rows]
    rows = rows[np.lexsort((book.orders.number[rows], state.policies.priority[channel]))]
    held = read(state, rows)
    line_of = owners(offsets(held.part_count))
    lost_units = np.where(held.stage == Stage.SHORT, _units_lost(held.line, lost)[line_of], 0)
    waiting = (held.stage == Stage.BACK_ORDERED) | (lost_units > 0)
    units = np.where(lost_units > 0, lost_units, held.part_quantity).astype(np.int32)
    line_of, part, units = line_of[waiting], held.part[waiting], units[waiting]
    order = owners(offsets(held.line_count))[line_of]
    batch = Batch(
        book.orders.channel[rows], book.orders.postal_code[rows], offsets(np.bincount(order, minlength=rows.size)),
        held.sku[line_of], units, *state.terms.of(rows),
    )  # fmt: skip
    drawn = draw_in_turn(state, batch, _leaves_from(rows, held))
    waiting_part = np.repeat(part, drawn.part_count)
    got = drawn.node != NO_NODE
    if got.any():
        to = np.full(int(got.sum()), Stage.ALLOCATED, np.uint8)
        columns = move_columns(
            state, waiting_part[got], to, drawn.quantity[got], cause, drawn.node[got], drawn.fenced[got]
        )
        commit.move(columns, claimed=True)


def serve_new_day(commit: Commit, begins: Any) -> None:
    """Source anew what waits for SKUs that nodes have whose day begins, bool [node]."""
    sku = waiting_for(commit.state, begins)
    if sku.size:
        serve_back_orders(commit, sku, Cause.NEW_DAY)


def waiting_for(state: State, nodes: Any, whatever_is_there: bool = False) -> Any:
    """SKUs that units wait for, and that some of these nodes, bool [node], have available; or all that have stock
    figures."""
    if not nodes.any() or state.head(Head.WAITING_PARTS) == 0:
        return np.empty(0, np.int32)
    sku = np.flatnonzero(state.book.waiting[: len(state.names[Namespace.SKU])] != NONE).astype(np.int32)
    sku = sku[state.cells.row_of[sku] != NONE]
    if whatever_is_there:
        return sku
    available = state.cells.available[state.cells.row_of[sku]]
    return sku[(available[:, np.flatnonzero(nodes)] > 0).any(axis=1)]


def _units_lost(line: Any, lost: _Lost) -> Any:
    """int64 [line]: units that each of these lines has lost."""
    lines, of = np.unique(lost.line, return_inverse=True)
    units = np.append(np.bincount(of, lost.units, lines.size).astype(np.int64), 0)
    return units[np.where(np.isin(line, lines), np.searchsorted(lines, line), lines.size)]


def lost_max(state: State, command: MoveStock) -> int:
    """Units that a statement or movement may take away from orders."""
    rows = state.cells.row_of[command.sku]
    figures = np.where((rows == NONE)[:, None], 0, state.cells.figures[rows, command.node]).astype(np.int64)
    to_pick = figures[:, Figure.ALLOCATED] - figures[:, Figure.PICKED]
    beyond = figures[:, Figure.ALLOCATED] + figures[:, Figure.RESERVED] - command.quantity
    lost = np.where(command.kind == MovementKind.COUNTED, np.clip(beyond, 0, to_pick), to_pick * (command.quantity < 0))
    return int(lost.sum())


def served_max(state: State, sku: Any, units: int, lost: int = 0) -> int:
    """Parts that waiting units may become where units come: no more than units on hand, and one at each node; or as
    many as are lost."""
    waiting = state.head(Head.WAITING_PARTS)
    if waiting == 0 and lost == 0:
        return 0
    rows = state.cells.row_of[np.unique(sku)]
    on_hand = state.cells.figures[rows[rows != NONE], :, Figure.ON_HAND]
    return min(int(np.maximum(on_hand, 0).sum(dtype=np.int64)) + units, waiting * state.node_count + lost)


def _leaves_from(rows: Any, held: OpenOrders) -> Any:
    """uint64 [order, word]: the nodes that orders leave from."""
    order = owners(offsets(held.line_count))[owners(offsets(held.part_count))]
    there = (held.node != NO_NODE) & (held.stage != Stage.CANCELLED)
    return node_bits(order[there], held.node[there], rows.size)
