"""Prices of units, frozen to the minor unit: shared out when an order is taken, and what so many units of it come to.

Units of a line differ by one minor unit at most, in each amount: a line of T minor units and n units has T mod n dearer
ones. Whatever leaves the line, by units, takes whole units' amounts with it, so every sequence of cancellations,
shipments and returns sums to T. Cancelled units are the dearer ones first, shipped units the cheaper ones, so that
neither changes what the other costs.
"""

import numpy as np

from kernels.columns import Book
from kernels.digest import item_hash, owed_hash, pool_hash
from kernels.life import Amount, DocumentKind, ItemAmount, PaymentFigure, PaymentFlag, PaymentState, TaxSplit
from kernels.options import I32, I64, U8, I64x2, kernel, leaf

_GOODS, _TAX, _SHIPPING, _SHIPPING_TAX = (int(amount) for amount in Amount)
_ITEM_TAX, _ITEM_SHIPPING, _ITEM_SHIPPING_TAX = (
    int(ItemAmount.TAX), int(ItemAmount.SHIPPING), int(ItemAmount.SHIPPING_TAX),
)  # fmt: skip
ORDER_AMOUNT_MAX = 10**13  # minor units of a whole order: 900,000 of the largest fit into a balance
_AMOUNTS, _ITEM_AMOUNTS = len(Amount), len(ItemAmount)
_PAYMENT, _SHIPMENT = int(DocumentKind.PAYMENT), int(DocumentKind.SHIPMENT)
_WITHIN = int(TaxSplit.WITHIN)
_AUTHORISED, _CAPTURING, _CAPTURED, _REFUNDING, _REFUNDED = (
    int(figure)
    for figure in (
        PaymentFigure.AUTHORISED, PaymentFigure.CAPTURING, PaymentFigure.CAPTURED, PaymentFigure.REFUNDING,
        PaymentFigure.REFUNDED,
    )
)  # fmt: skip
_UNTIL, _CAPTURES, _SEVERAL = int(PaymentFigure.UNTIL), int(PaymentFigure.CAPTURES), int(PaymentFlag.SEVERAL)
_IS_AUTHORISED = int(PaymentState.AUTHORISED)
_SMALL = 1 << 31


@leaf
def multiplied(first: int, second: int, divisor: int) -> tuple[int, int]:
    """first * second // divisor, and the rest: also where the product has more than 64 bits. 0 <= first, second, and
    second <= divisor < 2**62."""
    if first < _SMALL and second < _SMALL:
        product = np.int64(first) * second
        return product // divisor, product % divisor
    quotient, rest = np.int64(0), np.int64(0)
    for bit in range(61, -1, -1):
        quotient, rest = quotient * 2, rest * 2
        if rest >= divisor:
            quotient, rest = quotient + 1, rest - divisor
        if (np.int64(first) >> bit) & 1:
            rest += second
            if rest >= divisor:
                quotient, rest = quotient + 1, rest - divisor
    return quotient, rest


@leaf
def share_out(total: int, weights: I64, rests: I64, shares: I64, first: int, last: int) -> None:
    """Share an amount out over the elements [first, last) by their weights, by largest remainder; of equal ones the
    earlier element first. Writes shares [element]; rests: room of the same size.

    Method: Hamilton's. Without any weight all are alike.
    """
    whole = np.int64(0)
    for at in range(first, last):
        whole += weights[at]
    count, left = last - first, np.int64(total)
    for at in range(first, last):
        if whole > 0:
            shares[at], rests[at] = multiplied(total, weights[at], whole)
        else:
            shares[at], rests[at] = total // count, total % count
        left -= shares[at]
    while left > 0:
        largest = first
        for at in range(first, last):
            if rests[at] > rests[largest]:
                largest = at
        shares[largest] += 1
        rests[largest] = -1
        left -= 1


