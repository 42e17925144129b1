"""Acts on units of orders: picked, packed, put back, short, shipped, taken back, cancelled; each wholly or not at all.

Which act takes units from which stages is data in engine/lifecycle.py; kernels/stages.py carries them out.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine import schema
from engine.answers import Replies
from engine.apply import hash_keys
from engine.commands import ActOnUnits
from engine.commit import Commit, find_locations, remember
from engine.lifecycle import CHANGE_TABLE, SOURCES, TARGET, Action
from engine.outcomes import Cause, Method, MovementKind, Reply
from engine.ragged import offsets, owners
from engine.sourcing import read
from engine.state import State
from engine.stock import (
    PARTS_OF_A_MOVE_MAX,
    lost_of,
    make_short,
    release_over_committed,
    serve_back_orders,
    served_max,
)
from kernels.columns import NO_NODE, NONE, Figure, Head, OrderKind, Stage
from kernels.stages import Acted, Acts, Moves, OpenOrders, act_on_units


def _open_orders(state: State, command: ActOnUnits) -> tuple[Any, Any]:
    """The rows of the orders that requests name, and whether they are there."""
    locations, rows = find_locations(state, hash_keys(state, command.channel, Method.PLACE_ORDER, command.order_id))
    orders = state.book.orders
    return rows, (rows != NONE) & (orders.kind[rows] == OrderKind.ORDER) & (orders.location[rows] == locations)


def acted_parts_max(state: State, command: ActOnUnits) -> int:
    """Parts that acts may need: those moved to, those put back and then released and served again, those that returned
    units serve."""
    rows, is_open = _open_orders(state, command)
    for_sale = is_open & (command.action == Action.RETURN) & (command.restock == 1)
    put_back = is_open & np.isin(command.action, (Action.UNPICK, Action.SHORT_PICK))
    parts = PARTS_OF_A_MOVE_MAX * rows.size
    if put_back.any():
        held = read(state, rows[put_back])
        cells = state.cells.row_of[np.unique(held.sku)]
        lost = state.cells.figures[cells[cells != NONE], :, Figure.DEFICIT].sum(dtype=np.int64)
        parts += held.part.size + served_max(state, held.sku, 0, int(lost))
    if for_sale.any():
        held = read(state, rows[for_sale])
        parts += served_max(state, held.sku, int(held.quantity.sum(dtype=np.int64)))
    return parts


def act_on(commit: Commit, command: ActOnUnits) -> Replies:
    """Pick, pack, ship, deliver, take back or cancel units: each request wholly or not at all."""
    state, count = commit.state, len(command.request_id)
    keys, new = commit.claim(command.channel, Method.ACT_ON_UNITS, command.request_id)
    content = _act_content(state, command)
    rows, is_open = _open_orders(state, command)
    reply = np.where(is_open, Reply.DONE, Reply.UNKNOWN_ORDER).astype(np.uint8)
    by_shipment = is_open & np.isin(command.action, _BY_SHIPMENT) & _has_life(state, rows)
    reply[by_shipment] = Reply.SHIPS_BY_SHIPMENT
    quantity = np.zeros(count, np.int64)
    doing = np.flatnonzero(new & is_open & ~by_shipment)
    for some in _runs(doing, command.action[doing] == Action.SHORT_PICK):
        held = read(state, rows[some])
        moved = _act(commit, command, some, rows[some], held)
        quantity[some] = np.maximum(moved, 0)
        reply[some[moved < 0]] = Reply.NOT_ENOUGH_UNITS
        left = (moved < 0) & (command.action[some] == Action.CANCEL) & _has_left(command, some, held)
        reply[some[left]] = Reply.ALREADY_SHIPPED
        reply[some[command.line[some] > held.line_count]] = Reply.UNKNOWN_LINE
    return remember(
        commit, Method.ACT_ON_UNITS, command.channel, command.request_id, keys, content, new, reply, quantity
    )


_BY_SHIPMENT = (Action.SHIP, Action.DELIVER, Action.RETURN)


def _has_life(state: State, rows: Any) -> Any:
    """bool: orders that have prices or documents, whose units leave and come back by these."""
    return (state.book.money.currency[rows] != 0) | (state.book.documents.of_order[rows] != 0)


def _runs(rows: Any, alone: Any) -> list[Any]:
    """Rows in pieces, in their order: those that are done alone by themselves."""
    if not alone.any():
        return [rows] if rows.size else []
    ends = np.flatnonzero(alone[1:] | alone[:-1]) + 1
    return [piece for piece in np.split(rows, ends) if piece.size]


def _has_left(command: ActOnUnits, some: Any, held: OpenOrders) -> Any:
    """bool: whether units of the lines that acts name are on their way, at the customer's or back."""
    order, position = lines_of(held)
    line = owners(offsets(held.part_count))
    gone = np.isin(held.stage, (Stage.SHIPPED, Stage.DELIVERED, Stage.RETURNED))
    named = command.line[some][order[line]]
    found = np.zeros(some.size, bool)
    found[order[line][gone & ((named == 0) | (named == position[line]))]] = True
    return found


