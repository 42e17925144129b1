"""What may come of a command, and why units or stock changed: the numbers that journal, answers and exports share.

`Reply` is in order of precedence: where several hold, the first is given. Kernel-level enums are in kernels/columns.py.
"""

from enum import IntEnum


class Method(IntEnum):
    """What was asked. An idempotency key belongs to one channel and one method."""

    PLACE_ORDER = 1
    RESERVE = 2
    RELEASE = 3
    ACT_ON_UNITS = 4
    MOVE_STOCK = 5
    PUT_CATALOGUE = 6
    CONFIRM = 7
    REALLOCATE = 8
    REEVALUATE = 9
    PUT_SUPPLY = 10
    TAKE_STEPS = 11
    PAYMENT = 12  # the ids of documents, and what gateways and carriers call them, are keys too
    SHIPMENT = 13
    RETURN = 14
    REFERENCE = 15


class Reply(IntEnum):
    """The outcome of one request. 1 to 4 are kernels.columns.Outcome: what became of an order or a reservation."""

    ALLOCATED = 1
    PARTLY = 2
    SHORT = 3
    REFUSED = 4
    DONE = 5
    KEY_CONFLICT = 16  # the key was used before with other content
    UNKNOWN_ORDER = 17
    UNKNOWN_RESERVATION = 18
    RESERVATION_EXPIRED = 19
    RESERVATION_ENDED = 20  # confirmed or released before
    UNKNOWN_LINE = 21
    NOT_ENOUGH_UNITS = 22  # fewer units in the stages that the action takes from
    STATEMENT_TOO_OLD = 23  # a later stock statement of the source was taken before
    FIGURE_OUT_OF_RANGE = 24  # a figure of stock would leave its limits
    ANSWER_ARCHIVED = 25  # the key is known, its first answer is in a segment that was moved away; nothing changed
    CHANNEL_CLOSED = 26  # a ring-fence for a channel that was taken away
    UNKNOWN_PAYMENT = 27
    UNKNOWN_REFUND = 28
    UNKNOWN_SHIPMENT = 29
    UNKNOWN_RETURN = 30
    WRONG_STATE = 31  # the document cannot do that from the state that it is in
    NO_PRICES = 32  # the order came without prices or a currency
    CURRENCY_MISMATCH = 33
    MORE_THAN_DUE = 34
    MORE_THAN_AUTHORISED = 35
    AUTHORISATION_LAPSED = 36
    MORE_THAN_CAPTURED = 37
    NOT_PAID = 38  # nothing leaves that is to be paid before
    NOTHING_TO_SHIP = 39
    NOT_DELIVERED = 40
    TOO_MANY_UNITS = 41
    TOO_LATE = 42  # the time for returns is over
    CONDITION_NOT_TAKEN = 43
    KIND_NOT_OFFERED = 44  # no exchanges by the policy
    TOO_MANY_DOCUMENTS = 45  # of one order
    METHOD_CANNOT = 46  # capture a part, or once more
    ALREADY_SHIPPED = 47  # units on their way cannot be cancelled
    SHIPS_BY_SHIPMENT = 48  # an order with prices ships and returns by shipments and returns
    NO_ROOM = 49  # rows for what it might come to are used up; nothing changed


class Cause(IntEnum):
    """Why units or stock changed."""

    PLACED = 1
    CONFIRMED = 2
    RELEASED = 3
    EXPIRED = 4
    RECEIPT = 5
    COUNT = 6
    ADJUSTMENT = 7
    RETURN = 8
    TRANSFER = 9
    ORDER = 10  # an action on an order's units: picked, packed, shipped, delivered, returned, cancelled
    REALLOCATED = 11  # their node was to be left
    REEVALUATED = 12  # another node is cheaper
    SUPPLY = 13  # dated supply was put, moved, cut or taken back
    CATALOGUE = 14  # nodes or channels were put
    NEW_DAY = 15  # a node's next day began
    SHORT_PICK = 16  # a picker did not find them
    UNPAID = 17  # nobody paid in time
    SHIPMENT = 18  # their shipment left, arrived, was lost or came back
    EXCHANGE = 19  # they replace what came back
    PAYMENT = 20  # a payment of their order went on
    BALANCE = 21  # what their order owes, or what of it is left, had changed


class MovementKind(IntEnum):
    """Stock movements that are not units of an order changing stage."""

    RECEIVED = 1
    COUNTED = 2
    ADJUSTED = 3
    RETURNED = 4
    UNAVAILABLE = 5  # quarantine, damage: the figure `unavailable`
    SAFETY_STOCK = 6


class Namespace(IntEnum):
    """What a name in the journal names."""

    NODE = 1
    SKU = 2
    CHANNEL = 3
    POSTAL_CODE = 4
    SOURCE = 5  # of stock statements
    WORD = 6  # currencies, payment methods, service levels


class EngineError(Exception):
    """Something the engine cannot do; the message names the field, the value and the mend."""


class OutOfRoom(EngineError):
    """A limit of the state is reached; nothing was changed."""
