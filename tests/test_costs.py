"""Costs by a service card against plain Python: the cheapest service of a shipment, the rows of its staircase and the
line under it, and plans, whose bound is below the optimum of a mixed integer program over the staircases themselves."""

from itertools import product
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy.optimize import Bounds, LinearConstraint, milp

from engine.costs import Priced, ServiceCosts, Shipped, TooManyRows
from engine.planning import Demand, plan
from engine.ragged import offsets, owners
from engine.rates.card import Calendar, NodeTerms, Service, ServiceCard, Slabs
from engine.rates.lanes import HEAVIER, distinct, lanes
from engine.rates.tariff import Tariff
from engine.rates.zones import FAR, ZoneTable
from kernels.capacity import no_capacity
from kernels.columns import NO_NODE, NONE, Capacity
from kernels.pricing import PIECE_LINES_MAX
from tests import promise_twin as twin

SHORT = 30_000
NODES = ("A", "B", "C")
CODES = ("1", "2", "3")
ALWAYS = Calendar((True,) * 7, ())


class World(NamedTuple):
    """Random orders, and what they cost."""

    card: ServiceCard
    metres: np.ndarray  # int32 [code, node]
    code: np.ndarray  # int64 [order]
    cash: np.ndarray  # bool [order]
    level: np.ndarray  # int32 [order]
    grams_of: np.ndarray  # int64 [SKU]
    demand: Demand  # without rows of the costs
    stock: np.ndarray
    model: ServiceCosts


def card(chance: np.random.Generator, penalty: int, heaviest: int) -> ServiceCard:
    """Two services over zones by distance and by postal code, with slabs of random weights; one may take cash."""

    def slabs() -> Slabs:
        return Slabs(*(int(chance.integers(low, high)) for low, high in ((80, 700), (10, 90), (50, 600), (5, 90))), 1)

    bands = ZoneTable("km", ("near", "far"), {}, ((500_000, 0), (FAR, 1)))
    codes = ZoneTable("code", ("x", "y"), {"": {"": 0, "2": 1}, "B": {"1": 1}}, ())
    most_g = [int(chance.integers(heaviest, 2 * heaviest)) for _ in range(2)]
    services = tuple(
        Service(name, "c", table, most, fee, {zone: slabs() for zone in zones})
        for name, table, most, fee, zones in (
            ("slow", "km", most_g[0], 7 if chance.random() < 0.7 else None, ("near", "far")),
            ("fast", "code", most_g[1], None, ("x", "y")[: 1 + int(chance.random() < 0.7)]),
        )
    )
    terms = [NodeTerms(ALWAYS, 0, 900, 0, int(fee)) for fee in chance.integers(0, 20, len(NODES))]
    return ServiceCard(
        "card", "INR", penalty, SHORT, 300, (pa.array([], pa.string()), np.empty(0, np.int64)),
        {"km": bands, "code": codes}, {"c": ALWAYS}, services, None, dict(zip(NODES, terms, strict=True)),
    )  # fmt: skip


def world(
    seed: int,
    orders: int = 5,
    skus: int = 3,
    lines_max: int = 3,
    most: int = 2,
    penalty: int = 25,
    heaviest: int = 1500,
) -> World:
    chance = np.random.default_rng(seed)
    made = card(chance, penalty, heaviest)
    grams_of = chance.integers(50, 900, skus)
    skus_named = pa.array([f"S{sku}" for sku in range(skus)])
    made = ServiceCard(**{**vars(made), "weights": (skus_named, grams_of)})
    metres = chance.integers(0, 1_000_000, (len(CODES), len(NODES))).astype(np.int32)
    tariff = Tariff(made, list(NODES))
    terms = tariff.terms(0, (0, 0), pa.array(CODES), skus_named)
    code = chance.integers(0, len(CODES), orders)
    cash = chance.random(orders) < 0.3
    level = np.where(chance.random(orders) < 0.3, chance.integers(0, 2, orders), NONE).astype(np.int32)
    lines = np.minimum(chance.integers(1, lines_max + 1, orders), skus)
    sku = np.concatenate([chance.permutation(skus)[:count] for count in lines]).astype(np.int32)
    quantity = chance.integers(1, most + 1, sku.size).astype(np.int32)
    wanted = np.bincount(sku, quantity, skus)
    spread = chance.dirichlet(np.full(len(NODES), 2.0), skus) * (wanted * chance.choice([0.8, 1.0, 1.5]))[:, None]
    stock = np.floor(spread + chance.random((skus, len(NODES)))).astype(np.int32)
    zones = terms.zones._replace(by_code=np.ascontiguousarray(terms.zones.by_code[:, : len(CODES)]))
    found, lane = lanes(terms.services, zones, metres, code, cash, level)
    everywhere = np.ones((1, len(NODES)), bool), np.zeros(orders, np.int64)
    model = ServiceCosts(
        made, found, lane, *everywhere, grams_of[sku], terms.charges.handling_fee, float(SHORT), tariff, 0
    )
    demand = Demand(offsets(lines), np.empty(0, np.int32), sku, quantity)
    return World(made, metres, code, cash, level, grams_of, demand, stock, model)


