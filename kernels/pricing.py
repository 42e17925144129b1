"""Prices of stock, and what they prove: no allocation of these orders costs less than the bound.

At given prices, one a unit of a SKU at a node, every order is filled in the cheapest way by itself (dynamic programming
over subsets of its lines). The sum of these minima, less the priced stock, bounds every allocation from below, for any
prices: Lagrangian relaxation of the stock limits (Fisher 1981, "The Lagrangian Relaxation Method for Solving Integer
Programming Problems"). Prices go up by block-coordinate ascent, a SKU at a time: with all others fixed its units are a
transportation problem, which is solved exactly by successive shortest paths over the nodes (Ahuja, Magnanti, Orlin,
"Network Flows", 1993, section 9.7), and its prices become the middle of the optimal dual face: an end of it stalls.

A shipment is all units of an order that leave a node together. Costs are float64, of any unit.
"""

from typing import NamedTuple

import numpy as np

from kernels.options import F64, I32, I64, F64x2, I32x2, allocating_kernel, allocating_leaf, leaf

PIECE_LINES_MAX = 8  # of what is solved at once; longer orders are cut into pieces that share the fees of a shipment
_SUBSETS = 1 << PIECE_LINES_MAX
NOWHERE = 1e300  # a cost that is never paid
_TINY = 1e-7  # costs that are nearer are equal
_EXACT = 1e-14  # of the dearest: so much of it is lost by adding doubles, and is no saving


class Orders(NamedTuple):
    """Orders of lines, cut into pieces: lines [first[p], first[p + 1]) are piece p. All lines of it have other SKUs.
    But orders that are priced by weight are one piece each, and each of their units is a line, since units of one SKU
    may leave from different nodes.
    """

    first: I32  # [piece + 1]
    zone: I32  # [piece] row of the fees of its lightest shipments; the rows of heavier ones follow
    share: F64  # [piece] of the fees of each shipment that it pays: 1 / pieces of its order
    rate: I32  # [line] row of the costs: what its units cost
    grams: I64  # [line] what it weighs; 0: the weight does not matter
    sku: I32  # [line]
    quantity: I32  # [line]
    piece: I32  # [line]
    by_sku: I32  # [line] lines in the order of SKUs, and of rates within each
    sku_first: I32  # [sku + 1] into by_sku
    fees: F64x2  # [row, node] what a shipment costs
    ends: I64  # [step] weights up to which each row of a piece holds, ascending; the last one is above all


class Costs(NamedTuple):
    """What shipments cost."""

    shipment: F64x2  # [row, node] for each
    unit: F64x2  # [row, node] for each of its units
    short: float  # for a unit that is not shipped


class _Work(NamedTuple):
    """Room for one piece."""

    sums: F64x2  # [subset, node] unit costs
    best: F64  # [subset] as one shipment, or short
    least: F64  # [subset] in any number of shipments
    grams: I64  # [subset]


@leaf
def step_of(ends: I64, grams: int) -> int:
    """How many rows after its first one the fees of a shipment of so many grams stand."""
    step = 0
    while ends[step] < grams:
        step += 1
    return step


@leaf
def _add_up(orders: Orders, costs: Costs, prices: F64x2, lines: I32, count: int, work: _Work) -> None:
    """Of each subset of `count` lines: priced unit costs at every node, and its least cost. Leaves out no node."""
    nodes = costs.unit.shape[1]
    work.sums[0, :nodes] = 0.0
    work.least[0] = 0.0
    work.grams[0] = 0
    for subset in range(1, 1 << count):
        low = subset & -subset
        at = 0
        while 1 << at != low:
            at += 1
        line = lines[at]
        sku, quantity, rate = orders.sku[line], orders.quantity[line], orders.rate[line]
        before = subset ^ low
        work.grams[subset] = work.grams[before] + orders.grams[line]
        for node in range(nodes):
            work.sums[subset, node] = work.sums[before, node] + quantity * (costs.unit[rate, node] + prices[sku, node])


