"""Prices of orders, frozen when they are taken: what lines come to, by kernels/money.py, as columns of the journal.

An order has prices where it names a currency and every line a price. What it owes then follows its units.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from engine.answers import NULL_I64
from engine.commands import FROZEN
from engine.outcomes import Namespace
from engine.ragged import owned, owners
from engine.state import State
from kernels.columns import NONE
from kernels.life import Amount, PayMethod
from kernels.money import enter_prices, freeze_prices

ASKED_OF_ORDERS = ("order_discount", "shipping_fee", "shipping_fee_tax")
ASKED_OF_LINES = ("line_discount", "line_tax")
METHOD_WORDS = {
    "CARD": PayMethod.CARD, "UPI": PayMethod.UPI, "NET_BANKING": PayMethod.NET_BANKING, "WALLET": PayMethod.WALLET,
    "CASH_ON_DELIVERY": PayMethod.CASH_ON_DELIVERY, "CHANNEL": PayMethod.CHANNEL,
}  # fmt: skip

assert len(FROZEN) == len(Amount)


def frozen(
    first_line: Any, quantity: Any, options: Mapping[str, Any], sound: Any = True
) -> tuple[dict[str, Any], Any]:  # fmt: skip
    """The columns FROZEN [line], NULL_I64 in lines of orders without prices; and bool [order], whether prices add up:
    not where discounts are more than the goods, or all of it more than ORDER_AMOUNT_MAX. Empty where nobody tells any.

    options: columns of ORDER_OPTIONS [order] and LINE_OPTIONS [line]. sound: bool [order]; others get no prices.
    """
    orders, lines = first_line.size - 1, quantity.size
    if "currency" not in options or "unit_price" not in options:
        return {}, np.ones(orders, bool)
    priced_lines = options["unit_price"] != NULL_I64
    missing = np.zeros(orders, bool)
    missing[owners(first_line)[~priced_lines]] = True
    is_priced = (options["currency"] != NONE) & ~missing & sound
    if not is_priced.any():
        return {}, np.ones(orders, bool)

    def told(name: str, count: int) -> Any:
        column = options.get(name)
        return np.zeros(count, np.int64) if column is None else np.where(column == NULL_I64, 0, column)

    per_unit = np.column_stack([told(name, lines) for name in ("unit_price", "discount", "tax")])
    per_line = np.column_stack([told(name, lines) for name in ASKED_OF_LINES])
    per_order = np.column_stack([told(name, orders) for name in ASKED_OF_ORDERS])
    amounts, fits = np.empty((lines, len(Amount)), np.int64), np.empty(orders, np.uint8)
    goods, rests, shares = (np.empty(lines, np.int64) for _ in range(3))
    freeze_prices(
        owned(first_line),
        owned(quantity),
        per_unit,
        per_line,
        per_order,
        is_priced.astype(np.uint8),
        goods,
        rests,
        shares,
        amounts,
        fits,
    )
    amounts[~is_priced[owners(first_line)]] = NULL_I64
    return {name: amounts[:, place].copy() for place, name in enumerate(FROZEN)}, (fits != 0) | ~is_priced


def enter(state: State, rows: Any, orders: Mapping[str, Any], lines: Mapping[str, Any]) -> bool:
    """Orders have entered: they get the prices that their columns tell; whether any is to be paid by some moment. rows:
    int32 [order], NONE where refused."""
    if lines.get("goods") is None:
        return False
    amounts = np.column_stack([lines[name] for name in FROZEN])
    count = orders["number"].size
    first = np.zeros(count, np.int64)
    np.cumsum(orders["line_count"][:-1], out=first[1:])
    has_prices = amounts[np.minimum(first, len(amounts) - 1), 0] != NULL_I64
    currency = np.where(has_prices & (orders["line_count"] > 0), orders["currency"], NONE).astype(np.int32)
    pay_by = orders.get("pay_by")
    pay_by = np.zeros(count, np.int64) if pay_by is None else np.where(pay_by == NULL_I64, 0, pay_by)
    enter_prices(
        rows, owned(orders["line_count"]), currency, _methods(state, orders), pay_by, amounts,
        (orders["is_reservation"] == 0).astype(np.uint8), state.book,
    )  # fmt: skip
    return bool((pay_by > 0).any())


def _methods(state: State, orders: Mapping[str, Any]) -> Any:
    """uint8 [order]: PayMethod, 0 where it is not told."""
    words = orders.get("payment_method")
    if words is None:
        return np.zeros(orders["number"].size, np.uint8)
    method_of = np.zeros(len(state.names[Namespace.WORD]) + 1, np.uint8)  # the last one stands for NONE
    for word, method in METHOD_WORDS.items():
        at = state.names[Namespace.WORD].find_one(word)
        if at >= 0:
            method_of[at] = method
    return method_of[words]
