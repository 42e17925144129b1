"""Units of orders at nodes, and what moving them costs.

Every unit stands at a node, or is short. A move changes what its order pays, since a shipment is shared by all units of
an order at a node: changes are exact, logged, and undone where they do not save. Of the units of one SKU, the cheapest
move between each two nodes makes a net; its cheapest paths make room where there is none.
"""

from typing import Any, NamedTuple

import numpy as np
from numba.extending import overload

from kernels.options import F64, I32, I64, F64x2, I32x2, allocating_leaf, leaf
from kernels.pricing import NOWHERE, Costs, find_room, step_of

WINDOW = 8  # units of an order that are placed at once
GROUP_MAX = 6  # orders that are taken out together
MOVED_UNITS_MAX = 64  # of an order: larger ones are placed line by line and stay, the time grows with their square
SUBSETS = 1 << WINDOW
TINY = 1e-6  # a change that is smaller saves nothing
OUT = -1  # where a unit is that is being placed


class Units(NamedTuple):
    """Units of orders: those of order o are [first[o], first[o + 1])."""

    first: I32  # [order + 1]
    zone: I32  # [order] row of the costs of its lightest shipments; the rows of heavier ones follow
    rate: I32  # [unit] row of the costs of a shipment of this unit alone
    order: I32  # [unit]
    sku: I32  # [unit]
    grams: I64  # [unit]; 0: the weight does not matter
    ends: I64  # [step] weights up to which each row of an order holds, ascending; the last one is above all
    by_sku: I32  # [unit] in the order of SKUs, and of rates within each
    sku_first: I32  # [sku + 1]
    at: I32  # [unit] node; the number of nodes: short
    room: I32x2  # [sku, node] units that nobody has
    clock: I64  # [1] changes that were kept
    changed: I64  # [sku] the last one that concerned an order with units of it
    chained: I64  # [sku] as of when no chain saved
    tried: I64  # [order] as of when it could not be placed better


class WeighedUnits(Units):
    """The same where weights matter. It is a type of its own, so that kernels for the others weigh nothing: a branch
    made them three times as slow.
    """


AnyUnits = Units | WeighedUnits


def weighs(units: AnyUnits) -> bool:
    """Whether weights matter."""
    return isinstance(units, WeighedUnits)


@overload(weighs, inline="always", strict=False)
def _weighs(units: Any) -> Any:
    """As it is compiled: what the type says."""
    if issubclass(units.instance_class, WeighedUnits):
        return lambda units: True
    return lambda units: False


class Net(NamedTuple):
    """Moves of units of one SKU between nodes."""

    count: I32  # [node] units that may move
    move: F64x2  # [node, node] least cost of a move from a node where there are any
    free: F64  # [node] least cost of a path that makes room there
    next: I32  # [node] where it goes first; -1: there is room
    path: I32  # nodes of a path
    mover: I32  # whose unit goes from each of them to the next


class Work(NamedTuple):
    """Room for what is being tried."""

    alone: F64x2  # [row of the costs, node] a unit that is a shipment by itself
    seen: I64  # [node] stamp of the last order that was found there
    load: I64  # [node] grams of that order there
    stamp: I64  # [1]
    cost: F64x2  # [window, node] of a unit at a node, shipments aside, where there is room
    room: I32x2  # [window, node] for so many units of its SKU
    more: F64x2  # [window, node] what each further one costs
    blur: F64x2  # [window, node] what is added to the costs of a unit while a choice is made
    like: I32  # [window] the units of its SKU, as bits
    grams: I64  # [window] of a unit
    weight: I64  # [subset]
    fee: F64  # [node] of a shipment, or what it costs more as it gets heavier
    sums: F64x2  # [subset, node]
    best: F64  # [subset] at one node
    node: I32  # [subset] which
    least: F64  # [subset] at any nodes
    part: I32  # [subset] what of it goes to one node
    log_unit: I32  # moves that were made, to be undone
    log_from: I32
    logged: I64  # [1]
    rests: I32  # [unit] 1 where it is left out of chains


