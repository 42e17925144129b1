"""Steps of payments and refunds, row by row: authorised, captured, let go of, given back."""

import numpy as np

from kernels.columns import NONE, Book
from kernels.documents import FORGIVEN, REVERSED
from kernels.keys import KeyIndex
from kernels.life import (
    KEEPS_STATE,
    METHOD_BITS,
    NOT_ALLOWED,
    STEPS_PER_KIND,
    DocumentKind,
    PaymentFigure,
    PaymentFlag,
    PaymentState,
    PayMethod,
    RefundFigure,
    RefundState,
    RefundTo,
    Step,
    StepReply,
)
from kernels.money import can_be_captured, charged, to_come
from kernels.options import I64, kernel, leaf
from kernels.steps import (
    ABSENT,
    Answered,
    Around,
    Asked,
    Room,
    answer,
    check_new,
    find,
    find_names,
    happened_at,
    has_reference,
    of_kind,
    order_of,
)
from kernels.telling import STEPS, Carrying, Told, call_it, carry_out, has_room, has_rows, push, push_new, way_back

_PER_KIND, _NOT_ALLOWED, _KEEPS_STATE, _ABSENT, _FORGIVEN, _REVERSED = (
    STEPS_PER_KIND, NOT_ALLOWED, KEEPS_STATE, ABSENT, FORGIVEN, REVERSED,
)  # fmt: skip
_PAYMENT, _REFUND_KIND = int(DocumentKind.PAYMENT), int(DocumentKind.REFUND)
_PAY, _AUTHORISE, _ASK_CAPTURE, _CAPTURE = int(Step.PAY), int(Step.AUTHORISE), int(Step.ASK_CAPTURE), int(Step.CAPTURE)
_ASK_VOID, _ASK_REFUND, _REFUND_FAILED = int(Step.ASK_VOID), int(Step.ASK_REFUND), int(Step.REFUND_FAILED)
_CAPTURE_FAILED, _VOID, _LAPSE = int(Step.CAPTURE_FAILED), int(Step.VOID), int(Step.LAPSE)
_DONE, _CONFLICT, _UNKNOWN_PAYMENT, _WRONG_STATE, _NO_PRICES, _CURRENCY = (
    int(reply)
    for reply in (
        StepReply.DONE, StepReply.KEY_CONFLICT, StepReply.UNKNOWN_PAYMENT, StepReply.WRONG_STATE, StepReply.NO_PRICES,
        StepReply.CURRENCY_MISMATCH,
    )
)  # fmt: skip
_MORE_THAN_DUE, _MORE_THAN_AUTHORISED, _LAPSED, _MORE_THAN_CAPTURED, _METHOD_CANNOT, _NO_ROOM = (
    int(reply)
    for reply in (
        StepReply.MORE_THAN_DUE, StepReply.MORE_THAN_AUTHORISED, StepReply.AUTHORISATION_LAPSED,
        StepReply.MORE_THAN_CAPTURED, StepReply.METHOD_CANNOT, StepReply.NO_ROOM,
    )
)  # fmt: skip
_AMOUNT, _AUTHORISED, _, _CAPTURED, _REFUNDING, _REFUNDED, _, _CAPTURES = (int(figure) for figure in PaymentFigure)
_IS_PENDING, _IS_AUTHORISED, _IS_CAPTURED, _, _IS_VOIDING, _, _IS_LAPSED = (int(state) for state in PaymentState)
_REFUND_AMOUNT = int(RefundFigure.AMOUNT)
_IS_REFUNDED, _PARTS, _SEVERAL = int(RefundState.DONE), int(PaymentFlag.PARTS), int(PaymentFlag.SEVERAL)
_SOURCE, _BANK, _METHOD, _CASH = int(RefundTo.SOURCE), int(RefundTo.BANK), METHOD_BITS, int(PayMethod.CASH_ON_DELIVERY)


@leaf
def _promised(book: Book, order: int) -> int:
    """What payments of an order are for, as far as they still may bring it."""
    documents, total = book.documents, np.int64(0)
    document = documents.of_order[order] - 1
    while document >= 0:
        if documents.kind[document] == _PAYMENT:
            state, of = documents.state[document], documents.figures
            given_back = of[document, _REFUNDING] + of[document, _REFUNDED]
            if state == _IS_PENDING:
                total += of[document, _AMOUNT]
            elif state == _IS_AUTHORISED:
                total += max(of[document, _AUTHORISED], of[document, _CAPTURED]) - given_back
            else:
                total += of[document, _CAPTURED] - given_back
        document = documents.next[document]
    return total


@leaf
def _check_pay(asked: Asked, i: int, book: Book, order: int) -> tuple[int, int]:
    """The reply to a new payment, and what it is for."""
    if book.money.currency[order] == 0:
        return _NO_PRICES, 0
    if asked.currency[i] != NONE and asked.currency[i] + 1 != book.money.currency[order]:
        return _CURRENCY, 0
    due = charged(book, order) + to_come(book, order) - _promised(book, order)
    amount = asked.amount[i] if asked.amount[i] > 0 else due
    if amount > due or amount <= 0:
        return _MORE_THAN_DUE, 0
    return _DONE, amount


