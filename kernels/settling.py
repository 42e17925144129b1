"""What follows for orders at the end of a commit, whatever happened to them in it: shipments shrink to the units that
are still there, nobody pays for more than he gets, and what is not needed of an authorisation is let go of.

And which orders nobody has paid in time.
"""

from kernels.columns import NONE, Book, OrderKind
from kernels.documents import TAKEN
from kernels.life import (
    METHOD_BITS,
    DocumentKind,
    PaymentFigure,
    PaymentState,
    PayMethod,
    RefundTo,
    ShipmentState,
    Step,
)
from kernels.money import charged, paid, to_come
from kernels.options import I32, U8, kernel, leaf
from kernels.shipments import at_node, claimed
from kernels.telling import (
    STEPS,
    Carrying,
    Told,
    being_captured,
    carry_out,
    give_back,
    has_room,
    push,
    push_again,
    push_new,
)

_ORDER = int(OrderKind.ORDER)
_PAYMENT, _SHIPMENT = int(DocumentKind.PAYMENT), int(DocumentKind.SHIPMENT)
_ASK_VOID, _VOID, _SHRINK, _RECALL = int(Step.ASK_VOID), int(Step.VOID), int(Step.SHRINK), int(Step.RECALL)
_IS_BOOKED, _IS_RECALLED = int(ShipmentState.BOOKED), int(ShipmentState.RECALLED)
_PENDING, _IS_AUTHORISED, _IS_CAPTURED, _VOIDING, _VOIDED = (
    int(state)
    for state in (
        PaymentState.PENDING, PaymentState.AUTHORISED, PaymentState.CAPTURED, PaymentState.VOIDING, PaymentState.VOIDED,
    )
)  # fmt: skip
_AMOUNT, _AUTHORISED, _CAPTURING, _CAPTURED, _REFUNDING, _REFUNDED = (
    int(figure)
    for figure in (
        PaymentFigure.AMOUNT, PaymentFigure.AUTHORISED, PaymentFigure.CAPTURING, PaymentFigure.CAPTURED,
        PaymentFigure.REFUNDING, PaymentFigure.REFUNDED,
    )
)  # fmt: skip
_PAY, _CAPTURE, _SOURCE, _TO_EXCHANGE = int(Step.PAY), int(Step.CAPTURE), int(RefundTo.SOURCE), int(RefundTo.EXCHANGE)
_BY_EXCHANGE = int(PayMethod.EXCHANGE)
_METHOD, _CASH = METHOD_BITS, int(PayMethod.CASH_ON_DELIVERY)

assert TAKEN >= 8


@leaf
def _fit_shipments(told: Told, book: Book, order: int, stamp: int) -> bool:
    """Push what the newest shipment needs that has more units than there are at its node, or none any more; whether
    there was one."""
    documents, items = book.documents, book.items
    document = documents.of_order[order] - 1
    while document >= 0:
        if documents.kind[document] == _SHIPMENT and documents.state[document] <= _IS_BOOKED:
            units, item = 0, documents.of[document]
            while item != NONE:
                line, node = items.line[item], documents.node[document]
                beyond = claimed(book, order, line, node) - at_node(book, line, node, False)
                if beyond > 0 and items.units[item] > 0:
                    state = documents.state[document]
                    place = push(told, book, NONE, document, _SHRINK, state, 0, stamp, 0)
                    told.steps.of[place] = item
                    told.steps.units[place] = min(beyond, items.units[item])
                    return True
                units += items.units[item]
                item = items.next[item]
            if units == 0:
                push(told, book, NONE, document, _RECALL, _IS_RECALLED, 0, stamp, 0)
                return True
        document = documents.next[document]
    return False


