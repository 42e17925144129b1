"""What orders cost by a card, for a plan and for what came of it: one model for both kinds of card.

    rate card, or service card  +  orders  ->  Priced: rows of `Costs` for kernels/pricing.py  ->  engine/planning.py
                                           ->  bill: what shipments really cost, fee by fee

A rate card is linear in units, a row of costs for each postal code. A service card is a staircase of the weight, a row
for each step of it in each lane (engine/rates/lanes.py).
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from engine.commands import Parts
from engine.intake.rate_card import RateCard, fees_of, kilometres_to_nodes
from engine.intake.tables import IntakeError
from engine.intake.values import ABSENT
from engine.outcomes import Namespace
from engine.planning import Demand, Plan, Under, cost_of, cost_rows, extra_cost, together
from engine.ragged import distinct, elements, grouped, offsets, owners
from engine.rates.card import ServiceCard
from engine.rates.lanes import Lanes, lanes, summed
from engine.rates.tariff import Tariff, Terms
from engine.state import State
from kernels.cheapest import Fees
from kernels.columns import NO_NODE, NONE
from kernels.pricing import PIECE_LINES_MAX, Costs
from kernels.promise import DAY_US

CASH = ("CASH_ON_DELIVERY", "COD", "CASH")  # payment methods that are paid at the door, in any case of letters
_COMPARED_LINES = 1 << 16  # at once, with every node
_SOME_ORDERS = 4096  # are enough to tell what distance costs
CELLS_MAX = 1 << 26  # rows of costs times nodes: half a gigabyte for each of two arrays


class TooManyRows(ValueError):
    """Orders differ so much that their costs do not fit into memory."""


class Priced(NamedTuple):
    """A demand, and what it costs."""

    demand: Demand
    costs: Costs  # what a plan goes by
    under: Under | None  # what a bound goes by; None: the same
    open: Any = None  # bool [row, node] whether such a shipment can be carried from there; None: all can


class Shipped(NamedTuple):
    """Shipments: all units of one order that leave one node together."""

    order: Any  # int64 [shipment] place in the list
    node: Any  # int64 [shipment]
    units: Any  # int64 [shipment]
    grams: Any  # int64 [shipment]; 0 where the card has no weights
    kilometres: Any  # float64 [shipment]


@dataclass(frozen=True)
class RateCosts:
    """What the orders of a list cost by a rate card. Orders and lines are named by their places in the list."""

    card: RateCard
    state: State
    code: Any  # int32 [order] postal codes
    serves: Any  # bool [group, node] whether a node may give to the channels of a group
    group: Any  # int64 [order]
    grams: Any = None
    stock_fees: Any = None  # float64 [SKU, node] of a unit, which a plan counts and nobody pays (engine/stock_fees.py)

    @property
    def short(self) -> float:
        """Minor units, a unit that is not sent."""
        return self.card.shortage_penalty

    def of(self, order: Any, line: Any) -> "RateCosts":
        """The model of another list: orders of this one, each as often as it is named. line: theirs."""
        return replace(self, code=self.code[order], group=self.group[order])

    def about(self, priced: Priced, metres: Any) -> Fees:
        """Fees by the metre, as single orders are decided."""
        return fees_of(self.card)

    def carries(self, priced: Priced, order: Any) -> Any:
        """bool [order, node]: from where these can be sent."""
        return np.ones((order.size, self.state.node_count), bool)

    def priced(self, order: Any, line: Any, demand: Demand) -> Priced:
        """A row of the costs for each postal code, and the nodes that may give."""
        rows, zone = distinct(self.code[order], self.group[order])
        shipment, unit = self.card.costs_over(kilometres_to_nodes(self.state, self.code[order][rows]))
        closed = ~self.serves[self.group[order][rows]]
        units = np.bincount(owners(demand.first_line), demand.quantity)
        shipment[closed] += 1 + self.short * units.max(initial=0)  # more than to leave any order short
        return Priced(demand._replace(zone=zone), Costs(shipment, unit, self.short), None)

    def cost(self, priced: Priced, order: Any, line: Any, parts: Parts) -> float:
        """What the plan goes by is what it costs."""
        return cost_of(priced.demand, priced.costs, parts)

    def sent(self, priced: Priced, order: Any, line: Any, parts: Parts) -> Parts:
        """Every node can send everywhere."""
        return parts

    def settled(self, priced: Priced, order: Any, line: Any, stock: Any, found: Plan) -> Plan:
        """Its cost and bound are true."""
        return found

    def bill(self, shipped: Shipped, short_units: int) -> dict[str, float]:
        """The fees of the card."""
        return self.card.bill(shipped.kilometres, shipped.units, short_units)

    def total(self, shipped: Shipped, short_units: int) -> int:
        """As the card adds up, shipment by shipment."""
        return self.card.cost(shipped.kilometres, shipped.units, short_units)


@dataclass(frozen=True)
class ServiceCosts:
    """The same by a service card: each shipment by the cheapest service that the order allows and that serves its lane.
    What none carries is not sent, and costs as short units do.
    """

    card: ServiceCard
    lanes: Lanes
    lane: Any  # int32 [order]
    serves: Any  # bool [group, node] whether a node may give to the channels of a group
    group: Any  # int64 [order]
    grams: Any  # int64 [line] of a unit
    fee: Any  # int64 [node] handling of a unit
    short: float
    tariff: Tariff
    now: int  # UTC us: when orders are placed that do not say it
    complete: Any = None  # bool [order] whether it goes whole or not at all; None: none asks for that
    stock_fees: Any = None  # float64 [SKU, node] likewise

    def of(self, order: Any, line: Any) -> "ServiceCosts":
        """The model of another list: orders of this one, each as often as it is named. line: theirs."""
        complete = None if self.complete is None else self.complete[order]
        return replace(self, lane=self.lane[order], group=self.group[order], grams=self.grams[line], complete=complete)

    @property
    def unserved(self) -> Any:
        """bool [lane]: whether no node can send even the lightest shipment."""
        every = np.arange(self.lanes.place.size)[:, None]
        return np.isinf(self.lanes.cheapest(every, np.arange(self.fee.size), np.ones(1, np.int64))[0]).all(axis=1)

    def priced(self, order: Any, line: Any, demand: Demand) -> Priced:
        """For each lane a row of costs for each step of its staircase, up to the heaviest of its orders."""
        first_line, grams, lane = demand.first_line, self.grams[line], self.lane[order]
        if lane.size == 0:
            none = np.empty((0, self.fee.size))
            return Priced(demand, Costs(none, none, self.short), None, none > 0)
        units = summed(first_line, demand.quantity)
        ends = self.lanes.ends
        top = np.searchsorted(ends, summed(first_line, grams * demand.quantity))
        kinds, kind = distinct(lane, units > 1, self.group[order])
        steps = np.zeros(kinds.size, np.int64)
        np.maximum.at(steps, kind, top + 1)
        first = offsets(steps)
        if first[-1] * self.fee.size > CELLS_MAX:
            raise TooManyRows(
                f"{first[-1]:,} prices, by where orders go and what they weigh, at {self.fee.size} nodes: a plan takes "
                f"{CELLS_MAX // self.fee.size:,}"
            )
        of, node = owners(first), np.arange(self.fee.size)
        step, extra = np.arange(of.size) - first[of], self.card.split_penalty * (units > 1)[kinds][of, None]
        extra = np.where(self.serves[self.group[order][kinds]][of], extra, np.inf)
        price = self.lanes.cheapest(lane[kinds][of, None], node, ends[step][:, None])[0] + extra
        never = self.short * float(units.max()) + 1  # to leave a whole order short costs less
        unit = np.broadcast_to(self.fee.astype(np.float64), price.shape).copy()
        costs = Costs(np.where(np.isinf(price), never, price), unit, self.short)
        above = np.append(ends[:-1], np.iinfo(np.int64).max)
        priced = demand._replace(zone=first[kind].astype(np.int32), grams=grams, ends=above)
        low = costs.shipment
        if not self.lanes.whole:  # a row stands for several steps: its lightest shipment may cost less
            lightest = np.where(step > 0, ends[step - 1] + 1, 1)[:, None]
            low = self.lanes.cheapest(lane[kinds][of, None], node, lightest)[0] + extra
            low = np.where(np.isinf(low), never, low)
        return Priced(priced, costs, self._under(priced, lane, units, costs, low), np.isfinite(price))

    def _under(self, demand: Demand, lane: Any, units: Any, costs: Costs, fees: Any) -> Under:
        """What a bound goes by: the fees by weight, and for orders of many units the line under them."""
        rate = demand.zone[owners(demand.first_line)]
        many = np.flatnonzero(units > PIECE_LINES_MAX)
        under = Under(costs, demand.zone, rate, fees, demand.grams, demand.ends)
        if many.size == 0:
            return under
        lines, count = elements(demand.first_line, many), np.diff(demand.first_line)[many]
        line = self.lanes.under(lane[many], offsets(count), demand.grams[lines], demand.quantity[lines])
        never = self.short * float(units.max()) + 1
        carried = np.isfinite(line.base) & (costs.shipment[demand.zone[many]] < never)
        zone, rate, grams, rows = demand.zone.copy(), rate.copy(), demand.grams.copy(), fees.shape[0]
        zone[many] = rows + np.arange(many.size)
        rate[lines] = np.repeat(zone[many], count)
        grams[lines] = 0
        base = np.where(carried, line.base + self.card.split_penalty, never)
        unit = np.concatenate([costs.unit, np.where(carried, line.unit + self.fee, never)])
        return under._replace(
            costs=costs._replace(unit=unit), zone=zone, rate=rate, fees=np.concatenate([fees, base]), grams=grams
        )

    def about(self, priced: Priced, metres: Any) -> Fees:
        """Fees by the metre that come near, as single orders are decided: the line through what the lightest shipments
        cost by distance. metres: int32 [order, node]."""
        row = priced.demand.zone[:_SOME_ORDERS]
        is_open = priced.open[row]
        far, price = metres[:_SOME_ORDERS][is_open].astype(np.float64), priced.costs.shipment[row][is_open]
        spread = far - far.mean() if far.size else far
        slope = max(0.0, float((spread * price).sum() / max(1.0, (spread * spread).sum())))
        mean = max(0.0, float(price.mean() - slope * far.mean())) if far.size else 0.0
        return Fees(mean, slope, float(self.fee.mean()), 0.0)

    def carries(self, priced: Priced, order: Any) -> Any:
        """bool [order, node]: from where these can be sent, whole if from anywhere. order: places in the demand."""
        demand = priced.demand
        grams = np.add.reduceat(demand.quantity * demand.grams, demand.first_line[:-1])[order]
        whole = priced.open[demand.zone[order] + np.searchsorted(demand.ends, grams)]
        return np.where(whole.any(axis=1)[:, None], whole, priced.open[demand.zone[order]])

    def cost(self, priced: Priced, order: Any, line: Any, parts: Parts) -> float:
        """The bill of the shipments that parts make."""
        given = parts.node != NO_NODE
        return sum(
            self.bill(self._shipped(order, line, priced.demand, parts)[0], int(parts.quantity[~given].sum())).values()
        )

    def _shipped(self, order: Any, line: Any, demand: Demand, parts: Parts) -> tuple[Shipped, Any]:
        """The shipments, and that of each part that is given."""
        given = parts.node != NO_NODE
        of_line = owners(offsets(parts.part_count))[given]
        units = parts.quantity[given].astype(np.int64)
        key = owners(demand.first_line)[of_line] * np.int64(self.fee.size) + parts.node[given]
        keys, _, of = grouped(key)
        grams = np.zeros(keys.size, np.int64)
        np.add.at(grams, of, units * self.grams[line][of_line])
        count = np.bincount(of, units, keys.size).astype(np.int64)
        return Shipped(order[keys // self.fee.size], keys % self.fee.size, count, grams, None), of

    def carried(self, shipped: Shipped) -> Any:
        """bool [shipment]: whether any service carries it."""
        return self._priced(shipped)[1]

    def _priced(self, shipped: Shipped) -> tuple[Any, Any]:
        """Of each shipment its price, and whether it can go: of an order that is to be complete all can, or none."""
        price = self.lanes.cheapest(self.lane[shipped.order], shipped.node, shipped.grams)[0]
        carried = np.isfinite(price)
        if self.complete is not None and not carried.all():
            of = shipped.order
            carried &= ~(self.complete[of] & np.isin(of, of[~carried]))
        return price, carried

    def sent(self, priced: Priced, order: Any, line: Any, parts: Parts) -> Parts:
        """The parts, but those short that no service carries."""
        shipped, of = self._shipped(order, line, priced.demand, parts)
        lost = ~self.carried(shipped)[of]
        if not lost.any():
            return parts
        node = parts.node.astype(np.int64)
        node[np.flatnonzero(parts.node != NO_NODE)[lost]] = self.fee.size
        node[node == NO_NODE] = self.fee.size
        return together(owners(offsets(parts.part_count)), node, parts.quantity, parts.part_count.size, self.fee.size)

    def settled(self, priced: Priced, order: Any, line: Any, stock: Any, found: Plan) -> Plan:
        """With the bill as its cost, and a bound without the penalties that first shipments do not pay: those of all
        orders of several units that can have a shipment.
        """
        parts = self.sent(priced, order, line, found.parts)
        if parts is not found.parts:
            parts = replace(parts, extra_cost=extra_cost(priced.demand, priced.costs, stock, parts))
        cost = self.cost(priced, order, line, parts)
        first = self.card.split_penalty * self._may_split(priced, stock)
        return replace(found, parts=parts, cost=cost, bound=max(0.0, found.bound - first))

    def _may_split(self, priced: Priced, stock: Any) -> int:
        """Orders of several units of which any node can send one."""
        demand = priced.demand
        of = owners(demand.first_line)
        several = np.bincount(of, demand.quantity, demand.zone.size) > 1
        can, row = np.zeros(demand.zone.size, bool), cost_rows(demand, np.arange(of.size), 1)
        for first in range(0, of.size, _COMPARED_LINES):
            lines = slice(first, first + _COMPARED_LINES)
            can[of[lines][(priced.open[row[lines]] & (stock[demand.sku[lines]] > 0)).any(axis=1)]] = True
        return int((can & several).sum())

    def bill(self, shipped: Shipped, short_units: int) -> dict[str, float]:
        """Carriage (slabs, and cash on delivery), handling, the split penalty, what is not sent."""
        price, carried = self._priced(shipped)
        split = int(carried.sum()) - np.unique(shipped.order[carried]).size
        return {
            "carriage": float(price[carried].sum()),
            "handling": float((shipped.units * self.fee[shipped.node])[carried].sum()),
            "split_penalty": float(split * self.card.split_penalty),
            "shortage_penalty": self.short * (short_units + int(shipped.units[~carried].sum())),
        }

    def total(self, shipped: Shipped, short_units: int) -> int:
        """All fees are whole."""
        return round(sum(self.bill(shipped, short_units).values()))

    def late(self, shipped: Shipped, placed_at: Any, ship_by: Any, deliver_by: Any) -> tuple[int, int]:
        """How many orders `late_orders` are."""
        leave, arrive = self.late_orders(shipped, placed_at, ship_by, deliver_by)
        return leave.size, arrive.size

    def late_orders(self, shipped: Shipped, placed_at: Any, ship_by: Any, deliver_by: Any) -> tuple[Any, Any]:
        """Orders that leave after `ship_by`, and that arrive on a day after that of `deliver_by`: with their last
        shipment, each by its cheapest service; ascending. All three are int64 [order], UTC us, or ABSENT.
        """
        _, service = self.lanes.cheapest(self.lane[shipped.order], shipped.node, shipped.grams)
        sent = (service != NONE) & ((ship_by != ABSENT) | (deliver_by != ABSENT))[shipped.order]
        order, node, service = shipped.order[sent], shipped.node[sent], service[sent]
        ship_at, arrival = self._dated(order, node, service, np.where(placed_at == ABSENT, self.now, placed_at)[order])
        last_day = (deliver_by[order] + self.tariff.utc_offset[node]) // DAY_US
        leaves = (ship_by[order] != ABSENT) & (ship_at > ship_by[order])
        arrives = (deliver_by[order] != ABSENT) & (arrival > last_day)
        return np.unique(order[leaves]), np.unique(order[arrives])

    def _dated(self, order: Any, node: Any, service: Any, placed_at: Any) -> tuple[Any, Any]:
        """int64, int32 [shipment]: UTC us at which it leaves, and the day on which it arrives."""
        of, place = self.lanes.services, self.lanes.place[self.lane[order]]
        zone, carrier = self.lanes.zone[place, of.zones[service], node], of.carrier[service]
        ship_at, arrival = np.empty(order.size, np.int64), np.empty(order.size, np.int32)
        turn = np.argsort(placed_at, kind="stable")
        first, moments = 0, placed_at[turn]
        while first < turn.size:  # dates hold until the next cut-off
            dates, until = self.tariff.dates(int(moments[first]))
            last = int(np.searchsorted(moments, until))
            at = turn[first:last]
            ship_at[at] = dates.ship_at[node[at], carrier[at]]
            arrival[at] = dates.arrival[node[at] * of.carrier.size + service[at], zone[at]]
            first = last
        return ship_at, arrival


Model = RateCosts | ServiceCosts


def _tariff_terms(state: State, card: ServiceCard, now: int) -> tuple[Tariff, Terms]:
    """The card for the nodes, postal codes and SKUs that the state knows. now: UTC us. Raises CardHole."""
    texts = [
        state.names[namespace].texts(np.arange(len(state.names[namespace]), dtype=np.int32))
        for namespace in (Namespace.NODE, Namespace.POSTAL_CODE, Namespace.SKU)
    ]
    tariff = Tariff(card, texts[0].to_pylist())
    return tariff, tariff.terms(now, (0, 0), *texts[1:])


def serving(state: State, channel: Any) -> tuple[Any, Any]:
    """bool [group, node], int64 [order]: channels that the same nodes may give to as one group, and that of each order.
    channel: int16 [order].
    """
    channels, of = np.unique(channel, return_inverse=True)
    groups, group = np.unique(state.policies.nodes[channels], axis=0, return_inverse=True)
    bits = np.arange(state.node_count)
    words = groups[:, bits // 64] >> (bits % 64).astype(np.uint64) & np.uint64(1)
    return words != 0, group.reshape(-1)[of]


def service_costs(
    state: State, card: ServiceCard, code: Any, channel: Any, cash: Any, level: Any, sku: Any, now: int
) -> ServiceCosts:  # fmt: skip
    """The model of orders whose names the state knows. code, channel, cash, level: of each order (`asked_for`); sku: of
    each line; now: UTC us. Raises CardHole.
    """
    tariff, terms = _tariff_terms(state, card, now)
    rows, place = distinct(code)
    codes, nodes = code[rows], state.node_count
    by_code = np.ascontiguousarray(terms.zones.by_code[:, codes])
    found, lane = lanes(
        terms.services, terms.zones._replace(by_code=by_code), state.places.metres[codes, :nodes], place, cash, level
    )
    assert card.shortage_penalty is not None
    return ServiceCosts(
        card, found, lane, *serving(state, channel), terms.charges.weight_g[sku], terms.charges.handling_fee,
        float(card.shortage_penalty),
        tariff, now,
    )  # fmt: skip


def asked_for(card: ServiceCard, orders: int, options: dict[str, Any]) -> tuple[Any, Any]:
    """bool, int32 [order]: whether orders are paid in cash, and the service that they ask for, or NONE. options: texts
    `payment_method` and `service_level` [order], null where there is none. Raises IntakeError for an unknown service.
    """
    cash, level = np.zeros(orders, bool), np.full(orders, NONE, np.int32)
    if "payment_method" in options:
        texts = pa.compute.utf8_upper(options["payment_method"])
        cash = pa.compute.is_in(texts, pa.array(CASH)).fill_null(False).to_numpy(zero_copy_only=False)
    if "service_level" in options:
        texts, names = options["service_level"], pa.array([service.name for service in card.services])
        found = pa.compute.index_in(texts, names)
        unknown = pa.compute.and_(pa.compute.is_null(found), pa.compute.is_valid(texts))
        if pa.compute.any(unknown).as_py():
            one = texts.filter(unknown)[0].as_py()
            raise IntakeError(
                f"{card.name}: services.{one}: an order asks for it, and it has no table; there are "
                f"{', '.join(names.to_pylist())}"
            )
        level = found.fill_null(NONE).to_numpy().astype(np.int32)
    return cash, level