@leaf
def _check_payment(asked: Asked, i: int, book: Book, document: int, stamp: int) -> tuple[int, int]:
    """The reply to a step of a payment, and its amount; less than 0: it was so before."""
    step, of, flags = asked.step[i], book.documents.figures, book.documents.flags[document]
    amount = asked.amount[i]
    if (step == _AUTHORISE or step == _ASK_CAPTURE) and flags & _METHOD >= _CASH:
        return _METHOD_CANNOT, 0
    if asked.currency[i] != NONE and asked.currency[i] + 1 != book.money.currency[book.documents.order[document]]:
        return _CURRENCY, 0
    if step == _AUTHORISE:
        amount = amount if amount > 0 else of[document, _AMOUNT]
        return (_DONE if amount <= of[document, _AMOUNT] else _MORE_THAN_DUE), amount
    if step == _ASK_CAPTURE:
        left = can_be_captured(book, document, stamp)
        if of[document, _CAPTURES] > 0 and flags & _SEVERAL == 0:
            return _METHOD_CANNOT, 0
        amount = amount if amount > 0 else left
        if amount > left or amount == 0:
            return _MORE_THAN_AUTHORISED, 0
        if amount < left and flags & _PARTS == 0:
            return _METHOD_CANNOT, 0
        return _DONE, amount
    if step == _CAPTURE:
        limit = of[document, _AUTHORISED] if of[document, _AUTHORISED] > 0 else of[document, _AMOUNT]
        amount = amount if amount > 0 else limit
        if amount > limit:
            return _MORE_THAN_AUTHORISED, 0
        return _DONE, amount if amount > of[document, _CAPTURED] else -1
    return _DONE, 0


@leaf
def _payment_for(asked: Asked, i: int, book: Book, order: int, named: int) -> int:
    """The payment that has what is to be given back: the one named, else the newest; ABSENT."""
    documents = book.documents
    document = documents.of_order[order] - 1
    while document >= 0:
        if documents.kind[document] == _PAYMENT and (named < 0 or named == document):
            of = documents.figures
            left = of[document, _CAPTURED] - of[document, _REFUNDING] - of[document, _REFUNDED]
            if left >= asked.amount[i] and asked.amount[i] > 0:
                return int(document)
        document = documents.next[document]
    return _ABSENT


@leaf
def _ask_refund(asked: Asked, i: int, location: int, book: Book, order: int, named: int, told: Told) -> int:
    """Push a refund that somebody asks for; the reply."""
    if book.money.currency[order] == 0:
        return _NO_PRICES
    if asked.currency[i] != NONE and asked.currency[i] + 1 != book.money.currency[order]:
        return _CURRENCY
    payment = _payment_for(asked, i, book, order, named)
    if payment < 0:
        return _MORE_THAN_CAPTURED
    to, state = way_back(np.int64(book.documents.flags[payment]), np.int64(asked.flags[i] & 7))
    place = push_new(told, book, i, order, location, _ASK_REFUND, state, asked.amount[i], asked.at[i], to | _FORGIVEN)
    told.steps.of[place] = payment
    told.steps.how[place] = book.documents.how[payment]
    return _DONE


@leaf
def _pay(asked: Asked, i: int, location: int, book: Book, named: I64, known: int, told: Told) -> tuple[int, int, int]:
    """A new payment, or what is wrong with it: reply, number, whether it was there."""
    documents, order = book.documents, named[0]
    if known >= 0:
        same = documents.order[known] == order and documents.flags[known] == asked.flags[i]
        same = same and documents.how[known] == asked.how[i]
        same = same and (asked.amount[i] == 0 or asked.amount[i] == documents.figures[known, _AMOUNT])
        same = same and (asked.currency[i] == NONE or asked.currency[i] + 1 == book.money.currency[order])
        return (_DONE if same else _CONFLICT), (documents.number[known] if same else 0), 1 if same else 0
    reply = check_new(asked, i, book, named, known)
    amount = np.int64(0)
    if reply == _DONE:
        reply, amount = _check_pay(asked, i, book, order)
    if reply == _DONE and named[2] != _ABSENT:
        reply = _CONFLICT
    if reply != _DONE:
        return reply, 0, 0
    place = push_new(told, book, i, order, location, _PAY, _IS_PENDING, amount, asked.at[i], asked.flags[i])
    told.steps.how[place] = asked.how[i]
    if has_reference(asked, i):
        call_it(told, place, asked.how[i], location)
    return _DONE, told.steps.number[place], 0


@leaf
def _new_refund(asked: Asked, i: int, location: int, book: Book, named: I64, told: Told) -> tuple[int, int, int]:
    """A new refund, or what is wrong with it."""
    reply, place = check_new(asked, i, book, named, _ABSENT), told.counts[STEPS]
    if reply == _DONE:
        reply = _ask_refund(asked, i, location, book, named[0], of_kind(book, named[1], _PAYMENT), told)
    return reply, (told.steps.number[place] if reply == _DONE else 0), 0


