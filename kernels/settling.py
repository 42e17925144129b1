"""What follows for orders at the end of a commit, whatever happened to them in it: shipments shrink to the units that
are still there, nobody pays for more than he gets, and what is not needed of an authorisation is let go of.

And which orders nobody has paid in time.
"""

import numpy as np

from kernels.columns import LESSENED, NONE, Book, OrderKind
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
from kernels.money import charged, is_to_be_paid, paid, to_come
from kernels.options import I32, I64, U8, kernel, leaf
from kernels.shipments import at_node, claimed
from kernels.telling import (
    STEPS,
    Carrying,
    Told,
    being_captured,
    carry_out,
    give_back,
    has_room,
    has_rows,
    push,
    push_again,
    push_new,
)

_ORDER = int(OrderKind.ORDER)
_PAYMENT, _REFUND, _SHIPMENT = int(DocumentKind.PAYMENT), int(DocumentKind.REFUND), int(DocumentKind.SHIPMENT)
_ASK_VOID, _VOID, _SHRINK, _RECALL = int(Step.ASK_VOID), int(Step.VOID), int(Step.SHRINK), int(Step.RECALL)
_TAKE_BACK, _LAPSE, _LESSENED = int(Step.TAKE_BACK), int(Step.LAPSE), LESSENED
_IS_BOOKED, _IS_RECALLED = int(ShipmentState.BOOKED), int(ShipmentState.RECALLED)
_PENDING, _IS_AUTHORISED, _IS_CAPTURED, _, _VOIDING, _VOIDED, _IS_LAPSED = (int(state) for state in PaymentState)
_AMOUNT, _AUTHORISED, _CAPTURING, _CAPTURED, _REFUNDING, _REFUNDED, _UNTIL = (
    int(figure) for figure in list(PaymentFigure)[:7]
)
_PAY, _CAPTURE, _SOURCE, _TO_EXCHANGE = int(Step.PAY), int(Step.CAPTURE), int(RefundTo.SOURCE), int(RefundTo.EXCHANGE)
_BY_EXCHANGE = int(PayMethod.EXCHANGE)
_METHOD, _CASH, _BY_CHANNEL = METHOD_BITS, int(PayMethod.CASH_ON_DELIVERY), int(PayMethod.CHANNEL)

assert TAKEN >= 8


@leaf
def _fit_shipments(told: Told, book: Book, order: int, stamp: int) -> bool:
    """Push what shipments need that have more units than there are at their node, the newest first, or none any more;
    whether there was any. Not always for all of them: as many as there is room for."""
    documents, items, begin, room = book.documents, book.items, told.counts[STEPS], np.int64(8)
    document = documents.of_order[order] - 1
    while document >= 0:
        room += 1
        if documents.kind[document] == _SHIPMENT and documents.state[document] <= _IS_BOOKED:
            units, node, item = np.int64(0), documents.node[document], documents.of[document]
            while item != NONE:
                if items.units[item] > 0:
                    units += items.units[item]
                    line = items.line[item]
                    beyond = claimed(book, document, line, node) - at_node(book, line, node, False)
                    if beyond > 0:
                        place = push(told, book, NONE, document, _SHRINK, documents.state[document], 0, stamp, 0)
                        told.steps.of[place] = item
                        told.steps.units[place] = min(beyond, items.units[item])
                item = items.next[item]
                if told.counts[STEPS] - begin >= room:
                    return True
            if units == 0:
                push(told, book, NONE, document, _RECALL, _IS_RECALLED, 0, stamp, 0)
        document = documents.next[document]
    return bool(told.counts[STEPS] > begin)


@leaf
def _lapse(told: Told, book: Book, order: int, stamp: int) -> bool:
    """Push that authorisations have ended; whether any had."""
    documents, begin = book.documents, told.counts[STEPS]
    document = documents.of_order[order] - 1
    while document >= 0:
        if documents.kind[document] == _PAYMENT and documents.state[document] == _IS_AUTHORISED:
            of = documents.figures
            if 0 < of[document, _UNTIL] <= stamp and of[document, _CAPTURING] == 0:
                push(told, book, NONE, document, _LAPSE, _IS_LAPSED, 0, stamp, 0)
        document = documents.next[document]
    return bool(told.counts[STEPS] > begin)


