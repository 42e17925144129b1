"""Least cost where orders come one after the other: a month of real orders replayed day by day through an engine that
decides by prices of stock, beside one that decides by distance, and beside the plan and the bound of somebody who knows
the whole month before it begins.

The month before is the history that the first prices rest on; then prices are refreshed as time passes. Stock is
simulated as in P5. `python -m benchmarks --only online`.
"""

import time
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from benchmarks import load
from benchmarks.engine_alone import data_folder, drive, stocked_engine
from benchmarks.least_cost_world import CARD, fulfilment_centres, joined, report_lines, report_places
from benchmarks.row import Row
from engine.commands import MoveStock, PlaceOrders, PutChannels, PutNames, PutNodes, PutPostalCodes
from engine.intake.job import memory_engine
from engine.intake.rate_card import kilometres
from engine.outcomes import MovementKind, Namespace
from engine.planning import Demand, plan
from engine.prices import Pricing
from engine.ragged import elements, offsets, owners
from kernels.columns import NO_NODE, OnShort
from kernels.pricing import Costs

STOCK = (0.8, 1.0, 1.2, 2.0)  # units over the units ordered in the month
HISTORY, MONTH = 4, 5  # April 2022, then May
REFRESHES_A_DAY = 4
BASKET_LINES = 5
LANE_BATCHES, LANE_BATCHES_QUICK = 200, 40
WARM_UP = 20  # batches, of which the first prices are made
_DAY_SECONDS = 86_400.0


class Orders(NamedTuple):
    """Orders by day."""

    demand: Demand
    day: Any  # int64 [order] seconds since 1970


class World(NamedTuple):
    """Two months of orders over one catalogue."""

    history: Orders
    month: Orders
    skus: int
    codes: Any  # float64 [code, 2] degrees
    nodes: Any  # float64 [node, 2] degrees


def rows(quick: bool = False) -> list[Row]:
    """Cost over the bound of the month: by prices, beside distance and beside the plan of the whole month."""
    out = []
    for basket in (1, BASKET_LINES):
        world = _world(basket)
        for level in (1.0,) if quick else STOCK:
            stock = _stock(world, level)
            whole = plan(world.month.demand, _costs(world), stock)
            by_price, by_distance = _replayed(world, stock, True), _replayed(world, stock, False)
            over = [100 * (cost / whole.bound - 1) for cost in (by_price, by_distance, whole.cost)]
            what = f"{'baskets' if basket > 1 else 'single lines'}, stock {level:g}, day by day: over the bound"
            out.append(Row("online", what, over[0], "%", {"nearest": over[1], "the month known": over[2]}))
    return [*out, *_lane(LANE_BATCHES_QUICK if quick else LANE_BATCHES)]


def _lane(batches: int) -> list[Row]:
    """The durable engine deciding by warm prices, beside itself deciding by distance; no network."""
    runs = []
    for by_price in (True, False):
        with data_folder() as path, stocked_engine(path, (batches + WARM_UP) * load.BATCH_ORDERS) as engine:
            pricing = Pricing(engine.state, CARD, 1.0) if by_price else None
            commands = list(load.place_orders(batches + WARM_UP))
            drive(engine, commands[:WARM_UP])
            began = time.process_time()
            priced = pricing.refresh(_DAY_SECONDS) if pricing else 0
            seconds = time.process_time() - began
            if pricing:
                pace = Row(
                    "online", f"prices of {priced:,} SKUs at {load.NODES} nodes", seconds * 1e6 / priced, "us/SKU"
                )
            runs.append(drive(engine, commands[WARM_UP:]))
    speed = [run.orders / run.seconds for run in runs]
    cpu = [1e9 * run.decide_seconds / run.orders for run in runs]
    return [
        pace,
        Row(
            "online", "durable engine, batches decided by warm prices", speed[0], "orders/s", {"by distance": speed[1]}
        ),
        Row("online", "the same, deciding thread, processor time", cpu[0], "ns/order", {"by distance": cpu[1]}),
    ]


def _world(basket: int) -> World:
    places, chance = report_places(), np.random.default_rng(0)
    skus: dict[str, int] = {}
    codes: dict[str, int] = {}
    months = []
    for month in (HISTORY, MONTH):
        lines = [line for line in report_lines(places, 10**9) if int(line[0].split("-")[0]) == month]
        if basket > 1:
            lines = joined(lines, basket, chance)
        months.append(_orders(lines, skus, codes))
    at = np.array([places[code] for code in codes])
    return World(months[0], months[1], len(skus), at, np.array(fulfilment_centres()))


def _orders(lines: list[Any], skus: dict[str, int], codes: dict[str, int]) -> Orders:
    by_name: dict[str, list[Any]] = {}
    for line in lines:
        by_name.setdefault(line[1], []).append(line)
    found = sorted(by_name.values(), key=lambda order: _seconds(order[0][0]))
    demand = Demand(
        offsets(np.array([len(order) for order in found])),
        np.array([codes.setdefault(order[0][2], len(codes)) for order in found], np.int32),
        np.array([skus.setdefault(line[3], len(skus)) for order in found for line in order], np.int32),
        np.array([line[4] for order in found for line in order], np.int32),
    )
    return Orders(demand, np.array([_seconds(order[0][0]) for order in found]))