@leaf
def _is_told_by_its_own(asked: Asked, i: int, book: Book, document: int, named: I64) -> bool:
    """Whether what a row tells of a payment is told by its gateway, and under no other payment's name: neither of one
    that is known, nor of a second one in the place of the first, whose end is none of the first either."""
    documents = book.documents
    if asked.how[i] != NONE and documents.how[document] != NONE and asked.how[i] != documents.how[document]:
        return False
    if named[2] == document or not has_reference(asked, i):
        return True
    step, state = asked.step[i], documents.state[document]
    is_another = (
        step == _VOID or step == _LAPSE or step == _CAPTURE_FAILED or (step == _CAPTURE and state == _IS_CAPTURED)
    )
    is_another = is_another or (step == _AUTHORISE and (state == _IS_AUTHORISED or state == _IS_CAPTURED))
    return named[2] == _ABSENT and not (is_another and documents.referenced[document] != 0)


@leaf
def _advance_refund(asked: Asked, i: int, book: Book, document: int, to: int, told: Told) -> tuple[int, int, int]:
    """A step of a refund that is there. One that was done fails where its way is a gateway or a bank."""
    documents, flags = book.documents, np.int64(book.documents.flags[document])
    amount = documents.figures[document, _REFUND_AMOUNT]
    if asked.step[i] == _REFUND_FAILED and documents.state[document] == _IS_REFUNDED:
        if flags != _SOURCE and flags != _BANK:
            return _WRONG_STATE, 0, 0
        flags |= _REVERSED
    push(told, book, i, document, asked.step[i], to, amount, asked.at[i], flags)
    return _DONE, amount, 0


@leaf
def _advance(
    asked: Asked, i: int, stamp: int, location: int, book: Book, document: int, named: I64, around: Around, told: Told
) -> tuple[int, int, int]:  # fmt: skip
    """A step of a payment or refund that is there: reply, what it moves, whether it was so before."""
    documents, step = book.documents, asked.step[i]
    kind = step // _PER_KIND + 1
    if document < 0:
        return _UNKNOWN_PAYMENT + kind - 1, 0, 0
    to = np.int64(around.next_state[step, documents.state[document]])
    if to == _NOT_ALLOWED:
        has_ended = step == _ASK_CAPTURE and documents.state[document] == _IS_LAPSED
        return (_LAPSED if has_ended else _WRONG_STATE), 0, 0
    if kind == _PAYMENT and not _is_told_by_its_own(asked, i, book, document, named):
        return _CONFLICT, 0, 0
    if to == _KEEPS_STATE:
        return _DONE, 0, 1
    if kind == _REFUND_KIND:
        return _advance_refund(asked, i, book, document, to, told)
    reply, amount = _check_payment(asked, i, book, document, stamp)
    if reply != _DONE or amount < 0:
        return reply, 0, 1 if amount < 0 else 0
    if step == _AUTHORISE and asked.at[i] == 0 and documents.how[document] >= 0:
        held_for = around.held_for[documents.how[document]]
        asked.at[i] = stamp + held_for if held_for > 0 else 0
    authorised = documents.figures[document, _AUTHORISED]
    if step == _CAPTURE and documents.flags[document] & _SEVERAL and amount < authorised:
        to = np.int64(_IS_AUTHORISED)
    place = push(told, book, i, document, step, to, amount, asked.at[i], 0)
    if has_reference(asked, i):
        call_it(told, place, asked.how[i], location)
    if step == _AUTHORISE and to == _IS_VOIDING:  # nobody wants it any more
        push(told, book, NONE, document, _ASK_VOID, to, 0, stamp, 0)
    return _DONE, amount, 0


@kernel
def take_payments(
    asked: Asked, first: int, last: int, stamp: int, location: int, book: Book, index: KeyIndex, around: Around,
    with_: Carrying, told: Told, answered: Answered, room: Room,
) -> int:  # fmt: skip
    """Take what is asked of payments and refunds, rows [first, last), each upon what those before it left.

    stamp: of the commit, UTC us. location: of the commit's first document. Writes the book, the index, what is told,
    and the answers [row]. Returns the first row that was not taken, since what it may come to might not fit into
    `told`.
    """
    named = room.named
    for i in range(first, last):
        find_names(index, asked, i, book, named)
        makes = asked.step[i] % _PER_KIND == 0
        document = np.int64(NONE) if makes else find(asked, i, book, named)
        order = order_of(book, document, named)
        if order >= 0 and not has_room(told, book, order):
            return i
        if asked.step[i] != _AUTHORISE:  # of that: until when
            happened_at(asked, i, stamp)
        begin = told.counts[STEPS]
        if order >= 0 and not has_rows(book, order, with_.promised[0]):
            reply, quantity, again = _NO_ROOM, 0, 0
        elif asked.step[i] == _PAY:
            reply, quantity, again = _pay(asked, i, location, book, named, of_kind(book, named[1], _PAYMENT), told)
        elif makes:
            reply, quantity, again = _new_refund(asked, i, location, book, named, told)
        else:
            reply, quantity, again = _advance(asked, i, stamp, location, book, document, named, around, told)
        carry_out(told, book, begin, location, stamp, with_)
        answer(asked, i, begin, reply, quantity, again, index, told, answered, room)
    return last
