"""A plan that keeps to what nodes can still take on their day: shipments leave nodes that have too many, and go on to
nodes that cost less and have room.

A step moves a group of units of one order from where they stand to one other node, or makes them short: all units of
the order there, or one of them. Its change of cost is exact, and a node's room is looked at before, in units of its
SKUs and in the orders and units of its day, so that no step breaks a limit that held.
"""

import numpy as np

from kernels.moves import TINY, Units
from kernels.options import F64, I32, I64, F64x2, I64x2, allocating_kernel, leaf
from kernels.pricing import NOWHERE, Costs, Transport, room_for_transport, step_of, transport

_ORDERS, _UNITS = 0, 1


@leaf
def _group(units: Units, order: int, here: int, group: I32) -> int:
    """The units of an order that stand at a node; how many. Those of one SKU stand side by side."""
    count = 0
    for unit in range(units.first[order], units.first[order + 1]):
        if units.at[unit] == here:
            group[count] = unit
            count += 1
    return count


@leaf
def _is_at(units: Units, order: int, node: int) -> bool:
    return _grams_at(units, order, node) >= 0


@leaf
def _grams_at(units: Units, order: int, node: int) -> int:
    """Of what an order has at a node; -1 where it has nothing there."""
    grams = np.int64(-1)
    for unit in range(units.first[order], units.first[order + 1]):
        if units.at[unit] == node:
            grams = max(grams, 0) + units.grams[unit]
    return int(grams)


@leaf
def _grams_of(units: Units, group: I32, count: int) -> int:
    grams = 0
    for at in range(count):
        grams += units.grams[group[at]]
    return grams


@leaf
def _shipping(units: Units, costs: Costs, order: int, node: int, there: int, grams: int) -> float:
    """What it costs to ship so many grams more of an order from a node, where so many are; -1: nothing is."""
    row = units.zone[order]
    if there < 0:
        return float(costs.shipment[row + step_of(units.ends, grams), node])
    after = costs.shipment[row + step_of(units.ends, there + grams), node]
    return float(after - costs.shipment[row + step_of(units.ends, there), node])


@leaf
def _has_room(units: Units, group: I32, count: int, to: int, left: I64x2, is_there: bool) -> bool:
    """Whether a node has the units of a group, and room for them in its day."""
    if left[to, _UNITS] < count or (not is_there and left[to, _ORDERS] < 1):
        return False
    first = 0
    for at in range(1, count + 1):
        if at == count or units.sku[group[at]] != units.sku[group[first]]:
            if units.room[units.sku[group[first]], to] < at - first:
                return False
            first = at
    return True


@leaf
def _best_step(
    units: Units, costs: Costs, prices: F64x2, order: int, here: int, group: I32, count: int, whole: bool, left: I64x2
) -> tuple[float, int]:
    """The cheapest other place for a group, and what it costs more. whole: nothing else of the order is here."""
    nodes, now, grams = costs.unit.shape[1], 0.0, _grams_of(units, group, count)
    for at in range(count):
        if here == nodes:
            now += costs.short
        else:
            now += costs.unit[units.rate[group[at]], here] + prices[units.sku[group[at]], here]
    if here < nodes:
        now += _shipping(units, costs, order, here, -1 if whole else _grams_at(units, order, here) - grams, grams)
    best, where = NOWHERE, -1
    if here < nodes:
        best, where = count * costs.short, nodes
    for to in range(nodes):
        if to == here:
            continue
        cost = 0.0
        for at in range(count):
            cost += costs.unit[units.rate[group[at]], to] + prices[units.sku[group[at]], to]
        if cost >= best:
            continue
        there = _grams_at(units, order, to)
        cost += _shipping(units, costs, order, to, there, grams)
        if cost < best and _has_room(units, group, count, to, left, there >= 0):
            best, where = cost, to
    return best - now, where


