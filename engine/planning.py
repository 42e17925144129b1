"""Least cost over a whole batch: prices of stock, a plan that keeps to the stock, and a bound that says how good it is.

    demand, costs, stock  ->  kernels/pricing.py: prices, bound  ->  kernels/repair.py: a node for every unit  ->  Plan

Prices are advice: they may come from an earlier plan, and nothing rests on them but quality. What is planned is decided
when the engine commits it (engine/decide.py).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from engine.commands import Parts
from engine.ragged import grouped, offsets, owned, owners
from engine.within import ORDERS, ROUNDS_OF_FEES, Fees, keep_within, room_of, taken, with_fees
from kernels.alone import compare_alone
from kernels.columns import NO_NODE, Capacity
from kernels.moves import MOVED_UNITS_MAX, WINDOW, Units, WeighedUnits
from kernels.pricing import PIECE_LINES_MAX, Costs, Orders, bound, raise_prices
from kernels.repair import place_again, place_by_price, place_rest, place_singles, save_by_chains, swap
from kernels.ruin import ruin
from kernels.within import share_singles

UNITS_MAX = 1 << 23  # of one plan
ROUNDS_OF_PRICES = 8  # for SKUs of orders of several lines; those of single lines are exact after one
SAMPLED_LINES = 8_000  # from twice as many on, so many find the fees of nodes before all do
LINES_OF_SAMPLED = 1.3  # of an order, on average: a part of the SKUs would show too little of larger ones
ROUNDS_AFTER_SAMPLE, STEPS_AFTER_SAMPLE = 16, (0.03, 0.1)
ROUNDS_OF_PLACING, STEPS_OF_PLACING = 12, (0.1, 0.2)
LARGER_UNITS = 0.1  # of all: where fewer are of orders of several, these hardly change the fees
ROUNDS_OF_MOVES = 6  # at most; fewer where a round saves less than
ROUNDS_OF_SWAPS = 2  # the dear ones: later they find little
SAVING_MIN = 5e-5  # of the cost
CHAINED_UNITS_MAX = 4096  # of a SKU: more are left as they were placed, the time grows with their square
CHAIN_LOOKS_MAX = 100_000_000  # at units, if every unit of a SKU began a chain; few do
LOOKS_MAX = 8_000_000  # at units, by the orders that one round takes out: about a second
SWAP_LOOKS_MAX = 500_000  # likewise, of a round of swaps, each of which looks several times
TRIES_OF_ONE = 64  # to ruin and recreate groups, for each order of several units
TRIES_MAX = 6_000  # of one plan: a quarter of a second
RUIN_LOOKS_MAX = 20_000_000  # at units
BLUR = 0.5  # of the mean cost of a unit

Watch = Callable[[str, float], None]  # told "bound" or "cost" with its figure, after each round


class Demand(NamedTuple):
    """Orders to be filled. Lines of an order are [first_line[o], first_line[o + 1]); each wants 1 unit or more."""

    first_line: Any  # int64 [order + 1]
    zone: Any  # int32 [order] row of the costs of its lightest shipments; the rows of heavier ones follow
    sku: Any  # int32 [line] row of the stock
    quantity: Any  # int32 [line]
    grams: Any = None  # int64 [line] of a unit; None: the weight does not matter
    ends: Any = None  # int64 [step] weights up to which rows of an order hold, ascending; the last one is above all
    rate: Any = None  # int32 [line] row of the costs of a unit as a shipment; None: that of its order and weight


@dataclass(frozen=True)
class Plan:
    """Where the units of a demand come from."""

    parts: Parts  # of each line, in the order of nodes; the short ones last
    cost: float
    bound: float  # no allocation costs less
    prices: Any  # float64 [sku, node] of a unit of stock
    spared: int  # units that are short though there is stock: to ship them would cost more

    @property
    def gap(self) -> float:
        """How much more it costs than the least can be, at most: a share of the bound."""
        return self.cost / self.bound - 1 if self.bound > 0 else 0.0


class TooManyUnits(ValueError):
    """The demand is larger than one plan takes."""


class Under(NamedTuple):
    """Costs of a demand that are nowhere above the true ones. Orders whose lines have grams above 0 have
    PIECE_LINES_MAX units at most.
    """

    costs: Costs  # of units
    zone: Any  # int32 [order] row of the fees
    rate: Any  # int32 [line] row of the costs
    fees: Any  # float64 [row, node] of shipments
    grams: Any  # int64 [line] of a unit; 0: the weight does not matter
    ends: Any  # int64 [step] weights up to which rows of fees hold, from an order's first row on; the last is above all


def _unwatched(what: str, figure: float) -> None:
    pass


def plan(
    demand: Demand, costs: Costs, stock: Any, prices: Any = None, watch: Watch = _unwatched,
    under: Under | None = None, capacity: Capacity | None = None,
) -> Plan:  # fmt: skip
    """The cheapest plan that is found. stock: int32 [sku, node], what may be taken; prices: to begin from; under: what
    the bound is worked out by, where `costs` are not the true ones (engine/costs.py); capacity: what nodes may take, in
    orders and units, where there are limits (engine/within.py).

    The same demand gets the same plan. Raises TooManyUnits.
    """
    total = int(demand.quantity.sum(dtype=np.int64))
    if total > UNITS_MAX:
        raise TooManyUnits(f"{total:,} units: a plan takes {UNITS_MAX:,} at most")
    stock = np.ascontiguousarray(stock, np.int32)
    prices = np.zeros(stock.shape) if prices is None else np.array(prices, np.float64, order="C")
    merged, in_turn, kept = _merged(demand)
    room, there = room_of(capacity, stock.shape[1]), stock
    if room is not None:
        stock = np.where((room > 0).all(axis=1), stock, 0)  # a node that can take nothing has nothing
    units = _units(merged, stock)
    true = _true(demand, costs, under)
    if room is None:
        least = _priced(_orders(merged, stock.shape[0], true, kept), true.costs, stock, prices, watch)
        cost = _placed(units, costs, prices, watch)
    else:
        least, fees = _priced_within(merged, costs, _at(true, kept), stock, prices, room, watch)
        priced = with_fees(costs, fees.value)
        _placed(units, priced, prices, _unwatched)
        keep_within(units, costs, priced, prices, room)
    line = np.repeat(in_turn, demand.quantity[in_turn])
    parts = together(line, units.at, np.ones_like(line), demand.sku.size, stock.shape[1])
    parts = replace(parts, extra_cost=extra_cost(demand, costs, there, parts))
    if room is not None:
        cost = cost_of(demand, costs, parts)
        watch("cost", cost)
    wanted = np.bincount(demand.sku, demand.quantity, stock.shape[0])
    missing = int(np.maximum(0, wanted - stock.sum(1, dtype=np.int64)).sum())
    short = int(parts.quantity[parts.node == NO_NODE].sum(dtype=np.int64))
    return Plan(parts, cost, least, prices, short - missing)


def _merged(demand: Demand) -> tuple[Demand, Any, Any]:
    """Lines of an order with equal SKUs as one; the demand's lines in the order of those; the first line of each."""
    order = owners(demand.first_line)
    keys = order * (int(demand.sku.max(initial=0)) + 1) + demand.sku
    _, first, of_key = grouped(keys)
    kept, in_turn = np.sort(first), np.argsort(first[of_key], kind="stable")
    quantity = np.bincount(first[of_key], demand.quantity, demand.sku.size)[kept]
    lines = np.bincount(order[kept], minlength=demand.zone.size)
    grams = None if demand.grams is None else demand.grams[kept]
    units = quantity.astype(np.int32)
    rate = None if demand.rate is None else demand.rate[kept]
    return Demand(offsets(lines), demand.zone, demand.sku[kept], units, grams, demand.ends, rate), in_turn, kept


