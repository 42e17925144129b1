"""Exchanges: units that were accepted back are replaced by an order of their own, paid for by what they were worth.

The order has the return's number in its id, the same SKU and postal code, and the amounts that were credited, so that
it owes exactly what is paid over. Where its channel refuses it for want of stock, the money is given back instead.
"""

from typing import Any

import numpy as np
import pyarrow as pa

from engine.commands import PlaceOrders
from engine.commit import Commit
from engine.decide import place_orders
from engine.state import State
from engine.telling import NOBODY, carrying, keep, new_told
from kernels.columns import Head, Outcome
from kernels.life import Account, Disposition, ReturnKind, Step
from kernels.settling import transfer
from kernels.telling import POSTINGS, STEPS, Told

_TAXES = (Account.CGST, Account.SGST, Account.IGST, Account.TAX)


def exchange(commit: Commit, told: Told) -> None:
    """Replace the units that the steps just kept have accepted of exchanges."""
    count = int(told.counts[STEPS])
    steps = told.steps
    accepts = (steps.step[:count] == Step.INSPECT) & (steps.flags[:count] != Disposition.TURN_DOWN)
    for at in np.flatnonzero(accepts).tolist():
        document = int(steps.document[at])
        if commit.state.book.documents.flags[document] & 3 == ReturnKind.EXCHANGE:
            units = int(steps.units[at])
            order_id = f"exchange-{int(steps.number[at])}-{commit.sequence}-{at}"
            _replace(commit, document, order_id, units, _worth(told, at))


def _worth(told: Told, at: int) -> dict[str, int]:
    """What a step credited, minor units: goods, tax, shipping."""
    last = told.first_posting[at + 1] if at + 1 < told.counts[STEPS] else told.counts[POSTINGS]
    mine = slice(int(told.first_posting[at]), int(last))
    account, amount = told.postings.account[mine], told.postings.amount[mine]

    def total(*accounts: Account) -> int:
        return int(amount[np.isin(account, accounts)].sum())

    return {"goods": total(Account.SALES), "goods_tax": total(*_TAXES), "shipping": total(Account.SHIPPING)}


def _replace(commit: Commit, document: int, order_id: str, units: int, worth: dict[str, int]) -> None:
    state, book = commit.state, commit.state.book
    documents, source = book.documents, int(book.documents.order[document])
    sku = int(book.lines.sku[book.items.line[documents.of[document]]])
    answers = place_orders(commit, _order(state, source, order_id, sku, units, worth))
    if answers.reply[0] > Outcome.SHORT:
        return
    target = _row_of(state, int(answers.number[0]))
    amount = sum(worth.values())
    if book.money.currency[source] != 0 and amount > 0:
        told = new_told(1, 4096)
        transfer(source, target, amount, commit.stamp, commit.next_document_location, book, carrying(state), told)
        keep(commit, told, {}, NOBODY, NOBODY)


def _order(state: State, source: int, order_id: str, sku: int, units: int, worth: dict[str, int]) -> PlaceOrders:
    orders, currency = state.book.orders, int(state.book.money.currency[source])
    options: dict[str, Any] = {}
    if currency:
        price = np.array([worth["goods"] // units], np.int64)
        options = {"currency": np.array([currency - 1], np.int16), "unit_price": price}
        options |= {name: np.array([amount], np.int64) for name, amount in worth.items()}
        options["shipping_tax"] = np.zeros(1, np.int64)
    return PlaceOrders(
        pa.array([order_id], pa.string()), orders.channel[source : source + 1].copy(),
        orders.postal_code[source : source + 1].copy(), np.array([0, 1], np.int64), np.array([sku], np.int32),
        np.array([units], np.int32), options,
    )  # fmt: skip


def _row_of(state: State, number: int) -> int:
    """The row of an order that was placed a moment ago."""
    return int(np.flatnonzero(state.book.orders.number[: state.head(Head.ORDERS)] == number)[0])
