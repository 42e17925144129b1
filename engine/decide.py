"""Commands against the state: what to allocate, release, move; answers out, tables into the commit.

Each command is decided upon the state as the commands before it left it. Checks come first and answer; from then on
nothing can fail. Stock, catalogue and retirement are in engine/stock.py and engine/upkeep.py.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from engine import money, schema
from engine.answers import (
    NULL_I64,
    OrderAnswers,
    Replies,
    from_record,
    in_order,
    joined,
    record_orders,
    same_content,
    without_order,
)
from engine.apply import PLACE_BITS, PLACE_MASK, hash_keys, held_at_nodes
from engine.commands import FROZEN, LINE_OPTIONS, ORDER_OPTIONS, Confirm, PlaceOrders, Release, Reserve
from engine.commit import Commit, find_locations, remember
from engine.outcomes import Cause, Method, Reply
from engine.ragged import elements, offsets, owned, owners, rows_of
from engine.reasons import LINE_REASONS, ORDER_REASONS, of_lines, of_orders
from engine.sourcing import draw, fitting, planned, read
from engine.state import State
from engine.terms import TERMS, asked
from kernels.columns import NONE, Batch, Drawn, OrderKind, Outcome, Rule, Stage
from kernels.expiry import watch_expiries
from kernels.keys import ABSENT
from kernels.nearest import empty_drawn, parts_max
from kernels.options import FEW
from kernels.placing import Placed, empty_placed, number_orders, place, place_few
from kernels.stages import (
    lend_reservation,
    refresh_cells,
)


def place_orders(commit: Commit, command: PlaceOrders) -> OrderAnswers:
    """Allocate orders, or reserve for carts, in their order; repeats get the first answer."""
    method = Method.RESERVE if isinstance(command, Reserve) else Method.PLACE_ORDER
    keys, new = commit.claim(command.channel, method, command.order_id)
    if new.all():
        return _enter(commit, command, keys)
    fresh, again = np.flatnonzero(new), np.flatnonzero(~new)
    pieces, rows = [], []
    if fresh.size:
        pieces, rows = [_enter(commit, command.take(fresh), keys[fresh])], [fresh]
    pieces.append(_first_answers(commit, command, again, commit.first_locations(keys[again])))
    return in_order(pieces, [*rows, again])


def answered_before(state: State, command: PlaceOrders) -> Any:
    """Which orders or carts have an answer already, bool [order]: a repeat changes nothing and takes no memory."""
    method = Method.RESERVE if isinstance(command, Reserve) else Method.PLACE_ORDER
    return find_locations(state, hash_keys(state, command.channel, method, command.order_id))[0] != ABSENT


def _first_answers(commit: Commit, command: PlaceOrders, rows: Any, locations: Any) -> OrderAnswers:
    """Answers to repeats: the first one where the content is the same, a conflict where it is not."""
    pieces: list[OrderAnswers] = []
    taken: list[Any] = []
    sequences = locations >> PLACE_BITS
    for sequence in np.unique(sequences):
        record = commit.first_answers.orders_of(int(sequence))
        of_it = np.flatnonzero(sequences == sequence)
        if record is None:
            pieces.append(without_order(np.full(of_it.size, Reply.ANSWER_ARCHIVED)))
            taken.append(of_it)
            continue
        places = locations[of_it] & PLACE_MASK
        same = (record.orders["reservation"][places] == 0) & same_content(record, places, command, rows[of_it])
        pieces.append(from_record(record, places[same], again=True))
        pieces.append(without_order(np.full(int((~same).sum()), Reply.KEY_CONFLICT)))
        taken += [of_it[same], of_it[~same]]
    return in_order(pieces, taken)


def _enter(commit: Commit, command: PlaceOrders, keys: Any) -> OrderAnswers:
    """Orders as planned, and one after another where they have no plan that fits.

    Those come last, in their order: before the others they would take units that the plan has for these, whose plans
    would not fit then either.
    """
    if command.planned is None or isinstance(command, Reserve):
        return _enter_in_turn(commit, command, keys)
    fits = fitting(commit.state, _batch(command), command.planned)
    if fits.all():
        return _enter_planned(commit, command, keys)
    if not fits.any():
        return _enter_in_turn(commit, command, keys)
    rows = [np.flatnonzero(fits), np.flatnonzero(~fits)]
    first = _enter_planned(commit, command.take(rows[0]), keys[rows[0]])
    return in_order([first, _enter_in_turn(commit, command.take(rows[1]), keys[rows[1]])], rows)


def _batch(command: PlaceOrders) -> Batch:
    return Batch(
        owned(command.channel), owned(command.postal_code), owned(command.first_line), owned(command.sku),
        owned(command.quantity), *asked(command.options, command.channel.size),
    )  # fmt: skip


def _enter_in_turn(commit: Commit, command: PlaceOrders, keys: Any) -> OrderAnswers:
    """Orders one after another, each upon what those before it left."""
    state, batch = commit.state, _batch(command)
    expires_at = owned(command.expires_at) if isinstance(command, Reserve) else None
    count, room = batch.channel.size, parts_max(batch.quantity, state.node_count)
    is_priced = state.prices.value.size > 0
    drawn = empty_drawn(count, batch.sku.size, room, state.node_count, is_priced)
    placed = empty_placed(count, batch.sku.size, room, expires_at)
    parts_drawn = (place_few if count <= FEW else place)(
        batch, keys, commit.next_location, commit.stamp, state.node_count, state.book, state.keys, state.cells,
        state.fences, state.policies, state.places, state.prices, state.capacity, drawn, placed,
    )  # fmt: skip
    cut = {name: getattr(drawn, name)[:parts_drawn] for name in ("node", "quantity", "fenced", "metres")}
    drawn, placed = drawn._replace(**cut), placed._replace(stage=placed.stage[:parts_drawn])
    options = command.options
    if state.days.is_any:
        options = {**options, **of_orders(drawn.full)}
    if is_priced:
        options = {**options, "extra_cost": np.where(drawn.extra_cost == NONE, NULL_I64, drawn.extra_cost)}
    tables = _tables(command.order_id, batch, drawn, placed, options)
    commit.entered(*tables)
    state.terms.enter(placed.row, tables[0])
    has_to_be_paid = money.enter(state, placed.row, tables[0], tables[1])
    if expires_at is not None or has_to_be_paid:
        watch_expiries(placed.row, state.book, state.expiries)
    state.days.count_orders(*tables)
    return _answers(batch, drawn, placed)


def _enter_planned(commit: Commit, command: PlaceOrders, keys: Any) -> OrderAnswers:
    """Orders whose plan fits."""
    state, batch = commit.state, _batch(command)
    assert command.planned is not None
    drawn = planned(state, batch, command.planned)
    placed = empty_placed(batch.channel.size, batch.sku.size, drawn.node.size, None)
    number_orders(batch, state.book.heads, state.policies, drawn, placed)
    options = dict(command.options)
    if command.planned.extra_cost is not None:
        options["extra_cost"] = command.planned.extra_cost
    if state.days.is_any:
        options |= of_orders(drawn.full)
    commit.enter(*_tables(command.order_id, batch, drawn, placed, options), keys)
    return _answers(batch, drawn, placed)


def _answers(batch: Batch, drawn: Drawn, placed: Placed) -> OrderAnswers:
    return OrderAnswers(
        drawn.outcome, placed.number, np.zeros(batch.channel.size, bool), batch.first_line, batch.sku, batch.quantity,
        placed.first_part, drawn.node, placed.stage, drawn.quantity, drawn.metres,
    )  # fmt: skip


_ORDER_COLUMNS, _LINE_COLUMNS = (*ORDER_OPTIONS, *ORDER_REASONS), (*LINE_OPTIONS, *FROZEN, *LINE_REASONS)


def _tables(
    order_id: pa.StringArray, batch: Batch, drawn: Drawn, placed: Placed, options: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Orders, lines and parts for the journal, with the reasons. options: columns that go before them too."""
    orders = {
        "number": placed.number, "is_reservation": placed.is_reservation, "order_id": order_id,
        "channel": batch.channel, "postal_code": batch.postal_code, "line_count": placed.line_count,
        "outcome": drawn.outcome, "expires_at": placed.expires_at, "reservation": np.zeros(len(order_id), np.int64),
        "rule": drawn.rule,
    }  # fmt: skip
    lines = {
        "sku": batch.sku, "quantity": batch.quantity, "part_count": drawn.part_count, **of_lines(drawn.passed),
    }  # fmt: skip
    parts = {
        "node": drawn.node, "stage": placed.stage, "quantity": drawn.quantity, "fenced": drawn.fenced,
        "metres": drawn.metres,
    }  # fmt: skip
    for name, column in options.items():
        if name in TERMS and not column.any():
            continue
        (lines if name in _LINE_COLUMNS else orders)[name] = column
    return orders, lines, parts


