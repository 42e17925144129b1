"""Dates and prices of carts: what `foresee` (kernels/nearest.py) found becomes, for every service, a day and a price.

Days are counted from 1970-01-01. When each node ships and when that arrives (`schedule`) changes at the next cut-off
only, so it is worked out once for many carts; `price_and_date` then looks it up.
"""

from typing import NamedTuple

import numpy as np

from kernels.columns import NO_NODE, NODES_MAX, NONE, Batch, Drawn
from kernels.options import I16, I32, I64, U8, I32x2, I64x2, U8x2, allocating_kernel, kernel, leaf

DAY_US = 86_400_000_000
_THURSDAY = 3  # 1970-01-01; Monday is 0


class Calendars(NamedTuple):
    """The days on which each node or carrier works."""

    weekday: U8x2  # [calendar, weekday from Monday] 1 where it works
    first_closed: I64  # [calendar + 1] where its closed days begin
    closed: I32  # [closed day] by calendar, ascending


class NodeHours(NamedTuple):
    """When a node ships. Its calendar has its own index."""

    utc_offset: I64  # [node] microseconds that its clock is ahead of UTC
    cut_off: I64  # [node] microseconds after its midnight: what is ordered before is begun on that day
    handling_days: I32  # [node] open days between beginning and shipping


class Services(NamedTuple):
    """What services carry, where, for how much. Money is in minor units, a weight in grams."""

    carrier: I32  # [service]
    zones: I32  # [service] zone table
    heaviest_g: I64  # [service] of one shipment
    cash_fee: I64  # [service] for cash on delivery, a shipment; NONE: it takes none
    transit_days: I32x2  # [service, zone] working days of the carrier; NONE: it does not go there
    first_g: I64x2  # [service, zone] weight of the first slab
    first: I64x2  # [service, zone] its price
    step_g: I64x2  # [service, zone] weight of each further slab
    step: I64x2  # [service, zone] its price


class Zones(NamedTuple):
    """The zone of a node and a postal code, by table: by row and postal code, or by distance where there is no row."""

    row_of: I32x2  # [table, node] NONE: by distance
    by_code: U8x2  # [row, postal code] NO_ZONE: none
    band_metres: I64x2  # [table, band] where each band ends, ascending
    band_zone: U8x2  # [table, band]


class Charges(NamedTuple):
    """What does not depend on the service."""

    weight_g: I64  # [sku] of a unit
    handling_fee: I64  # [node] minor units, a unit
    split_penalty: I64  # [1] minor units, each shipment beyond the first


class Schedule(NamedTuple):
    """When what is ordered now leaves and arrives."""

    ready_day: I32  # [node] its own date on which it is ready to leave
    order_by: I64  # [node] UTC us: what is ordered from then on is later
    ship_day: I32x2  # [node, carrier] its own date
    ship_at: I64x2  # [node, carrier] UTC us: the cut-off of that day
    arrival: I32x2  # [node * services + service, zone] date; NONE: the service does not go there


class Promised(NamedTuple):
    """What is promised. NONE where a service cannot carry every shipment, or nothing can be sent."""

    units_short: I64  # [cart]
    order_by: I64  # [cart] UTC us: the dates hold for orders before; NONE where nothing can be sent
    ship_day: I32x2  # [cart, service] of the last shipment
    ship_at: I64x2  # [cart, service] UTC us
    deliver_day: I32x2  # [cart, service]
    price: I64x2  # [cart, service] minor units


NO_ZONE = 255


@leaf
def _works(calendars: Calendars, calendar: int, day: int) -> bool:
    if calendars.weekday[calendar, (day + _THURSDAY) % 7] == 0:
        return False
    first, last = calendars.first_closed[calendar], calendars.first_closed[calendar + 1]
    at = first + np.searchsorted(calendars.closed[first:last], day)
    return at == last or calendars.closed[at] != day


@leaf
def _nth_working_day(calendars: Calendars, calendar: int, day: int, count: int) -> int:
    """The `count`-th working day after a day; the day itself for 0."""
    while count > 0:
        day += 1
        if _works(calendars, calendar, day):
            count -= 1
    return day


@kernel
def schedule(
    now: int, hours: NodeHours, nodes: Calendars, carriers: Calendars, services: Services, out: Schedule
) -> int:
    """When orders that are placed at `now` (UTC us) leave each node by each carrier and arrive in each zone; returns
    the moment from which another schedule holds. Writes `out`.

    An order before the cut-off of an open day is begun on that day, else on the next open day, and leaves
    `handling_days` open days later, on the first day on which node and carrier both work. It arrives `transit_days`
    working days of the carrier after. Each node shares a weekday with each carrier, so every search ends.
    """
    until = np.iinfo(np.int64).max
    for node in range(hours.utc_offset.size):
        day = (now + hours.utc_offset[node]) // DAY_US
        if now + hours.utc_offset[node] >= day * DAY_US + hours.cut_off[node]:
            day += 1
        while not _works(nodes, node, day):
            day += 1
        out.order_by[node] = day * DAY_US + hours.cut_off[node] - hours.utc_offset[node]
        until = min(until, out.order_by[node])
        ready = _nth_working_day(nodes, node, day, hours.handling_days[node])
        out.ready_day[node] = ready
        for carrier in range(out.ship_day.shape[1]):
            day = ready
            while not (_works(carriers, carrier, day) and _works(nodes, node, day)):
                day += 1
            out.ship_day[node, carrier] = day
            out.ship_at[node, carrier] = day * DAY_US + hours.cut_off[node] - hours.utc_offset[node]
        for service in range(services.carrier.size):
            carrier = services.carrier[service]
            for zone in range(services.transit_days.shape[1]):
                days = services.transit_days[service, zone]
                row = node * services.carrier.size + service
                out.arrival[row, zone] = NONE
                if days != NONE:
                    out.arrival[row, zone] = _nth_working_day(carriers, carrier, out.ship_day[node, carrier], days)
    return until


