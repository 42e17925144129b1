"""What steps of documents come to, written out for the journal: the steps themselves, units that move, stock that comes
back, postings of the ledger. And how a step that was decided is carried out, with all that follows from it.

kernels/steps.py decides what is asked for, kernels/settling.py what follows in the end; both push steps here.
"""

from typing import NamedTuple

import numpy as np

from kernels.columns import NO_NODE, NONE, Book, Cells, Fences, Figure, Head, Stage
from kernels.documents import BACK, FEES, FORGIVEN, NOTED, REVERSED, Steps, new_document_row, take
from kernels.life import (
    METHOD_BITS,
    STEPS_PER_KIND,
    Account,
    Disposition,
    DocumentKind,
    ItemAmount,
    PaymentFigure,
    PaymentFlag,
    PaymentState,
    PayMethod,
    RefundFigure,
    RefundState,
    RefundTo,
    ReturnFlag,
    ShipmentFigure,
    ShipmentState,
    Step,
    TaxSplit,
)
from kernels.money import can_be_captured, charged, paid, to_come
from kernels.options import I16, I32, I64, U8, I32x3, leaf
from kernels.stages import Acted, move_part

_PAY, _AUTHORISE, _ASK_CAPTURE, _CAPTURE = (
    int(step) for step in (Step.PAY, Step.AUTHORISE, Step.ASK_CAPTURE, Step.CAPTURE)
)
_ASK_REFUND, _REFUND, _REFUND_FAILED, _TAKE_BACK = (
    int(step) for step in (Step.ASK_REFUND, Step.REFUND, Step.REFUND_FAILED, Step.TAKE_BACK)
)
_SHIP, _DELIVER, _HOME, _LOSE = int(Step.SHIP), int(Step.DELIVER), int(Step.COME_HOME), int(Step.LOSE)
_APPROVE, _RECEIVE, _INSPECT, _REVERSED = int(Step.APPROVE), int(Step.RECEIVE), int(Step.INSPECT), REVERSED
_PAYMENT, _SHIPMENT = int(DocumentKind.PAYMENT), int(DocumentKind.SHIPMENT)
_CAPTURING, _CAPTURED, _REFUNDING, _REFUNDED = (
    int(figure)
    for figure in (
        PaymentFigure.CAPTURING, PaymentFigure.CAPTURED, PaymentFigure.REFUNDING, PaymentFigure.REFUNDED,
    )
)  # fmt: skip
_REFUND_AMOUNT = int(RefundFigure.AMOUNT)
_COLLECT, _DELIVERED_AT = int(ShipmentFigure.COLLECT), int(ShipmentFigure.DELIVERED_AT)
_PENDING, _IS_AUTHORISED, _IS_CAPTURED, _VOIDED = (
    int(state) for state in (PaymentState.PENDING, PaymentState.AUTHORISED, PaymentState.CAPTURED, PaymentState.VOIDED)
)
_REFUND_ASKED, _REFUND_DONE = int(RefundState.ASKED), int(RefundState.DONE)
_IS_SHIPPED, _IS_RETURNING = int(ShipmentState.SHIPPED), int(ShipmentState.RETURNING)
_CASH, _BY_CHANNEL, _BY_CREDIT, _BY_EXCHANGE = (
    int(method) for method in (PayMethod.CASH_ON_DELIVERY, PayMethod.CHANNEL, PayMethod.CREDIT, PayMethod.EXCHANGE)
)
_METHOD, _PARTS, _SEVERAL, _TO_SOURCE = (
    METHOD_BITS, int(PaymentFlag.PARTS), int(PaymentFlag.SEVERAL), int(PaymentFlag.TO_SOURCE),
)  # fmt: skip
_AS_CREDIT = int(ReturnFlag.AS_CREDIT)
_SOURCE, _CREDIT_NOTE, _BANK, _TO_CHANNEL, _TO_EXCHANGE = (int(to) for to in RefundTo)
_WITHIN, _BETWEEN = int(TaxSplit.WITHIN), int(TaxSplit.BETWEEN)
_QUARANTINE, _LAST_NUMBER = int(Disposition.QUARANTINE), int(Head.LAST_NUMBER)
_DOCUMENTS, _FREE_DOCUMENT, _ITEMS, _FREE_ITEM, _PART_ROWS, _FREE_PART = (
    int(head) for head in (Head.DOCUMENTS, Head.FREE_DOCUMENT, Head.ITEMS, Head.FREE_ITEM, Head.PARTS, Head.FREE_PART)
)
_ON_HAND, _UNAVAILABLE = int(Figure.ON_HAND), int(Figure.UNAVAILABLE)
_STAGE_SHIPPED, _DELIVERED, _RETURNED, _CANCELLED = (
    int(stage) for stage in (Stage.SHIPPED, Stage.DELIVERED, Stage.RETURNED, Stage.CANCELLED)
)
_TO_CUSTOMER, _TO_GATEWAY, _TO_CARRIER, _TO_MARKET, _TO_BANK, _REFUNDS, _CREDITS, _TRANSFER, _SALES, _SHIPPING = (
    int(account) for account in list(Account)[:10]
)
_CGST, _SGST, _IGST, _TAX, _FEES, _GOODWILL = (int(account) for account in list(Account)[10:])
_GOODS, _TAX_1, _TAX_2, _SHIP_FEE, _SHIP_TAX_1, _SHIP_TAX_2 = (int(amount) for amount in ItemAmount)
_PER_KIND = STEPS_PER_KIND
STEPS, MOVES, POSTINGS, STOCK, PLACES = 0, 1, 2, 3, 4  # of the counts of Told
PLACE_BITS = 20  # of a location: sequence << 20 | place
_PLACE_BITS = PLACE_BITS
_ORDER_STEPS, _ORDER_POSTINGS = 16, 48  # of one step that is asked for, beside those for each document and line


