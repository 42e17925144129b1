"""Promises of a real server: one cart and Arrow batches, by both clients and by the command; orders keep them."""

import asyncio
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pyarrow as pa
import pytest

from allot.v1 import promises_pb2
from allot_client import AllotError, AsyncClient, Client, calls
from tests.command_line import run
from tests.crash_clients import stream_of, verified
from tests.running import Server
from tests.running import server as running_server
from tests.test_service_card import written

CARTS = 5000
LINES = pa.list_(pa.struct([("sku", pa.string()), ("quantity", pa.int32())]))


def furnish(address: str) -> None:
    """Two nodes, a channel, and one that does not split and refuses what is short."""
    with Client(address) as client:
        client.put_nodes([("BLR", 12.98, 77.59), ("DEL", 28.6, 77.2)])
        client.put_channel("web")
        client.put_channel("strict", no_split=True, on_short="refuse")
        client.receive_stock([("SKU-1", "BLR", 10), ("SKU-1", "DEL", 15), ("sku-0", "DEL", 1000)])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("promises")
    card = written(folder)
    with running_server(folder / "data", f"--service-card={card}") as running:
        furnish(running.address)
        yield running
    assert not [line for line in running.log if '"level": "error"' in line], "".join(running.log)
    verified(folder / "data")


@pytest.fixture
def shop(server: Server) -> Iterator[Client]:
    with Client(server.address) as client:
        yield client


def carts(count: int, **more: pa.Array) -> pa.Table:
    lines = [[{"sku": "SKU-1", "quantity": 1 + at % 30}] if at % 2 else [{"sku": "sku-0", "quantity": 1}] * (1 + at % 3)
             for at in range(count)]  # fmt: skip
    columns = {
        "channel": ["web"] * count,
        "postal_code": [("560034", "110001", "744101")[at % 3] for at in range(count)],
    }
    return pa.table({**columns, "lines": pa.array(lines, LINES), **more})


def parts(found: promises_pb2.PromiseResponse) -> list[tuple[int, str, int]]:
    return [(part.line, part.node_id, part.quantity) for part in found.parts]


def test_a_cart_is_promised_from_the_nodes_that_would_give_it(shop: Client) -> None:
    before = int(time.time() * 1e6)
    found = shop.promise("web", "560034", [("SKU-1", 3)])
    assert parts(found) == [(1, "BLR", 3)]
    assert (found.units_short, found.currency) == (0, "INR")
    standard, bulk = found.services
    assert (standard.service, bulk.service) == ("standard", "bulk")
    assert standard.price == 3300 + 7 * 2830 + 3 * 700  # 3,600 g: the first 500 g and seven more slabs
    assert bulk.price == 9000 + 3 * 700
    assert before < found.order_by_us <= standard.ship_at_us
    assert standard.ship_date < standard.deliver_date


def test_what_is_short_is_said_and_has_no_date(shop: Client) -> None:
    found = shop.promise("web", "110001", [("SKU-1", 30)])
    assert sorted(parts(found)) == [(1, "", 5), (1, "BLR", 10), (1, "DEL", 15)]
    assert found.units_short == 5
    assert [service.service for service in found.services] == ["standard", "bulk"]
    refused = shop.promise("strict", "110001", [("SKU-1", 30)])
    assert (parts(refused), refused.units_short, list(refused.services), refused.order_by_us) == ([], 30, [], 0)


def test_cash_on_delivery_and_islands_leave_services_out(shop: Client) -> None:
    plain = shop.promise("web", "560034", [("SKU-1", 3)])
    cash = shop.promise("web", "560034", [("SKU-1", 3)], cash_on_delivery=True)
    assert [(service.service, service.price) for service in cash.services] == [
        ("standard", plain.services[0].price + 3500)
    ]
    assert [service.service for service in shop.promise("web", "744101", [("SKU-1", 1)]).services] == ["bulk"]


def test_a_batch_says_of_each_cart_what_it_is_told_alone_and_holds_nothing(shop: Client, server: Server) -> None:
    before = shop.get_stock("SKU-1").cells
    table = carts(CARTS)
    found = pa.concat_tables(shop.promises(table)).to_pylist()
    assert len(found) == CARTS
    assert pa.concat_tables(shop.promises(table, batch_carts=1200)).to_pylist() == found
    for at, (cart, row) in enumerate(zip(table.to_pylist(), found, strict=True)):
        assert (row["reason"], row["field"]) == (None, None)
        if at < 90:
            lines = [(line["sku"], line["quantity"]) for line in cart["lines"]]
            alone = shop.promise("web", cart["postal_code"], lines)
            assert [(part["line"], part["node_id"] or "", part["quantity"]) for part in row["parts"]] == parts(alone)
            assert row["units_short"] == alone.units_short
            assert [
                (s["service"], str(s["ship_date"]), str(s["deliver_date"]), s["price"]) for s in row["services"]
            ] == [(s.service, s.ship_date, s.deliver_date, s.price) for s in alone.services]
        else:
            assert row == found[at % 90]
    assert shop.get_stock("SKU-1").cells == before


