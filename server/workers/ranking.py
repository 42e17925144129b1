"""Which ATS updates a channel is sent first, when it takes fewer than there are.

A worker keeps a `Velocity` and a `Budget` for each channel. Each time the channel may be called, it weighs what is
pending with `risk`, lets `choose` name as many as `Budget.take` grants, and publishes units less `buffer`. No clock and
no I/O: times are seconds, handed in, of any clock that only goes forward. Compiled in kernels/publishing.py.
"""

import math

import numpy as np

from kernels.columns import UNITS_MAX
from kernels.options import F64, I32, I64, U8
from kernels.publishing import Sales, buffers, costs_of_waiting, observe_drops, pick_rows, velocities

MEMORY_S = 3600.0  # what was sold so long ago counts for 1/e
PRIOR_S = 1800.0  # a SKU that nothing is known of sells like the average, until it was watched for about so long
RISK_S = 60.0  # an update's risk is what it costs to leave it for so long: the same for all, so that only order matters
LOST_WEIGHT = 0.25  # oversold units that a lost unit counts for


class Velocity:
    """Units sold a second of each SKU, from the drops of its ATS: exponentially decayed counts over decayed time.

    Time without stock does not count, as nothing can be sold in it. Until a SKU has been watched, it is taken to sell
    at `prior` units a second: seen units and time, and prior * prior_s units in prior_s seconds, are added up.
    Where channels share stock, ATS drops by what they all sell: a channel's own velocity is its share of that.
    """

    def __init__(
        self, skus: int, prior: float = 0.0, *, now: float = 0.0, memory_s: float = MEMORY_S, prior_s: float = PRIOR_S
    ) -> None:
        if skus < 0 or prior < 0 or memory_s <= 0 or prior_s <= 0:
            raise ValueError("a velocity needs SKUs and a prior of at least 0, and times above 0")
        self._memory_s, self._prior_s, self.prior = memory_s, prior_s, prior
        self._sales = Sales(np.zeros(skus), np.zeros(skus), np.full(skus, float(now)), np.ones(skus, np.uint8))

    def update(self, sku: I32, drops: F64, now: float, on_sale: U8 | None = None) -> None:
        """Take in units sold since the last update: sku, drops [row]; drops at least 0, a rise of ATS is none.

        on_sale [row] says whether the SKU can be bought from now on (ATS above 0); by default it can. Updates of a SKU
        come in order of time.
        """
        can = np.ones(len(sku), np.uint8) if on_sale is None else on_sale.astype(np.uint8)
        sold = np.maximum(drops, 0.0).astype(np.float64)
        observe_drops(self._sales, sku.astype(np.int32), sold, can, float(now), self._memory_s)

    def per_second(self, sku: I32, now: float) -> F64:
        """float64 [row]: units a second of each SKU of sku [row] now."""
        velocity = np.empty(len(sku))
        known = sku.astype(np.int32)
        velocities(self._sales, known, float(now), self._memory_s, self.prior, self._prior_s, velocity)
        return velocity


def risk(told: I64, units: I64, velocity: F64, seconds: F64 | float = RISK_S, lost_weight: float = LOST_WEIGHT) -> F64:
    """float64 [row], units: what it is expected to cost to leave an update unsent for so many seconds.

    The channel shows told [row] and should show units [row]; it sells velocity [row] units a second, demand D being
    Poisson. Oversold, where told > units: E[max(0, min(D, told) - units)]. Lost, where told < units:
    E[max(0, min(D, units) - told)], times lost_weight. Both are differences of the first-order loss function of stock
    control (Zipkin, Foundations of Inventory Management, 2000, section C.2), exact up to a mean of 200 units.

    `seconds` is the time until the next chance, RISK_S or the like for every row. The lag is no part of it: sent now or
    later, the update takes it. Nor is the time that a row has waited, which says nothing of what is about to sell:
    `choose` uses it for ties only.
    """
    mean = np.maximum(np.multiply(velocity, seconds), 0.0).astype(np.float64)
    cost = np.empty(len(told))
    costs_of_waiting(_counts(told), _counts(units), mean, float(lost_weight), cost)
    return cost


def buffer(velocity: F64, lag_seconds: F64 | float, lost_weight: float = LOST_WEIGHT) -> I64:
    """int64 [row]: units to hold back on a channel from which it takes lag_seconds until a figure is seen.

    velocity [row] is what all other channels together sell a second. The buffer is the newsvendor's critical fractile
    of what they sell within the lag: the least b with P(D > b) <= w / (1 + w), w being lost_weight; math.inf is none.
    """
    mean = np.maximum(np.multiply(velocity, lag_seconds), 0.0).astype(np.float64)
    units = np.empty(len(mean), np.int64)
    buffers(mean, float(lost_weight), UNITS_MAX, units)
    return units


class Budget:
    """SKUs that may be published: `per_second` of them, and `burst` at once after a rest (a token bucket)."""

    def __init__(self, per_second: float, burst: float, now: float = 0.0) -> None:
        if not (per_second > 0 and burst >= 1):
            raise ValueError("a budget needs a rate above 0 and a burst of at least 1 SKU")
        self._per_second, self._burst, self._tokens, self._seen = per_second, burst, float(burst), float(now)

    def take(self, now: float, wanted: int) -> int:
        """SKUs granted, at most wanted. Over any time t at most burst + per_second * t are."""
        elapsed = max(0.0, now - self._seen)
        self._seen = max(now, self._seen)
        self._tokens = min(self._burst, self._tokens + self._per_second * elapsed)
        granted = max(0, min(wanted, math.floor(self._tokens)))
        self._tokens -= granted
        return granted


def choose(cost: F64, since: F64, count: int) -> I64:
    """int64 [min(count, rows)]: rows of cost [row] to publish, the greatest first, then those pending since longest.

    since [row]: when the update became pending, in seconds.
    """
    chosen = np.empty(max(0, min(count, len(cost))), np.int64)
    pick_rows(cost.astype(np.float64), since.astype(np.float64), len(chosen), chosen)
    return chosen[np.lexsort((chosen, since[chosen], -cost[chosen]))]


def _counts(units: I64) -> I64:
    return np.ascontiguousarray(units, np.int64)
