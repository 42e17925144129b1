"""Arrow batches of orders: from the columns on the wire to a command of the engine, and answers back into columns.

A bad order is rejected alone, with the first reason that holds; the others go on. Everything is done a column at a
time, away from the event loop. What `AllocateBatches` promises of the columns is in proto/allot/v1/orders.proto.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine import money
from engine.answers import NULL_I64, OrderAnswers
from engine.commands import PlaceOrders
from engine.intake.orders import (
    CUSTOMER_CHARACTERS_MAX,
    LINE_UNITS_MAX,
    ORDER_ID_CHARACTERS_MAX,
    ORDER_LINES_MAX,
    ORDER_NODES_MAX,
    PRICE_MINOR_UNITS_MAX,
    SERVICE_LEVEL_CHARACTERS_MAX,
)
from engine.intake.postal_codes import POSTAL_CODE_CHARACTERS_MAX
from engine.intake.values import text_faults
from engine.names import Names
from engine.outcomes import Namespace, Reply
from engine.ragged import offsets
from kernels.columns import NO_NODE, NONE
from kernels.messages import number_lines
from server.ipc import malformed, read_batch
from server.security import CARD_LIKE, DIVIDED_LIKE, holds_card_number, is_card_number
from server.validation.values import MICROSECONDS_MAX

TEXTS, TIMES, MONEY = (
    ("order_id", "channel", "postal_code", "currency", "payment_method", "service_level", "customer"),
    ("placed_at", "ship_by", "deliver_by", "pay_by"),
    ("unit_price", "discount", "tax", "line_discount", "line_tax"),
)
MONEY_OF_ORDERS = ("order_discount", "shipping_fee", "shipping_fee_tax")
NEEDED = ("order_id", "channel", "postal_code", "lines")
COUNTS, FLAGS = ("nodes_max",), ("ship_complete",)
_WHOLE_NUMBERS = (pa.uint8(), pa.int32(), pa.int64(), pa.uint32())
PAYMENT_METHODS = ("CARD", "UPI", "NET_BANKING", "WALLET", "CASH_ON_DELIVERY", "CHANNEL")
_WORDS = ("currency", "payment_method", "service_level")
COLUMN_BYTES_MAX = 16 << 20  # of the texts of a column, each row's counted
# Why an order of a batch is not taken. The place in this list stands in columns; 0: it is taken.
REASONS = (
    "", "EMPTY", "TOO_LONG", "CONTROL_CHARACTER", "UNKNOWN_CHANNEL", "OTHER_CHANNEL", "UNKNOWN_POSTAL_CODE", "NO_LINES",
    "TOO_MANY_LINES", "UNKNOWN_SKU", "QUANTITY_OUT_OF_RANGE", "AMOUNT_OUT_OF_RANGE", "NOT_A_TIME", "NOT_A_CURRENCY",
    "NOT_A_PAYMENT_METHOD", "CARD_NUMBER", "OUT_OF_RANGE", Reply.KEY_CONFLICT.name, Reply.ANSWER_ARCHIVED.name,
    "PRICE_MISSING",
)  # fmt: skip
_REASON = {reason: place for place, reason in enumerate(REASONS)}
FIELDS = (
    "", *TEXTS, *TIMES, *COUNTS, *MONEY_OF_ORDERS, "lines", "lines.sku", "lines.quantity",
    *(f"lines.{name}" for name in MONEY),
)  # fmt: skip
_FIELD = {name: place for place, name in enumerate(FIELDS)}


@dataclass
class Sieve:
    """Which orders of a batch are rejected, and why: the first reason given stands."""

    reason: Any  # uint8 [order] place in REASONS
    field: Any  # uint8 [order] place in FIELDS

    def refuse(self, name: str, reason: str, failing: Any) -> None:
        """failing: bool [order]."""
        rows = failing & (self.reason == 0)
        self.reason[rows] = _REASON[reason]
        self.field[rows] = _FIELD[name]


@dataclass
class Taken:
    """A batch as the engine takes it, with what was rejected beside it."""

    orders: int  # of the batch
    accepted: Any  # int64 [accepted order] its row in the batch
    command: PlaceOrders | None  # None: nothing was accepted
    sieve: Sieve
    unplaced: pa.Array | None = None  # postal codes that the engine does not know
    unnamed: list[pa.Array] = field(default_factory=list)  # words that it does not know


class OrderBatches:
    """Reads batches against the names of one engine."""

    def __init__(self, names: dict[Namespace, Names], orders_max: int, lines_max: int) -> None:
        self._names = names
        self._orders_max, self._lines_max = orders_max, lines_max

    def take(self, data: bytes, bound_channel: str = "") -> Taken:
        """A message as a command. Raises Rejection where nothing of it can be taken.

        bound_channel: the only one that the caller may use. Where `unplaced` or `unnamed` has anything, name it and
        take the batch again: its orders are rejected so far.
        """
        batch = read_batch(data, self._orders_max, self._lines_max)
        columns = columns_of(batch, NEEDED, TEXTS, TIMES, FLAGS, COUNTS, MONEY_OF_ORDERS)
        lines, first_line = self._lines(columns["lines"])
        count = batch.num_rows
        sieve = Sieve(np.zeros(count, np.uint8), np.zeros(count, np.uint8))
        taken = Taken(count, np.empty(0, np.int64), None, sieve)
        check_texts(sieve, columns)
        channel = self._channels(sieve, columns["channel"], bound_channel)
        postal_code = self._postal_codes(taken, columns["postal_code"])
        sku, quantity = self._check_lines(sieve, columns["lines"], lines, first_line)
        options = self._options(taken, columns, lines, first_line)
        frozen, fits = money.frozen(first_line, quantity, options, sieve.reason == 0)
        sieve.refuse("lines.discount", "AMOUNT_OUT_OF_RANGE", ~fits)
        _check_prices(sieve, options, first_line)
        options |= frozen
        order_id = _plain(columns["order_id"])
        taken.accepted = np.flatnonzero(sieve.reason == 0)
        if taken.accepted.size == count:
            taken.command = PlaceOrders(order_id, channel, postal_code, first_line, sku, quantity, options)
        elif taken.accepted.size:
            order_id = pc.fill_null(order_id, "")
            everything = PlaceOrders(order_id, channel, postal_code, first_line, sku, quantity, options)
            taken.command = everything.take(taken.accepted)
        return taken

    def _lines(self, lists: Any) -> tuple[pa.StructArray, Any]:
        """The lines of all orders, and where each order's begin, int64 [order + 1]."""
        starts = lists.offsets.to_numpy().astype(np.int64)
        lines = lists.values.slice(starts[0], starts[-1] - starts[0])
        if len(lines) > self._lines_max:
            raise malformed(f"{len(lines)} lines, at most {self._lines_max}: send smaller batches", "lines")
        return lines, starts - starts[0]

    def _channels(self, sieve: Sieve, column: pa.Array, bound_channel: str) -> Any:
        channel = self._names[Namespace.CHANNEL].find(column)
        sieve.refuse("channel", "UNKNOWN_CHANNEL", channel < 0)
        if bound_channel:
            only = self._names[Namespace.CHANNEL].find(pa.array([bound_channel]))[0]
            sieve.refuse("channel", "OTHER_CHANNEL", channel != only)
        return channel.astype(np.int16)

    def _postal_codes(self, taken: Taken, column: pa.Array) -> Any:
        postal_code = self._names[Namespace.POSTAL_CODE].find(column)
        unknown = (postal_code < 0) & (taken.sieve.reason == 0)
        if unknown.any():
            taken.unplaced = _plain(column.filter(pa.array(unknown))).unique()
            taken.sieve.refuse("postal_code", "UNKNOWN_POSTAL_CODE", unknown)
        return postal_code

    def _check_lines(self, sieve: Sieve, lists: Any, lines: pa.StructArray, first_line: Any) -> tuple[Any, Any]:
        counts = np.diff(first_line)
        missing = counts == 0
        if lists.null_count:
            missing |= np.asarray(lists.is_null())
        sieve.refuse("lines", "NO_LINES", missing)
        sieve.refuse("lines", "TOO_MANY_LINES", counts > ORDER_LINES_MAX)
        sku = self._names[Namespace.SKU].find(_field(lines, "sku"))
        _refuse_lines(sieve, "lines.sku", "UNKNOWN_SKU", sku < 0, first_line)
        quantity = _numbers(_field(lines, "quantity"), 0)
        _refuse_lines(
            sieve, "lines.quantity", "QUANTITY_OUT_OF_RANGE", (quantity < 1) | (quantity > LINE_UNITS_MAX), first_line
        )
        return sku, quantity.astype(np.int32, copy=False)

    def _options(self, taken: Taken, columns: dict[str, pa.Array], lines: pa.StructArray, first_line: Any) -> Any:
        """The optional columns that the batch has, nulls as the engine has them."""
        options: dict[str, Any] = {}
        for name in TIMES:
            if name in columns:
                options[name] = moment = _numbers(columns[name].cast(pa.int64()), NULL_I64)
                outside = (moment < 1) | (moment > MICROSECONDS_MAX)
                taken.sieve.refuse(name, "NOT_A_TIME", (moment != NULL_I64) & outside)
        for name in _WORDS:
            if name in columns:
                options[name] = self._words(taken, name, columns[name])
        if "customer" in columns:
            options["customer"] = pc.fill_null(_plain(columns["customer"]), "")
        for name in COUNTS:
            if name in columns:
                count = _numbers(columns[name], 0)
                taken.sieve.refuse(name, "OUT_OF_RANGE", (count < 0) | (count > ORDER_NODES_MAX))
                options[name] = count.astype(np.uint8)
        for name in FLAGS:
            if name in columns:
                options[name] = _numbers(columns[name].cast(pa.uint8()), 0)
        for name in MONEY_OF_ORDERS:
            if name in columns:
                options[name] = amount = _numbers(columns[name], NULL_I64)
                wrong = (amount != NULL_I64) & ((amount < 0) | (amount > PRICE_MINOR_UNITS_MAX))
                taken.sieve.refuse(name, "AMOUNT_OUT_OF_RANGE", wrong)
        for name in MONEY:
            if lines.type.get_field_index(name) >= 0:
                options[name] = _numbers(_field(lines, name), NULL_I64)
                amount = options[name]
                wrong = (amount != NULL_I64) & ((amount < 0) | (amount > PRICE_MINOR_UNITS_MAX))
                _refuse_lines(taken.sieve, f"lines.{name}", "AMOUNT_OUT_OF_RANGE", wrong, first_line)
        return options

    def _words(self, taken: Taken, name: str, column: pa.Array) -> Any:
        word = self._names[Namespace.WORD].find(column)
        unknown = (word < 0) & (taken.sieve.reason == 0)
        if unknown.any():
            new = _plain(column.filter(pa.array(unknown))).drop_null().unique()
            new = new.filter(pc.not_equal(new, ""))
            if len(new):
                taken.unnamed.append(new)
        return word.astype(np.int16)


