"""kernels/promise.py and `foresee` against their twins: seeded random shops, cards and calendars."""

import datetime
import random
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from engine.promise import Foreseen, promise
from engine.rates.card import Calendar, NodeTerms, Service, ServiceCard, Slabs
from engine.rates.tariff import Tariff
from engine.rates.zones import FAR, ZoneTable
from kernels.cheapest import no_prices
from kernels.columns import NO_NODE, NONE, Batch, Drawn
from kernels.nearest import empty_drawn, foresee, nearest, parts_max
from tests import promise_twin as twin
from tests.driving import COMPILED
from tests.test_kernels_nearest import CODES, batch_of, parts_of, random_orders, random_shop

DAY_US = 86_400_000_000
NOW = 1_790_000_000_000_000  # UTC us, in September 2026
CASES = 60 if COMPILED else 3
POSTAL_CODES = ["560001", "560034", "400001", "744101", "110001"]
assert len(POSTAL_CODES) == CODES


def random_calendar(rng: random.Random) -> Calendar:
    """It works on Wednesdays, so that any two have a day in common."""
    today = NOW // DAY_US
    weekdays = [rng.random() < 0.7 for _ in range(7)]
    weekdays[2] = True
    closed = rng.sample(range(today - 5, today + 60), rng.choice((0, 0, 3, 40)))
    return Calendar(tuple(weekdays), tuple(sorted(closed)))


def random_card(rng: random.Random, node_ids: list[str]) -> ServiceCard:
    def terms() -> NodeTerms:
        return NodeTerms(
            random_calendar(rng), rng.randint(-840, 840), rng.randrange(1440), rng.choice((0, 0, 1, 4)),
            rng.choice((0, 0, 250)),
        )  # fmt: skip

    def slabs() -> Slabs:
        return Slabs(
            rng.choice((1, 500, 1000)), rng.randint(0, 9000), rng.choice((1, 300, 500)), rng.randint(0, 90),
            rng.choice((0, 1, 2, 9)),
        )  # fmt: skip

    some = rng.sample(node_ids, rng.randint(0, min(3, len(node_ids))))
    by_node = {node: {rng.choice(("5600", "56", "400001", "")): rng.randrange(3)} for node in some}
    zones = {
        "codes": ZoneTable("codes", ("a", "b", "c"), {"": {"": 0, "560": 1, "560034": 2, "7": 1}, **by_node}, ()),
        "bands": ZoneTable("bands", ("near", "far"), {}, ((rng.choice((2, 500, 900_000)), 0), (FAR, 1))),
    }
    services = []
    for number in range(rng.randint(1, 4)):
        table = rng.choice(list(zones))
        served = [zone for zone in zones[table].zones if rng.random() < 0.9]
        services.append(
            Service(
                f"s{number}", rng.choice("xy"), table, rng.choice((900, 5000, 100_000)), rng.choice((None, 0, 350)),
                {zone: slabs() for zone in served},
            )
        )  # fmt: skip
    weights = pa.array(["SKU-0", "SKU-2"]), np.array([rng.randint(1, 3000), 77], np.int64)
    return ServiceCard(
        "card", "INR", rng.choice((0, 1500)), None, rng.randint(1, 900), weights, zones,
        {"x": random_calendar(rng), "y": random_calendar(rng)}, tuple(services), terms(),
        {node: terms() for node in rng.sample(node_ids, min(2, len(node_ids)))},
    )  # fmt: skip


def seen(drawn: Drawn, skus: list[str]) -> Foreseen:
    return Foreseen(1, drawn, 0, (0, 0), pa.array(POSTAL_CODES), pa.array(skus), np.empty(0))


def foreseen(shop: object, batch: Batch) -> Drawn:
    """What the carts would draw; the columns must be as before."""
    cells, fences, policies, places = shop.columns()  # type: ignore[attr-defined]
    capacity = shop.capacity()  # type: ignore[attr-defined]
    columns = cells, fences, policies, places, capacity
    before = [column.copy() for of in columns for column in of]
    drawn = empty_drawn(batch.channel.size, batch.sku.size, parts_max(batch.quantity, shop.nodes), shop.nodes)  # type: ignore[attr-defined]
    count = foresee(batch, shop.nodes, cells, fences, policies, places, no_prices(), capacity, drawn)  # type: ignore[attr-defined]
    assert count == drawn.part_count.sum()
    for column, was in zip((column for of in columns for column in of), before, strict=True):
        assert (column == was).all()
    return drawn


