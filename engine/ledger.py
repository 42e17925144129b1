"""The ledger: what each account holds, by double entry. Every posting is journaled; balances are their sums.

What a step posts is decided beside the step (kernels/telling.py). LIFE.md shows the accounts and a worked refund.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from kernels.life import Account

ACCOUNTS = len(Account) + 1  # Account counts from 1
MEANINGS: dict[Account, str] = {
    Account.CUSTOMER: "what customers owe; below 0: what they paid ahead",
    Account.GATEWAY: "captured by a gateway, to be settled",
    Account.CARRIER: "collected by carriers on delivery",
    Account.CHANNEL: "collected by marketplaces",
    Account.BANK: "paid out by hand, as refunds of cash",
    Account.REFUNDS: "refunds that were asked for and are not done",
    Account.CREDIT: "store credit that customers hold",
    Account.TRANSFER: "between an order and its exchange; 0 after every commit",
    Account.SALES: "goods, after discounts and before tax",
    Account.SHIPPING: "shipping fees, before tax",
    Account.CGST: "central GST, where node and customer are in one region",
    Account.SGST: "state GST, likewise",
    Account.IGST: "integrated GST, between two regions",
    Account.TAX: "tax where a region is not known, so that it cannot be split",
    Account.FEES: "the way back of returns, where the customer pays it",
    Account.GOODWILL: "given back beyond what units were worth",
}


class Ledger:
    """Balances by currency and account, minor units; a debit is above 0. All of a currency sum to 0."""

    def __init__(self) -> None:
        self.balances: dict[int, Any] = {}  # int64 [ACCOUNTS] by the word of the currency

    def post(self, postings: Mapping[str, Any]) -> None:
        """Take postings in: columns as the journal has them."""
        for currency in np.unique(postings["currency"]).tolist():
            of_it = postings["currency"] == currency
            balances = self.balances.setdefault(currency, np.zeros(ACCOUNTS, np.int64))
            np.add.at(balances, postings["account"][of_it], postings["amount"][of_it])

    def digest(self) -> bytes:
        """Equal for equal balances; nothing where nothing was posted."""
        return b"".join(
            currency.to_bytes(4, "little") + balances.tobytes() for currency, balances in sorted(self.balances.items())
        )

    def columns(self) -> Any:
        """int64 [currency, 1 + ACCOUNTS]: for a snapshot."""
        return np.array([[currency, *balances] for currency, balances in sorted(self.balances.items())], np.int64)

    def fill(self, columns: Any) -> None:
        """Balances of a snapshot."""
        self.balances = {int(row[0]): row[1:].copy() for row in columns}

    @property
    def unbalanced(self) -> dict[int, int]:
        """Currencies whose accounts do not sum to 0, or between whose orders something hangs, and by how much."""
        out = {}
        for currency, balances in self.balances.items():
            if off := int(balances.sum()) or int(balances[Account.TRANSFER]):
                out[currency] = off
        return out