@allocating_leaf
def room_for_work(units: AnyUnits, costs: Costs) -> tuple[Net, Work]:
    """A net, and the work. A log has room for the units of a group and the paths that make room for each."""
    nodes = costs.unit.shape[1]
    log = 2 * GROUP_MAX * WINDOW * (nodes + 4)
    return (
        Net(
            np.empty(nodes + 1, np.int32), np.empty((nodes + 1, nodes + 1)), np.empty(nodes + 1),
            np.empty(nodes + 1, np.int32),
            np.empty(nodes + 3, np.int32), np.empty(nodes + 3, np.int32),
        ),
        Work(
            costs.shipment + costs.unit, np.zeros(nodes + 1, np.int64), np.zeros(nodes + 1, np.int64),
            np.zeros(1, np.int64),
            np.empty((WINDOW, nodes)), np.empty((WINDOW, nodes), np.int32), np.empty((WINDOW, nodes)),
            np.zeros((WINDOW, nodes)), np.empty(WINDOW, np.int32), np.zeros(WINDOW, np.int64),
            np.zeros(SUBSETS, np.int64), np.empty(nodes), np.empty((SUBSETS, nodes)), np.empty(SUBSETS),
            np.empty(SUBSETS, np.int32), np.empty(SUBSETS), np.empty(SUBSETS, np.int32),
            np.empty(log, np.int32), np.empty(log, np.int32), np.zeros(1, np.int64),
            np.zeros(units.at.size, np.int32),
        ),
    )  # fmt: skip


@leaf
def size_of(units: AnyUnits, order: int) -> int:
    return int(units.first[order + 1] - units.first[order])


@leaf
def mark(units: AnyUnits, order: int, work: Work) -> int:
    """Stamp the nodes where the order has units, and weigh these; the stamp."""
    work.stamp[0] += 1
    for unit in range(units.first[order], units.first[order + 1]):
        here = units.at[unit]
        if here >= 0:
            if weighs(units):
                before = work.load[here] if work.seen[here] == work.stamp[0] else 0
                work.load[here] = before + units.grams[unit]
            work.seen[here] = work.stamp[0]
    return int(work.stamp[0])


@leaf
def _is_alone(units: AnyUnits, unit: int) -> bool:
    order, here = units.order[unit], units.at[unit]
    for other in range(units.first[order], units.first[order + 1]):
        if other != unit and units.at[other] == here:
            return False
    return True


@leaf
def _beside(units: AnyUnits, unit: int, node: int) -> int:
    """Grams of the other units of its order at a node; -1 where there are none."""
    order, grams = units.order[unit], np.int64(-1)
    for other in range(units.first[order], units.first[order + 1]):
        if other != unit and units.at[other] == node:
            grams = max(grams, 0) + units.grams[other]
    return int(grams)


@leaf
def further(units: AnyUnits, costs: Costs, order: int, node: int, grams: int, more: int) -> float:
    """What a shipment of an order costs more when it gets heavier."""
    if not weighs(units):
        return 0.0
    row = units.zone[order]
    after = costs.shipment[row + step_of(units.ends, grams + more), node]
    return after - costs.shipment[row + step_of(units.ends, grams), node]


@leaf
def _here(units: AnyUnits, costs: Costs, unit: int) -> float:
    """What its order would save without the unit."""
    here, rate = units.at[unit], units.rate[unit]
    if here == costs.unit.shape[1]:
        return costs.short
    if here < 0:
        return 0.0
    cost = costs.unit[rate, here]
    if not weighs(units):
        return cost + costs.shipment[rate, here] if _is_alone(units, unit) else cost
    beside = _beside(units, unit, here)
    if beside < 0:
        return cost + costs.shipment[rate, here]
    return cost + further(units, costs, units.order[unit], here, beside, units.grams[unit])


@leaf
def _go(units: AnyUnits, costs: Costs, unit: int, to: int) -> float:
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
def go(units: AnyUnits, costs: Costs, unit: int, to: int, work: Work) -> float:
    """Move a unit, and log it; the change of cost."""
    at = work.logged[0]
    work.log_unit[at], work.log_from[at] = unit, units.at[unit]
    work.logged[0] = at + 1
    return _go(units, costs, unit, to)


@leaf
def undo(units: AnyUnits, costs: Costs, work: Work) -> None:
    """Take back what is logged."""
    while work.logged[0]:
        work.logged[0] -= 1
        _go(units, costs, work.log_unit[work.logged[0]], work.log_from[work.logged[0]])


@leaf
def keep(units: AnyUnits, work: Work) -> None:
    """Note what the logged moves concern: every SKU of every order that moved."""
    units.clock[0] += 1
    for at in range(work.logged[0]):
        order = units.order[work.log_unit[at]]
        for unit in range(units.first[order], units.first[order + 1]):
            units.changed[units.sku[unit]] = units.clock[0]
    work.logged[0] = 0


