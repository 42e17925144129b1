"""Effects of a commit, applied to the state: the one way in which the state changes, live and in replay.

A live commit decides and applies table by table (engine/commit.py); replay applies the tables of a record as they
stand.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine import money, schema
from engine.lifecycle import CHANGE_TABLE
from engine.names import text_buffers
from engine.outcomes import Method, Namespace, OutOfRoom
from engine.ragged import offsets, owned, owners
from engine.sourcing import read
from engine.state import State
from kernels.columns import NONE, POLICY_FIGURES, Head, Stage
from kernels.distance import rank
from kernels.documents import TAKEN, Steps
from kernels.documents import apply_steps as apply_kernel
from kernels.expiry import watch_authorisations, watch_expiries
from kernels.fences import forget_drawn
from kernels.keys import ABSENT, FIRST_DOCUMENT, find_or_insert, forget_keys, hash_few_texts, hash_texts, set_values
from kernels.life import STEPS_PER_KIND, Step
from kernels.options import FEW
from kernels.stages import Entries, Moves, close_reservations, enter_orders, move_stock, move_units, retire_orders

Columns = Mapping[str, Any]
PLACE_BITS = 20  # of a location: sequence << 20 | place of the order, or of the answer, in its record
PLACE_MASK = (1 << PLACE_BITS) - 1


class StateDiverged(Exception):
    """Replay came to another digest than the live run: a bug in the engine, or damage that checksums did not see."""


def hash_keys(state: State, channel: np.ndarray, method: Method, texts: pa.Array) -> Any:
    """128-bit keys [n, 2] of texts in the namespace (channel, method), with the folder's secret."""
    keys = np.empty((len(texts), 2), np.uint64)
    offsets, data = text_buffers(texts)
    hashed = hash_few_texts if len(texts) <= FEW else hash_texts
    hashed(state.secret, owned(channel), int(method), offsets, data, keys)
    return keys


def apply_names(state: State, columns: Columns) -> None:
    """New names get the indices that the journal gave them."""
    for namespace in np.unique(columns["namespace"]):
        of_it = columns["namespace"] == namespace
        names = state.names[Namespace(namespace)]
        first = len(names)
        _check_names(state, Namespace(namespace), first + int(of_it.sum()))
        names.add(columns["text"].filter(pa.array(of_it)))
        count = len(names) - first
        assert np.array_equal(columns["index"][of_it], np.arange(first, first + count)), "names out of step"
        state.new_names(Namespace(namespace), first, count)


def _check_names(state: State, namespace: Namespace, count: int) -> None:
    """Raise OutOfRoom where the limits have been made smaller than what the journal holds."""
    field = {Namespace.SKU: "skus_max", Namespace.CHANNEL: "channels_max", Namespace.POSTAL_CODE: "postal_codes_max"}
    if namespace in field:
        limit = getattr(state.limits, field[namespace])
        if count > limit:
            raise OutOfRoom(f"{field[namespace]} is {limit}, the journal has {count}: raise the limit")


def apply_nodes(state: State, columns: Columns) -> None:
    """Nodes come, move, open or close."""
    node = columns["node"]
    state.nodes.latitude_e7[node] = columns["latitude_e7"]
    state.nodes.longitude_e7[node] = columns["longitude_e7"]
    state.nodes.flag[node] = columns["active"]
    state.days.put(node, columns)
    state.groups_since[:] = state.sequence + 1
    state.set_in_force()


def apply_postal_codes(state: State, columns: Columns) -> None:
    """Postal codes get their place."""
    code = columns["postal_code"]
    state.postal_codes.latitude_e7[code] = columns["latitude_e7"]
    state.postal_codes.longitude_e7[code] = columns["longitude_e7"]
    state.postal_codes.flag[code] = columns["area"]


def apply_distances(state: State, columns: Columns) -> None:
    """Whole metres as they were measured; the ranks of the postal codes concerned follow."""
    code = columns["postal_code"]
    state.places.metres[code, columns["node"]] = columns["metres"]
    if code.size:
        rows = slice(int(code.min()), int(code.max()) + 1)
        rank(state.places.metres[rows], state.node_count, state.places.rank[rows])