class Postings(NamedTuple):
    """Entries of the ledger."""

    number: I64  # [posting] of the document
    order_number: I64  # [posting]
    account: U8  # [posting] Account
    amount: I64  # [posting] minor units; a debit above 0, a credit below
    currency: I16  # [posting] word


class Restocked(NamedTuple):
    """Units that came back to a node."""

    sku: I32  # [row]
    node: I16  # [row]
    figure: U8  # [row] Figure
    quantity: I32  # [row]
    number: I64  # [row] of the order


class Told(NamedTuple):
    """What steps came to."""

    steps: Steps
    asked: I32  # [step] the row that asked for it; NONE: it follows
    first_posting: I64  # [step] where its postings begin
    moves: Acted
    postings: Postings
    stock: Restocked
    counts: I64  # [PLACES + 1] steps, moves, postings, rows of stock; places that documents of the commit have taken
    taken: I64  # [TAKEN] room


class Carrying(NamedTuple):
    """What carrying steps out needs beside the book."""

    cells: Cells
    fences: Fences
    changes: I32x3  # what a unit does to stock: engine/lifecycle.py
    gives_back: U8  # [stage] a stage in which units are about to leave, the first ones preferred
    promised: I64  # [1] rows of parts that other commands of the commit may need


@leaf
def _size_of(book: Book, order: int) -> tuple[int, int, int]:
    """Lines, parts and documents of an order."""
    lines, parts, documents = 0, 0, 0
    line = book.orders.first[order]
    while line != NONE:
        lines += 1
        part = book.lines.first[line]
        while part != NONE:
            parts += 1
            part = book.parts.next[part]
        line = book.lines.next[line]
    document = book.documents.of_order[order] - 1
    while document >= 0:
        documents += 1
        document = book.documents.next[document]
    return lines, parts, documents


@leaf
def has_room(told: Told, book: Book, order: int) -> bool:
    """Whether what a step of an order may come to fits."""
    lines, parts, documents = _size_of(book, order)
    steps = _ORDER_STEPS + 2 * lines + 3 * documents
    return bool(
        told.counts[STEPS] + steps <= told.asked.size
        and told.counts[MOVES] + 2 * parts + lines <= told.moves.number.size
        and told.counts[POSTINGS] + _ORDER_POSTINGS + 4 * documents <= told.postings.number.size
        and told.counts[STOCK] + 2 * lines <= told.stock.sku.size
    )


@leaf
def _are_left(used: int, size: int, free: int, following: I32, wanted: int) -> bool:
    """Whether a column has so many rows: never used, or in its list of free ones."""
    left, row = size - used, free
    while row != NONE and left < wanted:
        left, row = left + 1, following[row]
    return left >= wanted


