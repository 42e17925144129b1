"""Documents of orders: payments, refunds, shipments, returns. How one is made, and what each step does to it.

Live running (kernels/steps.py, kernels/settling.py) and replay (`apply_steps`) take the same steps by `take`, so both
come to the same rows. Nothing is decided here: every step was checked.
"""

from typing import NamedTuple

import numpy as np

from kernels.columns import NONE, TOUCHED, Book, Head
from kernels.digest import document_hash, item_hash, owed_hash, pool_hash
from kernels.life import (
    INVOICE_BITS,
    STEPS_PER_KIND,
    Disposition,
    DocumentKind,
    PaymentFigure,
    RefundFigure,
    RefundState,
    ReturnFigure,
    ReturnFlag,
    ReturnState,
    ShipmentFigure,
    Step,
)
from kernels.money import charge_item, charged, credit_item, keep, to_come
from kernels.options import I16, I32, I64, U8, kernel, leaf

_AUTHORISE, _ASK_CAPTURE, _CAPTURE, _CAPTURE_FAILED, _VOID, _LAPSE = (
    int(step)
    for step in (Step.AUTHORISE, Step.ASK_CAPTURE, Step.CAPTURE, Step.CAPTURE_FAILED, Step.VOID, Step.LAPSE)
)  # fmt: skip
_ASK_REFUND, _REFUND, _REFUND_FAILED, _TAKE_BACK = (
    int(step) for step in (Step.ASK_REFUND, Step.REFUND, Step.REFUND_FAILED, Step.TAKE_BACK)
)
_BOOK, _SHIP, _DELIVER, _HOME, _LOSE = (
    int(step) for step in (Step.BOOK, Step.SHIP, Step.DELIVER, Step.COME_HOME, Step.LOSE)
)
_ADD_ITEM, _SHRINK = int(Step.ADD_ITEM), int(Step.SHRINK)
_ASK_RETURN, _APPROVE, _RECEIVE, _INSPECT = (
    int(step) for step in (Step.ASK_RETURN, Step.APPROVE, Step.RECEIVE, Step.INSPECT)
)
_AUTHORISED, _CAPTURING, _CAPTURED, _REFUNDING, _REFUNDED, _UNTIL, _CAPTURES = (
    int(figure) for figure in list(PaymentFigure)[1:]
)
_REFUND_AMOUNT = int(RefundFigure.AMOUNT)
_COLLECT, _COST, _DUE_AT, _SHIPPED_AT, _DELIVERED_AT, _SCANNED_AT, _INVOICE, _INVOICED_AT = (
    int(figure) for figure in ShipmentFigure
)
_RECEIVED, _ACCEPTED, _TURNED_DOWN, _CREDITED, _DUE_BY, _FEE, _WITHIN = (
    int(figure) for figure in list(ReturnFigure)[1:]
)
_REFUND_DONE, _CLOSED, _TURN_DOWN = int(RefundState.DONE), int(ReturnState.CLOSED), int(Disposition.TURN_DOWN)
_SHIPMENT, _PER_KIND = int(DocumentKind.SHIPMENT), STEPS_PER_KIND
_KEEPS_SHIPPING = int(ReturnFlag.KEEPS_SHIPPING)
_DOCUMENTS, _FREE_DOCUMENT, _ITEMS, _FREE_ITEM = (
    int(head) for head in (Head.DOCUMENTS, Head.FREE_DOCUMENT, Head.ITEMS, Head.FREE_ITEM)
)
_LAST_NUMBER, _TOUCHED_ORDERS, _TOUCHED = int(Head.LAST_NUMBER), int(Head.TOUCHED_ORDERS), TOUCHED
FORGIVEN = 1 << 8  # of the flags of ASK_REFUND, beside RefundTo: beyond what units are worth
NOTED = 1 << 9  # of the flags of a scan that changes nothing: late, or known
REVERSED = 1 << 10  # of the flags of REFUND_FAILED: it had been done
_REVERSED, _INVOICE_BITS, _INVOICE_NUMBER = REVERSED, INVOICE_BITS, (1 << INVOICE_BITS) - 1
TAKEN, BACK, FEES = 8, 6, 7  # what a step moved, minor units: ItemAmount, then forgiven that is taken back, and fees


