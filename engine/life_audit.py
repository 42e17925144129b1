"""The invariants of money and documents: the books balance, nobody gets back more than he paid, units add up.

`LedgerCount` adds postings up and holds them against what documents of each open order say, account by account where
they tell accounts apart: two routes that share nothing. `audit_life` looks at every row. engine/verify.py asks both.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from engine import schema
from engine.ledger import ACCOUNTS
from engine.state import State
from kernels.columns import NONE, Head, OrderKind, Stage
from kernels.life import (
    METHOD_BITS,
    Account,
    DocumentKind,
    ItemAmount,
    PaymentFigure,
    PayMethod,
    RefundFigure,
    RefundState,
    RefundTo,
    ReturnFigure,
    ReturnKind,
    ShipmentState,
)

_OPEN = (Stage.SHORT, Stage.BACK_ORDERED, Stage.ALLOCATED, Stage.PICKED, Stage.PACKED)
_OUT = (Stage.SHIPPED, Stage.DELIVERED, Stage.RETURNED)
_GATHERED = (PayMethod.CASH_ON_DELIVERY, PayMethod.CHANNEL)
_WHERE = np.full(METHOD_BITS + 1, Account.GATEWAY, np.uint8)  # [method] where money of a payment is
_WHERE[[PayMethod.CASH_ON_DELIVERY, PayMethod.CHANNEL, PayMethod.CREDIT, PayMethod.EXCHANGE]] = (
    Account.CARRIER, Account.CHANNEL, Account.CREDIT, Account.TRANSFER,
)  # fmt: skip
_WHERE_TO = np.zeros(256, np.uint8)  # [RefundTo] where a refund that is done has gone; 0: where its payment was
_WHERE_TO[[RefundTo.CREDIT, RefundTo.BANK, RefundTo.CHANNEL, RefundTo.EXCHANGE]] = (
    Account.CREDIT, Account.BANK, Account.CHANNEL, Account.TRANSFER,
)  # fmt: skip
_TOLD = (
    Account.CUSTOMER, Account.GATEWAY, Account.CARRIER, Account.CHANNEL, Account.BANK, Account.REFUNDS, Account.CREDIT,
    Account.TRANSFER, Account.SALES,
)  # fmt: skip
_ROWS_MAX = 1 << 22  # of postings that are kept before they are summed up
_FAULTS_MAX = 20  # of one kind that are told


def _held(state: State) -> tuple[Any, Any]:
    """Rows of open orders with prices, and int64 [order, account] what their documents say that accounts hold of them:
    nothing where they do not tell accounts apart, as taxes and fees."""
    book, orders = state.book, state.head(Head.ORDERS)
    documents, count, items = book.documents, state.head(Head.DOCUMENTS), state.head(Head.ITEMS)
    rows = np.flatnonzero((book.money.currency[:orders] != 0) & (book.orders.kind[:orders] == OrderKind.ORDER))
    place = np.full(orders, NONE, np.int32)
    place[rows] = np.arange(rows.size)
    held = np.zeros((rows.size, ACCOUNTS), np.int64)
    held[:, Account.CUSTOMER] = book.money.kept[rows]

    of: Any = book.items.document[:items]
    charged = np.flatnonzero(of >= 0)
    charged = charged[place[documents.order[of[charged]]] >= 0]
    order, amounts = place[documents.order[of[charged]]], book.items.amounts[charged]
    np.add.at(held, (order, np.full(order.size, Account.CUSTOMER)), amounts.sum(axis=1))
    np.subtract.at(held, (order, np.full(order.size, Account.SALES)), amounts[:, ItemAmount.GOODS])

    kind, of_order = documents.kind[:count], place[documents.order[:count]]
    account = _WHERE[documents.flags[:count] & METHOD_BITS]
    paid = np.flatnonzero((kind == DocumentKind.PAYMENT) & (of_order >= 0))
    captured = documents.figures[paid, PaymentFigure.CAPTURED]
    np.add.at(held, (of_order[paid], account[paid]), captured)
    np.subtract.at(held, (of_order[paid], np.full(paid.size, Account.CUSTOMER)), captured)
    back = np.flatnonzero((kind == DocumentKind.REFUND) & (of_order >= 0))
    amount, to = documents.figures[back, RefundFigure.AMOUNT], _WHERE_TO[documents.flags[back]]
    to = np.where(to == 0, account[documents.of[back]], to)
    to[documents.state[back] != RefundState.DONE] = Account.REFUNDS
    np.subtract.at(held, (of_order[back], to), amount)
    np.add.at(held, (of_order[back], np.full(back.size, Account.CUSTOMER)), amount)
    return rows, held


class LedgerCount:
    """Sums of postings by account, and by order and account."""

    def __init__(self, state: State) -> None:
        self._balances = {currency: balances.copy() for currency, balances in state.ledger.balances.items()}
        rows, held = _held(state)
        order, account = np.nonzero(held)
        self._posted = [(state.book.orders.number[rows[order]], account.astype(np.uint8), held[order, account])]
        self._rows = 0
        self.faults: list[str] = []

    def take(self, sequence: int, tables: Sequence[tuple[schema.Table, Any]]) -> None:
        """Add what a record posts. Each commit must balance by itself."""
        off: dict[int, int] = {}
        between: dict[int, int] = {}
        for table, columns in tables:
            if table is not schema.POSTINGS:
                continue
            for currency in np.unique(columns["currency"]).tolist():
                of_it = columns["currency"] == currency
                account, amount = columns["account"][of_it], columns["amount"][of_it]
                sums = np.zeros(ACCOUNTS, np.int64)
                np.add.at(sums, account, amount)
                balances = self._balances.setdefault(currency, np.zeros(ACCOUNTS, np.int64))
                balances += sums
                off[currency] = off.get(currency, 0) + int(sums.sum())
                between[currency] = between.get(currency, 0) + int(sums[Account.TRANSFER])
            told = np.isin(columns["account"], _TOLD)
            self._posted.append(
                (columns["order_number"][told].copy(), columns["account"][told].copy(), columns["amount"][told].copy())
            )
            self._rows += int(told.sum())
        if self._rows > _ROWS_MAX:
            self._posted, self._rows = [self._sums()], 0
        self.faults += [f"ledger: sequence {sequence}: its postings sum to {units}" for units in off.values() if units]
        self.faults += [
            f"ledger: sequence {sequence}: {units} hang between orders" for units in between.values() if units
        ]

    def _sums(self) -> tuple[Any, Any, Any]:
        """Order numbers, accounts, and what was posted, each pair once, by order and then account."""
        number, account, amount = (np.concatenate(columns) for columns in zip(*self._posted, strict=True))
        numbers, at = np.unique(number, return_inverse=True)
        pairs, where = np.unique(at * ACCOUNTS + account, return_inverse=True)
        sums = np.zeros(pairs.size, np.int64)
        np.add.at(sums, where, amount)
        return numbers[pairs // ACCOUNTS], (pairs % ACCOUNTS).astype(np.uint8), sums

    def differences(self, state: State) -> list[str]:
        """Accounts and orders of which the state says something else."""
        out = []
        for currency in {*self._balances, *state.ledger.balances}:
            here, there = self._balances.get(currency), state.ledger.balances.get(currency)
            if here is None or there is None or not np.array_equal(here, there):
                out.append(f"ledger: currency {currency}: its balances are not the sums of its postings")
        number, account, amount = self._sums()
        rows, held = _held(state)
        numbers = state.book.orders.number[rows]
        in_order = np.argsort(numbers)
        at = np.minimum(np.searchsorted(numbers, number, sorter=in_order), max(0, numbers.size - 1))
        posted = np.zeros_like(held)
        if numbers.size:
            row = in_order[at]
            is_open = numbers[row] == number
            posted[row[is_open], account[is_open]] = amount[is_open]
        wrong = [(int(order), one) for one in _TOLD for order in np.flatnonzero(posted[:, one] != held[:, one])]
        out += [
            f"ledger: order {int(numbers[order])}: {one.name} holds {int(held[order, one])} of it by its documents,"
            f" postings come to {int(posted[order, one])}"
            for order, one in wrong[:_FAULTS_MAX]
        ]
        return out


def audit_life(state: State) -> list[str]:
    """What is wrong with prices and documents, in words."""
    out = [f"ledger: currency {currency} is off by {off}" for currency, off in state.ledger.unbalanced.items()]
    return out + _audit_pools(state) + _audit_documents(state) + _audit_items(state)


def _told(what: str, numbers: Any) -> list[str]:
    return [f"{what}: {int(number)}" for number in numbers[:_FAULTS_MAX]]


def _audit_pools(state: State) -> list[str]:
    """Units that are still owed are those that neither left nor were cancelled."""
    book, lines, parts = state.book, state.head(Head.LINES), state.head(Head.PARTS)
    order = book.lines.order[:lines]
    priced = np.flatnonzero(order >= 0)
    priced = priced[book.money.currency[order[priced]] != 0]
    if priced.size == 0:
        return []
    open_units = np.zeros(lines, np.int64)
    here = np.isin(book.parts.stage[:parts], _OPEN) & (book.parts.quantity[:parts] > 0)
    np.add.at(open_units, book.parts.line[:parts][here], book.parts.quantity[:parts][here])
    units, amounts = book.money.units[priced], book.money.amounts[priced]
    wrong = (units != open_units[priced]) | (amounts < 0).any(axis=1) | ((units == 0) & amounts.any(axis=1))
    return _told("owed units differ from open units in order", book.orders.number[order[priced[wrong]]])


def _audit_documents(state: State) -> list[str]:
    """Figures stay within each other."""
    documents, count = state.book.documents, state.head(Head.DOCUMENTS)
    kind, number = documents.kind[:count], documents.number[:count]
    of = documents.figures[:count]
    back = of[:, PaymentFigure.REFUNDING] + of[:, PaymentFigure.REFUNDED]
    limit = np.maximum(of[:, PaymentFigure.AUTHORISED], of[:, PaymentFigure.AMOUNT])
    gathered = np.isin(documents.flags[:count] & METHOD_BITS, _GATHERED)  # grows shipment by shipment
    over = (of[:, PaymentFigure.CAPTURED] > limit) & ~gathered
    is_payment = kind == DocumentKind.PAYMENT
    payment = is_payment & ((back > of[:, PaymentFigure.CAPTURED]) | over | (of[:, :6] < 0).any(axis=1))
    refund = np.flatnonzero(kind == DocumentKind.REFUND)
    done = documents.state[refund] == RefundState.DONE
    sums = np.zeros((count, 2), np.int64)
    np.add.at(sums, (documents.of[refund], done.astype(np.int64)), of[refund, RefundFigure.AMOUNT])
    told = of[:, [PaymentFigure.REFUNDING, PaymentFigure.REFUNDED]]
    unlike = is_payment & (sums != told).any(axis=1)
    looked_at = of[:, ReturnFigure.ACCEPTED] + of[:, ReturnFigure.TURNED_DOWN]
    came = np.where(documents.flags[:count] & 3 == ReturnKind.CLAIM, ReturnFigure.UNITS, ReturnFigure.RECEIVED)
    returned = (kind == DocumentKind.RETURN) & (
        (of[:, ReturnFigure.RECEIVED] > of[:, ReturnFigure.UNITS]) | (looked_at > of[np.arange(count), came])
    )
    return [
        *_told("more given back than captured, or captured than asked, in payment", number[payment]),
        *_told("what is given back is not what its refunds say, of payment", number[unlike]),
        *_told("more units came back than were asked for in return", number[returned]),
    ]


def _audit_items(state: State) -> list[str]:
    """What is charged of a shipment is of its units."""
    items, count, documents = state.book.items, state.head(Head.ITEMS), state.book.documents
    of = items.document[:count]
    held = np.flatnonzero(of >= 0)
    at = documents.state[of[held]]
    left = items.left[held]
    wrong = (left < 0) | (left > items.units[held]) | (items.amounts[held] < 0).any(axis=1)
    wrong |= (left == 0) & items.amounts[held].any(axis=1)
    wrong |= (at <= ShipmentState.BOOKED) & (left != 0)
    book, parts = state.book, state.head(Head.PARTS)
    units = np.zeros(state.head(Head.LINES), np.int64)
    np.add.at(units, items.line[held], -left)
    out = np.isin(book.parts.stage[:parts], _OUT) & (book.parts.quantity[:parts] > 0)
    np.add.at(units, book.parts.line[:parts][out], book.parts.quantity[:parts][out])
    short = np.unique(book.lines.order[np.flatnonzero(units < 0)])
    return [
        *_told("what is charged is not of the units in shipment", documents.number[of[held[wrong]]]),
        *_told("more units are charged than have left in order", book.orders.number[short]),
    ]