@leaf
def has_rows(book: Book, order: int, promised: int) -> bool:
    """Whether the columns have rows for what a step of an order may come to: a document and refunds, an item for each
    line, and units of each part that go apart. promised: rows of parts that others of the commit are to get."""
    lines, parts, documents = _size_of(book, order)
    heads, next_document, next_item, next_part = book.heads, book.documents.next, book.items.next, book.parts.next
    return bool(
        _are_left(heads[_DOCUMENTS], next_document.size, heads[_FREE_DOCUMENT], next_document, 2 + documents)
        and _are_left(heads[_ITEMS], next_item.size, heads[_FREE_ITEM], next_item, lines)
        and _are_left(heads[_PART_ROWS], next_part.size, heads[_FREE_PART], next_part, promised + 2 * parts + lines)
    )


@leaf
def push(
    told: Told, book: Book, row: int, document: int, step: int, state: int, amount: int, at: int, flags: int
) -> int:  # fmt: skip
    """A step of a document, to be carried out after those before it; where it stands."""
    steps, documents, place = told.steps, book.documents, told.counts[STEPS]
    told.counts[STEPS] += 1
    order = documents.order[document]
    steps.document[place] = document
    steps.order[place] = order
    steps.number[place] = documents.number[document]
    steps.order_number[place] = book.orders.number[order]
    steps.location[place] = documents.location[document]
    steps.step[place] = step
    steps.state[place] = state
    steps.how[place] = documents.how[document]
    steps.node[place] = documents.node[document]
    steps.of[place] = documents.of[document]
    steps.line[place] = 0
    steps.units[place] = 0
    steps.amount[place] = amount
    steps.at[place] = at
    steps.flags[place] = flags
    steps.fee[place] = 0
    steps.within[place] = 0
    steps.referenced[place] = 0
    steps.invoice[place] = 0
    told.asked[place] = row
    return int(place)


@leaf
def push_new(
    told: Told, book: Book, row: int, order: int, location: int, step: int, state: int, amount: int, at: int, flags: int
) -> int:  # fmt: skip
    """The step that makes a document of an order; where it stands. location: of the commit's first document."""
    steps, place = told.steps, told.counts[STEPS]
    told.counts[STEPS] += 1
    book.heads[_LAST_NUMBER] += 1
    steps.document[place] = new_document_row(book)
    steps.order[place] = order
    steps.number[place] = book.heads[_LAST_NUMBER]
    steps.order_number[place] = book.orders.number[order]
    steps.location[place] = location + told.counts[PLACES]
    told.counts[PLACES] += 1
    steps.step[place] = step
    steps.state[place] = state
    steps.how[place] = NONE
    steps.node[place] = NO_NODE
    steps.of[place] = NONE
    steps.line[place] = 0
    steps.units[place] = 0
    steps.amount[place] = amount
    steps.at[place] = at
    steps.flags[place] = flags
    steps.fee[place] = 0
    steps.within[place] = 0
    steps.referenced[place] = 0
    steps.invoice[place] = 0
    told.asked[place] = row
    return int(place)


@leaf
def call_it(told: Told, place: int, how: int, location: int) -> None:
    """The step tells what gateway or carrier `how` call its document. location: of the commit."""
    told.steps.how[place] = how
    told.steps.referenced[place] = location >> _PLACE_BITS


@leaf
def push_again(told: Told, place: int, step: int, state: int, amount: int) -> int:
    """A further step of the document that the step at `place` makes."""
    steps, further = told.steps, told.counts[STEPS]
    told.counts[STEPS] += 1
    steps.document[further] = steps.document[place]
    steps.order[further] = steps.order[place]
    steps.number[further] = steps.number[place]
    steps.order_number[further] = steps.order_number[place]
    steps.location[further] = steps.location[place]
    steps.step[further] = step
    steps.state[further] = state
    steps.how[further] = steps.how[place]
    steps.node[further] = steps.node[place]
    steps.of[further] = steps.of[place]
    steps.line[further] = 0
    steps.units[further] = 0
    steps.amount[further] = amount
    steps.at[further] = steps.at[place]
    steps.flags[further] = steps.flags[place]
    steps.fee[further] = 0
    steps.within[further] = 0
    steps.referenced[further] = 0
    steps.invoice[further] = 0
    told.asked[further] = NONE
    return int(further)


@leaf
def _post(told: Told, book: Book, place: int, account: int, amount: int) -> None:
    if amount != 0:
        postings, at = told.postings, told.counts[POSTINGS]
        told.counts[POSTINGS] += 1
        postings.number[at] = told.steps.number[place]
        postings.order_number[at] = told.steps.order_number[place]
        postings.account[at] = account
        postings.amount[at] = amount
        postings.currency[at] = book.money.currency[told.steps.order[place]] - 1


