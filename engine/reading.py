"""Reads of the state as it stands: one order, stock, nodes, SKUs, channels. For the writer's thread, between commits.

Nothing is changed. What is read may not be durable yet: whoever gives it out waits for `sequence` (server/batcher.py).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import pyarrow as pa

from engine.answers import NULL_OPTION, RecordOrders
from engine.apply import PLACE_BITS, PLACE_MASK, hash_keys
from engine.commands import LINE_OPTIONS, ORDER_OPTIONS
from engine.commit import find_locations
from engine.expected import NOTHING_BOUND
from engine.journal import JournalMissing
from engine.outcomes import Method, Namespace
from engine.ragged import offsets, owners
from engine.sourcing import read
from engine.supply import promised_to
from engine.views import STATE_OF
from engine.writer import Engine
from kernels.columns import NO_NODE, NONE, POLICY_FIGURES, Figure, OrderKind
from kernels.keys import ABSENT

LOOK_SKUS_MAX = 16_384  # SKUs looked at for one page of stock, at most
SUPPLY_ROWS = 16_384  # of one page; its last SKU may bring more
FIGURES = (
    Figure.ON_HAND, Figure.UNAVAILABLE, Figure.ALLOCATED, Figure.RESERVED, Figure.SAFETY_STOCK, Figure.PICKED,
    Figure.DEFICIT,
)  # fmt: skip


class Elsewhere(Enum):
    """Why an order cannot be read from the state."""

    UNKNOWN = "nobody placed it, or its key was forgotten"
    IN_VIEWS = "it was retired, the reservation ended, or its record was moved away"


@dataclass(frozen=True)
class OrderNow:
    """An order or a reservation as it stands. Texts of the catalogue are indices; None: not told."""

    sequence: int  # of the last commit that it takes in
    number: int  # 0: refused
    order_id: str
    is_reservation: bool
    state: str  # as views call it
    outcome: int  # kernels.columns.Outcome
    postal_code: int
    expires_at: int  # 0: none
    reservation: int  # number of the reservation that it was; 0: none
    taken_in: int  # sequence
    taken_at: int  # UTC us
    options: Mapping[str, Any]  # by ORDER_OPTIONS
    lines: tuple[tuple[Any, ...], ...]  # (SKU, units, unit price, discount, tax)
    parts: tuple[tuple[int, int, int, int, int], ...]  # (line from 1, node or NO_NODE, stage, units, metres)
    expected: tuple[tuple[int, int, int, int, int], ...]  # (line from 1, units, due at UTC us, node, reference)


@dataclass(frozen=True)
class StockPage:
    """Cells with any figure, by SKU, then node."""

    sequence: int  # of the last commit that it takes in
    sku: Any  # int32 [cell]
    node: Any  # int32 [cell]
    figures: Any  # int32 [cell, figure] in the order of FIGURES
    available: Any  # int32 [cell]
    next_sku: int  # where the next page begins; NONE: this is the last


@dataclass(frozen=True)
class SupplyPage:
    """Units that are expected, by SKU, then date."""

    sequence: int  # of the last commit that it takes in
    sku: Any  # int32 [supply], as the following but for reference and due_at
    node: Any
    units: Any
    bound: Any  # the part of `units` that back-ordered units wait for
    reference: Any  # int64 [supply]
    due_at: Any  # int64 [supply] UTC us
    next_sku: int  # where the next page begins; NONE: this is the last


@dataclass(frozen=True)
class NodePage:
    """Nodes in the order in which they were put."""

    node_id: pa.StringArray
    latitude_e7: Any  # int32 [node]
    longitude_e7: Any  # int32 [node]
    active: Any  # uint8 [node]
    terms: Any  # int64 [node] as engine.capacity.DAY_TERMS
    taken: Any  # int64 [node, 2] orders and units, on the day of the last commit; 0 where there is no limit
    next_node: int  # NONE: this is the last page


@dataclass(frozen=True)
class ChannelPage:
    """Channels and their policies as they were put."""

    channel: pa.StringArray
    nodes: Any  # uint64 [channel, word] bit of each node of its group, those that are closed too
    priority: Any  # int32 [channel], as the following
    on_short: Any
    split: Any
    share_ppm: Any
    buffer: Any
    cap: Any
    threshold: Any
    buffer_ppm: Any
    closed: Any
    preferred: Any  # uint64 [channel, word] as `nodes`
    excluded: Any
    next_channel: int  # NONE: this is the last page


@dataclass(frozen=True)
class SkuPage:
    """SKUs in the order in which they were named."""

    sku: pa.StringArray
    next_sku: int  # NONE: this is the last page


def order_now(engine: Engine, channel: int, order_id: str, is_reservation: bool) -> OrderNow | Elsewhere:
    """One order or reservation: what was asked for from its record, where its units are from the columns."""
    state = engine.state
    method = Method.RESERVE if is_reservation else Method.PLACE_ORDER
    key = hash_keys(state, np.array([channel], np.int16), method, pa.array([order_id], pa.string()))
    location, row = (int(found[0]) for found in find_locations(state, key))
    if location == ABSENT:
        return Elsewhere.UNKNOWN
    sequence, place = location >> PLACE_BITS, location & PLACE_MASK
    record = engine.first_answers.orders_of(sequence)
    if record is None:
        return Elsewhere.IN_VIEWS
    number = int(record.orders["number"][place])
    parts: tuple[tuple[int, int, int, int, int], ...] = ()
    if number:
        kind = OrderKind.RESERVATION if is_reservation else OrderKind.ORDER
        book = state.book.orders
        if row == NONE or book.kind[row] != kind or book.number[row] != number:  # the row is another order's by now
            return Elsewhere.IN_VIEWS
        parts = _parts(engine, row)
    try:
        taken_at = engine.stamp_of(sequence)
    except JournalMissing:  # moved away since it was read
        return Elsewhere.IN_VIEWS
    lines = _lines(record, place)
    present = sum({1 << stage for _, _, stage, _, _ in parts})
    return OrderNow(
        state.sequence, number, order_id, is_reservation, STATE_OF[present], int(record.orders["outcome"][place]),
        int(record.orders["postal_code"][place]), int(record.orders["expires_at"][place]),
        int(record.orders["reservation"][place]), sequence, taken_at,
        {name: option(record.orders, name, place) for name in ORDER_OPTIONS}, lines, parts,
        promised_to(state, number, (sku for sku, *_ in lines)) if number else (),
    )  # fmt: skip


def option(columns: Mapping[str, Any], name: str, row: int) -> Any:
    """An optional value of a record's row, None where it was not told."""
    if name not in columns:
        return None
    value = columns[name][row]
    value = value.as_py() if isinstance(value, pa.Scalar) else int(value)
    return None if value == NULL_OPTION[name] else value