@leaf
def _let_go(told: Told, book: Book, order: int, stamp: int) -> bool:
    """Push that a payment is not needed; whether there was one."""
    documents = book.documents
    document = documents.of_order[order] - 1
    while document >= 0:
        state = documents.state[document]
        is_open = documents.kind[document] == _PAYMENT and (state == _PENDING or state == _IS_AUTHORISED)
        if is_open and documents.figures[document, _CAPTURED] == 0 and documents.figures[document, _CAPTURING] == 0:
            if documents.flags[document] & _METHOD >= _CASH:  # nobody outside knows of it
                push(told, book, NONE, document, _VOID, _VOIDED, 0, stamp, 0)
            else:
                push(told, book, NONE, document, _ASK_VOID, _VOIDING, 0, stamp, 0)
            return True
        document = documents.next[document]
    return False


@leaf
def _settle_one(told: Told, book: Book, order: int, location: int, stamp: int) -> bool:
    """Push the next thing that an order needs; whether there was any."""
    if _fit_shipments(told, book, order, stamp):
        return True
    if book.money.currency[order] == 0:
        return False
    owed, has_paid = charged(book, order) + to_come(book, order), paid(book, order)
    if has_paid > owed and has_paid > 0:
        before = told.counts[STEPS]
        give_back(told, book, order, location, min(has_paid - owed, has_paid), stamp, _SOURCE)
        return bool(told.counts[STEPS] > before)
    if owed - has_paid - being_captured(book, order) <= 0:
        return _let_go(told, book, order, stamp)
    return False


@kernel
def settle(rows: I32, first: int, stamp: int, location: int, book: Book, with_: Carrying, told: Told) -> int:
    """Do what orders need, rows [order] from `first` on; rows that are no order any more are passed over.

    Writes the book and what is told. Returns the first order that was not settled, since what it may come to might not
    fit into `told`.
    """
    for i in range(first, rows.size):
        order = rows[i]
        if book.orders.kind[order] != _ORDER:
            continue
        if book.documents.of_order[order] == 0:
            continue
        while True:
            if not has_room(told, book, order):
                return i
            begin = told.counts[STEPS]
            if not _settle_one(told, book, order, location, stamp):
                break
            carry_out(told, book, begin, location, stamp, with_)
    return rows.size


@kernel
def transfer(
    source: int, target: int, amount: int, stamp: int, location: int, book: Book, with_: Carrying, told: Told
) -> int:  # fmt: skip
    """What came back of one order pays for the one that replaces it, as far as it was paid. source, target: rows.

    Returns what was paid over. Writes the book and what is told, which has room.
    """
    most = paid(book, source) - charged(book, source) - to_come(book, source)
    wanted = max(0, min(amount, most))
    given = wanted - give_back(told, book, source, location, wanted, stamp, _TO_EXCHANGE)
    if given > 0:
        place = push_new(told, book, NONE, target, location, _PAY, _PENDING, given, stamp, _BY_EXCHANGE)
        push_again(told, place, _CAPTURE, _IS_CAPTURED, given)
    carry_out(told, book, 0, location, stamp, with_)
    return given


@kernel
def find_unpaid(rows: I32, book: Book, unpaid: U8) -> None:
    """unpaid [order]: 1 where neither money nor an authorisation nor a promise to pay in cash covers what is owed."""
    documents = book.documents
    for i in range(rows.size):
        order, covered = rows[i], 0
        document = documents.of_order[order] - 1
        while document >= 0:
            if documents.kind[document] == _PAYMENT:
                of, state = documents.figures, documents.state[document]
                if state == _PENDING and documents.flags[document] & _METHOD == _CASH:
                    covered += of[document, _AMOUNT]
                elif state == _IS_AUTHORISED:
                    covered += max(of[document, _AUTHORISED], of[document, _CAPTURED])
                else:
                    covered += of[document, _CAPTURED]
                covered -= of[document, _REFUNDING] + of[document, _REFUNDED]
            document = documents.next[document]
        owed = charged(book, order) + to_come(book, order)
        unpaid[i] = 1 if owed > covered else 0
