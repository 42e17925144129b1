"""An allocation that keeps to the stock, of least cost as near as moves get.

Units are placed by prices, then moved while that saves. Three neighbourhoods, each with the exact change of all orders
that it touches, kept where it saves and undone where it does not (kernels/moves.py):

- a chain or ring of moves of units of one SKU, which ends where there is room (a negative cycle of the residual
  network: Ahuja, Magnanti, Orlin, "Network Flows", 1993, section 9.6; between orders it is the cyclic exchange of
  Thompson and Psaraftis 1993, "Cyclic Transfer Algorithms for Multivehicle Routing");
- an order taken out and put back in the best way, by dynamic programming over subsets of its units, where a node
  without room costs what the cheapest chain of others' moves costs that makes some (ejection chains: Glover 1996);
- an order taken out together with one that stands where prices would have it, and both put back, one after the other
  (ruin and recreate: Schrimpf, Schneider, Stamm-Wilbrandt, Dueck 2000; larger groups are in kernels/ruin.py).

Orders of one unit are placed by exact shortest paths (kernels/pricing.py): where all are such the cost is the least.
"""

import numpy as np

from kernels.moves import (
    MOVED_UNITS_MAX,
    OUT,
    TINY,
    WINDOW,
    AnyUnits,
    Net,
    Work,
    further,
    go,
    keep,
    look,
    look_for_room,
    make_room,
    mark,
    room_for_work,
    size_of,
    undo,
    walk,
    weighs,
)
from kernels.options import F64, I32, F64x2, allocating_kernel, leaf
from kernels.pricing import NOWHERE, Costs, Transport, room_for_transport, step_of, transport

HOLDERS_MAX = 5  # orders that one is tried with at a node


@leaf
def _one_of_a_pair(units: AnyUnits, nodes: int, work: Work) -> int:
    """Of two units of one order that have moved, one that was not short; -1 where there are none."""
    for at in range(work.logged[0]):
        if work.log_from[at] < nodes:
            for other in range(work.logged[0]):
                mine, its = work.log_unit[at], work.log_unit[other]
                if mine != its and units.order[mine] == units.order[its]:
                    return int(mine)
    return -1


@leaf
def _rest_no_more(units: AnyUnits, sku: int, work: Work) -> None:
    for place in range(units.sku_first[sku], units.sku_first[sku + 1]):
        work.rests[units.by_sku[place]] = 0


