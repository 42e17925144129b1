"""An allocation that keeps to the stock, of least cost as near as moves get.

Units are placed by prices, then moved while that saves. Every unit stands at a node, or is short. A unit's move changes
what its order pays, since a shipment is shared by all units of an order at a node. Two neighbourhoods, each with the
exact change of all orders that it touches, kept where it saves and undone where it does not:

- a chain or ring of moves of units of one SKU, which ends where there is room (a negative cycle of the residual
  network: Ahuja, Magnanti, Orlin, "Network Flows", 1993, section 9.6; between orders it is the cyclic exchange of
  Thompson and Psaraftis 1993, "Cyclic Transfer Algorithms for Multivehicle Routing");
- an order taken out and put back in the best way, by dynamic programming over subsets of its units, where a node
  without room costs what the cheapest chain of others' moves costs that makes some (ejection chains: Glover 1996).

Orders of one unit are placed by exact shortest paths (kernels/pricing.py): where all are such the cost is the least.
"""

from typing import NamedTuple

import numpy as np

from kernels.options import F64, I32, I64, F64x2, I32x2, kernel, leaf
from kernels.pricing import Costs, room_for_transport, transport

WINDOW = 6  # units of an order that are placed at once
MOVED_UNITS_MAX = 64  # of an order: larger ones are placed line by line and stay, the time grows with their square
_SUBSETS = 1 << WINDOW
_NOWHERE = 1e300
_TINY = 1e-6
_OUT = -1  # where a unit is that is being placed


class Units(NamedTuple):
    """Units of orders: those of order o are [first[o], first[o + 1])."""

    first: I32  # [order + 1]
    zone: I32  # [order]
    order: I32  # [unit]
    sku: I32  # [unit]
    by_sku: I32  # [unit] in the order of SKUs, and of zones within each
    sku_first: I32  # [sku + 1]
    at: I32  # [unit] node; the number of nodes: short
    room: I32x2  # [sku, node] units that nobody has


class _Net(NamedTuple):
    """Moves of units of one SKU between nodes."""

    move: F64x2  # [node, node] least cost of a move
    mover: I32x2  # [node, node] whose
    free: F64  # [node] least cost of a chain that makes room there
    next: I32  # [node] where it goes first; -1: there is room


class _Work(NamedTuple):
    seen: I64  # [node] stamp of the last order that was found there
    stamp: I64  # [1]
    cost: F64x2  # [window, node] of a unit at a node, shipments aside
    sums: F64x2  # [subset, node]
    best: F64  # [subset]
    node: I32  # [subset]
    least: F64  # [subset]
    part: I32  # [subset]
    unit: I32  # [window] which units these are
    was: I32  # [window] where they were
    log_unit: I32  # moves that were made, to be undone
    log_from: I32
    logged: I64  # [1]
    rests: I32  # [unit] 1 where it is left out of chains


@leaf
def _is_large(units: Units, order: int) -> bool:
    return units.first[order + 1] - units.first[order] > MOVED_UNITS_MAX


@leaf
def _mark(units: Units, order: int, work: _Work) -> int:
    """Stamp the nodes where the order has units; the stamp."""
    work.stamp[0] += 1
    for unit in range(units.first[order], units.first[order + 1]):
        if units.at[unit] >= 0:
            work.seen[units.at[unit]] = work.stamp[0]
    return int(work.stamp[0])


@leaf
def _is_alone(units: Units, unit: int) -> bool:
    order, here = units.order[unit], units.at[unit]
    for other in range(units.first[order], units.first[order + 1]):
        if other != unit and units.at[other] == here:
            return False
    return True


@leaf
def _here(units: Units, costs: Costs, unit: int) -> float:
    """What its order would save without the unit."""
    here, zone = units.at[unit], units.zone[units.order[unit]]
    if here == costs.unit.shape[1]:
        return costs.short
    if here < 0:
        return 0.0
    cost = costs.unit[zone, here]
    return cost + costs.shipment[zone, here] if _is_alone(units, unit) else cost


@leaf
def _go(units: Units, costs: Costs, unit: int, to: int) -> float:
    """Move a unit; the change of cost."""
    nodes = costs.unit.shape[1]
    change = -_here(units, costs, unit)
    here, sku = units.at[unit], units.sku[unit]
    if 0 <= here < nodes:
        units.room[sku, here] += 1
    units.at[unit] = to
    if 0 <= to < nodes:
        units.room[sku, to] -= 1
    return change + _here(units, costs, unit)


@leaf
def _go_logged(units: Units, costs: Costs, unit: int, to: int, work: _Work) -> float:
    at = work.logged[0]
    work.log_unit[at], work.log_from[at] = unit, units.at[unit]
    work.logged[0] = at + 1
    return _go(units, costs, unit, to)


