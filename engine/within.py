"""Plans of least cost where nodes have limits on their day: capacity is priced like stock.

    fees of nodes, on orders and on units  ->  prices of stock at these  ->  plan  ->  kernels/within.py: within limits

At any fees of 0 or more, each order's least cost with the fees added, less the fees of all there is room for, bounds
every allocation from below (Lagrangian relaxation, as in kernels/pricing.py). Fees go up where a node takes too much
and down where it takes too little, by steps of their own that grow while the direction holds and shrink when it turns
(Riedmiller, Braun 1993, "RPROP"), so no scale is needed. Where most orders have one line, a part of the SKUs brings
them near.
"""

from typing import Any

import numpy as np

from engine.capacity import limited_nodes
from kernels.columns import Capacity
from kernels.moves import Units
from kernels.pricing import Costs
from kernels.within import exchange, move_out, save_within, ways_in, ways_out

ROUNDS_OF_FEES = 24
_FIRST_STEP = 0.5  # of the dearest shipment
_GROWS, _GROWS_TOGETHER, _SHRINKS = 1.2, 1.5, 0.5
_PASSES = 4  # through all orders, at most
_FEW = 4  # orders or units: a node with less left is full for many
_NOTHING = 1e-4  # of the limit: a node that is so near to it is as it should be
_ENOUGH = 1 << 40  # what is left where there is no limit
ORDERS, UNITS = 0, 1


def room_of(capacity: Capacity | None, nodes: int) -> Any:
    """int64 [node, 2]: orders and units that nodes can still take; None where none of them has a limit."""
    if capacity is None:
        return None
    room = np.where(limited_nodes(capacity)[:, None], np.clip(capacity.left, 0, _ENOUGH), _ENOUGH)[:nodes]
    return room if (room < _ENOUGH).any() else None


def with_fees(costs: Costs, fees: Any) -> Costs:
    """Costs with fees of nodes, float64 [node, 2], for each order and each unit."""
    return Costs(costs.shipment + fees[:, ORDERS], costs.unit + fees[:, UNITS], costs.short)


def taken(units: Units, nodes: int) -> Any:
    """int64 [node, 2] orders and units that stand at each node."""
    there = (units.at >= 0) & (units.at < nodes)
    at, order = units.at[there].astype(np.int64), units.order[there].astype(np.int64)
    pairs = np.unique(order * nodes + at) % nodes
    return np.stack([np.bincount(pairs, minlength=nodes), np.bincount(at, minlength=nodes)], axis=1)


class _Steps:
    """Steps for figures that each go up or down: longer while the direction holds, shorter when it turns."""

    def __init__(self, shape: tuple[int, ...], first: float, grows: float) -> None:
        self._grows = grows
        self._step = np.full(shape, first)
        self._sign = np.zeros(shape)

    def towards(self, sign: Any) -> Any:
        """The changes, for signs of the same shape."""
        turn = sign * self._sign
        self._step *= np.where(turn > 0, self._grows, np.where(turn < 0, _SHRINKS, 1.0))
        self._sign = np.where(sign != 0, sign, self._sign)
        return sign * self._step


class Fees:
    """Fees of nodes. They go up and down together by what the nodes take too much together, and each by how far it is
    from the others: what one node may not take goes to the next, so alone they would only follow each other."""

    def __init__(self, costs: Costs, room: Any) -> None:
        self.value = np.zeros(room.shape)
        self.room = room
        self._limited = room < _ENOUGH
        self._most = float(costs.short)
        self._best = self.value
        self._dearest = min(max(1.0, float(costs.shipment.max(initial=1.0))), max(1.0, costs.short / 4))
        self.begin(_FIRST_STEP, _FIRST_STEP)

    def begin(self, apart: float, together: float) -> None:
        """Begin with steps of so much of the dearest shipment."""
        self._own = _Steps(self.room.shape, apart * self._dearest, _GROWS)
        self._all = _Steps(self.room.shape[1:], together * self._dearest, _GROWS_TOGETHER)
        self._least = np.inf

    def end(self) -> None:
        """Take the fees at which what nodes took was nearest to what they may, each fee counted by itself."""
        self.value = self._best

    @property
    def paid(self) -> float:
        """The fees of all that there is room for."""
        return float((self.value * np.where(self._limited, self.room, 0)).sum())

    def move(self, took: Any, room: Any) -> bool:
        """One step, by what nodes took of what they have room for; whether there was any to make."""
        over = np.where(self._limited, took - room, 0.0)
        counts = self._limited & ((self.value > 0) | (over > 0))
        missed = float(((self.value + self._dearest) * np.abs(over) * counts).sum())
        if missed < self._least:
            self._least, self._best = missed, self.value
        room = np.where(counts, room, 0.0)
        ratio = (over * counts).sum(axis=0) / np.maximum(room.sum(axis=0), 1.0)
        apart = np.where(counts, over - ratio * room, 0.0)
        own = np.where(np.abs(apart) <= _NOTHING * room, 0.0, np.sign(apart))
        together = np.where(np.abs(ratio) <= _NOTHING, 0.0, np.sign(ratio))
        step = self._own.towards(own) + self._all.towards(together)
        self.value = np.clip(self.value + np.where(counts, step, 0.0), 0.0, self._most)
        return bool(own.any() or together.any())


def keep_within(units: Units, costs: Costs, priced: Costs, prices: Any, room: Any) -> None:
    """Bring a placing within the limits, then move what saves. priced: with the fees, prices: of stock, by which it is
    chosen what leaves."""
    nodes, units = costs.unit.shape[1], Units(*units)
    left = np.ascontiguousarray(room - taken(units, nodes))
    for node in np.flatnonzero((left < 0).any(axis=1)).tolist():
        orders = np.unique(units.order[units.at == node]).astype(np.int32)
        cost, size = np.empty(orders.size), np.empty(orders.size, np.int64)
        ways_out(units, priced, prices, orders, node, left, cost, size)
        relief = size if left[node, UNITS] < 0 else 1
        move_out(units, priced, prices, orders[np.argsort(cost / relief, kind="stable")], node, left)
    none = np.zeros_like(prices)
    for _ in range(_PASSES):
        change = save_within(units, costs, none, left)
        for node in np.flatnonzero((left < _FEW).any(axis=1)).tolist():
            change += _exchanged(units, costs, none, node, left)
        if change == 0.0:
            break


def _exchanged(units: Units, costs: Costs, none: Any, node: int, left: Any) -> float:
    """Let others have the place of orders at a node that is full, where that saves; the change of cost."""
    saved, came = np.empty(units.zone.size), np.empty(units.zone.size, np.int32)
    ways_in(units, costs, node, saved, came)
    comes: Any = np.flatnonzero(came >= 0)
    comes = comes[np.argsort(-saved[comes], kind="stable")].astype(np.int32)
    goes = np.unique(units.order[units.at == node]).astype(np.int32)
    cost, size = np.empty(goes.size), np.empty(goes.size, np.int64)
    ways_out(units, costs, none, goes, node, left, cost, size)
    turn = np.argsort(cost, kind="stable")
    return exchange(units, costs, none, comes, came[comes], saved[comes], goes[turn], cost[turn], node, left)