@leaf
def _take_back(told: Told, book: Book, order: int, stamp: int, amount: int) -> None:
    """Push that so much of what was given back beyond what units were worth is owed again: on its newest refund."""
    documents = book.documents
    document = documents.of_order[order] - 1
    while documents.kind[document] != _REFUND:
        document = documents.next[document]
    push(told, book, NONE, document, _TAKE_BACK, documents.state[document], amount, stamp, 0)


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
def _settle_one(told: Told, book: Book, order: int, what: int, location: int, stamp: int) -> bool:
    """Push the next thing that an order needs; whether there was any."""
    if what & _LESSENED and _fit_shipments(told, book, order, stamp):
        return True
    if book.money.currency[order] == 0:
        return False
    if _lapse(told, book, order, stamp):
        return True
    beyond = min(-book.money.kept[order], -(charged(book, order) + to_come(book, order)))
    if beyond > 0:
        _take_back(told, book, order, stamp, beyond)
        return True
    owed, has_paid = charged(book, order) + to_come(book, order), paid(book, order)
    if has_paid > owed and has_paid > 0:
        before = told.counts[STEPS]
        give_back(told, book, order, location, min(has_paid - owed, has_paid), stamp, _SOURCE)
        return bool(told.counts[STEPS] > before)
    if owed - has_paid - being_captured(book, order) <= 0:
        return _let_go(told, book, order, stamp)
    return False


@kernel
def settle(
    rows: I32, what: U8, first: int, stamp: int, location: int, book: Book, with_: Carrying, told: Told
) -> int:  # fmt: skip
    """Do what orders need, rows [order] from `first` on; rows that are no order any more are passed over, and those for
    which the columns have no rows left: until something happens to them again. what [order]: TOUCHED and LESSENED.

    Writes the book and what is told. Returns the first order that was not settled, since what it may come to might not
    fit into `told`.
    """
    for i in range(first, rows.size):
        order = rows[i]
        if book.orders.kind[order] != _ORDER:
            continue
        if book.documents.of_order[order] == 0:
            continue
        while has_rows(book, order, with_.promised[0]):
            if not has_room(told, book, order):
                return i
            begin = told.counts[STEPS]
            if not _settle_one(told, book, order, what[i], location, stamp):
                break
            carry_out(told, book, begin, location, stamp, with_)
    return rows.size


@kernel
def transfer(
    source: I32, target: I32, amounts: I64, first: int, stamp: int, location: int, book: Book, with_: Carrying,
    told: Told,
) -> int:  # fmt: skip
    """What came back of orders pays for those that replace them, as far as it was paid; rows [order] from `first` on.

    Writes the book and what is told. Returns the first row that was not done, since it might not fit into `told`.
    """
    for i in range(first, source.size):
        if not has_room(told, book, source[i]) or not has_room(told, book, target[i]):
            return i
        if not has_rows(book, source[i], with_.promised[0]) or not has_rows(book, target[i], with_.promised[0]):
            continue  # what came back is given back then, once there are rows
        begin = told.counts[STEPS]
        most = paid(book, source[i]) - charged(book, source[i]) - to_come(book, source[i])
        wanted = max(0, min(amounts[i], most))
        given = wanted - give_back(told, book, source[i], location, wanted, stamp, _TO_EXCHANGE)
        if given > 0:
            place = push_new(told, book, NONE, target[i], location, _PAY, _PENDING, given, stamp, _BY_EXCHANGE)
            push_again(told, place, _CAPTURE, _IS_CAPTURED, given)
        carry_out(told, book, begin, location, stamp, with_)
    return source.size


@kernel
def find_unpaid(rows: I32, book: Book, stamp: int, unpaid: U8) -> None:
    """unpaid [order]: 1 where neither money nor an authorisation covers what is owed, nor a promise to pay in cash or
    by a marketplace."""
    documents = book.documents
    for i in range(rows.size):
        order, covered = rows[i], np.int64(0)
        unpaid[i] = 0
        if book.money.method[order] == _CASH or book.money.method[order] == _BY_CHANNEL:
            continue
        document = documents.of_order[order] - 1
        while document >= 0:
            if documents.kind[document] == _PAYMENT:
                of, state = documents.figures, documents.state[document]
                method, until = documents.flags[document] & _METHOD, of[document, _UNTIL]
                if state == _PENDING and (method == _CASH or method == _BY_CHANNEL):
                    covered += of[document, _AMOUNT]
                elif state == _IS_AUTHORISED and (until == 0 or until > stamp):
                    covered += max(of[document, _AUTHORISED], of[document, _CAPTURED])
                else:
                    covered += of[document, _CAPTURED]
                covered -= of[document, _REFUNDING] + of[document, _REFUNDED]
            document = documents.next[document]
        unpaid[i] = 1 if charged(book, order) + to_come(book, order) > covered else 0


@kernel
def find_owing(rows: I32, book: Book, owing: U8) -> None:
    """owing [order]: 1 where an order that is paid for here is not even: what it owes differs from what was paid."""
    for i in range(rows.size):
        order = rows[i]
        is_priced = book.money.currency[order] != 0 and is_to_be_paid(book, order)
        owing[i] = 1 if is_priced and charged(book, order) + to_come(book, order) != paid(book, order) else 0
