"""The invariants of money and documents: the books balance, nobody gets back more than he paid, units add up.

`LedgerCount` knows only postings, a second opinion on what payments, shipments and returns say; `audit_life` looks at
every row. engine/verify.py asks both.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from engine import schema
from engine.ledger import ACCOUNTS
from engine.state import State
from kernels.columns import Head, OrderKind, Stage
from kernels.life import Account, DocumentKind, PaymentFigure, ReturnFigure, ReturnState, ShipmentState

_OPEN = (Stage.SHORT, Stage.BACK_ORDERED, Stage.ALLOCATED, Stage.PICKED, Stage.PACKED)
_FAULTS_MAX = 20  # of one kind that are told


def owed_by_customers(state: State) -> tuple[Any, Any]:
    """int64 [order]: the numbers of open orders with prices, and what their customers owe; below 0: paid ahead."""
    book, orders = state.book, state.head(Head.ORDERS)
    documents, count = book.documents, state.head(Head.DOCUMENTS)
    owed = book.money.kept[:orders].copy()
    items = state.head(Head.ITEMS)
    of = book.items.document[:items]
    held = of >= 0
    np.add.at(owed, documents.order[of[held]], book.items.amounts[:items][held].sum(axis=1))
    is_payment = documents.kind[:count] == DocumentKind.PAYMENT
    figures = documents.figures[:count][is_payment]
    paid = figures[:, PaymentFigure.CAPTURED] - figures[:, PaymentFigure.REFUNDING] - figures[:, PaymentFigure.REFUNDED]
    np.subtract.at(owed, documents.order[:count][is_payment], paid)
    has_prices = (book.money.currency[:orders] != 0) & (book.orders.kind[:orders] == OrderKind.ORDER)
    return book.orders.number[:orders][has_prices], owed[has_prices]


class LedgerCount:
    """Sums of postings by account and by order."""

    def __init__(self, state: State) -> None:
        self._balances = {currency: balances.copy() for currency, balances in state.ledger.balances.items()}
        numbers, owed = owed_by_customers(state)
        self._numbers, self._owed = [numbers.copy()], [owed]
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
            of_customers = columns["account"] == Account.CUSTOMER
            self._numbers.append(columns["order_number"][of_customers].copy())
            self._owed.append(columns["amount"][of_customers].copy())
        self.faults += [f"ledger: sequence {sequence}: its postings sum to {units}" for units in off.values() if units]
        self.faults += [
            f"ledger: sequence {sequence}: {units} hang between orders" for units in between.values() if units
        ]

    def differences(self, state: State) -> list[str]:
        """Accounts and orders of which the state says something else."""
        out = []
        for currency in {*self._balances, *state.ledger.balances}:
            here, there = self._balances.get(currency), state.ledger.balances.get(currency)
            if here is None or there is None or not np.array_equal(here, there):
                out.append(f"ledger: currency {currency}: its balances are not the sums of its postings")
        numbers, back = np.unique(np.concatenate(self._numbers), return_inverse=True)
        sums = np.zeros(numbers.size, np.int64)
        np.add.at(sums, back, np.concatenate(self._owed))
        open_numbers, owed = owed_by_customers(state)
        at = np.searchsorted(numbers, open_numbers)
        at = np.minimum(at, max(0, numbers.size - 1))
        posted = np.where(numbers[at] == open_numbers, sums[at], 0) if numbers.size else np.zeros(owed.size, np.int64)
        wrong = np.flatnonzero(posted != owed)
        out += [
            f"ledger: order {int(open_numbers[i])}: its customer owes {int(owed[i])}, postings come to {int(posted[i])}"
            for i in wrong[:_FAULTS_MAX]
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
    gathered = documents.flags[:count] & 15  # what carriers and marketplaces collected grows shipment by shipment
    over = (of[:, PaymentFigure.CAPTURED] > limit) & ~np.isin(gathered, (5, 6))
    payment = (kind == DocumentKind.PAYMENT) & (
        (back > of[:, PaymentFigure.CAPTURED]) | over | (of[:, :6] < 0).any(axis=1)
    )
    looked_at = of[:, ReturnFigure.ACCEPTED] + of[:, ReturnFigure.TURNED_DOWN]
    is_return = (kind == DocumentKind.RETURN) & (documents.state[:count] != ReturnState.CLOSED)
    returned = is_return & (
        (of[:, ReturnFigure.RECEIVED] > of[:, ReturnFigure.UNITS]) | (looked_at > of[:, ReturnFigure.RECEIVED])
    )
    return _told("more given back than captured, or captured than asked, in payment", number[payment]) + _told(
        "more units came back than were asked for in return", number[returned]
    )


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
    return _told("what is charged is not of the units in shipment", documents.number[of[held[wrong]]])