@leaf
def _shipped(orders: Orders, zone: int, share: float, count: int, short: F64, work: _Work) -> None:
    """best and least of each subset. short: [line], what it costs not to ship it."""
    nodes = orders.fees.shape[1]
    for subset in range(1, 1 << count):
        best = 0.0
        for line in range(count):
            if subset >> line & 1:
                best += short[line]
        row = zone + step_of(orders.ends, work.grams[subset])
        for node in range(nodes):
            best = min(best, share * orders.fees[row, node] + work.sums[subset, node])
        work.best[subset] = best
        least, part = best, (subset - 1) & subset
        while part > subset ^ part:  # each pair of parts once
            least = min(least, work.best[part] + work.least[subset ^ part], work.least[part] + work.best[subset ^ part])
            part = (part - 1) & subset
        work.least[subset] = least


@allocating_leaf
def _work(nodes: int) -> _Work:
    return _Work(np.empty((_SUBSETS, nodes)), np.empty(_SUBSETS), np.empty(_SUBSETS), np.empty(_SUBSETS, np.int64))


@leaf
def _bound(
    orders: Orders, costs: Costs, prices: F64x2, stock: I32x2, work: _Work, lines: I32, short: F64
) -> float:  # fmt: skip
    total = 0.0
    for piece in range(orders.zone.size):
        first, count = orders.first[piece], orders.first[piece + 1] - orders.first[piece]
        for line in range(count):
            lines[line] = first + line
            short[line] = orders.quantity[first + line] * costs.short
        zone = orders.zone[piece]
        _add_up(orders, costs, prices, lines, count, work)
        _shipped(orders, zone, orders.share[piece], count, short, work)
        total += work.least[(1 << count) - 1]
    for sku in range(stock.shape[0]):
        for node in range(stock.shape[1]):
            total -= prices[sku, node] * stock[sku, node]
    return total


@allocating_kernel
def bound(orders: Orders, costs: Costs, prices: F64x2, stock: I32x2) -> float:
    """What every allocation costs at least. prices, stock: [sku, node]; prices 0 or more."""
    work = _work(costs.unit.shape[1])
    lines, short = np.empty(PIECE_LINES_MAX, np.int32), np.empty(PIECE_LINES_MAX)
    return _bound(orders, costs, prices, stock, work, lines, short)


@leaf
def _marginal(
    orders: Orders, costs: Costs, prices: F64x2, line: int, lines: I32, short: F64, work: _Work, out: F64
) -> None:  # fmt: skip
    """out: [node + 1] the least cost of the line's piece, a unit of the line, where it is filled from that node, or
    short; its own price left out.
    """
    nodes, piece, quantity = costs.unit.shape[1], orders.piece[line], orders.quantity[line]
    zone, rate, share = orders.zone[piece], orders.rate[line], orders.share[piece]
    count = 0
    for other in range(orders.first[piece], orders.first[piece + 1]):
        if other != line:
            lines[count] = other
            short[count] = orders.quantity[other] * costs.short
            count += 1
    _add_up(orders, costs, prices, lines, count, work)
    _shipped(orders, zone, share, count, short, work)
    full, row = (1 << count) - 1, zone + step_of(orders.ends, orders.grams[line])
    for node in range(nodes):
        out[node] = work.least[full] + share * orders.fees[row, node]
    for subset in range(1, full + 1):
        rest, row = work.least[full ^ subset], zone + step_of(orders.ends, work.grams[subset] + orders.grams[line])
        for node in range(nodes):
            out[node] = min(out[node], work.sums[subset, node] + rest + share * orders.fees[row, node])
    for node in range(nodes):
        out[node] = out[node] / quantity + costs.unit[rate, node]
    out[nodes] = work.least[full] / quantity + costs.short


class Transport(NamedTuple):
    """The transportation problem of a SKU, and its solution: rows of units with equal costs to nodes. The last of the
    nodes is `short`.
    """

    cost: F64x2  # [row, node]
    units: I32  # [row]
    at: I32x2  # [row, node] units of the row that are there
    members: I32x2  # [node, place] rows with units there
    place: I32x2  # [row, node] of the row among the members
    count: I32  # [node] members
    used: I64  # [node] units there
    move: F64x2  # [node, node] least cost of moving a unit from one to the other
    mover: I32x2  # [node, node] the row whose unit that is
    free: F64  # [node] least cost of a chain of moves that frees a unit of room there
    next: I32  # [node] where the first move of that chain goes; -1: there is room
    tiny: F64  # [1] costs that are nearer are equal