def columns_of(
    batch: pa.RecordBatch, needed: Sequence[str], texts: Sequence[str], times: Sequence[str] = (),
    flags: Sequence[str] = (), counts: Sequence[str] = (), amounts: Sequence[str] = (),
) -> dict[str, pa.Array]:  # fmt: skip
    """The columns by name, each of a type that will do, `lines` among them. Raises Rejection."""
    names = batch.schema.names
    for name in needed:
        if names.count(name) != 1:
            raise malformed(f"the column is there {names.count(name)} times: give it once", name)
    if len(set(names)) < len(names):
        raise malformed("a column is there twice")
    for column in batch.schema:
        kind = column.type
        if column.name in texts:
            _need(column.name, kind, _is_text(kind), "string")
            _check_size(column.name, batch.column(column.name))
        elif column.name in times:
            _need(column.name, kind, kind in (pa.int64(), pa.timestamp("us", "UTC"), pa.timestamp("us")), "timestamp")
        elif column.name in flags:
            _need(column.name, kind, kind == pa.bool_(), "bool")
        elif column.name in counts:
            _need(column.name, kind, kind in _WHOLE_NUMBERS, "uint8")
        elif column.name in amounts:
            _need(column.name, kind, kind == pa.int64(), "int64")
        elif column.name == "lines" and "lines" in needed:
            _need_lines(kind)
        else:
            known = (*texts, *times, *flags, *counts, *amounts, *(["lines"] if "lines" in needed else []))
            raise malformed(f"no such column; there are {', '.join(known)}", column.name)
    return dict(zip(names, batch.columns, strict=True))