class Steps(NamedTuple):
    """Steps as the journal has them."""

    document: I32  # [step] row
    order: I32  # [step] row
    number: I64  # [step] of the document
    order_number: I64  # [step]
    location: I64  # [step] of the document
    step: U8  # [step] Step
    state: U8  # [step] after it
    how: I16  # [step] word: gateway, carrier, reason; NONE
    node: I16  # [step] NO_NODE
    of: I32  # [step] row: of a refund its payment, of a return its item, of SHRINK the item; NONE
    line: I32  # [step] position from 1; 0: none
    units: I32  # [step]
    amount: I64  # [step] minor units
    at: I64  # [step] UTC us
    flags: I32  # [step] of a new document its own, else as the step has them
    fee: I64  # [step] minor units a unit, of ASK_RETURN
    within: I64  # [step] us, of ASK_RETURN
    invoice: I64  # [step] as ShipmentFigure.INVOICE, of SHIP; else 0
    referenced: I64  # [step] sequence of the commit, where it tells what others call the document; else 0


@leaf
def touch(book: Book, order: int, what: int) -> None:
    """Something happened to an order, TOUCHED or LESSENED: where it has documents it is looked at before steps that are
    asked for, and in the end of the commit."""
    documents = book.documents
    if documents.of_order[order] != 0:
        if documents.touched[order] == 0:
            documents.touched_rows[book.heads[_TOUCHED_ORDERS]] = order
            book.heads[_TOUCHED_ORDERS] += 1
        documents.touched[order] |= what


@leaf
def line_at(book: Book, order: int, position: int) -> int:
    """The row of a line by its position from 1, or NONE."""
    line = book.orders.first[order]
    for _ in range(position - 1):
        if line == NONE:
            break
        line = book.lines.next[line]
    return int(line)


@leaf
def new_document_row(book: Book) -> int:
    """The row that the next document gets."""
    row = book.heads[_FREE_DOCUMENT]
    if row != NONE:
        book.heads[_FREE_DOCUMENT] = book.documents.next[row]
        return int(row)
    row = book.heads[_DOCUMENTS]
    book.heads[_DOCUMENTS] += 1
    return int(row)


@leaf
def _make(steps: Steps, at: int, book: Book) -> None:
    """The row of a new document; its figures are those of the step."""
    documents, document, order = book.documents, steps.document[at], steps.order[at]
    documents.number[document] = steps.number[at]
    documents.location[document] = steps.location[at]
    documents.order[document] = order
    documents.next[document] = documents.of_order[order] - 1
    documents.of_order[order] = document + 1
    documents.kind[document] = steps.step[at] // _PER_KIND + 1
    documents.state[document] = steps.state[at]
    documents.how[document] = steps.how[at]
    documents.node[document] = steps.node[at]
    documents.of[document] = steps.of[at]
    documents.flags[document] = steps.flags[at] & 255
    documents.referenced[document] = steps.referenced[at]
    for figure in range(documents.figures.shape[1]):
        documents.figures[document, figure] = 0
    documents.figures[document, 0] = steps.units[at] if steps.step[at] == _ASK_RETURN else steps.amount[at]
    if steps.step[at] == _ASK_RETURN:
        documents.figures[document, _FEE] = steps.fee[at]
        documents.figures[document, _WITHIN] = steps.within[at]
    book.heads[_LAST_NUMBER] = max(book.heads[_LAST_NUMBER], steps.number[at])


@leaf
def _add_item(steps: Steps, at: int, book: Book) -> None:
    """Units of a line are in a shipment."""
    items, document = book.items, steps.document[at]
    item = book.heads[_FREE_ITEM]
    if item != NONE:
        book.heads[_FREE_ITEM] = items.next[item]
    else:
        item = book.heads[_ITEMS]
        book.heads[_ITEMS] += 1
    items.document[item] = document
    items.line[item] = line_at(book, steps.order[at], steps.line[at])
    items.units[item] = steps.units[at]
    items.left[item] = 0
    for amount in range(items.amounts.shape[1]):
        items.amounts[item, amount] = 0
    items.next[item] = NONE
    book.digest[0] += item_hash(book, item)
    last = book.documents.of[document]
    if last == NONE:
        book.digest[0] -= document_hash(book, document)
        book.documents.of[document] = item
        book.digest[0] += document_hash(book, document)
        return
    while items.next[last] != NONE:
        last = items.next[last]
    items.next[last] = item


@leaf
def _take_back(book: Book, order: int, taken: I64) -> None:
    """What was forgiven is taken back as far as nothing is owed any more that it was forgiven of."""
    if book.money.kept[order] < 0:
        owed = charged(book, order) + to_come(book, order)
        if owed < 0:
            back = min(-owed, -book.money.kept[order])
            keep(book, order, back)
            taken[BACK] += back