# Reservations


def confirmed_parts_max(state: State, command: Confirm) -> int:
    """Parts that reservations may become where they are sourced again. Those of the same commit were counted there."""
    _, rows, is_open = _open_reservations(state, command.channel, command.reservation_id)
    return parts_max(read(state, np.unique(rows[is_open])).quantity, state.node_count)


def confirm(commit: Commit, command: Confirm) -> OrderAnswers:
    """Turn reservations into orders; with another postal code, or units that a count took, they are sourced again."""
    state = commit.state
    keys, new = commit.claim(command.channel, Method.CONFIRM, command.request_id)
    content = _confirm_content(state, command)
    plain = _plain(commit, command, new)
    groups = [plain, *(np.array([row]) for row in np.setdiff1d(np.flatnonzero(new), plain))]
    pieces = [_confirm_rows(commit, command, rows, content, keys) for rows in groups if rows.size]
    again = np.flatnonzero(~new)
    locations = commit.first_locations(keys[again])
    pieces += [
        _confirmed_before(commit, content[row], location) for row, location in zip(again, locations, strict=True)
    ]
    taken = [rows for rows in groups if rows.size] + [np.array([row]) for row in again]
    return in_order(pieces, taken) if pieces else without_order(np.empty(0, np.uint8))


def _confirm_content(state: State, command: Confirm) -> Any:
    """128 bits over what a confirmation says: order, reservation, postal code."""
    order = hash_keys(state, command.channel, Method.PLACE_ORDER, command.order_id)
    reservation = hash_keys(state, command.channel, Method.RESERVE, command.reservation_id)
    return order ^ (reservation << np.uint64(1)) ^ command.postal_code.astype(np.int64).view(np.uint64)[:, None]