def _check_size(name: str, column: pa.Array) -> None:
    """Refuse a dictionary of few long texts that many rows name: as plain texts they would fill the memory."""
    if pa.types.is_dictionary(column.type):
        lengths = np.append(pc.binary_length(column.dictionary).fill_null(0).to_numpy().astype(np.int64), 0)
        count = int(lengths[column.indices.fill_null(lengths.size - 1).to_numpy()].sum())
        if count > COLUMN_BYTES_MAX:
            raise malformed(f"its texts have {count} bytes, at most {COLUMN_BYTES_MAX}: mend those that are long", name)


def _need_lines(kind: pa.DataType) -> None:
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    _need("lines", kind, is_list and pa.types.is_struct(kind.value_type), "list of struct")
    fields = {child.name: child.type for child in kind.value_type}
    for name in ("sku", "quantity"):
        if name not in fields:
            raise malformed("the field is missing", f"lines.{name}")
    if len(fields) < kind.value_type.num_fields:
        raise malformed("a field is there twice", "lines")
    for name, child in fields.items():
        if name == "sku":
            _need("lines.sku", child, _is_text(child), "string")
        elif name == "quantity":
            _need("lines.quantity", child, child in (pa.int32(), pa.int64(), pa.uint32()), "int32")
        elif name in MONEY:
            _need(f"lines.{name}", child, child == pa.int64(), "int64")
        else:
            raise malformed(f"no such field; there are sku, quantity, {', '.join(MONEY)}", f"lines.{name}")


