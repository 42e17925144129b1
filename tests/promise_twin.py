"""Calendars, slabs and promises once more, in plain Python with `datetime`, from the card and not from its columns."""

import datetime
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from engine.rates.card import Calendar, NodeTerms, ServiceCard, Slabs

EPOCH = datetime.date(1970, 1, 1)
DAY = datetime.timedelta(days=1)
Part = tuple[int, int, int, int]  # node or -1, SKU, units, metres


class Offer(NamedTuple):
    """What a service promises."""

    ship_date: datetime.date
    ship_at: int
    deliver_date: datetime.date
    price: int


def works(calendar: Calendar, day: datetime.date) -> bool:
    return calendar.weekdays[day.weekday()] and (day - EPOCH).days not in calendar.closed


def after(calendar: Calendar, day: datetime.date, count: int) -> datetime.date:
    """The `count`-th working day after a day."""
    while count:
        day += DAY
        count -= works(calendar, day)
    return day


def moment(terms: NodeTerms, day: datetime.date) -> int:
    """The cut-off of a day, UTC us."""
    minutes = (day - EPOCH).days * 1440 + terms.cut_off_minutes - terms.utc_offset_minutes
    return minutes * 60_000_000


def begun(terms: NodeTerms, now: int) -> datetime.date:
    day = EPOCH - 2 * DAY
    day += DAY * (now // 86_400_000_000)
    while not works(terms.calendar, day) or moment(terms, day) <= now:
        day += DAY
    return day


def leaves(terms: NodeTerms, carrier: Calendar, now: int) -> datetime.date:
    day = after(terms.calendar, begun(terms, now), terms.handling_days)
    while not (works(terms.calendar, day) and works(carrier, day)):
        day += DAY
    return day


def zone(card: ServiceCard, table: str, node_id: str, code: str, metres: int) -> str | None:
    of = card.zones[table]
    if of.bands:
        return next(of.zones[number] for end, number in of.bands if metres <= end)
    for length in range(len(code), -1, -1):
        for node in (node_id, ""):
            number = of.prefixes.get(node, {}).get(code[:length])
            if number is not None:
                return of.zones[number]
    return None


def slabs(of: Slabs, grams: int) -> int:
    price, left = of.first, grams - of.first_g
    while left > 0:
        price, left = price + of.step, left - of.step_g
    return price


def weight(card: ServiceCard, sku: str) -> int:
    skus, grams = card.weights
    found = dict(zip(skus.to_pylist(), grams.tolist(), strict=True))
    return found.get(sku, card.weight_g)


def offers(
    card: ServiceCard,
    node_ids: Sequence[str],
    skus: Sequence[str],
    code: str,
    parts: Sequence[Part],
    cash: bool,
    now: int,
) -> dict[str, Offer]:
    """What each service promises for a cart of which these parts were drawn."""
    grams: dict[int, int] = defaultdict(int)
    metres: dict[int, int] = {}
    handling = 0
    for node, sku, units, distance in parts:
        if node >= 0:
            grams[node] += units * weight(card, skus[sku])
            metres[node] = distance
            handling += units * card.nodes.get(node_ids[node], card.node).handling_fee  # type: ignore[union-attr]
    found = {}
    for service in card.services:
        carrier, price, last = card.carriers[service.carrier], handling, []
        for node, weighs in grams.items():
            terms = card.nodes.get(node_ids[node], card.node)
            assert terms is not None
            of = service.slabs.get(zone(card, service.zones, node_ids[node], code, metres[node]) or "")
            if of is None or weighs > service.heaviest_g or (cash and service.cash_fee is None):
                break
            price += slabs(of, weighs) + (service.cash_fee or 0) * cash
            day = leaves(terms, carrier, now)
            last.append((day, moment(terms, day), after(carrier, day, of.transit_days)))
        if last and len(last) == len(grams):
            days = [max(column) for column in zip(*last, strict=True)]
            found[service.name] = Offer(*days, price + card.split_penalty * (len(last) - 1))  # type: ignore[arg-type]
    return found


def order_by(card: ServiceCard, node_ids: Sequence[str], parts: Sequence[Part], now: int) -> int:
    """Until when the dates hold; -1 where nothing can be sent."""
    moments = []
    for node, *_ in parts:
        if node >= 0:
            terms = card.nodes.get(node_ids[node], card.node)
            assert terms is not None
            moments.append(moment(terms, begun(terms, now)))
    return min(moments, default=-1)
