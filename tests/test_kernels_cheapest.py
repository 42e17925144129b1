"""Orders decided by cost and by prices of stock, against every assignment of lines to nodes; prices against the
difference of two optima."""

import itertools
from typing import Any

import numpy as np
import pytest

from engine.ragged import offsets, owners
from kernels.capacity import no_capacity
from kernels.cheapest import LINES_PRICED_MAX, Fees, Prices
from kernels.columns import (
    NO_NODE,
    NODES_MAX,
    NONE,
    POLICY_FIGURES,
    Batch,
    Cells,
    Drawn,
    Fences,
    OnShort,
    Outcome,
    Places,
    Policies,
    no_terms,
)
from kernels.forecast import price_by_forecast
from kernels.nearest import empty_drawn, nearest, parts_max
from kernels.pricing import Costs

FEES = Fees(4000.0, 0.004, 500.0, 0.001)


class Shop:
    """Stock at a few nodes, places at random distances, one channel."""

    def __init__(self, seed: int, nodes: int = 4, skus: int = 4, most: int = 4, split: bool = True) -> None:
        chance = np.random.default_rng(seed)
        self.nodes, self.skus, self.split = nodes, skus, split
        self.available = chance.integers(0, most + 1, (skus, nodes)).astype(np.int32)
        self.metres = chance.integers(1_000, 2_000_000, (3, nodes)).astype(np.int32)
        self.value = chance.integers(0, 20_000, (skus, nodes)).astype(np.int32)
        self.group = int(chance.integers(1, 1 << nodes))
        stocked = ((self.available > 0).astype(np.uint64) << np.arange(nodes, dtype=np.uint64)).sum(1, dtype=np.uint64)
        self.cells = Cells(
            np.arange(skus, dtype=np.int32), np.zeros((0, nodes, 8), np.int32), self.available.copy(), stocked[:, None]
        )
        empty, empty16 = np.zeros(0, np.int32), np.zeros(0, np.int16)
        self.fences = Fences(np.full(skus, NONE, np.int32), empty16, empty16, empty, empty)
        group = np.zeros((1, NODES_MAX // 64), np.uint64)
        group[0, 0] = self.group
        zeros = np.zeros(1, np.int32)
        self.policies = Policies(
            group, np.array([split], np.uint8), np.full(1, OnShort.KEEP, np.uint8), *[zeros] * 6,
            np.full(skus, NONE, np.int32), empty16, np.zeros((0, len(POLICY_FIGURES)), np.int32), empty,
            np.zeros((1, NODES_MAX // 64), np.uint64),
        )  # fmt: skip
        rank = np.argsort(self.metres, axis=1, kind="stable").astype(np.uint8)
        self.places = Places(self.metres, rank)

    def decide(self, orders: list[tuple[int, list[tuple[int, int]]]], priced: bool = True) -> Drawn:
        """Orders as (place, [(SKU, units)])."""
        lines = [line for _, order in orders for line in order]
        batch = Batch(
            np.zeros(len(orders), np.int16), np.array([place for place, _ in orders], np.int32),
            offsets(np.array([len(order) for _, order in orders])), np.array([sku for sku, _ in lines], np.int32),
            np.array([units for _, units in lines], np.int32), *no_terms(len(orders)),
        )  # fmt: skip
        drawn = empty_drawn(len(orders), len(lines), parts_max(batch.quantity, self.nodes), self.nodes, True)
        counters = np.zeros(self.skus, np.int64), np.zeros(3, np.int64)
        value = self.value if priced else np.empty((0, 0), np.int32)
        count = nearest(
            batch,
            self.nodes,
            self.cells,
            self.fences,
            self.policies,
            self.places,
            Prices(value, *counters, FEES),
            no_capacity(),
            drawn,
        )
        cut = {name: getattr(drawn, name)[:count] for name in ("node", "quantity", "fenced", "metres")}
        return drawn._replace(**cut)

    def cost(self, place: int, parts: list[tuple[int, int, int]]) -> float:
        """Of (SKU, node, units): shipments, units, prices."""
        total = 0.0
        for node in {node for _, node, _ in parts}:
            total += FEES.shipment + FEES.shipment_metre * self.metres[place, node]
        for sku, node, units in parts:
            total += units * (FEES.unit + FEES.unit_metre * self.metres[place, node] + self.value[sku, node])
        return total

    def extra_cost(self, place: int, sku: int, node: int, units: int) -> int:
        """Of a line at a node, beyond the cheapest that has any."""
        alone = [FEES.shipment + FEES.shipment_metre * metres + units * (FEES.unit + FEES.unit_metre * metres)
                 for metres in self.metres[place].tolist()]  # fmt: skip
        may = [at for at in range(self.nodes) if self.available[sku, at] and self.group >> at & 1]
        return round(alone[node] - min(alone[at] for at in may))

    def least(self, place: int, order: list[tuple[int, int]]) -> float | None:
        """By every way to give each SKU whole from one node; None where there is none."""
        found = None
        for nodes in itertools.product(range(self.nodes), repeat=len(order)):
            fits = all(
                self.available[sku, node] >= units and self.group >> node & 1
                for (sku, units), node in zip(order, nodes, strict=True)
            )
            if fits and (self.split or len(set(nodes)) == 1):
                parts = [(sku, node, units) for (sku, units), node in zip(order, nodes, strict=True)]
                cost = self.cost(place, parts)
                found = cost if found is None else min(found, cost)
        return found


def parts_of(drawn: Drawn, order: list[tuple[int, int]]) -> list[tuple[int, int, int]]:
    line = owners(offsets(drawn.part_count))
    return [
        (order[at][0], int(node), int(units)) for at, node, units in zip(line, drawn.node, drawn.quantity, strict=True)
    ]


@pytest.mark.parametrize("split", [True, False])
def test_an_order_gets_the_least_cost_of_all_ways_to_give_its_lines_whole(split: bool) -> None:
    whole = 0
    for seed in range(150):
        shop, chance = Shop(seed, split=split), np.random.default_rng(seed)
        order = [(int(sku), int(chance.integers(1, 4))) for sku in chance.permutation(4)[: chance.integers(1, 5)]]
        place, least = int(chance.integers(3)), shop.least(int(chance.integers(3)), order)
        least = shop.least(place, order)
        drawn = shop.decide([(place, order)])
        if least is None:
            by_distance = Shop(seed, split=split).decide([(place, order)], priced=False)
            assert all((mine == its).all() for mine, its in zip(drawn, by_distance, strict=True))
            assert (drawn.extra_cost == NONE).all()
            continue
        whole += 1
        parts = parts_of(drawn, order)
        assert shop.cost(place, parts) == pytest.approx(least)
        assert drawn.outcome[0] == Outcome.ALLOCATED
        assert drawn.metres.tolist() == [shop.metres[place, node] for _, node, _ in parts]
        assert drawn.extra_cost.tolist() == [shop.extra_cost(place, *part) for part in parts]
        for sku, node, units in parts:
            left = shop.cells.available[sku, node]
            assert left == shop.available[sku, node] - units
            assert bool(int(shop.cells.stocked[sku, 0]) >> node & 1) == (left > 0)
    assert whole > 50


def test_lines_of_one_sku_come_from_one_node_and_what_is_there_is_not_given_twice() -> None:
    shop = Shop(3)
    shop.available[0] = shop.cells.available[0] = [3, 3, 0, 0]
    shop.cells.stocked[0, 0] = 0b11
    shop.policies.nodes[0, 0] = 0b11
    drawn = shop.decide([(0, [(0, 1), (0, 2)]), (0, [(0, 3)]), (0, [(0, 1)])])
    assert drawn.node[0] == drawn.node[1] != drawn.node[2]
    assert drawn.node[3] == NO_NODE


def test_where_prices_are_equal_a_farther_node_saves_a_shipment() -> None:
    shop = Shop(1, nodes=2, skus=2)
    shop.policies.nodes[0, 0] = 0b11
    shop.metres[0] = [10_000, 60_000]
    shop.available[:] = shop.cells.available[:] = [[1, 1], [0, 1]]
    shop.cells.stocked[:, 0] = [0b11, 0b10]
    shop.value[:] = 0
    assert shop.decide([(0, [(0, 1), (1, 1)])]).node.tolist() == [1, 1]


def test_a_unit_that_is_dear_elsewhere_is_left_there() -> None:
    shop = Shop(1, nodes=2, skus=1)
    shop.policies.nodes[0, 0] = 0b11
    shop.metres[0] = [10_000, 60_000]
    shop.available[:] = shop.cells.available[:] = [[1, 1]]
    shop.cells.stocked[:, 0] = 0b11
    shop.value[:] = [[5_000, 0]]
    assert shop.decide([(0, [(0, 1)])]).node.tolist() == [1]


def test_an_order_of_many_skus_is_decided_by_distance() -> None:
    skus = LINES_PRICED_MAX + 1
    order = [(sku, 1) for sku in range(skus)]
    mine, its = (Shop(5, skus=skus).decide([(0, order)], priced) for priced in (True, False))
    assert all((a == b).all() for a, b in zip(mine, its, strict=True))


# Prices


def cost_of_demand(costs: Costs, units: int, stock: Any) -> float:
    """Units to the one zone there is, from the cheapest stock."""
    each = np.sort(np.repeat(costs.shipment[0] + costs.unit[0], stock))[:units]
    each = each[each < costs.short]
    return float(each.sum() + (units - each.size) * costs.short)


def test_a_price_is_what_the_demand_costs_more_without_the_unit() -> None:
    for seed in range(40):
        chance = np.random.default_rng(seed)
        nodes, units = 5, int(chance.integers(1, 9))
        costs = Costs(chance.integers(1, 30, (1, nodes)) * 1000.0, np.full((1, nodes), 500.0), 25_000.0)
        stock = chance.integers(0, 4, (1, nodes)).astype(np.int32)
        value = np.empty((1, nodes), np.int32)
        price_by_forecast(costs, np.ones(1), np.array([float(units)]), np.ones(3), stock, seed, value)
        for node in np.flatnonzero(stock[0]):
            less = stock[0].copy()
            less[node] -= 1
            more = cost_of_demand(costs, units, less) - cost_of_demand(costs, units, stock[0])
            assert value[0, node] == pytest.approx(more, abs=1)


def test_without_demand_or_with_plenty_of_stock_a_unit_is_worth_nothing() -> None:
    costs, value = Costs(np.array([[1.0, 2.0]]), np.zeros((1, 2)), 100.0), np.full((2, 2), 7, np.int32)
    stock = np.array([[1, 1], [9, 9]], np.int32)
    price_by_forecast(costs, np.ones(1), np.array([0.0, 3.0]), np.ones(2), stock, 1, value)
    assert (value == 0).all()


def test_much_demand_is_scaled_down_with_its_stock() -> None:
    costs, value = Costs(np.array([[1000.0, 3000.0]]), np.zeros((1, 2)), 60_000.0), np.empty((2, 2), np.int32)
    stock = np.array([[500_000, 900_000], [1_500_000, 900_000]], np.int32)
    price_by_forecast(costs, np.ones(1), np.full(2, 1e6), np.ones(1), stock, 1, value)
    assert value.tolist() == [[2000, 0], [0, 0]]


def test_zones_are_drawn_by_their_share() -> None:
    """Two zones, each beside its own node: what is ordered more is dearer there, and draws are the same each time."""
    costs = Costs(np.array([[1000.0, 9000.0], [9000.0, 1000.0]]), np.zeros((2, 2)), 60_000.0)
    stock, values = np.full((200, 2), 5, np.int32), []
    for _ in range(2):
        value = np.empty((200, 2), np.int32)
        price_by_forecast(costs, np.array([0.8, 1.0]), np.full(200, 8.0), np.ones(4), stock, 1, value)
        values.append(value)
    assert (values[0] == values[1]).all()
    dear, cheap = values[0].mean(0)
    assert dear > 4 * cheap
    assert len(np.unique(values[0][:, 0])) > 1
