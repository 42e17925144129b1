"""Nodes that are to be left, over gRPC: by the clients, by `allot node reallocate`, and with a kill in the middle."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from allot.v1 import events_pb2
from allot_client import AllotError, AsyncClient, Client
from engine import reallocation
from tests.command_line import run
from tests.crash_clients import verified
from tests.running import Server, server

NODES = (("A", 19.0, 72.8), ("B", 18.5, 73.8), ("C", 28.6, 77.2))
FLAGS = ("--no-views", "--drain-seconds-max=1")
CODE = "400001"
Figures = dict[str, tuple[int, int, int, int]]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[tuple[Client, str]]:
    """A server with three nodes, A nearest, and ten orders of two shirts, all at A."""
    with server(tmp_path / "data", *FLAGS) as running, Client(running.address) as client:
        furnish(client, units=20, orders=10)
        yield client, running.address


def furnish(client: Client, units: int, orders: int) -> None:
    client.put_nodes(NODES)
    client.put_channel("web", on_short="back_order")
    client.receive_stock([("shirt", "A", units)], request_id="at A")
    placed = client.allocate(
        pa.table({
            "order_id": [f"order-{i}" for i in range(orders)], "postal_code": [CODE] * orders,
            "sku": ["shirt"] * orders, "quantity": [2] * orders,
        }),
        channel="web",
    )  # fmt: skip
    assert set(placed["outcome"].to_pylist()) == {"ALLOCATED"}


def figures(answer: Any) -> Figures:
    return {node.node_id: (node.left, node.arrived, node.stayed, node.short) for node in answer.nodes}


def allocated(client: Client) -> dict[str, int]:
    return {cell.node_id: cell.allocated for cell in client.get_stock("shirt").cells}


def places_of(client: Client, order: int) -> Counter[str]:
    found: Counter[str] = Counter()
    for part in client.get_order("web", f"order-{order}").parts:
        found[part.node_id] += part.quantity
    return found


def test_a_dry_run_tells_what_the_same_without_it_does(shop: tuple[Client, str]) -> None:
    client, _ = shop
    client.receive_stock([("shirt", "B", 15)], request_id="at B")
    expected = {"A": (15, 0, 5, 0), "B": (0, 15, 0, 0)}
    assert figures(client.reallocate_orders(["A"], dry_run=True)) == expected
    assert allocated(client) == {"A": 20, "B": 0}
    assert figures(client.reallocate_orders(["A"], request_id="down")) == expected
    assert allocated(client) == {"A": 5, "B": 15}


def test_what_may_be_sold_follows_at_both_nodes(shop: tuple[Client, str]) -> None:
    client, _ = shop
    client.put_channel("at A", node_ids=["A"])
    client.put_channel("at B", node_ids=["B"])
    client.receive_stock([("shirt", "B", 15)], request_id="at B")

    def sellable() -> list[int]:
        return [client.get_availability(name, ["shirt"]).figures[0].units for name in ("at A", "at B", "web")]

    assert sellable() == [0, 15, 15]
    client.reallocate_orders(["A"])
    assert sellable() == [15, 0, 15]


def test_a_repeat_is_told_again_and_other_content_is_refused(shop: tuple[Client, str]) -> None:
    client, _ = shop
    client.receive_stock([("shirt", "B", 4)], request_id="at B")
    first = client.reallocate_orders(["A"], request_id="down")
    again = client.reallocate_orders(["A"], request_id="down")
    assert (first.again, again.again, figures(first)) == (False, True, figures(again))
    with pytest.raises(AllotError) as raised:
        client.reallocate_orders(["A"], request_id="down", short=True)
    assert raised.value.reason == "KEY_CONFLICT"


def test_what_finds_no_node_waits_where_it_is_to_become_short(shop: tuple[Client, str]) -> None:
    client, _ = shop
    client.put_nodes([{"node_id": "A", "latitude": 19.0, "longitude": 72.8, "closed": True}])
    client.receive_stock([("shirt", "B", 4)], request_id="at B")
    assert figures(client.reallocate_orders(["A", "C"], short=True)) == {"A": (4, 0, 0, 16), "B": (0, 4, 0, 0)}
    client.receive_stock([("shirt", "C", 16)], request_id="at C")
    assert allocated(client) == {"A": 0, "B": 4, "C": 16}


def test_events_name_both_nodes_and_the_cause(shop: tuple[Client, str]) -> None:
    client, _ = shop
    client.receive_stock([("shirt", "B", 2)], request_id="at B")
    client.reallocate_orders(["A"])
    (event,) = client.stream_events(kinds=["units_moved"], once=True)
    moved = event.units_moved
    assert (moved.from_node_id, moved.node_id, moved.quantity) == ("A", "B", 2)
    assert moved.cause == events_pb2.CAUSE_REALLOCATED


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        ([], "VALUE_MISSING"),
        (["A", "Nowhere"], "UNKNOWN_NODE"),
        (["A"] * 257, "TOO_MANY"),
    ],
)
def test_a_request_that_names_no_nodes_is_refused(shop: tuple[Client, str], nodes: list[str], reason: str) -> None:
    with pytest.raises(AllotError) as raised:
        shop[0].reallocate_orders(nodes)
    assert raised.value.reason == reason


def test_the_asynchronous_client_asks_the_same(shop: tuple[Client, str]) -> None:
    client, address = shop
    client.receive_stock([("shirt", "B", 4)], request_id="at B")

    async def ask() -> Figures:
        async with AsyncClient(address) as other:
            return figures(await other.reallocate_orders(["A"], dry_run=True))

    assert asyncio.run(ask()) == {"A": (4, 0, 16, 0), "B": (0, 4, 0, 0)}


def test_the_command_shows_a_table_or_json(shop: tuple[Client, str]) -> None:
    client, address = shop
    client.receive_stock([("shirt", "B", 4)], request_id="at B")
    told = run("node", "reallocate", "A", "--dry-run", "--server", address)
    assert (told.code, told.err) == (0, "")
    assert "4 units would move" in told.out
    done = run("node", "reallocate", "A", "--request-id", "down", "--server", address, "--json")
    assert done.json == {
        "nodes": [
            {"node_id": "A", "left": 4, "arrived": 0, "stayed": 16, "short": 0},
            {"node_id": "B", "left": 0, "arrived": 4, "stayed": 0, "short": 0},
        ],
        "again": False,
    }
    again = run("node", "reallocate", "A", "--request-id", "down", "--server", address)
    assert "4 units moved; done before" in again.out
    unknown = run("node", "reallocate", "X", "--server", address)
    assert (unknown.code, unknown.out) == (1, "")
    assert "add it by PutNodes" in unknown.err


def test_orders_move_to_a_cheaper_node_by_the_clients_and_by_the_command(
    shop: tuple[Client, str], tmp_path: Path
) -> None:
    client, address = shop
    client.receive_stock([("shirt", "A", 1)], request_id="one more")
    client.place_order(channel="web", order_id="far", postal_code="110001", lines=[("shirt", 1)])
    client.receive_stock([("shirt", "C", 1)], request_id="at C")
    assert client.get_order("web", "far").parts[0].node_id == "A"
    fees: dict[str, float] = {"shipment_fee": 100, "fee_per_km": 2.5}
    told = client.reevaluate_orders(**fees, dry_run=True)
    assert figures(told) == {"A": (1, 0, 0, 0), "C": (0, 1, 0, 0)}
    assert client.get_order("web", "far").parts[0].node_id == "A"

    async def ask() -> Any:
        async with AsyncClient(address) as other:
            return await other.reevaluate_orders(**fees, move_fee=told.saved + 1, request_id="too dear")

    assert asyncio.run(ask()).saved == 0
    card = tmp_path / "card.toml"
    card.write_text(
        "shipment_fee = 100\nfee_per_km = 2.5\nhandling_fee = 0\nfee_per_unit_km = 0\nshortage_penalty = 0\n"
    )
    asked = ("order", "reevaluate", "--rate-card", str(card), "--server", address)
    assert f"1 units would move and save {told.saved:,}" in run(*asked, "--dry-run").out
    done = run(*asked, "--request-id", "cheaper", "--json")
    assert (done.json["saved"], done.json["again"]) == (told.saved, False)
    assert f"1 units moved; saved {told.saved:,}; done before" in run(*asked, "--request-id", "cheaper").out
    assert client.get_order("web", "far").parts[0].node_id == "C"
    with pytest.raises(AllotError) as raised:
        client.reevaluate_orders(shipment_fee=-1)
    assert (raised.value.reason, raised.value.field) == ("OUT_OF_RANGE", "shipment_fee_micros")


def test_a_kill_in_the_middle_leaves_each_order_whole_at_either_node_and_the_same_request_ends_it(
    tmp_path: Path,
) -> None:
    orders = 12 * reallocation.ORDERS_OF_A_COMMIT_MAX
    running = Server(tmp_path / "data", *FLAGS)
    try:
        with Client(running.address) as client:
            furnish(client, units=2 * orders, orders=orders)
            client.receive_stock([("shirt", "B", 2 * orders)], request_id="at B")
            asks = threading.Thread(target=cut_off, args=(running.address,))
            asks.start()
            while allocated(client)["B"] == 0:
                time.sleep(0.001)
            running.kill()
        asks.join()
        verified(tmp_path / "data")
        running = Server(tmp_path / "data", *FLAGS)
        with Client(running.address) as client:
            before = allocated(client)
            assert before["A"] + before["B"] == 2 * orders
            assert 0 < before["B"] < 2 * orders, "the kill came too late, or too soon"
            moved = before["B"] // 2  # the oldest ones, two units each
            for order in (0, moved - 1, moved, orders - 1):
                assert places_of(client, order) == {"B" if order < moved else "A": 2}
            assert figures(move(running.address)) == {"A": (2 * orders, 0, 0, 0), "B": (0, 2 * orders, 0, 0)}
            assert allocated(client) == {"A": 0, "B": 2 * orders}
        assert running.stop() == 0, "".join(running.log)
        verified(tmp_path / "data")
    finally:
        if running.process.poll() is None:
            running.kill()


def move(address: str) -> Any:
    with Client(address, patience=0) as client:
        return client.reallocate_orders(["A"], request_id="down")


def cut_off(address: str) -> None:
    with pytest.raises(AllotError):
        move(address)
