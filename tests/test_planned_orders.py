"""Orders that bring a plan: each that fits gets what is planned, the others are decided by nearest upon what is left.

Random plans, good and spoilt, over channels of every kind. Which orders fit is worked out one by one in plain Python;
what the others get is what they get on their own where the stock is less by the planned units.
"""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from engine.commands import Parts, PlaceOrders
from kernels.columns import NO_NODE, OnShort
from tests import asks
from tests.driving import (
    Pair,
    check_conservation,
    check_invariants,
    columns,
    i16,
    i32,
    plain,
    policy,
    received,
    replay_of,
)

NODES, SKUS, ORDERS = 3, 4, 12
FENCED = SKUS - 1
POLICIES = (
    policy(), policy(on_short=OnShort.REFUSE), policy(on_short=OnShort.BACK_ORDER), policy(split=False), policy(0, 1),
)  # fmt: skip
Plan = list[list[tuple[int, int]]]  # of each line (node, units)


def stocked(stock: np.ndarray) -> Pair:
    pair = Pair(NODES, SKUS, codes=2, policies=POLICIES)
    rows = [(sku, node, int(stock[sku, node])) for sku in range(SKUS) for node in range(NODES) if stock[sku, node]]
    if rows:
        pair.commit(received("stock", *rows))
    pair.commit(asks.Fence("fence", ((0, FENCED, 0, 1),)))
    return pair


def drawn(chance: np.random.Generator) -> tuple[asks.Cart, Plan]:
    """An order and a plan for it, which may be spoilt: too much, no such node, a node twice, short before a node."""
    count = int(chance.integers(1, 4))
    skus = chance.permutation(SKUS)[:count] if chance.random() < 0.2 else chance.permutation(FENCED)[:count]
    lines, planned = [], []
    one = int(chance.integers(NODES)) if chance.random() < 0.5 else None
    for sku in skus.tolist():
        units = int(chance.integers(1, 4))
        at = Counter(int(chance.integers(NODES + 1)) if one is None else one for _ in range(units))
        parts = [(node if node < NODES else NO_NODE, at[node]) for node in sorted(at)]
        if chance.random() < 0.05:
            parts[0] = (parts[0][0], parts[0][1] + 1)
        elif chance.random() < 0.05:
            parts = [(7, units)]
        elif chance.random() < 0.05 and units > 1:
            parts = [(0, 1), (0, units - 1)]
        elif chance.random() < 0.05 and units > 1:
            parts = [(NO_NODE, 1), (1, units - 1)]
        lines.append((sku, units))
        planned.append(parts)
    return asks.Cart("", tuple(lines), int(chance.integers(len(POLICIES))), int(chance.integers(2))), planned


def breaks_a_rule(order: asks.Cart, planned: Plan) -> bool:
    """What is wrong with a plan whatever the stock is."""
    rules = POLICIES[order.channel]
    nodes = {node for parts in planned for node, _ in parts}
    if not rules.split and len(nodes) > 1:
        return True
    if rules.on_short is OnShort.REFUSE and NO_NODE in nodes:
        return True
    for (sku, units), parts in zip(order.lines, planned, strict=True):
        at = [node if node != NO_NODE else NODES for node, _ in parts]
        if sku == FENCED or sum(count for _, count in parts) != units or at != sorted(set(at)):
            return True
        if any(node not in rules.nodes or not 0 <= node < NODES for node, _ in parts if node != NO_NODE):
            return True
    return False


def fit(orders: list[asks.Cart], plans: list[Plan], stock: np.ndarray) -> list[int]:
    """Which orders fit: of those that break no rule, each whose cells have enough for it and all before it."""
    asked, fitting = Counter[tuple[int, int]](), []
    for at, (order, planned) in enumerate(zip(orders, plans, strict=True)):
        if breaks_a_rule(order, planned):
            continue
        cells = [(sku, node) for (sku, _), parts in zip(order.lines, planned, strict=True) for node, _ in parts]
        units = [count for parts in planned for _, count in parts]
        mine = [(cell, count) for cell, count in zip(cells, units, strict=True) if cell[1] != NO_NODE]
        for cell, count in mine:
            asked[cell] += count
        if all(asked[cell] <= stock[cell] for cell, _ in mine):
            fitting.append(at)
    return fitting


def as_parts(plans: list[Plan]) -> Parts:
    lines = [parts for planned in plans for parts in planned]
    parts = [part for line in lines for part in line]
    return Parts(i32(len(line) for line in lines), i16(node for node, _ in parts), i32(units for _, units in parts))


def given(answer: asks.OrderAnswer) -> Plan:
    return [[(node, units) for node, _, units, _ in parts] for _, _, parts in answer.lines]


@pytest.mark.parametrize("seed", range(40))
def test_what_fits_is_as_planned_and_the_rest_is_decided_by_nearest_upon_what_is_left(seed: int) -> None:
    chance = np.random.default_rng(seed)
    stock = chance.integers(0, 2 + seed, (SKUS, NODES))
    made = [drawn(chance) for _ in range(ORDERS)]
    orders, plans = [replace(order, id=f"o{at}") for at, (order, _) in enumerate(made)], [plan for _, plan in made]
    pair = stocked(stock)
    asked = columns(asks.Place(tuple(orders)), pair.places)
    assert isinstance(asked, PlaceOrders)
    (answers,) = pair.engine.submit([replace(asked, planned=as_parts(plans))], pair.stamp).wait()
    found, fitting = plain(answers), fit(orders, plans, stock)
    left = stock.copy()
    for at in fitting:
        assert given(found[at]) == plans[at]
        for (sku, _), parts in zip(orders[at].lines, plans[at], strict=True):
            for node, units in parts:
                left[sku, node] -= units if node != NO_NODE else 0
    rest = [at for at in range(ORDERS) if at not in fitting]
    if rest:
        alone = stocked(left).commit(asks.Place(tuple(orders[at] for at in rest)))
        assert [(found[at].reply, found[at].lines) for at in rest] == [(a.reply, a.lines) for a in alone]
    check_invariants(pair.state)
    check_conservation(pair.engine)
    assert replay_of(pair.engine).digest() == pair.state.digest()
    (again,) = pair.engine.submit([asked], pair.stamp).wait()  # a repeat needs no plan
    assert plain(again) == [replace(answer, again=True) for answer in found]


def test_most_batches_above_hold_orders_that_fit_and_orders_that_do_not() -> None:
    mixed = 0
    for seed in range(40):
        chance = np.random.default_rng(seed)
        stock = chance.integers(0, 2 + seed, (SKUS, NODES))
        made = [drawn(chance) for _ in range(ORDERS)]
        mixed += 0 < len(fit([order for order, _ in made], [plan for _, plan in made], stock)) < ORDERS
    assert mixed >= 30