def apply_channels(state: State, columns: Columns) -> None:
    """Channel policies."""
    channel = columns["channel"]
    for field in ("priority", "split", *POLICY_FIGURES):
        getattr(state.policies, field)[channel] = columns[field]
    state.on_short[channel], state.closed[channel] = columns["on_short"], columns["closed"]
    for word in range(4):
        state.groups[channel, word] = columns[f"nodes_{word}"]
        for name, column in (("preferred", state.policies.preferred), ("excluded", state.excluded)):
            column[channel, word] = columns.get(f"{name}_{word}", 0)
    state.groups_since[channel] = state.sequence + 1
    state.set_in_force()


def apply_exceptions(state: State, columns: Columns) -> None:
    """Policies of a channel for single SKUs; the last one set counts."""
    policies = state.policies
    figures = np.stack([columns[field] for field in POLICY_FIGURES], axis=1)
    for i, (channel, sku) in enumerate(zip(columns["channel"], columns["sku"], strict=True)):
        row = policies.exception_head[sku]
        while row != NONE and policies.exception_channel[row] != channel:
            row = policies.exception_next[row]
        if row == NONE:
            row = state.exceptions_used
            state.exceptions_used += 1
            policies.exception_channel[row] = channel
            policies.exception_next[row] = policies.exception_head[sku]
            policies.exception_head[sku] = row
        policies.exception_figures[row] = figures[i]
        _mark_changed(state, sku)


def apply_fences(state: State, columns: Columns) -> None:
    """Ring-fences are set: so many units from now on. What is out of them does not count any more."""
    fences = state.fences
    anew = np.zeros(state.fences_used + columns["sku"].size, np.uint8)
    for channel, sku, node, units in zip(
        columns["channel"], columns["sku"], columns["node"], columns["units"], strict=True
    ):
        row = fences.head[sku]
        while row != NONE and not (fences.channel[row] == channel and fences.node[row] == node):
            row = fences.next[row]
        if row == NONE:
            row = state.fences_used
            state.fences_used += 1
            fences.channel[row], fences.node[row] = channel, node
            fences.next[row] = fences.head[sku]
            fences.head[sku] = row
        fences.remaining[row] = units
        anew[row] = 1
        _mark_changed(state, sku)
    forget_drawn(anew, state.book, fences)


def _mark_changed(state: State, sku: int) -> None:
    row = state.cells.row_of[sku]
    if row != NONE and not state.book.changed[row]:
        state.book.changed[row] = 1
        state.book.changed_rows[state.head(Head.CHANGED_ROWS)] = row
        state.book.heads[Head.CHANGED_ROWS] += 1


def apply_orders(
    state: State,
    orders: Columns,
    lines: Columns,
    parts: Columns,
    location: int,
    stamp: int,
    keys: Any = None,
) -> Any:
    """Orders and reservations enter the book and the key index; returns their rows, NONE where refused.

    location: of the first one. keys: where a live commit has just entered them. stamp: of the commit.
    """
    count = orders["number"].size
    if keys is None:  # replay: the limits may have been made smaller since
        accepted = np.count_nonzero(orders["number"])
        state.check_room(int(accepted), lines["sku"].size, parts["node"].size, count)
    rows = np.empty(count, np.int32)
    order_names = ("number", "is_reservation", "channel", "postal_code", "line_count", "outcome", "expires_at")
    columns: list[Any] = [owned(orders[name]) for name in order_names]
    columns += [owned(lines[name]) for name in ("sku", "quantity", "part_count")]
    columns += [owned(parts[name]) for name in ("node", "stage", "quantity", "fenced")]
    entries = Entries(*columns)
    enter_orders(entries, location, stamp, False, state.book, state.cells, state.fences, rows)
    state.days.count_orders(orders, lines, parts)
    locations = np.arange(location, location + count)
    if keys is None:
        insert_keys(state, _order_keys(state, orders), locations, rows)
    else:
        set_values(state.keys, keys, locations, rows)
    state.terms.enter(rows, orders)
    if money.enter(state, rows, orders, lines) or orders["is_reservation"].any():
        state.check_expiries(count)
        watch_expiries(rows, state.book, state.expiries)
    return rows


def _order_keys(state: State, orders: Columns) -> Any:
    is_reservation = orders["is_reservation"] != 0
    keys = hash_keys(state, orders["channel"], Method.PLACE_ORDER, orders["order_id"])
    if is_reservation.any():
        of_them = pa.array(is_reservation)
        channel = orders["channel"][is_reservation]
        keys[is_reservation] = hash_keys(state, channel, Method.RESERVE, orders["order_id"].filter(of_them))
    return keys


