"""Orders, carts and what is asked about them, as rows for the batcher. The first fault is told.

Texts of the catalogue become indices here. One that the server may be able to name raises NotYetKnown.
"""

import hashlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from allot.v1 import orders_pb2, promises_pb2, reservations_pb2, types_pb2
from engine import money
from engine.answers import NULL_I64
from engine.intake.orders import (
    CHANNEL_CHARACTERS_MAX,
    CUSTOMER_CHARACTERS_MAX,
    LINE_UNITS_MAX,
    ORDER_ID_CHARACTERS_MAX,
    ORDER_LINES_MAX,
    ORDER_NODES_MAX,
    PRICE_MINOR_UNITS_MAX,
    SERVICE_LEVEL_CHARACTERS_MAX,
    SKU_CHARACTERS_MAX,
)
from engine.intake.postal_codes import POSTAL_CODE_CHARACTERS_MAX
from engine.lifecycle import Action
from engine.outcomes import Namespace
from kernels.columns import NO_NODE, NONE
from kernels.money import ORDER_AMOUNT_MAX
from server.batches import PAYMENT_METHODS
from server.errors import invalid
from server.gather import ActRow, ConfirmRow, OrderRow, ReleaseRow
from server.lookup import Lookup
from server.naming import NotYetKnown
from server.security import current_caller, holds_card_number, is_card_number
from server.validation.values import microseconds, number, request_id, text

_DAY = 86_400_000_000
HOLD_MICROSECONDS_MAX = 30 * _DAY
_CURRENCY = re.compile("[A-Z]{3}")
_TIMES = ("placed_at_us", "ship_by_us", "deliver_by_us", "pay_by_us")
_MONEY = ("unit_price", "discount", "tax", "line_discount", "line_tax")
_MONEY_OF_ORDERS = {
    "discount": "order_discount", "shipping_fee": "shipping_fee", "shipping_fee_tax": "shipping_fee_tax",
}  # fmt: skip


def order_row(draft: types_pb2.OrderDraft, lookup: Lookup, expires_at: int = 0) -> OrderRow:
    """An order or a cart. Raises Rejection, NotYetKnown."""
    order_id = text("order.order_id", draft.order_id, ORDER_ID_CHARACTERS_MAX)
    if is_card_number(order_id):
        raise invalid("order.order_id", "order.order_id: it is a card number: give an id", "CARD_NUMBER")
    channel = channel_of("order.channel", draft.channel, lookup)
    postal_code = _postal_code("order.postal_code", draft.postal_code, lookup)
    sku, quantity = _lines("order.lines", draft.lines, lookup)
    options = _options(draft, lookup)
    _check_prices(draft, options)
    if draft.currency and "unit_price" in options:
        options |= _frozen(quantity, options)
    return OrderRow(order_id, channel, postal_code, sku, quantity, options, expires_at)


def _check_prices(draft: types_pb2.OrderDraft, options: dict[str, Any]) -> None:
    """Refuse an order that tells a part of what it costs: it would owe nothing. Raises Rejection."""
    priced = [line.HasField("unit_price") for line in draft.lines]
    if all(priced) and draft.currency:
        return
    if any(priced) and not all(priced):
        where = f"order.lines[{priced.index(False)}].unit_price"
        raise invalid(where, f"{where}: other lines have one: give every line a price, or none", "PRICE_MISSING")
    told = [name for name in _MONEY_OF_ORDERS if getattr(draft, name)]
    told += [f"lines.{name}" for name in _MONEY if name in options]
    if told and not draft.currency:
        message = f"order.currency: {told[0]} is told, and in which currency not: give three capitals, as INR"
        raise invalid("order.currency", message, "VALUE_MISSING")
    if told:
        message = f"order.lines[0].unit_price: {told[0]} is told, and no price: give every line one"
        raise invalid("order.lines[0].unit_price", message, "PRICE_MISSING")


def _frozen(quantity: list[int], options: dict[str, Any]) -> dict[str, Any]:
    """What its lines come to, to the minor unit."""
    columns = {name: np.array(values if isinstance(values, list) else [values]) for name, values in options.items()}
    columns = {name: column for name, column in columns.items() if column.dtype.kind == "i"}
    found, fits = money.frozen(np.array([0, len(quantity)]), np.array(quantity, np.int32), columns)
    if not fits[0]:
        most = f"the order comes to more than {ORDER_AMOUNT_MAX:,} minor units"
        message = f"order.discount: discounts are more than the goods, or {most}: mend the prices"
        raise invalid("order.discount", message, "AMOUNT_OUT_OF_RANGE")
    return {name: column.tolist() for name, column in found.items()}