@leaf
def _undo(units: Units, costs: Costs, work: _Work) -> None:
    while work.logged[0]:
        work.logged[0] -= 1
        _go(units, costs, work.log_unit[work.logged[0]], work.log_from[work.logged[0]])


@leaf
def _look(units: Units, costs: Costs, sku: int, but: int, net: _Net, work: _Work) -> None:
    """The least moves of a SKU's units, without those of one order."""
    nodes = costs.unit.shape[1]
    net.move[:, :] = _NOWHERE
    for place in range(units.sku_first[sku], units.sku_first[sku + 1]):
        unit = units.by_sku[place]
        order, here = units.order[unit], units.at[unit]
        if order == but or here < 0 or work.rests[unit] or _is_large(units, order):
            continue
        zone, stamp = units.zone[order], 0
        if units.first[order + 1] - units.first[order] > 1:
            stamp = _mark(units, order, work)
        saved = _here(units, costs, unit)
        for to in range(nodes):
            cost = costs.unit[zone, to] - saved
            if stamp == 0 or work.seen[to] != stamp:
                cost += costs.shipment[zone, to]
            if cost < net.move[here, to]:
                net.move[here, to], net.mover[here, to] = cost, unit
        if costs.short - saved < net.move[here, nodes]:
            net.move[here, nodes], net.mover[here, nodes] = costs.short - saved, unit
    for node in range(nodes + 1):
        net.move[node, node] = _NOWHERE


@leaf
def _find_room(units: Units, sku: int, net: _Net) -> None:
    """The cheapest chain that makes room at every node, by Bellman and Ford from the nodes with room."""
    nodes = net.free.size - 1
    for node in range(nodes + 1):
        net.free[node] = 0.0 if node == nodes or units.room[sku, node] > 0 else _NOWHERE
        net.next[node] = -1
    for _ in range(nodes):
        changed = False
        for node in range(nodes):
            if net.next[node] < 0 and net.free[node] == 0.0:
                continue
            for to in range(nodes + 1):
                cost = net.move[node, to] + net.free[to]
                if cost < net.free[node] - _TINY:
                    net.free[node], net.next[node] = cost, to
                    changed = True
        if not changed:
            break


@leaf
def _make_room(units: Units, costs: Costs, node: int, net: _Net, work: _Work) -> float:
    """Carry out the chain that makes room at a node; the change of cost. _NOWHERE where it comes back to itself."""
    change, here, steps = 0.0, node, 0
    while net.next[here] >= 0:
        to = net.next[here]
        change += _go_logged(units, costs, net.mover[here, to], to, work)
        here = to
        steps += 1
        if steps > net.free.size:
            return _NOWHERE
    return change


@leaf
def _one_of_a_pair(units: Units, nodes: int, work: _Work) -> int:
    """Of two units of one order that have moved, one that was not short; -1 where there are none."""
    for at in range(work.logged[0]):
        if work.log_from[at] < nodes:
            for other in range(work.logged[0]):
                mine, its = work.log_unit[at], work.log_unit[other]
                if mine != its and units.order[mine] == units.order[its]:
                    return int(mine)
    return -1


@leaf
def _rest_no_more(units: Units, sku: int, work: _Work) -> None:
    for place in range(units.sku_first[sku], units.sku_first[sku + 1]):
        work.rests[units.by_sku[place]] = 0


@leaf
def _save_by_chains(units: Units, costs: Costs, sku: int, net: _Net, dist: F64, came: I32, work: _Work) -> float:
    """Chains and rings of a SKU that save, one after the other; what they save together."""
    nodes, saved, resting = costs.unit.shape[1], 0.0, 0
    for _ in range(2 * (units.sku_first[sku + 1] - units.sku_first[sku])):
        _look(units, costs, sku, -1, net, work)
        dist[:] = 0.0
        came[:] = -1
        last = -1
        for _ in range(nodes + 2):
            last = -1
            for node in range(nodes + 1):
                for to in range(nodes + 1):
                    if dist[node] + net.move[node, to] < dist[to] - _TINY:
                        dist[to] = dist[node] + net.move[node, to]
                        came[to] = node
                        last = to
            if last < 0:
                break
        end = -1
        if last >= 0:  # a ring: go back far enough to be within it
            end = last
            for _ in range(nodes + 1):
                end = came[end]
        else:
            for node in range(nodes + 1):
                has_room = node == nodes or units.room[sku, node] > 0
                if has_room and dist[node] < -_TINY and (end < 0 or dist[node] < dist[end]):
                    end = node
        if end < 0:
            break
        work.logged[0] = 0
        change, to, steps = 0.0, end, 0
        while came[to] >= 0 and steps <= nodes:
            change += _go_logged(units, costs, net.mover[came[to], to], to, work)
            to = came[to]
            steps += 1
            if last >= 0 and to == end:
                break
        if change > -_TINY:  # units of one order have moved together, which costs other than each alone
            one = _one_of_a_pair(units, nodes, work)
            _undo(units, costs, work)
            if one < 0:
                break
            work.rests[one] = 1
            resting += 1
        else:
            saved -= change
            if resting:
                _rest_no_more(units, sku, work)
                resting = 0
    if resting:
        _rest_no_more(units, sku, work)
    return saved


