"""Tables in and out: every way in which a file can be unusable, one line each, and what its one-line message says."""

import csv
import gzip
import io
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.intake import tables
from engine.intake.rejects import SENTENCES, VALUE_CHARACTERS_MAX, Reason, Rejects
from engine.intake.table_writer import TableWriter
from engine.intake.tables import IntakeError, as_text, need_rows, read_table

NEEDED = ("order_id", "quantity")
LONG = b"order_id,quantity\n" + b"".join(b"%d,%d\n" % (n * n, n % 7) for n in range(20_000))
PARQUET = pa.table({"order_id": ["A", "B"], "quantity": [1, 2]})
LATIN_1 = pa.table({"order_id": pa.array([b"A", b"B\xe9"]).view(pa.string()), "quantity": [1, 2]})


def parquet_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()


UNUSABLE: list[tuple[str, str, bytes, str]] = [
    ("empty", "o.csv", b"", "the file is empty"),
    ("empty lines only", "o.csv", b"\n\n\n", "the file is empty"),
    ("empty Parquet", "o.parquet", b"", "the file is empty"),
    ("empty gzip", "o.csv.gz", gzip.compress(b""), "the file is empty"),
    ("another kind", "o.xlsx", b"PK", "must end in .csv, .csv.gz or .parquet"),
    ("semicolons", "o.csv", b"order_id;quantity\nA;1\n", "separated by semicolons; save the file with commas"),
    ("tabs", "o.csv", b"order_id\tquantity\nA\t1\n", "separated by tabs"),
    ("bars", "o.csv", b"order_id|quantity\nA|1\n", "separated by bars"),
    ("missing column", "o.csv", b"order_id,units\nA,1\n", "column quantity is missing; there are order_id, units"),
    (
        "spaced column",
        "o.csv",
        b"order_id,quantity \nA,1\n",
        "column quantity is missing; there are order_id, 'quantity '",
    ),
    ("two missing", "o.csv", b"a,b\nA,1\n", "column order_id, quantity is missing"),
    ("twice", "o.csv", b"order_id,quantity,quantity\nA,1,2\n", "column quantity is there twice"),
    ("gzip cut", "o.csv.gz", gzip.compress(LONG)[:-5000], "the compressed file is cut off"),
    ("gzip cut in its end mark", "o.csv.gz", gzip.compress(LONG)[:-4], "the compressed file is cut off"),
    ("gzip cut in its head", "o.csv.gz", gzip.compress(LONG)[:15], "the compressed file is cut off"),
    ("not gzip", "o.csv.gz", b"order_id,quantity\nA,1\n", "is not a gzip file"),
    ("Parquet cut", "o.parquet", parquet_bytes(PARQUET)[:-20], "is not a whole Parquet file"),
    ("not Parquet", "o.parquet", b"order_id,quantity\nA,1\n", "is not a whole Parquet file"),
    (
        "Latin-1 row",
        "o.csv",
        b"order_id,quantity\nA,1\nB\xe9,1\n",
        "row 2 is not UTF-8 text; save the file as CSV in UTF-8",
    ),
    ("Latin-1 row with a cell too many", "o.csv", b"order_id,quantity\nA,1\nB\xe9,1,2\n", "row 2 is not UTF-8 text"),
    ("Latin-1 in Parquet", "o.parquet", parquet_bytes(LATIN_1), "column order_id is damaged or not UTF-8 text"),
    ("Latin-1 header", "o.csv", b"order_id,quantity,\xe9\nA,1,1\n", "the header is not UTF-8"),
    ("UTF-16", "o.csv", "order_id,quantity\nA,1\n".encode("utf-16"), "the header is not UTF-8"),
    (
        "open quote in the last column",
        "o.csv",
        b'order_id,quantity\nA,1\nB,"2\nC,3\n',
        "row 2: a quotation mark opens there",
    ),
    ("open quote", "o.csv", b'order_id,quantity\nA,1\n"B,2\nC,3\nD,4\n', "a quotation mark opens there"),
    (
        "open quote in a column that nobody reads",
        "o.csv",
        b'order_id,quantity,note\nA,1,\nB,2,"fragile\nC,3,\nD,4,\n',
        "row 2: a quotation mark opens there",
    ),
    (
        "open quote closed by a later one in a column that nobody reads",
        "o.csv",
        b'order_id,quantity,note\nA,1,"fragile\nB,2,\nC,3,"red"\nD,4,\n',
        "row 1: a quotation mark opens there",
    ),
    (
        "flipped bit in a gzip file",
        "o.csv.gz",
        gzip.compress(b"order_id,quantity\nA,1\n")[:-6] + bytes(6),
        "is damaged",
    ),
    ("Parquet missing column", "o.parquet", parquet_bytes(PARQUET.drop(["quantity"])), "column quantity is missing"),
]
TYPES = [pa.array([[1], [2]]), pa.array([b"1", b"2"]), pa.array([{"a": 1}] * 2)]


