"""Steps of shipments, row by row: made of what may leave, booked, shipped, tracked, delivered or not."""

import numpy as np

from kernels.columns import NO_NODE, NONE, Book, Stage
from kernels.documents import NOTED, line_at
from kernels.keys import KeyIndex
from kernels.life import (
    INVOICE_BITS,
    KEEPS_STATE,
    METHOD_BITS,
    NOT_ALLOWED,
    DocumentKind,
    PaymentState,
    PayMethod,
    ShipmentState,
    Step,
    StepReply,
    TaxSplit,
)
from kernels.money import can_be_captured, charged, paid, worth_of_item
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
from kernels.telling import (
    STEPS,
    Carrying,
    Told,
    being_captured,
    call_it,
    carry_out,
    has_room,
    has_rows,
    push,
    push_again,
    push_new,
    to_collect,
)

PACKED_ONLY = 1  # of the flags of SEND
_NOT_ALLOWED, _KEEPS_STATE, _ABSENT, _NOTED, _PACKED_ONLY, _INVOICE_BITS = (
    NOT_ALLOWED, KEEPS_STATE, ABSENT, NOTED, PACKED_ONLY, INVOICE_BITS,
)  # fmt: skip
_PAYMENT, _SHIPMENT = int(DocumentKind.PAYMENT), int(DocumentKind.SHIPMENT)
_SEND, _ADD_ITEM, _BOOK, _SHIP, _HOME, _RECALL = (
    int(step) for step in (Step.SEND, Step.ADD_ITEM, Step.BOOK, Step.SHIP, Step.COME_HOME, Step.RECALL)
)
_DONE, _CONFLICT, _UNKNOWN_SHIPMENT, _WRONG_STATE, _NOT_PAID, _NOTHING_TO_SHIP, _NO_ROOM = (
    int(reply)
    for reply in (
        StepReply.DONE, StepReply.KEY_CONFLICT, StepReply.UNKNOWN_SHIPMENT, StepReply.WRONG_STATE, StepReply.NOT_PAID,
        StepReply.NOTHING_TO_SHIP, StepReply.NO_ROOM,
    )
)  # fmt: skip
_IS_CREATED, _IS_BOOKED, _IS_SHIPPED = (int(state) for state in list(ShipmentState)[:3])
_IS_RECALLED = int(ShipmentState.RECALLED)
_IS_CAPTURED = int(PaymentState.CAPTURED)
_CASH, _CHANNEL, _METHOD = int(PayMethod.CASH_ON_DELIVERY), int(PayMethod.CHANNEL), METHOD_BITS
_NOT_SPLIT, _WITHIN_REGION, _BETWEEN = (int(split) for split in TaxSplit)
_ALLOCATED, _PICKED, _PACKED = int(Stage.ALLOCATED), int(Stage.PICKED), int(Stage.PACKED)


@leaf
def claimed(book: Book, newest: int, line: int, node: int) -> int:
    """Units of a line at a node that shipments are made of which have not left: the shipment `newest` and older ones of
    its order."""
    documents, items, units = book.documents, book.items, np.int64(0)
    document = np.int64(newest)
    while document >= 0:
        is_open = documents.kind[document] == _SHIPMENT and documents.state[document] <= _IS_BOOKED
        if is_open and documents.node[document] == node:
            item = documents.of[document]
            while item != NONE:
                if items.line[item] == line:
                    units += items.units[item]
                item = items.next[item]
        document = documents.next[document]
    return units


@leaf
def at_node(book: Book, line: int, node: int, packed_only: bool) -> int:
    """Units of a line at a node that may leave."""
    parts, units = book.parts, np.int64(0)
    part = book.lines.first[line]
    while part != NONE:
        stage = parts.stage[part]
        fits = stage == _PACKED or (not packed_only and (stage == _PICKED or stage == _ALLOCATED))
        if fits and parts.node[part] == node:
            units += parts.quantity[part]
        part = parts.next[part]
    return units