@leaf
def _post_charge(told: Told, book: Book, place: int, split: int, sign: int) -> None:
    """An invoice (sign 1), or a credit note (sign -1), for what the step has taken."""
    taken, total = told.taken, np.int64(0)
    for amount in range(BACK):
        total += taken[amount]
    first = _CGST if split == _WITHIN else (_IGST if split == _BETWEEN else _TAX)
    _post(told, book, place, _TO_CUSTOMER, sign * total)
    _post(told, book, place, _SALES, -sign * taken[_GOODS])
    _post(told, book, place, _SHIPPING, -sign * taken[_SHIP_FEE])
    _post(told, book, place, first, -sign * (taken[_TAX_1] + taken[_SHIP_TAX_1]))
    _post(told, book, place, _SGST, -sign * (taken[_TAX_2] + taken[_SHIP_TAX_2]))
    _post(told, book, place, _TO_CUSTOMER, taken[BACK] + taken[FEES])
    _post(told, book, place, _GOODWILL, -taken[BACK])
    _post(told, book, place, _FEES, -taken[FEES])


@leaf
def _account_of(flags: int) -> int:
    """Where money of a payment is."""
    method = flags & _METHOD
    if method == _CASH:
        return _TO_CARRIER
    if method == _BY_CHANNEL:
        return _TO_MARKET
    if method == _BY_CREDIT:
        return _CREDITS
    if method == _BY_EXCHANGE:
        return _TRANSFER
    return _TO_GATEWAY


@leaf
def _post_money(told: Told, book: Book, place: int, before: int) -> None:
    """Entries of a payment or refund. before: what was captured before the step."""
    steps, documents = told.steps, book.documents
    document, step = steps.document[place], steps.step[place]
    if step == _CAPTURE:
        amount = documents.figures[document, _CAPTURED] - before
        _post(told, book, place, _account_of(documents.flags[document]), amount)
        _post(told, book, place, _TO_CUSTOMER, -amount)
        return
    to = documents.flags[document]
    if step == _ASK_REFUND:
        amount = documents.figures[document, _REFUND_AMOUNT]
        if steps.flags[place] & FORGIVEN:
            _post(told, book, place, _GOODWILL, amount)
            _post(told, book, place, _TO_CUSTOMER, -amount)
        account = _REFUNDS
        if documents.state[document] == _REFUND_DONE:
            account = _CREDITS if to == _CREDIT_NOTE else (_TO_MARKET if to == _TO_CHANNEL else _TRANSFER)
        _post(told, book, place, _TO_CUSTOMER, amount)
        _post(told, book, place, account, -amount)
    elif step == _REFUND or (step == _REFUND_FAILED and steps.flags[place] & _REVERSED):
        amount = documents.figures[document, _REFUND_AMOUNT]
        if step == _REFUND_FAILED:
            amount = -amount
        _post(told, book, place, _REFUNDS, amount)
        source = _account_of(documents.flags[documents.of[document]])
        _post(told, book, place, _TO_BANK if to == _BANK else source, -amount)
    elif step == _TAKE_BACK:
        _post(told, book, place, _TO_CUSTOMER, steps.amount[place])
        _post(told, book, place, _GOODWILL, -steps.amount[place])


@leaf
def _split_of(book: Book, document: int) -> int:
    """How the tax of a return's units is split."""
    item = book.documents.of[document]
    return int(book.documents.flags[book.items.document[item]])


@leaf
def _tell_entries(told: Told, book: Book, place: int, before: int) -> None:
    """The entries of a step that was taken."""
    steps = told.steps
    document, step = steps.document[place], steps.step[place]
    if book.money.currency[steps.order[place]] == 0 or steps.flags[place] & NOTED:
        return
    if step == _SHIP:
        _post_charge(told, book, place, book.documents.flags[document], 1)
    elif step == _HOME or step == _LOSE:
        _post_charge(told, book, place, book.documents.flags[document], -1)
    elif step == _INSPECT or step == _APPROVE:
        _post_charge(told, book, place, _split_of(book, document), -1)
    elif step // _PER_KIND <= 1:
        _post_money(told, book, place, before)


@leaf
def _restock(told: Told, book: Book, sku: int, node: int, units: int, disposition: int, number: int) -> None:
    if disposition > _QUARANTINE:
        return
    for figure in range(1 + disposition):
        stock, at = told.stock, told.counts[STOCK]
        told.counts[STOCK] += 1
        stock.sku[at] = sku
        stock.node[at] = node
        stock.figure[at] = _ON_HAND if figure == 0 else _UNAVAILABLE
        stock.quantity[at] = units
        stock.number[at] = number