def insert_keys(state: State, keys: Any, locations: Any, rows: Any) -> None:
    """Enter new keys with their values. A key that is there already was journaled twice: the state diverged."""
    found = np.empty(locations.size, np.int64)
    find_or_insert(state.keys, keys, locations, rows, found)
    if (found != ABSENT).any():
        raise StateDiverged(f"a key comes twice, first at sequence {int(found[found != ABSENT][0]) >> PLACE_BITS}")


def apply_moves(state: State, columns: Columns, stamp: int, claimed: bool = False) -> None:
    """Units of parts change their stage."""
    moves = Moves(*(owned(columns[name]) for name in ("part", "to", "quantity", "node", "fenced")))
    move_units(moves, stamp, claimed, CHANGE_TABLE, state.book, state.cells, state.fences)
    state.days.count_moves(columns)


def apply_closures(state: State, columns: Columns) -> None:
    """Reservations end."""
    if state.days.is_any:
        state.days.count_ended(*held_at_nodes(state, columns["order"]))
    close_reservations(owned(columns["order"]), CHANGE_TABLE, state.book, state.cells, state.fences)


def held_at_nodes(state: State, rows: Any) -> tuple[Any, Any, Any, Any]:
    """What reservations hold, part by part: which of them, the commit that entered it, the node, the units."""
    held = read(state, rows)
    there = held.stage == Stage.RESERVED
    order = owners(offsets(held.line_count))[owners(offsets(held.part_count))][there]
    entered = state.book.orders.location[rows[order]] >> PLACE_BITS
    return order, entered, held.node[there], held.part_quantity[there]


def apply_movements(state: State, columns: Columns) -> None:
    """Stock moves."""
    sku, node, figure, quantity = (owned(columns[name]) for name in ("sku", "node", "figure", "quantity"))
    move_stock(sku, node, figure, quantity, state.book, state.cells)


def apply_answers(state: State, columns: Columns, location: int) -> None:
    """Answers of other writes enter the key index."""
    locations = np.arange(location, location + columns["method"].size)
    state.check_room(0, 0, 0, locations.size)
    keys = np.empty((locations.size, 2), np.uint64)
    for method in np.unique(columns["method"]):
        of_it = columns["method"] == method
        texts = columns["request_id"].filter(pa.array(of_it))
        keys[of_it] = hash_keys(state, columns["channel"][of_it], Method(method), texts)
    insert_keys(state, keys, locations, np.full(locations.size, NONE, np.int32))


def apply_forgotten(state: State, columns: Columns) -> None:
    """Keys older than the commit named are forgotten, those of open orders never."""
    for before_location in columns["before_location"]:
        forget_keys(state.keys, int(before_location), state.book.orders.location, state.book.documents.location)


def apply_record(state: State, sequence: int, stamp: int, tables: Sequence[tuple[schema.Table, Columns]]) -> None:
    """Replay one record."""
    state.days.begin(sequence, stamp)
    orders_seen = answers_seen = 0
    i = 0
    while i < len(tables):
        table, columns = tables[i]
        i += 1
        if table is schema.ORDERS:
            lines, parts = tables[i][1], tables[i + 1][1]
            i += 2
            apply_orders(state, columns, lines, parts, sequence << PLACE_BITS | orders_seen, stamp)
            orders_seen += columns["number"].size
        elif table is schema.ANSWERS:
            apply_answers(state, columns, sequence << PLACE_BITS | answers_seen)
            answers_seen += columns["method"].size
        elif table is schema.MOVES:
            apply_moves(state, columns, stamp)
        elif table is schema.STEPS:
            apply_steps(state, columns, stamp)
        elif table is schema.CHECK:
            if columns["digest"][0] != state.book.digest[0]:
                raise StateDiverged(f"sequence {sequence}: replay came to another digest than the live run")
        else:
            _EFFECTS[table.number](state, columns)
    state.take_touched()
    state.sequence, state.stamp = sequence, stamp


def _apply_statements(state: State, columns: Columns) -> None:
    for source, counted_at in zip(columns["source"], columns["counted_at"], strict=True):
        state.counted_at[int(source)] = int(counted_at)


def _apply_supply(state: State, columns: Columns) -> None:
    state.expected.set(columns)