@leaf
def _choose(units: Units, costs: Costs, order: int, count: int, work: _Work) -> None:
    """The best nodes for `count` units of an order whose costs are known: least, part and node of every subset of them.
    Nodes where the order has other units cost no shipment.
    """
    nodes, zone = costs.unit.shape[1], units.zone[order]
    stamp = _mark(units, order, work)
    for node in range(nodes):
        work.sums[0, node] = 0.0
    work.least[0] = 0.0
    for subset in range(1, 1 << count):
        k = 0
        while not subset >> k & 1:
            k += 1
        before, best, where, size = subset & (subset - 1), 0.0, nodes, 0
        for j in range(count):
            size += subset >> j & 1
        best = size * costs.short
        for node in range(nodes):
            cost = work.sums[before, node] + work.cost[k, node]
            work.sums[subset, node] = cost
            if work.seen[node] != stamp:
                cost += costs.shipment[zone, node]
            if cost < best:
                best, where = cost, node
        work.best[subset], work.node[subset] = best, where
        least, part, of = best, (subset - 1) & subset, subset
        while part:
            if work.best[part] + work.least[subset ^ part] < least:
                least, of = work.best[part] + work.least[subset ^ part], part
            part = (part - 1) & subset
        work.least[subset], work.part[subset] = least, of


@leaf
def _place(
    units: Units, costs: Costs, order: int, first: int, count: int, prices: F64x2, by_price: bool, net: _Net,
    work: _Work,
) -> float:  # fmt: skip
    """Take `count` units of an order out, from its `first` on, and put them back in the best way; the change of cost.

    by_price: nodes without room are left out, and stock costs its price; else it costs what the chain costs that makes
    room.
    """
    nodes, zone = costs.unit.shape[1], units.zone[order]
    work.logged[0] = 0
    change = 0.0
    for k in range(count):
        work.unit[k] = first + k
        work.was[k] = units.at[first + k]
        change += _go_logged(units, costs, first + k, _OUT, work)
    for k in range(count):
        sku = units.sku[first + k]
        if by_price:
            for node in range(nodes):
                work.cost[k, node] = costs.unit[zone, node] + prices[sku, node]
                if units.room[sku, node] <= 0:
                    work.cost[k, node] = _NOWHERE
        elif k and units.sku[first + k - 1] == sku:
            for node in range(nodes):
                work.cost[k, node] = work.cost[k - 1, node]
        else:
            _look(units, costs, sku, order, net, work)
            _find_room(units, sku, net)
            for node in range(nodes):
                work.cost[k, node] = min(_NOWHERE, costs.unit[zone, node] + net.free[node])
    full = (1 << count) - 1
    _choose(units, costs, order, count, work)
    if not by_price and change + work.least[full] > -_TINY:
        _undo(units, costs, work)
        return 0.0
    left = full
    while left:
        part = work.part[left]
        node = work.node[part]
        for k in range(count):
            if part >> k & 1:
                unit = work.unit[k]
                sku = units.sku[unit]
                if node < nodes and units.room[sku, node] <= 0:
                    _look(units, costs, sku, order, net, work)
                    _find_room(units, sku, net)
                    if by_price or net.free[node] >= _NOWHERE:
                        change += _go_logged(units, costs, unit, nodes, work)
                        continue
                    change += _make_room(units, costs, node, net, work)
                change += _go_logged(units, costs, unit, node, work)
        left ^= part
    if not by_price and change > -_TINY:
        _undo(units, costs, work)
        return 0.0
    return change


@leaf
def _room_for_work(nodes: int, units: int) -> tuple[_Net, _Work]:
    log = WINDOW * (nodes + 4) + 2 * nodes
    return (
        _Net(
            np.empty((nodes + 1, nodes + 1)), np.empty((nodes + 1, nodes + 1), np.int32), np.empty(nodes + 1),
            np.empty(nodes + 1, np.int32),
        ),
        _Work(
            np.zeros(nodes + 1, np.int64), np.zeros(1, np.int64), np.empty((WINDOW, nodes)),
            np.empty((_SUBSETS, nodes)),
            np.empty(_SUBSETS), np.empty(_SUBSETS, np.int32), np.empty(_SUBSETS), np.empty(_SUBSETS, np.int32),
            np.empty(WINDOW, np.int32), np.empty(WINDOW, np.int32), np.empty(log, np.int32), np.empty(log, np.int32),
            np.zeros(1, np.int64), np.zeros(units, np.int32),
        ),
    )  # fmt: skip


