"""The words of the life of an order, as numbers: kinds of documents, their states, steps, figures and flags, accounts.

A document is a payment, a refund, a shipment or a return. What may follow what is data in engine/lifecycle.py; what a
step does is in kernels/documents.py. The numbers stand in the journal.
"""

from enum import IntEnum, IntFlag

FIGURES = 8  # of a document
STEPS_PER_KIND = 16
KEEPS_STATE, NOT_ALLOWED = 254, 255  # in the table of steps: taken without an effect; refused


class DocumentKind(IntEnum):
    """What a row of the document columns is."""

    FREE = 0
    PAYMENT = 1
    REFUND = 2
    SHIPMENT = 3
    RETURN = 4


class PaymentState(IntEnum):
    """Where a payment is. How much of it was captured and given back is in its figures."""

    PENDING = 1
    AUTHORISED = 2
    CAPTURED = 3
    FAILED = 4  # and may still be captured: a customer tries again
    VOIDING = 5
    VOIDED = 6
    LAPSED = 7  # its authorisation has ended


class RefundState(IntEnum):
    """Where a refund is."""

    ASKED = 1
    DONE = 2
    FAILED = 3


class ShipmentState(IntEnum):
    """Where a shipment is."""

    CREATED = 1
    BOOKED = 2
    SHIPPED = 3
    OUT_FOR_DELIVERY = 4
    DELIVERED = 5
    REFUSED = 6
    RETURNING = 7
    HOME = 8  # back at a node
    LOST = 9
    RECALLED = 10  # before it left


class ReturnState(IntEnum):
    """Where a return, exchange or claim is."""

    ASKED = 1
    APPROVED = 2
    COLLECTED = 3
    RECEIVED = 4
    CLOSED = 5
    REJECTED = 6
    WITHDRAWN = 7


class Step(IntEnum):
    """What happens to a document; STEPS_PER_KIND for each kind. The first of a kind makes the document."""

    PAY = 0
    AUTHORISE = 1
    ASK_CAPTURE = 2
    CAPTURE = 3
    CAPTURE_FAILED = 4
    FAIL = 5
    ASK_VOID = 6
    VOID = 7
    LAPSE = 8
    OPEN = 9  # a gateway waits for the customer to pay

    ASK_REFUND = 16
    REFUND = 17
    REFUND_FAILED = 18
    RETRY_REFUND = 19
    TAKE_BACK = 20  # of the engine alone: what was given back beyond what units were worth is owed again

    SEND = 32
    BOOK = 33
    SHIP = 34
    TRANSIT = 35
    OUT_FOR_DELIVERY = 36
    DELIVER = 37
    REFUSE = 38
    RETURNING = 39
    COME_HOME = 40
    LOSE = 41
    RECALL = 42
    ADD_ITEM = 43  # of the engine alone: units of a line are in it
    SHRINK = 44  # of the engine alone: units of an item were cancelled, or went to another node

    ASK_RETURN = 48
    APPROVE = 49
    REJECT = 50
    WITHDRAW = 51
    COLLECT = 52
    RECEIVE = 53
    INSPECT = 54
    CLOSE = 55


class PaymentFigure(IntEnum):
    """Minor units, but UNTIL."""

    AMOUNT = 0
    AUTHORISED = 1
    CAPTURING = 2  # asked for, not yet told
    CAPTURED = 3
    REFUNDING = 4  # asked for, and not done
    REFUNDED = 5
    UNTIL = 6  # UTC us, when the authorisation ends; 0: not told
    CAPTURES = 7  # how many were asked for, and did not fail


class RefundFigure(IntEnum):
    """Minor units."""

    AMOUNT = 0


class ShipmentFigure(IntEnum):
    """Minor units, and UTC us."""

    COLLECT = 0  # cash on delivery
    COST = 1  # of the carrier
    DUE_AT = 2
    SHIPPED_AT = 3
    DELIVERED_AT = 4
    SCANNED_AT = 5  # the latest moment that a scan told
    INVOICE = 6  # series << INVOICE_BITS | number; 0: none
    INVOICED_AT = 7


INVOICE_BITS = 40  # of the number of an invoice within its series, which is a tax region: its word + 1; 0: not known


class ReturnFigure(IntEnum):
    """Units, minor units, and UTC us."""

    UNITS = 0
    RECEIVED = 1
    ACCEPTED = 2
    TURNED_DOWN = 3
    CREDITED = 4  # minor units
    DUE_BY = 5  # UTC us, until when what is due is to be given back; 0: nothing came back yet
    FEE = 6  # minor units a unit that the customer pays for the way back
    REFUND_WITHIN = 7  # us from when units came back


