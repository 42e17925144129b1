"""What a unit of stock is worth to the orders to come: opportunity costs, by demand that is drawn from a forecast.

Each drawn demand of a SKU is a transportation problem (kernels/pricing.py): what its cost goes up by when there is a
unit less at a node is the opportunity cost of that unit (Acimovic and Graves 2015, "Making Better Fulfillment Decisions
on the Fly in an Online Retail Environment"); the mean over drawn demands stands for not knowing the one that will come.
"""

import numpy as np

from kernels.options import F64, I32, I64, F64x2, I32x2, allocating_kernel, leaf
from kernels.pricing import Costs, Transport, room_for_transport, transport

UNITS_DRAWN_MAX = 48  # of a SKU: of more, demand and stock are scaled down
VALUE_MAX = 2**31 - 1  # what the column holds: where a short unit costs more, units are kept no more than for this
_MODULUS = 2**31 - 1


@leaf
def _drawn(state: I64) -> float:
    """A number of (0, 1), by the minimal standard generator (Park and Miller 1988)."""
    state[0] = state[0] * 48271 % _MODULUS
    return state[0] / _MODULUS


@leaf
def _draw_demand(
    costs: Costs, reached: F64, units: int, state: I64, one: Transport, zone_of: I32, row_of: I32
) -> int:  # fmt: skip
    """Units to zones drawn by their share, as rows of a transportation problem; returns the rows.

    zone_of: [row] is written; row_of: [zone] -1 before and after.
    """
    nodes, rows = costs.unit.shape[1], 0
    for _ in range(units):
        zone = np.searchsorted(reached, _drawn(state), "right")
        if zone == reached.size:
            zone -= 1
        if row_of[zone] < 0:
            row_of[zone] = rows
            zone_of[rows] = zone
            for node in range(nodes):
                one.cost[rows, node] = costs.shipment[zone, node] + costs.unit[zone, node]
            one.cost[rows, nodes] = costs.short
            one.units[rows] = 0
            rows += 1
        one.units[row_of[zone]] += 1
    for row in range(rows):
        row_of[zone_of[row]] = -1
    return rows


@leaf
def _price_each(
    costs: Costs, reached: F64, expected: F64, levels: F64, stock: I32x2, seed: int, value: I32x2,
    one: Transport, scaled: I32x2, sums: F64, prices: F64x2, zone_of: I32, row_of: I32, state: I64,
) -> None:  # fmt: skip
    nodes = costs.unit.shape[1]
    for sku in range(stock.shape[0]):
        sums[:] = 0.0
        prices[:] = 0.0
        state[0] = 1 + (seed * 7919 + sku * 104729) % (_MODULUS - 1)
        for level in levels:
            demand = expected[sku] * level
            units = min(int(demand + _drawn(state)), UNITS_DRAWN_MAX)
            if units == 0:
                continue
            for node in range(nodes):
                scaled[0, node] = stock[sku, node] * min(1.0, UNITS_DRAWN_MAX / demand)
            rows = _draw_demand(costs, reached, units, state, one, zone_of, row_of)
            transport(one, rows, scaled, 0, prices, 0)
            for node in range(nodes):
                prices[0, node] = min(costs.short, one.free[node])  # where the next one begins
                sums[node] += prices[0, node]
        for node in range(nodes):
            value[sku, node] = min(VALUE_MAX, round(sums[node] / levels.size))


@allocating_kernel
def price_by_forecast(
    costs: Costs, reached: F64, expected: F64, levels: F64, stock: I32x2, seed: int, value: I32x2
) -> None:  # fmt: skip
    """What the last unit of each SKU at each node is worth to the orders to come, in whole minor units.

    costs: [zone, node]; reached: [zone] share of all orders that go there or to a zone before it; expected: [sku] units
    that will be ordered while the stock lasts; levels: times so much, each as likely; stock, value: [sku, node].
    """
    nodes = costs.unit.shape[1]
    one = room_for_transport(UNITS_DRAWN_MAX, nodes + 1)
    scaled, sums, prices = np.empty((1, nodes), np.int32), np.empty(nodes), np.zeros((1, nodes))
    zone_of, row_of = np.empty(UNITS_DRAWN_MAX, np.int32), np.full(reached.size, -1, np.int32)
    state = np.empty(1, np.int64)
    _price_each(costs, reached, expected, levels, stock, seed, value, one, scaled, sums, prices, zone_of, row_of, state)