@leaf
def _credit(book: Book, document: int, item: int, units: int, taken: I64) -> None:
    """Units of a return are charged no more, but for the way back."""
    documents = book.documents
    before = np.int64(0)
    for amount in range(BACK):
        before += taken[amount]
    credit_item(book, item, units, (documents.flags[document] & _KEEPS_SHIPPING) != 0, taken)
    worth = -before
    for amount in range(BACK):
        worth += taken[amount]
    fee = min(worth, documents.figures[document, _FEE] * units)
    if fee > 0:
        keep(book, documents.order[document], fee)
        taken[FEES] += fee
    documents.figures[document, _CREDITED] += worth - fee
    _take_back(book, documents.order[document], taken)


@leaf
def _pay(book: Book, document: int, step: int, amount: int, at: int) -> None:
    """A payment's figures."""
    of = book.documents.figures
    if step == _AUTHORISE:
        of[document, _AUTHORISED] = amount
        of[document, _UNTIL] = at
        if of[document, _CAPTURED] == 0 and of[document, _CAPTURING] == 0:
            of[document, _CAPTURES] = 0
    elif step == _ASK_CAPTURE:
        of[document, _CAPTURING] += amount
        of[document, _CAPTURES] += 1
    elif step == _CAPTURE:  # amount: in all, so far
        of[document, _CAPTURING] = max(0, of[document, _CAPTURING] - (amount - of[document, _CAPTURED]))
        of[document, _CAPTURED] = amount
    elif step == _CAPTURE_FAILED:
        of[document, _CAPTURING] = 0
        of[document, _CAPTURES] = max(0, of[document, _CAPTURES] - 1)
    elif step == _VOID or step == _LAPSE:
        of[document, _CAPTURING] = 0


@leaf
def _give_back(book: Book, document: int, step: int, amount: int, flags: int) -> None:
    """A refund is asked for, done or failed: what its payment has to give."""
    of, payment = book.documents.figures, book.documents.of[document]
    book.digest[0] -= document_hash(book, payment)
    if step == _ASK_REFUND:
        if book.documents.state[document] == _REFUND_DONE:
            of[payment, _REFUNDED] += amount
        else:
            of[payment, _REFUNDING] += amount
        if flags & FORGIVEN:
            keep(book, book.documents.order[document], -amount)
    elif step == _REFUND:
        of[payment, _REFUNDING] -= of[document, _REFUND_AMOUNT]
        of[payment, _REFUNDED] += of[document, _REFUND_AMOUNT]
    elif step == _REFUND_FAILED and flags & _REVERSED:
        of[payment, _REFUNDING] += of[document, _REFUND_AMOUNT]
        of[payment, _REFUNDED] -= of[document, _REFUND_AMOUNT]
    elif step == _TAKE_BACK:
        keep(book, book.documents.order[document], amount)
    book.digest[0] += document_hash(book, payment)


@leaf
def _send(steps: Steps, place: int, book: Book, taken: I64, stamp: int) -> None:
    """A shipment's figures, and what its units are charged."""
    documents, document, step = book.documents, steps.document[place], np.int64(steps.step[place])
    of, at, flags, invoice = documents.figures, steps.at[place], steps.flags[place], steps.invoice[place]
    if step == _BOOK:
        of[document, _COST] = steps.amount[place]
        of[document, _DUE_AT] = at
        return
    if at > of[document, _SCANNED_AT]:
        of[document, _SCANNED_AT] = at
    if flags & NOTED:
        return
    if step == _SHIP:
        of[document, _COLLECT] = steps.amount[place]
        of[document, _SHIPPED_AT] = at
        documents.flags[document] = flags
        if invoice != 0:
            of[document, _INVOICE] = invoice
            of[document, _INVOICED_AT] = stamp
            book.invoices[invoice >> _INVOICE_BITS] = invoice & _INVOICE_NUMBER
    elif step == _DELIVER:
        of[document, _DELIVERED_AT] = at
    if (step == _SHIP or step == _HOME or step == _LOSE) and book.money.currency[documents.order[document]] != 0:
        item = documents.of[document]
        while item != NONE:
            if step == _SHIP:
                charge_item(book, item, flags, taken)
            else:
                credit_item(book, item, book.items.left[item], False, taken)
            item = book.items.next[item]
        if step != _SHIP:
            _take_back(book, documents.order[document], taken)
    elif step == _SHIP:
        item = documents.of[document]
        while item != NONE:
            book.digest[0] -= item_hash(book, item)
            book.items.left[item] = book.items.units[item]
            book.digest[0] += item_hash(book, item)
            item = book.items.next[item]
    elif step == _HOME or step == _LOSE:
        item = documents.of[document]
        while item != NONE:
            book.digest[0] -= item_hash(book, item)
            book.items.left[item] = 0
            book.digest[0] += item_hash(book, item)
            item = book.items.next[item]