def _need(name: str, kind: pa.DataType, suits: bool, wanted: str) -> None:
    if not suits:
        raise malformed(f"its type is {kind}, it must be {wanted}", name)


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _plain(column: pa.Array) -> pa.Array:
    column = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
    return column.cast(pa.string()) if pa.types.is_large_string(column.type) else column


def _field(lines: pa.StructArray, name: str) -> pa.Array:
    """A field of the lines; null where the line is."""
    return lines.flatten()[lines.type.get_field_index(name)]


def _numbers(column: pa.Array, null: int) -> Any:
    """The values, `null` where there is none."""
    return (column.fill_null(null) if column.null_count else column).to_numpy()


def _refuse_lines(sieve: Sieve, name: str, reason: str, failing: Any, first_line: Any) -> None:
    """failing: bool [line]; an order with such a line is rejected."""
    if failing.any():
        orders = np.zeros(first_line.size - 1, np.bool_)
        orders[np.searchsorted(first_line, np.flatnonzero(failing), side="right") - 1] = True
        sieve.refuse(name, reason, orders)


def _check_prices(sieve: Sieve, options: Mapping[str, Any], first_line: Any) -> None:
    """Refuse orders that tell a part of what they cost: they would owe nothing."""
    if "unit_price" in options:
        counts = np.append(0, np.cumsum(options["unit_price"] != NULL_I64))
        priced = counts[first_line[1:]] - counts[first_line[:-1]]
        sieve.refuse("lines.unit_price", "PRICE_MISSING", (priced > 0) & (priced < np.diff(first_line)))
        currency = options.get("currency", np.full(priced.size, NONE))
        sieve.refuse("currency", "EMPTY", (priced > 0) & (currency == NONE))


def check_texts(sieve: Sieve, columns: dict[str, pa.Array]) -> None:
    """Texts that are kept as they are. Those that must be known already are found or not."""
    limits = {
        "order_id": ORDER_ID_CHARACTERS_MAX, "customer": CUSTOMER_CHARACTERS_MAX,
        "service_level": SERVICE_LEVEL_CHARACTERS_MAX, "postal_code": POSTAL_CODE_CHARACTERS_MAX,
    }  # fmt: skip
    for name, characters_max in limits.items():
        if name in columns:
            texts = pc.fill_null(_plain(columns[name]), "")
            for reason, failing in text_faults(texts, characters_max, needed=name in NEEDED):
                sieve.refuse(name, reason.name, failing)
    for name in ("customer", "service_level"):
        if name in columns:
            _refuse_texts(sieve, name, "CARD_NUMBER", columns, holds_no_card)
    if "order_id" in columns:
        _refuse_texts(sieve, "order_id", "CARD_NUMBER", columns, _is_no_card)
    if "currency" in columns:
        _refuse_texts(
            sieve, "currency", "NOT_A_CURRENCY", columns, lambda texts: pc.match_substring_regex(texts, "^[A-Z]{3}$")
        )
    if "payment_method" in columns:
        among = pa.array(PAYMENT_METHODS)
        _refuse_texts(sieve, "payment_method", "NOT_A_PAYMENT_METHOD", columns, lambda texts: pc.is_in(texts, among))