def _confirmed_before(commit: Commit, content: Any, location: int) -> OrderAnswers:
    first = commit.first_answers.reply_at(location)
    if first is None:
        return without_order([Reply.ANSWER_ARCHIVED])
    if (first["content_high"], first["content_low"]) != (content[0], content[1]):
        return without_order([Reply.KEY_CONFLICT])
    if first["outcome"] > Reply.REFUSED or first["quantity"] == 0:
        return without_order([first["outcome"]], again=True)
    order = int(first["quantity"])
    record = commit.first_answers.orders_of(order >> PLACE_BITS)
    assert record is not None, "an order is in the record that answered its confirmation"
    return from_record(record, np.array([order & PLACE_MASK]), again=True)


def _open_reservations(state: State, channel: Any, reservation_id: pa.StringArray) -> tuple[Any, Any, Any]:
    """Where reservations were answered, their rows, and whether they are open."""
    locations, rows = find_locations(state, hash_keys(state, channel, Method.RESERVE, reservation_id))
    orders = state.book.orders
    is_open = (rows != NONE) & (orders.kind[rows] == OrderKind.RESERVATION) & (orders.location[rows] == locations)
    return locations, rows, is_open


def _reservation_reply(commit: Commit, location: int) -> Reply:
    """Why a reservation that is not open cannot be used."""
    if location == ABSENT:
        return Reply.UNKNOWN_RESERVATION
    made_at, place = location >> PLACE_BITS, location & PLACE_MASK
    record = commit.first_answers.orders_of(made_at)
    if record is None:
        return Reply.ANSWER_ARCHIVED
    orders = record.orders
    if orders["outcome"][place] == Outcome.REFUSED:
        return Reply.UNKNOWN_RESERVATION
    number, expires_at = int(orders["number"][place]), int(orders["expires_at"][place])
    expired = commit.first_answers.has_expired(number, made_at, expires_at, commit.sequence)
    if expired is None:
        return Reply.ANSWER_ARCHIVED
    return Reply.RESERVATION_EXPIRED if expired else Reply.RESERVATION_ENDED


