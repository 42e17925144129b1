"""Reallocation: reserved and allocated units leave nodes that are to be left, such as one that went down, for others.

    orders with units there, by age   ->   where else: nodes that they leave from anyway, then nearest   ->   moves

One commit moves the units of ORDERS_OF_A_COMMIT_MAX orders at most, so that nobody waits for long; who asks goes on
from the order where it ended. A move takes units from one node to the other at once: nothing is let go before what
replaces it holds, and what finds nothing stays.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import xxhash

from engine import schema
from engine.answers import Reallocated
from engine.commands import Reallocate
from engine.commit import Commit
from engine.outcomes import Cause, Method, Reply
from engine.ragged import offsets, owners
from engine.sourcing import draw, draw_in_turn, node_bits, piece, read
from engine.state import State
from engine.stock import NO_CHANNEL, make_short, move_columns
from kernels.columns import NO_NODE, Batch, Drawn, Head, Stage
from kernels.nearest import parts_max
from kernels.searching import leaving_parts
from kernels.stages import OpenOrders

ORDERS_OF_A_COMMIT_MAX = 1024
_TO_MOVE = (Stage.ALLOCATED, Stage.RESERVED)
_TO_SHIP = (Stage.ALLOCATED, Stage.PICKED, Stage.PACKED, Stage.RESERVED)
FIGURES = ("node", "left", "arrived", "stayed", "short")


class _Moves(NamedTuple):
    """Units and where they go, in the sequence in which they were sourced."""

    part: Any  # int32 [move] row
    node: Any  # int16 [move] NO_NODE: there is none for them
    quantity: Any  # int32 [move] units
    fenced: Any  # int32 [move] of them out of the channel's ring-fence there


def reallocate(commit: Commit, command: Reallocate) -> Reallocated:
    """Move what can be moved of the next orders; the first answer again where it was asked before.

    With `short`, units that no other node can give become short, or wait as back-orders where the channel has those.
    """
    state = commit.state
    request_id = pa.array([command.request_id], pa.string())
    keys, new = commit.claim(NO_CHANNEL, Method.REALLOCATE, request_id)
    if not new[0]:
        return Reallocated(*first_by_node(commit, _content(command), keys))
    rows, following = _next_orders(state, command)
    moves = _sourced(state, rows, command.nodes)
    figures = _figures(state, command, moves)
    moved = moves.node != NO_NODE
    if moved.any():
        to = state.book.parts.stage[moves.part[moved]]
        columns = move_columns(
            state, moves.part[moved], to, moves.quantity[moved], Cause.REALLOCATED, moves.node[moved],
            moves.fenced[moved],
        )  # fmt: skip
        commit.move(columns, claimed=True)
    if command.short and not moved.all():
        make_short(commit, moves.part[~moved], moves.quantity[~moved], Cause.REALLOCATED)
    told = by_node(commit, Method.REALLOCATE, request_id, _content(command), following, keys, figures)
    return Reallocated(Reply.DONE, False, following, *told)


def reallocated_parts_max(state: State, command: Reallocate) -> int:
    """Parts that the units of the next orders may become."""
    rows, _ = _next_orders(state, command)
    held = read(state, rows)
    return parts_max(held.part_quantity[_leaves(held, command.nodes)], state.node_count)


def rehearse(state: State, command: Reallocate) -> Reallocated:
    """What `reallocate` would answer now. state: a `rehearsal`, whose claims it takes; no node was added since."""
    rows, following = _next_orders(state, command)
    figures = _figures(state, command, _sourced(state, rows, command.nodes))
    return Reallocated(Reply.DONE, False, following, *_concerned(figures))


def _next_orders(state: State, command: Reallocate) -> tuple[Any, int]:
    """Rows of the next orders and reservations with units to move, the oldest first; and the number of the last one
    where there are more, else 0."""
    book = state.book
    parts = np.empty(state.head(Head.PARTS), np.int32)
    parts = parts[: leaving_parts(command.nodes, book, parts)]
    rows = np.unique(book.lines.order[book.parts.line[parts]])
    number = book.orders.number[rows]
    priority = state.policies.priority[book.orders.channel[rows]]
    wanted = (number > command.after) & (number <= command.upto) & (priority == command.priority)
    rows = rows[wanted][np.argsort(number[wanted])]
    if rows.size <= ORDERS_OF_A_COMMIT_MAX:
        return rows, 0
    rows = rows[:ORDERS_OF_A_COMMIT_MAX]
    return rows, int(book.orders.number[rows[-1]])


def _leaves(held: OpenOrders, is_left: Any) -> Any:
    """bool [part]: whether its units are to leave."""
    return np.isin(held.stage, _TO_MOVE) & (held.node != NO_NODE) & (is_left[held.node] != 0)


def _sourced(state: State, rows: Any, is_left: Any) -> _Moves:
    """Where units go, order after order: first to nodes that the order leaves from anyway, which saves a shipment, then
    by nearest. An order that may not be split goes whole to one node, the one that the rest of it leaves from where
    there is any; one of `nodes_max` nodes goes whole to as many as it may have beside those that the rest of it leaves
    from. Claims are taken.
    """
    book = state.book
    held = read(state, rows)
    leaves = _leaves(held, is_left)
    line = owners(offsets(held.part_count))
    order = owners(offsets(held.line_count))[line]
    nodes_max, _ = state.terms.of(rows)
    batch = Batch(
        book.orders.channel[rows], book.orders.postal_code[rows],
        offsets(np.bincount(order[leaves], minlength=rows.size)), held.sku[line[leaves]], held.part_quantity[leaves],
        nodes_max, (nodes_max > 0).astype(np.uint8),
    )  # fmt: skip
    spreads = (state.policies.split[batch.channel] != 0) & (nodes_max == 0)
    stays = ~leaves & (held.node != NO_NODE)
    stays &= np.where(spreads[order], np.isin(held.stage, _TO_SHIP), held.stage != Stage.CANCELLED)
    joined = node_bits(order[stays], held.node[stays], rows.size)
    left = np.flatnonzero(is_left)
    others = ~node_bits(np.zeros(left.size, np.int64), left, 1)[0]
    pieces = list(_in_turn(state, batch, joined, others))
    part = held.part[leaves]
    lines = [np.repeat(lines, drawn.part_count) for lines, drawn in pieces]
    if not pieces:
        return _Moves(part, np.empty(0, np.int16), np.empty(0, np.int32), np.empty(0, np.int32))
    of = np.concatenate(lines)
    node, quantity, fenced = (
        np.concatenate([getattr(drawn, name) for _, drawn in pieces]) for name in ("node", "quantity", "fenced")
    )
    return _Moves(part[of], node, quantity, fenced)


def _in_turn(state: State, batch: Batch, joined: Any, others: Any) -> Iterator[tuple[Any, Drawn]]:
    """What a batch draws in its sequence, piece by piece, each with its lines. joined: uint64 [order, word], nodes that
    the order leaves from anyway; others: uint64 [word], all that are not to be left."""
    joins = joined.any(axis=1)
    cuts = np.flatnonzero(joins[1:] | joins[:-1]) + 1
    for first, last in pairwise([0, *cuts.tolist(), joins.size] if joins.size else []):
        lines = np.arange(batch.first_line[first], batch.first_line[last])
        some = piece(batch, first, last)
        if batch.nodes_max[first] and joins[first]:
            yield lines, draw_in_turn(state, some, joined[first : first + 1], others)
            continue
        if not joins[first]:
            yield lines, draw(state, some, taken_before=True, only=others)
            continue
        drawn = draw(state, some, taken_before=True, only=joined[first] & others)
        missing = np.where(drawn.node == NO_NODE, drawn.quantity, 0)
        missing = np.bincount(owners(offsets(drawn.part_count)), missing, lines.size).astype(np.int32)
        if state.policies.split[batch.channel[first]] == 0 or not missing.any():
            yield lines, drawn
            continue
        yield lines, _without_short(drawn)
        lines = lines[missing > 0]
        rest = some._replace(first_line=np.array([0, lines.size]), sku=batch.sku[lines], quantity=missing[missing > 0])
        yield lines, draw(state, rest, taken_before=True, only=others)


def _without_short(drawn: Drawn) -> Drawn:
    """The parts that have a node."""
    given = drawn.node != NO_NODE
    line = owners(offsets(drawn.part_count))[given]
    return drawn._replace(
        part_count=np.bincount(line, minlength=drawn.part_count.size).astype(np.int32), node=drawn.node[given],
        quantity=drawn.quantity[given], fenced=drawn.fenced[given], metres=drawn.metres[given],
    )  # fmt: skip


def _figures(state: State, command: Reallocate, moves: _Moves) -> tuple[Any, ...]:
    """int64 [node] units that left, arrived, stayed, became short."""
    nodes, units = state.node_count, moves.quantity
    moved = moves.node != NO_NODE
    at = state.book.parts.node[moves.part]
    left, stuck = (np.bincount(at[rows], units[rows], nodes).astype(np.int64) for rows in (moved, ~moved))
    arrived = np.bincount(moves.node[moved], units[moved], nodes).astype(np.int64)
    none = np.zeros(nodes, np.int64)
    return (left, arrived, none, stuck) if command.short else (left, arrived, stuck, none)


def _content(command: Reallocate) -> Any:
    """128 bits over what is asked; where it ends does not count, since orders come while it goes on."""
    said = np.flatnonzero(command.nodes).tobytes() + bytes([command.short])
    said += np.array([command.priority, command.after], np.int64).tobytes()
    value = xxhash.xxh3_128_intdigest(said)
    return np.array([[value >> 64, value & 0xFFFFFFFFFFFFFFFF]], np.uint64)


# Answers by node, which engine/reevaluation.py gives too


def by_node(
    commit: Commit, method: Method, request_id: Any, content: Any, quantity: int, keys: Any, figures: tuple[Any, ...]
) -> list[Any]:
    """Remember an answer; the columns of FIGURES, for the nodes concerned."""
    columns = _concerned(figures)
    done = np.array([Reply.DONE], np.uint8)
    place = commit.answer(method, NO_CHANNEL, request_id, content, done, np.array([quantity]), keys)
    told = dict(zip(FIGURES, columns, strict=True))
    commit.add(schema.REALLOCATED, {"answer": np.full(columns[0].size, place, np.int32)} | told)
    return columns


def _concerned(figures: tuple[Any, ...]) -> list[Any]:
    node = np.flatnonzero(np.any(figures, axis=0))
    return [node.astype(np.int16), *(figure[node] for figure in figures)]


def first_by_node(commit: Commit, content: Any, keys: Any) -> tuple[Any, ...]:
    """The first answer to a repeated key: reply, whether it is one, quantity, the columns of FIGURES."""
    location = int(commit.first_locations(keys)[0])
    first = commit.first_answers.reply_at(location)
    reply = Reply.DONE
    if first is None:
        reply = Reply.ANSWER_ARCHIVED
    elif (first["content_high"], first["content_low"]) != (content[0, 0], content[0, 1]):
        reply = Reply.KEY_CONFLICT
    if first is None or reply is not Reply.DONE:
        return reply, False, 0, *_concerned((np.zeros(0, np.int64),) * 4)
    told = commit.first_answers.reallocated_at(location)
    assert told is not None, "what an answer says of nodes is in its record"
    return reply, True, int(first["quantity"]), *(told[name] for name in FIGURES)
