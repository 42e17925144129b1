"""Plans of least cost against the optimum of a mixed integer program (HiGHS, by SciPy), on instances small enough:
the bound is below it, the plan is near it, and what is planned is there."""

import math
from typing import Any, NamedTuple

import numba
import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

from engine import planning
from engine.planning import Demand, Plan, TooManyUnits, plan
from engine.ragged import offsets, owners
from kernels.columns import NO_NODE
from kernels.pricing import Costs, bound

SHORT = 60_000.0


@pytest.fixture(autouse=True)
def few_tries_as_plain_python(monkeypatch: pytest.MonkeyPatch) -> None:
    if numba.config.DISABLE_JIT:
        monkeypatch.setattr(planning, "TRIES_OF_ONE", 1)


class Case(NamedTuple):
    demand: Demand
    costs: Costs
    stock: np.ndarray


def case(seed: int, orders: int = 8, skus: int = 4, nodes: int = 4, lines_max: int = 3, most: int = 2) -> Case:
    """Orders from places in a square of nodes; stock that may be short."""
    chance = np.random.default_rng(seed)
    lines = np.minimum(chance.integers(1, lines_max + 1, orders), skus)
    sku = np.concatenate([chance.permutation(skus)[:count] for count in lines]).astype(np.int32)
    quantity = chance.integers(1, most + 1, sku.size).astype(np.int32)
    zones = max(1, orders // 2)
    km = np.hypot(*(chance.random((2, zones, 1)) - chance.random((2, 1, nodes)))) * 2000
    wanted = np.bincount(sku, quantity, skus)
    spread = chance.dirichlet(np.full(nodes, 2.0), skus) * (wanted * chance.choice([0.8, 1.0, 1.5]))[:, None]
    stock = np.floor(spread + chance.random((skus, nodes))).astype(np.int32)
    zone = chance.integers(0, zones, orders).astype(np.int32)
    return Case(Demand(offsets(lines), zone, sku, quantity), Costs(4000 + 4 * km, 500 + km, SHORT), stock)


def cost_of(found: Case, made: Plan) -> float:
    """The cost of a plan, worked out from its parts alone; and what must hold of them."""
    demand, costs, stock = found
    line = owners(offsets(made.parts.part_count))
    assert (np.bincount(line, made.parts.quantity, demand.sku.size) == demand.quantity).all()
    assert (made.parts.quantity > 0).all()
    left, shipments, total = stock.astype(np.int64).copy(), set(), 0.0
    order_of = owners(demand.first_line)
    for at, (node, quantity) in enumerate(zip(made.parts.node.tolist(), made.parts.quantity.tolist(), strict=True)):
        order, zone = int(order_of[line[at]]), demand.zone[order_of[line[at]]]
        if node == NO_NODE:
            total += quantity * costs.short
            continue
        left[demand.sku[line[at]], node] -= quantity
        total += quantity * costs.unit[zone, node]
        if (order, node) not in shipments:
            shipments.add((order, node))
            total += costs.shipment[zone, node]
    assert (left >= 0).all(), "sold twice"
    return total


def least_cost(found: Case, relaxed: bool = False, fees: Any = 0.0) -> float:
    """The optimum: units of each line at each node, and whether an order has a shipment there. fees: [line, node] more
    for a unit.
    """
    demand, costs, stock = found
    lines, nodes, orders = demand.sku.size, stock.shape[1], demand.zone.size
    order_of = owners(demand.first_line)
    units, short, ships = lines * nodes, lines, orders * nodes
    price = np.concatenate(
        [
            (costs.unit[demand.zone[order_of]] + fees).ravel(),
            np.full(short, costs.short),
            costs.shipment[demand.zone].ravel(),
        ]
    )
    rows, low, high = [], [], []

    def add(entries: list[tuple[int, float]], least: float, most: float) -> None:
        row = np.zeros(price.size)
        for at, value in entries:
            row[at] = value
        rows.append(row)
        low.append(least)
        high.append(most)

    for line in range(lines):
        wanted = float(demand.quantity[line])
        add([(line * nodes + node, 1.0) for node in range(nodes)] + [(units + line, 1.0)], wanted, wanted)
        for node in range(nodes):
            ship = units + short + order_of[line] * nodes + node
            add([(line * nodes + node, 1.0), (ship, -wanted)], -np.inf, 0.0)
    for sku in range(stock.shape[0]):
        for node in range(nodes):
            of_it = [(int(line) * nodes + node, 1.0) for line in np.flatnonzero(demand.sku == sku)]
            add(of_it, -np.inf, float(stock[sku, node]))
    upper = np.concatenate([np.full(units + short, np.inf), np.ones(ships)])
    solved = milp(
        price, constraints=LinearConstraint(np.array(rows), low, high), bounds=Bounds(0, upper),
        integrality=np.zeros(price.size) if relaxed else np.ones(price.size),
    )  # fmt: skip
    assert solved.success, solved.message
    return float(solved.fun)


def test_the_bound_is_below_the_optimum_and_the_plan_near_it() -> None:
    over = []
    for seed in range(40):
        found = case(seed)
        made, best = plan(*found), least_cost(found)
        assert cost_of(found, made) == pytest.approx(made.cost, rel=1e-9)
        assert made.bound <= best * (1 + 1e-9)
        assert best <= made.cost * (1 + 1e-9)
        over.append(made.cost / best - 1)
    assert np.mean(over) < 0.03  # few orders for scarce stock are harder than many
    assert np.mean(np.array(over) < 1e-9) > 0.3


@pytest.mark.parametrize("seed", range(10))
def test_with_single_units_the_cost_is_that_of_the_linear_program_and_of_the_bound(seed: int) -> None:
    found = case(seed, orders=30, lines_max=1, most=1)
    made = plan(*found)
    assert cost_of(found, made) == pytest.approx(made.bound, rel=1e-9)
    assert made.cost == pytest.approx(least_cost(found, relaxed=True), rel=1e-7)


def test_the_extra_cost_of_a_line_is_what_it_pays_beyond_its_cheapest_node_were_it_alone() -> None:
    extras = set()
    for seed in range(20):
        found = case(seed)
        demand, costs, stock = found
        made = plan(*found)
        order_of, first = owners(demand.first_line), offsets(made.parts.part_count)
        for line, sku in enumerate(demand.sku):
            zone = demand.zone[order_of[line]]
            parts = [
                (int(made.parts.node[part]), int(made.parts.quantity[part]))
                for part in range(first[line], first[line + 1])
                if made.parts.node[part] != NO_NODE
            ]
            units = sum(quantity for _, quantity in parts)
            paid = sum(costs.shipment[zone, node] + quantity * costs.unit[zone, node] for node, quantity in parts)
            alone = [
                costs.shipment[zone, node] + units * costs.unit[zone, node]
                for node in range(stock.shape[1])
                if stock[sku, node]
            ]
            expected = round(paid - min(alone)) if units else 0
            assert made.parts.extra_cost[line] == expected >= 0
            extras.add(expected)
    assert len(extras) > 10


def test_any_prices_prove_a_bound() -> None:
    chance = np.random.default_rng(7)
    for seed in range(20):
        found = case(seed)
        prices = chance.random(found.stock.shape) * chance.choice([10.0, 3000.0, 80_000.0])
        merged, _, kept = planning._merged(found.demand)
        orders = planning._orders(merged, found.stock.shape[0], planning._true(found.demand, found.costs, None), kept)
        assert bound(orders, found.costs, prices, found.stock) <= least_cost(found) * (1 + 1e-9)


def test_lines_of_one_sku_are_filled_together() -> None:
    demand = Demand(
        np.array([0, 3]), np.zeros(1, np.int32), np.array([1, 0, 1], np.int32), np.array([2, 1, 3], np.int32)
    )
    costs = Costs(np.array([[100.0, 50.0]]), np.array([[1.0, 2.0]]), 1000.0)
    found = Case(demand, costs, np.array([[1, 9], [4, 1]], np.int32))
    made = plan(*found)
    assert cost_of(found, made) == pytest.approx(made.cost)
    assert made.cost == pytest.approx(least_cost(found))


def test_orders_of_many_lines_and_of_many_units() -> None:
    for seed, (skus, lines, most) in enumerate([(30, 30, 1), (3, 3, 200), (12, 9, 3)]):
        found = case(seed, orders=5, skus=skus, lines_max=lines, most=most)
        made = plan(*found)
        assert cost_of(found, made) == pytest.approx(made.cost, rel=1e-9)
        assert 0 < made.bound <= made.cost * (1 + 1e-9)


def test_where_there_is_no_stock_all_is_short_and_where_nobody_orders_nothing_is() -> None:
    found = case(3)._replace(stock=np.zeros((4, 4), np.int32))
    made = plan(*found)
    assert (made.parts.node == NO_NODE).all()
    assert made.cost == made.bound == found.demand.quantity.sum() * SHORT
    assert made.spared == 0
    cheap = case(3)._replace(costs=found.costs._replace(short=1.0), stock=np.full((4, 4), 99, np.int32))
    assert plan(*cheap).spared == cheap.demand.quantity.sum()
    nobody = Demand(np.zeros(1, np.int64), *(np.empty(0, np.int32) for _ in range(3)))
    empty = plan(nobody, found.costs, found.stock)
    assert (empty.cost, empty.bound, empty.gap, empty.parts.node.size) == (0.0, 0.0, 0.0, 0)


def test_the_same_demand_gets_the_same_plan_and_prices_may_be_given() -> None:
    found = case(11, orders=20)
    first, again = plan(*found), plan(*found)
    assert (first.parts.node == again.parts.node).all()
    assert (first.cost, first.bound) == (again.cost, again.bound)
    warm = plan(*found, prices=first.prices)
    assert cost_of(found, warm) == pytest.approx(warm.cost, rel=1e-9)
    assert warm.bound >= first.bound * (1 - 1e-3)
    assert (first.prices >= 0).all()


@pytest.mark.parametrize("short", [1e10, 1e12])
def test_a_short_unit_so_dear_that_doubles_lose_the_rest_still_ends(short: float) -> None:
    for seed in range(12):
        found = case(seed, orders=60, skus=5, nodes=5, most=3)
        dear = found._replace(costs=found.costs._replace(short=short))
        assert cost_of(dear, plan(*dear)) >= 0  # it went round and round


def test_too_many_units_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "UNITS_MAX", 3)
    with pytest.raises(TooManyUnits, match="a plan takes 3 at most"):
        plan(*case(1))