@pytest.mark.parametrize("nodes", [1, 3, 22, 64, 65, 130])
@pytest.mark.parametrize("fences", [0, 40])
def test_each_cart_is_foreseen_as_nearest_allocates_it_alone_and_nothing_is_claimed(nodes: int, fences: int) -> None:
    for seed in range(max(2, CASES // 10)):
        rng = random.Random(f"{nodes} {fences} {seed}")
        shop = random_shop(rng, nodes, 8, fences, 6)
        carts = random_orders(rng, 8, 30, 4, 6)
        batch = batch_of(carts)
        drawn = foreseen(shop, batch)
        for number, cart in enumerate(carts):
            cells, fenced, policies, places = shop.columns()
            alone = batch_of([cart])
            one = empty_drawn(1, alone.sku.size, parts_max(alone.quantity, nodes), nodes)
            nearest(alone, nodes, cells, fenced, policies, places, no_prices(), shop.capacity(), one)
            assert parts_of(drawn, batch, number) == parts_of(one, alone, 0)
            assert drawn.outcome[number] == one.outcome[0]


@pytest.mark.parametrize("seed", range(CASES))
def test_a_promise_is_that_of_the_twin(seed: int) -> None:
    rng = random.Random(seed)
    nodes, skus = rng.choice((1, 3, 22, 70)), [f"SKU-{i}" for i in range(6)]
    node_ids = [f"N{i}" for i in range(nodes)]
    shop, carts = random_shop(rng, nodes, 6, 0, 12), random_orders(rng, 6, 25, 4, 12)
    batch, card = batch_of(carts), random_card(rng, node_ids)
    drawn, cash = foreseen(shop, batch), np.array([rng.random() < 0.3 for _ in carts], np.uint8)
    tariff = Tariff(card, node_ids)
    for now in sorted(NOW + rng.randrange(-3 * DAY_US, 9 * DAY_US) for _ in range(3)):
        out = promise(tariff, batch, seen(drawn, skus), cash, now)
        for number, (_, code, lines, *_) in enumerate(carts):
            parts = [
                (node, sku, units, metres)
                for (sku, _), of in zip(lines, parts_of(drawn, batch, number), strict=True)
                for node, units, _, metres in of
            ]
            given = sum(units for node, _, units, _ in parts if node != NO_NODE)
            assert out.units_short[number] == sum(units for _, units in lines) - given
            assert out.order_by[number] == twin.order_by(card, node_ids, parts, now)
            expected = twin.offers(card, node_ids, skus, POSTAL_CODES[code], parts, bool(cash[number]), now)
            for place, service in enumerate(card.services):
                figures = (out.ship_day, out.ship_at, out.deliver_day, out.price)
                found = [int(figure[number, place]) for figure in figures]
                if service.name not in expected:
                    assert found == [NONE] * 4
                    continue
                ship, at, deliver, price = expected[service.name]
                assert found == [(ship - twin.EPOCH).days, at, (deliver - twin.EPOCH).days, price]


@pytest.mark.parametrize("seed", range(CASES))
def test_dates_hold_until_order_by_and_not_at_it(seed: int) -> None:
    rng = random.Random(seed)
    card = random_card(rng, ["N0"])
    tariff = Tariff(card, ["N0"])
    none = (0, 0), pa.array([], pa.string()), pa.array([], pa.string())

    def dates(now: int) -> tuple[list[int], list[int]]:
        found = tariff.terms(now, *none).dates
        return found.ship_at[0].tolist(), found.order_by.tolist()

    now = NOW + rng.randrange(DAY_US)
    first, (until,) = dates(now)
    assert dates(until - 1) == (first, [until])
    later, (then,) = dates(until)
    assert then > until
    assert all(a >= b for a, b in zip(later, first, strict=True))
    assert dates(now) == (first, [until])  # who asks of an earlier moment is not given the later dates


def test_a_week_with_a_holiday_by_hand() -> None:
    """Friday the 2nd of October 2026 is a holiday of the node, which is closed on Sundays too; it is 15:59 on Thursday,
    then 16:00, in Bengaluru. The carrier does not work on Saturdays."""
    holiday = (datetime.date(2026, 10, 2) - twin.EPOCH).days
    node = NodeTerms(Calendar((True,) * 6 + (False,), (holiday,)), 330, 16 * 60, 0, 0)
    carrier = Calendar((True,) * 5 + (False, True), ())
    service = Service("s", "x", "z", 1000, None, {"a": Slabs(500, 100, 500, 10, 2)})
    zones = {"z": ZoneTable("z", ("a",), {"": {"": 0}}, ())}
    weights = pa.array([], pa.string()), np.empty(0, np.int64)
    card = ServiceCard("card", "INR", 0, None, 501, weights, zones, {"x": carrier}, (service,), node, {})
    drawn = Drawn(
        np.ones(1, np.uint8), np.ones(1, np.int32), np.zeros(1, np.int16), np.ones(1, np.int32),
        np.zeros(1, np.int32), np.ones(1, np.int32), np.zeros(1, np.uint8), np.zeros((1, 1), np.uint64),
        np.zeros((1, 1), np.uint64), np.empty(0, np.int64),
    )  # fmt: skip
    cut_off = int(datetime.datetime(2026, 10, 1, 10, 30, tzinfo=datetime.UTC).timestamp() * 1e6)

    def dates(now: int, of: ServiceCard = card) -> tuple[str, str, int]:
        found = promise(Tariff(of, ["N"]), batch_of([(0, 0, [(0, 1)])]), seen(drawn, ["S"]), np.zeros(1, np.uint8), now)
        ship, deliver = (twin.EPOCH + twin.DAY * int(day[0, 0]) for day in (found.ship_day, found.deliver_day))
        return ship.isoformat(), deliver.isoformat(), int(found.price[0, 0])

    assert dates(cut_off - 1) == ("2026-10-01", "2026-10-04", 110)  # Thursday; Friday, Sunday
    assert dates(cut_off) == ("2026-10-05", "2026-10-07", 110)  # Saturday it is begun, and fetched on Monday
    slow = replace(card, node=replace(node, handling_days=1))
    assert dates(cut_off - 1, slow) == ("2026-10-05", "2026-10-07", 110)  # ready on Saturday
    assert dates(cut_off, slow) == ("2026-10-05", "2026-10-07", 110)  # ready on Monday