def lines_of(held: OpenOrders) -> tuple[Any, Any]:
    """The order of each line, and its position in it, from 1."""
    first = offsets(held.line_count)
    order = owners(first)
    return order, np.arange(order.size) - first[order] + 1


def _pick_short(commit: Commit, command: ActOnUnits, at: int, held: OpenOrders) -> Any:
    """A picker did not find units: there are fewer on hand, and theirs are sourced again, elsewhere if need be."""
    state = commit.state
    _, position = lines_of(held)
    line = owners(offsets(held.part_count))
    fits = (held.stage == Stage.ALLOCATED) & ((command.line[at] == 0) | (position[line] == command.line[at]))
    fits &= (command.node[at] == NO_NODE) | (held.node == command.node[at])
    there = np.where(fits, held.part_quantity, 0).astype(np.int64)
    wanted = int(command.quantity[at]) or int(there.sum())
    if wanted == 0 or there.sum() < wanted:
        return np.array([-1], np.int32)
    units = np.diff(np.minimum(np.cumsum(there), wanted), prepend=0)
    rows = np.flatnonzero(units)
    part, units = held.part[rows], units[rows].astype(np.int32)
    sku, node, lines = held.sku[line[rows]], held.node[rows].copy(), held.line[line[rows]]
    lost = lost_of(state, lines, units)
    number = int(state.book.orders.number[state.book.lines.order[lines[0]]])
    make_short(commit, part, units, Cause.SHORT_PICK, NONE if command.actor is None else int(command.actor[at]))
    count = rows.size
    columns = {
        "sku": sku, "node": node, "kind": np.full(count, MovementKind.ADJUSTED, np.uint8),
        "figure": np.full(count, Figure.ON_HAND, np.uint8), "quantity": -units,
        "cause": np.full(count, Cause.SHORT_PICK, np.uint8), "reference": np.full(count, number, np.int64),
    }  # fmt: skip
    commit.add(schema.MOVEMENTS, columns)
    release_over_committed(commit, sku, node)
    serve_back_orders(commit, np.unique(sku), Cause.SHORT_PICK, lost)
    return np.array([wanted], np.int32)


def _act_content(state: State, command: ActOnUnits) -> Any:
    """128 bits over what a request says: the order, and its figures as the domain of the hash."""
    order = hash_keys(state, command.channel, Method.PLACE_ORDER, command.order_id)
    figures = (
        command.line.astype(np.uint64) << np.uint64(46)
        | (command.node.astype(np.int64) + 1).astype(np.uint64) << np.uint64(36)
        | command.action.astype(np.uint64) << np.uint64(33)
        | command.restock.astype(np.uint64) << np.uint64(31)
        | command.quantity.astype(np.uint64)
    )
    with np.errstate(over="ignore"):
        return order ^ (figures * np.uint64(0x9E3779B97F4A7C15))[:, None]


def _act(commit: Commit, command: ActOnUnits, doing: Any, rows: Any, held: OpenOrders) -> Any:
    """Let the kernel carry the acts out; journal the moves, and the movements of returned units."""
    if command.action[doing[0]] == Action.SHORT_PICK:
        return _pick_short(commit, command, int(doing[0]), held)
    acts = Acts(
        np.ascontiguousarray(rows, np.int32), command.line[doing], command.node[doing], command.action[doing],
        command.quantity[doing],
    )  # fmt: skip
    actor = None if command.actor is None else command.actor[doing]
    moved, columns, act = _carry_out(commit, acts, held, Cause.ORDER, actor)
    if act.size:
        _after_acts(commit, command.action[doing][act], command.restock[doing][act], columns)
    return moved


