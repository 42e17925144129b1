"""Plans where nodes have limits on orders and units, against the optimum of a mixed integer program (HiGHS, by SciPy):
the bound is below it, the plan is near it, and no node has more than it may."""

from typing import Any, NamedTuple

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

from engine.planning import Plan, plan
from engine.ragged import offsets, owners
from engine.stock_fees import count_fees, stock_fees, with_stock_fees
from engine.within import Fees
from kernels.capacity import no_capacity
from kernels.columns import NO_NODE, Capacity
from tests.test_kernels_planning import Case, case, cost_of

ANY = 1 << 40


class CardTerms(NamedTuple):
    balance_fee: float
    age_fee_per_day: float


def taken(found: Case, made: Plan) -> np.ndarray:
    """[node, 2] orders and units of a plan."""
    parts, nodes = made.parts, found.stock.shape[1]
    order = owners(found.demand.first_line)[owners(offsets(parts.part_count))]
    pairs = {(int(o), int(n)) for o, n in zip(order, parts.node, strict=True) if n != NO_NODE}
    out = np.zeros((nodes, 2), np.int64)
    for _, node in pairs:
        out[node, 0] += 1
    for node, units in zip(parts.node, parts.quantity, strict=True):
        if node != NO_NODE:
            out[node, 1] += units
    return out


def limits(found: Case, seed: int) -> Capacity:
    """Some nodes may take less than a plan without limits would give them; some nothing at all."""
    chance = np.random.default_rng(seed)
    nodes = found.stock.shape[1]
    usual = taken(found, plan(found.demand, found.costs, found.stock))
    capacity = no_capacity()
    room = np.floor(usual * chance.choice([0.0, 0.5, 0.8, 1.0], (nodes, 2))).astype(np.int64)
    room[chance.random((nodes, 2)) < 0.5] = ANY
    capacity.left[:nodes] = room
    capacity.limited[0] = sum(1 << node for node in range(nodes) if (room[node] < ANY).any())
    return capacity


def least_cost_within(found: Case, capacity: Capacity, fees: Any = 0.0) -> float:
    """The optimum: units of each line at each node, what is short, and whether an order has a shipment there. fees:
    [line, node] more for a unit."""
    demand, costs, stock = found
    lines, nodes, orders = demand.sku.size, stock.shape[1], demand.zone.size
    order_of = owners(demand.first_line)
    units = np.arange(lines * nodes).reshape(lines, nodes)
    short = lines * nodes + np.arange(lines)
    ships = lines * (nodes + 1) + np.arange(orders * nodes).reshape(orders, nodes)
    unit = (costs.unit[demand.zone[order_of]] + fees).ravel()
    price = np.concatenate([unit, np.full(lines, costs.short), costs.shipment[demand.zone].ravel()])
    rows, low, high = [], [], []

    def at_most(of: object, most: float, than: object = None, times: float = 0.0, least: float = -np.inf) -> None:
        row = np.zeros(price.size)
        row[of] = 1.0  # type: ignore[call-overload]
        if than is not None:
            row[than] = -times  # type: ignore[call-overload]
        rows.append(row)
        low.append(least)
        high.append(most)

    for line in range(lines):
        wanted = float(demand.quantity[line])
        at_most([*units[line], short[line]], wanted, least=wanted)
        for node in range(nodes):
            at_most(units[line, node], 0.0, ships[order_of[line], node], wanted)
    for sku, node in np.ndindex(*stock.shape):
        at_most(units[demand.sku == sku, node], float(stock[sku, node]))
    for node in range(nodes):
        at_most(ships[:, node], float(capacity.left[node, 0]))
        at_most(units[:, node], float(capacity.left[node, 1]))
    upper = np.where(np.arange(price.size) < ships[0, 0], np.inf, 1.0)
    high = [min(most, 1e6) for most in high]
    solved = milp(
        price, constraints=LinearConstraint(np.array(rows), low, high), bounds=Bounds(0, upper),
        integrality=np.ones(price.size),
    )  # fmt: skip
    assert solved.success, solved.message
    return float(solved.fun)


def unlimited_as_any(capacity: Capacity) -> Capacity:
    """Nodes without a bit have no limit, whatever stands there."""
    bits = [int(capacity.limited[0]) >> node & 1 for node in range(64)]
    left = capacity.left.copy()
    left[:64][np.array(bits) == 0] = ANY
    return Capacity(capacity.limited, left)