@leaf
def _look_from(units: AnyUnits, costs: Costs, unit: int, net: Net, work: Work) -> None:
    """The moves of a unit of an order of several."""
    nodes, order, here = costs.unit.shape[1], units.order[unit], units.at[unit]
    rate, saved = units.rate[unit], _here(units, costs, unit)
    for to in range(nodes):
        net.move[here, to] = min(net.move[here, to], work.alone[rate, to] - saved)
    net.move[here, nodes] = min(net.move[here, nodes], costs.short - saved)
    for other in range(units.first[order], units.first[order + 1]):
        there = units.at[other]
        if there >= 0 and there < nodes and there != here:
            cost = costs.unit[rate, there]
            if weighs(units):
                cost += further(units, costs, order, there, _beside(units, unit, there), units.grams[unit])
            net.move[here, there] = min(net.move[here, there], cost - saved)


@leaf
def look(units: AnyUnits, costs: Costs, sku: int, but: int, net: Net, work: Work) -> None:
    """The least moves of a SKU's units, without those of one order."""
    nodes = costs.unit.shape[1]
    net.count[:] = 0
    last_rate, last = -1, -1
    for place in range(units.sku_first[sku], units.sku_first[sku + 1]):
        unit = units.by_sku[place]
        order, here = units.order[unit], units.at[unit]
        size = size_of(units, order)
        if order == but or here < 0 or size > MOVED_UNITS_MAX or work.rests[unit]:
            continue
        if net.count[here] == 0:
            net.move[here, :] = NOWHERE
        net.count[here] += 1
        if size > 1:
            _look_from(units, costs, unit, net, work)
            continue
        rate = units.rate[unit]
        if rate == last_rate and here == last:
            continue
        last_rate, last = rate, here
        saved = costs.short if here == nodes else work.alone[rate, here]
        for to in range(nodes):
            net.move[here, to] = min(net.move[here, to], work.alone[rate, to] - saved)
        net.move[here, nodes] = min(net.move[here, nodes], costs.short - saved)
    for node in range(nodes + 1):
        net.move[node, node] = NOWHERE


@leaf
def _mover(units: AnyUnits, costs: Costs, sku: int, but: int, here: int, to: int, work: Work) -> int:
    """The unit whose move from one node to another costs least."""
    nodes, best, found = costs.unit.shape[1], NOWHERE, -1
    for place in range(units.sku_first[sku], units.sku_first[sku + 1]):
        unit = units.by_sku[place]
        order = units.order[unit]
        if units.at[unit] != here or order == but or size_of(units, order) > MOVED_UNITS_MAX or work.rests[unit]:
            continue
        cost, rate = costs.short, units.rate[unit]
        if to < nodes:
            cost = work.alone[rate, to]
            for other in range(units.first[order], units.first[order + 1]):
                if units.at[other] == to:
                    cost = costs.unit[rate, to]
            if weighs(units):
                beside = _beside(units, unit, to)
                cost += further(units, costs, order, to, beside, units.grams[unit]) if beside >= 0 else 0.0
        cost -= _here(units, costs, unit)
        if cost < best:
            best, found = cost, unit
    return found


@leaf
def look_for_room(units: AnyUnits, costs: Costs, sku: int, but: int, net: Net, work: Work) -> None:
    """What room for a unit of the SKU costs at each node: `free` and `next` of the net."""
    nodes = costs.unit.shape[1]
    look(units, costs, sku, but, net, work)
    for node in range(nodes + 1):
        net.free[node] = 0.0 if node == nodes or units.room[sku, node] > 0 else NOWHERE
    find_room(net.count, net.move, net.free, net.next, False, TINY / 10)


@leaf
def walk(units: AnyUnits, costs: Costs, sku: int, but: int, steps: int, net: Net, work: Work) -> float:
    """Move a unit along each step of the path [steps + 1]; the change of cost."""
    change = 0.0
    for step in range(steps):
        net.mover[step] = _mover(units, costs, sku, but, net.path[step], net.path[step + 1], work)
    for step in range(steps):
        change += go(units, costs, net.mover[step], net.path[step + 1], work)
    return change


@leaf
def make_room(units: AnyUnits, costs: Costs, sku: int, but: int, node: int, net: Net, work: Work) -> float:
    """Carry out the path that makes room at a node; the change of cost. NOWHERE where it comes back to itself."""
    net.path[0], steps = node, 0
    while net.next[net.path[steps]] >= 0:
        if steps > net.free.size:
            return NOWHERE
        net.path[steps + 1] = net.next[net.path[steps]]
        steps += 1
    return walk(units, costs, sku, but, steps, net, work)
