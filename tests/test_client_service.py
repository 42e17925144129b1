"""The client and the commands against the real service: a first order as the README says it, every kind of call, and a
server that is killed while a table of orders is on its way.
"""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import allot_client
from allot.v1 import events_pb2, orders_pb2, types_pb2
from tests.command_line import Outcome, run, write_csv
from tests.running import Server, server
from tests.test_client import Driven

README = Path(__file__).resolve().parents[1] / "clients" / "README.md"
NODES = [("BLR", 12.97, 77.59), ("DEL", 28.64, 77.22), ("BOM", 18.94, 72.84)]
BLR_CODE, DEL_CODE = "560001", "110001"


def close(ended: Server) -> None:
    """Let go of the pipes of a server that has ended."""
    for pipe in (ended.process.stdout, ended.process.stderr):
        assert pipe is not None
        pipe.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with server(tmp_path_factory.mktemp("service") / "data") as running:
        yield running.address
    close(running)


@pytest.fixture(params=[allot_client.Client, Driven], ids=["blocking", "async"])
def shop(request: pytest.FixtureRequest, address: str) -> Iterator[Any]:
    client = request.param(address)
    yield client
    client.close()


@pytest.fixture
def own(shop: Any, request: pytest.FixtureRequest) -> str:
    """A channel of this test alone, three nodes, and the SKU of the same name with ten units at two of them."""
    name = f"{request.node.callspec.id}-{abs(hash(request.node.name)) % 10**6}"
    shop.put_nodes(NODES)
    shop.put_channel(name, on_short="keep")
    shop.receive_stock([(name, "BLR", 10), (name, "DEL", 10)])
    return name


def draft(own: str, order_id: str, quantity: int = 1, postal_code: str = BLR_CODE) -> dict[str, Any]:
    return {"channel": own, "order_id": order_id, "postal_code": postal_code, "lines": [(own, quantity)]}


def test_the_first_order_of_the_readme(address: str):
    block = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)[0]
    out = StringIO()
    with redirect_stdout(out):
        exec(block.replace("127.0.0.1:50051", address), {})
    assert "OUTCOME_ALLOCATED" in out.getvalue()
    assert 'node_id: "BLR"' in out.getvalue()


def test_an_order_is_placed_read_repeated_and_cancelled(shop: Any, own: str):
    first = shop.place_order(**draft(own, "A-1", 4), customer="c-1", placed_at=datetime.now(UTC))
    assert (first.outcome, first.again, [part.node_id for part in first.parts]) == (
        types_pb2.OUTCOME_ALLOCATED, False, ["BLR"],
    )  # fmt: skip
    found = shop.get_order(own, "A-1")
    assert (found.number, found.customer, found.state) == (first.number, "c-1", types_pb2.ORDER_STATE_ALLOCATED)
    assert shop.cancel_order(own, "A-1", quantity=1).quantity == 1
    cells = {cell.node_id: cell.available for cell in shop.get_stock(own).cells}
    assert cells == {"BLR": 7, "DEL": 10}
    sequence = shop.get_stock(own).sequence
    listed = list(shop.list_orders(channel=own, at_least_sequence=sequence))
    assert [(order.order_id, order.number) for order in listed] == [("A-1", first.number)]


def test_an_order_is_explained_with_what_was_passed_over_and_what_served_it_later(shop: Any, own: str):
    shop.put_channel(own, on_short="back_order")
    shop.place_order(**draft(own, "A-1", 13))
    found = shop.explain_order(own, "A-1")
    assert (found.outcome, found.choice) == (types_pb2.OUTCOME_ALLOCATED, orders_pb2.CHOICE_PAIR)
    assert (found.may_have_changed, len(found.moved), found.view_sequence) == (False, 0, 0)
    (line,) = found.lines
    assert [(part.node_id, part.quantity, part.rank) for part in line.parts] == [("BLR", 10, 1), ("DEL", 3, 3)]
    assert line.parts[1].extra_distance_m == line.parts[1].distance_m - line.parts[0].distance_m > 1_000_000
    assert [(node.node_id, node.rank, node.reason) for node in line.passed] == [
        ("BOM", 2, orders_pb2.PASSED_REASON_NO_STOCK)
    ]
    shop.place_order(**draft(own, "A-2", 9))
    assert shop.explain_order(own, "A-2").choice == orders_pb2.CHOICE_GREEDY
    shop.receive_stock([(own, "BOM", 5)])
    served = shop.explain_order(own, "A-2")
    assert [(moved.node_id, moved.quantity, moved.cause, moved.released) for moved in served.moved] == [
        ("BOM", 2, events_pb2.CAUSE_RECEIPT, False)
    ]
    assert served.sequence < served.moved[0].sequence <= served.view_sequence
    assert list(served.lines) == list(shop.explain_order(own, "A-2").lines)
    with pytest.raises(allot_client.Unknown) as caught:
        shop.explain_order(own, "no-such-order")
    assert caught.value.reason == "UNKNOWN_ORDER"


