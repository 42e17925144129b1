"""Arrow batches against a twin that looks at one order at a time: what is accepted, what is rejected, and why first."""

import datetime
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from engine.columns import Limits
from engine.intake.orders import LINE_UNITS_MAX, PRICE_MINOR_UNITS_MAX
from engine.outcomes import Namespace
from engine.state import State
from server.batches import FIELDS, REASONS, OrderBatches, answer_batch
from server.errors import Rejection

CHANNELS, CODES, SKUS = ["own", "amazon.in"], ["560001", "110001"], [f"S{i}" for i in range(5)]


@pytest.fixture
def batches() -> OrderBatches:
    state = State(np.arange(4, dtype=np.uint64), Limits(skus_max=64, orders_max=64, lines_max=64, parts_max=64))
    for namespace, texts in (
        (Namespace.CHANNEL, CHANNELS), (Namespace.POSTAL_CODE, CODES), (Namespace.SKU, SKUS), (Namespace.WORD, ["INR"]),
    ):  # fmt: skip
        state.names[namespace].add(texts)
    return OrderBatches(state.names, 100, 1000)


def encoded(rows: list[dict[str, Any]], schema: pa.Schema) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as stream:
        stream.write_batch(pa.RecordBatch.from_pylist(rows, schema))
    return sink.getvalue().to_pybytes()


LINE = pa.struct([("sku", pa.string()), ("quantity", pa.int32()), ("unit_price", pa.int64())])
SCHEMA = pa.schema(
    [
        ("order_id", pa.string()), ("channel", pa.dictionary(pa.int8(), pa.string())), ("postal_code", pa.string()),
        ("lines", pa.list_(LINE)), ("placed_at", pa.timestamp("us", "UTC")), ("currency", pa.string()),
        ("payment_method", pa.string()), ("customer", pa.string()),
        ("nodes_max", pa.int32()), ("ship_complete", pa.bool_()),
    ]
)  # fmt: skip


def expected(row: dict[str, Any]) -> tuple[str, str] | None:
    """Why an order is rejected, by its values alone."""
    if not row["order_id"] or not row["order_id"].strip():
        return "EMPTY", "order_id"
    if any(ord(character) < 32 for character in row["order_id"]):
        return "CONTROL_CHARACTER", "order_id"
    if not row["postal_code"]:
        return "EMPTY", "postal_code"
    if row["currency"] and len(row["currency"]) != 3:
        return "NOT_A_CURRENCY", "currency"
    if row["payment_method"] and row["payment_method"] not in ("UPI", "CARD"):
        return "NOT_A_PAYMENT_METHOD", "payment_method"
    if row["channel"] not in CHANNELS:
        return "UNKNOWN_CHANNEL", "channel"
    if row["postal_code"] not in CODES:
        return "UNKNOWN_POSTAL_CODE", "postal_code"
    if not row["lines"]:
        return "NO_LINES", "lines"
    if len(row["lines"]) > 500:
        return "TOO_MANY_LINES", "lines"
    lines = [line or {"sku": None, "quantity": None, "unit_price": None} for line in row["lines"]]
    if any(line["sku"] not in SKUS for line in lines):
        return "UNKNOWN_SKU", "lines.sku"
    if any(not 1 <= (line["quantity"] or 0) <= LINE_UNITS_MAX for line in lines):
        return "QUANTITY_OUT_OF_RANGE", "lines.quantity"
    if row["placed_at"] is not None and row["placed_at"].timestamp() <= 0:
        return "NOT_A_TIME", "placed_at"
    if not 0 <= (row["nodes_max"] or 0) <= 255:
        return "OUT_OF_RANGE", "nodes_max"
    if any(line["unit_price"] is not None and not 0 <= line["unit_price"] <= PRICE_MINOR_UNITS_MAX for line in lines):
        return "AMOUNT_OUT_OF_RANGE", "lines.unit_price"
    priced = [line["unit_price"] is not None for line in lines]
    if any(priced) and not all(priced):
        return "PRICE_MISSING", "lines.unit_price"
    if any(priced) and not row["currency"]:
        return "EMPTY", "currency"
    return None