@leaf
def _may_leave(asked: Asked, i: int, book: Book, order: int, line: int, position: int) -> int:
    """Units of a line that a new shipment takes."""
    if asked.line[i] != 0 and asked.line[i] != position:
        return 0
    packed_only = (asked.flags[i] & _PACKED_ONLY) != 0
    node, newest = asked.node[i], book.documents.of_order[order] - 1
    there = at_node(book, line, node, packed_only) - claimed(book, newest, line, node)
    if asked.units[i] > 0:
        return asked.units[i] if asked.units[i] <= there else 0
    return max(0, there)


@leaf
def _send(asked: Asked, i: int, book: Book, order: int, location: int, told: Told) -> int:
    """Make a shipment of what may leave; where its step stands, or NONE where there is nothing."""
    line, position, place = book.orders.first[order], 1, NONE
    while line != NONE:
        units = _may_leave(asked, i, book, order, line, position)
        if units > 0:
            if place == NONE:
                place = push_new(told, book, i, order, location, _SEND, _IS_CREATED, 0, asked.at[i], 0)
                told.steps.how[place] = asked.how[i]
                told.steps.node[place] = asked.node[i]
            item = push_again(told, place, _ADD_ITEM, _IS_CREATED, 0)
            told.steps.line[item] = position
            told.steps.units[item] = units
        line, position = book.lines.next[line], position + 1
    return place


@leaf
def _ship_terms(book: Book, document: int, stamp: int, around: Around) -> tuple[int, int, int]:
    """The reply to a shipment that is about to leave, what is to be collected for it, and how its tax is split."""
    documents, money = book.documents, book.money
    order = documents.order[document]
    here, there = around.node_region[documents.node[document]], around.code_region[book.orders.postal_code[order]]
    split = _NOT_SPLIT
    if here != 0 and there != 0:
        split = _WITHIN_REGION if here == there else _BETWEEN
    units, worth, item = np.int64(0), np.int64(0), documents.of[document]
    while item != NONE:
        if at_node(book, book.items.line[item], documents.node[document], False) < book.items.units[item]:
            return _NOTHING_TO_SHIP, 0, split
        units += book.items.units[item]
        if money.currency[order] != 0:
            worth += worth_of_item(book, item)
        item = book.items.next[item]
    if units == 0:
        return _NOTHING_TO_SHIP, 0, split
    if money.currency[order] == 0:
        return _DONE, 0, split
    need = charged(book, order) + worth - to_collect(book, order) - paid(book, order) - being_captured(book, order)
    is_cash = money.method[order] == _CASH
    other = documents.of_order[order] - 1
    while other >= 0:
        need -= can_be_captured(book, other, stamp)
        if documents.kind[other] == _PAYMENT and documents.flags[other] & _METHOD == _CASH:
            is_cash = is_cash or documents.state[other] <= _IS_CAPTURED
        other = documents.next[other]
    if need <= 0 or money.method[order] == _CHANNEL:
        return _DONE, 0, split
    if is_cash:
        return _DONE, need, split
    return (_NOT_PAID if money.method[order] != 0 else _DONE), 0, split


@kernel
def would_collect(document: int, book: Book, around: Around) -> int:
    """What a shipment that has not left is to collect, as things stand, minor units."""
    _, collect, _ = _ship_terms(book, document, 0, around)
    return collect


