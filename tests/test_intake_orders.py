"""Orders files: each reason for a reject in one line, rows grouped to orders, and every row accounted for."""

import csv
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.intake.orders import ORDER_LINES_MAX, PRICE_MINOR_UNITS_MAX, OrderFile, read_orders
from engine.intake.postal_codes import Places
from engine.intake.tables import IntakeError
from engine.intake.values import ABSENT

PLACES = Places(
    pa.array(["110001", "110002", "560001"]),
    np.array([286_000_000, 287_000_000, 129_000_000], np.int32),
    np.array([772_000_000, 773_000_000, 775_000_000], np.int32),
    np.zeros(3, bool),
)
NOON = 1_648_728_000_000_000  # 2022-03-31 12:00 UTC


def read(folder: Path, text: str) -> OrderFile:
    (folder / "o.csv").write_text(text)
    return read_orders(folder / "o.csv", PLACES)


def as_dicts(orders: OrderFile) -> list[dict[str, Any]]:
    """The orders as nested Python values: what they say, whatever the columns."""
    return [
        {
            "order": (orders.channel[o].as_py(), orders.order_id[o].as_py(), orders.postal_code[o].as_py()),
            "lines": [
                (int(orders.line[i]), orders.sku[i].as_py(), int(orders.quantity[i]), int(orders.row[i]))
                for i in range(orders.first_line[o], orders.first_line[o + 1])
            ],
        }
        for o in range(len(orders.order_id))
    ]


# What one row says beside "A,web,110001,X,1", and the reject that it brings.
BAD_ROWS: list[tuple[dict[str, str], str, str]] = [
    ({"order_id": ""}, "order_id", "EMPTY"),
    ({"order_id": "  "}, "order_id", "EMPTY"),
    ({"order_id": "x" * 65}, "order_id", "TOO_LONG"),
    ({"order_id": "ठ" * 65}, "order_id", "TOO_LONG"),
    ({"order_id": "a\x00b"}, "order_id", "CONTROL_CHARACTER"),
    ({"order_id": "a\x85b"}, "order_id", "CONTROL_CHARACTER"),
    ({"order_id": "a\nb"}, "order_id", "CONTROL_CHARACTER"),
    ({"channel": "x" * 33}, "channel", "TOO_LONG"),
    ({"channel": "web\t"}, "channel", "CONTROL_CHARACTER"),
    ({"postal_code": ""}, "postal_code", "EMPTY"),
    ({"postal_code": "1" * 17}, "postal_code", "TOO_LONG"),
    ({"postal_code": "110001\r"}, "postal_code", "CONTROL_CHARACTER"),
    ({"postal_code": "999999"}, "postal_code", "UNKNOWN_POSTAL_CODE"),
    ({"postal_code": "11"}, "postal_code", "UNKNOWN_POSTAL_CODE"),
    ({"sku": ""}, "sku", "EMPTY"),
    ({"sku": "x" * 65}, "sku", "TOO_LONG"),
    ({"sku": "a\x7fb"}, "sku", "CONTROL_CHARACTER"),
    ({"quantity": ""}, "quantity", "EMPTY"),
    ({"quantity": " "}, "quantity", "EMPTY"),
    ({"quantity": "two"}, "quantity", "NOT_A_NUMBER"),
    ({"quantity": "0x10"}, "quantity", "NOT_A_NUMBER"),
    ({"quantity": "1e3"}, "quantity", "NOT_A_NUMBER"),
    ({"quantity": "1,000"}, "quantity", "NOT_A_NUMBER"),
    ({"quantity": "NaN"}, "quantity", "NOT_A_NUMBER"),
    ({"quantity": "٣"}, "quantity", "NOT_A_NUMBER"),
    ({"quantity": "-1"}, "quantity", "NEGATIVE"),
    ({"quantity": "-0.5"}, "quantity", "NEGATIVE"),
    ({"quantity": "1.5"}, "quantity", "FRACTION"),
    ({"quantity": "0.1"}, "quantity", "FRACTION"),
    ({"quantity": "0"}, "quantity", "ZERO"),
    ({"quantity": "-0"}, "quantity", "ZERO"),
    ({"quantity": "0.00"}, "quantity", "ZERO"),
    ({"quantity": "1000001"}, "quantity", "ABOVE_LIMIT"),
    ({"quantity": "9223372036854775809"}, "quantity", "ABOVE_LIMIT"),
    ({"quantity": "9" * 5000}, "quantity", "ABOVE_LIMIT"),
    ({"placed_at": "yesterday"}, "placed_at", "NOT_A_TIME"),
    ({"placed_at": "2022-02-30"}, "placed_at", "NOT_A_TIME"),
    ({"placed_at": "2022-03-31T25:00:00Z"}, "placed_at", "NOT_A_TIME"),
    ({"placed_at": "31-03-2022"}, "placed_at", "NOT_A_TIME"),
    ({"placed_at": "20220331"}, "placed_at", "NOT_A_TIME"),
    ({"currency": "inr"}, "currency", "NOT_A_CURRENCY"),
    ({"currency": "RUPEE"}, "currency", "NOT_A_CURRENCY"),
    ({"payment_method": "x" * 33}, "payment_method", "TOO_LONG"),
    ({"service_level": "x" * 33}, "service_level", "TOO_LONG"),
    ({"customer": "x" * 65}, "customer", "TOO_LONG"),
    ({"customer": "a\x01"}, "customer", "CONTROL_CHARACTER"),
    ({"ship_by": "soon"}, "ship_by", "NOT_A_TIME"),
    ({"deliver_by": "soon"}, "deliver_by", "NOT_A_TIME"),
    ({"nodes_max": "256"}, "nodes_max", "ABOVE_LIMIT"),
    ({"nodes_max": "-1"}, "nodes_max", "NEGATIVE"),
    ({"ship_complete": "perhaps"}, "ship_complete", "NOT_A_FLAG"),
    ({"unit_price": "6.5"}, "unit_price", "FRACTION"),
    ({"unit_price": "-6"}, "unit_price", "NEGATIVE"),
    ({"unit_price": str(PRICE_MINOR_UNITS_MAX + 1)}, "unit_price", "ABOVE_LIMIT"),
    ({"discount": "ten"}, "discount", "NOT_A_NUMBER"),
    ({"tax": "0.01"}, "tax", "FRACTION"),
    # several at once: the first in the order of the columns, then of the reasons
    ({"order_id": "", "sku": "", "quantity": "0"}, "order_id", "EMPTY"),
    ({"sku": "\x00" * 65, "quantity": "0"}, "sku", "TOO_LONG"),
    ({"quantity": "0", "placed_at": "x"}, "quantity", "ZERO"),
]
GOOD_ROW = {"order_id": "B", "channel": "web", "postal_code": "110001", "sku": "X", "quantity": "1"}


