"""Orders as tables and files: grouped, cut to batches, sent, sent again, and their results as a table."""

import gzip
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

import allot_client
from allot.v1 import types_pb2
from allot_client import tables
from server.errors import busy
from tests.fake_service import FakeService, serving, table_of
from tests.test_client import Driven

UTC = UTC
ROWS = [
    ("B", "own", "560001", "S1", 1), ("A", "own", "110001", "S2", 2), ("B", "own", "560001", "S3", 3),
    ("B", "amazon", "400001", "S1", 4), ("A", "own", "110001", "S4", 5),
]  # fmt: skip
ORDERS = [
    {"order_id": "B", "channel": "own", "postal_code": "560001", "lines": [("S1", 1), ("S3", 3)]},
    {"order_id": "A", "channel": "own", "postal_code": "110001", "lines": [("S2", 2), ("S4", 5)]},
    {"order_id": "B", "channel": "amazon", "postal_code": "400001", "lines": [("S1", 4)]},
]


def flat(rows: list[tuple[Any, ...]] = ROWS, **more: Any) -> pa.Table:
    names = ("order_id", "channel", "postal_code", "sku", "quantity")
    return pa.table({**dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)), **more})


def nested() -> pa.Table:
    lines = pa.list_(pa.struct([("sku", pa.string()), ("quantity", pa.int32())]))
    rows = [order | {"lines": [dict(zip(("sku", "quantity"), line, strict=True)) for line in order["lines"]]}
            for order in ORDERS]  # fmt: skip
    return pa.Table.from_pylist(rows, pa.schema([(name, pa.string()) for name in tables.NEEDED] + [("lines", lines)]))


def many(orders: int, lines: int = 1) -> pa.Table:
    rows = [(f"A-{order}", "own", "560001", f"S{line}", 1) for order in range(orders) for line in range(lines)]
    return flat(rows)


def sent(source: Any, **named: Any) -> list[dict[str, Any]]:
    """What a source becomes on the wire, batch after batch."""
    found = tables.batches(tables.read_orders(source, **named))
    return [row for batch in found for row in table_of(batch.request).to_pylist()]


def plain(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row | {"lines": [(line["sku"], line["quantity"]) for line in row["lines"]]} for row in rows]


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture(params=[allot_client.Client, Driven], ids=["blocking", "async"])
def shop(request: pytest.FixtureRequest, service: FakeService) -> Iterator[Any]:
    with serving(service) as target:
        client = request.param(target)
        yield client
        client.close()


def test_rows_of_an_order_are_brought_together_in_order_of_first_appearance():
    assert plain(sent(flat())) == ORDERS


def test_a_row_an_order_is_sent_as_it_is():
    assert plain(sent(nested())) == ORDERS
    assert plain(sent(nested().slice(1))) == ORDERS[1:]
    assert plain(sent(pa.concat_tables([nested().slice(0, 2), nested().slice(2)]))) == ORDERS
    assert plain(sent(nested().to_batches()[0])) == ORDERS


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet"])
def test_files_say_what_tables_say(tmp_path: Path, kind: str):
    path = tmp_path / f"orders.{kind}"
    if kind == "parquet":
        pyarrow.parquet.write_table(flat(), path)
    else:
        pyarrow.csv.write_csv(flat(), path)
        if kind == "csv.gz":
            path.write_bytes(gzip.compress(path.read_bytes()))
    assert plain(sent(path)) == ORDERS
    assert plain(sent(str(path))) == ORDERS


def test_postal_codes_and_ids_of_a_file_stay_texts(tmp_path: Path):
    path = tmp_path / "orders.csv"
    path.write_text("order_id,postal_code,sku,quantity,currency,colour\n007,010001,0012,2,,red\n")
    (order,) = sent(path, channel="own")
    assert order == {
        "order_id": "007", "channel": "own", "postal_code": "010001", "currency": None,
        "lines": [{"sku": "0012", "quantity": 2}],
    }  # fmt: skip


