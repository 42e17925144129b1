"""Prices of stock that an engine decides by: what is ordered and where to, and what a unit is worth where it is.

New orders are counted as they are decided (kernels/placing.py). From that, and from what is available now, `refresh`
works out what the last unit of a SKU at each node is worth to the orders to come (kernels/forecast.py). Prices are
advice: they are in no journal, replay knows nothing of them, and a start begins without any.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.intake.rate_card import RateCard, fees_of
from engine.outcomes import Namespace
from engine.state import State
from kernels.columns import NODES_MAX, Head
from kernels.forecast import price_by_forecast
from kernels.pricing import Costs

LEVELS = np.array([0.5, 0.75, 1.0, 1.5, 0.5, 0.75, 1.0, 1.5])  # times the expected demand; each drawn anew
SECONDS_SEEN_MIN = 86_400.0  # fewer say too little of a rate
ROWS_AT_ONCE = 1024  # SKUs, between two questions whether it is over
_SECONDS_PER_DAY = 86_400.0
MEMORY_SECONDS = 30 * _SECONDS_PER_DAY  # after so long an order counts a third


@dataclass
class Forecast:
    """What was ordered lately: the older, the less it counts."""

    at: float = 0.0  # seconds since 1970 of the last look
    seen: float = 0.0  # seconds
    units: Any = field(default_factory=lambda: np.zeros(0))  # [sku]
    orders: Any = field(default_factory=lambda: np.zeros(0))  # [postal code]

    def learn(self, state: State, now: float) -> None:
        """Take what has been ordered since the last look."""
        passed = max(0.0, now - self.at) if self.at else 0.0
        kept = np.exp(-passed / MEMORY_SECONDS)
        self.at, self.seen = now, self.seen * kept + passed
        prices = state.prices
        skus, codes = len(state.names[Namespace.SKU]), len(state.names[Namespace.POSTAL_CODE])
        self.units = _grown(self.units, skus) * kept + _taken(prices.ordered, skus)
        self.orders = _grown(self.orders, codes) * kept + _taken(prices.reached, codes)

    def expected(self, skus: Any, seconds: float) -> Any:
        """Units of SKUs that will be ordered in so many seconds, float64 [n]."""
        return self.units[skus] * (seconds / max(self.seen, SECONDS_SEEN_MIN))


def _grown(column: Any, count: int) -> Any:
    return np.concatenate([column, np.zeros(count - column.size)])


def _taken(counter: Any, count: int) -> Any:
    """What was counted; counted from 0 again. What is counted at this very moment may be lost: it is a forecast."""
    found = counter[:count].copy()
    counter[:count] -= found
    return found


class Pricing:
    """Keeps the prices of an engine warm."""

    def __init__(self, state: State, card: RateCard, lasts_days: float) -> None:
        """From now on, orders are decided by cost: by the card, and by prices, which begin at 0.

        lasts_days: until more stock comes; it may be set anew, where that is known.
        """
        self.lasts_days = lasts_days
        state.decide_by_cost(fees_of(card))
        self._state, self._card, self._refreshed = state, card, 0
        self._forecast = Forecast()
        self._available = np.zeros((0, 0), np.int32)  # as of the last prices

    def refresh(self, now: float, is_over: Callable[[], bool] = lambda: False) -> int:
        """New prices for the SKUs of which something was taken or came in; their number. now: seconds since 1970.

        is_over: asked now and then; whether to leave it at that. May run beside the writer: it reads columns that
        change meanwhile, and writes nothing but prices.
        """
        state = self._state
        nodes, rows = state.node_count, state.head(Head.CELL_ROWS)
        self._forecast.learn(state, now)
        available = state.cells.available[:rows, :nodes].copy()
        if rows == 0 or not self._forecast.orders.any():
            return 0
        before = np.zeros_like(available)
        kept = self._available[:, :nodes]
        before[: kept.shape[0], : kept.shape[1]] = kept
        changed = np.flatnonzero((available != before).any(1)).astype(np.int32)
        costs, reached = self._zones(nodes)
        for first in range(0, changed.size, ROWS_AT_ONCE):
            if is_over():  # what is left is begun anew at the next look
                return first
            rows_now = changed[first : first + ROWS_AT_ONCE]
            stock = available[rows_now]
            ahead = self._forecast.expected(state.book.sku_of_row[rows_now], self.lasts_days * _SECONDS_PER_DAY)
            expected = np.minimum(ahead, stock.sum(1, dtype=np.int64))
            value = np.empty((rows_now.size, nodes), np.int32)
            self._refreshed += 1
            price_by_forecast(costs, reached, expected, LEVELS, stock, self._refreshed, value)
            state.prices.value[rows_now, :nodes] = value
        self._available = available
        return int(changed.size)

    def _zones(self, nodes: int) -> tuple[Costs, Any]:
        """Postal codes with the same two nearest nodes as one zone: its costs, and the share of orders up to it."""
        places, orders = self._state.places, self._forecast.orders
        codes = np.flatnonzero(orders > 0)
        weight, rank = orders[codes], places.rank[codes].astype(np.int64)
        key = rank[:, 0] * NODES_MAX + (rank[:, 1] if nodes > 1 else 0)
        _, zone = np.unique(key, return_inverse=True)
        total = np.bincount(zone, weight)
        metres = places.metres[codes, :nodes]
        km = np.stack([np.bincount(zone, weight * metres[:, node]) / total for node in range(nodes)], 1) / 1000
        km = np.ascontiguousarray(km)
        costs = Costs(*self._card.costs_over(km), self._card.shortage_penalty)
        return costs, np.cumsum(total) / total.sum()
