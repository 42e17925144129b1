"""`allot allocate --policy least-cost`: journaled, explained, never dearer than nearest, and what does not fit."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from engine.commands import Parts, PutChannels
from engine.intake.job import plan_orders
from engine.planning import Plan
from engine.writer import Engine
from kernels.columns import NO_NODE, OnShort
from tests.command_line import run, write_csv
from tests.test_cli import Shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def planned(shop: Shop, *more: object) -> Any:
    card = shop.folder / "card.toml"
    card.write_text(
        "shipment_fee = 4000\nfee_per_km = 4.0\nhandling_fee = 500\nfee_per_unit_km = 1.0\nshortage_penalty = 60000\n"
    )
    return run(*shop.allocate("--rate-card", card, "--policy", "least-cost", "--json", *more))


def test_least_cost_into_a_folder_is_journaled_and_known_when_it_comes_again(shop: Shop):
    data = shop.folder / "data"
    first = planned(shop, "--data", data)
    assert first.code == 0, first
    assert first.json["bound"] <= first.json["cost"]
    decided = shop.decisions.read_bytes()
    again = planned(shop, "--data", data)
    assert (again.json["repeated_orders"], again.json["changed"]) == (first.json["orders"], False)
    assert shop.decisions.read_bytes() == decided
    assert run("verify", "--data", data).code == 0


def test_explain_tells_of_a_folder_that_nobody_serves(shop: Shop):
    data = shop.folder / "data"
    assert planned(shop, "--data", data).code == 0
    ask = ("explain", "O5", "--channel", "shop", "--data", data)
    found = run(*ask, "--json")
    assert (found.code, found.err) == (0, "")
    assert (found.json["choice"], found.json["may_have_changed"], len(found.json["lines"])) == ("LEAST_COST", False, 3)
    assert all(line["extra_cost"] >= 0 and sum(p["quantity"] for p in line["parts"]) for line in found.json["lines"])
    assert "by a plan of least cost" in run(*ask).out
    assert "line costs more than alone" in run(*ask).out
    for order, channel, said in (("O5", "web", "no such channel"), ("none", "shop", "names no order of the channel")):
        wrong = run("explain", order, "--channel", channel, "--data", data)
        assert (wrong.code, wrong.out, said in wrong.err) == (1, "", True)


def test_least_cost_costs_no_more_than_nearest(shop: Shop):
    least = planned(shop)
    nearest = run(*shop.allocate("--rate-card", shop.folder / "card.toml", "--json"))
    assert least.json["cost"] <= nearest.json["cost"]
    assert (nearest.json["bound"], nearest.json["gap"]) == (None, None)
    assert least.json["gap"] == round(least.json["cost"] / least.json["bound"] - 1, 6)


def _oversold(parts: Parts) -> Parts:
    return replace(parts, node=np.zeros_like(parts.node))


def _a_unit_less(parts: Parts) -> Parts:
    return replace(parts, quantity=np.append(parts.quantity[:-1], parts.quantity[-1] + 1).astype(np.int32))


def _a_node_too_far(parts: Parts) -> Parts:
    return replace(parts, node=np.full_like(parts.node, 99))


def _a_negative_node(parts: Parts) -> Parts:
    return replace(parts, node=np.full_like(parts.node, -2))


@pytest.mark.parametrize(
    ("spoilt", "which"), [(_oversold, "some"), (_a_unit_less, 1), (_a_node_too_far, 60), (_a_negative_node, 60)]
)
def test_what_does_not_fit_of_a_plan_is_decided_by_nearest_and_the_summary_says_how_many_orders(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, spoilt: Callable[[Parts], Parts], which: str | int
):
    """Whatever a plan says, nothing is sold twice and nothing is lost."""
    assert run(*shop.allocate()).code == 0
    by_nearest = shop.decisions.read_bytes()

    def wrong(*given: Any, **named: Any) -> Plan:
        made = plan_orders(*given, **named)
        return replace(made, parts=spoilt(made.parts))

    monkeypatch.setattr("engine.intake.job.plan_orders", wrong)
    data = shop.folder / "data"
    found = planned(shop, "--data", data)
    assert found.code == 0
    unplanned = found.json["unplanned_orders"]
    assert 0 < unplanned < 60 if which == "some" else unplanned == which
    assert f"{unplanned} order{' was' if unplanned == 1 else 's were'} decided by nearest" in found.json["notes"][-1]
    assert found.json["units"] == found.json["allocated_units"] + found.json["short_units"]
    if unplanned == 60:
        assert shop.decisions.read_bytes() == by_nearest
    assert run("verify", "--data", data).code == 0


def test_orders_of_a_channel_that_may_not_split_are_planned_where_one_node_gives_them(shop: Shop):
    data = shop.folder / "data"
    header = shop.orders.read_text().splitlines()[0]
    assert run(*shop.allocate("--data", data, orders=write_csv(shop.folder / "none.csv", header, []))).code == 0
    with Engine.open(data) as engine:
        channels = PutChannels(
            "no split", pa.array(["shop"]), np.full((1, 4), np.iinfo(np.uint64).max, np.uint64), np.zeros(1, np.int32),
            np.array([OnShort.REFUSE], np.uint8), np.zeros(1, np.uint8), np.full(1, 1_000_000, np.int32),
            np.zeros(1, np.int32), np.full(1, np.iinfo(np.int32).max, np.int32), np.zeros(1, np.int32),
            np.zeros(1, np.int32), np.zeros(1, np.uint8),
        )  # fmt: skip
        engine.commit(channels, engine.state.stamp)
    found = planned(shop, "--data", data)
    assert 0 < found.json["unplanned_orders"] < 60
    assert found.json["split_orders"] == 0
    assert (found.json["bound"], found.json["gap"]) == (None, None)  # some were refused: they cost nothing
    assert run("verify", "--data", data).code == 0
    asked, decided = rows_by_line(shop.orders), rows_by_line(shop.decisions)
    rejected = list(csv.DictReader(shop.rejects.read_text().splitlines()))
    assert {row["reason"] for row in rejected} == {"REFUSED"}
    refused = {int(row["row"]) for row in rejected}
    assert decided == {line: units for at, (line, units) in enumerate(asked.items(), 1) if at not in refused}


def rows_by_line(path: Path) -> dict[tuple[str, int, str], int]:
    """Units of each (order, line, SKU) of an orders file, or of decisions."""
    units: dict[tuple[str, int, str], int] = {}
    lines: dict[str, int] = {}
    for row in csv.DictReader(path.read_text().splitlines()):
        order = row["order_id"]
        lines[order] = lines.get(order, 0) + 1
        key = order, int(row.get("line") or lines[order]), row["sku"]
        units[key] = units.get(key, 0) + int(row["quantity"])
    return units


def test_a_plan_is_never_dearer_than_nearest(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    def all_short(demand: Any, costs: Any, stock: Any, **named: Any) -> Plan:
        parts = Parts(np.ones_like(demand.quantity), np.full(demand.quantity.size, NO_NODE, np.int16), demand.quantity)
        return Plan(parts, float(demand.quantity.sum() * costs.short), 1.0, np.zeros(stock.shape), 1)

    run(*shop.allocate())
    nearest = sorted(shop.decisions.read_text().splitlines())
    monkeypatch.setattr("engine.intake.job.plan", all_short)
    found = planned(shop)
    assert sorted(shop.decisions.read_text().splitlines()) == nearest
    assert found.json["unplanned_orders"] == 0  # it was carried out as a plan


def test_least_cost_needs_a_rate_card_and_policies_have_names(shop: Shop):
    found = run(*shop.allocate("--policy", "least-cost"))
    assert (found.code, "--rate-card" in found.err) == (2, True)
    found = run(*shop.allocate("--policy", "cheapest"))
    assert (found.code, "there are nearest and least-cost" in found.err) == (2, True)


def _with_terms(shop: Shop, nodes_max: int, ship_complete: str) -> None:
    header, *rows = shop.orders.read_text().splitlines()
    rows = [f"{row},{nodes_max},{ship_complete}" for row in rows]
    shop.orders.write_text("\n".join([f"{header},nodes_max,ship_complete", *rows]) + "\n")


@pytest.mark.parametrize(("nodes_max", "ship_complete"), [(1, "no"), (2, "yes"), (0, "yes")])
def test_a_plan_keeps_to_what_orders_ask_for(shop: Shop, nodes_max: int, ship_complete: str):
    free = planned(shop)
    _with_terms(shop, nodes_max, ship_complete)
    data = shop.folder / "data"
    found = planned(shop, "--data", data)
    assert (found.code, found.json["unplanned_orders"]) == (0, 0)
    nearest = run(*shop.allocate("--rate-card", shop.folder / "card.toml", "--json"))
    assert found.json["bound"] <= free.json["cost"]
    assert found.json["bound"] == free.json["bound"] <= found.json["cost"] <= nearest.json["cost"]
    assert run("verify", "--data", data).code == 0  # which checks terms
    planned(shop)
    nodes: dict[str, set[str]] = {}
    for row in csv.DictReader(shop.decisions.read_text().splitlines()):
        nodes.setdefault(row["order_id"], set()).add(row["node_id"])
    assert max(len(of - {""}) for of in nodes.values()) <= (nodes_max or 9)
    assert ship_complete == "no" or not any("" in of and len(of) > 1 for of in nodes.values())


def test_a_plan_offers_no_node_that_the_channel_excludes(shop: Shop):
    data = shop.folder / "data"
    header = shop.orders.read_text().splitlines()[0]
    assert run(*shop.allocate("--data", data, orders=write_csv(shop.folder / "none.csv", header, []))).code == 0
    with Engine.open(data) as engine:
        everywhere, none = np.full((1, 4), np.iinfo(np.uint64).max, np.uint64), np.zeros((1, 4), np.uint64)
        channels = PutChannels(
            "not there", pa.array(["shop"]), everywhere, np.zeros(1, np.int32), np.array([OnShort.KEEP], np.uint8),
            np.ones(1, np.uint8), np.full(1, 1_000_000, np.int32), np.zeros(1, np.int32),
            np.full(1, np.iinfo(np.int32).max, np.int32), np.zeros(1, np.int32), np.zeros(1, np.int32),
            np.zeros(1, np.uint8), none, none | np.array([1, 0, 0, 0], np.uint64),
        )  # fmt: skip
        engine.commit(channels, engine.state.stamp)
    found = planned(shop, "--data", data)
    assert (found.json["unplanned_orders"], found.json["bound"] <= found.json["cost"]) == (0, True)
    given = {row["node_id"] for row in csv.DictReader(shop.decisions.read_text().splitlines())} - {""}
    planned(shop)
    assert given < {row["node_id"] for row in csv.DictReader(shop.decisions.read_text().splitlines())} - {""}
    assert run("verify", "--data", data).code == 0
