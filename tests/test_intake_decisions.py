"""The decisions file: the three kinds hold the same, nulls are empty cells, and an empty job has a header."""

import csv
import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.intake.decisions import SCHEMA, DecisionWriter

ROWS: list[dict[str, Any]] = [
    {"order_id": "A", "line": 1, "sku": "X", "quantity": 2, "node_id": "N1", "outcome": "ALLOCATED", "note": "",
     "distance_m": 0},
    {"order_id": "A", "line": 1, "sku": "X", "quantity": 1, "node_id": None, "outcome": "SHORT", "note": "POSTAL_AREA"},
]  # fmt: skip
HEADER = "order_id,line,sku,quantity,node_id,outcome,note,distance_m\n"


def batch(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(rows, SCHEMA)


def test_csv_is_bare_text_with_empty_cells_for_what_is_not_there(tmp_path: Path) -> None:
    with DecisionWriter(tmp_path / "d.csv") as writer:
        writer.append(batch(ROWS[:1]))
        writer.append(batch(ROWS[1:]))
    assert writer.rows == 2
    assert (tmp_path / "d.csv").read_text() == HEADER + "A,1,X,2,N1,ALLOCATED,,0\nA,1,X,1,,SHORT,POSTAL_AREA,\n"


@pytest.mark.parametrize("text", ["a,b", 'a"b', "é", "'", " a ", "a\\b", "#REF!"])
def test_any_text_comes_back_from_csv_as_it_was(tmp_path: Path, text: str) -> None:
    row = ROWS[0] | {"order_id": text, "sku": text, "node_id": text}
    with DecisionWriter(tmp_path / "d.csv") as writer:
        writer.append(batch(ROWS))
        writer.append(batch([row]))
        writer.append(batch(ROWS))
    with (tmp_path / "d.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [rows[2][name] for name in ("order_id", "sku", "node_id")] == [text] * 3
    assert [row["quantity"] for row in rows] == ["2", "1", "2", "2", "1"]


def test_gzip_holds_the_same_bytes_as_csv_and_is_the_same_each_time(tmp_path: Path) -> None:
    for name in ("d.csv", "d.csv.gz", "e.csv.gz"):
        with DecisionWriter(tmp_path / name) as writer:
            writer.append(batch(ROWS))
    assert gzip.decompress((tmp_path / "d.csv.gz").read_bytes()) == (tmp_path / "d.csv").read_bytes()
    assert (tmp_path / "d.csv.gz").read_bytes() == (tmp_path / "e.csv.gz").read_bytes()


def test_parquet_holds_types_and_nulls(tmp_path: Path) -> None:
    with DecisionWriter(tmp_path / "d.parquet") as writer:
        writer.append(batch(ROWS))
        writer.append(batch(ROWS))
    table = pq.read_table(tmp_path / "d.parquet")
    assert table.schema.equals(SCHEMA)
    assert table.to_pylist() == [ROWS[0], ROWS[1] | {"distance_m": None}] * 2


def test_dictionary_encoded_texts_may_stand_for_texts(tmp_path: Path) -> None:
    plain = batch(ROWS)
    coded = plain.set_column(4, "node_id", plain.column("node_id").dictionary_encode())
    for name in ("d.csv", "d.parquet"):
        with DecisionWriter(tmp_path / name) as writer:
            writer.append(coded)
    assert pq.read_table(tmp_path / "d.parquet").column("node_id").to_pylist() == ["N1", None]
    assert "A,1,X,2,N1," in (tmp_path / "d.csv").read_text()


def test_an_empty_job_has_a_header(tmp_path: Path) -> None:
    for name in ("d.csv", "d.parquet"):
        with DecisionWriter(tmp_path / name):
            pass
    assert (tmp_path / "d.csv").read_text() == HEADER
    assert pq.read_table(tmp_path / "d.parquet").schema.equals(SCHEMA)