def _plain(commit: Commit, command: Confirm, new: Any) -> Any:
    """Requests that can be confirmed together: open and whole, no other postal code, nothing named twice."""
    state = commit.state
    _, rows, is_open = _open_reservations(state, command.channel, command.reservation_id)
    order_keys = hash_keys(state, command.channel, Method.PLACE_ORDER, command.order_id)
    ordered, _ = find_locations(state, order_keys)
    same_place = (command.postal_code == NONE) | (command.postal_code == state.book.orders.postal_code[rows])
    for named in (rows[new & is_open], order_keys[new, 0]):
        if np.unique(named).size < named.size:  # the first to name it counts: one by one
            return np.empty(0, np.int64)
    picked = np.flatnonzero(new & is_open & (ordered == ABSENT) & same_place)
    if picked.size:
        held = read(state, rows[picked])
        lost = owners(offsets(held.line_count))[owners(offsets(held.part_count))[held.stage == Stage.SHORT]]
        picked = np.delete(picked, np.unique(lost))
    return picked


def _confirm_rows(commit: Commit, command: Confirm, picked: Any, content: Any, keys: Any) -> OrderAnswers:
    """Confirm requests that are new: many plain ones, or any one."""
    state = commit.state
    channel, request_id = command.channel[picked], command.request_id.take(pa.array(picked))
    locations, rows, is_open = _open_reservations(state, channel, command.reservation_id.take(pa.array(picked)))
    order_id = command.order_id.take(pa.array(picked))
    order_keys = hash_keys(state, channel, Method.PLACE_ORDER, order_id)
    reply = None
    if not is_open.all():
        reply = _reservation_reply(commit, int(locations[0]))
    elif (find_locations(state, order_keys)[0] != ABSENT).any():
        reply = Reply.KEY_CONFLICT
    else:
        options = _options_of(commit, locations) | {"decided_in": locations >> PLACE_BITS}
        tables = _as_orders(state, rows, command.postal_code[picked], order_id, options)
        if (tables[0]["outcome"] == Outcome.REFUSED).any():  # the reservation goes on, the order id stays free
            reply = Reply.REFUSED
    if reply is not None:
        refused = np.full(picked.size, reply, np.uint8)
        nothing = np.zeros(picked.size, np.int64)
        commit.answer(Method.CONFIRM, channel, request_id, content[picked], refused, nothing, keys[picked])
        return without_order(refused)
    commit.close(rows, Cause.CONFIRMED)
    location = commit.next_location
    commit.claim(channel, Method.PLACE_ORDER, order_id)
    commit.enter(*tables, order_keys)
    where = location + np.arange(picked.size)
    commit.answer(Method.CONFIRM, channel, request_id, content[picked], tables[0]["outcome"], where, keys[picked])
    return from_record(record_orders(commit.tables[-4:-1]), np.arange(picked.size), again=False)


def _options_of(commit: Commit, locations: Any) -> dict[str, Any]:
    """The optional columns that reservations were entered with, their reasons among them, from the journal."""
    sequences, places = locations >> PLACE_BITS, locations & PLACE_MASK
    orders, lines, taken = [], [], []
    for sequence in np.unique(sequences):
        record = commit.first_answers.orders_of(int(sequence))
        if record is None:  # archived and moved away: the sale goes on without what only the reservation told
            return {}
        of_it = np.flatnonzero(sequences == sequence)
        orders.append(rows_of(record.orders, places[of_it]))
        lines.append(rows_of(record.lines, elements(record.first_line, places[of_it])))
        taken.append(of_it)
    back = np.argsort(np.concatenate(taken))
    all_orders, all_lines = joined(orders, schema.ORDERS), joined(lines, schema.LINES)
    options = rows_of({name: all_orders[name] for name in _ORDER_COLUMNS if name in all_orders}, back)
    back = elements(offsets(all_orders["line_count"]), back)
    return options | rows_of({name: all_lines[name] for name in _LINE_COLUMNS if name in all_lines}, back)


