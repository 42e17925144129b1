"""What days of orders would come to, day by day, upon claims that are thrown away: `allot plan` asks for it.

    orders of a day, as indices  ->  nearest, or a plan of least cost  ->  what nodes took, what waits, what is short

Every day nodes have all of their capacity again. Units that find none on their day wait, and are served on the next
days before the orders of these; they are late by so many days. Stock is spent and not filled up again. Orders with
terms of their own (`nodes_max`, `ship_complete`) do not wait. Nothing here is journaled, and no name is looked at.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from engine.costs import Model, ServiceCosts, Shipped
from engine.intake.job import plan_batch
from engine.intake.rate_card import kilometres
from engine.ragged import elements, grouped, offsets, owners
from engine.replanning import claim, some_orders
from engine.sourcing import draw, fitting, node_bits, planned, rehearsal
from engine.state import State
from kernels.columns import NO_NODE, NONE, UNITS_MAX, Batch, Capacity, Drawn, Head

CHUNK_ORDERS = 1 << 17  # are decided together
FEW_ORDERS = 1 << 12  # of those that wait: so many at least
ORDERS, UNITS = 0, 1  # of what nodes take
_ENOUGH = 1 << 40  # what is left where there is no limit


class TooMuchStock(ValueError):
    """A figure of stock would not fit."""


class Outlook:
    """What the days came to."""

    def __init__(self, days: int, nodes: int, codes: int) -> None:
        self.orders = self.shipments = self.split_orders = self.late_orders = 0
        self.late_units = self.late_unit_days = self.late_days_max = 0  # of units sent; days after their own
        self.waiting_orders = 0  # in the end
        self.late_to_ship = self.late_to_deliver = 0  # orders, by their own dates; of those with `Dates`
        self.stock_short = self.capacity_short = self.other_short = 0  # units
        self.uncarried_units = 0  # sent from where no service carries them: in the bill they are short
        self.bill: dict[str, float] = {}  # minor units, by fee; empty without a card
        self.ordered, self.sent, self.late = (np.zeros(days, np.int64) for _ in range(3))  # [day] units
        self.waiting, self.no_stock = (np.zeros(days, np.int64) for _ in range(2))  # [day] units; at the day's end
        self.taken = np.zeros((days, nodes, 2), np.int64)  # orders and units
        self.beside = np.zeros((days, nodes), np.int64)  # most units that an order of a shipment had beyond it
        self.units_to = np.zeros((codes, nodes), np.int64)  # sent, by postal code and node

    @property
    def units(self) -> int:
        """Ordered."""
        return int(self.ordered.sum())

    @property
    def short_units(self) -> int:
        """Ordered and not sent in the end."""
        return self.stock_short + self.capacity_short + self.other_short

    def peak(self) -> Any:
        """int64 [node, 2]: orders and units a day with which no order of these days would have found a node full."""
        units = self.taken[:, :, UNITS] + self.beside
        return np.stack([self.taken[:, :, ORDERS].max(axis=0, initial=0), units.max(axis=0, initial=0)], axis=1)


class Dates(NamedTuple):
    """When orders came and are wanted, int64 UTC us; for a model that knows when a shipment leaves and arrives."""

    begins: Any  # [day] when what waits is sent
    placed_at: Any  # [order]
    ship_by: Any  # [order] or ABSENT
    deliver_by: Any  # [order] or ABSENT


class _Asked(NamedTuple):
    """Orders, or what is left of them, in their turn. Lines of one order stand side by side."""

    order: Any  # int64 [order] place in the history
    day: Any  # int32 [order] on which it was placed
    sent: Any  # int32 [order] shipments so far
    is_late: Any  # bool [order] whether units went on a later day
    missed: Any  # bool [order, 2] whether any left after its `ship_by`, arrives after its `deliver_by`
    first_line: Any  # int64 [order + 1]
    line: Any  # int64 [line] place in the history
    units: Any  # int32 [line] still wanted

    def take(self, rows: Any) -> "_Asked":
        """Some of the orders, in a turn of their own."""
        lines = elements(self.first_line, rows)
        return _Asked(
            self.order[rows], self.day[rows], self.sent[rows], self.is_late[rows], self.missed[rows],
            offsets(np.diff(self.first_line)[rows]), self.line[lines], self.units[lines],
        )  # fmt: skip

    def have(self, lines: Any) -> Any:
        """bool [order]: which have any of some lines, bool [line]."""
        every: Any = np.empty(0, bool)
        return np.bitwise_or.reduceat(lines, self.first_line[:-1]) if self.order.size else every


def _joined(pieces: list[_Asked]) -> _Asked:
    if len(pieces) == 1:
        return pieces[0]
    first_line = offsets(np.concatenate([np.diff(piece.first_line) for piece in pieces]))
    joined = [np.concatenate(column) for column in zip(*pieces, strict=True)]
    return _Asked(*joined)._replace(first_line=first_line)


def with_stock(state: State, times: int, of: int) -> State:
    """The state with claims of its own, and times/of as much stock: of each SKU that many units, rounded down, shared
    out as they were. Raises TooMuchStock.
    """
    out, rows, nodes = rehearsal(state), state.head(Head.CELL_ROWS), state.node_count
    so_far = np.cumsum(state.cells.available[:rows, :nodes], axis=1, dtype=np.int64) * times // of
    units = np.diff(so_far, axis=1, prepend=0)
    if units.max(initial=0) > UNITS_MAX:
        raise TooMuchStock(f"{units.max():,} units of one SKU at one node: at most {UNITS_MAX:,} can be held")
    out.cells.available[:rows, :nodes] = units
    bits = np.zeros((rows, 64 * out.cells.stocked.shape[1]), bool)
    bits[:, :nodes] = units > 0
    out.cells.stocked[:rows] = np.packbits(bits, axis=1, bitorder="little").view(np.uint64)
    return out


def without_limits(state: State) -> State:
    """The state with nodes that may take anything."""
    no_limit = np.full_like(state.capacity.left, _ENOUGH)
    state.capacity = Capacity(np.zeros_like(state.capacity.limited), no_limit)
    return state


def look_ahead(
    state: State, history: Batch, orders_of: Callable[[int], Any], days: int, model: Model | None, dates: Dates | None,
    by_cost: bool, advance: Callable[[int], None],
) -> Outlook:  # fmt: skip
    """Replay days over a state, whose claims are taken (`with_stock`).

    history: all orders, by the state's indices; orders_of: for a day, int64 [n], the places in it of the day's orders
    in their turn, repeated ones too; model: of the whole history, which is what `by_cost` decides by; dates: where a
    service card says when shipments go; advance: called with the orders of each step. Raises TooManyUnits, TooManyRows
    (by_cost).
    """
    run = _Run(state, history, days, model, dates, by_cost, advance)
    for day in range(days):
        run.work(day, orders_of(day))
    return run.end()


class _Run:
    """One replay under way."""

    def __init__(
        self, state: State, history: Batch, days: int, model: Model | None, dates: Dates | None, by_cost: bool,
        advance: Callable[[int], None],
    ) -> None:  # fmt: skip
        codes, nodes = int(history.postal_code.max(initial=-1)) + 1, state.node_count
        self._state, self._history, self._model, self._by_cost = state, history, model, by_cost
        self._dates, self._advance = dates, advance
        self._fresh = state.capacity.left.copy()
        bits = np.unpackbits(state.capacity.limited.view(np.uint8), bitorder="little")[:nodes] != 0
        self._limited = np.flatnonzero(bits)
        self._has_terms = (history.nodes_max > 0) | (history.complete != 0)
        self._day = 0
        self._queue: list[_Asked] = []  # what waits, first come first; between two days one piece
        self._out = Outlook(days, nodes, codes)

    def work(self, day: int, orders: Any) -> None:
        """One day: what waits, then the day's orders."""
        self._day = day
        self._state.capacity.left[:] = self._fresh
        waiting, self._queue = self._queue, []
        if waiting:
            self._serve_waiting(waiting[0])
        quantity, first_line = self._history.quantity, self._history.first_line
        for first in range(0, orders.size, CHUNK_ORDERS):
            some = orders[first : first + CHUNK_ORDERS]
            lines, zeros = elements(first_line, some), np.zeros(some.size, np.int32)
            asked = _Asked(
                some, zeros + day, zeros, zeros != 0, np.zeros((some.size, 2), bool),
                offsets((first_line[1:] - first_line[:-1])[some]), lines, quantity[lines],
            )  # fmt: skip
            self._out.orders += some.size
            self._out.ordered[day] += asked.units.sum(dtype=np.int64)
            self._queue.append(self._serve(asked)[1])
            self._advance(some.size)
        rest = self._without_hopeless(_joined(self._queue)) if self._queue else None
        self._queue = [rest] if rest is not None and rest.order.size else []
        self._out.waiting[day] = sum(int(asked.units.sum(dtype=np.int64)) for asked in self._queue)

    def end(self) -> Outlook:
        """Nothing more comes: what waits is short, for capacity as far as there is stock."""
        out = self._out
        for rest in self._queue:
            wanted = np.bincount(self._history.sku[rest.line], rest.units)
            units, has = int(wanted.sum()), np.minimum(wanted, self._left(np.arange(wanted.size))).sum()
            out.capacity_short += int(has)
            out.stock_short += units - int(has)
            out.waiting_orders = rest.order.size
            out.late_orders += int((~rest.is_late).sum())
            self._bill_short(units)
        return out

    def _bill_short(self, units: int) -> None:
        if self._model is not None:
            fees = self._out.bill
            fees["shortage_penalty"] = fees.get("shortage_penalty", 0.0) + units * self._model.short

    def _left(self, sku: Any) -> Any:
        """int64 [n]: units of SKUs at all nodes."""
        row = self._state.cells.row_of[sku]
        left = self._state.cells.available[row, : self._state.node_count].sum(axis=1, dtype=np.int64)
        return np.where(row == NONE, 0, left)

    def _without_hopeless(self, waiting: _Asked) -> _Asked:
        """What waits without the orders of which no node with a limit has units any more: these are short. An order of
        which one line may come waits whole, as in the engine."""
        kept = self._may_get(waiting, self._limited)
        if kept.all():
            return waiting
        left = waiting.take(np.flatnonzero(kept))
        self._short(int(waiting.units.sum(dtype=np.int64) - left.units.sum(dtype=np.int64)))
        return left

    def _short(self, units: int) -> None:
        """So many units are short for stock, for good."""
        self._out.stock_short += units
        self._out.no_stock[self._day] += units
        self._bill_short(units)

    def _serve_waiting(self, waiting: _Asked) -> None:
        """In their turn, as many at once as nodes have room for. An order is left as it is where no node that has room
        has units of it: of stock and room there will only be less today.
        """
        turn, served = np.arange(waiting.order.size), []
        while turn.size:
            left = np.maximum(self._state.capacity.left[self._limited].min(axis=1), 0)
            turn = turn[self._may_get(waiting, self._limited[left > 0])[turn]]
            count = max(FEW_ORDERS, min(int(left.sum()), CHUNK_ORDERS))
            some, turn = turn[:count], turn[count:]
            if some.size:
                served.append((some, *self._serve(waiting.take(some))))
        rest = np.ones(waiting.order.size, bool)
        for some, _, _ in served:
            rest[some] = False
        rows = [np.flatnonzero(rest), *(some[at] for some, at, _ in served)]
        pieces = [waiting.take(rows[0]), *(its for _, _, its in served)]
        self._queue.append(_joined(pieces).take(np.argsort(np.concatenate(rows), kind="stable")))

    def _may_get(self, waiting: _Asked, nodes: Any) -> Any:
        """bool [order]: whether any of these nodes has units of what is wanted."""
        cells, rows = self._state.cells, self._state.head(Head.CELL_ROWS)
        has = np.zeros(rows + 1, bool)  # the last one is that of SKUs without a row, NONE
        has[:-1] = (cells.stocked[:rows] & node_bits(0, nodes, 1)[0, : cells.stocked.shape[1]]).any(axis=1)
        return waiting.have(has[cells.row_of[self._history.sku[waiting.line]]])

    def _serve(self, asked: _Asked) -> tuple[Any, _Asked]:
        """Decide orders; what of them waits, and their places among these."""
        history, order = self._history, asked.order
        batch = Batch(
            history.channel[order], history.postal_code[order], asked.first_line, history.sku[asked.line], asked.units,
            history.nodes_max[order], history.complete[order],
        )  # fmt: skip
        model = None if self._model is None else self._model.of(order, asked.line)
        left = []
        for rows, drawn in self._decided(batch, model):
            whole = rows.size == order.size
            some, its = (batch, asked) if whole else (some_orders(batch, rows), asked.take(rows))
            lines = elements(batch.first_line, rows)
            its = self._send(some, its, drawn, None if model is None else model.of(rows, lines))
            left.append((rows, self._wait(some, its, drawn)))
        places = np.concatenate([rows[at] for rows, (at, _) in left])
        waits = _joined([its for _, (_, its) in left])
        if len(left) == 1:
            return places, waits
        turn = np.argsort(places)
        return places[turn], waits.take(turn)

    def _decided(self, batch: Batch, model: Model | None) -> Iterator[tuple[Any, Drawn]]:
        """Orders of the batch, and what they drew. Claims are taken."""
        state, every = self._state, np.arange(batch.channel.size)
        if not self._by_cost:
            yield every, draw(state, batch)
            return
        assert model is not None
        parts = plan_batch(state, batch, model, every, np.arange(batch.sku.size)).parts
        fits = fitting(state, batch, parts)
        rows, rest = np.flatnonzero(fits), np.flatnonzero(~fits)
        if rows.size:
            drawn = planned(state, some_orders(batch, rows), parts.take(elements(batch.first_line, rows)))
            claim(state, batch, parts, fits)
            yield rows, drawn
        if rest.size:
            yield rest, draw(state, some_orders(batch, rest))

    def _send(self, batch: Batch, asked: _Asked, drawn: Drawn, model: Model | None) -> _Asked:
        """Count what goes; the same orders with the shipments that they have now."""
        out, day, nodes = self._out, self._day, self._state.node_count
        line = owners(offsets(drawn.part_count))
        given = np.flatnonzero(drawn.node != NO_NODE)
        line, node, units = line[given], drawn.node[given].astype(np.int64), drawn.quantity[given].astype(np.int64)
        order = owners(batch.first_line)[line]
        first, of = _shipments(order * nodes + node)
        order, node = order[first], node[first]
        size = np.bincount(of, units, first.size).astype(np.int64)
        out.taken[day, :, ORDERS] += np.bincount(node, minlength=nodes)
        out.taken[day, :, UNITS] += np.bincount(node, size, nodes).astype(np.int64)
        wanted = np.bincount(owners(batch.first_line), batch.quantity, asked.order.size).astype(np.int64)
        np.maximum.at(out.beside[day], node, wanted[order] - size)
        np.add.at(out.units_to, (batch.postal_code[order], node), size)
        shipments = np.bincount(order, minlength=asked.order.size)
        sent = asked.sent + shipments.astype(np.int32)
        out.shipments += order.size
        out.split_orders += int(((sent > 1) & (asked.sent <= 1)).sum())
        out.sent[day] += size.sum()
        late = day - asked.day[order]
        out.late_units += int(size[late > 0].sum())
        out.late[day] += size[late > 0].sum()
        out.late_unit_days += int((size * late).sum())
        out.late_days_max = max(out.late_days_max, int(late.max(initial=0)))
        is_late = asked.is_late | ((shipments > 0) & (asked.day < day))
        out.late_orders += int(is_late.sum()) - int(asked.is_late.sum())
        if model is not None:
            grams = np.zeros(first.size, np.int64)
            if model.grams is not None:
                np.add.at(grams, of, units * model.grams[line])
            shipped = Shipped(order, node, size, grams, self._kilometres(batch, order, node))
            self._bill(model, batch, shipped, asked)
            self._miss(model, shipped, asked)
        return asked._replace(sent=sent, is_late=is_late)

    def _kilometres(self, batch: Batch, order: Any, node: Any) -> Any:
        places, at, code = self._state.postal_codes, self._state.nodes, batch.postal_code[order]
        degrees = (places.latitude_e7[code], places.longitude_e7[code], at.latitude_e7[node], at.longitude_e7[node])
        return kilometres(*(figure / 1e7 for figure in degrees))

    def _bill(self, model: Model, batch: Batch, shipped: Shipped, asked: _Asked) -> None:
        fees = model.bill(shipped, 0)
        if isinstance(model, ServiceCosts):
            carried = model.carried(shipped)
            self._out.uncarried_units += int(shipped.units[~carried].sum())
            again = np.unique(shipped.order[carried & (asked.sent[shipped.order] > 0)])
            fees["split_penalty"] += again.size * model.card.split_penalty  # the first shipment went on another day
        for fee, amount in fees.items():
            self._out.bill[fee] = self._out.bill.get(fee, 0.0) + amount

    def _miss(self, model: Model, shipped: Shipped, asked: _Asked) -> None:
        """Count the orders that are late by their own dates, each once."""
        if self._dates is None or not isinstance(model, ServiceCosts):
            return
        dates, before = self._dates, asked.missed.sum(axis=0)
        came = np.where(asked.day < self._day, dates.begins[self._day], dates.placed_at[asked.order])
        for kind, late in enumerate(
            model.late_orders(shipped, came, dates.ship_by[asked.order], dates.deliver_by[asked.order])
        ):
            asked.missed[late, kind] = True
        to_ship, to_deliver = (asked.missed.sum(axis=0) - before).tolist()
        self._out.late_to_ship += to_ship
        self._out.late_to_deliver += to_deliver

    def _wait(self, batch: Batch, asked: _Asked, drawn: Drawn) -> tuple[Any, _Asked]:
        """What of the orders waits, and their places among these: orders that miss units which a full node has. What
        else was not given is short."""
        state, short = self._state, np.flatnonzero(drawn.node == NO_NODE)
        line, units = owners(offsets(drawn.part_count))[short], drawn.quantity[short]
        order, row = owners(batch.first_line)[line], state.cells.row_of[batch.sku[line]]
        words = drawn.full.shape[1]
        at_full = (drawn.full[order] & np.where((row == NONE)[:, None], 0, state.cells.stocked[row, :words])).any(
            axis=1
        )
        has_full = np.zeros(asked.order.size, bool)
        has_full[order[at_full]] = True
        waits = (has_full & ~self._has_terms[asked.order])[order]
        has = self._left(batch.sku[line]) > 0
        lost, other = int(units[at_full & ~waits].sum()), int(units[~at_full & ~waits & has].sum())
        self._short(int(units[~at_full & ~waits & ~has].sum()))
        self._out.capacity_short += lost
        self._out.other_short += other
        self._bill_short(lost + other)
        stays, count = np.unique(order[waits], return_counts=True)
        its = _Asked(
            asked.order[stays], asked.day[stays], asked.sent[stays], asked.is_late[stays], asked.missed[stays],
            offsets(count), asked.line[line[waits]], units[waits],
        )  # fmt: skip
        return stays, its


def _shipments(keys: Any) -> tuple[Any, Any]:
    """The first part of each shipment, and the shipment of each part. keys: of order and node; parts of one order stand
    side by side.

    Most orders have one part, or all of them at one node: then nothing has to be sorted.
    """
    if keys.size == 0 or (keys[1:] > keys[:-1]).all():
        every = np.arange(keys.size)
        return every, every
    _, first, of = grouped(keys)
    return first, of