@allocating_leaf
def room_for_transport(rows: int, nodes: int) -> Transport:
    return Transport(
        np.empty((rows, nodes)), np.empty(rows, np.int32), np.zeros((rows, nodes), np.int32),
        np.empty((nodes, rows), np.int32), np.empty((rows, nodes), np.int32), np.zeros(nodes, np.int32),
        np.zeros(nodes, np.int64), np.empty((nodes, nodes)), np.empty((nodes, nodes), np.int32), np.empty(nodes),
        np.empty(nodes, np.int32), np.full(1, _TINY),
    )  # fmt: skip


@leaf
def put(one: Transport, row: int, node: int, units: int) -> None:
    """Add units of a row, or take some away, at a node."""
    before = one.at[row, node]
    one.at[row, node] += units
    one.used[node] += units
    if before == 0:
        one.members[node, one.count[node]] = row
        one.place[row, node] = one.count[node]
        one.count[node] += 1
    elif one.at[row, node] == 0:
        one.count[node] -= 1
        last = one.members[node, one.count[node]]
        one.members[node, one.place[row, node]] = last
        one.place[last, node] = one.place[row, node]


@leaf
def look(one: Transport, node: int) -> None:
    """The least moves away from a node, where there is anything."""
    nodes = one.used.size
    if one.count[node] == 0:
        return
    one.move[node, :] = NOWHERE
    for place in range(one.count[node]):
        row = one.members[node, place]
        here = one.cost[row, node]
        for to in range(nodes):
            if one.cost[row, to] - here < one.move[node, to]:
                one.move[node, to] = one.cost[row, to] - here
                one.mover[node, to] = row
    one.move[node, node] = NOWHERE


@leaf
def find_room(count: I32, move: F64x2, free: F64, next: I32, with_room: bool, tiny: float) -> None:
    """The cheapest path of moves that makes room at every node, by Bellman and Ford from the nodes with room.

    with_room: also from these, where moving on saves.

    count: [node] what there is to be moved; move: [node, node] least cost of a move from where there is any; free:
    [node] 0 where there is room, else NOWHERE, becomes what room costs; next: [node] becomes where the path goes
    first, -1 where there is room; tiny: costs that are nearer are equal.
    """
    nodes = free.size
    next[:] = -1
    changed = True
    for _ in range(nodes):
        if not changed:
            break
        changed = False
        for node in range(nodes):
            if count[node] == 0 or (not with_room and free[node] == 0.0 and next[node] < 0):
                continue
            for to in range(nodes):
                cost = move[node, to] + free[to]
                if cost < free[node] - tiny:
                    free[node], next[node] = cost, to
                    changed = True


@leaf
def _find_room(one: Transport, stock: I32x2, sku: int) -> None:
    nodes = one.used.size
    for node in range(nodes):
        one.free[node] = 0.0 if node == nodes - 1 or one.used[node] < stock[sku, node] else NOWHERE
    find_room(one.count, one.move, one.free, one.next, True, one.tiny[0])


@leaf
def _shift(one: Transport, stock: I32x2, sku: int, node: int, most: int) -> None:
    """Move up to `most` units from a node along its cheapest path, as many as can go, and look again."""
    nodes, amount, here = one.used.size, most, node
    while one.next[here] >= 0:
        to = one.next[here]
        amount = min(amount, np.int64(one.at[one.mover[here, to], here]))
        here = to
    if here < nodes - 1:
        amount = min(amount, stock[sku, here] - one.used[here])
    here = node
    while one.next[here] >= 0:
        to = one.next[here]
        row = one.mover[here, to]
        put(one, row, here, -amount)
        put(one, row, to, amount)
        here = to
    here = node
    while here >= 0:  # only what the path touched has changed
        look(one, here)
        here = one.next[here]
    _find_room(one, stock, sku)


