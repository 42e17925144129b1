"""Reads of payments, refunds, shipments and returns as they stand. For the writer's thread, between commits.

Ids and what others call a document are in the journal only: they are read from the record that told them.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from engine import schema
from engine.apply import DOCUMENT_METHOD, PLACE_BITS, PLACE_MASK, hash_keys
from engine.commit import find_locations
from engine.journal import JournalMissing
from engine.outcomes import Method
from engine.reading import option
from engine.state import State
from engine.writer import Engine
from kernels.columns import NONE, OrderKind
from kernels.keys import FIRST_DOCUMENT
from kernels.life import DocumentKind, PaymentFigure, ShipmentFigure, ShipmentState
from kernels.shipments import would_collect


@dataclass(frozen=True)
class ItemNow:
    """Units of a line in a shipment."""

    line: int  # position, from 1
    sku: int
    units: int
    left: int  # still charged
    amounts: tuple[int, ...]  # kernels.life.ItemAmount


@dataclass(frozen=True)
class DocumentNow:
    """A document as it stands. Words and nodes are indices; NONE: none."""

    kind: DocumentKind
    number: int
    state: int
    how: int
    node: int
    flags: int
    figures: tuple[int, ...]
    of_number: int  # of a refund its payment, of a return its shipment; else 0
    line: int  # of a return, position from 1; else 0
    items: tuple[ItemNow, ...]
    id: str  # "": the engine made it, or its record was moved away
    reference: str  # "": nobody told
    channel: int


@dataclass(frozen=True)
class BalanceNow:
    """What an order with prices owes, minor units."""

    currency: int  # word
    to_come: int
    charged: int
    captured: int
    refunded: int
    pay_by: int


@dataclass(frozen=True)
class Placed:
    """How an order was taken in."""

    sequence: int
    stamp: int  # UTC us
    parts: tuple[tuple[int, int, int, int], ...]  # (line from 1, node or NO_NODE, stage, units) as decided


@dataclass(frozen=True)
class LifeNow:
    """What became of an order."""

    order: int  # number
    channel: int
    postal_code: int
    location: int  # of the order
    balance: BalanceNow | None
    documents: tuple[DocumentNow, ...]  # oldest first
    placed: "Placed | None"  # None: its record was moved away


@dataclass(frozen=True)
class OrderOf:
    """The order of a document."""

    number: int
    channel: int
    postal_code: int
    currency: int  # word; NONE: the order has no prices
    location: int


def order_row(state: State, channel: int, order_id: str) -> int:
    """The row of an open order, or NONE."""
    keys = hash_keys(state, np.array([channel], np.int16), Method.PLACE_ORDER, pa.array([order_id], pa.string()))
    locations, rows = find_locations(state, keys)
    row, orders = int(rows[0]), state.book.orders
    if row < 0 or orders.kind[row] != OrderKind.ORDER or orders.location[row] != locations[0]:
        return NONE
    return row


def document_row(state: State, kind: DocumentKind, channel: int, document_id: str) -> int:
    """The row of a document by its own id, or NONE."""
    return _row_by(state, kind, channel, Method(DOCUMENT_METHOD[kind - 1]), document_id)


def row_by_reference(state: State, kind: DocumentKind, how: int, reference: str) -> int:
    """The row of a document by what gateway or carrier `how`, a word, call it, or NONE."""
    return _row_by(state, kind, how, Method.REFERENCE, reference)


def row_by_number(state: State, kind: DocumentKind, number: int) -> int:
    """The row of a document by its number, or NONE."""
    row = state.numbers.row_of(number, state.book.documents)
    return row if row != NONE and state.book.documents.kind[row] == kind else NONE


def _row_by(state: State, kind: DocumentKind, space: int, method: Method, text: str) -> int:
    keys = hash_keys(state, np.array([space], np.int16), method, pa.array([text], pa.string()))
    locations, rows = find_locations(state, keys)
    row, documents = FIRST_DOCUMENT - int(rows[0]), state.book.documents
    if rows[0] > FIRST_DOCUMENT or documents.location[row] != locations[0] or documents.kind[row] != kind:
        return NONE
    return row


def life_of(engine: Engine, row: int) -> LifeNow:
    """What became of an open order. row: of the book."""
    state = engine.state
    rows, document = [], int(state.book.documents.of_order[row]) - 1
    while document >= 0:
        rows.append(document)
        document = int(state.book.documents.next[document])
    orders = state.book.orders
    return LifeNow(
        int(orders.number[row]), int(orders.channel[row]), int(orders.postal_code[row]), int(orders.location[row]),
        _balance(state, row, rows), tuple(document_now(engine, at) for at in reversed(rows)),
        _placed(engine, int(orders.location[row])),
    )  # fmt: skip


def _placed(engine: Engine, location: int) -> Placed | None:
    """location: of the order."""
    sequence, place = location >> PLACE_BITS, location & PLACE_MASK
    record = engine.first_answers.orders_of(sequence)
    if record is None:
        return None
    first = int(record.first_line[place])
    node, stage, quantity = (record.parts[name] for name in ("node", "stage", "quantity"))
    found = [
        (line - first + 1, int(node[part]), int(stage[part]), int(quantity[part]))
        for line in range(first, int(record.first_line[place + 1]))
        for part in range(int(record.first_part[line]), int(record.first_part[line + 1]))
    ]
    return Placed(sequence, engine.stamp_of(sequence), tuple(found))


def order_of(state: State, document: int) -> OrderOf:
    """The order of a document. document: its row."""
    row, orders = int(state.book.documents.order[document]), state.book.orders
    return OrderOf(
        int(orders.number[row]), int(orders.channel[row]), int(orders.postal_code[row]),
        int(state.book.money.currency[row]) - 1, int(orders.location[row]),
    )  # fmt: skip


def refunds_of(engine: Engine, payment: int) -> tuple["DocumentNow", ...]:
    """The refunds of a payment, oldest first. payment: its row."""
    documents, found = engine.state.book.documents, []
    document = int(documents.of_order[documents.order[payment]]) - 1
    while document >= 0:
        if documents.kind[document] == DocumentKind.REFUND and documents.of[document] == payment:
            found.append(document)
        document = int(documents.next[document])
    return tuple(document_now(engine, row) for row in reversed(found))


def told_with_order(engine: Engine, order: OrderOf) -> tuple[str, int]:
    """The id of an order, and until when it was promised, UTC us; "" and 0 where its record was moved away."""
    record = engine.first_answers.orders_of(order.location >> PLACE_BITS)
    if record is None:
        return "", 0
    place = order.location & PLACE_MASK
    promised = option(record.orders, "deliver_by", place)
    return record.orders["order_id"][place].as_py(), promised or 0


def document_now(engine: Engine, row: int, with_ids: bool = True) -> DocumentNow:
    """A document as it stands. row: of the documents. with_ids: read its own id and its reference from the journal."""
    state = engine.state
    documents, items = state.book.documents, state.book.items
    kind, of = DocumentKind(int(documents.kind[row])), int(documents.of[row])
    of_number = line = 0
    if kind is DocumentKind.REFUND:
        of_number = int(documents.number[of])
    elif kind is DocumentKind.RETURN:
        of_number, line = int(documents.number[items.document[of]]), _position(state, int(items.line[of]))
    found = []
    while kind is DocumentKind.SHIPMENT and of != NONE:
        at = int(items.line[of])
        found.append(
            ItemNow(
                _position(state, at), int(state.book.lines.sku[at]), int(items.units[of]), int(items.left[of]),
                tuple(items.amounts[of].tolist()),
            )
        )  # fmt: skip
        of = int(items.next[of])
    figures = documents.figures[row].tolist()
    if kind is DocumentKind.SHIPMENT and documents.state[row] <= ShipmentState.BOOKED:
        figures[ShipmentFigure.COLLECT] = would_collect(row, state.book, state.afterwards.around())
    location, number = int(documents.location[row]), int(documents.number[row])
    made = _told(engine, location >> PLACE_BITS, number, "document_id") if with_ids else ""
    referenced = int(documents.referenced[row]) if with_ids else 0
    return DocumentNow(
        kind, number, int(documents.state[row]), int(documents.how[row]), int(documents.node[row]),
        int(documents.flags[row]), tuple(figures), of_number, line, tuple(found), made,
        _told(engine, referenced, number, "reference") if referenced else "",
        int(state.book.orders.channel[documents.order[row]]),
    )  # fmt: skip


def _position(state: State, line: int) -> int:
    """Of a line in its order, from 1."""
    lines = state.book.lines
    at, position = int(state.book.orders.first[lines.order[line]]), 1
    while at != line:
        at, position = int(lines.next[at]), position + 1
    return position


def _told(engine: Engine, sequence: int, number: int, name: str) -> str:
    """What a commit told of a document; "" where it told nothing, or is not here any more."""
    try:
        tables = engine.tables_of(sequence)
    except JournalMissing:
        return ""
    text = ""
    for table, columns in tables:
        if table is schema.STEPS and columns.get(name) is not None:
            for at in np.flatnonzero(columns["number"] == number).tolist():
                text = columns[name][at].as_py() or text
    return text


def _balance(state: State, row: int, documents: list[int]) -> BalanceNow | None:
    money, book = state.book.money, state.book
    if money.currency[row] == 0:
        return None
    to_come, charged, line = 0, int(money.kept[row]), int(book.orders.first[row])
    while line != NONE:
        to_come += int(money.amounts[line].sum())
        line = int(book.lines.next[line])
    captured = refunded = 0
    for document in documents:
        figures = book.documents.figures[document]
        if book.documents.kind[document] == DocumentKind.PAYMENT:
            captured += int(figures[PaymentFigure.CAPTURED])
            refunded += int(figures[PaymentFigure.REFUNDING] + figures[PaymentFigure.REFUNDED])
        elif book.documents.kind[document] == DocumentKind.SHIPMENT:
            item = int(book.documents.of[document])
            while item != NONE:
                charged += int(book.items.amounts[item].sum())
                item = int(book.items.next[item])
    return BalanceNow(int(money.currency[row]) - 1, to_come, charged, captured, refunded, int(money.pay_by[row]))
