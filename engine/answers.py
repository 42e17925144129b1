"""Answers, and the first answer again: a repeated key is answered from the journal, not from what became of the order
since.

`OrderAnswers` is built from the very tables that the journal gets, so the first answer and a later one come the same
way.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from engine import schema
from engine.commands import LINE_OPTIONS, ORDER_OPTIONS
from engine.journal import JournalMissing
from engine.outcomes import Cause
from engine.ragged import elements, offsets, rows_of

RECORDS_KEPT_MAX = 64
NULL_I64 = np.iinfo(np.int64).min
NULL_OF: dict[schema.Kind, Any] = {
    schema.Kind.I64: NULL_I64, schema.Kind.I16: -1, schema.Kind.TEXT: "", schema.Kind.U8: 0, schema.Kind.U64: 0,
}  # fmt: skip
NULL_OPTION = {
    column.name: NULL_OF[column.kind]
    for table in (schema.ORDERS, schema.LINES)
    for column in table.columns
    if column.optional
}


@dataclass(frozen=True)
class OrderAnswers:
    """What became of each order or reservation asked for, and which node gives what."""

    reply: Any  # uint8 [order] engine.outcomes.Reply
    number: Any  # int64 [order] the order's 64-bit id; 0 where there is no order
    again: Any  # bool [order] the first answer to a repeated key
    first_line: Any  # int64 [order + 1]
    sku: Any  # int32 [line]
    quantity: Any  # int32 [line] units ordered
    first_part: Any  # int64 [line + 1]
    node: Any  # int16 [part]
    stage: Any  # uint8 [part] kernels.columns.Stage
    part_quantity: Any  # int32 [part] units
    metres: Any  # int32 [part]


@dataclass(frozen=True)
class Replies:
    """Answers to requests that are not about the nodes of an order."""

    reply: Any  # uint8 [request] engine.outcomes.Reply
    quantity: Any  # int64 [request] units, or rows, that changed
    again: Any  # bool [request]


@dataclass(frozen=True)
class Reallocated:
    """What became of units that were to leave nodes, node by node."""

    reply: int  # engine.outcomes.Reply
    again: bool
    following: int  # number of the last order looked at, to go on after; 0: it was the last
    node: Any  # int16 [node] those concerned
    left: Any  # int64 [node] units that went from it to others
    arrived: Any  # int64 [node] units that came to it
    stayed: Any  # int64 [node] units that found no other node, and stay
    short: Any  # int64 [node] units that found no other node, and became short


@dataclass(frozen=True)
class Reevaluated:
    """What became of orders that were planned anew, node by node."""

    reply: int  # engine.outcomes.Reply
    again: bool
    saved: int  # minor units by the orders that were moved, what moving costs taken off
    node: Any  # int16 [node] those concerned
    left: Any  # int64 [node] units that went from it to others
    arrived: Any  # int64 [node] units that came to it
    stayed: Any  # int64 [node] 0
    short: Any  # int64 [node] 0


@dataclass(frozen=True)
class RecordOrders:
    """The orders and reservations of one record, side by side, with offsets."""

    orders: Mapping[str, Any]
    lines: Mapping[str, Any]
    parts: Mapping[str, Any]
    first_line: Any
    first_part: Any


def record_orders(tables: Sequence[tuple[schema.Table, Mapping[str, Any]]]) -> RecordOrders:
    """Gather the order tables of a record; a commit may hold several."""
    columns = [
        joined([c for t, c in tables if t is table], table) for table in (schema.ORDERS, schema.LINES, schema.PARTS)
    ]
    orders, lines, parts = columns
    return RecordOrders(orders, lines, parts, offsets(orders["line_count"]), offsets(lines["part_count"]))


def joined(pieces: Sequence[Mapping[str, Any]], table: schema.Table) -> Mapping[str, Any]:
    """Tables of one kind end to end; an optional column that one of them lacks is null there."""
    if len(pieces) == 1:
        return pieces[0]
    out: dict[str, Any] = {}
    for column in table.columns:
        if column.optional and not any(column.name in piece for piece in pieces):
            continue
        if column.kind is schema.Kind.TEXT:
            parts = [piece.get(column.name) for piece in pieces]
            sizes = [_rows(piece, table) for piece in pieces]
            filled = [pa.array([""] * n, pa.string()) if p is None else p for p, n in zip(parts, sizes, strict=True)]
            out[column.name] = pa.concat_arrays(filled) if filled else pa.array([], pa.string())
        else:
            dtype = schema.DTYPES[column.kind]
            filled = [
                piece[column.name]
                if column.name in piece
                else np.full(_rows(piece, table), NULL_OF[column.kind], dtype)
                for piece in pieces
            ]
            out[column.name] = np.concatenate(filled) if filled else np.empty(0, dtype)
    return out


def _rows(piece: Mapping[str, Any], table: schema.Table) -> int:
    return len(piece[next(c.name for c in table.columns if not c.optional)])


@dataclass(frozen=True)
class FirstRecord:
    """What one record answered: its orders, its other answers and what they say of nodes, and the reservations that it
    ended by their time."""

    orders: RecordOrders
    answers: Mapping[str, Any]
    reallocated: Mapping[str, Any]
    expired: Any  # int64 [reservation] numbers
    outcomes: Mapping[str, Any]


def first_record(tables: Sequence[tuple[schema.Table, Mapping[str, Any]]]) -> FirstRecord:
    """Gather what a record answered."""
    answers = joined([columns for table, columns in tables if table is schema.ANSWERS], schema.ANSWERS)
    moved = joined([columns for table, columns in tables if table is schema.REALLOCATED], schema.REALLOCATED)
    closures = joined([columns for table, columns in tables if table is schema.CLOSURES], schema.CLOSURES)
    outcomes = joined([columns for table, columns in tables if table is schema.OUTCOMES], schema.OUTCOMES)
    expired = closures["number"][closures["cause"] == Cause.EXPIRED]
    return FirstRecord(record_orders(tables), answers, moved, expired, outcomes)


class FirstAnswers:
    """Reads first answers back, by location. Keeps the records last used, since retries come together.

    What it says is None where the record's segment was archived and moved away: the key is known, its answer is not.
    """

    def __init__(
        self,
        read: Callable[[int], Sequence[tuple[schema.Table, Mapping[str, Any]]]],
        first_since: Callable[[int], int],
    ) -> None:
        self._read = read
        self._first_since = first_since
        self._kept: OrderedDict[int, FirstRecord] = OrderedDict()

    def orders_of(self, sequence: int) -> RecordOrders | None:
        """The orders of a record that is durable, or about to be."""
        record = self._record(sequence)
        return None if record is None else record.orders

    def forget(self, sequence: int) -> None:
        """Drop a record that was read while it still grew."""
        self._kept.pop(sequence, None)

    def reply_at(self, location: int) -> Mapping[str, Any] | None:
        """One row of the answers of a record."""
        record = self._record(location >> 20)
        place = location & ((1 << 20) - 1)
        return None if record is None else {name: column[place] for name, column in record.answers.items()}

    def reallocated_at(self, location: int) -> Mapping[str, Any] | None:
        """What one answer of a record says of nodes."""
        record = self._record(location >> 20)
        if record is None:
            return None
        return rows_of(record.reallocated, np.flatnonzero(record.reallocated["answer"] == location & ((1 << 20) - 1)))

    def outcomes_at(self, location: int) -> Mapping[str, Any] | None:
        """What one answer of a record says of each of many rows."""
        record = self._record(location >> 20)
        if record is None:
            return None
        return rows_of(record.outcomes, np.flatnonzero(record.outcomes["answer"] == location & ((1 << 20) - 1)))

    def has_expired(self, number: int, made_at: int, expires_at: int, sequence: int) -> bool | None:
        """Whether a reservation made in commit `made_at` was ended by its time; `sequence` is that of this commit.

        A commit ends what is due before all else. So the first one after the reservation that is stamped `expires_at`
        or later ended it, or it had ended by then.
        """
        try:
            due_in = max(made_at + 1, self._first_since(expires_at))
        except JournalMissing:
            return None
        if due_in > sequence:
            return False
        record = self._record(due_in)
        return None if record is None else bool((record.expired == number).any())

    def _record(self, sequence: int) -> FirstRecord | None:
        if sequence in self._kept:
            self._kept.move_to_end(sequence)
            return self._kept[sequence]
        try:
            record = first_record(self._read(sequence))
        except JournalMissing:
            return None
        self._kept[sequence] = record
        if len(self._kept) > RECORDS_KEPT_MAX:
            self._kept.popitem(last=False)
        return record


def same_content(record: RecordOrders, places: Any, command: Any, rows: Any) -> Any:
    """Whether orders of a record say what rows of a PlaceOrders or Reserve command say, field by field: bool [n]."""
    same = record.orders["postal_code"][places] == command.postal_code[rows]
    expires_at = getattr(command, "expires_at", None)
    same &= record.orders["expires_at"][places] == (0 if expires_at is None else expires_at[rows])
    same &= _same_options(record.orders, places, command.options, rows, ORDER_OPTIONS)
    counts = np.diff(record.first_line)[places]
    same &= counts == np.diff(command.first_line)[rows]
    alike = np.flatnonzero(same)  # only those have as many lines on both sides
    ours, theirs = elements(record.first_line, places[alike]), elements(command.first_line, rows[alike])
    lines = record.lines["sku"][ours] == command.sku[theirs]
    lines &= record.lines["quantity"][ours] == command.quantity[theirs]
    lines &= _same_options(record.lines, ours, command.options, theirs, LINE_OPTIONS)
    owner = np.repeat(alike, counts[alike])
    same[owner[~lines]] = False
    return same


def _same_options(
    ours: Mapping[str, Any], rows: Any, theirs: Mapping[str, Any], others: Any, names: Sequence[str]
) -> Any:
    """Whether optional values are equal: a column of nulls and a missing column are the same."""
    same = np.ones(rows.size, bool)
    for name in names:
        if name in ours or name in theirs:
            same &= _option(ours, name, rows) == _option(theirs, name, others)
    return same


def _option(columns: Mapping[str, Any], name: str, rows: Any) -> Any:
    if name not in columns:
        return NULL_OPTION[name]
    column = columns[name]
    if isinstance(column, np.ndarray):
        return column[rows]
    return np.array(column.take(pa.array(rows)).to_pylist(), object)


def from_record(orders: RecordOrders, places: Any, again: bool) -> OrderAnswers:
    """Answers about some orders of a record."""
    lines = elements(orders.first_line, places)
    parts = elements(orders.first_part, lines)
    reservation = orders.orders["outcome"][places]
    return OrderAnswers(
        reservation, orders.orders["number"][places], np.full(places.size, again),
        offsets(orders.orders["line_count"][places]), orders.lines["sku"][lines], orders.lines["quantity"][lines],
        offsets(orders.lines["part_count"][lines]), orders.parts["node"][parts], orders.parts["stage"][parts],
        orders.parts["quantity"][parts], orders.parts["metres"][parts],
    )  # fmt: skip


def without_order(reply: Any, again: bool = False) -> OrderAnswers:
    """Answers to requests that came to no order: conflicts, unknown or ended reservations, refusals given again."""
    count = len(reply)
    none_i32, none_i64 = np.empty(0, np.int32), np.zeros(1, np.int64)
    return OrderAnswers(
        np.asarray(reply, np.uint8), np.zeros(count, np.int64), np.full(count, again), np.zeros(count + 1, np.int64),
        none_i32, none_i32, none_i64, np.empty(0, np.int16), np.empty(0, np.uint8), none_i32, none_i32,
    )  # fmt: skip


def in_order(pieces: Sequence[OrderAnswers], rows: Sequence[Any]) -> OrderAnswers:
    """Put pieces together: row rows[k][i] of the result is row i of pieces[k]. Every row is given once."""
    back = np.empty(sum(piece.reply.size for piece in pieces), np.int64)
    back[np.concatenate(list(rows))] = np.arange(back.size)
    line_counts = np.concatenate([np.diff(piece.first_line) for piece in pieces])
    part_counts = np.concatenate([np.diff(piece.first_part) for piece in pieces])
    lines = elements(offsets(line_counts), back)
    parts = elements(offsets(part_counts), lines)

    def all_of(name: str) -> Any:
        return np.concatenate([getattr(piece, name) for piece in pieces])

    return OrderAnswers(
        all_of("reply")[back], all_of("number")[back], all_of("again")[back], offsets(line_counts[back]),
        all_of("sku")[lines], all_of("quantity")[lines], offsets(part_counts[lines]), all_of("node")[parts],
        all_of("stage")[parts], all_of("part_quantity")[parts], all_of("metres")[parts],
    )  # fmt: skip