class PayMethod(IntEnum):
    """How a payment is made. Up to CHANNEL as PaymentMethod of the contract."""

    CARD = 1
    UPI = 2
    NET_BANKING = 3
    WALLET = 4
    CASH_ON_DELIVERY = 5
    CHANNEL = 6  # a marketplace collected it: a receivable
    CREDIT = 7  # store credit
    EXCHANGE = 8  # what an exchanged unit was worth


METHOD_BITS = 15  # of the flags of a payment


class PaymentFlag(IntFlag):
    """What a method can, beside PayMethod in the flags of a payment."""

    PARTS = 16  # capture less than was authorised
    SEVERAL = 32  # capture more than once
    TO_SOURCE = 64  # give back by the way it came


class RefundTo(IntEnum):
    """The flags of a refund: where it goes."""

    SOURCE = 0
    CREDIT = 1
    BANK = 2  # paid out by hand, as of cash
    CHANNEL = 3
    EXCHANGE = 4


class TaxSplit(IntEnum):
    """The flags of a shipment: how its tax is split."""

    NONE = 0  # a region is not known
    WITHIN = 1  # CGST and SGST
    BETWEEN = 2  # IGST


class ReturnKind(IntEnum):
    """The lowest two bits of the flags of a return."""

    RETURN = 0
    EXCHANGE = 1
    CLAIM = 2


class ReturnFlag(IntFlag):
    """Beside ReturnKind in the flags of a return."""

    AS_CREDIT = 4
    KEEPS_SHIPPING = 8  # the share of the shipping fee is not given back


class Condition(IntEnum):
    """What state returned units are in, as the customer says; a policy names those that it takes."""

    NOT_TOLD = 0
    UNOPENED = 1
    UNUSED = 2
    USED = 3
    DAMAGED = 4
    DEFECTIVE = 5
    NOT_RECEIVED = 6  # missing in the parcel, of a claim


class Disposition(IntEnum):
    """What becomes of units that came back."""

    RESTOCK = 0
    QUARANTINE = 1
    SCRAP = 2
    TURN_DOWN = 3  # not accepted: nothing is given back


class Amount(IntEnum):
    """Minor units of a line of an order."""

    GOODS = 0  # price less every discount, before tax
    TAX = 1
    SHIPPING = 2  # its share of the fee, before tax
    SHIPPING_TAX = 3


class ItemAmount(IntEnum):
    """Minor units of an item of a shipment: the tax in its two halves, or all of it in the first."""

    GOODS = 0
    TAX = 1
    TAX_2 = 2
    SHIPPING = 3
    SHIPPING_TAX = 4
    SHIPPING_TAX_2 = 5


class Account(IntEnum):
    """Accounts of the ledger. A debit is above 0, a credit below."""

    CUSTOMER = 1  # what customers owe; below 0: what they paid ahead
    GATEWAY = 2  # captured, to be settled
    CARRIER = 3  # collected on delivery
    CHANNEL = 4  # collected by marketplaces
    BANK = 5  # paid out by hand
    REFUNDS = 6  # asked for, and not done
    CREDIT = 7  # store credit
    TRANSFER = 8  # between an order and its exchange; 0 after every commit
    SALES = 9
    SHIPPING = 10
    CGST = 11
    SGST = 12
    IGST = 13
    TAX = 14  # not split: a region is not known
    FEES = 15  # the way back, where the customer pays it
    GOODWILL = 16  # given back beyond what units were worth


class StepReply(IntEnum):
    """What the kernel says of a step; engine/outcomes.py has these among its replies, by the same numbers."""

    DONE = 5
    KEY_CONFLICT = 16
    UNKNOWN_ORDER = 17
    UNKNOWN_LINE = 21
    ANSWER_ARCHIVED = 25
    UNKNOWN_PAYMENT = 27
    UNKNOWN_REFUND = 28
    UNKNOWN_SHIPMENT = 29
    UNKNOWN_RETURN = 30
    WRONG_STATE = 31
    NO_PRICES = 32
    CURRENCY_MISMATCH = 33
    MORE_THAN_DUE = 34
    MORE_THAN_AUTHORISED = 35
    AUTHORISATION_LAPSED = 36
    MORE_THAN_CAPTURED = 37
    NOT_PAID = 38
    NOTHING_TO_SHIP = 39
    NOT_DELIVERED = 40
    TOO_MANY_UNITS = 41
    TOO_LATE = 42
    CONDITION_NOT_TAKEN = 43
    KIND_NOT_OFFERED = 44
    TOO_MANY_DOCUMENTS = 45
    METHOD_CANNOT = 46
    NO_ROOM = 49