@leaf
def _bring_back(book: Book, document: int, step: int, units: int, at: int, flags: int, taken: I64) -> None:
    """A return's figures, and what its units are charged no more."""
    of, item = book.documents.figures, book.documents.of[document]
    if step == _RECEIVE:
        of[document, _RECEIVED] += units
        if of[document, _DUE_BY] == 0:
            of[document, _DUE_BY] = at + of[document, _WITHIN]
    elif step == _INSPECT and flags == _TURN_DOWN:
        of[document, _TURNED_DOWN] += units
    elif step == _INSPECT or (step == _APPROVE and book.documents.state[document] == _CLOSED):
        of[document, _ACCEPTED] += units
        _credit(book, document, item, units, taken)


@leaf
def take(steps: Steps, at: int, book: Book, taken: I64, stamp: int) -> None:
    """Take one step; taken [TAKEN] is written: what it charges or credits, minor units. stamp: of the commit."""
    for amount in range(taken.size):
        taken[amount] = 0
    documents, document, step = book.documents, steps.document[at], np.int64(steps.step[at])
    if step == _ADD_ITEM:
        _add_item(steps, at, book)
        return
    if step == _SHRINK:
        item = steps.of[at]
        book.digest[0] -= item_hash(book, item)
        book.items.units[item] -= steps.units[at]
        book.digest[0] += item_hash(book, item)
        return
    if step % _PER_KIND == 0:
        _make(steps, at, book)
    else:
        book.digest[0] -= document_hash(book, document)
        documents.state[document] = steps.state[at]
        if steps.referenced[at] != 0:
            documents.referenced[document] = steps.referenced[at]
        if step == _BOOK:
            documents.how[document] = steps.how[at]
        elif step == _RECEIVE:
            documents.node[document] = steps.node[at]
    kind = step // _PER_KIND
    if kind == 0:
        _pay(book, document, step, steps.amount[at], steps.at[at])
    elif kind == 2:
        _send(steps, at, book, taken, stamp)
    elif kind == 3:
        _bring_back(book, document, step, steps.units[at], steps.at[at], steps.flags[at], taken)
    book.digest[0] += document_hash(book, document)
    if kind == 1:
        _give_back(book, document, step, steps.amount[at], steps.flags[at])
    touch(book, steps.order[at], _TOUCHED)


@kernel
def apply_steps(steps: Steps, book: Book, taken: I64, stamp: int) -> int:
    """Take steps as the journal has them. Writes the book; taken [TAKEN]: room; stamp: of the commit, UTC us.

    Returns how many new documents did not get the row that they had when they were made: 0, where rows are freed and
    taken in the same sequence.
    """
    elsewhere = 0
    for at in range(steps.step.size):
        if steps.step[at] % _PER_KIND == 0 and new_document_row(book) != steps.document[at]:
            elsewhere += 1
        take(steps, at, book, taken, stamp)
    return elsewhere


@leaf
def forget_life(book: Book, order: int) -> None:
    """An order's row is freed: what it owes is forgotten, the rows of its documents and their items are freed."""
    money, documents, items = book.money, book.documents, book.items
    if money.currency[order] != 0:
        book.digest[0] -= owed_hash(book, order)
        line = book.orders.first[order]
        while line != NONE:
            book.digest[0] -= pool_hash(book, line)
            money.units[line] = 0
            for amount in range(money.amounts.shape[1]):
                money.amounts[line, amount] = 0
            line = book.lines.next[line]
        money.currency[order] = 0
        money.method[order] = 0
        money.kept[order] = 0
        money.pay_by[order] = 0
    document = documents.of_order[order] - 1
    while document >= 0:
        book.digest[0] -= document_hash(book, document)
        if documents.kind[document] == _SHIPMENT:
            item = documents.of[document]
            while item != NONE:
                book.digest[0] -= item_hash(book, item)
                following = items.next[item]
                items.document[item] = NONE
                items.next[item] = book.heads[_FREE_ITEM]
                book.heads[_FREE_ITEM] = item
                item = following
        older = documents.next[document]
        documents.kind[document] = 0
        documents.number[document] = 0
        documents.location[document] = NONE
        documents.next[document] = book.heads[_FREE_DOCUMENT]
        book.heads[_FREE_DOCUMENT] = document
        document = older
    documents.of_order[order] = 0