def drawn(chance: random.Random, number: int) -> dict[str, Any]:
    """An order with at most one or two faults; each kind comes now and then."""

    def some(good: list[Any], bad: list[Any]) -> Any:
        return chance.choice(bad) if chance.random() < 0.06 else chance.choice(good)

    price = chance.choice([None, 500])
    lines = [
        None if chance.random() < 0.01 else {
            "sku": some(SKUS, ["S9", "", None]), "quantity": some([1, 2, LINE_UNITS_MAX], [0, -1, None, 1_000_001]),
            "unit_price": some([price, price and 99_900], [None, -1, PRICE_MINOR_UNITS_MAX + 1]),
        }
        for _ in range(some([1, 1, 2, 3], [0]))
    ]  # fmt: skip
    moments = [None, datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)]
    return {
        "order_id": some([f"o-{number}"], ["", None, " ", f"o\t{number}"]),
        "channel": some(CHANNELS, ["nowhere", "", None]), "postal_code": some(CODES, ["999999", "", None]),
        "lines": some([lines], [None]),
        "placed_at": some(moments, [datetime.datetime(1969, 1, 1, tzinfo=datetime.UTC)]),
        "currency": some(["INR"] if price else [None, "", "INR"], ["rupees", None]),
        "payment_method": some([None, "UPI", "CARD"], ["barter"]),
        "customer": chance.choice([None, "c-1"]), "nodes_max": some([None, 0, 1, 255], [-1, 256]),
        "ship_complete": chance.choice([None, False, True]),
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(12))
def test_orders_are_accepted_or_rejected_as_one_by_one(batches: OrderBatches, seed: int):
    chance = random.Random(seed)
    rows = [drawn(chance, number) for number in range(90)]
    taken = batches.take(encoded(rows, SCHEMA))
    reasons = [
        (REASONS[reason], FIELDS[field]) if reason else None
        for reason, field in zip(taken.sieve.reason, taken.sieve.field, strict=True)
    ]
    assert reasons == [expected(row) for row in rows]
    good = [row for row in rows if expected(row) is None]
    assert taken.accepted.tolist() == [at for at, row in enumerate(rows) if expected(row) is None]
    command = taken.command
    assert command is not None
    assert command.order_id.to_pylist() == [row["order_id"] for row in good]
    assert command.channel.tolist() == [CHANNELS.index(row["channel"]) for row in good]
    lines = [line for row in good for line in row["lines"]]
    assert command.sku.tolist() == [SKUS.index(line["sku"]) for line in lines]
    assert command.quantity.tolist() == [line["quantity"] for line in lines]
    assert np.diff(command.first_line).tolist() == [len(row["lines"]) for row in good]
    assert command.options["nodes_max"].tolist() == [row["nodes_max"] or 0 for row in good]
    assert command.options["ship_complete"].tolist() == [row["ship_complete"] or 0 for row in good]
    answer = pa.ipc.open_stream(answer_batch(taken, None, ["A"])).read_all()
    assert answer["reason"].to_pylist() == [reason and reason[0] for reason in reasons]
    assert answer["field"].to_pylist() == [reason and reason[1] for reason in reasons]


def test_some_drawn_orders_have_every_fault():
    chance = random.Random(0)
    seen = {expected(drawn(chance, number)) for number in range(5000)}
    assert {reason[0] for reason in seen if reason} >= set(REASONS[1:]) - {
        "TOO_LONG", "OTHER_CHANNEL", "TOO_MANY_LINES", "CARD_NUMBER", "KEY_CONFLICT", "ANSWER_ARCHIVED",
    }  # fmt: skip


def one(**changes: Any) -> dict[str, Any]:
    line = {"sku": "S1", "quantity": 1, "unit_price": None}
    row: dict[str, Any] = dict.fromkeys(SCHEMA.names)
    return row | {"order_id": "o", "channel": "own", "postal_code": "560001", "lines": [line]} | changes


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"order_id": "x" * 65}, "TOO_LONG", "order_id"),
        ({"postal_code": "5" * 17}, "TOO_LONG", "postal_code"),
        ({"customer": "c" * 65}, "TOO_LONG", "customer"),
        ({"customer": "4111 1111 1111 1111"}, "CARD_NUMBER", "customer"),
        ({"lines": [{"sku": "S1", "quantity": 1, "unit_price": None}] * 501}, "TOO_MANY_LINES", "lines"),
        ({"channel": "amazon.in"}, "OTHER_CHANNEL", "channel"),
    ],
)
def test_an_order_is_rejected_for(batches: OrderBatches, changes: dict[str, Any], reason: str, field: str):
    taken = batches.take(encoded([one(**changes), one()], SCHEMA), bound_channel="own")
    assert (REASONS[taken.sieve.reason[0]], FIELDS[taken.sieve.field[0]]) == (reason, field)
    assert taken.accepted.tolist() == [1]


def test_slices_and_wide_types_are_read_as_they_are(batches: OrderBatches, tmp_path: Path):
    wide = pa.large_list(pa.struct([("sku", pa.dictionary(pa.int32(), pa.large_string())), ("quantity", pa.int64())]))
    schema = pa.schema(
        [("postal_code", pa.large_string()), ("lines", wide), ("order_id", pa.large_string()), ("channel", pa.string())]
    )
    rows = [one(order_id=f"o{i}", lines=[{"sku": SKUS[i % 5], "quantity": i + 1}] * (i % 3 + 1)) for i in range(30)]
    rows = [{name: row[name] for name in schema.names} for row in rows]
    batch = pa.RecordBatch.from_pylist(rows, schema).slice(7, 11)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as stream:
        stream.write_batch(batch)
    command = batches.take(sink.getvalue().to_pybytes()).command
    assert command is not None
    assert command.order_id.to_pylist() == [f"o{i}" for i in range(7, 18)]
    assert command.order_id.type == pa.string()  # what the journal takes
    assert command.quantity.tolist() == [i + 1 for i in range(7, 18) for _ in range(i % 3 + 1)]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (pa.int64(), "order_id"), (pa.binary(), "channel"), (pa.null(), "postal_code"),
        (pa.list_(pa.string()), "lines"),
        (pa.list_(pa.struct([("sku", pa.string())])), "lines.quantity"), (pa.float64(), "placed_at"),
        (pa.list_(pa.struct([("sku", pa.string()), ("quantity", pa.float32())])), "lines.quantity"),
        (pa.list_(pa.struct([("sku", pa.string()), ("quantity", pa.int32()), ("hue", pa.string())])), "lines.hue"),
    ],
)  # fmt: skip
def test_a_batch_with_another_type_is_refused_by_name(batches: OrderBatches, kind: pa.DataType, name: str):
    column = name.split(".")[0]
    schema = SCHEMA.set(SCHEMA.get_field_index(column), pa.field(column, kind))
    with pytest.raises(Rejection) as refused:
        batches.take(encoded([one() | {column: None}], schema))
    assert (refused.value.reason, refused.value.field) == ("MALFORMED_BATCH", name)
