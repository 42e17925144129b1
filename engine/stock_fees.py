"""Balance and age of stock, the optional terms of a card: what it counts in a plan to take a unit from one node rather
than from another. Nobody pays it. It weighs in the choice of nodes and in the bound, and no bill knows of it.
"""

from typing import Any, Protocol

import numpy as np

from engine.commands import Parts
from engine.costs import CELLS_MAX, TooManyRows
from engine.planning import Demand, Under, cost_rows
from engine.ragged import distinct, offsets, owners
from kernels.columns import NO_NODE
from kernels.pricing import Costs


class Terms(Protocol):
    """What a card says of stock, in minor units; 0: it does not matter."""

    @property
    def balance_fee(self) -> float:
        """A unit from a node that has next to nothing of its SKU beside the node that has most."""

    @property
    def age_fee_per_day(self) -> float:
        """A unit, for each day that the stock of its node is younger than the oldest of its SKU."""


def stock_fees(terms: Terms, available: Any, age_days: Any) -> Any:
    """float64 [sku, node], 0 or more: the fee of a unit; None where the card has none.

    available: int [sku, node] units; age_days: int [sku, node], of what is there. A node has the part of `balance_fee`
    by which its units fall short of the largest stock of the SKU.
    """
    if not terms.balance_fee and not terms.age_fee_per_day:
        return None
    there = available > 0
    most = np.maximum(available.max(axis=1, initial=1, keepdims=True), 1)
    oldest = np.where(there, age_days, 0).max(axis=1, initial=0, keepdims=True)
    fees = terms.balance_fee * (1 - available / most) + terms.age_fee_per_day * (oldest - age_days)
    return np.where(there, fees, 0.0)


def with_stock_fees(
    demand: Demand, costs: Costs, under: Under | None, fees: Any
) -> tuple[Demand, Costs, Under | None]:  # fmt: skip
    """The same with the fees of stock, [row of the stock, node]: a row of costs for each SKU in each row so far. Raises
    TooManyRows."""
    rows = cost_rows(demand, np.arange(demand.sku.size), 1)
    for of in (rows,) if under is None else (rows, under.rate):
        if (count := distinct(of, demand.sku)[0].size) * fees.shape[1] > CELLS_MAX:
            raise TooManyRows(f"{count:,} prices, by SKU and where orders go, at {fees.shape[1]} nodes")
    unit, rate = _more_rows(costs.unit, rows, demand.sku, fees)
    first, _ = distinct(rows, demand.sku)
    shipment = np.concatenate([costs.shipment, costs.shipment[rows[first]]])
    if under is not None:
        unit_under, rate_under = _more_rows(under.costs.unit, under.rate, demand.sku, fees)
        under = under._replace(costs=under.costs._replace(unit=unit_under), rate=rate_under)
    return demand._replace(rate=rate), Costs(shipment, unit, costs.short), under


def _more_rows(unit: Any, rows: Any, sku: Any, fees: Any) -> tuple[Any, Any]:
    """Costs of a unit with the rows that they get, and the row of each line."""
    first, of = distinct(rows, sku)
    return np.concatenate([unit, unit[rows[first]] + fees[sku[first]]]), unit.shape[0] + of


def count_fees(demand: Demand, fees: Any, parts: Parts) -> float:
    """What parts come to."""
    line, given = owners(offsets(parts.part_count)), parts.node != NO_NODE
    return float((parts.quantity[given] * fees[demand.sku[line[given]], parts.node[given]]).sum())