def cart_lines(request: promises_pb2.PromiseRequest, lookup: Lookup) -> tuple[int, int, list[int], list[int]]:
    """A cart to promise: channel, postal code, SKUs, units. Raises Rejection, NotYetKnown."""
    channel = channel_of("channel", request.channel, lookup)
    postal_code = _postal_code("postal_code", request.postal_code, lookup)
    return channel, postal_code, *_lines("lines", request.lines, lookup)


def cart_row(request: reservations_pb2.ReserveRequest, lookup: Lookup) -> OrderRow:
    """A cart to hold units for."""
    expires_at = microseconds("expires_at_us", request.expires_at_us)
    return order_row(request.order, lookup, expires_at)


def check_hold(expires_at: int, now: int) -> None:
    """Refuse a hold that would end too far ahead. Both in UTC microseconds."""
    if expires_at > now + HOLD_MICROSECONDS_MAX:
        days = HOLD_MICROSECONDS_MAX // _DAY
        message = f"expires_at_us: {expires_at} is more than {days} days ahead: hold the units for a shorter time"
        raise invalid("expires_at_us", message, "OUT_OF_RANGE")


def confirm_row(request: reservations_pb2.ConfirmRequest, lookup: Lookup) -> ConfirmRow:
    """A reservation to confirm."""
    place = request.postal_code
    return ConfirmRow(
        request_id(request.request_id), channel_of("channel", request.channel, lookup),
        text("reservation_id", request.reservation_id, ORDER_ID_CHARACTERS_MAX),
        text("order_id", request.order_id, ORDER_ID_CHARACTERS_MAX),
        _postal_code("postal_code", place, lookup) if place else NONE,
    )  # fmt: skip


def release_row(request: reservations_pb2.ReleaseRequest, lookup: Lookup) -> ReleaseRow:
    """A reservation to let go."""
    return ReleaseRow(
        request_id(request.request_id), channel_of("channel", request.channel, lookup),
        text("reservation_id", request.reservation_id, ORDER_ID_CHARACTERS_MAX),
    )  # fmt: skip


def cancel_row(request: orders_pb2.CancelOrderRequest, lookup: Lookup) -> ActRow:
    """Units to cancel."""
    return ActRow(
        write_key(request.request_id), channel_of("channel", request.channel, lookup),
        text("order_id", request.order_id, ORDER_ID_CHARACTERS_MAX),
        number("line", request.line, 0, ORDER_LINES_MAX), NO_NODE, Action.CANCEL,
        number("quantity", request.quantity, 0, LINE_UNITS_MAX), 0, actor_of(lookup),
    )  # fmt: skip


def write_key(value: str) -> str:
    """The idempotency key of a write. Customers have a space of their own: none of theirs is ever a shop's or a
    worker's, whose keys may be guessed."""
    key, customer = request_id(value), current_caller().customer
    if not customer:
        return key
    return "customer-" + hashlib.blake2b(f"{customer}\0{key}".encode(), digest_size=16).hexdigest()


def actor_of(lookup: Lookup) -> int:
    """The word of who makes the call."""
    return _word("token", current_caller().name, lookup)


def channel_of(field: str, name: str, lookup: Lookup) -> int:
    """The index of a channel that is known."""
    index = lookup.find(Namespace.CHANNEL, name)
    if index < 0:
        text(field, name, CHANNEL_CHARACTERS_MAX)
        raise invalid(field, f"{field}: {name!r} is not known: add it by PutChannel", "UNKNOWN_CHANNEL")
    return index


def _postal_code(field: str, code: str, lookup: Lookup) -> int:
    index = lookup.find(Namespace.POSTAL_CODE, code)
    if index < 0:
        text(field, code, POSTAL_CODE_CHARACTERS_MAX)
        raise NotYetKnown(field, Namespace.POSTAL_CODE, code)
    return index


