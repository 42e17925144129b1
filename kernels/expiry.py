"""When reservations expire, orders are to be paid and authorisations end: a binary heap over columns, so that a commit
finds those due without looking at the others.

Those that end or are paid earlier leave their entry behind; it is dropped when it comes up. The heap is derived: it is
built anew from the open ones when a folder is opened.
"""

import numpy as np

from kernels.columns import TOUCHED, Book, Expiries, Head, OrderKind
from kernels.documents import touch
from kernels.life import DocumentKind, PaymentFigure, PaymentState
from kernels.options import I32, kernel, leaf

_SIZE, _HIGH_WATER, _DOCUMENTS = int(Head.EXPIRIES), int(Head.ORDERS), int(Head.DOCUMENTS)
_PAYMENT, _AUTHORISED, _UNTIL = int(DocumentKind.PAYMENT), int(PaymentState.AUTHORISED), int(PaymentFigure.UNTIL)
_TOUCHED = TOUCHED
_RESERVATION, _ORDER = int(OrderKind.RESERVATION), int(OrderKind.ORDER)


@leaf
def _may_end(book: Book, row: int) -> bool:
    """Whether a row is a reservation, or an order of which something ends: the time to pay it, or an authorisation."""
    kind = book.orders.kind[row]
    ends = book.money.pay_by[row] > 0 or book.documents.of_order[row] != 0
    return bool(kind == _RESERVATION or (kind == _ORDER and ends))


@leaf
def _ends(book: Book, row: int) -> bool:
    """Whether that is a moment of its own, and not only an authorisation's."""
    kind = book.orders.kind[row]
    return bool(kind == _RESERVATION or (kind == _ORDER and book.money.pay_by[row] > 0))


@leaf
def _ends_at(book: Book, row: int) -> int:
    """When it expires, or is to be paid, UTC us."""
    return book.orders.due_at[row] if book.orders.kind[row] == _RESERVATION else book.money.pay_by[row]


@leaf
def _is_held(book: Book, document: int) -> bool:
    """Whether a document is a payment whose authorisation ends by itself."""
    documents = book.documents
    is_held = documents.kind[document] == _PAYMENT and documents.state[document] == _AUTHORISED
    return bool(is_held and documents.figures[document, _UNTIL] > 0)


@leaf
def _put(heap: Expiries, i: int, at: int, number: int, order: int) -> None:
    heap.at[i] = at
    heap.number[i] = number
    heap.order[i] = order


@leaf
def _before(at: int, number: int, other_at: int, other_number: int) -> bool:
    return at < other_at or (at == other_at and number < other_number)


@leaf
def _push(heap: Expiries, size: int, at: int, number: int, order: int) -> None:
    i = size
    while i > 0:
        parent = (i - 1) >> 1
        if not _before(at, number, heap.at[parent], heap.number[parent]):
            break
        _put(heap, i, heap.at[parent], heap.number[parent], heap.order[parent])
        i = parent
    _put(heap, i, at, number, order)


@leaf
def _pop(heap: Expiries, size: int) -> None:
    """Take the first entry out of a heap of `size`."""
    size -= 1
    at, number, order = heap.at[size], heap.number[size], heap.order[size]
    i = 0
    while True:
        child = 2 * i + 1
        if child >= size:
            break
        right = child + 1
        if right < size and _before(heap.at[right], heap.number[right], heap.at[child], heap.number[child]):
            child = right
        if not _before(heap.at[child], heap.number[child], at, number):
            break
        _put(heap, i, heap.at[child], heap.number[child], heap.order[child])
        i = child
    _put(heap, i, at, number, order)


@kernel
def watch_expiries(rows: I32, book: Book, heap: Expiries) -> None:
    """Enter the reservations of these rows, and the orders that are to be paid by some moment; others, and NONE, are
    passed over."""
    for row in rows:
        if row >= 0 and _ends(book, row):
            _push(heap, book.heads[_SIZE], _ends_at(book, row), book.orders.number[row], row)
            book.heads[_SIZE] += 1


@kernel
def watch_authorisations(documents: I32, book: Book, heap: Expiries) -> None:
    """Enter the orders of payments whose authorisation ends; other documents are passed over."""
    for document in documents:
        if _is_held(book, document):
            order = book.documents.order[document]
            until = book.documents.figures[document, _UNTIL]
            _push(heap, book.heads[_SIZE], until, book.orders.number[order], order)
            book.heads[_SIZE] += 1


@kernel
def take_due(stamp: int, book: Book, heap: Expiries, rows: I32) -> int:
    """Take the entries due at `stamp` (UTC us) out of the heap; rows[k] gets those of them that are still open. Returns
    how many. Orders are touched.

    `rows` has room for every entry.
    """
    count = 0
    while book.heads[_SIZE] > 0 and heap.at[0] <= stamp:
        row = heap.order[0]
        is_open = book.orders.number[row] == heap.number[0] and _may_end(book, row)
        if is_open:
            rows[count] = row
            count += 1
            if book.orders.kind[row] == _ORDER:
                touch(book, row, _TOUCHED)
        _pop(heap, book.heads[_SIZE])
        book.heads[_SIZE] -= 1
    return count


@kernel
def rebuild_expiries(book: Book, heap: Expiries, stamp: int) -> None:
    """Fill the heap from what is open. stamp: of the last commit, UTC us: what orders were to be paid by then, and
    authorisations that ended by then, were looked at in it."""
    book.heads[_SIZE] = 0
    for row in range(book.heads[_HIGH_WATER]):
        is_order = book.orders.kind[row] == _ORDER
        if _ends(book, row) and not (is_order and _ends_at(book, row) <= stamp):
            _push(heap, book.heads[_SIZE], _ends_at(book, row), book.orders.number[row], row)
            book.heads[_SIZE] += 1
    for document in range(book.heads[_DOCUMENTS]):
        order, until = book.documents.order[document], book.documents.figures[document, _UNTIL]
        if _is_held(book, document) and until > stamp:
            _push(heap, book.heads[_SIZE], until, book.orders.number[order], order)
            book.heads[_SIZE] += 1


@kernel
def count_due(stamp: int, book: Book, heap: Expiries) -> int:
    """How many entries are due at `stamp`, UTC us: those below one that is not due are not looked at."""
    count, size, i = 0, book.heads[_SIZE], np.int64(0)
    while True:
        if i < size and heap.at[i] <= stamp:
            count += 1
            i = 2 * i + 1
            continue
        while i > 0 and i % 2 == 0:  # a right child: all of its parent's are done
            i = (i - 1) >> 1
        if i == 0:
            return count
        i += 1
