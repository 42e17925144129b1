"""The instances of P5: real orders, real places, simulated stock; what nearest costs there; the same as a program.

30,000 lines of one seller's report, 22 real places; stock is Dirichlet(2) shares of so many times what each SKU sells.
Baskets join orders of one day and one postal area.
"""

import csv
import gzip
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from engine.intake.rate_card import RateCard, kilometres
from engine.planning import Demand, Plan
from engine.ragged import offsets, owners
from kernels.columns import NO_NODE
from kernels.pricing import Costs
from tests import real_data

CARD = RateCard(4000.0, 4.0, 500.0, 1.0, 60_000.0)
_AREA_CHARACTERS = 3


class Instance(NamedTuple):
    """What is to be decided, and what it costs."""

    demand: Demand
    costs: Costs
    stock: Any  # int32 [sku, node]
    km: Any  # float64 [zone, node]


class Found(NamedTuple):
    """What a method came to."""

    cost: float  # nan: nothing that can be carried out
    bound: float  # no allocation costs less; nan: none is proven
    seconds: float
    told: list[tuple[float, str, float]]  # seconds, "cost" or "bound", the figure: each better than before


def instance(level: float, lines_max: int, basket: int, orders_max: int | None = None) -> Instance:
    """The first lines of the report with stock at 22 places."""
    places = report_places()
    found = report_lines(places, lines_max)
    chance = np.random.default_rng(0)
    if basket > 1:
        found = joined(found, basket, chance)
    names: dict[str, list[tuple[str, str, int]]] = {}
    for _, order, code, sku, quantity in found:
        names.setdefault(order, []).append((code, sku, quantity))
    orders = list(names.values())[:orders_max]
    codes = sorted({order[0][0] for order in orders})
    zone_of, skus = {code: at for at, code in enumerate(codes)}, {}
    sku = np.array([skus.setdefault(line[1], len(skus)) for order in orders for line in order], np.int32)
    quantity = np.array([line[2] for order in orders for line in order], np.int32)
    zone = np.array([zone_of[order[0][0]] for order in orders], np.int32)
    nodes = np.array(fulfilment_centres())
    at = np.array([places[code] for code in codes])
    km = kilometres(at[:, :1], at[:, 1:], nodes[:, 0], nodes[:, 1])
    wanted = np.bincount(sku, quantity, len(skus))
    units = (wanted * level + chance.random(len(skus))).astype(np.int64)
    spread = [chance.multinomial(count, chance.dirichlet(np.full(len(nodes), 2.0))) for count in units]
    costs = Costs(*CARD.costs_over(km), CARD.shortage_penalty)
    demand = Demand(offsets(np.array([len(order) for order in orders])), zone, sku, quantity)
    return Instance(demand, costs, np.array(spread, np.int32), km)


def report_places() -> dict[str, tuple[float, float]]:
    with gzip.open(real_data.DATA / real_data.PINCODES, "rt") as file:
        return {row["pincode"]: (float(row["lat"]), float(row["lon"])) for row in csv.DictReader(file) if row["lat"]}


def fulfilment_centres() -> list[tuple[float, float]]:
    with (real_data.DATA / real_data.CENTRES).open() as file:
        return [(float(row["lat"]), float(row["lon"])) for row in csv.DictReader(file)]


def report_lines(places: dict[str, Any], most: int) -> list[tuple[str, str, str, str, int]]:
    """Day, order, postal code, SKU, quantity of lines that can be used, by day."""
    with gzip.open(real_data.DATA / real_data.REPORT, "rt") as file:
        found = []
        for row in csv.DictReader(file):
            code, quantity = row["ship-postal-code"].split(".")[0], int(float(row["Qty"] or 0))
            if code in places and quantity >= 1 and row["SKU"]:
                found.append((row["Date"], row["Order ID"], code, row["SKU"], quantity))
    return sorted(found)[:most]


def joined(found: list[Any], most: int, chance: Any) -> list[Any]:
    """Orders of one day and one postal area as baskets of up to so many lines, under the first one's id."""
    found.sort(key=lambda line: (line[0], line[2][:_AREA_CHARACTERS], line[1]))
    out, head, left = [], found[0], 0
    for line in found:
        if left == 0 or (line[0], line[2][:_AREA_CHARACTERS]) != (head[0], head[2][:_AREA_CHARACTERS]):
            head, left = line, int(chance.integers(1, most + 1))
        out.append((*head[:3], *line[3:]))
        left -= 1
    return out


def check(case: Instance, made: Plan) -> None:
    """Nothing is planned twice, nothing is left out."""
    line = owners(offsets(made.parts.part_count))
    assert (np.bincount(line, made.parts.quantity, case.demand.sku.size) == case.demand.quantity).all()
    given = made.parts.node != NO_NODE
    used = np.zeros_like(case.stock)
    np.add.at(used, (case.demand.sku[line[given]], made.parts.node[given]), made.parts.quantity[given])
    assert (used <= case.stock).all(), "sold twice"


def nearest_cost(case: Instance) -> float:
    """The whole order from the nearest node that has it, else line by line by distance: what everyone does."""
    demand, costs, left = case.demand, case.costs, case.stock.astype(np.int64)
    rank, total = np.argsort(case.km, axis=1, kind="stable"), 0.0
    for order in range(demand.zone.size):
        lines = np.arange(demand.first_line[order], demand.first_line[order + 1])
        zone, sku, wanted = demand.zone[order], demand.sku[lines], demand.quantity[lines].copy()
        has_all = (left[sku] >= wanted[:, None]).all(0)[rank[zone]]
        opened = set()
        for node in [rank[zone][has_all.argmax()]] if has_all.any() else rank[zone]:
            take = np.minimum(wanted, left[sku, node])
            if take.any():
                opened.add(node)
                left[sku, node] -= take
                wanted -= take
                total += take.sum() * costs.unit[zone, node]
        total += costs.shipment[zone, list(opened)].sum() + wanted.sum() * costs.short
    return total


def program(case: Instance) -> tuple[Any, Any, Any, Any]:
    """Price, constraint matrix, lower and upper sides: units of each line at each node, short units, shipments."""
    demand, costs, stock = case.demand, case.costs, case.stock
    lines, nodes, orders = demand.sku.size, stock.shape[1], demand.zone.size
    order = owners(demand.first_line)
    wanted = demand.quantity.astype(float)
    at_node, short, ships = lines * nodes, lines, orders * nodes
    price = np.concatenate(
        [costs.unit[demand.zone[order]].ravel(), np.full(short, costs.short), costs.shipment[demand.zone].ravel()]
    )
    every, size = np.arange(at_node), price.size
    line = np.repeat(np.arange(lines), nodes)
    filled = sparse.hstack([
        sparse.csr_array((np.ones(at_node), (line, every)), (lines, at_node)), sparse.eye_array(lines),
        sparse.csr_array((lines, ships)),
    ])  # fmt: skip
    ship = order[line] * nodes + np.tile(np.arange(nodes), lines)
    shipped = sparse.hstack([
        sparse.eye_array(at_node), sparse.csr_array((at_node, short)),
        sparse.csr_array((-wanted[line], (every, ship)), (at_node, ships)),
    ])  # fmt: skip
    cell = demand.sku[line] * nodes + np.tile(np.arange(nodes), lines)
    there = sparse.csr_array((np.ones(at_node), (cell, every)), (stock.size, size))
    matrix = sparse.vstack([filled, shipped, there]).tocsr()
    low = np.concatenate([wanted, np.full(at_node + stock.size, -np.inf)])
    return price, matrix, low, np.concatenate([wanted, np.zeros(at_node), stock.ravel().astype(float)])
