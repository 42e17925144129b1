"""Searches of the book: whose units wait, stand where too little is on hand, or are at a node that is to be left.

Called by engine/stock.py and engine/reallocation.py, which decide what becomes of what is found. Nothing is written but
the rows found.
"""

from kernels.columns import NONE, Book, Cells, Head, Stage
from kernels.options import I32, U8, U8x2, kernel

_ALLOCATED, _RESERVED = int(Stage.ALLOCATED), int(Stage.RESERVED)
_PARTS = int(Head.PARTS)


@kernel
def waiting_orders(sku: I32, book: Book, rows: I32) -> int:
    """Orders with back-ordered units of these SKUs; rows has room for every waiting part. An order may come twice."""
    count = 0
    for i in range(sku.size):
        part = book.waiting[sku[i]]
        while part != NONE:
            rows[count] = book.lines.order[book.parts.line[part]]
            count += 1
            part = book.parts.next_waiting[part]
    return count


@kernel
def committed_parts(over: U8x2, book: Book, cells: Cells, parts: I32) -> int:
    """Parts reserved or allocated and not yet picked at the cells marked in over[row, node]; `parts` has room for all.

    A look at every part: rare, for stock counts that fall below what is committed.
    """
    count = 0
    for part in range(book.heads[_PARTS]):
        stage = book.parts.stage[part]
        if book.parts.quantity[part] > 0 and (stage == _ALLOCATED or stage == _RESERVED):
            row = cells.row_of[book.lines.sku[book.parts.line[part]]]
            if over[row, book.parts.node[part]]:
                parts[count] = part
                count += 1
    return count


@kernel
def leaving_parts(is_left: U8, book: Book, parts: I32) -> int:
    """Parts reserved or allocated and not yet picked at the nodes marked in is_left[node]; `parts` has room for all.

    A look at every part, two columns of it in a row: about a millisecond a million.
    """
    stages, nodes = book.parts.stage, book.parts.node
    count = 0
    for part in range(book.heads[_PARTS]):
        stage = stages[part]
        if (stage == _ALLOCATED or stage == _RESERVED) and is_left[nodes[part]] != 0:
            parts[count] = part
            count += 1
    return count
