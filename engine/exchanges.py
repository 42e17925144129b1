"""Exchanges: units that were accepted back are replaced by an order of their own, paid for by what they were worth.

The order has the return's number in its id, the same channel, customer, SKU and postal code, and the amounts that were
credited, so that it owes exactly what is paid over. Where its channel refuses it for want of stock, the money is given
back instead.
"""

from typing import Any

import numpy as np
import pyarrow as pa

from engine.answers import NULL_I64
from engine.apply import PLACE_BITS, PLACE_MASK, hash_keys
from engine.commands import PlaceOrders
from engine.commit import Commit, find_locations
from engine.decide import place_orders
from engine.outcomes import Cause, Method
from engine.ragged import owned
from engine.telling import NOBODY, carrying, keep, new_told
from kernels.columns import NONE, Outcome
from kernels.life import Account, Disposition, ReturnKind, Step
from kernels.settling import transfer
from kernels.telling import POSTINGS, STEPS, Told

_TAXES = (Account.CGST, Account.SGST, Account.IGST, Account.TAX)


def exchange(commit: Commit, told: Told) -> None:
    """Replace the units that the steps just kept have accepted of exchanges."""
    count, steps, documents = int(told.counts[STEPS]), told.steps, commit.state.book.documents
    accepts = (steps.step[:count] == Step.INSPECT) & (steps.flags[:count] != Disposition.TURN_DOWN)
    at = np.flatnonzero(accepts)
    at = at[documents.flags[steps.document[at]] & 3 == ReturnKind.EXCHANGE]
    if at.size == 0:
        return
    source, worth = documents.order[steps.document[at]], _worth(told, at)
    numbers, first = steps.number[at].tolist(), commit.orders_entered
    order_ids = [f"exchange-{number}-{commit.sequence}-{first + place}" for place, number in enumerate(numbers)]
    command = _orders(commit, pa.array(order_ids, pa.string()), source, steps.document[at], steps.units[at], worth)
    answers = place_orders(commit, command)
    amounts = sum(worth.values())
    owing = np.flatnonzero((answers.reply <= Outcome.SHORT) & (amounts > 0))
    if owing.size:
        _pay_over(commit, owned(source[owing]), command.take(owing), owned(amounts[owing]))


def _worth(told: Told, at: Any) -> dict[str, Any]:
    """What each of some steps credited, minor units: goods, tax, shipping. at: int64 [n], where they stand."""
    postings = int(told.counts[POSTINGS])
    ends = np.append(told.first_posting[1 : told.counts[STEPS]], postings)
    account, amount = told.postings.account[:postings], told.postings.amount[:postings]

    def total(*accounts: Account) -> Any:
        sums = np.append(0, np.cumsum(np.where(np.isin(account, accounts), amount, 0)))
        return sums[ends[at]] - sums[told.first_posting[at]]

    return {"goods": total(Account.SALES), "goods_tax": total(*_TAXES), "shipping": total(Account.SHIPPING)}


def _orders(
    commit: Commit, order_ids: pa.StringArray, source: Any, document: Any, units: Any, worth: dict[str, Any]
) -> PlaceOrders:  # fmt: skip
    """An order of one line for each return: of its channel, customer and way of paying. source: rows of their orders;
    document: rows of the returns."""
    book, count = commit.state.book, source.size
    priced = book.money.currency[source] != 0
    options: dict[str, Any] = _as_before(commit, source)
    if priced.any():
        options["currency"] = book.money.currency[source] - np.int16(1)
        amounts = worth | {"unit_price": worth["goods"] // units, "shipping_tax": np.zeros(count, np.int64)}
        options |= {name: np.where(priced, amount, NULL_I64) for name, amount in amounts.items()}
    line = book.items.line[book.documents.of[document]]
    return PlaceOrders(
        order_ids, book.orders.channel[source], book.orders.postal_code[source], np.arange(count + 1, dtype=np.int64),
        book.lines.sku[line], units.astype(np.int32), options,
    )  # fmt: skip


def _as_before(commit: Commit, source: Any) -> dict[str, Any]:
    """Customer and way of paying of orders; not told where their records were moved away."""
    locations = commit.state.book.orders.location[source]
    customers, methods = np.full(source.size, "", object), np.full(source.size, NONE, np.int16)
    for sequence in np.unique(locations >> PLACE_BITS).tolist():  # each record once
        record = commit.first_answers.orders_of(sequence)
        told = {} if record is None else record.orders
        of_it = np.flatnonzero(locations >> PLACE_BITS == sequence)
        places = locations[of_it] & PLACE_MASK
        if told.get("customer") is not None:
            customers[of_it] = told["customer"].take(pa.array(places)).fill_null("").to_pylist()
        if told.get("payment_method") is not None:
            methods[of_it] = told["payment_method"][places]
    return {"customer": pa.array(customers.tolist(), pa.string()), "payment_method": methods}


def _pay_over(commit: Commit, source: Any, command: PlaceOrders, amounts: Any) -> None:
    """What came back of orders pays for those that replace them. source: their rows; command: what was placed."""
    state, first, spare = commit.state, 0, 0
    keys = hash_keys(state, command.channel, Method.PLACE_ORDER, command.order_id)
    target = owned(find_locations(state, keys)[1])
    while first < source.size:
        told = new_told(source.size - first, spare)
        done = transfer(
            source, target, amounts, first, commit.stamp, commit.next_document_location, state.book, carrying(state),
            told,
        )  # fmt: skip
        spare = 2 * (spare + 1024) if done == first else spare
        keep(commit, told, {}, NOBODY, NOBODY, Cause.EXCHANGE)
        first = done