@leaf
def _step(units: Units, order: int, here: int, group: I32, count: int, whole: bool, to: int, left: I64x2) -> None:
    nodes = units.room.shape[1]
    if to < nodes:
        left[to, _UNITS] -= count
        if not _is_at(units, order, to):
            left[to, _ORDERS] -= 1
    if here < nodes:
        left[here, _UNITS] += count
        if whole:
            left[here, _ORDERS] += 1
    for at in range(count):
        unit = group[at]
        if here < nodes:
            units.room[units.sku[unit], here] += 1
        if to < nodes:
            units.room[units.sku[unit], to] -= 1
        units.at[unit] = to


@allocating_kernel
def ways_out(
    units: Units, costs: Costs, prices: F64x2, orders: I32, here: int, left: I64x2, cost: F64, size: I64
) -> None:  # fmt: skip
    """What it costs more to take all of each of these orders away from a node, where others have room; and how many
    units that is. prices: [sku, node] of stock; left: [node, 2] orders and units.
    """
    group = np.empty(units.at.size, np.int32)
    for i in range(orders.size):
        size[i] = _group(units, orders[i], here, group)
        cost[i] = _best_step(units, costs, prices, orders[i], here, group, size[i], True, left)[0]


@allocating_kernel
def move_out(units: Units, costs: Costs, prices: F64x2, orders: I32, here: int, left: I64x2) -> None:
    """Take orders away from a node, one after another, until it is within its limits."""
    group = np.empty(units.at.size, np.int32)
    for order in orders:
        if left[here, _ORDERS] >= 0 and left[here, _UNITS] >= 0:
            break
        count = _group(units, order, here, group)
        _, to = _best_step(units, costs, prices, order, here, group, count, True, left)
        _step(units, order, here, group, count, True, to, left)


@leaf
def _better(units: Units, costs: Costs, prices: F64x2, order: int, here: int, group: I32, left: I64x2) -> float:
    """Move what an order has at a node where that saves: all of it, else a single unit."""
    count = _group(units, order, here, group)
    change, to = _best_step(units, costs, prices, order, here, group, count, True, left)
    if change < -TINY:
        _step(units, order, here, group, count, True, to, left)
        return change
    if count > 1:
        for at in range(count):
            one = group[at : at + 1]
            change, to = _best_step(units, costs, prices, order, here, one, 1, False, left)
            if change < -TINY:
                _step(units, order, here, one, 1, False, to, left)
                return change
    return 0.0


@allocating_kernel
def save_within(units: Units, costs: Costs, none: F64x2, left: I64x2) -> float:
    """Go through all orders once and move what saves, where there is room; the change of cost. none: [sku, node] 0."""
    group, total = np.empty(units.at.size, np.int32), 0.0
    for order in range(units.zone.size):
        for unit in range(units.first[order], units.first[order + 1]):
            here = units.at[unit]
            is_first = True
            for other in range(units.first[order], unit):
                if units.at[other] == here:
                    is_first = False
            if is_first:
                total += _better(units, costs, none, order, here, group, left)
    return total


@leaf
def _saved(units: Units, costs: Costs, order: int, here: int, group: I32, count: int, to: int) -> float:
    """What all that an order has at a node costs less at another one, which has it in stock; -NOWHERE where not."""
    nodes, first, grams, saved = costs.unit.shape[1], 0, _grams_of(units, group, count), 0.0
    for at in range(1, count + 1):
        if at == count or units.sku[group[at]] != units.sku[group[first]]:
            if units.room[units.sku[group[first]], to] < at - first:
                return -NOWHERE
            first = at
    for at in range(count):
        rate = units.rate[group[at]]
        saved += (costs.short if here == nodes else costs.unit[rate, here]) - costs.unit[rate, to]
    if here < nodes:
        saved += _shipping(units, costs, order, here, -1, grams)
    return saved - _shipping(units, costs, order, to, _grams_at(units, order, to), grams)