@pytest.mark.parametrize(
    "given",
    [
        ["2026-01-02T03:04:05"], ["2026-01-02T08:34:05+05:30"], [datetime(2026, 1, 2, 3, 4, 5)],
        [datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)], pa.array([datetime(2026, 1, 2, 3, 4, 5)], pa.timestamp("s")),
        pa.array([datetime(2026, 1, 2, 3, 4, 5)], pa.timestamp("ns")).dictionary_encode().dictionary_decode(),
    ],
    ids=range(6),
)  # fmt: skip
def test_moments_come_as_texts_and_in_any_unit(given: Any):
    assert sent(flat(ROWS[:1], placed_at=given))[0]["placed_at"] == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_moments_come_as_microseconds_too():
    assert sent(flat(ROWS[:1], ship_by=[1_700_000_000_000_000]))[0]["ship_by"] == 1_700_000_000_000_000


def test_moments_of_a_csv_file(tmp_path: Path):
    path = tmp_path / "orders.csv"
    header = "order_id,channel,postal_code,sku,quantity,placed_at,ship_by\n"
    path.write_text(header + "A,own,1,S,1,2026-01-02 03:04:05,2026-01-02T08:34:05+05:30\nB,own,1,S,1,,\n")
    first, second = sent(path)
    assert first["placed_at"] == first["ship_by"] == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert second["placed_at"] is second["ship_by"] is None


def test_prices_are_of_the_lines_and_may_be_absent():
    (order,) = sent(flat(ROWS[:1], unit_price=[250], tax=pa.array([None], pa.int64())))
    assert order["lines"] == [{"sku": "S1", "quantity": 1, "unit_price": 250, "tax": None}]


def test_a_row_without_an_id_or_a_quantity_is_sent_for_the_service_to_name():
    (order,) = sent(flat([(None, "own", "560001", None, None)]).cast(flat().schema))
    assert (order["order_id"], order["lines"]) == ("", [{"sku": "", "quantity": 0}])


def test_dictionaries_and_wide_types_are_taken():
    wide = flat().cast(
        pa.schema([(name, pa.large_string()) for name in (*tables.NEEDED, "sku")] + [("quantity", pa.int64())])
    )
    assert plain(sent(wide)) == ORDERS
    encoded = pa.table({name: flat().column(name).dictionary_encode() for name in (*tables.NEEDED, "sku")})
    assert plain(sent(encoded.append_column("quantity", flat().column("quantity")))) == ORDERS


def test_columns_are_what_the_contract_says():
    (batch,) = tables.batches(tables.read_orders(flat(placed_at=[1] * 5, tax=[2] * 5)))
    found = table_of(batch.request)
    assert found.schema.field("order_id").type == pa.string()
    assert found.schema.field("placed_at").type == pa.int64()
    struct = found.schema.field("lines").type.value_type
    assert [struct.field(number).name for number in range(3)] == ["sku", "quantity", "tax"]
    assert (struct.field("quantity").type, struct.field("tax").type) == (pa.int32(), pa.int64())


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (flat().drop_columns(["channel"]), "has no column channel: .*; give channel="),
        (flat().drop_columns(["sku", "quantity"]), "has no column sku, quantity"),
        (nested().drop_columns(["postal_code"]), "has no column postal_code"),
        (flat().set_column(4, "quantity", [["1", "x", "3", "4", "5"]]), "quantity: .*x"),
        (flat().set_column(4, "quantity", [[1.5, 2, 3, 4, 5]]), "quantity: .*1.5"),
        (flat(placed_at=["soon"] * 5), "placed_at: .*soon"),
        (flat(lines=[1] * 5), "lines: is int64: give lists of structs"),
        (nested().set_column(3, "lines", [[[{"sku": "S"}]] * 3]), "lines: has no quantity"),
        (flat([*ROWS, ("B", "own", "560002", "S9", 1)]), "row 6, postal_code '560002': the order 'B' has '560001'"),
        ([1, 2], "orders: is a list: give a pyarrow Table"),
        ("orders.xlsx", "orders.xlsx: .* must end in .csv, .csv.gz or .parquet"),
    ],
    ids=range(11),
)  # fmt: skip
def test_what_cannot_be_sent_is_named_before_anything_is_sent(source: Any, said: str):
    with pytest.raises(ValueError, match=said):
        tables.read_orders(source)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        tables.read_orders(tmp_path / "no.csv")
    path = tmp_path / "orders.csv"
    path.write_text("order_id,channel,postal_code,sku,quantity\nA,own,560001,S1,two\n")
    with pytest.raises(ValueError, match=r"orders.csv: .*two"):
        tables.read_orders(path)