def _as_orders(
    state: State, rows: Any, postal_code: Any, order_id: pa.StringArray, options: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The order tables that open reservations become. Nothing is changed yet."""
    book = state.book.orders
    held = read(state, rows)
    place = np.where(postal_code == NONE, book.postal_code[rows], postal_code).astype(np.int32)
    terms = state.terms.of(rows)
    batch = Batch(book.channel[rows], place, offsets(held.line_count), held.sku, held.quantity, *terms)
    options = {**options, **dict(zip(TERMS, terms, strict=True))}
    if (held.stage == Stage.SHORT).any() or (place != book.postal_code[rows]).any():
        drawn = _source_again(state, int(rows[0]), batch)
        options = {name: column for name, column in options.items() if name not in (*ORDER_REASONS, *LINE_REASONS)}
        options |= of_orders(drawn.full)
    else:  # decided when they were reserved: what `options` says of the reasons holds
        owner = owners(batch.first_line)[owners(offsets(held.part_count))]
        metres = state.places.metres[place[owner], held.node]
        outcome = np.full(rows.size, Outcome.ALLOCATED, np.uint8)
        rule, passed = np.full(rows.size, Rule.NOT_NOTED, np.uint8), np.empty((batch.sku.size, 0), np.uint64)
        full, extra_cost = np.empty((rows.size, 0), np.uint64), np.empty(0, np.int64)
        drawn = Drawn(outcome, held.part_count, held.node, held.part_quantity, held.fenced, metres, rule, passed, full,
                      extra_cost)  # fmt: skip
    placed = empty_placed(rows.size, batch.sku.size, drawn.node.size, None)
    number_orders(batch, state.book.heads, state.policies, drawn, placed)
    tables = _tables(order_id, batch, drawn, placed, options)
    tables[0]["reservation"] = book.number[rows]
    return tables


def _source_again(state: State, row: int, batch: Batch) -> Drawn:
    """How an order in place of one reservation is sourced, its own units counted as available; claims are put back."""
    remaining = state.fences.remaining[: state.fences_used].copy()
    lend_reservation(row, state.book, state.cells, state.fences)
    if state.days.is_any:
        state.days.lend(*held_at_nodes(state, np.array([row], np.int32))[1:])
    drawn = draw(state, batch)
    state.days.refresh()
    state.fences.remaining[: state.fences_used] = remaining
    refresh_cells(batch.sku, state.cells)
    return drawn


def release(commit: Commit, command: Release) -> Replies:
    """End reservations; what they hold becomes available."""
    state, count = commit.state, len(command.request_id)
    keys, new = commit.claim(command.channel, Method.RELEASE, command.request_id)
    content = hash_keys(state, command.channel, Method.RESERVE, command.reservation_id)
    locations, rows, is_open = _open_reservations(state, command.channel, command.reservation_id)
    reply = np.full(count, Reply.DONE, np.uint8)
    ending = np.flatnonzero(new & is_open)
    first = ending[np.unique(rows[ending], return_index=True)[1]]
    quantity = np.zeros(count, np.int64)
    if first.size:
        held = read(state, rows[first])
        is_held = held.stage == Stage.RESERVED
        order = owners(offsets(held.line_count))[owners(offsets(held.part_count))][is_held]
        quantity[first] = np.bincount(order, held.part_quantity[is_held], first.size).astype(np.int64)
        commit.close(np.sort(rows[first]), Cause.RELEASED)
    for row in np.setdiff1d(np.flatnonzero(new), first):
        reply[row] = _reservation_reply(commit, int(locations[row]))
    return remember(commit, Method.RELEASE, command.channel, command.request_id, keys, content, new, reply, quantity)