def test_the_same_order_again_is_the_first_answer_and_other_content_a_conflict(shop: Any, own: str):
    first = shop.place_order(**draft(own, "A-1", 2))
    again = shop.place_order(**draft(own, "A-1", 2))
    assert (again.again, again.number, list(again.parts)) == (True, first.number, list(first.parts))
    with pytest.raises(allot_client.KeyConflict) as caught:
        shop.place_order(**draft(own, "A-1", 3))
    assert caught.value.reason == "KEY_CONFLICT"


def test_an_order_keeps_its_terms(shop: Any, own: str):
    short = shop.place_order(**draft(own, "A-1", 12), nodes_max=1)
    assert (short.outcome, [part.node_id for part in short.parts]) == (types_pb2.OUTCOME_SHORT, [""])
    split = shop.place_order(**draft(own, "A-2", 12), nodes_max=2, ship_complete=True)
    assert [part.node_id for part in split.parts] == ["BLR", "DEL"]
    sequence = shop.get_stock(own).sequence
    listed = {order.order_id: order for order in shop.list_orders(channel=own, at_least_sequence=sequence)}
    for order in (shop.get_order(own, "A-2"), shop.explain_order(own, "A-2"), listed["A-2"]):
        assert (order.nodes_max, order.ship_complete) == (2, True)
    with pytest.raises(allot_client.KeyConflict):
        shop.place_order(**draft(own, "A-2", 12))
    with pytest.raises(allot_client.Invalid) as caught:
        shop.place_order(**draft(own, "A-3"), nodes_max=256)
    assert (caught.value.reason, caught.value.field) == ("OUT_OF_RANGE", "order.nodes_max")
    shop.reserve(**draft(own, "C-1", 9), hold=timedelta(minutes=1), ship_complete=True)
    held = shop.get_order(own, "C-1", is_reservation=True)
    assert (held.ship_complete, {part.node_id for part in held.parts}) == (True, {""})  # eight are left
    rows = {"order_id": ["T-1", "T-2", "T-3"], "channel": [own] * 3, "postal_code": [DEL_CODE] * 3, "sku": [own] * 3,
            "quantity": [9, 9, 1], "nodes_max": [1, None, 300], "ship_complete": [None, True, False]}  # fmt: skip
    found = shop.allocate(pa.table(rows))
    assert found.column("outcome").to_pylist() == ["SHORT", "SHORT", None]
    assert found.column("field").to_pylist() == [None, None, "nodes_max"]


def test_what_is_not_known_is_named(shop: Any, own: str):
    with pytest.raises(allot_client.Unknown) as caught:
        shop.place_order(**draft(own, "A-1") | {"lines": [("no-such-sku", 1)]})
    assert caught.value.reason == "UNKNOWN_SKU"
    assert "sku" in caught.value.field
    with pytest.raises(allot_client.Unknown):
        shop.get_order(own, "no-such-order")
    with pytest.raises(allot_client.Invalid):
        shop.place_order(**draft(own, "A-1", 0))


def test_a_cart_is_held_confirmed_and_let_go(shop: Any, own: str):
    held = shop.reserve(hold=timedelta(minutes=5), **draft(own, "cart-1", 3))
    assert held.decision.outcome == types_pb2.OUTCOME_ALLOCATED
    assert abs(held.expires_at_us / 1e6 - time.time() - 300) < 60
    assert shop.confirm(own, "cart-1", "A-1").outcome == types_pb2.OUTCOME_ALLOCATED
    shop.reserve(hold=timedelta(minutes=5), **draft(own, "cart-2", 2))
    assert shop.release(own, "cart-2").quantity == 2
    with pytest.raises(allot_client.ReservationOver):
        shop.confirm(own, "cart-2", "A-2")