def test_batches_hold_so_many_orders_and_lines_at_most():
    assert [len(batch) for batch in tables.batches(tables.read_orders(many(20)), 8)] == [8, 8, 4]
    crowded = [len(batch) for batch in tables.batches(tables.read_orders(many(1000, 100)), 1000)]
    assert sum(crowded) == 1000
    assert max(crowded) * 100 <= tables.BATCH_LINES_MAX
    for wrong in (0, 16_385):
        with pytest.raises(ValueError, match=f"batch_orders: {wrong}: give 1 to 16,384"):
            next(tables.batches(tables.read_orders(many(1)), wrong))


def test_results_are_a_row_an_order(shop: Any):
    rows = [*ROWS, ("C", "own", "560001", "", 1)]
    seen: list[tuple[int, int]] = []
    found = shop.allocate(flat(rows), batch_orders=2, progress=lambda *done: seen.append(done))
    assert seen == [(2, 4), (4, 4)]
    assert found.schema == tables.result_schema()
    first, *_, last = found.to_pylist()
    assert first == {
        "order_id": "B", "channel": "own", "outcome": "ALLOCATED", "number": 1, "again": False, "reason": None,
        "field": None, "message": None,
        "parts": [{"line": 1, "node_id": "N1", "quantity": 1, "distance_m": 5},
                  {"line": 2, "node_id": "N1", "quantity": 3, "distance_m": 5}],
    }  # fmt: skip
    assert (last["outcome"], last["reason"], last["field"], last["parts"]) == (None, "UNKNOWN_SKU", "lines.sku", [])
    assert found.column("channel").to_pylist() == ["own", "own", "amazon", "own"]


def test_batches_that_were_not_answered_when_the_stream_broke_are_sent_again(shop: Any, service: FakeService):
    service.breaks = [2, 0, 1]
    found = shop.allocate(many(70), batch_orders=10, window=3)
    assert found.column("order_id").to_pylist() == [f"A-{order}" for order in range(70)]
    firsts = [[table_of(request).column("order_id")[0].as_py() for request in stream] for stream in service.streams]
    assert firsts[0][:2] == ["A-0", "A-10"]
    assert firsts[2][0] == "A-20"
    assert firsts[3] == ["A-30", "A-40", "A-50", "A-60"]


def test_no_more_batches_are_under_way_than_the_window(shop: Any, service: FakeService):
    service.hold_answers = 0.3
    answers = shop.allocate_batches(many(50), batch_orders=2, window=3)
    assert next(answers).num_rows == 2
    assert len(service.streams[0]) <= 4
    assert sum(table.num_rows for table in answers) == 48


def test_a_batch_that_was_not_taken_says_so_at_each_of_its_orders(shop: Any, service: FakeService):
    service.problems["batch"] = busy("64 batches are waiting", "QUEUE_FULL", 100).problem()
    found = shop.allocate(many(3))
    assert found.column("reason").to_pylist() == ["QUEUE_FULL"] * 3
    assert found.column("message").to_pylist() == ["64 batches are waiting"] * 3
    assert found.column("outcome").null_count == 3
    assert found.column("field").null_count == 3
    service.problems["batch"] = types_pb2.Problem(reason="MALFORMED_BATCH", field="batch", message="no")
    assert shop.allocate(many(1)).column("field").to_pylist() == ["batch"]


def test_no_orders_have_no_results(shop: Any, service: FakeService):
    found = shop.allocate(flat().slice(0, 0))
    assert (found.num_rows, found.schema) == (0, tables.result_schema())
    assert service.streams == []


def test_a_bar_is_shown_on_a_terminal_only(shop: Any, capsys: pytest.CaptureFixture[str]):
    shop.allocate(many(3), bar=True)
    assert capsys.readouterr().err == ""
