"""Steps of returns, exchanges and claims, row by row: by policy asked for, approved, received, looked at."""

import numpy as np

from kernels.columns import NO_NODE, NONE, Book
from kernels.documents import line_at
from kernels.keys import KeyIndex
from kernels.life import (
    KEEPS_STATE,
    NOT_ALLOWED,
    DocumentKind,
    ReturnFigure,
    ReturnFlag,
    ReturnKind,
    ReturnState,
    ShipmentFigure,
    ShipmentState,
    Step,
    StepReply,
)
from kernels.money import charged, is_to_be_paid, paid
from kernels.options import I64, kernel, leaf
from kernels.steps import (
    AUTO_APPROVES,
    EXCHANGES,
    REFUNDS_SHIPPING,
    Answered,
    Around,
    Asked,
    Room,
    answer,
    check_new,
    find,
    find_names,
    happened_at,
    of_kind,
    order_of,
)
from kernels.telling import STEPS, Carrying, Told, carry_out, has_room, has_rows, push, push_again, push_new

_NOT_ALLOWED, _KEEPS_STATE = NOT_ALLOWED, KEEPS_STATE
_AUTO, _SHIPPING_TOO, _EXCHANGES = AUTO_APPROVES, REFUNDS_SHIPPING, EXCHANGES
_SHIPMENT, _RETURN = int(DocumentKind.SHIPMENT), int(DocumentKind.RETURN)
_ASK_RETURN, _APPROVE, _WITHDRAW, _RECEIVE, _INSPECT, _CLOSE = (
    int(step)
    for step in (Step.ASK_RETURN, Step.APPROVE, Step.WITHDRAW, Step.RECEIVE, Step.INSPECT, Step.CLOSE)
)  # fmt: skip
_DONE, _CONFLICT, _UNKNOWN_LINE, _UNKNOWN_RETURN, _WRONG_STATE = (
    int(reply)
    for reply in (
        StepReply.DONE, StepReply.KEY_CONFLICT, StepReply.UNKNOWN_LINE, StepReply.UNKNOWN_RETURN,
        StepReply.WRONG_STATE,
    )
)  # fmt: skip
_NOT_PAID, _NOT_DELIVERED, _TOO_MANY_UNITS, _TOO_LATE, _CONDITION, _KIND_NOT_OFFERED, _NO_ROOM = (
    int(reply)
    for reply in (
        StepReply.NOT_PAID, StepReply.NOT_DELIVERED, StepReply.TOO_MANY_UNITS, StepReply.TOO_LATE,
        StepReply.CONDITION_NOT_TAKEN, StepReply.KIND_NOT_OFFERED, StepReply.NO_ROOM,
    )
)  # fmt: skip
_IS_DELIVERED = int(ShipmentState.DELIVERED)
_IS_ASKED, _IS_APPROVED, _IS_CLOSED = int(ReturnState.ASKED), int(ReturnState.APPROVED), int(ReturnState.CLOSED)
_UNITS, _RECEIVED, _ACCEPTED, _TURNED_DOWN = (int(figure) for figure in list(ReturnFigure)[:4])
_DELIVERED_AT = int(ShipmentFigure.DELIVERED_AT)
_PLAIN, _CLAIM, _EXCHANGE = int(ReturnKind.RETURN), int(ReturnKind.CLAIM), int(ReturnKind.EXCHANGE)
_KEEPS_SHIPPING, _AS_CREDIT = int(ReturnFlag.KEEPS_SHIPPING), int(ReturnFlag.AS_CREDIT)
_ASKED_FLAGS = 0x77  # of a return: those that the policy does not set


@leaf
def _policy(book: Book, order: int, line: int, around: Around) -> int:
    """The policy that holds: of the channel and category, of the category, of the channel, of all."""
    policies, channel = around.policies, book.orders.channel[order]
    category = around.category[book.lines.sku[line]] - 1
    best, found = -1, 0
    for policy in range(policies.channel.size):
        score = 0
        if policies.channel[policy] != NONE:
            score = 1 if policies.channel[policy] == channel else -8
        if policies.category[policy] != NONE:
            score += 2 if policies.category[policy] == category and category >= 0 else -8
        if score >= 0 and score >= best:
            best, found = score, policy
    return found