def test_the_catalogue_and_stock_are_put_and_listed(shop: Any, own: str):
    shop.put_skus([f"{own}-x"])
    shop.put_postal_codes([(f"P{own}"[:16], 12.9, 77.5)])
    shop.put_exceptions([(own, own, {"buffer": 1})])
    shop.put_fences([(own, own, "BLR", 2)])
    shop.adjust_stock([(own, "BLR", "unavailable", 1)])
    shop.count_stock([(own, "DEL", 8)], source=own, counted_at=datetime.now(UTC))
    assert {node.node_id for node in shop.list_nodes()} >= {"BLR", "DEL", "BOM"}
    assert {own, f"{own}-x"} <= set(shop.list_skus(page_size=3))
    assert own in {channel.channel for channel in shop.list_channels()}
    figures = {channel.channel: channel for channel in shop.list_channel_figures().channels}
    assert figures[own].units_available >= 20
    cells = {cell.node_id: cell for cell in shop.list_stock(page_size=2) if cell.sku == own}
    assert (cells["BLR"].unavailable, cells["DEL"].on_hand) == (1, 8)


def test_availability_and_events_tell_what_happened(shop: Any, own: str):
    shop.place_order(**draft(own, "A-1", 4))
    (figure,) = shop.get_availability(own, [own]).figures
    assert (figure.sku, figure.units) == (own, 16)
    told = {figure.sku: figure.units for answer in shop.watch_availability(own, once=True) for figure in answer.figures}
    assert told[own] == 16
    events = list(shop.stream_events(once=True, kinds=["order_decided"]))
    assert [event.order_decided.order_id for event in events if event.order_decided.channel == own] == ["A-1"]
    assert list(shop.stream_events(events[-1].event_id, once=True, kinds=["order_decided"])) == []


def test_a_watch_hears_of_a_change(shop: Any, own: str):
    answers = shop.watch_availability(own)
    seen = next(answers)
    while not seen.complete:
        seen = next(answers)
    shop.place_order(**draft(own, "A-1", 5))
    units = next(figure.units for answer in answers for figure in answer.figures if figure.sku == own)
    assert units == 15
    answers.close()


def test_a_stream_of_orders(shop: Any, own: str):
    drafts = [allot_client.order(**draft(own, f"A-{number}")) for number in range(30)]
    drafts[7].lines[0].sku = "no-such-sku"
    found = list(shop.place_orders(drafts, window=8))
    assert [answer.order_id for answer in found] == [order.order_id for order in drafts]
    assert [answer.problem.reason for answer in found if answer.HasField("problem")] == ["UNKNOWN_SKU"]
    outcomes = [answer.decision.outcome for answer in found]
    assert outcomes.count(types_pb2.OUTCOME_ALLOCATED) == 20  # ten at BLR, ten at DEL
    assert outcomes.count(types_pb2.OUTCOME_SHORT) == 9


def test_a_table_of_orders(shop: Any, own: str):
    rows = [(f"T-{order}", own, DEL_CODE if order % 2 else BLR_CODE, own if order % 5 else "no-such-sku", 1)
            for order in range(40)]  # fmt: skip
    names = ("order_id", "channel", "postal_code", "sku", "quantity")
    table = pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))
    found = shop.allocate(table, batch_orders=7)
    assert found.column("order_id").to_pylist() == [row[0] for row in rows]
    assert [row["reason"] for row in found.to_pylist() if row["outcome"] is None] == ["UNKNOWN_SKU"] * 8
    outcomes = found.column("outcome").to_pylist()
    assert (outcomes.count("ALLOCATED"), outcomes.count("SHORT")) == (20, 12)
    again = shop.allocate(table, batch_orders=13)
    taken = [outcome is not None for outcome in outcomes]
    assert again.column("again").to_pylist() == taken
    for column in ("outcome", "number", "parts", "reason"):
        assert again.column(column).to_pylist() == found.column(column).to_pylist()