@pytest.mark.parametrize(
    ("name", "content", "says"), [case[1:] for case in UNUSABLE], ids=[case[0] for case in UNUSABLE]
)
def test_an_unusable_file_is_one_line_that_names_it(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(IntakeError) as caught:
        read_table(tmp_path / name, NEEDED)
    message = str(caught.value)
    assert says in message
    assert message.startswith(str(tmp_path / name))
    assert "\n" not in message


@pytest.mark.parametrize("values", TYPES, ids=lambda values: str(values.type))
def test_a_parquet_column_of_an_unusable_type_is_named(tmp_path: Path, values: pa.Array) -> None:
    pq.write_table(pa.table({"order_id": ["A", "B"], "quantity": values}), tmp_path / "o.parquet")
    with pytest.raises(IntakeError, match="column quantity is of type"):
        read_table(tmp_path / "o.parquet", NEEDED)
    assert read_table(tmp_path / "o.parquet", ["order_id"]).rows == 2  # a column that nobody wants may be anything


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(IntakeError, match="no such file"):
        read_table(tmp_path / "o.csv", NEEDED)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(IntakeError, match="is a folder"):
        read_table(tmp_path / "folder.csv", NEEDED)
    (tmp_path / "file").write_text("")
    with pytest.raises(IntakeError, match="cannot be read"):
        read_table(tmp_path / "file" / "o.csv", NEEDED)


GOOD = {
    "plain": b"order_id,quantity\nA,1\nB,2\n",
    "no last line break": b"order_id,quantity\nA,1\nB,2",
    "CRLF": b"order_id,quantity\r\nA,1\r\nB,2\r\n",
    "byte order mark": b"\xef\xbb\xbforder_id,quantity\nA,1\nB,2\n",
    "quoted": b'"order_id","quantity"\n"A","1"\n"B",2\n',
    "other columns, other order": b"quantity,note,order_id\n1,x,A\n2,,B\n",
    "empty lines": b"\norder_id,quantity\n\nA,1\n\n\nB,2\n",
}


@pytest.mark.parametrize("end", ["", "\n", "\r\n"], ids=["nothing", "LF", "CRLF"])
def test_a_header_alone_is_a_file_of_no_rows_however_it_ends(tmp_path: Path, end: str) -> None:
    (tmp_path / "o.csv").write_text("order_id,quantity" + end)
    table = read_table(tmp_path / "o.csv", NEEDED)
    assert (table.rows, table.columns["quantity"].to_pylist()) == (0, [])


def test_a_value_that_runs_over_lines_and_is_closed_is_a_value_in_the_last_row_too(tmp_path: Path) -> None:
    (tmp_path / "o.csv").write_text('order_id,quantity,note\nA,1,"x\ny"\n"B\nC",2,"x\ny"\n')
    assert read_table(tmp_path / "o.csv", NEEDED).columns["order_id"].to_pylist() == ["A", "B\nC"]


def test_a_quotation_mark_within_a_value_is_a_plain_character(tmp_path: Path) -> None:
    (tmp_path / "o.csv").write_text('order_id,quantity,note\nA,1,5" pipe\nB,2,\n')
    assert read_table(tmp_path / "o.csv", NEEDED).rows == 2


def test_a_value_larger_than_a_block_is_a_value(tmp_path: Path) -> None:
    large = "x" * 10_000_000
    (tmp_path / "o.csv").write_text(f"order_id,quantity\nA,1\n{large},2\nB,3\n")
    assert read_table(tmp_path / "o.csv", NEEDED).columns["order_id"].to_pylist() == ["A", large, "B"]


def test_a_row_beyond_the_limit_is_named_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "ROW_BYTES_MAX", 5 << 20)
    (tmp_path / "o.csv").write_text(f"order_id,quantity\n{'x' * 12_000_000},2\n")
    with pytest.raises(IntakeError, match="a row is longer than 5 MiB"):
        read_table(tmp_path / "o.csv", NEEDED)