def _seconds(day: str) -> float:
    month, of_month, year = map(int, day.split("-"))
    return datetime(2000 + year, month, of_month, tzinfo=UTC).timestamp()


def _stock(world: World, level: float) -> Any:
    """int32 [sku, node]: so many times what the month orders, spread by chance."""
    chance, demand = np.random.default_rng(0), world.month.demand
    wanted = np.bincount(demand.sku, demand.quantity, world.skus)
    units = (wanted * level + chance.random(world.skus) * (wanted > 0)).astype(np.int64)
    nodes = len(world.nodes)
    return np.array([chance.multinomial(n, chance.dirichlet(np.full(nodes, 2.0))) for n in units], np.int32)


def _km(world: World) -> Any:
    return kilometres(world.codes[:, :1], world.codes[:, 1:], world.nodes[:, 0], world.nodes[:, 1])


def _costs(world: World) -> Costs:
    return Costs(*CARD.costs_over(_km(world)), CARD.shortage_penalty)


def _replayed(world: World, stock: Any, by_price: bool) -> float:
    """The month through an engine, a part of a day at a time; what it costs."""
    orders, km, total = world.month, _km(world), 0.0
    days = np.unique(orders.day)
    with memory_engine() as engine:
        for command in _catalogue(world, stock):
            engine.commit(command, 1)
        pricing = Pricing(engine.state, CARD, float(np.ptp(days)) / _DAY_SECONDS + 1) if by_price else None
        if pricing is not None:
            pricing.refresh(float(world.history.day.min()))
            before = world.history.demand  # as if it had come through the engine
            np.add.at(engine.state.prices.ordered, before.sku, before.quantity)
            np.add.at(engine.state.prices.reached, before.zone, 1)
            pricing.refresh(float(days[0]))
        for day in days:
            if pricing is not None:
                pricing.lasts_days = float(days[-1] - day) / _DAY_SECONDS + 1  # the month is known to end
            for part, picked in enumerate(np.array_split(np.flatnonzero(orders.day == day), REFRESHES_A_DAY)):
                answers = engine.commit(_placed(orders.demand, picked), int(day * 1e6))
                total += _cost(answers, km[orders.demand.zone[picked]])
                if pricing is not None:
                    pricing.refresh(float(day) + (part + 1) * _DAY_SECONDS / REFRESHES_A_DAY)
    return total


def _catalogue(world: World, stock: Any) -> list[Any]:
    nodes, codes = (np.rint(at * 1e7).astype(np.int32) for at in (world.nodes, world.codes))
    sku, node = (index.astype(kind) for index, kind in zip(np.nonzero(stock), (np.int32, np.int16), strict=True))
    zeros, all_nodes = np.zeros(1, np.int32), np.full((1, 4), np.iinfo(np.uint64).max, np.uint64)
    return [
        PutNodes("nodes", _names(len(nodes)), *nodes.T.copy(), np.ones(len(nodes), np.uint8)),
        PutPostalCodes("codes", _names(len(codes)), *codes.T.copy(), np.zeros(len(codes), np.uint8)),
        PutNames("skus", Namespace.SKU, _names(world.skus)),
        PutChannels(
            "channel", _names(1), all_nodes, zeros, np.full(1, OnShort.KEEP, np.uint8), np.ones(1, np.uint8),
            zeros + 1_000_000, zeros, zeros + np.iinfo(np.int32).max, zeros, zeros, np.zeros(1, np.uint8),
        ),
        MoveStock("stock", sku, node, np.full(sku.size, MovementKind.RECEIVED, np.uint8), stock[sku, node]),
    ]  # fmt: skip


def _names(count: int) -> pa.StringArray:
    return pa.array([f"{at}" for at in range(count)])


def _placed(demand: Demand, orders: Any) -> PlaceOrders:
    lines = elements(demand.first_line, orders)
    return PlaceOrders(
        pa.array([f"{order}" for order in orders]), np.zeros(orders.size, np.int16), demand.zone[orders],
        offsets(np.diff(demand.first_line)[orders]), demand.sku[lines], demand.quantity[lines],
    )  # fmt: skip


def _cost(answers: Any, km: Any) -> float:
    """By the rate card. km: [order, node]."""
    order, units = owners(answers.first_line)[owners(answers.first_part)], answers.part_quantity
    given = answers.node != NO_NODE
    shipments = np.unique(np.stack([order[given], answers.node[given]]), axis=1)
    each = CARD.shipment_fee + CARD.fee_per_km * km[shipments[0], shipments[1]]
    of_units = CARD.handling_fee + CARD.fee_per_unit_km * km[order[given], answers.node[given]]
    return float(each.sum() + (units[given] * of_units).sum() + units[~given].sum() * CARD.shortage_penalty)
