"""Limits of nodes on the command line: columns of the nodes file, and `allot node` on a running server."""

import csv
import time
from collections import Counter
from pathlib import Path

import pytest

from allot.v1 import catalogue_pb2
from tests.command_line import run, write_csv
from tests.fake_service import FakeService, serving
from tests.test_cli import Shop

NODES = [("DEL", 28.6, 77.2), ("BOM", 18.9, 72.8), ("MAA", 13.1, 80.3)]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def limit(shop: Shop, *limits: tuple[object, object]) -> None:
    head = "node_id,latitude,longitude,orders_per_day,units_per_day"
    write_csv(shop.nodes, head, [(*node, *of) for node, of in zip(NODES, limits, strict=True)])


def taken(shop: Shop) -> tuple[dict[str, int], Counter[str]]:
    """Orders and units of each node in the decisions."""
    orders: dict[str, set[str]] = {}
    units: Counter[str] = Counter()
    for row in csv.DictReader(shop.decisions.read_text().splitlines()):
        if row["node_id"]:
            orders.setdefault(row["node_id"], set()).add(row["order_id"])
            units[row["node_id"]] += int(row["quantity"])
    return {node: len(of) for node, of in orders.items()}, units


@pytest.mark.parametrize("policy", ["nearest", "least-cost"])
@pytest.mark.parametrize("with_data", [False, True])
def test_no_node_takes_more_than_its_day_has(shop: Shop, policy: str, with_data: bool):
    card = shop.folder / "card.toml"
    card.write_text(
        "shipment_fee = 4000\nfee_per_km = 4.0\nhandling_fee = 500\nfee_per_unit_km = 1.0\nshortage_penalty = 60000\n"
    )
    more = ["--policy", policy, "--rate-card", card, "--json", *(["--data", shop.data] if with_data else [])]
    free = run(*shop.allocate(*more[:5]))
    orders, units = taken(shop)
    assert free.code == 0
    assert orders["DEL"] > 4
    assert units["BOM"] > 7
    limit(shop, (4, ""), ("", 7), ("", ""))
    found = run(*shop.allocate(*more))
    orders, units = taken(shop)
    assert found.code == 0
    assert 0 < orders["DEL"] <= 4
    assert 0 < units["BOM"] <= 7
    assert units.total() == found.json["allocated_units"]
    assert 0 < found.json["capacity_short_units"] <= found.json["short_units"]
    assert any("their day had no room" in note for note in found.json["notes"])
    assert free.json["capacity_short_units"] == 0
    if policy == "least-cost":
        assert found.json["bound"] <= found.json["cost"]
    if with_data:
        assert run(*shop.allocate(*more)).json["changed"] is False
        limit(shop, (5, ""), ("", 7), ("", ""))
        assert run(*shop.allocate(*more)).json["changed"] is True
        assert run("verify", "--data", shop.data).code == 0


def test_a_plan_of_the_next_day_counts_with_what_nodes_may_take_on_it(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    card = shop.folder / "card.toml"
    card.write_text(
        "shipment_fee = 4000\nfee_per_km = 4.0\nhandling_fee = 500\nfee_per_unit_km = 1.0\nshortage_penalty = 60000\n"
    )
    more = ["--policy", "least-cost", "--rate-card", card, "--json", "--data", shop.data]
    limit(shop, (4, ""), (3, ""), (0, ""))
    first = run(*shop.allocate(*more))
    orders, _ = taken(shop)
    assert (first.code, orders) == (0, {"DEL": 4, "BOM": 3})
    shop.orders.write_text(shop.orders.read_text().replace("\nO", "\nNEXT-O"))
    tomorrow = time.time_ns() + 86_400 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: tomorrow)
    second = run(*shop.allocate(*more))
    orders, _ = taken(shop)
    assert (second.code, orders) == (0, {"DEL": 4, "BOM": 3})
    assert (second.json["repeated_orders"], second.json["unplanned_orders"]) == (0, 0)
    assert second.json["bound"] <= second.json["cost"]


def test_a_limit_that_is_none_is_named(shop: Shop):
    limit(shop, ("", ""), (-1, ""), ("", ""))
    found = run(*shop.allocate())
    assert (found.code, found.out) == (2, "")
    assert "row 2, orders_per_day '-1': NEGATIVE" in found.err


def test_node_put_and_list_speak_of_limits(monkeypatch: pytest.MonkeyPatch):
    for name in ("ALLOT_TOKEN", "ALLOT_CA"):
        monkeypatch.delenv(name, raising=False)
    service = FakeService()
    with serving(service) as address:
        monkeypatch.setenv("ALLOT_SERVER", address)
        run("node", "put", "BLR", "--postal-code", "560001", "--orders-per-day", 40, "--day-starts-at", "15:30",
            "--utc-offset-minutes", 330)  # fmt: skip
        (asked,) = service.asked[0].nodes
        assert asked == catalogue_pb2.Node(
            node_id="BLR", postal_code="560001", orders_per_day=40, day_starts_at=930, utc_offset_minutes=330
        )
        for wrong in ("15", "24:00", "x:10", "12:60"):
            found = run("node", "put", "BLR", "--postal-code", "560001", "--day-starts-at", wrong)
            assert (found.code, found.out) == (2, "")
            assert f"--day-starts-at {wrong}: give a time of day as HH:MM" in found.err
        found = run("node", "put", "BLR", "--postal-code", "560001", "--latitude", 13, "--longitude", 77.6)
        assert (found.code, "give it or --latitude and --longitude, not both" in found.err) == (2, True)
        assert len(service.asked) == 1