@pytest.mark.parametrize("content", GOOD.values(), ids=GOOD.keys())
@pytest.mark.parametrize("name", ["o.csv", "O.CSV", "o.csv.gz"])
def test_usual_kinds_of_csv_are_read_alike(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    table = read_table(tmp_path / name, NEEDED, ["channel"])
    assert {column: values.to_pylist() for column, values in table.columns.items()} == {
        "order_id": ["A", "B"],
        "quantity": ["1", "2"],
    }
    assert (table.row.tolist(), table.ragged, table.rows) == ([1, 2], [], 2)


def test_values_are_taken_as_they_stand(tmp_path: Path) -> None:
    (tmp_path / "o.csv").write_text('order_id,quantity\nNULL,\n" A ",007\n"x,""y""",NaN\n')
    table = read_table(tmp_path / "o.csv", NEEDED)
    assert table.columns["order_id"].to_pylist() == ["NULL", " A ", 'x,"y"']
    assert table.columns["quantity"].to_pylist() == ["", "007", "NaN"]


def test_ragged_rows_are_given_with_their_numbers_and_a_cut_last_row_is_one_of_them(tmp_path: Path) -> None:
    (tmp_path / "o.csv").write_text("order_id,sku,quantity\nA,x,1\n\nB,1\nC,x,2\nD,x,1,1\nE,x,3\nF,")
    table = read_table(tmp_path / "o.csv", NEEDED)
    assert table.columns["order_id"].to_pylist() == ["A", "C", "E"]
    assert table.row.tolist() == [1, 3, 5]
    assert table.ragged == [(2, "B,1"), (4, "D,x,1,1"), (6, "F,")]
    assert table.rows == 6
    with pytest.raises(IntakeError, match=r"row 2 has more or fewer cells than the header: 'B,1'"):
        need_rows(table)


def test_row_numbers_hold_beyond_the_first_block(tmp_path: Path) -> None:
    rows = [f"{n},x" for n in range(700_000)]
    rows[650_000] = "650000"
    (tmp_path / "o.csv").write_text("order_id,quantity\n" + "\n".join(rows))
    table = read_table(tmp_path / "o.csv", NEEDED)
    assert table.ragged == [(650_001, "650000")]
    assert (table.row == np.delete(np.arange(700_000), 650_000) + 1).all()
    assert table.columns["order_id"][650_000].as_py() == "650001"


def test_values_over_several_lines_are_one_value_wherever_a_block_of_the_file_ends(tmp_path: Path) -> None:
    note = "line\n" * 1000 + "7,8,9\n"
    (tmp_path / "o.csv").write_text("order_id,quantity,note\n" + "".join(f'{n},1,"{note}"\n' for n in range(3000)))
    table = read_table(tmp_path / "o.csv", NEEDED)
    assert (table.rows, table.ragged) == (3000, [])
    assert table.columns["order_id"].to_pylist() == [str(n) for n in range(3000)]


def test_a_header_without_rows_is_a_table_and_no_answer_where_rows_are_needed(tmp_path: Path) -> None:
    (tmp_path / "o.csv").write_text("order_id,quantity\n")
    table = read_table(tmp_path / "o.csv", NEEDED)
    assert (table.rows, len(table.columns["order_id"])) == (0, 0)
    with pytest.raises(IntakeError, match="has a header but no rows"):
        need_rows(table)


PARQUET_VALUES: list[tuple[pa.Array, list[str]]] = [
    (pa.array([1, None], pa.int64()), ["1", ""]),
    (pa.array([2.0, 2.5, None, float("nan"), 1e6, -3.0]), ["2", "2.5", "", "", "1000000", "-3"]),
    (pa.array([400081.0], pa.float32()), ["400081"]),
    (pa.array([Decimal("2.50")]), ["2.50"]),
    (pa.array(["A", "B", "A", None]).dictionary_encode(), ["A", "B", "A", ""]),
    (pa.array(["A"], pa.large_string()), ["A"]),
    (pa.nulls(2), ["", ""]),
    (pa.array([date(2022, 3, 31)]), ["2022-03-31"]),
    (
        pa.array([datetime(2022, 3, 31, 9, tzinfo=UTC)], pa.timestamp("ns", "Asia/Kolkata")),
        ["2022-03-31 09:00:00.000000"],
    ),
    (pa.array([datetime(2022, 3, 31, 9)], pa.timestamp("s")), ["2022-03-31 09:00:00.000000"]),
]


@pytest.mark.parametrize(("values", "texts"), PARQUET_VALUES, ids=lambda part: str(getattr(part, "type", "")))
def test_parquet_values_become_the_texts_of_csv(tmp_path: Path, values: pa.Array, texts: list[str]) -> None:
    pq.write_table(pa.table({"quantity": values}), tmp_path / "o.parquet")
    assert read_table(tmp_path / "o.parquet", ["quantity"]).columns["quantity"].to_pylist() == texts


def read_back(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


@pytest.mark.parametrize("name", ["r.csv", "r.csv.gz", "r.parquet"])
def test_rejects_are_written_in_file_order_with_value_and_reason(tmp_path: Path, name: str) -> None:
    rejects = Rejects()
    rejects.add_rows(np.array([7, 3]), "quantity", pa.array(["0", "0,0"]), Reason.ZERO)
    rejects.add(5, "order_id", 'A"\n', "KEY_CONFLICT", "used before")
    rejects.add_rows(np.array([9]), "sku", pa.array(["x" * 5000]), Reason.TOO_LONG)
    rejects.add_rows(np.empty(0, np.int64), "sku", pa.array([], pa.string()), Reason.EMPTY)
    rejects.write(tmp_path / name)
    rows = read_back(tmp_path / name)
    assert [int(row["row"]) for row in rows] == [3, 5, 7, 9] == rejects.rows().tolist()
    assert [row["value"] for row in rows] == ["0,0", 'A"\n', "0", "x" * VALUE_CHARACTERS_MAX]
    assert [row["reason"] for row in rows] == ["ZERO", "KEY_CONFLICT", "ZERO", "TOO_LONG"]
    assert rows[0]["why"] == SENTENCES[Reason.ZERO]
    assert rows[1]["why"] == "used before"
    assert len(rejects) == 4
    assert rejects.counts() == {"ZERO": 2, "KEY_CONFLICT": 1, "TOO_LONG": 1}


def test_no_rejects_are_a_file_with_a_header(tmp_path: Path) -> None:
    Rejects().write(tmp_path / "r.csv")
    assert (tmp_path / "r.csv").read_text() == "row,column,value,reason,why\n"
    assert Rejects().counts() == {}


def test_every_reason_has_a_sentence() -> None:
    assert set(SENTENCES) == set(Reason)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text("old")
    batch = pa.record_batch({"a": pa.array([1])})
    with pytest.raises(KeyError), TableWriter(path, batch.schema) as writer:
        writer.append(batch.rename_columns(["b"]))
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["d.csv"]
    with TableWriter(path, batch.schema) as writer:
        writer.append(batch)
        assert path.read_text() == "old"
    assert path.read_text() == "a\n1\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["d.csv"]


@pytest.mark.parametrize("name", ["none/d.csv", "file/d.csv", "d.txt", "folder.csv"])
def test_a_place_that_cannot_be_written_is_refused_at_once(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.csv").mkdir()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(IntakeError, match=name), TableWriter(tmp_path / name, pa.schema([("a", pa.int32())])):
        raise AssertionError("not reached")
    assert sorted(tmp_path.iterdir()) == before


def test_flags_of_parquet_are_read_as_csv_has_them() -> None:
    assert as_text(pa.array([True, None, False])).to_pylist() == ["true", "", "false"]