@leaf
def transport(one: Transport, rows: int, stock: I32x2, sku: int, prices: F64x2, at: int) -> None:
    """The cheapest way to fill rows, whose cost and units are there, from what stock there is.

    It begins where prices [at, node] would have the rows: the nearer these are to the right ones, the less is to do.
    Then units leave nodes that hold more than there is, then they go where they cost less, each along cheapest paths.
    """
    nodes = one.used.size
    one.at[:rows, :] = 0
    one.count[:] = 0
    one.used[:] = 0
    dearest = 0.0
    for row in range(rows):
        for node in range(nodes):
            dearest = max(dearest, one.cost[row, node])
    one.tiny[0] = max(_TINY, _EXACT * dearest)
    for row in range(rows):
        best, least = nodes - 1, one.cost[row, nodes - 1]
        for node in range(nodes - 1):
            cost = one.cost[row, node] + prices[at, node]
            if cost < least:
                best, least = node, cost
        put(one, row, best, one.units[row])
    for node in range(nodes):
        look(one, node)
    _find_room(one, stock, sku)
    for node in range(nodes - 1):
        while one.used[node] > stock[sku, node]:
            _shift(one, stock, sku, node, one.used[node] - stock[sku, node])
    while True:
        best = 0
        for node in range(1, nodes):
            if one.free[node] < one.free[best]:
                best = node
        if one.free[best] >= -one.tiny[0]:
            break
        _shift(one, stock, sku, best, one.used[best])


@leaf
def _set_middle(one: Transport, short: float, prices: F64x2, sku: int, low: F64) -> None:
    """Prices between the highest and the lowest that the solution allows."""
    nodes = one.used.size
    low[:] = 0.0
    changed = True
    for _ in range(nodes):
        if not changed:
            break
        changed = False
        for to in range(nodes):
            if one.count[to] == 0:
                continue
            for node in range(nodes - 1):
                if low[to] - one.move[to, node] > low[node] + one.tiny[0]:
                    low[node] = low[to] - one.move[to, node]
                    changed = True
    for node in range(nodes - 1):
        prices[sku, node] = min(short, 0.5 * (one.free[node] + low[node]))


@leaf
def _is_like(orders: Orders, line: int, other: int) -> bool:
    """Whether two lines of a SKU are alone in their orders, cost the same, and have the same quantity."""
    mine, its = orders.piece[line], orders.piece[other]
    return (
        orders.zone[mine] == orders.zone[its]
        and orders.rate[line] == orders.rate[other]
        and orders.quantity[line] == orders.quantity[other]
        and orders.first[mine + 1] - orders.first[mine] == 1
        and orders.first[its + 1] - orders.first[its] == 1
        and orders.share[mine] == orders.share[its]
    )


@leaf
def _raise_prices(
    orders: Orders, costs: Costs, stock: I32x2, skus: I32, prices: F64x2, one: Transport, work: _Work, low: F64,
    lines: I32, short: F64,
) -> None:  # fmt: skip
    for sku in skus:
        rows, before = 0, -1
        for at in range(orders.sku_first[sku], orders.sku_first[sku + 1]):
            line = orders.by_sku[at]
            if before >= 0 and _is_like(orders, line, before):
                one.units[rows - 1] += orders.quantity[line]
                continue
            _marginal(orders, costs, prices, line, lines, short, work, one.cost[rows])
            one.units[rows] = orders.quantity[line]
            rows += 1
            before = line
        transport(one, rows, stock, sku, prices, sku)
        _set_middle(one, costs.short, prices, sku, low)


@allocating_kernel
def raise_prices(orders: Orders, costs: Costs, stock: I32x2, skus: I32, prices: F64x2) -> None:
    """One round: the prices of each of these SKUs become optimal against all others. stock, prices: [sku, node]."""
    nodes = costs.unit.shape[1]
    rows_max = 0
    for sku in skus:
        rows_max = max(rows_max, orders.sku_first[sku + 1] - orders.sku_first[sku])
    one = room_for_transport(rows_max, nodes + 1)
    work, low = _work(nodes), np.empty(nodes + 1)
    lines, short = np.empty(PIECE_LINES_MAX, np.int32), np.empty(PIECE_LINES_MAX)
    _raise_prices(orders, costs, stock, skus, prices, one, work, low, lines, short)
