"""Balance and age of stock: the fees by hand, plans against the optimum of a mixed integer program that counts them,
and what the file job does with them."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from engine.costs import TooManyRows
from engine.intake.rate_card import RateCard
from engine.intake.tables import IntakeError
from engine.planning import plan
from engine.ragged import offsets, owners
from engine.stock_fees import count_fees, stock_fees, with_stock_fees
from kernels.columns import NO_NODE
from tests.command_line import run, write_csv
from tests.test_cli import Shop
from tests.test_kernels_planning import case, cost_of, least_cost

CARD = "shipment_fee = 4000\nfee_per_km = 4.0\nhandling_fee = 500\nfee_per_unit_km = 1.0\nshortage_penalty = 60000\n"


class Terms(NamedTuple):
    balance_fee: float
    age_fee_per_day: float


def test_the_fees_by_hand() -> None:
    available, age_days = np.array([[10, 4, 0], [0, 0, 0]]), np.array([[3, 8, 90], [0, 0, 0]])
    assert stock_fees(Terms(0, 0), available, age_days) is None
    assert stock_fees(Terms(1000, 0), available, age_days).tolist() == [[0, 600, 0], [0, 0, 0]]
    assert stock_fees(Terms(0, 20), available, age_days).tolist() == [[100, 0, 0], [0, 0, 0]]  # 90 days, but none there
    assert stock_fees(Terms(1000, 20), available, age_days).tolist() == [[100, 600, 0], [0, 0, 0]]


def test_plans_with_fees_of_stock_keep_to_the_bound_and_come_near_the_optimum() -> None:
    over, changed = [], 0
    for seed in range(30):
        found = case(seed)
        demand, costs, stock = found
        chance = np.random.default_rng(seed)
        fees = stock_fees(Terms(3000, 200), stock, chance.integers(0, 30, stock.shape))
        with_fees = with_stock_fees(demand, costs, None, fees)
        made, plain = plan(*with_fees[:2], stock), plan(*found)
        paid = cost_of(found, made)  # what is paid, by the costs without fees
        assert paid + count_fees(demand, fees, made.parts) == pytest.approx(made.cost, rel=1e-9)
        best = least_cost(found, fees=fees[demand.sku])
        assert made.bound <= best * (1 + 1e-9)
        assert best <= made.cost * (1 + 1e-9)
        assert plain.cost <= paid * (1 + 0.03)
        over.append(made.cost / best - 1)
        changed += not np.array_equal(made.parts.node, plain.parts.node)
        _check_extra_cost(found, made)
    assert np.mean(over) < 0.03
    assert changed > 10, "the fees hardly ever chose another node"


def _check_extra_cost(found: Any, made: Any) -> None:
    """It is of what is paid: a plan with fees tells the same as one without would of the same parts."""
    demand, costs, stock = found
    order, first = owners(demand.first_line), offsets(made.parts.part_count)
    for line in range(demand.sku.size):
        parts = range(first[line], first[line + 1])
        given = [(made.parts.node[p], made.parts.quantity[p]) for p in parts if made.parts.node[p] != NO_NODE]
        zone, units = demand.zone[order[line]], sum(int(quantity) for _, quantity in given)
        if not given:
            continue
        paid = sum(costs.shipment[zone, node] + quantity * costs.unit[zone, node] for node, quantity in given)
        there = stock[demand.sku[line]] > 0
        assert made.parts.extra_cost[line] == round(
            float(paid - (costs.shipment[zone] + units * costs.unit[zone])[there].min())
        )


def test_more_prices_than_there_is_room_for_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    demand, costs, stock = case(0)
    fees = stock_fees(Terms(3000, 0), stock, np.zeros(stock.shape))
    monkeypatch.setattr("engine.stock_fees.CELLS_MAX", 8)
    with pytest.raises(TooManyRows, match="prices, by SKU and where orders go, at 4 nodes"):
        with_stock_fees(demand, costs, None, fees)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """One SKU at two nodes that are about as near: the second one is a little farther, and has more and older units."""
    shop = Shop(tmp_path)
    write_csv(shop.nodes, "node_id,latitude,longitude", [("NEAR", 19.0, 72.8), ("FAR", 19.5, 72.8)])
    write_csv(shop.stock, "sku,node_id,on_hand,age_days", [("S", "NEAR", 5, 2), ("S", "FAR", 20, 40)])
    write_csv(shop.orders, "order_id,postal_code,sku,quantity", [(f"O{i}", "400001", "S", 1) for i in range(4)])
    return shop


def allocated(shop: Shop, card: str, *more: object) -> Any:
    path = shop.folder / "card.toml"
    path.write_text(card)
    return run(*shop.allocate("--rate-card", path, "--policy", "least-cost", "--json", *more))


@pytest.mark.parametrize("term", ["balance_fee = 5000", "age_fee_per_day = 30"])
def test_the_job_takes_from_the_fuller_and_the_older_stock_and_says_what_that_counts(shop: Shop, term: str) -> None:
    plain, found = allocated(shop, CARD), allocated(shop, CARD + term)
    assert (plain.code, found.code) == (0, 0), found
    assert plain.json["stock_fees"] is None
    assert found.json["mean_distance_m"] > plain.json["mean_distance_m"]
    assert found.json["cost"] > plain.json["cost"], "the fees are no cost"
    assert found.json["stock_fees"] == 0, "the units of the best-stocked, oldest node have none"
    assert found.json["bound"] <= found.json["cost"] + found.json["stock_fees"] + 1
    assert found.json["gap"] == pytest.approx(found.json["cost"] / found.json["bound"] - 1, abs=1e-6)


def test_a_card_that_goes_by_age_needs_the_column(shop: Shop) -> None:
    write_csv(shop.stock, "sku,node_id,on_hand", [("S", "NEAR", 5)])
    found = allocated(shop, CARD + "age_fee_per_day = 30")
    assert (found.code, found.out) == (2, "")
    assert "age_days is missing" in found.err
    assert not shop.decisions.exists()


def test_ages_are_means_over_the_units_of_a_cell_and_bad_ones_are_rejected(shop: Shop) -> None:
    rows = [("S", "NEAR", 1, 10), ("S", "NEAR", 3, 2), ("S", "FAR", 20, ""), ("S", "FAR", 1, "old")]
    write_csv(shop.stock, "sku,node_id,on_hand,age_days", rows)
    found = allocated(shop, CARD + "age_fee_per_day = 3000")
    assert found.json["stock_rejects"] == 1
    assert found.json["stock_fees"] == 0, "four days, the mean, is older than an empty age"
    assert found.json["mean_distance_m"] < 20_000


def test_a_bad_fee_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "card.toml"
    path.write_text(CARD + "balance_fee = -1\n")
    with pytest.raises(IntakeError, match="balance_fee is -1"):
        RateCard.read(path)