def holds_no_card(texts: pa.Array) -> pa.BooleanArray:
    """Which of some texts hold no card number."""
    like = pc.match_substring_regex(texts, CARD_LIKE)
    if not like.true_count:
        return pc.invert(like)
    pairs = zip(like.to_pylist(), texts.to_pylist(), strict=True)
    return pa.array([not (may and holds_card_number(text)) for may, text in pairs])


def _refuse_texts(sieve: Sieve, name: str, reason: str, columns: dict[str, pa.Array], suits: Any) -> None:
    """Refuse what does not suit; null and empty mean that nothing is told."""
    texts = pc.fill_null(_plain(columns[name]), "")
    good = pc.or_(pc.equal(texts, ""), suits(texts))
    sieve.refuse(name, reason, ~np.asarray(good.to_numpy(zero_copy_only=False)))


# Answers

REASON_WORDS = pa.array(REASONS)
FIELD_WORDS = pa.array(FIELDS)
_REFUSED = {int(reply): _REASON[reply.name] for reply in (Reply.KEY_CONFLICT, Reply.ANSWER_ARCHIVED)}


def answer_batch(taken: Taken, answers: OrderAnswers | None, node_ids: list[str]) -> bytes:
    """What became of each order of a batch, as an Arrow IPC stream."""
    outcome = np.zeros(taken.orders, np.uint8)
    number = np.zeros(taken.orders, np.int64)
    again = np.zeros(taken.orders, np.bool_)
    reason, name = taken.sieve.reason, taken.sieve.field
    part_counts = np.zeros(taken.orders, np.int64)
    if answers is None:
        parts = _no_parts(node_ids)
    else:
        rows = taken.accepted
        refused = answers.reply > Reply.REFUSED
        outcome[rows] = np.where(refused, 0, answers.reply)
        number[rows], again[rows] = answers.number, answers.again
        for reply, place in _REFUSED.items():
            conflicting = rows[answers.reply == reply]
            reason[conflicting], name[conflicting] = place, _FIELD["order_id"]
        part_counts[rows] = np.diff(answers.first_part[answers.first_line])
        parts = _parts(answers, node_ids)
    columns = {
        "outcome": pa.array(outcome), "number": pa.array(number), "again": pa.array(again),
        "reason": from_list(REASON_WORDS, reason), "field": from_list(FIELD_WORDS, name),
        "parts": pa.ListArray.from_arrays(pa.array(offsets(part_counts).astype(np.int32)), parts),
    }  # fmt: skip
    batch = pa.record_batch(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    return sink.getvalue().to_pybytes()


def from_list(words: pa.Array, places: Any) -> pa.DictionaryArray:
    """Words of a list; null where the place is 0."""
    mask = places == 0
    indices = pa.array(places.astype(np.int8), mask=mask if mask.any() else None)
    return pa.DictionaryArray.from_arrays(indices, words)


def _parts(answers: OrderAnswers, node_ids: list[str]) -> pa.StructArray:
    line, metres = np.empty(answers.node.size, np.int32), answers.metres
    number_lines(answers.first_line, answers.first_part, line)
    short = answers.node == NO_NODE
    is_any_short = short.any()
    if is_any_short:
        metres = np.where(short, np.int32(0), metres)
    node = pa.array(answers.node, mask=short if is_any_short else None)
    return part_structs(line, node, answers.part_quantity, metres, node_ids)


def _no_parts(node_ids: list[str]) -> pa.StructArray:
    none = np.empty(0, np.int32)
    return part_structs(none, pa.array(none.astype(np.int16)), none, none, node_ids)


def part_structs(line: Any, node: pa.Array, quantity: Any, metres: Any, node_ids: list[str]) -> pa.StructArray:
    node_id = pa.DictionaryArray.from_arrays(node, pa.array(node_ids, pa.string()))
    return pa.StructArray.from_arrays(
        [pa.array(line), node_id, pa.array(quantity), pa.array(metres)], ["line", "node_id", "quantity", "distance_m"]
    )


def _is_no_card(ids: pa.Array) -> pa.BooleanArray:
    like = pc.match_substring_regex(ids, DIVIDED_LIKE)
    if not like.true_count:
        return pc.invert(like)
    pairs = zip(like.to_pylist(), ids.to_pylist(), strict=True)
    return pa.array([not (may and is_card_number(text)) for may, text in pairs])
