"""Plays a world of the simulation of stock sync against one way of publishing, second by second, and counts.

In each second: updates that have travelled their lag land; restocks come; customers buy by what their channel shows;
then each channel is sent as many updates as its budget grants. One pool of stock, a figure for each (channel, SKU).
"""

from enum import IntEnum
from typing import NamedTuple

import numpy as np

from benchmarks.sync_world import World
from kernels.options import F64, I32, I64, allocating_kernel, kernel, leaf
from kernels.publishing import Sales, cost_of_waiting, held_back, observe, pick, velocity_at
from server.workers.ranking import MEMORY_S, PRIOR_S, RISK_S

ROUND_S = 1.0  # a channel's publisher wakes so often


class Policy(IntEnum):
    """Whose turn it is when the budget is short."""

    FIFO = 0  # pending since longest; an update that changes while it waits keeps its turn
    CHANGED_MOST = 1  # the largest difference between what the channel was told and what it should show
    RISK = 2  # the largest expected cost of waiting


class Way(NamedTuple):
    """A way of publishing."""

    policy: int
    lag: int  # seconds from sending to visible
    rate: float  # SKUs a second, of each channel
    buffer_weight: float  # lost units that an oversold one is worth: held_back's lost_weight; inf is no buffer
    lost_weight: float  # of the ranking by risk


class Outcome(NamedTuple):
    """Units: demand = sold + oversold + lost + unmet. `sent` counts updates."""

    demand: int
    sold: int  # from true stock
    oversold: int  # sold beyond true stock
    lost: int  # refused though true stock would have allowed it
    unmet: int  # refused as true stock was too low
    sent: int
    pending: int  # (channel, SKU) pairs, the mean over time, after publishing


class _Lines(NamedTuple):
    second: I64
    channel: I64
    sku: I32
    units: I64
    restock_second: I64
    restock_sku: I32
    restock_units: I64


class _Pool(NamedTuple):
    """What is true, and what is known of sales."""

    stock: I64  # [sku] units
    velocity: F64  # [sku] units a second over all channels, as of its last sale or restock
    taken: F64  # [channel] units that it took
    since_sale: Sales


class _Desk(NamedTuple):
    """Cells are channel * skus + sku."""

    shown: I64  # [cell] units that customers see
    told: I64  # [cell] units that they will see when all that was sent has landed
    target: I64  # [cell] units that they should see
    flying: I64  # [cell] updates on their way
    since: F64  # [cell] second since when it is pending
    cost: F64  # [cell] what the policy ranks by, while it is pending
    place: I64  # [cell] its place in `pending`, -1: not pending
    pending: I64  # [cell] of each channel, from channel * skus: its pending cells
    count: I64  # [channel] how many they are
    tokens: F64  # [channel]
    flight_due: I64  # [flight] second from which it is visible; a ring, in order
    flight_cell: I64
    flight_units: I64
    ends: I64  # [2] flights landed, flights sent


@leaf
def _drop(desk: _Desk, cell: int, channel: int, skus: int) -> None:
    """Take a cell out of the pending ones: the last one takes its place."""
    place, last = desk.place[cell], channel * skus + desk.count[channel] - 1
    moved = desk.pending[last]
    desk.pending[place] = moved
    desk.place[moved] = place
    desk.place[cell] = -1
    desk.count[channel] -= 1


@leaf
def _cost(pool: _Pool, desk: _Desk, way: Way, sku: int, cell: int, share: float) -> float:
    """What a policy ranks a pending cell by; `share` is the channel's of all sales. Equal costs go by age."""
    if way.policy == 1:
        return float(abs(desk.target[cell] - desk.told[cell]))
    if way.policy == 2:
        mean = pool.velocity[sku] * share * RISK_S
        return cost_of_waiting(desk.told[cell], desk.target[cell], mean, way.lost_weight)
    return 0.0


@leaf
def _aim(pool: _Pool, desk: _Desk, way: Way, sku: int, now: int) -> None:
    """Set what each channel should show of a SKU, whether that is pending, and at which cost."""
    skus, channels = pool.stock.size, desk.count.size
    total = pool.taken.sum()
    for channel in range(channels):
        cell = channel * skus + sku
        share = pool.taken[channel] / total
        others = pool.velocity[sku] * (1.0 - share)
        buffer = held_back(others * (way.lag + ROUND_S), way.buffer_weight, pool.stock[sku])
        desk.target[cell] = pool.stock[sku] - buffer
        pending = desk.target[cell] != desk.told[cell]
        if pending:
            desk.cost[cell] = _cost(pool, desk, way, sku, cell, share)
            if desk.place[cell] < 0:
                place = channel * skus + desk.count[channel]
                desk.pending[place] = cell
                desk.place[cell] = place
                desk.since[cell] = now
                desk.count[channel] += 1
        elif desk.place[cell] >= 0:
            _drop(desk, cell, channel, skus)


@leaf
def _land(desk: _Desk, now: int) -> None:
    """Make visible what has travelled long enough."""
    room = desk.flight_due.size
    while desk.ends[0] < desk.ends[1] and desk.flight_due[desk.ends[0] % room] <= now:
        flight = desk.ends[0] % room
        cell = desk.flight_cell[flight]
        desk.shown[cell] = desk.flight_units[flight]
        desk.flying[cell] -= 1
        desk.ends[0] += 1


