"""What a reply of the engine means for the caller: a result, or a call that failed. Services ask here after each
command.

The table is complete over engine.outcomes.Reply; a business outcome (an order that is short) is a result.
"""

import grpc

from engine.outcomes import Reply
from server.errors import Rejection

_Code = grpc.StatusCode
_FAILED: dict[Reply, tuple[grpc.StatusCode, str]] = {
    Reply.KEY_CONFLICT: (
        _Code.ALREADY_EXISTS, "was used before with other content: give a new one, or send the first content again"
    ),
    Reply.UNKNOWN_ORDER: (_Code.NOT_FOUND, "names no order of the channel: check the channel and the id"),
    Reply.UNKNOWN_RESERVATION: (_Code.NOT_FOUND, "names no reservation of the channel: check the channel and the id"),
    Reply.RESERVATION_EXPIRED: (_Code.FAILED_PRECONDITION, "names a reservation whose time has ended: reserve again"),
    Reply.RESERVATION_ENDED: (
        _Code.FAILED_PRECONDITION, "names a reservation that was confirmed or released before: reserve again"
    ),
    Reply.UNKNOWN_LINE: (_Code.NOT_FOUND, "is not a line of the order: lines are counted from 1"),
    Reply.NOT_ENOUGH_UNITS: (
        _Code.FAILED_PRECONDITION, "is more than there are in the stages that it is taken from: read the order first"
    ),
    Reply.STATEMENT_TOO_OLD: (
        _Code.FAILED_PRECONDITION, "is before the last statement of the source: count anew, and give the new time"
    ),
    Reply.FIGURE_OUT_OF_RANGE: (
        _Code.OUT_OF_RANGE,
        "would take a figure of stock out of its limits, 0 (on hand: -1,000,000,000) to 1,000,000,000: check the units",
    ),
    Reply.ANSWER_ARCHIVED: (
        _Code.FAILED_PRECONDITION,
        "was answered before, in a segment that was moved away: nothing was changed; put the segment back to read it",
    ),
    Reply.CHANNEL_CLOSED: (
        _Code.FAILED_PRECONDITION, "names a channel that is closed, which keeps no units: open it by PutChannel first"
    ),
    Reply.UNKNOWN_PAYMENT: (_Code.NOT_FOUND, "names no payment of the channel: check the channel and the id"),
    Reply.UNKNOWN_REFUND: (_Code.NOT_FOUND, "is no refund of that payment or order: read the order first"),
    Reply.UNKNOWN_SHIPMENT: (_Code.NOT_FOUND, "names no shipment: check the channel and the id, or the carrier"),
    Reply.UNKNOWN_RETURN: (_Code.NOT_FOUND, "names no return of the channel: check the channel and the id"),
    Reply.WRONG_STATE: (
        _Code.FAILED_PRECONDITION, "does not follow from the state that it is in: read it, LIFE.md says what may follow"
    ),
    Reply.NO_PRICES: (_Code.FAILED_PRECONDITION, "names an order that came without a currency and prices of its lines"),
    Reply.CURRENCY_MISMATCH: (_Code.FAILED_PRECONDITION, "is not the currency of the order: amounts are in that one"),
    Reply.MORE_THAN_DUE: (_Code.FAILED_PRECONDITION, "is more than is due, or nothing is: read what the order owes"),
    Reply.MORE_THAN_AUTHORISED: (_Code.FAILED_PRECONDITION, "is more than was authorised and is left: capture less"),
    Reply.AUTHORISATION_LAPSED: (
        _Code.FAILED_PRECONDITION, "is of an authorisation that has ended: let the customer authorise again"
    ),
    Reply.MORE_THAN_CAPTURED: (
        _Code.FAILED_PRECONDITION, "is more than any one payment has left that was captured and not given back"
    ),
    Reply.NOT_PAID: (_Code.FAILED_PRECONDITION, "is to be paid before it leaves, and is not: wait for its payment"),
    Reply.NOTHING_TO_SHIP: (
        _Code.FAILED_PRECONDITION, "has no units at the node that may leave and are in no other shipment"
    ),
    Reply.NOT_DELIVERED: (_Code.FAILED_PRECONDITION, "was not delivered by any shipment: cancel what has not left"),
    Reply.TOO_MANY_UNITS: (
        _Code.FAILED_PRECONDITION, "is more than there are: of one delivery, less what comes back already"
    ),
    Reply.TOO_LATE: (_Code.FAILED_PRECONDITION, "is after the time that the policy gives for it"),
    Reply.CONDITION_NOT_TAKEN: (_Code.FAILED_PRECONDITION, "is a condition that the policy does not take back"),
    Reply.KIND_NOT_OFFERED: (_Code.FAILED_PRECONDITION, "is not offered by the policy: ask for a return"),
    Reply.TOO_MANY_DOCUMENTS: (
        _Code.RESOURCE_EXHAUSTED, "has a thousand payments, refunds, shipments and returns, which is the limit"
    ),
    Reply.METHOD_CANNOT: (
        _Code.FAILED_PRECONDITION,
        "is what the method of payment cannot do: capture a part or a second time, or hold money first",
    ),
    Reply.NO_ROOM: (
        _Code.RESOURCE_EXHAUSTED,
        "might need rows that are not left (documents_max, items_max, parts_max): retire orders, or raise the limit",
    ),
    Reply.ALREADY_SHIPPED: (
        _Code.FAILED_PRECONDITION, "has left, which cannot be cancelled: ask for a return once it is delivered"
    ),
    Reply.SHIPS_BY_SHIPMENT: (
        _Code.FAILED_PRECONDITION, "is of an order with prices or shipments: ship and return it by these"
    ),
}  # fmt: skip
RESULTS = frozenset((Reply.ALLOCATED, Reply.PARTLY, Reply.SHORT, Reply.REFUSED, Reply.DONE))
_FIELDS = {
    Reply.UNKNOWN_ORDER: "order_id",
    Reply.UNKNOWN_RESERVATION: "reservation_id",
    Reply.RESERVATION_EXPIRED: "reservation_id",
    Reply.RESERVATION_ENDED: "reservation_id",
    Reply.UNKNOWN_LINE: "line",
    Reply.NOT_ENOUGH_UNITS: "quantity",
    Reply.STATEMENT_TOO_OLD: "counted_at_us",
    Reply.FIGURE_OUT_OF_RANGE: "quantity",
    Reply.CHANNEL_CLOSED: "fences.channel",
    Reply.UNKNOWN_PAYMENT: "payment_id",
    Reply.UNKNOWN_REFUND: "number",
    Reply.UNKNOWN_SHIPMENT: "shipment_id",
    Reply.UNKNOWN_RETURN: "return_id",
    Reply.WRONG_STATE: "step",
    Reply.NO_PRICES: "order_id",
    Reply.CURRENCY_MISMATCH: "currency",
    Reply.MORE_THAN_DUE: "amount",
    Reply.MORE_THAN_AUTHORISED: "amount",
    Reply.AUTHORISATION_LAPSED: "step",
    Reply.MORE_THAN_CAPTURED: "amount",
    Reply.NOT_PAID: "step",
    Reply.NOTHING_TO_SHIP: "order_id",
    Reply.NOT_DELIVERED: "line",
    Reply.TOO_MANY_UNITS: "quantity",
    Reply.TOO_LATE: "line",
    Reply.CONDITION_NOT_TAKEN: "condition",
    Reply.KIND_NOT_OFFERED: "kind",
    Reply.TOO_MANY_DOCUMENTS: "order_id",
    Reply.METHOD_CANNOT: "amount",
    Reply.NO_ROOM: "order_id",
    Reply.ALREADY_SHIPPED: "order_id",
    Reply.SHIPS_BY_SHIPMENT: "order_id",
}

assert RESULTS | _FAILED.keys() == set(Reply), "every reply is a result or a failure"


def rejection_of(reply: int, key_field: str = "request_id", prefix: str = "") -> Rejection | None:
    """Why the call failed; None where the reply is a result.

    key_field: the idempotency key's. prefix: of the other fields, as "order." where they are in a message of their own.
    """
    known = Reply(reply)
    if known in RESULTS:
        return None
    code, meaning = _FAILED[known]
    field = prefix + _FIELDS[known] if known in _FIELDS else key_field
    return Rejection(code, known.name, f"{field}: it {meaning}", field)


def check_reply(reply: int, key_field: str = "request_id", prefix: str = "") -> None:
    """Raise what `rejection_of` says."""
    rejection = rejection_of(reply, key_field, prefix)
    if rejection is not None:
        raise rejection