def _carry_out(commit: Commit, acts: Acts, held: OpenOrders, cause: Cause, actor: Any) -> tuple[Any, Any, Any]:
    """Units that each act moved, or -1; the moves as the journal has them; the act of each."""
    state, count = commit.state, acts.order.size
    room = 2 * int(held.part_count.sum()) + count
    moves = Moves(
        np.empty(room, np.int32), np.empty(room, np.uint8), np.empty(room, np.int32), np.empty(room, np.int16),
        np.empty(room, np.int32),
    )  # fmt: skip
    acted = Acted(
        moves, np.empty(room, np.int64), np.empty(room, np.int32), np.empty(room, np.uint8), np.empty(room, np.int32),
        np.empty(room, np.int16), np.empty(room, np.int32),
    )  # fmt: skip
    moved = np.empty(count, np.int32)
    made = act_on_units(
        acts, SOURCES, TARGET, commit.stamp, CHANGE_TABLE, state.book, state.cells, state.fences, acted, moved
    )
    columns: dict[str, Any] = {
        "part": moves.part[:made], "to": moves.to[:made], "quantity": moves.quantity[:made],
        "node": acted.at[:made], "fenced": moves.fenced[:made], "metres": np.zeros(made, np.int32),
        "cause": np.full(made, cause, np.uint8), "number": acted.number[:made], "line": acted.line[:made],
        "from": acted.source[:made], "sku": acted.sku[:made],
    }  # fmt: skip
    if made:
        if actor is not None and (actor != NONE).any():
            columns["actor"] = actor[acted.act[:made]]
        commit.moved(columns)
    return moved, columns, acted.act[:made]


def _after_acts(commit: Commit, action: Any, restock: Any, moves: Mapping[str, Any]) -> None:
    """What follows from units that moved. action, restock: of each move."""
    back = (action == Action.RETURN) & (restock > 0)
    if back.any():
        _restock(commit, moves, back, restock == 2)
    put_back = moves["to"] == Stage.ALLOCATED
    if put_back.any():  # units may come back to a shelf that was counted without them
        release_over_committed(commit, moves["sku"][put_back], moves["node"][put_back])
    for_sale = back & (restock == 1)
    if for_sale.any() and commit.state.head(Head.WAITING_PARTS):
        serve_back_orders(commit, np.unique(moves["sku"][for_sale]), Cause.RETURN)


def _restock(commit: Commit, moves: Mapping[str, Any], back: Any, quarantine: Any) -> None:
    """Returned units come on hand again; those to be looked at are unavailable as well."""
    groups: Sequence[tuple[Any, Figure, MovementKind]] = (
        (back, Figure.ON_HAND, MovementKind.RETURNED),
        (back & quarantine, Figure.UNAVAILABLE, MovementKind.UNAVAILABLE),
    )
    for rows, figure, kind in groups:
        count = int(rows.sum())
        if count:
            columns = {
                "sku": moves["sku"][rows], "node": moves["node"][rows], "kind": np.full(count, kind, np.uint8),
                "figure": np.full(count, figure, np.uint8), "quantity": moves["quantity"][rows],
                "cause": np.full(count, Cause.RETURN, np.uint8), "reference": moves["number"][rows],
            }  # fmt: skip
            commit.add(schema.MOVEMENTS, columns)


def cancel_open(commit: Commit, rows: Any, cause: Cause) -> None:
    """Cancel all that is open of orders. rows: of the book."""
    count = rows.size
    acts = Acts(
        np.ascontiguousarray(rows, np.int32), np.zeros(count, np.int32), np.full(count, NO_NODE, np.int16),
        np.full(count, Action.CANCEL, np.uint8), np.zeros(count, np.int32),
    )  # fmt: skip
    _carry_out(commit, acts, read(commit.state, rows), cause, None)