@kernel
def freeze_prices(
    first_line: I64, quantity: I32, per_unit: I64x2, per_line: I64x2, per_order: I64x2, is_priced: U8, goods: I64,
    rests: I64, shares: I64, amounts: I64x2, fits: U8,
) -> None:  # fmt: skip
    """What the lines of orders come to: amounts [line, Amount], minor units.

    per_unit [line, 3]: price, discount, tax of a unit. per_line [line, 2]: discount, tax of all units of the line
    beside these. per_order [order, 3]: discount, shipping fee, its tax. is_priced [order]. goods, rests, shares [line]:
    room. fits [order] is written: 0 where discounts are more than the goods, or all of it more than ORDER_AMOUNT_MAX.
    The order's discount, its fee and the fee's tax are shared out over the lines by what their goods come to.
    """
    for order in range(first_line.size - 1):
        first, last = first_line[order], first_line[order + 1]
        fits[order] = 1
        whole, all_of_it = np.int64(0), per_order[order, 1] + per_order[order, 2]
        for line in range(first, last):
            for amount in range(_AMOUNTS):
                amounts[line, amount] = 0
            goods[line] = 0
            if is_priced[order] == 0 or fits[order] == 0:
                continue
            units = np.int64(quantity[line])
            worth = (per_unit[line, 0] - per_unit[line, 1]) * units - per_line[line, 0]
            tax = per_unit[line, 2] * units + per_line[line, 1]
            if worth < 0 or worth > ORDER_AMOUNT_MAX or tax > ORDER_AMOUNT_MAX:
                fits[order] = 0
                continue
            goods[line] = worth
            amounts[line, _TAX] = tax
            whole += worth
            all_of_it += worth + tax
            if all_of_it > ORDER_AMOUNT_MAX:
                fits[order] = 0
        if is_priced[order] == 0:
            continue
        if per_order[order, 0] > whole:
            fits[order] = 0
        if fits[order] == 0:
            continue
        share_out(per_order[order, 0], goods, rests, shares, first, last)
        for line in range(first, last):
            amounts[line, _GOODS] = goods[line] - shares[line]
        share_out(per_order[order, 1], goods, rests, shares, first, last)
        for line in range(first, last):
            amounts[line, _SHIPPING] = shares[line]
        share_out(per_order[order, 2], goods, rests, shares, first, last)
        for line in range(first, last):
            amounts[line, _SHIPPING_TAX] = shares[line]


@kernel
def enter_prices(
    rows: I32, line_count: I32, currency: I32, method: U8, pay_by: I64, amounts: I64x2, is_order: U8, book: Book
) -> None:
    """Orders that have entered get their prices. rows [order]: of the book, NONE where refused; currency [order]: word
    index, less than 0 where there are no prices; amounts [line, Amount]; is_order [order]: 0 for reservations, which
    owe nothing."""
    money = book.money
    at = 0
    for i in range(rows.size):
        order = rows[i]
        if order >= 0 and currency[i] >= 0 and is_order[i] != 0:
            money.currency[order] = currency[i] + 1
            money.method[order] = method[i]
            money.kept[order] = 0
            money.pay_by[order] = pay_by[i]
            book.digest[0] += owed_hash(book, order)
            line = book.orders.first[order]
            for place in range(at, at + line_count[i]):
                money.units[line] = book.lines.quantity[line]
                for amount in range(_AMOUNTS):
                    money.amounts[line, amount] = amounts[place, amount]
                book.digest[0] += pool_hash(book, line)
                line = book.lines.next[line]
        at += line_count[i]


@leaf
def of_dearer(total: int, units: int, wanted: int) -> int:
    """What so many of the dearer of all units come to. wanted <= units."""
    if units == 0:
        return 0
    base = total // units
    return base * wanted + min(wanted, total - base * units)


@leaf
def of_cheaper(total: int, units: int, wanted: int) -> int:
    """What so many of the cheaper of all units come to. wanted <= units."""
    return total - of_dearer(total, units, units - wanted)


@leaf
def cancel_units(book: Book, line: int, units: int) -> None:
    """Units of a line are owed no more: they were cancelled before they left."""
    money = book.money
    book.digest[0] -= pool_hash(book, line)
    for amount in range(_AMOUNTS):
        money.amounts[line, amount] -= of_dearer(money.amounts[line, amount], money.units[line], units)
    money.units[line] -= units
    book.digest[0] += pool_hash(book, line)


@leaf
def worth_of_item(book: Book, item: int) -> int:
    """What an item comes to that is about to leave."""
    line, worth = book.items.line[item], np.int64(0)
    units = min(book.items.units[item], book.money.units[line])
    for amount in range(_AMOUNTS):
        worth += of_cheaper(book.money.amounts[line, amount], book.money.units[line], units)
    return worth


