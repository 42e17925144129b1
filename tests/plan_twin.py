"""`allot plan` again in plain Python: days of orders upon stock and the days of nodes, by the rule of tests/rules.py.

One order after another, one unit of thought at a time: no batches, no columns, nothing skipped.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import asin, cos, radians, sin, sqrt

from tests.rules import Terms, source

ANY = 10**12


@dataclass
class Order:
    """One order as a customer placed it."""

    code: int
    lines: list[tuple[int, int]]  # SKU, units
    terms: Terms = field(default_factory=Terms)


@dataclass
class Node:
    """Where it is, in degrees, and what it may take on a day."""

    place: tuple[float, float]
    orders: int = ANY
    units: int = ANY

    @property
    def limited(self) -> bool:
        return self.orders < ANY or self.units < ANY


@dataclass
class Card:
    """Five fees, as a rate card has them."""

    shipment: float
    km: float
    unit: float
    unit_km: float
    short: float


@dataclass
class _Open:
    order: Order
    day: int
    wanted: list[tuple[int, int]]
    shipments: int = 0
    late: bool = False


@dataclass
class Plan:
    """What came of it."""

    orders: int = 0
    ordered: int = 0
    sent: int = 0
    shipments: int = 0
    split: int = 0
    late_orders: int = 0
    late_units: int = 0
    late_unit_days: int = 0
    late_days_max: int = 0
    stock_short: int = 0
    capacity_short: int = 0
    other_short: int = 0
    cost: float = 0.0
    taken: dict[tuple[int, int], list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))  # day, node
    travelled: list[int] = field(default_factory=list)  # metres, of each unit
    waiting: list[int] = field(default_factory=list)  # units, at the end of each day


def km(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Great-circle distance of two places in degrees."""
    (phi, at), (other, far) = ((radians(x), radians(y)) for x, y in (a, b))
    half = sin((other - phi) / 2) ** 2 + cos(phi) * cos(other) * sin((far - at) / 2) ** 2
    return 2 * 6371.0088 * asin(sqrt(half))


class Twin:
    """One replay."""

    def __init__(
        self, nodes: Sequence[Node], codes: Sequence[tuple[float, float]], stock: dict[tuple[int, int], int], card: Card
    ) -> None:
        self.nodes, self.codes, self.stock, self.card = nodes, codes, dict(stock), card
        self.out = Plan()
        self.queue: list[_Open] = []

    def metres(self, code: int, node: int) -> int:
        return round(1000 * km(self.codes[code], self.nodes[node].place))

    def ranked(self, code: int) -> list[int]:
        return sorted(range(len(self.nodes)), key=lambda node: (self.metres(code, node), node))

    def replay(self, days: Sequence[Sequence[Order]]) -> Plan:
        """Day by day."""
        out = self.out
        for day, orders in enumerate(days):
            room = {at: [node.orders, node.units] for at, node in enumerate(self.nodes)}
            waiting, self.queue = self.queue, []
            self._serve(day, waiting, room)
            new = [_Open(order, day, list(order.lines)) for order in orders]
            out.orders += len(new)
            out.ordered += sum(units for order in orders for _, units in order.lines)
            self._serve(day, new, room)
            for open_order in list(self.queue):
                if not any(self._at_limited(sku) for sku, _ in open_order.wanted):
                    out.stock_short += sum(units for _, units in open_order.wanted)
                    self.queue.remove(open_order)
            out.waiting.append(sum(units for open_order in self.queue for _, units in open_order.wanted))
        self._end()
        return out

    def _at_limited(self, sku: int) -> bool:
        return any(node.limited and self.stock.get((sku, at), 0) for at, node in enumerate(self.nodes))

    def _serve(self, day: int, opened: list[_Open], room: dict[int, list[int]]) -> None:
        """Each in its turn; then it is looked which of what is missing a full node still has."""
        missed = []
        for one in opened:
            units = sum(units for _, units in one.wanted)
            full = {at for at in room if room[at][0] < 1 or room[at][1] < units}
            ranked = [node for node in self.ranked(one.order.code) if node not in full]
            taken = source(one.wanted, ranked, lambda sku, node: self.stock.get((sku, node), 0), one.order.terms)
            missed.append((one, full, self._send(day, one, taken, room)))
        for one, full, missing in missed:
            if one.order.terms == Terms() and any(self._has(sku, full) for sku, _ in missing):
                one.wanted = missing
                self.queue.append(one)
                continue
            for sku, units in missing:
                if self._has(sku, full):
                    self.out.capacity_short += units
                elif self._has(sku, set(room)):
                    self.out.other_short += units
                else:
                    self.out.stock_short += units

    def _has(self, sku: int, nodes: set[int]) -> bool:
        return any(self.stock.get((sku, node), 0) for node in nodes)

    def _send(
        self, day: int, one: _Open, taken: list[list[tuple[int, int]]], room: dict[int, list[int]]
    ) -> list[tuple[int, int]]:
        """Count what goes; what is missing."""
        out, by_node, missing = self.out, Counter[int](), []
        for (sku, units), parts in zip(one.wanted, taken, strict=True):
            for node, part in parts:
                self.stock[sku, node] -= part
                by_node[node] += part
            if units > sum(part for _, part in parts):
                missing.append((sku, units - sum(part for _, part in parts)))
        for node, units in by_node.items():
            room[node][0] -= 1
            room[node][1] -= units
            out.taken[day, node][0] += 1
            out.taken[day, node][1] += units
            far = km(self.codes[one.order.code], self.nodes[node].place)
            out.cost += self.card.shipment + self.card.km * far + units * (self.card.unit + self.card.unit_km * far)
            out.travelled += [self.metres(one.order.code, node)] * units
            late = day - one.day
            out.late_units += units * (late > 0)
            out.late_unit_days += units * late
            out.late_days_max = max(out.late_days_max, late)
        out.sent += by_node.total()
        out.shipments += len(by_node)
        out.split += one.shipments <= 1 < one.shipments + len(by_node)
        one.shipments += len(by_node)
        if by_node and day > one.day and not one.late:
            one.late = True
            out.late_orders += 1
        return missing

    def _end(self) -> None:
        out, wanted = self.out, Counter[int]()
        for one in self.queue:
            out.late_orders += not one.late
            for sku, units in one.wanted:
                wanted[sku] += units
        for sku, units in wanted.items():
            has = min(units, sum(self.stock.get((sku, node), 0) for node in range(len(self.nodes))))
            out.capacity_short += has
            out.stock_short += units - has
        out.cost += self.card.short * (out.stock_short + out.capacity_short + out.other_short)
