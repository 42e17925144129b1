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