@leaf
def charge_item(book: Book, item: int, split: int, taken: I64) -> None:
    """The units of an item leave: what they owe goes from their line to the item, the tax in halves where it is split.
    Adds to taken [ItemAmount]."""
    money, items = book.money, book.items
    line = items.line[item]
    units = min(np.int64(items.units[item]), np.int64(money.units[line]))
    book.digest[0] -= pool_hash(book, line) + item_hash(book, item)
    items.left[item] = items.units[item]
    for amount in range(_AMOUNTS):
        worth = of_cheaper(money.amounts[line, amount], money.units[line], units)
        money.amounts[line, amount] -= worth
        if amount == _GOODS:
            items.amounts[item, 0] = worth
            taken[0] += worth
        elif amount == _SHIPPING:
            items.amounts[item, _ITEM_SHIPPING] = worth
            taken[_ITEM_SHIPPING] += worth
        else:
            at = _ITEM_TAX if amount == _TAX else _ITEM_SHIPPING_TAX
            second = worth // 2 if split == _WITHIN else np.int64(0)
            items.amounts[item, at] = worth - second
            items.amounts[item, at + 1] = second
            taken[at] += worth - second
            taken[at + 1] += second
    money.units[line] -= units
    book.digest[0] += pool_hash(book, line) + item_hash(book, item)


@leaf
def credit_item(book: Book, item: int, units: int, keeps_shipping: bool, taken: I64) -> None:
    """Units of an item are charged no more. Their share of the shipping fee may be kept; then it counts as kept of the
    order. Adds what is given back to taken [ItemAmount]."""
    items = book.items
    order = book.documents.order[items.document[item]]
    book.digest[0] -= item_hash(book, item)
    for amount in range(_ITEM_AMOUNTS):
        worth = of_dearer(items.amounts[item, amount], items.left[item], units)
        items.amounts[item, amount] -= worth
        if keeps_shipping and amount >= _ITEM_SHIPPING:
            keep(book, order, worth)
        else:
            taken[amount] += worth
    items.left[item] -= units
    book.digest[0] += item_hash(book, item)


@leaf
def keep(book: Book, order: int, amount: int) -> None:
    """So much more of an order is kept, of what came back; below 0: less."""
    if amount != 0:
        book.digest[0] -= owed_hash(book, order)
        book.money.kept[order] += amount
        book.digest[0] += owed_hash(book, order)


@leaf
def charged(book: Book, order: int) -> int:
    """What the units of an order come to that have left and were not credited, and what is kept."""
    total = book.money.kept[order]
    document = book.documents.of_order[order] - 1
    while document >= 0:
        if book.documents.kind[document] == _SHIPMENT:
            item = book.documents.of[document]
            while item >= 0:
                for amount in range(_ITEM_AMOUNTS):
                    total += book.items.amounts[item, amount]
                item = book.items.next[item]
        document = book.documents.next[document]
    return total


@leaf
def to_come(book: Book, order: int) -> int:
    """What the units of an order come to that are still to leave."""
    total = np.int64(0)
    line = book.orders.first[order]
    while line >= 0:
        for amount in range(_AMOUNTS):
            total += book.money.amounts[line, amount]
        line = book.lines.next[line]
    return total


@leaf
def paid(book: Book, order: int) -> int:
    """What was captured for an order, less what was given back or is about to be."""
    documents = book.documents
    total = np.int64(0)
    document = documents.of_order[order] - 1
    while document >= 0:
        if documents.kind[document] == _PAYMENT:
            total += documents.figures[document, _CAPTURED]
            total -= documents.figures[document, _REFUNDING] + documents.figures[document, _REFUNDED]
        document = documents.next[document]
    return total


@leaf
def is_to_be_paid(book: Book, order: int) -> bool:
    """Whether an order with prices is paid for here: it names a method, or somebody has made a payment of it."""
    documents = book.documents
    if book.money.method[order] != 0:
        return True
    document = documents.of_order[order] - 1
    while document >= 0:
        if documents.kind[document] == _PAYMENT:
            return True
        document = documents.next[document]
    return False


@leaf
def can_be_captured(book: Book, document: int, stamp: int) -> int:
    """What of a payment is authorised and neither captured nor asked for, where it may still be asked for."""
    documents = book.documents
    if documents.kind[document] != _PAYMENT or documents.state[document] != _IS_AUTHORISED:
        return 0
    of = documents.figures
    if of[document, _UNTIL] != 0 and of[document, _UNTIL] <= stamp:
        return 0
    if of[document, _CAPTURES] > 0 and documents.flags[document] & _SEVERAL == 0:
        return 0
    return max(0, of[document, _AUTHORISED] - of[document, _CAPTURED] - of[document, _CAPTURING])