@pytest.mark.parametrize("seed", range(60))
def test_bound_optimum_and_cost_stand_in_this_order_and_no_node_has_more_than_it_may(seed: int) -> None:
    found = case(seed, lines_max=1 + seed % 3)
    capacity = unlimited_as_any(limits(found, seed))
    before = capacity.left.copy()
    made = plan(found.demand, found.costs, found.stock, capacity=capacity)
    assert (capacity.left == before).all()
    assert (taken(found, made) <= capacity.left[: found.stock.shape[1]]).all()
    cost = cost_of(found, made)
    assert cost == pytest.approx(made.cost)
    least = least_cost_within(found, capacity)
    assert made.bound <= least * (1 + 1e-9)
    assert least <= cost * (1 + 1e-9)


def test_plans_are_near_the_optimum_on_average() -> None:
    gaps = []
    for seed in range(20):
        found = case(seed + 500, orders=20, skus=6)
        capacity = unlimited_as_any(limits(found, seed))
        made = plan(found.demand, found.costs, found.stock, capacity=capacity)
        gaps.append(made.cost / least_cost_within(found, capacity) - 1)
    assert np.mean(gaps) < 0.05, (np.mean(gaps), gaps)


def test_fees_of_stock_count_within_limits_too() -> None:
    over = []
    for seed in range(30):
        found = case(seed)
        capacity = unlimited_as_any(limits(found, seed))
        ages = np.random.default_rng(seed).integers(0, 30, found.stock.shape)
        fees = stock_fees(CardTerms(9000, 400), found.stock, ages)
        demand, costs, _ = with_stock_fees(found.demand, found.costs, None, fees)
        made = plan(demand, costs, found.stock, capacity=capacity)
        assert (taken(found, made) <= capacity.left[: found.stock.shape[1]]).all()
        assert cost_of(found, made) + count_fees(demand, fees, made.parts) == pytest.approx(made.cost)
        least = least_cost_within(found, capacity, fees[found.demand.sku])
        assert made.bound <= least * (1 + 1e-9)
        over.append(made.cost / least - 1)
        assert over[-1] >= -1e-9
    assert np.mean(over) < 0.04, over


def test_where_nodes_can_take_nothing_the_bound_is_the_cost() -> None:
    found = case(5)
    capacity = no_capacity()
    capacity.limited[0], capacity.left[:4] = 0b1111, ANY
    capacity.left[[0, 1, 2, 3], [0, 1, 0, 1]] = 0
    made = plan(found.demand, found.costs, found.stock, capacity=capacity)
    assert made.cost == found.demand.quantity.sum() * found.costs.short
    assert made.bound == pytest.approx(made.cost)


@pytest.mark.parametrize("seed", range(6))
def test_without_a_limit_the_plan_is_the_same_as_ever(seed: int) -> None:
    found = case(seed)
    capacity = no_capacity()
    if seed % 2:
        capacity.limited[0], capacity.left[:] = 3, ANY
    usual, made = (plan(found.demand, found.costs, found.stock, capacity=limit) for limit in (None, capacity))
    assert (made.cost, made.bound) == (usual.cost, usual.bound)
    assert (made.parts.node == usual.parts.node).all()


def test_many_orders_find_fees_by_a_part_of_the_skus(monkeypatch: pytest.MonkeyPatch) -> None:
    found = case(7, orders=3000, skus=300, nodes=5, lines_max=1, most=1)
    usual = taken(found, plan(found.demand, found.costs, found.stock))
    capacity = no_capacity()
    capacity.limited[0], capacity.left[:5] = 0b01101, ANY
    capacity.left[:5, 0] = usual[:, 0] * 8 // 10
    capacity = unlimited_as_any(capacity)
    full = plan(found.demand, found.costs, found.stock, capacity=capacity)
    monkeypatch.setattr("engine.planning.SAMPLED_LINES", 1000)
    made = plan(found.demand, found.costs, found.stock, capacity=capacity)
    for one in (full, made):
        assert (taken(found, one) <= capacity.left[:5]).all()
        assert one.gap < 0.02
    assert made.bound == pytest.approx(full.bound, rel=5e-3)


def test_fees_go_up_where_too_much_is_taken_and_down_again_and_never_below_nothing() -> None:
    costs = case(1).costs
    fees = Fees(costs, np.array([[ANY, 10], [ANY, 10], [ANY, ANY], [ANY, 10]]))
    assert fees.move(np.array([[5, 30], [5, 15], [5, 500], [5, 2]]), fees.room)
    assert fees.value[0, 1] > fees.value[1, 1] >= 0
    assert (fees.value[:, 0] == 0).all()
    assert fees.value[2, 1] == fees.value[3, 1] == 0
    for _ in range(40):
        fees.move(np.zeros((4, 2), np.int64), fees.room)
    assert (fees.value == 0).all()
    assert not fees.move(np.zeros((4, 2), np.int64), fees.room)