def _lines(record: RecordOrders, place: int) -> tuple[tuple[Any, ...], ...]:
    columns = record.lines
    return tuple(
        (int(columns["sku"][at]), int(columns["quantity"][at]), *(option(columns, name, at) for name in LINE_OPTIONS))
        for at in range(record.first_line[place], record.first_line[place + 1])
    )


def _parts(engine: Engine, row: int) -> tuple[tuple[int, int, int, int, int], ...]:
    """Where the units of an open order are."""
    state = engine.state
    held = read(state, np.array([row], np.int32))
    metres = state.places.metres[state.book.orders.postal_code[row], held.node]
    metres[held.node == NO_NODE] = 0
    columns = (owners(offsets(held.part_count)) + 1, held.node, held.stage, held.part_quantity, metres)
    return tuple(zip(*(column.tolist() for column in columns), strict=True))


def _page(engine: Engine, namespace: Namespace, first: int, count: int) -> tuple[slice, pa.StringArray, int]:
    """Rows of a page, their texts, and where the next one begins."""
    names = engine.state.names[namespace]
    known = len(names)
    first, last = min(first, known), min(first + count, known)
    texts = names.texts(np.arange(first, last, dtype=np.int32))
    return slice(first, last), texts, last if last < known else NONE


def nodes(engine: Engine, first: int, count: int) -> NodePage:
    """A page of nodes, from the node `first` on."""
    rows, texts, following = _page(engine, Namespace.NODE, first, count)
    place = engine.state.nodes
    latitude, longitude, active = (
        column[rows].copy() for column in (place.latitude_e7, place.longitude_e7, place.flag)
    )
    days = engine.state.days
    return NodePage(texts, latitude, longitude, active, days.terms[rows].copy(), days.taken[rows].copy(), following)


def skus(engine: Engine, first: int, count: int) -> SkuPage:
    """A page of SKUs, from the SKU `first` on."""
    _, texts, following = _page(engine, Namespace.SKU, first, count)
    return SkuPage(texts, following)