@allocating_kernel
def ways_in(units: Units, costs: Costs, to: int, saved: F64, came: I32) -> None:
    """Of each order the group of units that saves most at a node, if its day had room: what, and where it stands."""
    group = np.empty(units.at.size, np.int32)
    for order in range(units.zone.size):
        saved[order], came[order] = 0.0, -1
        for unit in range(units.first[order], units.first[order + 1]):
            here = units.at[unit]
            if here != to and (unit == units.first[order] or here != units.at[unit - 1]):
                count = _group(units, order, here, group)
                saving = _saved(units, costs, order, here, group, count, to)
                if saving > saved[order]:
                    saved[order], came[order] = saving, here


@allocating_kernel
def exchange(
    units: Units, costs: Costs, none: F64x2, comes: I32, came: I32, saved: F64, goes: I32, cost: F64, to: int,
    left: I64x2,
) -> float:  # fmt: skip
    """Let orders come to a node, those first that save most, each in place of one that goes on from there, those first
    that cost least, while that saves; the change of cost. none: [sku, node] 0.
    """
    its, mine, total, at = np.empty(units.at.size, np.int32), np.empty(units.at.size, np.int32), 0.0, 0
    for i in range(comes.size):
        if at == goes.size or saved[i] <= cost[at] + TINY:
            break
        order, here, other = comes[i], came[i], goes[at]
        count, its_count = _group(units, order, here, mine), _group(units, other, to, its)
        if its_count == 0 or order == other:
            at += 1
            continue
        change, on = _best_step(units, costs, none, other, to, its, its_count, True, left)
        if on < 0 or count == 0:
            continue
        was_there = on < costs.unit.shape[1] and _is_at(units, other, on)
        _step(units, other, to, its, its_count, True, on, left)
        change -= _saved(units, costs, order, here, mine, count, to)
        if change < -TINY and _has_room(units, mine, count, to, left, _is_at(units, order, to)):
            _step(units, order, here, mine, count, True, to, left)
            total += change
            at += 1
        else:
            _step(units, other, on, its, its_count, not was_there, to, left)
    return total


@leaf
def _share_singles(
    units: Units, costs: Costs, prices: F64x2, taken: F64x2, one: Transport, size: I64
) -> None:  # fmt: skip
    nodes = costs.unit.shape[1]
    for sku in range(units.sku_first.size - 1):
        rows, before = 0, -1
        for place in range(units.sku_first[sku], units.sku_first[sku + 1]):
            unit = units.by_sku[place]
            order = units.order[unit]
            last = units.first[order + 1] - 1
            if unit != units.first[order] or units.sku[last] != sku:
                continue
            rate, count = units.rate[unit], last + 1 - unit
            if rate != before or count != size[rows - 1]:
                for node in range(nodes):
                    shipment = _shipping(units, costs, order, node, -1, count * units.grams[unit])
                    one.cost[rows, node] = shipment / count + costs.unit[rate, node]
                one.cost[rows, nodes] = costs.short
                one.units[rows], size[rows] = 0, count
                rows += 1
                before = rate
            one.units[rows - 1] += count
        transport(one, rows, units.room, sku, prices, sku)
        for row in range(rows):
            for node in range(nodes):
                taken[node, _ORDERS] += one.at[row, node] / size[row]
                taken[node, _UNITS] += one.at[row, node]


@allocating_kernel
def share_singles(units: Units, costs: Costs, prices: F64x2, taken: F64x2) -> None:
    """Add to `taken` [node, 2] the orders and units that nodes give to orders of one line, in the cheapest way that the
    room allows, where parts of an order may go to several nodes for parts of a shipment: what the bound counts with.

    prices: [sku, node] where to begin. `units` stays as it is.
    """
    nodes, rows_max = costs.unit.shape[1], 1
    for sku in range(units.sku_first.size - 1):
        rows_max = max(rows_max, units.sku_first[sku + 1] - units.sku_first[sku])
    one, size = room_for_transport(rows_max, nodes + 1), np.empty(rows_max, np.int64)
    _share_singles(units, costs, prices, taken, one, size)