@pytest.mark.parametrize("how", [Server.kill, Server.stop])
@pytest.mark.parametrize("kind", [allot_client.Client, Driven], ids=["blocking", "async"])
def test_a_server_that_ends_amid_a_table_changes_nothing(kind: Any, how: Any, tmp_path: Path):
    orders = 3000
    table = pa.table({
        "order_id": [f"A-{order}" for order in range(orders)], "channel": ["own"] * orders,
        "postal_code": [BLR_CODE] * orders, "sku": ["S"] * orders, "quantity": [1] * orders,
    })  # fmt: skip
    first, restarted = Server(tmp_path / "data"), list[Server]()
    try:
        shop = kind(first.address)
        shop.put_nodes(NODES)
        shop.put_channel("own", on_short="keep")
        shop.receive_stock([("S", "BLR", 2000)])

        def restart() -> None:
            how(first)
            restarted.append(Server(tmp_path / "data", f"--listen={first.address}"))

        ending, found = threading.Thread(target=restart), []
        for answer in shop.allocate_batches(table, batch_orders=100, window=3):
            found.append(answer)
            if len(found) == 5:
                ending.start()
                ending.join()
        results = pa.concat_tables(found)
        assert results.column("order_id").to_pylist() == table.column("order_id").to_pylist()
        assert results.column("outcome").to_pylist() == ["ALLOCATED"] * 2000 + ["SHORT"] * 1000
        assert len(set(results.column("number").to_pylist())) == orders
        (cell,) = shop.get_stock("S").cells
        assert (cell.allocated, cell.available) == (2000, 0)
        shop.close()
    finally:
        for running in (first, *restarted):
            running.kill()
            close(running)


def test_commands_as_an_operator_types_them(address: str, tmp_path: Path):
    def allot(*arguments: object, code: int = 0) -> Outcome:
        found = run(*arguments, "--server", address)
        assert found.code == code, found
        return found

    allot("node", "put", "CLI-1", "--postal-code", BLR_CODE)
    allot("channel", "put", "cli", "--node", "CLI-1", "--on-short", "refuse")
    allot("stock", "receive", "CLI", "CLI-1", 5)
    order = ("--channel", "cli", "--postal-code", BLR_CODE, "--line", "CLI=2")
    assert "allocated" in allot("order", "place", "A-1", *order).out
    assert "decided before" in allot("order", "place", "A-1", *order).out
    assert "refused" in allot("order", "place", "A-2", *order[:-1], "CLI=9", code=1).out
    assert "KEY_CONFLICT" in allot("order", "place", "A-1", *order[:-1], "CLI=3", code=1).err
    assert allot("order", "get", "A-1", "--channel", "cli", "--json").json["state"] == "ALLOCATED"
    assert "CLI-1" in allot("order", "get", "A-1", "--channel", "cli").out
    explained = allot("explain", "A-1", "--channel", "cli").out
    assert "from one node: the nearest that had everything" in explained
    refused = allot("explain", "A-2", "--channel", "cli").out
    assert "from no node" in refused
    assert "CLI-1" in refused.split("passed over")[1]
    assert "had units, but not what would have spared a shipment" in refused
    assert allot("explain", "A-1", "--channel", "cli", "--json").json["lines"][0]["parts"][0]["node_id"] == "CLI-1"
    assert "2 units cancelled" in allot("order", "cancel", "A-1", "--channel", "cli").out
    allot("stock", "count", "CLI", "CLI-1", 4, "--source", "cli")
    assert allot("stock", "get", "CLI", "--json").json["cells"][0]["available"] == 4
    rows = [(f"F-{number}", BLR_CODE, "CLI", 1) for number in range(4)] + [("F-9", BLR_CODE, "no-such-sku", 1)]
    file = write_csv(tmp_path / "orders.csv", "order_id,postal_code,sku,quantity", rows)
    sent = allot("order", "send", file, "--channel", "cli", "--json", code=1).json
    assert (sent["allocated"], sent["not_taken_by_reason"]) == (4, {"UNKNOWN_SKU": 1})
    assert allot("watch", "cli", "--once").out.splitlines()[-1].endswith("\t0\tCLI")
    decided = allot("events", "--once", "--kinds", "order_decided").out
    assert "order_id=F-3" in decided
    listed = [("order", "list", "--channel", "cli"), ("stock", "list"), ("node", "list"), ("channel", "list")]
    for command, word in zip(listed, ("F-3", "CLI", "CLI-1", "cli"), strict=True):
        until = time.monotonic() + 10  # the views, which lists of orders come from, are there a moment later
        while word not in allot(*command).out:
            assert time.monotonic() < until, command
            time.sleep(0.1)