@leaf
def _move_units(told: Told, book: Book, place: int, stamp: int, with_: Carrying) -> None:
    """Units of a shipment or a return go to the stage that the step says."""
    steps, documents, items, parts = told.steps, book.documents, book.items, book.parts
    document, order, step = steps.document[place], steps.order[place], steps.step[place]
    is_return = step == _RECEIVE
    shipment = items.document[documents.of[document]] if is_return else document
    node = documents.node[shipment]
    item = documents.of[document]
    to = _RETURNED
    if step == _SHIP:
        to = _STAGE_SHIPPED
    elif step == _DELIVER:
        to = _DELIVERED
    elif step == _LOSE:
        to = _CANCELLED
    while item != NONE:
        wanted, line = np.int64(steps.units[place] if is_return else items.units[item]), items.line[item]
        there = wanted
        position, other = 1, book.orders.first[order]
        while other != line:
            position, other = position + 1, book.lines.next[other]
        for choice in range(with_.gives_back.size):
            stage = np.int64(with_.gives_back[choice])
            if is_return:
                stage = np.int64(_DELIVERED)
            elif step != _SHIP:
                stage = np.int64(_STAGE_SHIPPED)
            part = book.lines.first[line]
            while part != NONE and wanted > 0:
                following = parts.next[part]
                if parts.stage[part] == stage and parts.node[part] == node:
                    units, at = min(wanted, np.int64(parts.quantity[part])), told.counts[MOVES]
                    wanted -= units
                    told.counts[MOVES] += 1
                    told.moves.moves.part[at] = part
                    told.moves.moves.to[at] = to
                    told.moves.moves.quantity[at] = units
                    told.moves.moves.node[at] = NO_NODE
                    told.moves.moves.fenced[at] = 0
                    told.moves.number[at] = book.orders.number[order]
                    told.moves.line[at] = position
                    told.moves.source[at] = stage
                    told.moves.sku[at] = book.lines.sku[line]
                    told.moves.at[at] = node
                    told.moves.act[at] = told.asked[place]
                    move_part(part, to, units, NO_NODE, 0, stamp, True, with_.changes, book, with_.cells, with_.fences)
                part = following
        if step == _HOME and wanted < there:
            _restock(told, book, book.lines.sku[line], steps.node[place], there - wanted, steps.flags[place],
                     book.orders.number[order])  # fmt: skip
        item = NONE if is_return else items.next[item]


@leaf
def to_collect(book: Book, order: int) -> int:
    """What carriers have still to collect for shipments of an order that are on their way."""
    documents, total = book.documents, np.int64(0)
    document = documents.of_order[order] - 1
    while document >= 0:
        if documents.kind[document] == _SHIPMENT:
            state = documents.state[document]
            if state >= _IS_SHIPPED and state <= _IS_RETURNING and documents.figures[document, _DELIVERED_AT] == 0:
                total += documents.figures[document, _COLLECT]
        document = documents.next[document]
    return total


@leaf
def being_captured(book: Book, order: int) -> int:
    """What was asked for of payments of an order, and not told yet."""
    documents, total = book.documents, np.int64(0)
    document = documents.of_order[order] - 1
    while document >= 0:
        if documents.kind[document] == _PAYMENT:
            total += documents.figures[document, _CAPTURING]
        document = documents.next[document]
    return total


@leaf
def _collected(told: Told, book: Book, place: int, location: int, method: int, amount: int) -> None:
    """So much more was collected for an order by its carrier or its channel."""
    documents, order = book.documents, told.steps.order[place]
    document = documents.of_order[order] - 1
    while document >= 0:
        is_it = documents.kind[document] == _PAYMENT and documents.flags[document] & _METHOD == method
        if is_it and documents.state[document] != _VOIDED:
            captured = documents.figures[document, _CAPTURED] + amount
            push(told, book, NONE, document, _CAPTURE, _IS_CAPTURED, captured, told.steps.at[place], 0)
            return
        document = documents.next[document]
    flags = method | _PARTS | _SEVERAL
    new = push_new(told, book, NONE, order, location, _PAY, _PENDING, amount, told.steps.at[place], flags)
    push_again(told, new, _CAPTURE, _IS_CAPTURED, amount)


