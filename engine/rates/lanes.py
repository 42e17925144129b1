"""What one shipment costs by a service card: the cheapest service that the order allows and that serves its lane.

A lane is where an order goes, whether it is paid in cash, and the service that it asks for. From a node to a lane the
price is a staircase of the weight, for each service; the cheapest of them together are one more staircase. Plans and
bounds go by that staircase, a row for each step; a bound over orders of many units goes by a line under it.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from engine.ragged import distinct, owners
from kernels.columns import NONE
from kernels.promise import NO_ZONE, Services, Zones

STEPS_MAX = 1 << 11  # ends of slabs that are told apart: of a card with more the lines under them are lower
POINTS_MAX = 64  # numbers of units at which a line is held against the staircase
ORDERS_AT_ONCE = 1 << 13  # with every node
HEAVIER = np.int64(1) << 40  # grams that no service carries


class Line(NamedTuple):
    """A price of orders by units. Infinite base: not one of them can be carried."""

    base: Any  # float64 [order, node] of the shipment
    unit: Any  # float64 [order, node] of each unit


@dataclass(frozen=True)
class Lanes:
    """The lanes of some orders. Money is in minor units."""

    services: Services
    zone: Any  # uint8 [place, table, node]: places with the same zones from every node are one
    place: Any  # int32 [lane]
    cash: Any  # bool [lane] paid on delivery
    level: Any  # int32 [lane] the service that is asked for; NONE: any
    ends: Any  # int64 [end] grams at which a slab of any service ends, ascending, HEAVIER last
    whole: bool  # whether `ends` has all of them

    def cheapest(self, lane: Any, node: Any, grams: Any) -> tuple[Any, Any]:
        """float64, int32: the price of a shipment and its service, the first one of equals; infinite and NONE where
        none carries it. All three are arrays that broadcast.
        """
        place, cash, level = self.place[lane], self.cash[lane], self.level[lane]
        shape = np.broadcast_shapes(np.shape(lane), np.shape(node), np.shape(grams))
        best, found = np.full(shape, np.inf), np.full(shape, NONE, np.int32)
        of = self.services
        for service in range(of.carrier.size):
            zone = self.zone[place, of.zones[service], node].astype(np.int64)
            known = np.where(zone == NO_ZONE, 0, zone)
            carries = (zone != NO_ZONE) & (of.transit_days[service, known] != NONE) & (grams <= of.heaviest_g[service])
            carries &= (level == NONE) | (level == service)
            fee = of.cash_fee[service]
            if fee == NONE:
                carries &= ~cash
            beyond = np.maximum(0, grams - of.first_g[service, known])
            steps = -(-beyond // of.step_g[service, known])
            price = of.first[service, known] + steps * of.step[service, known] + np.where(cash, fee, 0)
            better = carries & (price < best)
            best, found = np.where(better, price, best), np.where(better, service, found).astype(np.int32)
        return best, found

    def under(self, lane: Any, first_line: Any, grams: Any, quantity: Any) -> Line:
        """Lines that are nowhere above the price of any shipment of units of an order: exact for the whole
        where that stays under the rest, else from 0. lane [order]; first_line, grams, quantity as of a demand.
        """
        out = Line(*(np.empty((lane.size, self.zone.shape[2])) for _ in range(2)))
        for first in range(0, lane.size, ORDERS_AT_ONCE):
            orders = slice(first, min(first + ORDERS_AT_ONCE, lane.size))
            lines = slice(first_line[orders.start], first_line[orders.stop])
            some = lane[orders], first_line[orders.start : orders.stop + 1] - lines.start, grams[lines], quantity[lines]
            out.base[orders], out.unit[orders] = self._under(*some)
        return out

    def _under(self, lane: Any, first_line: Any, grams: Any, quantity: Any) -> tuple[Any, Any]:
        """The line that is exact for the whole and as flat as it may be; or, where that has a base below 0, the
        steepest one from 0. Units are all alike to it: of so many of an order the lightest ones cost least.
        """
        node, units = np.arange(self.zone.shape[2]), summed(first_line, quantity)
        whole = self.cheapest(lane[:, None], node, summed(first_line, grams * quantity)[:, None])[0]
        lightest = _Lightest(first_line, grams, quantity)
        with np.errstate(invalid="ignore"):
            steep, low = np.zeros(whole.shape), whole / units[:, None]
        least = np.full(whole.shape, np.inf)
        for point in range(POINTS_MAX):  # the number of units of a part, one by one where there are not too many
            left, right = (units - 1) * point // POINTS_MAX + 1, (units - 1) * (point + 1) // POINTS_MAX
            rows = np.flatnonzero(left <= right)
            if rows.size == 0:
                continue
            price = self.cheapest(lane[rows, None], node, lightest.grams(rows, left[rows])[:, None])[0]
            most = right[rows, None]
            with np.errstate(invalid="ignore"):
                needed = np.nan_to_num(
                    (whole[rows] - price) / (units[rows, None] - most), nan=0.0, posinf=0.0, neginf=0.0
                )
            steep[rows] = np.maximum(steep[rows], needed)
            low[rows] = np.minimum(low[rows], price / most)
            least[rows] = np.minimum(least[rows], price)
        least = np.where(units[:, None] == 1, whole, least)
        fits = np.isfinite(whole)
        base = np.where(fits, whole, 0.0) - np.where(fits, steep, 0.0) * units[:, None]
        exact = fits & (base >= 0)
        base, unit = np.where(exact, base, 0.0), np.where(exact, steep, low)
        carried = np.isfinite(least)
        return np.where(carried, base, np.inf), np.where(carried, unit, 0.0)


class _Lightest:
    """The lightest units of orders."""

    def __init__(self, first_line: Any, grams: Any, quantity: Any) -> None:
        turn = np.lexsort((grams, owners(first_line)))
        self._first, self._grams = first_line, grams[turn]
        self._units = np.cumsum(quantity[turn], dtype=np.int64)
        self._sums = np.cumsum(quantity[turn] * grams[turn], dtype=np.int64)

    def grams(self, order: Any, count: Any) -> Any:
        """int64 [n]: what the `count` lightest units of orders weigh together."""
        first = self._first[order]
        units, sums = (np.where(first > 0, column[first - 1], 0) for column in (self._units, self._sums))
        line = np.searchsorted(self._units, units + count)
        return self._sums[line] - sums - (self._units[line] - units - count) * self._grams[line]


def summed(first_line: Any, values: Any) -> Any:
    """int64 [order]: the sums of lines, HEAVIER at most."""
    return np.minimum(np.add.reduceat(values.astype(np.int64), first_line[:-1]), HEAVIER)


def lanes(services: Services, zones: Zones, metres: Any, code: Any, cash: Any, level: Any) -> tuple[Lanes, Any]:
    """The lanes of orders, and the lane of each, int32 [order].

    zones, metres: of postal codes (metres: int32 [code, node]); code, cash, level: of each order.
    """
    of_code = _zones(zones, metres)
    places, place = distinct(*of_code.reshape(of_code.shape[0], -1).T)
    found, lane = distinct(place[code], cash, level)
    ends, whole = _ends(services)
    return Lanes(
        services, np.ascontiguousarray(of_code[places]), place[code[found]], cash[found], level[found], ends, whole
    ), lane


def _zones(zones: Zones, metres: Any) -> Any:
    """uint8 [code, table, node]"""
    out = np.empty((metres.shape[0], *zones.row_of.shape), np.uint8)
    for table, rows in enumerate(zones.row_of):
        band = np.searchsorted(zones.band_metres[table], metres)
        by_distance = zones.band_zone[table, np.minimum(band, zones.band_zone.shape[1] - 1)]
        by_row = zones.by_code[np.maximum(rows, 0)].T if zones.by_code.size else by_distance
        out[:, table] = np.where(rows == NONE, by_distance, by_row)
    return out


def _ends(services: Services) -> tuple[Any, bool]:
    """int64: where slabs of any service end, with HEAVIER; and whether these are all."""
    kinds = set()
    for service, heaviest_g in enumerate(services.heaviest_g.tolist()):
        for zone in np.flatnonzero(services.transit_days[service] != NONE):
            kinds.add((int(services.first_g[service, zone]), int(services.step_g[service, zone]), heaviest_g))
    ends, whole = [np.array([HEAVIER])], True
    for first_g, step_g, heaviest_g in kinds:
        count = max(0, -(-(heaviest_g - first_g) // step_g))
        each = -(-count // (max(1, STEPS_MAX // len(kinds)))) if count else 1
        whole &= each == 1
        ends.append(np.minimum(first_g + step_g * np.arange(0, count + each, each), heaviest_g))
    return np.unique(np.concatenate(ends)), whole