@leaf
def _on_its_way_back(book: Book, order: int, item: int) -> int:
    """Units of an item that open returns are about, and that were not looked at yet."""
    documents, units = book.documents, np.int64(0)
    document = documents.of_order[order] - 1
    while document >= 0:
        is_open = documents.kind[document] == _RETURN and documents.state[document] < _IS_CLOSED
        if is_open and documents.of[document] == item:
            of = documents.figures
            units += of[document, _UNITS] - of[document, _ACCEPTED] - of[document, _TURNED_DOWN]
        document = documents.next[document]
    return units


@leaf
def _check_return(asked: Asked, i: int, book: Book, order: int, stamp: int, around: Around) -> tuple[int, int, int]:
    """The reply to a new return, the item that it is of, and its policy."""
    documents, items = book.documents, book.items
    line = line_at(book, order, asked.line[i])
    if asked.line[i] < 1 or line == NONE:
        return _UNKNOWN_LINE, NONE, 0
    if asked.units[i] < 1:
        return _TOO_MANY_UNITS, NONE, 0
    policy, kind = _policy(book, order, line, around), asked.flags[i] & 3
    within = around.policies.claim_within[policy] if kind == _CLAIM else around.policies.return_within[policy]
    if kind == _EXCHANGE and around.policies.flags[policy] & _EXCHANGES == 0:
        return _KIND_NOT_OFFERED, NONE, policy
    is_paid_here = kind == _EXCHANGE and book.money.currency[order] != 0 and is_to_be_paid(book, order)
    if is_paid_here and paid(book, order) < charged(book, order):
        return _NOT_PAID, NONE, policy  # what came back is to pay for what replaces it
    reply = _NOT_DELIVERED
    document = documents.of_order[order] - 1
    while document >= 0:
        if documents.kind[document] == _SHIPMENT and documents.state[document] == _IS_DELIVERED:
            item = documents.of[document]
            while item != NONE:
                if items.line[item] == line:
                    left = items.left[item] - _on_its_way_back(book, order, item)
                    if left < asked.units[i]:
                        reply = max(reply, _TOO_MANY_UNITS)
                    elif within == 0 or documents.figures[document, _DELIVERED_AT] + within < stamp:
                        reply = max(reply, _TOO_LATE)
                    elif (around.policies.conditions[policy] >> ((asked.flags[i] >> 4) & 7)) & 1 == 0:
                        reply = max(reply, _CONDITION)
                    else:
                        return _DONE, item, policy
                item = items.next[item]
        document = documents.next[document]
    return reply, NONE, policy


@leaf
def _ask_return(
    asked: Asked, i: int, book: Book, order: int, item: int, policy: int, location: int, told: Told, around: Around
) -> int:  # fmt: skip
    """Push a new return, and that it is approved where the policy says so; where its step stands."""
    policies, kind = around.policies, asked.flags[i] & 3
    flags = asked.flags[i] & _ASKED_FLAGS
    if kind == _EXCHANGE:
        flags &= ~_AS_CREDIT
    if policies.flags[policy] & _SHIPPING_TOO == 0:
        flags |= _KEEPS_SHIPPING
    place = push_new(told, book, i, order, location, _ASK_RETURN, _IS_ASKED, 0, asked.at[i], flags)
    told.steps.of[place] = item
    told.steps.how[place] = asked.how[i]
    told.steps.line[place] = asked.line[i]
    told.steps.units[place] = asked.units[i]
    told.steps.node[place] = book.documents.node[book.items.document[item]]
    told.steps.fee[place] = policies.fee[policy] if kind == _PLAIN else 0
    told.steps.within[place] = policies.refund_within[policy]
    if policies.flags[policy] & _AUTO != 0 and kind != _CLAIM:  # a claim is paid as it is approved: by somebody
        push_again(told, place, _APPROVE, _IS_APPROVED, 0)
    return place