@pytest.mark.parametrize(("changes", "column", "reason"), BAD_ROWS, ids=lambda part: str(part)[:40])
def test_a_bad_row_is_rejected_alone(tmp_path: Path, changes: dict[str, str], column: str, reason: str) -> None:
    names = list(GOOD_ROW | changes)
    with (tmp_path / "o.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, names, restval="")
        writer.writeheader()
        writer.writerows([GOOD_ROW, GOOD_ROW | changes, GOOD_ROW])
    orders = read_orders(tmp_path / "o.csv", PLACES)
    rejects = orders.rejects.table().to_pylist()
    assert orders.rows == 3
    assert [(r["row"], r["column"], r["reason"]) for r in rejects] == [(2, column, reason)]
    assert rejects[0]["value"] == changes[column][:200]
    assert orders.row.tolist() == [1, 3]
    # the row counts in the order unless nobody can tell whose it is
    third = 2 if column in ("order_id", "channel") else 3
    assert orders.line.tolist() == [1, third]


QUANTITIES = {"1": 1, "2.0": 2, "2.": 2, " 3 ": 3, "+4": 4, "007": 7, "1000000": 1_000_000, "1000000.000": 1_000_000}


def test_whole_numbers_may_be_written_in_several_ways(tmp_path: Path) -> None:
    text = "order_id,postal_code,sku,quantity\n" + "".join(f"A,110001,X,{text}\n" for text in QUANTITIES)
    assert read(tmp_path, text).quantity.tolist() == list(QUANTITIES.values())


TIMES = {
    "2022-03-31T12:00:00Z": NOON,
    "2022-03-31 12:00:00": NOON,
    "2022-03-31 12:00": NOON,
    "2022-03-31T12:00:00.25Z": NOON + 250_000,
    "2022-03-31T12:00:00.123456789Z": NOON + 123_456,
    "2022-03-31T17:30:00+05:30": NOON,
    "2022-03-31T17:30:00+0530": NOON,
    "2022-03-31": NOON - 12 * 3_600_000_000,
    " 2022-03-31": NOON - 12 * 3_600_000_000,
    "1969-12-31T23:59:59.999999Z": -1,
    "": ABSENT,
}


@pytest.mark.parametrize(("text", "microseconds"), TIMES.items())
def test_times_are_utc_microseconds(tmp_path: Path, text: str, microseconds: int) -> None:
    orders = read(tmp_path, f"order_id,postal_code,sku,quantity,placed_at,ship_by\nA,110001,X,1,{text},{text}\n")
    assert orders.placed_at.tolist() == [microseconds]
    assert orders.options["ship_by"].tolist() == [microseconds]


def test_rows_of_an_order_need_not_be_adjacent_and_orders_keep_the_order_of_first_appearance(tmp_path: Path) -> None:
    orders = read(
        tmp_path,
        "order_id,channel,postal_code,sku,quantity\n"
        "B,web,110001,X,1\n"
        "A,web,560001,Y,2\n"
        "B,app,110002,Z,3\n"  # another order: its channel is another
        "B,web,110001,W,0\n"  # rejected, and counted in `line`
        "B,web,110001,V,5\n"
        "A,,110001,U,6\n"
        "A,web,560001,Y,7\n",
    )
    assert as_dicts(orders) == [
        {"order": ("web", "B", "110001"), "lines": [(1, "X", 1, 1), (3, "V", 5, 5)]},
        {"order": ("web", "A", "560001"), "lines": [(1, "Y", 2, 2), (2, "Y", 7, 7)]},
        {"order": ("app", "B", "110002"), "lines": [(1, "Z", 3, 3)]},
        {"order": ("default", "A", "110001"), "lines": [(1, "U", 6, 6)]},
    ]
    assert orders.rejects.rows().tolist() == [4]
    assert orders.quantity.dtype == orders.line.dtype == orders.latitude_e7.dtype == np.int32
    assert orders.row.dtype == orders.first_line.dtype == orders.placed_at.dtype == np.int64


def test_another_postal_code_than_that_of_the_first_accepted_row_is_rejected(tmp_path: Path) -> None:
    orders = read(
        tmp_path,
        "order_id,postal_code,sku,quantity\n"
        "A,999999,X,1\nA,560001,X,0\nA,110001,X,1\nB,560001,X,1\nA,560001,X,1\nA,110001,X,1\nB,560001,X,1\n",
    )
    assert [(order["order"][2], [line[3] for line in order["lines"]]) for order in as_dicts(orders)] == [
        ("110001", [3, 6]),
        ("560001", [4, 7]),
    ]
    assert orders.rejects.table().select(["row", "reason"]).to_pylist() == [
        {"row": 1, "reason": "UNKNOWN_POSTAL_CODE"},
        {"row": 2, "reason": "ZERO"},
        {"row": 5, "reason": "OTHER_POSTAL_CODE"},
    ]


def test_an_order_has_a_limit_of_lines(tmp_path: Path) -> None:
    rows = ["A,110001,X,1\n"] * (ORDER_LINES_MAX + 2)
    rows[3] = "A,110001,X,0\n"  # takes no place among the lines
    orders = read(tmp_path, "order_id,postal_code,sku,quantity\nB,110001,X,1\n" + "".join(rows))
    assert orders.first_line.tolist() == [0, 1, 1 + ORDER_LINES_MAX]
    assert orders.rejects.counts() == {"ORDER_TOO_LONG": 1, "ZERO": 1}
    assert orders.rejects.rows().tolist() == [5, ORDER_LINES_MAX + 3]


def test_spaces_around_a_postal_code_do_not_make_it_another(tmp_path: Path) -> None:
    orders = read(tmp_path, "order_id,postal_code,sku,quantity\nA,110002 ,X,1\nA, 110002,X,1\nB, 110999 ,X,1\n")
    assert (len(orders.rejects), orders.area.tolist()) == (0, [False, True])
    assert orders.latitude_e7.tolist()[0] == 287_000_000
    assert orders.postal_code.to_pylist() == ["110002", "110999"]


def test_an_unknown_postal_code_is_placed_by_its_area_and_flagged(tmp_path: Path) -> None:
    orders = read(tmp_path, "order_id,postal_code,sku,quantity\nA,110001,X,1\nB,110999,X,1\nC,560001,X,1\n")
    assert orders.area.tolist() == [False, True, False]
    assert orders.postal_code.to_pylist() == ["110001", "110999", "560001"]
    assert orders.latitude_e7.tolist() == [286_000_000, 286_500_000, 129_000_000]
    assert orders.longitude_e7.tolist() == [772_000_000, 772_500_000, 775_000_000]


def test_optional_columns_come_along_and_the_first_accepted_row_speaks_for_the_order(tmp_path: Path) -> None:
    orders = read(
        tmp_path,
        "order_id,postal_code,sku,quantity,currency,payment_method,customer,deliver_by,unit_price,tax\n"
        "A,110001,X,0,USD,card,c0,2022-03-01,1,1\n"
        "A,110001,X,1,INR,,c1,,64762,0\n"
        "B,110001,X,1,,upi,,2022-03-31T12:00:00Z,,5.0\n"
        "A,110001,X,1,EUR,cod,c2,2022-03-31,9,\n",
    )
    options = {
        name: value.tolist() if isinstance(value, np.ndarray) else value.to_pylist()
        for name, value in orders.options.items()
    }
    assert options == {
        "currency": ["INR", None],
        "payment_method": [None, "upi"],
        "customer": ["c1", None],
        "deliver_by": [ABSENT, NOON],
        "unit_price": [64762, 9, ABSENT],
        "tax": [0, ABSENT, 5],
    }
    assert orders.placed_at.tolist() == [ABSENT, ABSENT]


def test_terms_are_those_of_the_first_accepted_row(tmp_path: Path) -> None:
    orders = read(
        tmp_path,
        "order_id,postal_code,sku,quantity,nodes_max,ship_complete\n"
        "A,110001,X,0,3,yes\nA,110001,X,1,2,no\nB,110001,X,1,, TRUE\nA,110001,Y,1,1,1\nC,110001,X,1,0,\n",
    )
    assert orders.options["nodes_max"].tolist() == [2, 0, 0]
    assert orders.options["ship_complete"].tolist() == [0, 1, 0]
    assert {orders.options[name].dtype for name in ("nodes_max", "ship_complete")} == {np.dtype(np.uint8)}


def test_ragged_rows_are_rejects_and_keep_their_numbers(tmp_path: Path) -> None:
    orders = read(
        tmp_path, "order_id,postal_code,sku,quantity\nA,110001,X,1\nA,110001\nA,110001,Y,1,1\nA,110001,Z,1\nA,11"
    )
    assert orders.row.tolist() == [1, 4]
    assert orders.rejects.table().select(["row", "value", "reason"]).to_pylist() == [
        {"row": row, "value": value, "reason": "WRONG_CELL_COUNT"}
        for row, value in ((2, "A,110001"), (3, "A,110001,Y,1,1"), (5, "A,11"))
    ]


@pytest.mark.parametrize(
    "text", ["order_id,postal_code,sku,quantity\n", "order_id,postal_code,sku,quantity,channel,tax\n"]
)
def test_a_file_with_a_header_and_no_rows_is_an_empty_job(tmp_path: Path, text: str) -> None:
    orders = read(tmp_path, text)
    assert (orders.rows, len(orders.order_id), len(orders.sku), orders.first_line.tolist()) == (0, 0, 0, [0])
    assert len(orders.rejects) == 0


def test_a_file_of_bad_rows_only_is_all_rejects(tmp_path: Path) -> None:
    orders = read(tmp_path, "order_id,postal_code,sku,quantity\nA,110001,X,0\nB,110001,,1\n")
    assert (orders.rows, len(orders.order_id), orders.first_line.tolist(), len(orders.rejects)) == (2, 0, [0], 2)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(IntakeError, match="column postal_code is missing"):
        read(tmp_path, "order_id,sku,quantity\nA,X,1\n")


def test_a_report_of_amazon_is_told_how_to_become_an_orders_file(tmp_path: Path) -> None:
    with pytest.raises(IntakeError, match="`allot import amazon-report` makes an orders file"):
        read(tmp_path, "index,Order ID,Date,ship-postal-code,SKU,Qty\n0,A-1,04-30-22,110001,S,1\n")


def test_parquet_with_numbers_and_times_says_the_same_as_csv(tmp_path: Path) -> None:
    table = pa.table(
        {
            "order_id": pa.array([7, 8, 8]),
            "placed_at": pa.array([NOON, None, NOON], pa.timestamp("us", "UTC")),
            "postal_code": pa.array([110001, 110002, 110002], pa.int32()),
            "sku": pa.array(["X", "Y", "Y"]).dictionary_encode(),
            "quantity": pa.array([1.0, 2.0, 2.5]),
            "unit_price": pa.array([100, None, 5]),
        }
    )
    pq.write_table(table, tmp_path / "o.parquet")
    orders = read_orders(tmp_path / "o.parquet", PLACES)
    assert as_dicts(orders) == [
        {"order": ("default", "7", "110001"), "lines": [(1, "X", 1, 1)]},
        {"order": ("default", "8", "110002"), "lines": [(1, "Y", 2, 2)]},
    ]
    assert orders.placed_at.tolist() == [NOON, ABSENT]
    assert orders.options["unit_price"].tolist() == [100, ABSENT]
    assert orders.rejects.table().to_pylist()[0]["value"] == "2.5"


def random_rows(random_: random.Random, count: int) -> list[dict[str, str]]:
    return [
        {
            "order_id": random_.choice(["", "A", "B", "C", "D" * 65, "E", "F\t", str(random_.randrange(50))]),
            "channel": random_.choice(["", "web", "app", "x" * 40] if random_.random() < 0.2 else ["web"]),
            "postal_code": random_.choice(["110001"] * 6 + ["110002", "110999", "", "77"]),
            "sku": random_.choice(["X", "Y", "Z", ""]),
            "quantity": random_.choice(["1", "2", "3.0", "0", "-1", "x", ""]),
            "unit_price": random_.choice(["", "5", "0.5", "7"]),
        }
        for _ in range(count)
    ]


def expected(rows: list[dict[str, str]]) -> tuple[list[dict[str, Any]], list[int]]:
    """The same rules row by row in plain Python."""
    orders: dict[tuple[str, str], dict[str, Any]] = {}
    counted: dict[tuple[str, str], int] = {}
    rejects = []
    for number, row in enumerate(rows, 1):
        key = (row["channel"] or "default", row["order_id"])
        if not key[1] or len(key[1]) > 64 or "\t" in key[1] or len(key[0]) > 32:
            rejects.append(number)
            continue
        counted[key] = counted.get(key, 0) + 1
        orders.setdefault(key, {"order": None, "lines": []})
        order = orders[key]
        good = row["sku"] and row["quantity"] in ("1", "2", "3.0") and row["unit_price"] != "0.5"
        good = good and row["postal_code"] not in ("", "77")
        if good and order["order"] is None:
            order["order"] = (*key, row["postal_code"])
        if not good or order["order"][2] != row["postal_code"]:
            rejects.append(number)
            continue
        order["lines"].append((counted[key], row["sku"], int(float(row["quantity"])), number))
    return [order for order in orders.values() if order["lines"]], rejects


@pytest.mark.parametrize("seed", range(30))
def test_every_row_is_in_the_lines_or_in_the_rejects_as_in_plain_python(tmp_path: Path, seed: int) -> None:
    rows = random_rows(random.Random(seed), seed * 12)
    with (tmp_path / "o.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["order_id", "channel", "postal_code", "sku", "quantity", "unit_price"])
        writer.writeheader()
        writer.writerows(rows)
    orders = read_orders(tmp_path / "o.csv", PLACES)
    want_orders, want_rejects = expected(rows)
    assert as_dicts(orders) == want_orders
    assert orders.rejects.rows().tolist() == want_rejects
    assert sorted([*orders.row.tolist(), *want_rejects]) == list(range(1, len(rows) + 1))


def test_slices_are_the_orders_batch_by_batch(tmp_path: Path) -> None:
    orders = read(
        tmp_path,
        "order_id,postal_code,sku,quantity,customer,unit_price\n"
        "A,110001,X,1,c,1\nB,110002,Y,2,,2\nA,110001,Z,3,c,3\nC,560001,W,4,d,4\nC,560001,V,5,d,\n",
    )
    whole = as_dicts(orders)
    for start in range(4):
        for stop in range(start, 4):
            part = orders.slice(start, stop)
            assert as_dicts(part) == whole[start:stop]
            assert part.options["customer"].to_pylist() == ["c", None, "d"][start:stop]
            assert part.options["unit_price"].tolist() == [
                price for prices in [[1, 3], [2], [4, ABSENT]][start:stop] for price in prices
            ]
            assert part.placed_at.size == part.area.size == part.latitude_e7.size == stop - start
            assert np.shares_memory(part.quantity, orders.quantity) or stop == start


def test_a_hundred_thousand_rows_take_a_moment(tmp_path: Path) -> None:
    rows = "".join(
        f"O-{n * 7919 % 100_003},web,2022-03-31T{n % 24:02}:00:00Z,110001,S{n % 977},1\n" for n in range(100_000)
    )
    (tmp_path / "o.csv").write_text("order_id,channel,placed_at,postal_code,sku,quantity\n" + rows)
    started = time.perf_counter()
    assert read_orders(tmp_path / "o.csv", PLACES).first_line[-1] == 100_000
    assert time.perf_counter() - started < 5  # measured: 0.2 s; a Python step per row would take seconds at a million
