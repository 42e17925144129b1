"""Days replayed upon claims that are thrown away, against a twin in plain Python, and against the engine itself day by
day; what every replay keeps to, and that the capacity it says nodes need is enough."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.capacity import UNLIMITED
from engine.commands import PlaceOrders, PutChannels
from engine.intake.days import Clock
from engine.intake.job import memory_engine
from engine.intake.rate_card import RateCard
from engine.outcomes import Namespace
from kernels.columns import OnShort
from server.cli.jobs import Files, read_files
from server.cli.output import bar
from server.cli.plan_growth import INDIA, drawn_day, grow, orders_at, prepare
from tests.plan_twin import ANY, Card, Node, Order, Twin
from tests.rules import Terms

CODES = ((28.62, 77.21), (18.94, 72.84), (13.09, 80.28), (22.57, 88.36))
PLACES = ((28.6, 77.2), (18.9, 72.8), (13.1, 80.3))
CARD = Card(4000.0, 4.0, 500.0, 1.0, 60_000.0)
SKUS = 3
DAY_US = 86_400_000_000
MIDNIGHT = Clock(INDIA, 0, "midnight")

limits = st.one_of(st.just(ANY), st.integers(0, 6))
nodes = st.lists(limits, min_size=2 * len(PLACES), max_size=2 * len(PLACES)).map(
    lambda of: [Node(place, *of[2 * at : 2 * at + 2]) for at, place in enumerate(PLACES)]
)
line = st.tuples(st.integers(0, SKUS - 1), st.integers(1, 4))
terms = st.sampled_from([Terms()] * 6 + [Terms(nodes_max=1), Terms(nodes_max=2), Terms(complete=True)])
order = st.builds(Order, st.integers(0, len(CODES) - 1), st.lists(line, min_size=1, max_size=3), terms)
days = st.lists(st.lists(order, max_size=7), min_size=1, max_size=5).filter(lambda days: any(days))
stock = st.dictionaries(
    st.tuples(st.integers(0, SKUS - 1), st.integers(0, len(PLACES) - 1)), st.integers(1, 25), min_size=1
)


def files_of(folder: Path, nodes: list[Node], days: list[list[Order]], stock: dict[Any, int]) -> Files:
    """The instance as files, and these as read."""

    def write(name: str, head: str, rows: Any) -> Path:
        with (folder / name).open("w", newline="") as file:
            csv.writer(file).writerows([head.split(","), *rows])
        return folder / name

    first = next(at for at, day in enumerate(days) if day)
    rows = [
        (f"{day}-{at}", f"2025-10-{1 + day:02}", f"P{order.code}", f"S{sku}", units, order.terms.nodes_max,
         int(order.terms.complete))
        for day, orders in enumerate(days[first:]) for at, order in enumerate(orders) for sku, units in order.lines
    ]  # fmt: skip
    told = [(f"N{at}", *node.place, *("" if limit == ANY else limit for limit in (node.orders, node.units)))
            for at, node in enumerate(nodes)]  # fmt: skip
    paths = (
        write("orders.csv", "order_id,placed_at,postal_code,sku,quantity,nodes_max,ship_complete", rows),
        write("nodes.csv", "node_id,latitude,longitude,orders_per_day,units_per_day", told),
        write("stock.csv", "sku,node_id,on_hand", [(f"S{sku}", f"N{node}", n) for (sku, node), n in stock.items()]),
        write("codes.csv", "postal_code,latitude,longitude", [(f"P{at}", *code) for at, code in enumerate(CODES)]),
    )
    with bar() as progress:
        return replace(read_files(*paths, None, None, progress), card=RateCard(*vars(CARD).values()))


def grown(files: Files, growth: int, stock: str = "with-orders", policy: str = "nearest") -> dict[str, Any]:
    with memory_engine() as engine:
        return grow(prepare(files, engine, MIDNIGHT, policy), growth, stock, 0, lambda _: None)


def trimmed(days: list[list[Order]]) -> list[list[Order]]:
    """Without the days before the first order and after the last."""
    at = [day for day, orders in enumerate(days) if orders]
    return days[at[0] : at[-1] + 1]


@settings(max_examples=60, deadline=None)
@given(nodes, days, stock, st.sampled_from([1, 2, 3]), st.booleans())
def test_a_replay_comes_to_what_plain_python_comes_to(
    tmp_path_factory: pytest.TempPathFactory, nodes: list[Node], days: list[list[Order]], stock: dict[Any, int],
    growth: int, grows: bool,
) -> None:  # fmt: skip
    files = files_of(tmp_path_factory.mktemp("plan"), nodes, days, stock)
    found = grown(files, 1000 * growth, "with-orders" if grows else "as-given")
    times = growth if grows else 1
    copies = [[order for order in day for _ in range(growth)] for day in trimmed(days)]
    twin = Twin(nodes, CODES, {cell: units * times for cell, units in stock.items()}, CARD).replay(copies)
    expected = {
        "orders": twin.orders, "units": twin.ordered, "sent_units": twin.sent, "shipments": twin.shipments,
        "split_orders": twin.split, "late_orders": twin.late_orders, "late_units": twin.late_units,
        "most_days_late": twin.late_days_max, "short_for_stock_units": twin.stock_short,
        "short_for_capacity_units": twin.capacity_short, "short_otherwise_units": twin.other_short,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected
    assert found["days"]["waiting_units"] == twin.waiting
    assert abs(found["cost"] - twin.cost) <= 1
    for at, node in enumerate(nodes):
        its = found["nodes"][f"N{at}"]
        assert list(zip(its["orders"], its["units"], strict=True)) == [
            tuple(twin.taken[day, at]) for day in range(len(copies))
        ]
        assert all(
            orders <= node.orders and units <= node.units
            for orders, units in zip(its["orders"], its["units"], strict=True)
        )
    travelled = sorted(twin.travelled)
    if travelled:
        assert abs(found["mean_distance_m"] - sum(travelled) / len(travelled)) <= 1
        assert abs(found["p95_distance_m"] - travelled[-(-95 * len(travelled) // 100) - 1]) <= 1


@settings(max_examples=60, deadline=None)
@given(nodes, days, stock)
def test_the_engine_itself_with_back_orders_comes_to_the_same_days(
    tmp_path_factory: pytest.TempPathFactory, nodes: list[Node], days: list[list[Order]], stock: dict[Any, int]
) -> None:
    days = [[replace(order, terms=Terms()) for order in orders] for orders in days]
    files = files_of(tmp_path_factory.mktemp("plan"), nodes, days, stock)
    found = grown(files, 1000)
    with memory_engine() as engine:
        prepared = prepare(files, engine, MIDNIGHT, "nearest")
        state, batch = engine.state, prepared.history
        channel = state.names[Namespace.CHANNEL].texts(np.arange(1, dtype=np.int32))
        zeros, ones = np.zeros(1, np.int32), np.ones(1, np.uint8)
        engine.commit(
            PutChannels(
                "waits", channel, np.full((1, 4), np.iinfo(np.uint64).max, np.uint64), zeros,
                np.full(1, OnShort.BACK_ORDER, np.uint8), ones, zeros + 1_000_000, zeros,
                zeros + np.iinfo(np.int32).max, zeros, zeros, np.zeros(1, np.uint8),
            ),
            state.stamp,
        )  # fmt: skip
        begin = state.stamp // DAY_US + 1
        for day in range(len(prepared.days.dates)):
            rows = prepared.days.order[prepared.days.first[day] : prepared.days.first[day + 1]]
            lines = np.concatenate([np.arange(*batch.first_line[row : row + 2]) for row in rows] or [rows]).astype(int)
            first = np.append(0, np.cumsum(np.diff(batch.first_line)[rows]))
            engine.commit(
                PlaceOrders(
                    files.orders.order_id.take(rows), batch.channel[rows], batch.postal_code[rows], first,
                    batch.sku[lines], batch.quantity[lines],
                ),
                int(begin + day) * DAY_US,
            )  # fmt: skip
            for at, node in enumerate(nodes):
                if node.limited and state.days.number[at] == begin + day:
                    its = found["nodes"][f"N{at}"]
                    assert state.days.taken[at].tolist() == [its["orders"][day], its["units"][day]]
        left = sum(stock.values()) - found["sent_units"]
        assert state.cells.available[: SKUS + 1, : len(nodes)].sum() == left


@settings(max_examples=60, deadline=None)
@given(nodes, days, stock, st.sampled_from([500, 1000, 1500, 2750]))
def test_with_the_capacity_that_nodes_are_said_to_need_nothing_waits(
    tmp_path_factory: pytest.TempPathFactory, nodes: list[Node], days: list[list[Order]], stock: dict[Any, int],
    growth: int,
) -> None:  # fmt: skip
    files = files_of(tmp_path_factory.mktemp("plan"), nodes, days, stock)
    found = grown(files, growth)
    terms = files.nodes.terms.copy()
    for at, node in enumerate(found["nodes"].values()):
        for kind, name in enumerate(("orders", "units")):
            if terms[at, kind] != UNLIMITED:
                terms[at, kind] = node[f"{name}_per_day_needed"]
    enough = grown(replace(files, nodes=replace(files.nodes, terms=terms)), growth)
    terms[:, :2] = UNLIMITED
    free = grown(replace(files, nodes=replace(files.nodes, terms=terms)), growth)
    assert enough["late_orders"] == 0
    if all(order.terms == Terms() for day in days for order in day):  # else a full node may have what terms forbid
        assert enough["short_for_capacity_units"] == 0
    for name in ("sent_units", "short_units", "split_orders", "mean_distance_m", "cost"):
        assert enough[name] == free[name]


@settings(max_examples=40, deadline=None)
@given(nodes, days, stock, st.sampled_from([700, 1000, 2500]), st.sampled_from(["nearest", "least-cost"]))
def test_units_and_capacity_are_kept_by_each_policy(
    tmp_path_factory: pytest.TempPathFactory, nodes: list[Node], days: list[list[Order]], stock: dict[Any, int],
    growth: int, policy: str,
) -> None:  # fmt: skip
    files = files_of(tmp_path_factory.mktemp("plan"), nodes, days, stock)
    found = grown(files, growth, policy=policy)
    assert found["units"] == found["sent_units"] + found["short_units"]
    kinds = ("stock", "capacity")
    assert (
        found["short_units"] == sum(found[f"short_for_{kind}_units"] for kind in kinds) + found["short_otherwise_units"]
    )
    assert sum(found["days"]["sent_units"]) == found["sent_units"] <= sum(stock.values()) * growth // 1000
    for at, node in enumerate(nodes):
        its = found["nodes"][f"N{at}"]
        assert max(its["orders"]) <= node.orders
        assert max(its["units"]) <= node.units
    assert sum(sum(node["units"]) for node in found["nodes"].values()) == found["sent_units"]
    assert sum(sum(node["orders"]) for node in found["nodes"].values()) == found["shipments"]
    assert abs(sum(found["bill"].values()) - found["cost"]) <= 1
    assert found["bill"]["shortage_penalty"] == CARD.short * found["short_units"]


def test_a_growth_has_the_orders_of_every_smaller_one(tmp_path: Path) -> None:
    days = [[Order(0, [(0, 1)]) for _ in range(count)] for count in (40, 7, 1)]
    files = files_of(tmp_path, [Node(place) for place in PLACES], days, {(0, 0): 100})
    with memory_engine() as engine:
        prepared = prepare(files, engine, MIDNIGHT, "nearest")
        before = [np.zeros(48, int)] * 3
        for growth in (1, 300, 500, 999, 1000, 1250, 1750, 2000, 3100):
            drawn = [np.bincount(drawn_day(prepared, day, growth, 5), minlength=48) for day in range(3)]
            assert [int(count.sum()) for count in drawn] == [int(orders * growth / 1000 + 0.5) for orders in (40, 7, 1)]
            assert sum(int(count.sum()) for count in drawn) == orders_at(prepared, growth)
            for count, fewer in zip(drawn, before, strict=True):
                assert (count >= fewer).all()
            before = drawn
        same = np.concatenate([drawn_day(prepared, day, 1000, 5) for day in range(3)])
        assert same.tolist() == list(range(48))
        other = [drawn_day(prepared, 0, 500, seed).tolist() for seed in (1, 1, 2)]
        assert other[0] == other[1] != other[2]