def fee(of: World, order: int, node: int, grams: int) -> float:
    """What a shipment of an order costs without handling; infinite where no service carries it."""
    code, best = CODES[of.code[order]], np.inf
    for at, service in enumerate(of.card.services):
        if of.level[order] not in (NONE, at) or grams > service.heaviest_g:
            continue
        if of.cash[order] and service.cash_fee is None:
            continue
        zone = twin.zone(of.card, service.zones, NODES[node], code, int(of.metres[of.code[order], node]))
        if zone in service.slabs:
            best = min(best, twin.slabs(service.slabs[zone], grams) + (service.cash_fee or 0) * of.cash[order])
    return best


def handling(of: World, node: int) -> int:
    return of.card.nodes[NODES[node]].handling_fee


def cost_of(of: World, node: list[int], line: list[int], units: list[int]) -> float:
    """What parts cost, from the card alone; and what must hold of them."""
    order_of, left = owners(of.demand.first_line), of.stock.astype(np.int64).copy()
    grams: dict[tuple[int, int], int] = {}
    total = 0.0
    for at, of_line, count in zip(node, line, units, strict=True):
        sku, order = of.demand.sku[of_line], int(order_of[of_line])
        if at == NO_NODE:
            total += count * SHORT
            continue
        left[sku, at] -= count
        total += count * handling(of, at)
        grams[order, at] = grams.get((order, at), 0) + count * int(of.grams_of[sku])
    assert (left >= 0).all(), "sold twice"
    total += sum(fee(of, order, at, weighs) for (order, at), weighs in grams.items())
    return total + of.card.split_penalty * (len(grams) - len({order for order, _ in grams}))


def least_cost(of: World, capacity: Capacity | None = None) -> float:
    """The optimum: units of each line at each node, and which step of the staircase each shipment is on; within what
    nodes may take on their day."""
    demand, nodes = of.demand, len(NODES)
    order_of, orders = owners(demand.first_line), demand.first_line.size - 1
    price: list[float] = []
    top: list[float] = []
    rows: list[tuple[dict[int, float], float, float]] = []

    def variable(cost: float, most: float = np.inf) -> int:
        price.append(cost)
        top.append(most)
        return len(price) - 1

    units = {(line, node): variable(handling(of, node)) for line in range(demand.sku.size) for node in range(nodes)}
    for line in range(demand.sku.size):
        wanted = float(demand.quantity[line])
        rows.append(({variable(SHORT): 1.0} | {units[line, node]: 1.0 for node in range(nodes)}, wanted, wanted))
    for sku, node in product(range(of.stock.shape[0]), range(nodes)):
        taken = {units[int(line), node]: 1.0 for line in np.flatnonzero(demand.sku == sku)}
        rows.append((taken, -np.inf, float(of.stock[sku, node])))
    at_node: list[dict[int, float]] = [{} for _ in range(nodes)]
    for order in range(orders):
        lines = np.flatnonzero(order_of == order)
        weigh = [range(int(demand.quantity[line]) + 1) for line in lines]
        sums = {sum(n * int(of.grams_of[demand.sku[line]]) for n, line in zip(some, lines, strict=True))
                for some in product(*weigh)} - {0}  # fmt: skip
        any_of: dict[int, float] = {}
        for node in range(nodes):
            steps = {variable(fee(of, order, node, w) + of.card.split_penalty, 1.0): float(w)
                     for w in sums if np.isfinite(fee(of, order, node, w))}  # fmt: skip
            loaded = {units[int(line), node]: float(of.grams_of[demand.sku[line]]) for line in lines}
            rows.append((loaded | {step: -w for step, w in steps.items()}, -np.inf, 0.0))
            rows.append((dict.fromkeys(steps, 1.0), -np.inf, 1.0))
            any_of |= dict.fromkeys(steps, -1.0)
            at_node[node] |= dict.fromkeys(steps, 1.0)
        rows.append((any_of | {variable(-of.card.split_penalty, 1.0): 1.0}, -np.inf, 0.0))
    for node in range(nodes if capacity else 0):
        rows.append((at_node[node], -np.inf, float(capacity.left[node, 0])))
        taken = {units[line, node]: 1.0 for line in range(demand.sku.size)}
        rows.append((taken, -np.inf, float(capacity.left[node, 1])))
    matrix = np.zeros((len(rows), len(price)))
    for at, (entries, _, _) in enumerate(rows):
        for column, value in entries.items():
            matrix[at, column] = value
    solved = milp(
        np.array(price), constraints=LinearConstraint(matrix, [row[1] for row in rows], [row[2] for row in rows]),
        bounds=Bounds(0, np.array(top)), integrality=np.ones(len(price)), options={"mip_rel_gap": 0},
    )  # fmt: skip
    assert solved.success, solved.message
    return float(solved.fun)