def test_an_order_that_is_placed_at_once_leaves_from_the_promised_nodes(shop: Client) -> None:
    found = shop.promise("web", "560034", [("SKU-1", 12), ("sku-0", 2)])
    decision = shop.place_order(
        channel="web", order_id="kept", postal_code="560034", lines=[("SKU-1", 12), ("sku-0", 2)]
    )
    assert [(part.line, part.node_id, part.quantity) for part in decision.parts] == parts(found)
    shop.cancel_order("web", "kept")


def test_what_is_short_has_the_date_that_the_order_is_promised(shop: Client, server: Server) -> None:
    shop.put_channel("later", on_short="back_order")
    day = datetime(2031, 5, 1, tzinfo=UTC)
    shop.put_supply([("SKU-2", "BLR", 5, day, 1), ("SKU-2", "DEL", 9, day + timedelta(days=2), 2)])
    found = [shop.promise("later", "560034", [("SKU-2", units)]) for units in (5, 6, 15)]
    due = [int(day.timestamp()) * 1_000_000, int((day + timedelta(days=2)).timestamp()) * 1_000_000, 0]
    assert [one.short_expected_at_us for one in found] == due
    assert shop.promise("web", "560034", [("SKU-2", 5)]).short_expected_at_us == 0  # it has no back-orders
    table = pa.table({
        "channel": ["later"] * 3, "postal_code": ["560034"] * 3,
        "lines": pa.array([[{"sku": "SKU-2", "quantity": units}] for units in (5, 6, 15)], LINES),
    })  # fmt: skip
    (rows,) = shop.promises(table)
    assert rows["short_expected_at"].to_pylist() == [day, day + timedelta(days=2), None]
    shop.place_order(channel="later", order_id="waits", postal_code="560034", lines=[("SKU-2", 6)])
    assert max(units.due_at_us for units in shop.get_order("later", "waits").expected) == due[1]
    said = run(
        "promise", "--channel", "later", "--postal-code", "560034", "--line", "SKU-2=1", "--server", server.address
    )
    assert "what is short is expected by 2031-05-03 00:00 UTC" in said.out


BAD = {
    "UNKNOWN_CHANNEL": ("nobody", "560034", [("SKU-1", 1)], "channel"),
    "UNKNOWN_SKU": ("web", "560034", [("sku-9", 1)], "lines[0].sku"),
    "NO_LINES": ("web", "560034", [], "lines"),
    "QUANTITY_OUT_OF_RANGE": ("web", "560034", [("SKU-1", 1), ("SKU-1", 0)], "lines[1].quantity"),
    "UNKNOWN_POSTAL_CODE": ("web", "moon", [("SKU-1", 1)], "postal_code"),
}


@pytest.mark.parametrize("reason", BAD)
def test_a_bad_cart_is_refused_with_its_field(shop: Client, reason: str) -> None:
    channel, code, lines, field = BAD[reason]
    with pytest.raises(AllotError) as refused:
        shop.promise(channel, code, lines)
    assert (refused.value.reason, refused.value.field) == (reason, field)


def test_a_bad_cart_of_a_batch_is_rejected_alone(shop: Client) -> None:
    bad = [[{"sku": "sku-9", "quantity": 1}], [{"sku": "SKU-1", "quantity": 0}], [], [{"sku": "sku-0", "quantity": 2}]]
    table = pa.table({
        "channel": ["web", "web", "web", "web", "nobody", "web"],
        "postal_code": ["560034"] * 5 + ["moon"],
        "lines": pa.array([*bad, bad[3], bad[3]], LINES),
        "cash_on_delivery": pa.array([None, False, None, True, None, None]),
    })  # fmt: skip
    (found,) = shop.promises(table)
    assert list(zip(found["reason"].to_pylist(), found["field"].to_pylist(), strict=True)) == [
        ("UNKNOWN_SKU", "lines.sku"), ("QUANTITY_OUT_OF_RANGE", "lines.quantity"), ("NO_LINES", "lines"), (None, None),
        ("UNKNOWN_CHANNEL", "channel"), ("UNKNOWN_POSTAL_CODE", "postal_code"),
    ]  # fmt: skip
    rows = found.to_pylist()
    assert [len(row["parts"]) for row in rows] == [0, 0, 0, 1, 0, 0]
    assert [[service["service"] for service in row["services"]] for row in rows] == [[], [], [], ["standard"], [], []]
    assert [row["order_by"] is None for row in rows] == [True, True, True, False, True, True]


