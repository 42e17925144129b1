"""The digest of the state: one 64-bit sum that is equal after live running, after replay, and after snapshot + tail.

Every row adds a hash of its place and its content, so the sum does not depend on the order of events and is kept up to
date by subtracting a row's old hash and adding its new one. Links between rows are left out: the audit walks them.
The mixing step is that of SplitMix64 (Steele, Lea and Flood 2014). It finds accidents, not attackers.
"""

import numpy as np

from kernels.columns import Book, Cells, Figure, Head, OrderKind
from kernels.options import U64, kernel, leaf

_ORDER, _LINE, _PART, _CELL, _OWED, _POOL, _DOCUMENT, _ITEM = (np.uint64(tag << 56) for tag in range(1, 9))
_FIGURES = int(Figure.DEFICIT)  # the figures from DEFICIT on are derived
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_30, _27, _31, _32 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(32)
_LOW = np.int64(0xFFFFFFFF)
_HEAD_ORDERS, _HEAD_CELLS, _FREE = int(Head.ORDERS), int(Head.CELL_ROWS), int(OrderKind.FREE)
_HEAD_DOCUMENTS, _HEAD_ITEMS = int(Head.DOCUMENTS), int(Head.ITEMS)


@leaf
def mix(word: np.uint64) -> np.uint64:
    """A bijection of 64-bit words in which every input bit reaches every output bit."""
    word = word + _GOLDEN
    word = (word ^ (word >> _30)) * _MIX_1
    word = (word ^ (word >> _27)) * _MIX_2
    return word ^ (word >> _31)


@leaf
def _two(high: int, low: int) -> np.uint64:
    return (np.uint64(np.int64(high)) << _32) | np.uint64(np.int64(low) & _LOW)


@leaf
def order_hash(book: Book, order: int) -> np.uint64:
    """Hash of one order row's content."""
    orders = book.orders
    word = mix(_ORDER | np.uint64(order)) ^ np.uint64(orders.number[order])
    word = mix(word) ^ np.uint64(orders.location[order])
    word = mix(word) ^ np.uint64(orders.due_at[order])
    word = mix(word) ^ _two(np.int64(orders.channel[order]) * 4 + orders.kind[order], orders.postal_code[order])
    return mix(word)


@leaf
def line_hash(book: Book, line: int) -> np.uint64:
    """Hash of one line row's content."""
    word = mix(_LINE | np.uint64(line)) ^ _two(book.lines.order[line], book.lines.sku[line])
    return mix(mix(word) ^ np.uint64(np.int64(book.lines.quantity[line])))


@leaf
def part_hash(book: Book, part: int) -> np.uint64:
    """Hash of one part row's content."""
    parts = book.parts
    word = mix(_PART | np.uint64(part)) ^ _two(parts.line[part], parts.quantity[part])
    return mix(mix(word) ^ _two(parts.fenced[part], np.int64(parts.node[part]) * 16 + parts.stage[part]))


@leaf
def owed_hash(book: Book, order: int) -> np.uint64:
    """Hash of what an order with prices owes beside its lines."""
    money = book.money
    word = mix(_OWED | np.uint64(order)) ^ _two(money.currency[order], money.method[order])
    return mix(mix(word ^ np.uint64(money.kept[order])) ^ np.uint64(money.pay_by[order]))


@leaf
def pool_hash(book: Book, line: int) -> np.uint64:
    """Hash of what a line of such an order owes."""
    word = mix(_POOL | np.uint64(line)) ^ np.uint64(np.int64(book.money.units[line]))
    for amount in range(book.money.amounts.shape[1]):
        word = mix(word) ^ np.uint64(book.money.amounts[line, amount])
    return mix(word)


@leaf
def document_hash(book: Book, document: int) -> np.uint64:
    """Hash of one document row's content."""
    of = book.documents
    word = mix(_DOCUMENT | np.uint64(document)) ^ np.uint64(of.number[document])
    word = mix(word) ^ np.uint64(of.location[document])
    word = mix(word) ^ _two(of.order[document], of.of[document])
    state = (np.int64(of.kind[document]) << 16) | (np.int64(of.state[document]) << 8) | of.flags[document]
    word = mix(word) ^ _two(state, (np.int64(of.how[document]) << 16) ^ of.node[document])
    for figure in range(of.figures.shape[1]):
        word = mix(word) ^ np.uint64(of.figures[document, figure])
    return mix(mix(word) ^ np.uint64(of.referenced[document]))


@leaf
def item_hash(book: Book, item: int) -> np.uint64:
    """Hash of one item row's content."""
    of = book.items
    word = mix(_ITEM | np.uint64(item)) ^ _two(of.document[item], of.line[item])
    word = mix(word) ^ _two(of.units[item], of.left[item])
    for amount in range(of.amounts.shape[1]):
        word = mix(word) ^ np.uint64(of.amounts[item, amount])
    return mix(word)


@leaf
def cell_weight(row: int, node: int, figure: int) -> np.uint64:
    """The odd factor by which a figure of a cell counts in the digest."""
    return mix(_CELL | np.uint64((row << 12) | (node << 4) | figure)) | np.uint64(1)


@kernel
def full_digest(book: Book, cells: Cells, digest: U64) -> None:
    """The digest from scratch: the twin of the one that is kept up to date. Writes digest[0]."""
    total = np.uint64(0)
    for order in range(book.heads[_HEAD_ORDERS]):
        if book.orders.kind[order] == _FREE:
            continue
        total += order_hash(book, order)
        has_prices = book.money.currency[order] != 0
        if has_prices:
            total += owed_hash(book, order)
        line = book.orders.first[order]
        while line >= 0:
            total += line_hash(book, line)
            if has_prices:
                total += pool_hash(book, line)
            part = book.lines.first[line]
            while part >= 0:
                total += part_hash(book, part)
                part = book.parts.next[part]
            line = book.lines.next[line]
    for document in range(book.heads[_HEAD_DOCUMENTS]):
        if book.documents.kind[document] != 0:
            total += document_hash(book, document)
    for item in range(book.heads[_HEAD_ITEMS]):
        if book.items.document[item] >= 0:
            total += item_hash(book, item)
    for row in range(book.heads[_HEAD_CELLS]):
        for node in range(cells.figures.shape[1]):
            for figure in range(_FIGURES):
                value = cells.figures[row, node, figure]
                if value != 0:
                    total += cell_weight(row, node, figure) * np.uint64(np.int64(value))
    digest[0] = total
