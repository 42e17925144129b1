"""Dated supply through the service, the clients and the commands: what is expected, who waits for it, what is told."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pyarrow.parquet as pq
import pytest

import allot_client
from allot.v1 import events_pb2
from allot.v1 import stock_pb2 as st
from tests.command_line import run, write_csv
from tests.edge import CALL
from tests.running import Server, server
from tests.test_client import Driven
from tests.test_services_catalogue import Desk, at_desk, refused

NODES = [("BLR", 12.97, 77.59), ("DEL", 28.64, 77.22), ("BOM", 18.94, 72.84)]
SOON, LATER = datetime(2030, 1, 5, tzinfo=UTC), datetime(2030, 2, 1, 12, 30, tzinfo=UTC)
SOON_US, LATER_US = (int(moment.timestamp()) * 1_000_000 for moment in (SOON, LATER))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server(tmp_path_factory.mktemp("supply") / "data") as running:
        yield running


@pytest.fixture(params=[allot_client.Client, Driven], ids=["blocking", "async"])
def shop(request: pytest.FixtureRequest, running: Server) -> Iterator[Any]:
    client = request.param(running.address)
    client.put_nodes(NODES)
    yield client
    client.close()


@pytest.fixture
def own(shop: Any, request: pytest.FixtureRequest) -> str:
    """A channel of this test alone that has back-orders, and an order of the SKU of the same name, which is short."""
    name = f"{request.node.callspec.id}-{request.node.originalname[-40:]}"[:32]
    shop.put_channel(name, on_short="back_order")
    shop.put_skus([name])
    shop.place_order(channel=name, order_id="A-1", postal_code="560001", lines=[(name, 5)])
    return name


def expected(shop: Any, own: str) -> list[tuple[int, int, str, int]]:
    units = [(one.quantity, one.due_at_us, one.node_id, one.reference) for one in shop.get_order(own, "A-1").expected]
    assert [(one.quantity, one.due_at_us, one.node_id, one.reference)
            for one in shop.explain_order(own, "A-1").expected] == units  # fmt: skip
    return units


def told(shop: Any, own: str, after: str) -> list[tuple[int, int, int, bool, int]]:
    events = [event.units_promised for event in shop.stream_events(after, kinds=["units_promised"], once=True)]
    fields = ("quantity", "from_due_at_us", "due_at_us", "waiting", "cause")
    return [tuple(getattr(event, field) for field in fields) for event in events if event.sku == own]


def test_what_is_expected_is_promised_moved_received_and_told(shop: Any, own: str) -> None:
    start = list(shop.stream_events(once=True))[-1].event_id
    rows = [(own, "BLR", 3, SOON, 7), {"sku": own, "node_id": "DEL", "quantity": 9, "due_at": LATER, "reference": 8}]
    answer = shop.put_supply(rows, request_id=f"{own} one")
    assert (answer.changed, answer.again) == (2, False)
    assert shop.put_supply(rows, request_id=f"{own} one").again
    with pytest.raises(allot_client.KeyConflict):
        shop.put_supply(rows[:1], request_id=f"{own} one")
    assert expected(shop, own) == [(3, SOON_US, "BLR", 7), (2, LATER_US, "DEL", 8)]
    listed = [(one.node_id, one.quantity, one.due_at_us, one.reference, one.bound) for one in shop.list_supply(sku=own)]
    assert listed == [("BLR", 3, SOON_US, 7, 3), ("DEL", 9, LATER_US, 8, 2)]
    shop.put_supply([(own, "BLR", 3, LATER_US, 7)])
    shop.receive_stock([(own, "DEL", 4)], reference=8)
    assert expected(shop, own) == [(1, LATER_US, "BLR", 7)]
    assert [one.quantity for one in shop.list_supply(sku=own, node_id="DEL")] == [5]
    shop.put_supply([(own, "BLR", 0, None, 7), (own, "DEL", 0, None, 8)])
    assert expected(shop, own) == []
    assert list(shop.list_supply(sku=own)) == []
    by_supply, by_receipt = events_pb2.CAUSE_SUPPLY, events_pb2.CAUSE_RECEIPT
    assert told(shop, own, start) == [
        (3, 0, SOON_US, True, by_supply), (2, 0, LATER_US, True, by_supply), (3, SOON_US, LATER_US, True, by_supply),
        (4, LATER_US, 0, False, by_receipt), (1, LATER_US, 0, True, by_supply),
    ]  # fmt: skip
    changed = [event.supply_changed for event in shop.stream_events(start, kinds=["supply_changed"], once=True)]
    assert [(one.reference, one.quantity, one.cause) for one in changed if one.sku == own] == [
        (7, 3, by_supply), (8, 9, by_supply), (7, 3, by_supply), (8, 5, by_receipt), (7, 0, by_supply),
        (8, 0, by_supply),
    ]  # fmt: skip


def test_the_commands_say_what_is_expected(shop: Any, own: str, running: Server, tmp_path: Path) -> None:
    at = ("--server", running.address)
    said = run("stock", "expect", own, "BOM", 4, "--on", "2030-01-05", "--reference", 12, *at)
    assert (said.code, said.out) == (0, "4 units expected in 1 rows, 1 of them changed\n")
    rows = [(own, "DEL", 6, "2030-02-01T18:00:00+05:30", 13), (own, "BOM", 3, "2030-01-05", 12)]
    file = write_csv(tmp_path / "supply.csv", "sku,node_id,quantity,on,reference", rows)
    assert run("stock", "expect", "--file", file, *at, "--json").json["changed"] == 2
    listed = run("stock", "expected", "--sku", own, *at)
    assert [line.split()[1:] for line in listed.out.splitlines() if line.strip().startswith(own)] == [
        ["BOM", "3", "2030-01-05", "12", "3"], ["DEL", "6", "2030-02-01T12:30:00+00:00", "13", "2"],
    ]  # fmt: skip
    for command in ("order", "get"), ("explain",):
        shown = run(*command, "A-1", "--channel", own, *at).out
        assert "2030-01-05" in shown
        assert "2030-02-01T12:30:00+00:00" in shown
    folder = run("explain", "A-1", "--channel", own, "--data", running.folder).out
    assert "2030-01-05" in folder
    assert run("events", "--kinds", "units_promised", "--once", *at).out.count(own) == 3
    rows_of = run("export", "--data", running.folder, "--out", tmp_path / "out", "--json").json
    promises = [row for row in pq.read_table(tmp_path / "out/promises.parquet").to_pylist() if row["sku"] == own]
    assert [(row["quantity"], row["from_due_at"], row["due_at"], row["waiting"], row["cause"]) for row in promises] == [
        (4, None, SOON, True, "SUPPLY"), (1, SOON, LATER, True, "SUPPLY"), (1, None, LATER, True, "SUPPLY"),
    ]  # fmt: skip
    supply = pq.read_table(tmp_path / "out/supply.parquet").to_pylist()
    assert len(supply) == rows_of["supply"]
    assert [(row["node_id"], row["quantity"], row["reference"]) for row in supply if row["sku"] == own] == [
        ("BOM", 4, 12), ("DEL", 6, 13), ("BOM", 3, 12),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("S", "N", 1, "--on", "2030-01-05"), "give SKU NODE UNITS --on DAY --reference NUMBER"),
        (("S", "N", 1, "--reference", 1), "give SKU NODE UNITS --on DAY --reference NUMBER"),
        (("S", "N", 1, "--reference", 1, "--on", "soon"), "--on soon: give a day, such as 2026-12-31"),
        (("S", "N", 1, "--reference", 1, "--on", "2030-01-05T10:00"), "or a time with its zone"),
        (("S", "N", 1, "--file", "x.csv"), "S and --file x.csv: give one of them"),
    ],
    ids=range(5),
)
def test_a_command_that_is_not_whole_is_told_how(arguments: tuple[object, ...], said: str) -> None:
    found = run("stock", "expect", *arguments)
    assert found.code == 2
    assert said in found.err


@pytest.mark.parametrize("row", [("S", "N", "few", "2030-01-05", 1), ("S", "N", 1, "2030-01-05", "PO")], ids=range(2))
def test_a_bad_row_of_a_file_is_named(tmp_path: Path, row: tuple[object, ...]) -> None:
    file = write_csv(tmp_path / "supply.csv", "sku,node_id,quantity,on,reference", [row])
    found = run("stock", "expect", "--file", file)
    assert found.code == 2
    assert "supply.csv: row 1, " in found.err


def test_every_page_of_what_is_expected_joins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(desk: Desk) -> None:
        rows = [st.SupplyRow(sku=f"new-{i // 2}", node_id="AB"[i % 2], quantity=i + 1, due_at_us=9, reference=1)
                for i in range(14)]  # fmt: skip
        await desk.stock.PutSupply(st.PutSupplyRequest(request_id="s", rows=rows), CALL)

        async def pages(size: int, node: str = "") -> list[tuple[str, str, int]]:
            supply, token = [], ""
            while True:
                asked = st.ListSupplyRequest(node_id=node, page_size=size, page_token=token)
                page = await desk.stock.ListSupply(asked, CALL)
                supply += [(one.sku, one.node_id, one.quantity) for one in page.supply]
                if not (token := page.next_page_token):
                    return supply

        whole = await pages(0)
        assert whole == [(row.sku, row.node_id, row.quantity) for row in rows]
        assert await pages(1) == await pages(3) == whole
        assert await pages(2, "B") == [row for row in whole if row[1] == "B"]
        monkeypatch.setattr("engine.reading.SUPPLY_ROWS", 3)
        assert await pages(0) == whole
        unknown = await refused(desk.stock.ListSupply(st.ListSupplyRequest(sku="none of it"), CALL))
        assert (unknown.code, unknown.reason) == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_SKU")

    at_desk(tmp_path, test)


@pytest.mark.parametrize(
    ("row", "reason", "field"),
    [
        (st.SupplyRow(node_id="A", quantity=1, due_at_us=1, reference=1), "VALUE_MISSING", "rows[1].sku"),
        (st.SupplyRow(sku="s", node_id="Z", quantity=1, due_at_us=1, reference=1), "UNKNOWN_NODE", "rows[1].node_id"),
        (st.SupplyRow(sku="s", node_id="A", quantity=10**9 + 1, due_at_us=1, reference=1), "OUT_OF_RANGE",
         "rows[1].quantity"),
        (st.SupplyRow(sku="s", node_id="A", quantity=1, reference=1), "OUT_OF_RANGE", "rows[1].due_at_us"),
        (st.SupplyRow(sku="s", node_id="A", quantity=0, due_at_us=-1, reference=1), "OUT_OF_RANGE",
         "rows[1].due_at_us"),
        (st.SupplyRow(sku="s", node_id="A", quantity=1, due_at_us=1 << 62, reference=1), "OUT_OF_RANGE",
         "rows[1].due_at_us"),
        (st.SupplyRow(sku="s", node_id="A", quantity=1, due_at_us=1), "OUT_OF_RANGE", "rows[1].reference"),
    ],
)  # fmt: skip
def test_bad_rows(tmp_path: Path, row: st.SupplyRow, reason: str, field: str) -> None:
    async def test(desk: Desk) -> None:
        good = st.SupplyRow(sku="sku-0", node_id="A", quantity=1, due_at_us=1, reference=1)
        bad = await refused(desk.stock.PutSupply(st.PutSupplyRequest(request_id="bad", rows=[good, row]), CALL))
        assert (bad.reason, bad.field) == (reason, field)
        assert len((await desk.stock.ListSupply(st.ListSupplyRequest(), CALL)).supply) == 0

    at_desk(tmp_path, test)