def _apply_nothing(state: State, columns: Columns) -> None:
    """Of tables that only tell."""


def apply_steps(state: State, columns: Columns, stamp: int) -> None:
    """Steps of documents; new ones get their keys. stamp: of the commit, UTC us."""
    none = np.zeros(columns["step"].size, np.int64)
    steps = Steps(*(owned(columns[name]) if name in columns else none for name in Steps._fields))
    new = steps.step % STEPS_PER_KIND == 0
    state.check_documents(int(new.sum()), int((steps.step == Step.ADD_ITEM).sum()))
    if apply_kernel(steps, state.book, np.empty(TAKEN, np.int64), stamp):
        raise StateDiverged("a document did not get the row that it had when it was made")
    enter_steps(state, steps)
    rows = (FIRST_DOCUMENT - steps.document).astype(np.int32)
    ids, references = columns.get("document_id"), columns.get("reference")
    if ids is not None:
        named = new & np.asarray(pc.not_equal(ids, ""))
        for method in DOCUMENT_METHODS:
            of_it = named & (DOCUMENT_METHOD[steps.step // STEPS_PER_KIND] == method)
            if of_it.any():
                keys = hash_keys(state, columns["channel"][of_it], method, ids.filter(pa.array(of_it)))
                insert_keys(state, keys, steps.location[of_it], rows[of_it])
    if references is not None:
        named = (steps.referenced != 0) & np.asarray(pc.not_equal(references, ""))
        keys = hash_keys(state, steps.how[named], Method.REFERENCE, references.filter(pa.array(named)))
        find_or_insert(state.keys, keys, steps.location[named], rows[named], np.empty(int(named.sum()), np.int64))


def enter_steps(state: State, steps: Steps) -> None:
    """What is derived from steps that were taken: rows by the numbers of new documents, and when authorisations end."""
    new = steps.step % STEPS_PER_KIND == 0
    state.numbers.add(steps.number[new], steps.document[new], state.book.documents)
    held = steps.document[(steps.step == Step.AUTHORISE) & (steps.at > 0)]
    if held.size:
        state.check_expiries(held.size)
        watch_authorisations(held, state.book, state.expiries)


DOCUMENT_METHODS = (Method.PAYMENT, Method.SHIPMENT, Method.RETURN)
DOCUMENT_METHOD = np.array([Method.PAYMENT, Method.PAYMENT, Method.SHIPMENT, Method.RETURN], np.uint8)  # by kind - 1


def _apply_postings(state: State, columns: Columns) -> None:
    state.ledger.post(columns)


def _apply_policies(state: State, columns: Columns) -> None:
    state.afterwards.put_policies(columns)


def _apply_categories(state: State, columns: Columns) -> None:
    state.afterwards.put_categories(columns)


def _apply_regions(state: State, columns: Columns) -> None:
    state.afterwards.put_regions(columns)


def _apply_retired(state: State, columns: Columns) -> None:
    retire_orders(owned(columns["order"]), state.book)


_EFFECTS = {
    schema.NAMES.number: apply_names,
    schema.NODES.number: apply_nodes,
    schema.POSTAL_CODES.number: apply_postal_codes,
    schema.DISTANCES.number: apply_distances,
    schema.CHANNELS.number: apply_channels,
    schema.EXCEPTIONS.number: apply_exceptions,
    schema.FENCES.number: apply_fences,
    schema.CLOSURES.number: apply_closures,
    schema.RETIRED.number: _apply_retired,
    schema.POSTINGS.number: _apply_postings,
    schema.RETURN_POLICIES.number: _apply_policies,
    schema.CATEGORIES.number: _apply_categories,
    schema.TAX_REGIONS.number: _apply_regions,
    schema.OUTCOMES.number: _apply_nothing,
    schema.MOVEMENTS.number: apply_movements,
    schema.STATEMENTS.number: _apply_statements,
    schema.SUPPLY.number: _apply_supply,
    schema.PROMISES.number: _apply_nothing,
    schema.FORGOTTEN.number: apply_forgotten,
    schema.REALLOCATED.number: _apply_nothing,
}


def apply_table(state: State, table: schema.Table, columns: Columns) -> None:
    """Apply one of the tables that need nothing but the state: catalogue, stock, closures, retirement."""
    _EFFECTS[table.number](state, columns)