@leaf
def _find_chain(units: AnyUnits, sku: int, dist: F64, came: I32, net: Net) -> int:
    """The steps of the cheapest chain or ring that saves, as a path; 0 where there is none."""
    nodes, last, end = dist.size - 1, -1, -1
    dist[:] = 0.0
    came[:] = -1
    for _ in range(nodes + 2):
        last = -1
        for node in range(nodes + 1):
            if net.count[node] == 0:
                continue
            for to in range(nodes + 1):
                if dist[node] + net.move[node, to] < dist[to] - TINY:
                    dist[to] = dist[node] + net.move[node, to]
                    came[to] = node
                    last = to
        if last < 0:
            break
    if last >= 0:  # a ring: go back far enough to be within it
        end = last
        for _ in range(nodes + 1):
            end = came[end]
    else:
        for node in range(nodes + 1):
            has_room = node == nodes or units.room[sku, node] > 0
            if has_room and dist[node] < -TINY and (end < 0 or dist[node] < dist[end]):
                end = node
    if end < 0:
        return 0
    steps, node = 0, end
    net.path[0] = end
    while came[node] >= 0 and steps <= nodes:
        node = came[node]
        steps += 1
        net.path[steps] = node
        if last >= 0 and node == end:
            break
    for step in range((steps + 1) // 2):  # found from its end
        net.path[step], net.path[steps - step] = net.path[steps - step], net.path[step]
    return steps


@leaf
def _save_by_chains(units: AnyUnits, costs: Costs, sku: int, net: Net, dist: F64, came: I32, work: Work) -> float:
    """Chains and rings of a SKU that save, one after the other; the change of cost."""
    nodes, total, resting = costs.unit.shape[1], 0.0, 0
    for _ in range(2 * (units.sku_first[sku + 1] - units.sku_first[sku])):
        look(units, costs, sku, -1, net, work)
        steps = _find_chain(units, sku, dist, came, net)
        if steps == 0:
            units.chained[sku] = units.clock[0]
            break
        work.logged[0] = 0
        change = walk(units, costs, sku, -1, steps, net, work)
        if change > -TINY:  # units of one order have moved together, which costs other than each alone
            one = _one_of_a_pair(units, nodes, work)
            undo(units, costs, work)
            if one < 0:
                break
            work.rests[one] = 1
            resting += 1
        else:
            total += change
            keep(units, work)
            if resting:
                _rest_no_more(units, sku, work)
                resting = 0
    if resting:
        _rest_no_more(units, sku, work)
    return total


@allocating_kernel
def save_by_chains(units: AnyUnits, costs: Costs, skus: I32) -> float:
    """Move units of these SKUs along chains and rings while that saves; the change of cost."""
    nodes = costs.unit.shape[1]
    net, work = room_for_work(units, costs)
    dist, came = np.empty(nodes + 1), np.empty(nodes + 1, np.int32)
    total = 0.0
    for sku in skus:
        if units.changed[sku] > units.chained[sku]:
            total += _save_by_chains(units, costs, sku, net, dist, came, work)
    return total


@leaf
def _weigh(units: AnyUnits, costs: Costs, order: int, stamp: int, grams: int, work: Work) -> None:
    """The fee of so many grams more at every node, where the stamped ones have some of the order."""
    row = units.zone[order] + step_of(units.ends, grams)
    for node in range(costs.unit.shape[1]):
        work.fee[node] = costs.shipment[row, node]
        if work.seen[node] == stamp:
            work.fee[node] = further(units, costs, order, node, work.load[node], grams)


@leaf
def choose(units: AnyUnits, costs: Costs, order: int, count: int, work: Work) -> None:
    """The best nodes for `count` units of an order whose costs are known: least, part and node of every subset of them.
    Nodes where the order has other units cost no shipment, or what it costs more as it gets heavier.
    """
    nodes = costs.unit.shape[1]
    stamp = mark(units, order, work)
    for node in range(nodes):
        work.sums[0, node] = 0.0
        work.fee[node] = 0.0 if work.seen[node] == stamp else costs.shipment[units.zone[order], node]
    work.least[0] = 0.0
    for subset in range(1, 1 << count):
        k = 0
        while not subset >> k & 1:
            k += 1
        before, best, where, size, alike = subset & (subset - 1), 0.0, nodes, 0, 0
        for j in range(count):
            size += subset >> j & 1
            alike += (before & work.like[k]) >> j & 1
        best = size * costs.short
        if weighs(units):
            work.weight[subset] = work.weight[before] + work.grams[k]
            _weigh(units, costs, order, stamp, work.weight[subset], work)
        for node in range(nodes):
            cost = work.sums[before, node] + (work.cost[k, node] if alike < work.room[k, node] else work.more[k, node])
            work.sums[subset, node] = cost
            cost += work.fee[node]
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
def set_alike(units: AnyUnits, first: int, count: int, work: Work) -> None:
    for k in range(count):
        work.like[k] = 0
        if weighs(units):
            work.grams[k] = units.grams[first + k]
        for j in range(count):
            if units.sku[first + j] == units.sku[first + k]:
                work.like[k] |= 1 << j


@leaf
def _set_priced(
    units: AnyUnits, costs: Costs, first: int, count: int, prices: F64x2, only_room: bool, work: Work
) -> None:  # fmt: skip
    """What each unit costs at every node by prices; only_room: where there is room, else anywhere."""
    nodes = costs.unit.shape[1]
    set_alike(units, first, count, work)
    for k in range(count):
        sku, rate = units.sku[first + k], units.rate[first + k]
        for node in range(nodes):
            work.cost[k, node] = costs.unit[rate, node] + prices[sku, node]
            work.room[k, node] = units.room[sku, node] if only_room else count
            work.more[k, node] = NOWHERE


@leaf
def take_out(units: AnyUnits, costs: Costs, first: int, count: int, work: Work) -> float:
    change = 0.0
    for unit in range(first, first + count):
        change += go(units, costs, unit, OUT, work)
    return change


@leaf
def put_back(units: AnyUnits, costs: Costs, order: int, first: int, count: int, net: Net, work: Work) -> float:
    """Put `count` units of an order that stand nowhere where it is best, where a node without room costs what the chain
    costs that makes some; the change of cost.
    """
    nodes, change = costs.unit.shape[1], 0.0
    set_alike(units, first, count, work)
    for k in range(count):
        sku, rate = units.sku[first + k], units.rate[first + k]
        if k == 0 or units.sku[first + k - 1] != sku:
            look_for_room(units, costs, sku, order, net, work)
        for node in range(nodes):
            work.cost[k, node] = costs.unit[rate, node] + net.free[node] + work.blur[k, node]
            work.room[k, node] = max(1, units.room[sku, node])  # others make room for one
            work.more[k, node] = NOWHERE
    left = (1 << count) - 1
    choose(units, costs, order, count, work)
    while left:
        part = work.part[left]
        node = work.node[part]
        for k in range(count):
            if part >> k & 1:
                sku, to = units.sku[first + k], node
                if node < nodes and units.room[sku, node] <= 0:
                    look_for_room(units, costs, sku, order, net, work)
                    if net.free[node] < NOWHERE:
                        change += make_room(units, costs, sku, order, node, net, work)
                    else:
                        to = nodes
                change += go(units, costs, first + k, to, work)
        left ^= part
    return change


@leaf
def settle(units: AnyUnits, costs: Costs, change: float, work: Work) -> float:
    """Keep a change that saves, undo one that does not; the change of cost."""
    if change > -TINY:
        undo(units, costs, work)
        return 0.0
    keep(units, work)
    return change


@leaf
def _is_settled(units: AnyUnits, order: int) -> bool:
    """Whether nothing that concerns the order has changed since it could not be placed better."""
    last = 0
    for unit in range(units.first[order], units.first[order + 1]):
        last = max(last, units.changed[units.sku[unit]])
    return last <= units.tried[order]


@allocating_kernel
def place_again(units: AnyUnits, costs: Costs, orders: I32) -> float:
    """Take each of these orders out and put it back, where that saves; the change of cost."""
    net, work = room_for_work(units, costs)
    total = 0.0
    for order in orders:
        if size_of(units, order) > MOVED_UNITS_MAX or _is_settled(units, order):
            continue
        units.tried[order] = units.clock[0]
        for first in range(units.first[order], units.first[order + 1], WINDOW):
            count = min(WINDOW, units.first[order + 1] - first)
            work.logged[0] = 0
            change = take_out(units, costs, first, count, work)
            change += put_back(units, costs, order, first, count, net, work)
            total += settle(units, costs, change, work)
    return total


@leaf
def _swap(units: AnyUnits, costs: Costs, order: int, other: int, net: Net, work: Work) -> float:
    """Take two orders out and put them back, the first one first, where that saves; the change of cost."""
    work.logged[0] = 0
    change, first, its = 0.0, units.first[order], units.first[other]
    change += take_out(units, costs, first, size_of(units, order), work)
    change += take_out(units, costs, its, size_of(units, other), work)
    change += put_back(units, costs, order, first, size_of(units, order), net, work)
    change += put_back(units, costs, other, its, size_of(units, other), net, work)
    return settle(units, costs, change, work)


@leaf
def _wants(units: AnyUnits, costs: Costs, order: int, prices: F64x2, wanted: I32, work: Work) -> int:
    """Where prices would have the units of an order: wanted [unit] becomes the node, -1 where it stands there or there
    is room. Returns how many are wanted.
    """
    first, count, nodes = units.first[order], size_of(units, order), costs.unit.shape[1]
    wanted[:count] = -1
    _set_priced(units, costs, first, count, prices, False, work)
    work.logged[0] = 0
    take_out(units, costs, first, count, work)
    choose(units, costs, order, count, work)
    undo(units, costs, work)
    left, found = (1 << count) - 1, 0
    while left:
        part = work.part[left]
        node = work.node[part]
        for k in range(count):
            is_there = node == nodes or units.at[first + k] == node
            if part >> k & 1 and not is_there and units.room[units.sku[first + k], node] <= 0:
                wanted[k] = node
                found += 1
        left ^= part
    return found


@leaf
def _swap_with_holders(
    units: AnyUnits, costs: Costs, order: int, sku: int, node: int, holders: I32, net: Net, work: Work
) -> float:  # fmt: skip
    """Try an order with those of several units that hold units of a SKU at a node, until one saves."""
    count = 0
    for place in range(units.sku_first[sku], units.sku_first[sku + 1]):
        unit = units.by_sku[place]
        other = units.order[unit]
        is_new = other != order and (count == 0 or holders[count - 1] != other)
        if is_new and units.at[unit] == node and 1 < size_of(units, other) <= WINDOW and count < HOLDERS_MAX:
            holders[count] = other
            count += 1
    for at in range(count):
        change = _swap(units, costs, order, holders[at], net, work)
        if change < 0.0:
            return change
    return 0.0


@allocating_kernel
def swap(units: AnyUnits, costs: Costs, prices: F64x2, orders: I32) -> float:
    """Take each of these orders, of WINDOW units at most, out together with one that stands where prices would have it,
    where that saves; the change of cost.
    """
    net, work = room_for_work(units, costs)
    wanted, holders, total = np.empty(WINDOW, np.int32), np.empty(HOLDERS_MAX, np.int32), 0.0
    for order in orders:
        if _wants(units, costs, order, prices, wanted, work) == 0:
            continue
        for k in range(size_of(units, order)):
            if wanted[k] >= 0:
                sku = units.sku[units.first[order] + k]
                change = _swap_with_holders(units, costs, order, sku, wanted[k], holders, net, work)
                total += change
                if change < 0.0:
                    break
    return total


@leaf
def _shipping(units: AnyUnits, costs: Costs, order: int, node: int, stamp: int, grams: int, work: Work) -> float:
    """What it costs to add so many grams to what is stamped of an order at a node, or to begin a shipment there."""
    if work.seen[node] == stamp:
        return further(units, costs, order, node, work.load[node], grams)
    return float(costs.shipment[units.zone[order] + step_of(units.ends, grams), node])


@leaf
def _place_lines(units: AnyUnits, costs: Costs, order: int, prices: F64x2, work: Work) -> float:
    """Place the units of a large order that stand nowhere, line by line, at nodes that are cheap by price, and where it
    has a shipment; their cost.
    """
    nodes, total, stamp = costs.unit.shape[1], 0.0, mark(units, order, work)
    unit, last = units.first[order], units.first[order + 1]
    while unit < last:
        sku, rate, end = units.sku[unit], units.rate[unit], unit
        while end < last and units.sku[end] == sku and units.at[end] == OUT:
            end += 1
        if end == unit:
            unit += 1
        while unit < end:
            best, where, taken = costs.short, nodes, end - unit
            for node in range(nodes):
                if units.room[sku, node] > 0:
                    count = min(end - unit, units.room[sku, node])
                    cost = costs.unit[rate, node] + prices[sku, node]
                    cost += _shipping(units, costs, order, node, stamp, count * units.grams[unit], work) / count
                    if cost < best:
                        best, where, taken = cost, node, count
            if where < nodes:
                units.room[sku, where] -= taken
                grams = taken * units.grams[unit]
                total += taken * costs.unit[rate, where]
                total += _shipping(units, costs, order, where, stamp, grams, work)
                work.load[where] = grams + (work.load[where] if work.seen[where] == stamp else 0)
                work.seen[where] = stamp
            else:
                total += taken * costs.short
            for _ in range(taken):
                units.at[unit] = where
                unit += 1
    return total


@allocating_kernel
def place_rest(units: AnyUnits, costs: Costs, orders: I32) -> float:
    """Place what is short of these orders, which prices may have left so, where there is room; the change of cost."""
    _, work = room_for_work(units, costs)
    free, total = np.zeros(units.room.shape), 0.0
    for order in orders:
        for unit in range(units.first[order], units.first[order + 1]):
            if units.at[unit] == costs.unit.shape[1]:
                units.at[unit] = OUT
                total -= costs.short
        total += _place_lines(units, costs, order, free, work)
    return total


@leaf
def _put_by_price(
    units: AnyUnits, costs: Costs, order: int, first: int, count: int, prices: F64x2, work: Work
) -> float:  # fmt: skip
    """Put `count` units of an order that stand nowhere where prices would have them, if there is room; their cost."""
    nodes, change, left = costs.unit.shape[1], 0.0, (1 << count) - 1
    _set_priced(units, costs, first, count, prices, True, work)
    choose(units, costs, order, count, work)
    work.logged[0] = 0
    while left:
        part = work.part[left]
        node = work.node[part]
        for k in range(count):
            if part >> k & 1:
                has_room = node < nodes and units.room[units.sku[first + k], node] > 0  # others of it may have taken it
                change += go(units, costs, first + k, node if has_room else nodes, work)
        left ^= part
    return change


@allocating_kernel
def place_by_price(units: AnyUnits, costs: Costs, prices: F64x2, orders: I32) -> float:
    """Place the units of these orders, which stand nowhere, by prices where there is room; the cost of these."""
    _, work = room_for_work(units, costs)
    total = 0.0
    for order in orders:
        if size_of(units, order) > MOVED_UNITS_MAX:
            total += _place_lines(units, costs, order, prices, work)
            continue
        for first in range(units.first[order], units.first[order + 1], WINDOW):
            count = min(WINDOW, units.first[order + 1] - first)
            total += _put_by_price(units, costs, order, first, count, prices, work)
    return total


@leaf
def _place_singles(
    units: AnyUnits, costs: Costs, prices: F64x2, one: Transport, first: I32, mine: I32
) -> float:  # fmt: skip
    nodes, total = costs.unit.shape[1], 0.0
    for sku in range(units.sku_first.size - 1):
        rows, count, before = 0, 0, -1
        for place in range(units.sku_first[sku], units.sku_first[sku + 1]):
            unit = units.by_sku[place]
            order = units.order[unit]
            if units.first[order + 1] - units.first[order] > 1:
                continue
            rate = units.rate[unit]
            if rate != before:
                for node in range(nodes):
                    one.cost[rows, node] = costs.shipment[rate, node] + costs.unit[rate, node]
                one.cost[rows, nodes] = costs.short
                one.units[rows] = 0
                first[rows] = count
                rows += 1
                before = rate
            one.units[rows - 1] += 1
            mine[count] = unit
            count += 1
        transport(one, rows, units.room, sku, prices, sku)
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


@allocating_kernel
def place_singles(units: AnyUnits, costs: Costs, prices: F64x2) -> float:
    """Place the orders of one unit, which stand nowhere, in the cheapest way that the room allows; their cost.

    prices: [sku, node] where to begin.
    """
    nodes, rows_max = costs.unit.shape[1], 1
    for sku in range(units.sku_first.size - 1):
        rows_max = max(rows_max, units.sku_first[sku + 1] - units.sku_first[sku])
    one, first = room_for_transport(rows_max, nodes + 1), np.empty(rows_max + 1, np.int32)
    mine = np.empty(rows_max, np.int32)
    return _place_singles(units, costs, prices, one, first, mine)