def planned(of: World, weighs_exactly: bool = True, capacity: Capacity | None = None) -> tuple[Priced, float, float]:
    orders, lines = np.arange(of.code.size), np.arange(of.demand.sku.size)
    priced = of.model.priced(orders, lines, of.demand)
    found = plan(priced.demand, priced.costs, of.stock, under=priced.under, capacity=capacity)
    raw = found.cost
    found = of.model.settled(priced, orders, lines, of.stock, found)
    line = owners(offsets(found.parts.part_count))
    assert (np.bincount(line, found.parts.quantity, lines.size) == of.demand.quantity).all()
    told = cost_of(of, found.parts.node.tolist(), line.tolist(), found.parts.quantity.tolist())
    assert found.cost == pytest.approx(told)
    given = found.parts.node != NO_NODE
    sent = np.unique(owners(of.demand.first_line)[line[given]])
    several = np.add.reduceat(of.demand.quantity, of.demand.first_line[:-1])[sent] > 1
    if weighs_exactly:
        assert raw == pytest.approx(told + of.card.split_penalty * several.sum()), "moves did not see what they cost"
    return priced, found.cost, found.bound


@given(some.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_a_shipment_goes_by_the_cheapest_service_that_may_and_can(seed: int) -> None:
    of = world(seed, orders=12)
    chance = np.random.default_rng(seed)
    order, node = chance.integers(0, 12, 60), chance.integers(0, len(NODES), 60)
    grams = chance.integers(1, 7000, 60)
    price, service = of.model.lanes.cheapest(of.model.lane[order], node, grams)
    assert price.tolist() == [fee(of, *each) for each in zip(order, node, grams, strict=True)]
    assert ((service == NONE) == np.isinf(price)).all()
    shipped = Shipped(order, node, np.ones(60, np.int64), grams, np.zeros(60))
    assert (of.model.carried(shipped) == np.isfinite(price)).all()
    unserved = [all(np.isinf(fee(of, one, node, 1)) for node in range(len(NODES))) for one in range(12)]
    assert of.model.unserved[of.model.lane].tolist() == unserved


@given(some.integers(0, 10**6), some.sampled_from([1, 3]), some.sampled_from([2, 20]))
@settings(max_examples=80, deadline=None)
def test_rows_of_costs_are_the_staircase_and_the_line_for_orders_of_many_units_is_nowhere_above_it(
    seed: int, lines_max: int, most: int
) -> None:
    of = world(seed, lines_max=lines_max, most=most)
    priced = of.model.priced(np.arange(of.code.size), np.arange(of.demand.sku.size), of.demand)
    demand, penalty = priced.demand, of.card.split_penalty
    for order in range(of.code.size):
        lines = np.arange(demand.first_line[order], demand.first_line[order + 1])
        grams, quantity = of.grams_of[demand.sku[lines]], demand.quantity[lines]
        more = penalty if quantity.sum() > 1 else 0
        for node, taken in product(range(len(NODES)), product(*(range(int(units) + 1) for units in quantity))):
            if not any(taken):
                continue
            true = fee(of, order, node, int((grams * taken).sum())) + sum(taken) * handling(of, node) + more
            weighs, of_bound = int((priced.under.grams[lines] * taken).sum()), priced.under
            row = of_bound.zone[order] + np.searchsorted(of_bound.ends, weighs)
            under = of_bound.fees[row, node] + (of_bound.costs.unit[of_bound.rate[lines], node] * taken).sum()
            row = demand.zone[order] + np.searchsorted(demand.ends, (grams * taken).sum())
            paid = priced.costs.shipment[row, node] + priced.costs.unit[row, node] * sum(taken)
            assert paid == true if np.isfinite(true) else paid > SHORT * quantity.sum()
            assert under <= true + 1e-6 or (np.isinf(true) and under > SHORT * sum(taken))
            if quantity.sum() <= PIECE_LINES_MAX and np.isfinite(true):
                assert under == true


def test_the_bound_is_below_the_optimum_and_the_plan_near_it() -> None:
    over, below = [], []
    for seed in range(60):
        of = world(seed, heaviest=6000)
        _, cost, bound = planned(of)
        best = least_cost(of)
        assert bound <= best + 1e-6
        assert best <= cost + 1e-6
        over.append(cost / best - 1)
        below.append(1 - bound / best)
    assert np.mean(over) < 0.03
    assert np.mean(below) < 0.12


def test_where_whole_orders_are_too_heavy_for_some_lanes_cost_and_bound_still_hold() -> None:
    for seed in range(40):
        of = world(seed)
        _, cost, bound = planned(of)
        assert bound - 1e-6 <= least_cost(of) <= cost + 1e-6


@pytest.mark.parametrize("most", [12, 1])  # 1: fewer than there are services and zones
def test_a_card_of_more_steps_than_are_told_apart_has_a_lower_bound_and_the_true_cost(
    monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr("engine.rates.lanes.STEPS_MAX", most)
    for seed in range(20):
        of = world(seed)
        assert not of.model.lanes.whole
        _, cost, bound = planned(of, weighs_exactly=False)
        assert bound - 1e-6 <= least_cost(of) <= cost + 1e-6


def test_within_what_nodes_may_take_cost_and_bound_hold_and_a_limit_that_nobody_meets_changes_little() -> None:
    over, wide = [], []
    for seed in range(60):
        of = world(seed, orders=7, heaviest=6000)
        chance = np.random.default_rng(seed)
        capacity = no_capacity()
        capacity.limited[0] = 0b111
        capacity.left[:3] = 1 << 40
        _, cost, bound = planned(of, capacity=capacity)
        _, usual, usual_bound = planned(of)
        wide.append(cost / usual - 1)
        assert bound == pytest.approx(usual_bound, rel=0.02)
        capacity.left[:3] = chance.integers(0, 5, (3, 2)) * np.array([1, 2])
        _, cost, bound = planned(of, capacity=capacity)
        best = least_cost(of, capacity)
        assert bound - 1e-6 <= best <= cost + 1e-6
        over.append(cost / best - 1)
    assert np.mean(over) < 0.03, over
    assert np.mean(wide) < 0.01, wide


def test_orders_of_many_lines_and_of_many_units() -> None:
    for seed, (skus, lines, most) in enumerate([(12, 12, 1), (3, 3, 60), (9, 9, 4)]):
        _, cost, bound = planned(world(seed, skus=skus, lines_max=lines, most=most, heaviest=60_000))
        assert 0 < bound <= cost


def test_more_prices_than_there_is_room_for_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.costs.CELLS_MAX", 20)
    of = world(1)
    with pytest.raises(TooManyRows, match="prices, by where orders go and what they weigh, at 3 nodes: a plan takes 6"):
        planned(of)


def test_single_units_cost_what_they_must_and_the_bound_says_so() -> None:
    for seed in range(10):
        of = world(seed, orders=20, lines_max=1, most=1)
        _, cost, bound = planned(of)
        assert cost == pytest.approx(bound)


def test_distinct_rows_in_the_order_in_which_they_come() -> None:
    first, of = distinct(np.array([3, 1, 3, 3, 1]), np.array([0, 0, 0, 1, 0]))
    assert first.tolist() == [0, 1, 3]
    assert of.tolist() == [0, 1, 0, 2, 1]
    empty = distinct(np.empty(0, np.int64), np.empty(0, bool))
    assert [column.size for column in empty] == [0, 0]


def test_what_is_heavier_than_any_service_carries_has_no_price() -> None:
    of = world(1)
    assert np.isinf(of.model.lanes.cheapest(of.model.lane[:1], np.arange(3), np.array([HEAVIER]))[0]).all()
