"""The node for each line of an order that costs least: shipments, units, and what stock is worth to orders to come.

At prices of stock an order is decided exactly, by dynamic programming over subsets of its lines (opportunity costs in
order fulfilment: Acimovic and Graves 2015, "Making Better Fulfillment Decisions on the Fly in an Online Retail
Environment"). Prices choose between nodes; they never leave an order short. Lines that no node can give whole, long
orders, ring-fences and more than 64 nodes are left to the nearest rule (kernels/nearest.py).
"""

from typing import NamedTuple

import numpy as np

from kernels.columns import NONE, Batch, Cells, Drawn, Places
from kernels.options import F64, I32, I64, U64, F64x2, I32x2, allocating_leaf, leaf

LINES_PRICED_MAX = 6  # different SKUs of an order: with each more there are twice as many subsets
_SUBSETS = 1 << LINES_PRICED_MAX
_NOWHERE = 1e300
_ONE = np.uint64(1)


class Fees(NamedTuple):
    """What a shipment costs: shipment + shipment_metre * metres + units * (unit + unit_metre * metres), minor units."""

    shipment: float
    shipment_metre: float
    unit: float
    unit_metre: float


class Prices(NamedTuple):
    """What a unit of stock is worth where it is, and what shipping costs."""

    value: I32x2  # [cell row, node] minor units; no rows: there are no prices, and orders are decided by distance
    ordered: I64  # [sku] units of new orders, counted for the forecast
    reached: I64  # [postal code] new orders
    fees: Fees


def no_prices() -> Prices:
    """Orders are decided by distance."""
    none = np.empty(0, np.int64)
    return Prices(np.empty((0, 0), np.int32), none, none, Fees(0.0, 0.0, 0.0, 0.0))


class Choice(NamedTuple):
    """Room for one order."""

    sums: F64x2  # [subset, node]
    best: F64  # [subset] at one node
    node: I32  # [subset] which
    least: F64  # [subset] at any nodes
    part: I32  # [subset] what of it goes to one node
    to: I32  # [line] the node of each


@allocating_leaf
def room_for_choice(nodes: int) -> Choice:
    return Choice(
        np.zeros((_SUBSETS, nodes)), np.empty(_SUBSETS), np.empty(_SUBSETS, np.int32), np.zeros(_SUBSETS),
        np.empty(_SUBSETS, np.int32), np.empty(LINES_PRICED_MAX, np.int32),
    )  # fmt: skip


@leaf
def _cheapest_node(
    row: int, need: int, group: np.uint64, place: int, nodes: int, cells: Cells, places: Places, prices: Prices
) -> int:
    """For one line: the node that gives all of it at the least cost; -1 where none can."""
    fees, best, found = prices.fees, _NOWHERE, -1
    for node in range(nodes):
        cost = _cost(fees, places.metres[place, node], need) + need * prices.value[row, node]
        can = cells.available[row, node] >= need and (group >> np.uint64(node)) & _ONE != 0
        if can and cost < best:
            best, found = cost, node
    return found


@leaf
def _cost(fees: Fees, metres: int, units: int) -> float:
    """Of a line alone."""
    return fees.shipment + fees.shipment_metre * metres + units * (fees.unit + fees.unit_metre * metres)


@leaf
def note_extra_cost(
    first: int, last: int, merged: I32, masks: U64, batch: Batch, place: int, places: Places, prices: Prices,
    choice: Choice, drawn: Drawn,
) -> None:  # fmt: skip
    """Write what the lines of an order cost more at their nodes than each would alone at the cheapest that has any of
    its SKU. masks: bits of those that have, for each SKU.
    """
    for line in range(first, last):
        need, k = merged[line - first], 0
        while not (masks[need] >> np.uint64(places.rank[place, k])) & _ONE:
            k += 1  # no fee is below 0: the nearest one is the cheapest
        least = _cost(prices.fees, places.metres[place, places.rank[place, k]], batch.quantity[line])
        paid = _cost(prices.fees, places.metres[place, choice.to[need]], batch.quantity[line])
        drawn.extra_cost[line] = np.int64(np.rint(paid - least))


@leaf
def choose_by_price(
    lines: int, rows: I32, need: I64, group: np.uint64, nodes_max: int, place: int, nodes: int, cells: Cells,
    places: Places, prices: Prices, choice: Choice,
) -> bool:  # fmt: skip
    """Whether every line can come whole from one node; then `choice.to` says from which, at the least cost together.

    rows, need [line]: the cell row, or NONE, and units of each. group: bits of the nodes that may give; nodes_max: how
    many of them together, else this says no.
    """
    if lines > LINES_PRICED_MAX:
        return False
    for line in range(lines):
        if rows[line] == NONE:
            return False
    if lines == 1:
        choice.to[0] = _cheapest_node(rows[0], need[0], group, place, nodes, cells, places, prices)
        return choice.to[0] >= 0
    fees, full = prices.fees, (1 << lines) - 1
    for subset in range(1, full + 1):
        line = 0
        while not subset >> line & 1:
            line += 1
        row, units, before = rows[line], need[line], subset & (subset - 1)
        best, where = _NOWHERE, -1
        for node in range(nodes):
            metres = places.metres[place, node]
            can = cells.available[row, node] >= units and (group >> np.uint64(node)) & _ONE != 0
            cost = units * (fees.unit + fees.unit_metre * metres + prices.value[row, node]) if can else _NOWHERE
            cost += choice.sums[before, node]
            choice.sums[subset, node] = cost
            cost += fees.shipment + fees.shipment_metre * metres
            if cost < best:
                best, where = cost, node
        choice.best[subset], choice.node[subset] = best, where
        choice.least[subset], choice.part[subset] = best, subset
        part = (subset - 1) & subset if nodes_max > 1 else 0
        while part:
            cost = choice.best[part] + choice.least[subset ^ part]
            if cost < choice.least[subset]:
                choice.least[subset], choice.part[subset] = cost, part
            part = (part - 1) & subset
    if choice.least[full] >= _NOWHERE:
        return False
    left, given = full, 0
    while left:
        given += 1
        part = choice.part[left]
        for line in range(lines):
            if part >> line & 1:
                choice.to[line] = choice.node[part]
        left ^= part
    return given <= nodes_max