@leaf
def _check_bringing(asked: Asked, i: int, book: Book, document: int) -> tuple[int, int]:
    """The reply to a step of a return, and its units."""
    of, step = book.documents.figures, asked.step[i]
    inspected = of[document, _ACCEPTED] + of[document, _TURNED_DOWN]
    is_elsewhere = asked.node[i] != NO_NODE and asked.node[i] != book.documents.node[document]
    if step == _RECEIVE and is_elsewhere and of[document, _RECEIVED] > inspected:
        return _WRONG_STATE, 0  # what came before is still to be looked at, where it is
    if step == _RECEIVE or step == _INSPECT:
        upto = of[document, _UNITS] if step == _RECEIVE else of[document, _RECEIVED]
        left = upto - (of[document, _RECEIVED] if step == _RECEIVE else inspected)
        units = asked.units[i] if asked.units[i] > 0 else left
        if units > left or units == 0:
            return _TOO_MANY_UNITS, 0
        return _DONE, units
    if step == _APPROVE and book.documents.flags[document] & 3 == _CLAIM:
        return _DONE, of[document, _UNITS]
    if (step == _WITHDRAW and of[document, _RECEIVED] > 0) or (step == _CLOSE and inspected < of[document, _RECEIVED]):
        return _WRONG_STATE, 0
    return _DONE, 0


@leaf
def _ask(
    asked: Asked, i: int, stamp: int, location: int, book: Book, named: I64, known: int, around: Around, told: Told
) -> tuple[int, int, int]:  # fmt: skip
    """A new return, or what is wrong with it: reply, number, whether it was there."""
    documents, order = book.documents, named[0]
    if known >= 0:
        same = documents.order[known] == order and documents.figures[known, _UNITS] == asked.units[i]
        same = same and book.items.line[documents.of[known]] == line_at(book, order, asked.line[i])
        same = same and documents.how[known] == asked.how[i]
        same = same and documents.flags[known] & _ASKED_FLAGS == asked.flags[i] & _ASKED_FLAGS
        return (_DONE if same else _CONFLICT), (documents.number[known] if same else 0), 1 if same else 0
    reply = check_new(asked, i, book, named, known)
    if reply != _DONE:
        return reply, 0, 0
    reply, item, policy = _check_return(asked, i, book, order, stamp, around)
    if reply != _DONE:
        return reply, 0, 0
    place = _ask_return(asked, i, book, order, item, policy, location, told, around)
    return _DONE, told.steps.number[place], 0


@leaf
def _advance(
    asked: Asked, i: int, book: Book, document: int, around: Around, told: Told
) -> tuple[int, int, int]:  # fmt: skip
    """A step of a return that is there: reply, units, whether it was so before."""
    documents, step = book.documents, asked.step[i]
    if document < 0:
        return _UNKNOWN_RETURN, 0, 0
    to = np.int64(around.next_state[step, documents.state[document]])
    if to == _NOT_ALLOWED:
        return _WRONG_STATE, 0, 0
    if to == _KEEPS_STATE:
        return _DONE, 0, 1
    reply, units = _check_bringing(asked, i, book, document)
    if reply != _DONE:
        return reply, 0, 0
    of = documents.figures
    looked_at = of[document, _ACCEPTED] + of[document, _TURNED_DOWN] + units
    is_claim = step == _APPROVE and documents.flags[document] & 3 == _CLAIM
    if is_claim or (step == _INSPECT and looked_at == of[document, _UNITS]):
        to = np.int64(_IS_CLOSED)
    place = push(told, book, i, document, step, to, 0, asked.at[i], asked.flags[i] & 3)
    told.steps.units[place] = units
    if step == _RECEIVE and asked.node[i] != NO_NODE:
        told.steps.node[place] = asked.node[i]
    return _DONE, units, 0


@kernel
def take_returns(
    asked: Asked, first: int, last: int, stamp: int, location: int, book: Book, index: KeyIndex, around: Around,
    with_: Carrying, told: Told, answered: Answered, room: Room,
) -> int:  # fmt: skip
    """Take what is asked of returns, as `take_payments` does of payments."""
    named = room.named
    for i in range(first, last):
        find_names(index, asked, i, book, named)
        makes = asked.step[i] == _ASK_RETURN
        document = np.int64(NONE) if makes else find(asked, i, book, named)
        order = order_of(book, document, named)
        if order >= 0 and not has_room(told, book, order):
            return i
        happened_at(asked, i, stamp)
        begin, known = told.counts[STEPS], of_kind(book, named[1], _RETURN)
        if order >= 0 and not has_rows(book, order, with_.promised[0]):
            reply, quantity, again = _NO_ROOM, 0, 0
        elif makes:
            reply, quantity, again = _ask(asked, i, stamp, location, book, named, known, around, told)
        else:
            reply, quantity, again = _advance(asked, i, book, document, around, told)
        carry_out(told, book, begin, location, stamp, with_)
        answer(asked, i, begin, reply, quantity, again, index, told, answered, room)
    return last