@leaf
def _step_of_shipment(
    asked: Asked, i: int, document: int, to: int, stamp: int, location: int, book: Book, around: Around, told: Told
) -> int:  # fmt: skip
    """Push a step of a shipment, that it has left before it where nobody had said so; the reply.

    What its carrier tells is taken in, whether or not the order was paid.
    """
    documents, step = book.documents, asked.step[i]
    state, flags = documents.state[document], np.int64(0)
    is_fact = asked.key[i, 0] == 0 and asked.key[i, 1] == 0  # by its number: its carrier has it
    if state == _IS_RECALLED and step == _SHIP and not is_fact:
        return _WRONG_STATE
    if to == _KEEPS_STATE:
        push(told, book, i, document, step, state, 0, asked.at[i], _NOTED)
        return _DONE
    leaves = state <= _IS_BOOKED and step != _BOOK and step != _RECALL
    if leaves:
        reply, collect, split = _ship_terms(book, document, stamp, around)
        if reply != _DONE and not (is_fact and reply == _NOT_PAID):
            return reply
        place = push(told, book, i, document, _SHIP, _IS_SHIPPED, collect, asked.at[i], split)
        if book.money.currency[documents.order[document]] != 0:
            series = np.int64(around.node_region[documents.node[document]])
            told.steps.invoice[place] = series << _INVOICE_BITS | (book.invoices[series] + 1)
        if step == _SHIP:
            return _DONE
    amount = asked.amount[i] if step == _BOOK else np.int64(0)
    if step == _HOME:
        flags = np.int64(asked.flags[i]) & 3
    place = push(told, book, i, document, step, to, amount, asked.at[i], flags)
    if step == _BOOK:
        told.steps.how[place] = asked.how[i]
        if has_reference(asked, i):
            call_it(told, place, asked.how[i], location)
    if step == _HOME and asked.node[i] != NO_NODE:
        told.steps.node[place] = asked.node[i]
    return _DONE


@leaf
def _make(
    asked: Asked, i: int, location: int, book: Book, named: I64, known: int, told: Told
) -> tuple[int, int, int]:  # fmt: skip
    """A new shipment, or what is wrong with it: reply, number, whether it was there."""
    documents, order = book.documents, named[0]
    if known >= 0:
        same = documents.order[known] == order and documents.node[known] == asked.node[i]
        if asked.line[i] != 0 and documents.of[known] != NONE:
            item, line = documents.of[known], line_at(book, order, asked.line[i])
            same = same and book.items.next[item] == NONE and book.items.line[item] == line
        return (_DONE if same else _CONFLICT), (documents.number[known] if same else 0), 1 if same else 0
    reply = check_new(asked, i, book, named, known)
    if reply != _DONE:
        return reply, 0, 0
    place = _send(asked, i, book, order, location, told)
    if place == NONE:
        return _NOTHING_TO_SHIP, 0, 0
    return _DONE, told.steps.number[place], 0


@leaf
def _advance(
    asked: Asked, i: int, stamp: int, location: int, book: Book, document: int, named: I64, around: Around, told: Told
) -> tuple[int, int, int]:  # fmt: skip
    """A step of a shipment that is there: reply, nothing, whether it was so before."""
    if document < 0:
        return _UNKNOWN_SHIPMENT, 0, 0
    to = np.int64(around.next_state[asked.step[i], book.documents.state[document]])
    if to == _NOT_ALLOWED:
        return _WRONG_STATE, 0, 0
    if asked.step[i] == _BOOK and named[2] != _ABSENT and named[2] != document:
        return _CONFLICT, 0, 0  # another one is called so
    reply = _step_of_shipment(asked, i, document, to, stamp, location, book, around, told)
    return reply, 0, 1 if to == _KEEPS_STATE else 0


@kernel
def take_shipments(
    asked: Asked, first: int, last: int, stamp: int, location: int, book: Book, index: KeyIndex, around: Around,
    with_: Carrying, told: Told, answered: Answered, room: Room,
) -> int:  # fmt: skip
    """Take what is asked of shipments, as `take_payments` does of payments."""
    named = room.named
    for i in range(first, last):
        find_names(index, asked, i, book, named)
        makes = asked.step[i] == _SEND
        document = np.int64(NONE) if makes else find(asked, i, book, named)
        order = order_of(book, document, named)
        if order >= 0 and not has_room(told, book, order):
            return i
        if asked.step[i] != _BOOK:  # of that: until when it is to arrive
            happened_at(asked, i, stamp)
        begin = told.counts[STEPS]
        if order >= 0 and not has_rows(book, order, with_.promised[0]):
            reply, quantity, again = _NO_ROOM, 0, 0
        elif makes:
            reply, quantity, again = _make(asked, i, location, book, named, of_kind(book, named[1], _SHIPMENT), told)
        else:
            reply, quantity, again = _advance(asked, i, stamp, location, book, document, named, around, told)
        carry_out(told, book, begin, location, stamp, with_)
        answer(asked, i, begin, reply, quantity, again, index, told, answered, room)
    return last