@leaf
def _place_lines(units: Units, costs: Costs, order: int, prices: F64x2, work: _Work) -> float:
    """Place a large order line by line, at nodes that are cheap by price, and where it has a shipment; its cost."""
    nodes, zone, total = costs.unit.shape[1], units.zone[order], 0.0
    work.stamp[0] += 1
    stamp, unit, last = work.stamp[0], units.first[order], units.first[order + 1]
    while unit < last:
        sku, end = units.sku[unit], unit
        while end < last and units.sku[end] == sku:
            end += 1
        while unit < end:
            best, where, taken = costs.short, nodes, end - unit
            for node in range(nodes):
                if units.room[sku, node] > 0:
                    count = min(end - unit, units.room[sku, node])
                    cost = costs.unit[zone, node] + prices[sku, node]
                    if work.seen[node] != stamp:
                        cost += costs.shipment[zone, node] / count
                    if cost < best:
                        best, where, taken = cost, node, count
            if where < nodes:
                units.room[sku, where] -= taken
                total += taken * costs.unit[zone, where]
                if work.seen[where] != stamp:
                    work.seen[where] = stamp
                    total += costs.shipment[zone, where]
            else:
                total += taken * costs.short
            for _ in range(taken):
                units.at[unit] = where
                unit += 1
    return total


@kernel
def place_by_price(units: Units, costs: Costs, prices: F64x2, orders: I32) -> float:
    """Place the units of these orders, which stand nowhere, by prices where there is room; the cost of these."""
    net, work = _room_for_work(costs.unit.shape[1], units.at.size)
    total = 0.0
    for order in orders:
        if _is_large(units, order):
            total += _place_lines(units, costs, order, prices, work)
            continue
        for first in range(units.first[order], units.first[order + 1], WINDOW):
            count = min(WINDOW, units.first[order + 1] - first)
            total += _place(units, costs, order, first, count, prices, True, net, work)
    return total


@kernel
def place_singles(units: Units, costs: Costs) -> float:
    """Place the orders of one unit, which stand nowhere, in the cheapest way that the room allows; their cost."""
    nodes, total, rows_max = costs.unit.shape[1], 0.0, 1
    for sku in range(units.sku_first.size - 1):
        rows_max = max(rows_max, units.sku_first[sku + 1] - units.sku_first[sku])
    one, first = room_for_transport(rows_max, nodes + 1), np.empty(rows_max + 1, np.int32)
    mine = np.empty(rows_max, np.int32)
    for sku in range(units.sku_first.size - 1):
        rows, count, before = 0, 0, -1
        for place in range(units.sku_first[sku], units.sku_first[sku + 1]):
            unit = units.by_sku[place]
            order = units.order[unit]
            if units.first[order + 1] - units.first[order] > 1:
                continue
            zone = units.zone[order]
            if zone != before:
                for node in range(nodes):
                    one.cost[rows, node] = costs.shipment[zone, node] + costs.unit[zone, node]
                one.cost[rows, nodes] = costs.short
                one.units[rows] = 0
                first[rows] = count
                rows += 1
                before = zone
            one.units[rows - 1] += 1
            mine[count] = unit
            count += 1
        transport(one, rows, units.room, sku)
        for row in range(rows):
            at = first[row]
            for node in range(nodes + 1):
                for _ in range(one.at[row, node]):
                    units.at[mine[at]] = node
                    at += 1
                total += one.at[row, node] * one.cost[row, node]
        for node in range(nodes):
            units.room[sku, node] -= one.used[node]
    return total


@kernel
def place_again(units: Units, costs: Costs, prices: F64x2, orders: I32) -> float:
    """Take each of these orders out and put it back, where that saves; the change of cost."""
    net, work = _room_for_work(costs.unit.shape[1], units.at.size)
    total = 0.0
    for order in orders:
        if _is_large(units, order):
            continue
        for first in range(units.first[order], units.first[order + 1], WINDOW):
            count = min(WINDOW, units.first[order + 1] - first)
            total += _place(units, costs, order, first, count, prices, False, net, work)
    return total


@kernel
def save_by_chains(units: Units, costs: Costs, skus: I32) -> float:
    """Move units of these SKUs along chains and rings while that saves; the change of cost."""
    nodes = costs.unit.shape[1]
    net, work = _room_for_work(nodes, units.at.size)
    dist, came = np.empty(nodes + 1), np.empty(nodes + 1, np.int32)
    total = 0.0
    for sku in skus:
        total -= _save_by_chains(units, costs, sku, net, dist, came, work)
    return total