def channels(engine: Engine, first: int, count: int) -> ChannelPage:
    """A page of channels, from the channel `first` on."""
    rows, texts, following = _page(engine, Namespace.CHANNEL, first, count)
    state = engine.state
    figures = {name: getattr(state.policies, name)[rows].copy() for name in ("priority", "split", *POLICY_FIGURES)}
    return ChannelPage(
        texts, state.groups[rows].copy(), on_short=state.on_short[rows].copy(), closed=state.closed[rows].copy(),
        preferred=state.policies.preferred[rows].copy(), excluded=state.excluded[rows].copy(),
        next_channel=following, **figures,
    )  # fmt: skip


def postal_code_places(engine: Engine, codes: pa.StringArray) -> tuple[Any, Any, Any]:
    """bool, int32, int32 [code]: whether a postal code was placed, and where, in ten-millionths of a degree."""
    state = engine.state
    index = state.names[Namespace.POSTAL_CODE].find(codes)
    place = state.postal_codes
    return index >= 0, place.latitude_e7[index], place.longitude_e7[index]


def stock_of(engine: Engine, sku: int) -> StockPage:
    """One SKU at every node that has any figure of it."""
    rows = engine.state.cells.row_of[sku : sku + 1]
    return _cells(engine, np.array([sku], np.int32), rows, None, NONE)


def stock_page(engine: Engine, first_sku: int, count: int, node: int | None = None) -> StockPage:
    """The cells of the next `count` SKUs that have any figure, from `first_sku` on; of one node where it is given.

    A page may be shorter, even empty, where it took long to find them: `next_sku` says whether others may follow.
    """
    state = engine.state
    known = len(state.names[Namespace.SKU])
    found: list[Any] = []
    missing, at, stop = count, first_sku, min(known, first_sku + LOOK_SKUS_MAX)
    while missing and at < stop:
        last = min(at + max(missing, 64), stop)
        rows = state.cells.row_of[at:last]
        held = np.flatnonzero(rows != NONE)
        held = held[_has_figure(engine, rows[held], node)][:missing]
        found.append((held + at).astype(np.int32))
        missing -= held.size
        at = last if missing else int(found[-1][-1]) + 1
    sku = np.concatenate(found) if found else np.empty(0, np.int32)
    return _cells(engine, sku, state.cells.row_of[sku], node, at if at < known else NONE)


def _has_figure(engine: Engine, rows: Any, node: int | None) -> Any:
    """bool [row]: whether a row of cells has any figure, at a node or at any."""
    nodes_of = slice(0, engine.state.node_count) if node is None else slice(node, node + 1)
    return engine.state.cells.figures[rows, nodes_of].any(axis=(1, 2))


def _cells(engine: Engine, sku: Any, rows: Any, node: int | None, next_sku: int) -> StockPage:
    """The cells of rows that have any figure."""
    state = engine.state
    first = 0 if node is None else node
    last = state.node_count if node is None else node + 1
    with_row = rows != NONE
    sku, rows = sku[with_row], rows[with_row]
    figures = state.cells.figures[rows, first:last]
    at, offset = np.nonzero(figures.any(axis=2))
    return StockPage(
        state.sequence, sku[at], (offset + first).astype(np.int32), figures[at, offset][:, list(FIGURES)],
        state.cells.available[rows[at], offset + first], next_sku,
    )  # fmt: skip


def supply_page(
    engine: Engine, first_sku: int, count: int, sku: int | None = None, node: int | None = None
) -> SupplyPage:
    """What is expected of the next `count` SKUs of which anything is, from `first_sku` on; of one SKU, or at one node,
    where it is given."""
    expected = engine.state.expected
    skus = expected.skus(first_sku) if sku is None else [sku]
    rows: list[tuple[int, ...]] = []
    done = 0
    for one in skus[:count]:
        if len(rows) > SUPPLY_ROWS:
            break
        done += 1
        dated, bound = expected.of(one), expected.bound.get(one, NOTHING_BOUND)
        waiting: Counter[tuple[int, int]] = Counter()
        for at, reference, units in zip(
            bound.node.tolist(), bound.reference.tolist(), bound.units.tolist(), strict=True
        ):
            waiting[at, reference] += units
        for at, reference, units, due_at in zip(*(column.tolist() for column in dated), strict=True):
            if node is None or at == node:
                rows.append((one, at, units, waiting[at, reference], reference, due_at))
    table = np.array(rows, np.int64).reshape(-1, 6)
    skus_of, nodes_of, units_of, bound_of = (table[:, place].astype(np.int32) for place in range(4))
    following = skus[done] if len(skus) > done else NONE
    return SupplyPage(
        engine.state.sequence, skus_of, nodes_of, units_of, bound_of, table[:, 4].copy(), table[:, 5].copy(), following
    )  # fmt: skip