def test_a_gap_is_a_share_of_the_bound() -> None:
    made = plan(*case(5))
    assert math.isclose(made.gap, made.cost / made.bound - 1)


def test_who_watches_hears_better_and_better_figures_up_to_those_of_the_plan() -> None:
    found, told = case(5), []
    made = plan(*found, watch=lambda *heard: told.append(heard))
    bounds, costs = ([figure for what, figure in told if what == name] for name in ("bound", "cost"))
    assert [what for what, _ in told] == ["bound"] * len(bounds) + ["cost"] * len(costs)
    assert bounds == sorted(bounds)
    assert costs == sorted(costs, reverse=True)
    assert (bounds[-1], costs[-1]) == (made.bound, made.cost)
    assert len(bounds) == planning.ROUNDS_OF_PRICES


def test_groups_that_are_put_back_in_another_turn_save_and_never_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same orders, some of more units than are placed at once."""
    saved, seeds = 0, 1 if numba.config.DISABLE_JIT else 12
    for seed in range(seeds):
        found = case(seed, orders=60 if seeds > 1 else 6, skus=8, nodes=6, lines_max=6, most=3)
        with_groups = plan(*found)
        assert cost_of(found, with_groups) == pytest.approx(with_groups.cost, rel=1e-9)
        with monkeypatch.context() as without:
            without.setattr(planning, "TRIES_OF_ONE", 0)
            alone = plan(*found)
        assert with_groups.bound == alone.bound
        assert with_groups.cost <= alone.cost + 1e-6
        saved += with_groups.cost < alone.cost - 1e-6
    assert saved >= seeds // 2, "groups hardly ever saved anything"


def test_a_large_order_is_not_left_short_of_what_is_there() -> None:
    """Prices may say that others need the stock more; what these leave in the end is its. A short unit costs more here
    than any shipment."""
    for seed in range(1 if numba.config.DISABLE_JIT else 20):
        chance = np.random.default_rng(seed)
        found = case(seed, orders=12, skus=3, lines_max=2)
        quantity, stock = found.demand.quantity.copy(), found.stock.copy()
        quantity[chance.integers(0, quantity.size)] = chance.integers(65, 120)
        wanted = np.bincount(found.demand.sku, quantity, 3) * chance.choice([0.9, 1.0, 1.1], 3)
        for sku, lacking in enumerate(np.maximum(0, wanted - stock.sum(1)).astype(np.int64)):
            stock[sku] += chance.multinomial(lacking, chance.dirichlet(np.ones(4))).astype(np.int32)
        found = Case(found.demand._replace(quantity=quantity), found.costs._replace(short=30_000.0), stock)
        made = plan(*found)
        assert cost_of(found, made) == pytest.approx(made.cost, rel=1e-9)
        assert made.spared == 0