def _lines(field: str, lines: Sequence[Any], lookup: Lookup) -> tuple[list[int], list[int]]:
    """SKUs and units."""
    count = len(lines)
    if not 1 <= count <= ORDER_LINES_MAX:
        reason = "TOO_MANY_LINES" if count else "NO_LINES"
        raise invalid(field, f"{field}: {count} lines: give 1 to {ORDER_LINES_MAX}", reason)
    sku: list[int] = []
    quantity: list[int] = []
    for line in lines:
        index = lookup.find(Namespace.SKU, line.sku)
        if index < 0 or not 1 <= line.quantity <= LINE_UNITS_MAX:
            raise _line_fault(f"{field}[{len(sku)}]", line)
        sku.append(index)
        quantity.append(line.quantity)
    return sku, quantity


def _line_fault(where: str, line: Any) -> Exception:
    if 1 <= line.quantity <= LINE_UNITS_MAX:
        text(f"{where}.sku", line.sku, SKU_CHARACTERS_MAX)
        message = f"{where}.sku: {line.sku!r} is not known: name it by PutSkus, or receive stock of it"
        return invalid(f"{where}.sku", message, "UNKNOWN_SKU")
    message = f"{where}.quantity: {line.quantity}: give 1 to {LINE_UNITS_MAX} units"
    return invalid(f"{where}.quantity", message, "QUANTITY_OUT_OF_RANGE")


def _options(draft: types_pb2.OrderDraft, lookup: Lookup) -> dict[str, Any]:
    """What the order tells beyond what every order tells."""
    options: dict[str, Any] = {}
    for name in _TIMES:
        if (at := getattr(draft, name)) != 0:
            options[name[:-3]] = microseconds(f"order.{name}", at)
    if draft.currency:
        if not _CURRENCY.fullmatch(draft.currency):
            message = f"order.currency: {draft.currency!r}: give three capitals, as INR"
            raise invalid("order.currency", message, "NOT_A_CURRENCY")
        options["currency"] = _word("order.currency", draft.currency, lookup)
    if draft.payment_method:
        if not 1 <= draft.payment_method <= len(PAYMENT_METHODS):
            message = f"order.payment_method: {draft.payment_method}: give 1 to {len(PAYMENT_METHODS)}"
            raise invalid("order.payment_method", message, "NOT_A_PAYMENT_METHOD")
        method = PAYMENT_METHODS[draft.payment_method - 1]
        options["payment_method"] = _word("order.payment_method", method, lookup)
    if draft.service_level:
        level = text("order.service_level", draft.service_level, SERVICE_LEVEL_CHARACTERS_MAX)
        if holds_card_number(level):
            raise invalid("order.service_level", "order.service_level: it looks like a card number", "CARD_NUMBER")
        options["service_level"] = _word("order.service_level", level, lookup)
    if draft.customer:
        options["customer"] = text("order.customer", draft.customer, CUSTOMER_CHARACTERS_MAX)
        if holds_card_number(draft.customer):
            message = "order.customer: it looks like a card number, and none is ever kept: give a reference"
            raise invalid("order.customer", message, "CARD_NUMBER")
    for name, option in _MONEY_OF_ORDERS.items():
        if amount := getattr(draft, name):
            options[option] = number(f"order.{name}", amount, 0, PRICE_MINOR_UNITS_MAX, "AMOUNT_OUT_OF_RANGE")
    for name in _MONEY:
        if any(line.HasField(name) for line in draft.lines):
            options[name] = [_amount(place, line, name) for place, line in enumerate(draft.lines)]
    if draft.nodes_max:
        options["nodes_max"] = number("order.nodes_max", draft.nodes_max, 0, ORDER_NODES_MAX)
    if draft.ship_complete:
        options["ship_complete"] = 1
    return options


def _amount(place: int, line: types_pb2.LineDraft, name: str) -> int:
    if not line.HasField(name):
        return int(NULL_I64)
    where = f"order.lines[{place}].{name}"
    return number(where, getattr(line, name), 0, PRICE_MINOR_UNITS_MAX, "AMOUNT_OUT_OF_RANGE")


def _word(field: str, word: str, lookup: Lookup) -> int:
    index = lookup.find(Namespace.WORD, word)
    if index < 0:
        raise NotYetKnown(field, Namespace.WORD, word)
    return index