def _weights(demand: Demand) -> tuple[Any, Any]:
    """int64 [line], [step]: grams and ends; where the weight does not matter, 0 and one that is above all."""
    if demand.grams is None:
        return np.zeros(demand.sku.size, np.int64), np.full(1, np.iinfo(np.int64).max)
    return demand.grams, demand.ends


def cost_rows(demand: Demand, line: Any, units: Any) -> Any:
    """int64 [n]: the row of the costs for so many units of a line as a shipment."""
    grams, ends = _weights(demand)
    return demand.zone[owners(demand.first_line)[line]] + np.searchsorted(ends, grams[line] * units)


def _rates(demand: Demand) -> Any:
    """The row of the costs for a unit of each line as a shipment."""
    return cost_rows(demand, np.arange(demand.sku.size), 1) if demand.rate is None else demand.rate


def _true(demand: Demand, costs: Costs, under: Under | None) -> Under:
    """What the bound goes by: the costs themselves, if nothing else is given."""
    if under is not None:
        return under
    grams, ends = _weights(demand)
    return Under(costs, demand.zone, _rates(demand), costs.shipment, grams, ends)


def _orders(demand: Demand, skus: int, under: Under, kept: Any) -> Orders:
    """The demand for pricing: long orders in pieces, those by weight in units. kept: the line of `under` for each."""
    first_line, grams = demand.first_line, under.grams[kept]
    times = np.where(grams > 0, demand.quantity, 1)
    if times.max(initial=1) > 1:
        line = np.repeat(np.arange(times.size), times)
        first_line = np.append(0, np.cumsum(times))[first_line]
    else:
        line = np.arange(times.size)
    quantity = np.where(grams > 0, 1, demand.quantity)[line].astype(np.int32)
    sku, rate = demand.sku[line], np.ascontiguousarray(under.rate[kept][line], np.int32)
    pieces = -(-np.diff(first_line) // PIECE_LINES_MAX)  # of each order
    order = np.repeat(np.arange(pieces.size), pieces)
    place = np.arange(order.size) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    first = np.append(first_line[order] + place * PIECE_LINES_MAX, first_line[-1]).astype(np.int32)
    return Orders(
        first, np.ascontiguousarray(under.zone[order], np.int32), 1.0 / pieces[order], rate, grams[line], sku, quantity,
        owners(first).astype(np.int32), np.lexsort((rate, under.zone[order][owners(first)], sku)).astype(np.int32),
        offsets(np.bincount(sku, minlength=skus)).astype(np.int32), under.fees, under.ends,
    )  # fmt: skip


def _at(under: Under, lines: Any) -> Under:
    """The same of some lines."""
    return under._replace(rate=under.rate[lines], grams=under.grams[lines])


def _priced(orders: Orders, costs: Costs, stock: Any, prices: Any, watch: Watch) -> float:
    """Raise prices round by round; the best bound."""
    best = 0.0
    several = np.unique(orders.sku[(np.diff(orders.first) > 1)[orders.piece]])
    for skus in [np.unique(orders.sku)] + [several] * (ROUNDS_OF_PRICES - 1 if several.size else 0):
        raise_prices(orders, costs, stock, skus, prices)
        best = max(best, bound(orders, costs, prices, stock))
        watch("bound", best)
    return best


def _priced_within(
    demand: Demand, costs: Costs, true: Under, stock: Any, prices: Any, room: Any, watch: Watch
) -> tuple[float, Fees]:  # fmt: skip
    """Fees of nodes and prices at these; the best bound. Where most orders have one line, a part of the SKUs goes
    first."""
    fees, rounds = Fees(costs, room), ROUNDS_OF_FEES
    if demand.sku.size >= 2 * SAMPLED_LINES and demand.sku.size <= LINES_OF_SAMPLED * demand.zone.size:
        some, lines, share = _sampled(demand)
        of = _at(true, lines)._replace(zone=true.zone[np.unique(owners(demand.first_line)[lines])])
        for _ in _rounds_of_fees(some, costs, of, stock, prices, room * share, fees, ROUNDS_OF_FEES):
            pass
        fees.begin(*STEPS_AFTER_SAMPLE)
        rounds = ROUNDS_AFTER_SAMPLE
    orders, best = _orders(demand, stock.shape[0], true, np.arange(demand.sku.size)), 0.0
    for placing in (False, True) if _has_larger(demand) else (False,):
        if placing:
            fees.begin(*STEPS_OF_PLACING)
        some_rounds = ROUNDS_OF_PLACING if placing else rounds
        for priced in _rounds_of_fees(demand, costs, true, stock, prices, room, fees, some_rounds, placing):
            best = max(best, bound(orders._replace(fees=priced.fees), priced.costs, prices, stock) - fees.paid)
            watch("bound", best)
    fees.end()
    priced = _with_fees(true, fees.value)
    orders = orders._replace(fees=priced.fees)
    return max(best, _priced(orders, priced.costs, stock, prices, _unwatched) - fees.paid), fees


def _with_fees(under: Under, fees: Any) -> Under:
    return under._replace(costs=with_fees(under.costs, fees), fees=under.fees + fees[:, ORDERS])


def _has_larger(demand: Demand) -> bool:
    """Whether a tenth of the units or more are of orders of several."""
    units = np.add.reduceat(demand.quantity, demand.first_line[:-1]) if demand.zone.size else demand.quantity
    return bool(units[units > 1].sum() > LARGER_UNITS * units.sum())


def _sampled(demand: Demand) -> tuple[Demand, Any, Any]:
    """The demand for some SKUs, of about SAMPLED_LINES lines; which lines; which part of all orders and units."""
    lines = np.flatnonzero(demand.sku % (demand.sku.size // SAMPLED_LINES) == 0)
    orders, count = np.unique(owners(demand.first_line)[lines], return_counts=True)
    grams, rate = (None if column is None else column[lines] for column in (demand.grams, demand.rate))
    some = Demand(
        offsets(count), demand.zone[orders], demand.sku[lines], demand.quantity[lines], grams, demand.ends, rate
    )
    return some, lines, np.array([orders.size / demand.zone.size, some.quantity.sum() / demand.quantity.sum()])


def _rounds_of_fees(
    demand: Demand, costs: Costs, true: Under, stock: Any, prices: Any, room: Any, fees: Fees, rounds: int,
    placing: bool = False,
) -> Iterator[Under]:  # fmt: skip
    """Round by round the true costs with fees, when prices have been raised to them; the fees move before the next, by
    what orders would take that may share shipments (what the bound counts with), or, placing, by what whole ones do."""
    orders, units = _orders(demand, stock.shape[0], true, np.arange(demand.sku.size)), _units(demand, stock)
    skus, nodes = np.unique(demand.sku), stock.shape[1]
    sizes = np.diff(units.first if placing else demand.first_line)
    several = np.flatnonzero(sizes > 1).astype(np.int32)
    for _ in range(rounds):
        least, priced = _with_fees(true, fees.value), with_fees(costs, fees.value)
        raise_prices(orders._replace(fees=least.fees), least.costs, stock, skus, prices)
        yield least
        units.at[:], units.room[:] = -1, stock
        place_by_price(units, priced, prices, several)
        if placing:
            place_singles(units, priced, prices)
        took = taken(units, nodes).astype(np.float64)
        if not placing:
            share_singles(Units(*units), priced, prices, took)
        if not fees.move(took, room):
            return


def _units(demand: Demand, stock: Any) -> Units:
    order_of_line = owners(demand.first_line)
    order = np.repeat(order_of_line, demand.quantity).astype(np.int32)
    sku = np.repeat(demand.sku, demand.quantity).astype(np.int32)
    line_grams, ends = _weights(demand)
    rate = np.repeat(_rates(demand), demand.quantity).astype(np.int32)
    count = np.bincount(order, minlength=demand.zone.size)
    kind = Units if demand.grams is None else WeighedUnits
    return kind(
        offsets(count).astype(np.int32), np.ascontiguousarray(demand.zone, np.int32), rate, order, sku,
        np.repeat(line_grams, demand.quantity), ends, np.lexsort((rate, sku)).astype(np.int32),
        offsets(np.bincount(sku, minlength=stock.shape[0])).astype(np.int32),
        np.full(order.size, -1, np.int32), stock.copy(), np.ones(1, np.int64), np.ones(stock.shape[0], np.int64),
        np.zeros(stock.shape[0], np.int64), np.zeros(demand.zone.size, np.int64),
    )  # fmt: skip


def _placed(units: Units, costs: Costs, prices: Any, watch: Watch) -> float:
    """Place all units and move them while that saves; the cost."""
    count = np.diff(units.first)
    several = np.flatnonzero(count > 1).astype(np.int32)
    cost = place_by_price(units, costs, prices, several) + place_singles(units, costs, prices)
    watch("cost", cost)
    size = np.diff(units.sku_first)  # of each SKU, in units
    paths = costs.unit.shape[1] ** 3 >> 10  # what the search for room costs, in looks
    looks = np.bincount(units.order, size[units.sku] + paths, count.size)[several]
    moved = several[_cheapest(looks, LOOKS_MAX)]
    swapped = several[_cheapest(looks, SWAP_LOOKS_MAX) & (count[several] <= WINDOW)]
    chained = np.unique(units.sku[np.isin(units.order, several)])
    chained = chained[size[chained] <= CHAINED_UNITS_MAX]
    chained = chained[_cheapest(size[chained] * (size[chained] + paths), CHAIN_LOOKS_MAX)].astype(np.int32)
    for done in range(ROUNDS_OF_MOVES):
        change = save_by_chains(units, costs, chained) + place_again(units, costs, moved)
        if done < ROUNDS_OF_SWAPS:
            change += swap(units, costs, prices, swapped)
        cost += change
        watch("cost", cost)
        if -change < SAVING_MIN * cost:
            break
    is_large = count[several] > MOVED_UNITS_MAX
    if is_large.any():
        cost += place_rest(units, costs, several[is_large])
    tried = several[~is_large]
    if 2 * count[tried].sum() > units.at.size:  # else chains have found what there was
        tries = min(TRIES_OF_ONE * tried.size, TRIES_MAX)
        cost += ruin(units, costs, tried, tries, RUIN_LOOKS_MAX, BLUR * cost / units.at.size)
        watch("cost", cost)
    return cost


def _cheapest(looks: Any, most: float) -> Any:
    """Which orders come first, by what one look at each costs, until they cost the most together."""
    turn = np.argsort(looks, kind="stable")
    is_cheap = np.empty(looks.size, bool)
    is_cheap[turn] = looks[turn].cumsum() <= most
    return is_cheap


def together(line: Any, node: Any, units: Any, lines: int, nodes: int) -> Parts:
    """Units of a line at one node as one part, in the order of nodes; node `nodes` is short."""
    keys, _, of = grouped(line * np.int64(nodes + 1) + node)
    at = (keys % (nodes + 1)).astype(np.int16)
    at[at == nodes] = NO_NODE
    part_count = np.bincount(keys // (nodes + 1), minlength=lines).astype(np.int32)
    return Parts(part_count, at, np.bincount(of, units, keys.size).astype(np.int32))


def cost_of(demand: Demand, costs: Costs, parts: Parts) -> float:
    """What parts cost together: shipments, units, what is short."""
    order, line = owners(demand.first_line), owners(offsets(parts.part_count))
    given, nodes = parts.node != NO_NODE, costs.unit.shape[1]
    line, node, units = line[given], parts.node[given], parts.quantity[given]
    shipment, _, of = grouped(order[line].astype(np.int64) * nodes + node)
    line_grams, ends = _weights(demand)
    step = np.searchsorted(ends, np.bincount(of, units * line_grams[line], shipment.size))
    shipped = costs.shipment[demand.zone[shipment // nodes] + step, shipment % nodes].sum()
    short = parts.quantity[~given].sum(dtype=np.int64)
    return float(shipped + (units * costs.unit[_rates(demand)[line], node]).sum() + short * costs.short)


def extra_cost(demand: Demand, costs: Costs, stock: Any, parts: Parts) -> Any:
    """int64 [line], 0 or more: what the units of a line cost more at their nodes than all from the cheapest one that
    has any of the SKU, as if the line were alone: each of its parts a shipment, nobody else wanting the stock. What is
    short costs nothing here. Rounded to whole units of the costs.
    """
    grams, ends = _weights(demand)
    row = demand.zone[owners(demand.first_line)].astype(np.int64)
    extra = np.empty(demand.sku.size, np.int64)
    compare_alone(
        parts.part_count, parts.node, parts.quantity, row, owned(grams), owned(ends), owned(demand.sku), costs,
        np.ascontiguousarray(stock, np.int32), extra,
    )  # fmt: skip
    return extra