@leaf
def _shipments(
    first: int, last: int, part: int, batch: Batch, drawn: Drawn, charges: Charges, slot: I16, node_of: I16,
    metres: I32, grams: I64, totals: I64,
) -> int:  # fmt: skip
    """The shipments of a cart whose parts begin at `part`: node, metres and grams of each; returns their number.
    totals: parts, units short, handling. `slot` [node] is NONE before and after.
    """
    count = 0
    parts, short, handling = 0, np.int64(0), np.int64(0)
    for line in range(first, last):
        for _ in range(drawn.part_count[line]):
            node, units = drawn.node[part + parts], np.int64(drawn.quantity[part + parts])
            if node == NO_NODE:
                short += units
            else:
                if slot[node] == NONE:
                    slot[node] = count
                    node_of[count], metres[count], grams[count] = node, drawn.metres[part + parts], 0
                    count += 1
                grams[slot[node]] += units * charges.weight_g[batch.sku[line]]
                handling += units * charges.handling_fee[node]
            parts += 1
        if drawn.part_count[line] == 0:  # the channel refuses the whole of it
            short += batch.quantity[line]
    for at in range(count):
        slot[node_of[at]] = NONE
    totals[0], totals[1], totals[2] = parts, short, handling
    return count


@leaf
def _price_and_date(
    batch: Batch, drawn: Drawn, cash: U8, services: Services, zones: Zones, charges: Charges, dates: Schedule,
    out: Promised, slot: I16, node_of: I16, metres: I32, grams: I64, totals: I64,
) -> None:  # fmt: skip
    carrier_of, table_of, heaviest_g, cash_fee, _, first_g, first, step_g, step = services
    row_of, by_code, band_metres, band_zone = zones
    _, begun_by, left_day, left_at, arrival_of = dates
    o_short, o_by, o_day, o_at, o_deliver, o_price = out
    split = charges.split_penalty[0]
    code_of = batch.postal_code
    count_of_services = carrier_of.size
    part = 0
    for cart in range(batch.channel.size):
        count = _shipments(
            batch.first_line[cart], batch.first_line[cart + 1], part, batch, drawn, charges, slot, node_of, metres,
            grams, totals,
        )  # fmt: skip
        part += totals[0]
        o_short[cart] = totals[1]
        order_by = np.iinfo(np.int64).max
        for at in range(count):
            order_by = min(order_by, begun_by[node_of[at]])
        o_by[cart] = order_by if count > 0 else NONE
        for service in range(count_of_services):
            price = totals[2] + (count - 1) * split
            ship_day, arrival, ship_at = NONE, NONE, np.int64(NONE)
            serves = count > 0 and (cash[cart] == 0 or cash_fee[service] != NONE)
            table, carrier = table_of[service], carrier_of[service]
            for at in range(count):
                node = node_of[at]
                row = row_of[table, node]
                if row != NONE:
                    zone = np.int64(by_code[row, code_of[cart]])
                else:
                    band = 0
                    while metres[at] > band_metres[table, band]:
                        band += 1
                    zone = np.int64(band_zone[table, band])
                if not serves or zone == NO_ZONE or grams[at] > heaviest_g[service]:
                    serves = False
                    break
                day = arrival_of[node * count_of_services + service, zone]
                if day == NONE:
                    serves = False
                    break
                price += first[service, zone]
                beyond = grams[at] - first_g[service, zone]
                if beyond > 0:
                    price += (beyond + step_g[service, zone] - 1) // step_g[service, zone] * step[service, zone]
                if cash[cart] != 0:
                    price += cash_fee[service]
                arrival = max(arrival, day)
                ship_day = max(ship_day, left_day[node, carrier])
                ship_at = max(ship_at, left_at[node, carrier])
            o_price[cart, service] = price if serves else NONE
            o_day[cart, service] = ship_day if serves else NONE
            o_at[cart, service] = ship_at if serves else NONE
            o_deliver[cart, service] = arrival if serves else NONE


@allocating_kernel
def price_and_date(
    batch: Batch, drawn: Drawn, cash: U8, services: Services, zones: Zones, charges: Charges, dates: Schedule,
    out: Promised,
) -> None:  # fmt: skip
    """What each service promises for each cart, from the parts that `foresee` drew. Writes `out`.

    cash [cart]: 1 where it is paid on delivery. Shapes and units as in the tuples. A service carries a cart where it
    goes to the zone of every shipment, none is too heavy, and it takes cash where that is asked. The price is the sum
    of slabs, handling, cash fees, and a penalty for each shipment beyond the first.
    """
    slot, node_of = np.full(NODES_MAX, NONE, np.int16), np.empty(NODES_MAX, np.int16)
    metres, grams = np.empty(NODES_MAX, np.int32), np.empty(NODES_MAX, np.int64)
    totals = np.empty(3, np.int64)
    _price_and_date(batch, drawn, cash, services, zones, charges, dates, out, slot, node_of, metres, grams, totals)