@leaf
def _sell(pool: _Pool, desk: _Desk, channel: int, sku: int, units: int, now: int, prior: float, counts: I64) -> bool:
    """One customer: counts[1:5] gain its units as sold, oversold, lost or unmet. Returns whether something was sold.

    The channel takes what it sold off its own figure; an update on its way will overwrite that.
    """
    cell = channel * pool.stock.size + sku
    if desk.shown[cell] < units:
        counts[3 if pool.stock[sku] >= units else 4] += units
        return False
    sold = min(units, pool.stock[sku])
    counts[1] += sold
    counts[2] += units - sold
    pool.stock[sku] -= sold
    desk.shown[cell] -= units
    if desk.flying[cell] == 0:
        desk.told[cell] = desk.shown[cell]
    pool.taken[channel] += units
    observe(pool.since_sale, sku, float(sold), pool.stock[sku] > 0, float(now), MEMORY_S)
    pool.velocity[sku] = velocity_at(pool.since_sale, sku, float(now), MEMORY_S, prior, PRIOR_S)
    return True


@leaf
def _turn(desk: _Desk, way: Way, channel: int, skus: int, cost: F64, since: F64, rows: I64) -> int:
    """rows[:n]: pending rows of a channel whose turn it is, as many as its budget grants. Writes its tokens too."""
    desk.tokens[channel] = min(max(way.rate, 1.0), desk.tokens[channel] + way.rate * ROUND_S)
    pending = desk.count[channel]
    granted = int(min(desk.tokens[channel], float(pending)))
    desk.tokens[channel] -= granted
    if granted == pending:
        for row in range(granted):
            rows[row] = row
        return granted
    for row in range(pending):
        cell = desk.pending[channel * skus + row]
        cost[row], since[row] = desk.cost[cell], desk.since[cell]
    return pick(cost, since, granted, pending, rows)


@leaf
def _publish(desk: _Desk, way: Way, channel: int, skus: int, now: int, rows: I64, count: int) -> None:
    """Send the chosen pending rows of a channel."""
    room = desk.flight_due.size
    for i in range(count):
        rows[i] = desk.pending[channel * skus + rows[i]]  # places move below, cells do not
    for i in range(count):
        cell, flight = rows[i], desk.ends[1] % room
        desk.told[cell] = desk.target[cell]
        desk.flying[cell] += 1
        desk.flight_due[flight], desk.flight_cell[flight] = now + 1 + way.lag, cell  # sent as the second ends
        desk.flight_units[flight] = desk.target[cell]
        desk.ends[1] += 1
        _drop(desk, cell, channel, skus)


@allocating_kernel
def _play(lines: _Lines, pool: _Pool, desk: _Desk, way: Way, seconds: int, prior: float, counts: I64) -> None:
    """Play all seconds. Writes pool, desk and counts [7], as in Outcome; pending is summed over time."""
    skus, channels = pool.stock.size, desk.count.size
    cost, since, rows = np.empty(skus), np.empty(skus), np.empty(skus, np.int64)
    line, restock = 0, 0
    for now in range(seconds):
        _land(desk, now)
        while restock < lines.restock_second.size and lines.restock_second[restock] == now:
            sku = lines.restock_sku[restock]
            pool.stock[sku] += lines.restock_units[restock]
            observe(pool.since_sale, sku, 0.0, 1, float(now), MEMORY_S)
            pool.velocity[sku] = velocity_at(pool.since_sale, sku, float(now), MEMORY_S, prior, PRIOR_S)
            _aim(pool, desk, way, sku, now)
            restock += 1
        while line < lines.second.size and lines.second[line] == now:
            sku, units = lines.sku[line], lines.units[line]
            counts[0] += units
            if _sell(pool, desk, lines.channel[line], sku, units, now, prior, counts):
                _aim(pool, desk, way, sku, now)
            line += 1
        for channel in range(channels):
            sent = _turn(desk, way, channel, skus, cost, since, rows)
            _publish(desk, way, channel, skus, now, rows, sent)
            counts[5] += sent
            counts[6] += desk.count[channel]


def play(world: World, way: Way) -> Outcome:
    """One run. The channels begin with figures that are up to date."""
    skus, channels = world.opening.size, world.channels
    cells = skus * channels
    most = channels * (world.second.size + world.restock_second.size + skus)  # updates there can be at all
    flights = min(most, int(min(channels * max(way.rate, 1.0) * (way.lag + 3), most))) + 1
    prior = float(world.units.sum()) / (skus * world.seconds)  # the average SKU: history tells it
    stock = world.opening.copy()
    watched = Sales(np.zeros(skus), np.zeros(skus), np.zeros(skus), (stock > 0).astype(np.uint8))
    pool = _Pool(stock, np.full(skus, prior), np.ones(channels), watched)
    desk = _Desk(
        *(np.zeros(cells, np.int64) for _ in range(4)), np.zeros(cells), np.zeros(cells), np.full(cells, -1),
        np.zeros(cells, np.int64), np.zeros(channels, np.int64), np.zeros(channels),
        *(np.zeros(flights, np.int64) for _ in range(3)), np.zeros(2, np.int64),
    )  # fmt: skip
    counts = np.zeros(len(Outcome._fields), np.int64)
    way = Way(int(way.policy), int(way.lag), float(way.rate), float(way.buffer_weight), float(way.lost_weight))
    _open(pool, desk, way)
    _play(_Lines(*world[:7]), pool, desk, way, world.seconds, prior, counts)
    counts[6] //= world.seconds
    return Outcome(*counts.tolist())


@kernel
def _open(pool: _Pool, desk: _Desk, way: Way) -> None:
    """Let every channel show what it should, at no cost. Writes desk."""
    skus, channels = pool.stock.size, desk.count.size
    for sku in range(skus):
        _aim(pool, desk, way, sku, 0)
        for channel in range(channels):
            cell = channel * skus + sku
            desk.told[cell] = desk.target[cell]
            desk.shown[cell] = desk.target[cell]
            if desk.place[cell] >= 0:
                _drop(desk, cell, channel, skus)