@leaf
def _fund(told: Told, book: Book, place: int, location: int, stamp: int) -> None:
    """A shipment has left, or money is held for what has left: what is charged is captured."""
    documents, order = book.documents, told.steps.order[place]
    need = charged(book, order) - to_collect(book, order) - paid(book, order) - being_captured(book, order)
    more_to_come = to_come(book, order) > 0
    document = documents.of_order[order] - 1
    while document >= 0 and need > 0:
        left = can_be_captured(book, document, stamp)
        flags = documents.flags[document]
        if left > 0:
            is_all = flags & _PARTS == 0 or (flags & _SEVERAL == 0 and more_to_come)
            amount = left if is_all else min(left, need)
            push(told, book, NONE, document, _ASK_CAPTURE, documents.state[document], amount, told.steps.at[place], 0)
            need -= amount
        document = documents.next[document]
    if need > 0 and book.money.method[order] == _BY_CHANNEL:
        _collected(told, book, place, location, _BY_CHANNEL, need)


@leaf
def way_back(flags: int, way: int) -> tuple[int, int]:
    """Where money of a payment goes back to, and the state of such a refund. flags: of the payment; way: SOURCE, or
    where all of it is to go (RefundTo)."""
    method = flags & _METHOD
    if way == _TO_EXCHANGE:
        return _TO_EXCHANGE, _REFUND_DONE
    if method == _BY_CHANNEL:
        return _TO_CHANNEL, _REFUND_DONE
    if way == _CREDIT_NOTE or method >= _BY_CREDIT:
        return _CREDIT_NOTE, _REFUND_DONE
    if way == _BANK or flags & _TO_SOURCE == 0:
        return _BANK, _REFUND_ASKED
    return _SOURCE, _REFUND_ASKED


@leaf
def give_back(told: Told, book: Book, order: int, location: int, amount: int, at: int, way: int) -> int:
    """Ask for refunds of what was captured for an order, from the newest payment on; what is left of the amount.

    way: as `way_back` takes it.
    """
    documents, left = book.documents, np.int64(amount)
    document = documents.of_order[order] - 1
    while document >= 0 and left > 0:
        if documents.kind[document] == _PAYMENT:
            of, flags = documents.figures, documents.flags[document]
            units = min(left, of[document, _CAPTURED] - of[document, _REFUNDING] - of[document, _REFUNDED])
            if units > 0:
                to, state = way_back(flags, way)
                place = push_new(told, book, NONE, order, location, _ASK_REFUND, state, units, at, to)
                told.steps.of[place] = document
                told.steps.how[place] = documents.how[document]
                left -= units
        document = documents.next[document]
    return left


@leaf
def carry_out(told: Told, book: Book, first: int, location: int, stamp: int, with_: Carrying) -> None:
    """Take the steps that were pushed from `first` on, and those that follow from them."""
    place = first
    while place < told.counts[STEPS]:
        steps = told.steps
        document, order, step = steps.document[place], np.int64(steps.order[place]), np.int64(steps.step[place])
        before = book.documents.figures[document, _CAPTURED] if step == _CAPTURE else np.int64(0)
        take(steps, place, book, told.taken, stamp)
        is_noted = (steps.flags[place] & NOTED) != 0
        told.first_posting[place] = told.counts[POSTINGS]
        _tell_entries(told, book, place, before)
        moves = step == _SHIP or step == _DELIVER or step == _LOSE or step == _HOME or step == _RECEIVE
        if moves and not is_noted:
            _move_units(told, book, place, stamp, with_)
        elif step == _INSPECT:
            item = book.documents.of[document]
            _restock(told, book, book.lines.sku[book.items.line[item]], book.documents.node[document],
                     steps.units[place], steps.flags[place], book.orders.number[order])  # fmt: skip
        if book.money.currency[order] != 0 and not is_noted:
            if step == _SHIP or (step == _AUTHORISE and steps.state[place] == _IS_AUTHORISED):
                _fund(told, book, place, location, stamp)
            elif step == _DELIVER and book.documents.figures[document, _COLLECT] > 0:
                _collected(told, book, place, location, _CASH, book.documents.figures[document, _COLLECT])
            elif (step == _INSPECT or step == _APPROVE) and book.documents.flags[document] & _AS_CREDIT:
                credited = -told.taken[FEES]
                for amount in range(BACK):
                    credited += told.taken[amount]
                excess = paid(book, order) - charged(book, order) - to_come(book, order)
                give_back(told, book, order, location, min(excess, credited), steps.at[place], _CREDIT_NOTE)
        place += 1