UNREADABLE = {
    "no stream": b"carts",
    "another column": stream_of(carts(1, colour=pa.array(["red"])).combine_chunks().to_batches()[0]),
    "a flag that is none": stream_of(carts(1, cash_on_delivery=pa.array([1])).combine_chunks().to_batches()[0]),
    "no lines": stream_of(carts(1).drop_columns(["lines"]).combine_chunks().to_batches()[0]),
}


def test_a_batch_that_cannot_be_read_is_a_problem_and_the_stream_goes_on(server: Server) -> None:
    good = stream_of(carts(2).combine_chunks().to_batches()[0])
    with grpc.insecure_channel(server.address) as channel:
        method = channel.stream_stream(
            calls.PROMISES.path,
            promises_pb2.PromisesRequest.SerializeToString,
            promises_pb2.PromisesResponse.FromString,
        )
        sent = [*UNREADABLE.values(), good]
        answers = list(method((promises_pb2.PromisesRequest(batch=data) for data in sent), timeout=60))
    assert [answer.problem.reason for answer in answers] == ["MALFORMED_BATCH"] * len(UNREADABLE) + [""]
    assert pa.ipc.open_stream(answers[-1].batch).read_all().num_rows == 2


def test_the_async_client_asks_the_same(server: Server, shop: Client) -> None:
    async def ask() -> tuple[promises_pb2.PromiseResponse, list[pa.Table]]:
        async with AsyncClient(server.address) as client:
            one = await client.promise("web", "560034", [("SKU-1", 2)])
            return one, [table async for table in client.promises(carts(10))]

    one, tables = asyncio.run(ask())
    assert one.services == shop.promise("web", "560034", [("SKU-1", 2)]).services
    assert pa.concat_tables(tables).to_pylist() == pa.concat_tables(shop.promises(carts(10))).to_pylist()


def test_the_command_prints_a_table_and_json(server: Server) -> None:
    asked = ["promise", "--channel", "web", "--postal-code", "560034", "--line", "SKU-1=2", "--server", server.address]
    shown = run(*asked)
    assert shown.code == 0, shown
    assert "from BLR" in shown.out
    assert re.search(r"standard +20\d\d-\d\d-\d\d .* 20\d\d-\d\d-\d\d +\d+,\d\d\d", shown.out), shown.out
    found = run(*asked, "--json").json
    assert [service["service"] for service in found["services"]] == ["standard", "bulk"]
    assert run(*[text.replace("560034", "744101") for text in asked], "--cash-on-delivery").code == 1


def test_nodes_that_the_card_leaves_out_and_a_missing_card_are_said(tmp_path: Path) -> None:
    card = written(tmp_path)
    with running_server(tmp_path / "data", f"--service-card={card}") as running, Client(running.address) as client:
        client.put_nodes([("DEL", 28.6, 77.2)])
        client.put_channel("web")
        client.receive_stock([("SKU-1", "DEL", 5)])
        with pytest.raises(AllotError, match=r"nodes.BLR: there is no such node") as refused:
            client.promise("web", "110001", [("SKU-1", 1)])
        assert refused.value.reason == "CARD_HOLE"
        client.put_nodes([("BLR", 12.98, 77.59)])
        assert client.promise("web", "110001", [("SKU-1", 1)]).services
    (tmp_path / "zones.csv").write_text("postal_code,zone\n560,city\n561,country\n744,island\n")
    refusing = run("serve", f"--data={tmp_path / 'data'}", f"--service-card={card}", "--listen=127.0.0.1:0")
    assert refusing.code == 2
    assert "zones.courier: postal code '110001' has no zone" in refusing.err
    with running_server(tmp_path / "data") as running, Client(running.address) as client:
        for ask in (lambda: client.promise("web", "110001", [("SKU-1", 1)]), lambda: list(client.promises(carts(1)))):
            with pytest.raises(AllotError) as refused:
                ask()
            assert refused.value.reason == "NO_SERVICE_CARD"
