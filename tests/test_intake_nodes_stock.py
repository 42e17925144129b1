"""Nodes and stock files: each refusal in one line, the figures of a cell added up, one figure spread over nodes."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.intake.nodes import NodeFile, read_nodes
from engine.intake.postal_codes import Places
from engine.intake.stock import StockFile, read_stock, spread_evenly
from engine.intake.tables import IntakeError
from kernels.columns import NODES_MAX, UNITS_MAX

PLACES = Places(
    pa.array(["110001", "560001"]),
    np.array([286_000_000, 129_000_000], np.int32),
    np.array([772_000_000, 775_000_000], np.int32),
    np.zeros(2, bool),
)
NODES = pa.array(["N1", "N2", "N3"])


def nodes(folder: Path, text: str) -> NodeFile:
    (folder / "nodes.csv").write_text(text)
    return read_nodes(folder / "nodes.csv", PLACES)


def stock(folder: Path, text: str) -> StockFile:
    (folder / "stock.csv").write_text(text)
    return read_stock(folder / "stock.csv", NODES)


def cells(stock: StockFile) -> dict[tuple[str, int], int]:
    found = {
        (stock.sku[i].as_py(), int(stock.node[i])): int(stock.on_hand[i]) for i in range(len(stock.sku))
    }  # fmt: skip
    assert len(found) == len(stock.sku)
    return found


def test_a_node_has_coordinates_or_a_postal_code_row_by_row(tmp_path: Path) -> None:
    read = nodes(
        tmp_path,
        "node_id,latitude,longitude,postal_code\nN1,28.4468,-76.82569,\nN2,,,560001\nN3,0,0,110001\nN4,,,110999\nN5,-90,+180,\n",
    )
    assert read.node_id.to_pylist() == ["N1", "N2", "N3", "N4", "N5"]
    assert read.latitude_e7.tolist() == [284_468_000, 129_000_000, 0, 286_000_000, -900_000_000]
    assert read.longitude_e7.tolist() == [-768_256_900, 775_000_000, 0, 772_000_000, 1_800_000_000]
    assert read.latitude_e7.dtype == read.longitude_e7.dtype == np.int32


def test_postal_codes_alone_and_parquet_floats_will_do(tmp_path: Path) -> None:
    assert nodes(tmp_path, "node_id,postal_code\nN1,110001\n").latitude_e7.tolist() == [286_000_000]
    assert nodes(tmp_path, "node_id,postal_code\nN1, 110001 \n").latitude_e7.tolist() == [286_000_000]
    assert nodes(tmp_path, "node_id,latitude,longitude\nN1,1e-05,2.5E1\n").latitude_e7.tolist() == [100]
    table = pa.table({"node_id": ["N1", "N2"], "latitude": [28.5, 0.00001], "longitude": [77.0, -0.5]})
    pq.write_table(table, tmp_path / "n.parquet")
    read = read_nodes(tmp_path / "n.parquet", PLACES)
    assert (read.latitude_e7.tolist(), read.longitude_e7.tolist()) == ([285_000_000, 100], [770_000_000, -5_000_000])


BAD_NODES = {
    "node_id\nN1\n": "where are the nodes",
    "node_id,latitude\nN1,1\n": "where are the nodes",
    "latitude,longitude\n1,1\n": "column node_id is missing",
    "node_id,latitude,longitude\n": "has a header but no rows",
    "node_id,latitude,longitude\nN1,1,1\nN2,1\n": "row 2 has more or fewer cells",
    "node_id,latitude,longitude\n,1,1\n": "row 1, node_id '': EMPTY",
    "node_id,latitude,longitude\nN\t1,1,1\n": "CONTROL_CHARACTER",
    f"node_id,latitude,longitude\n{'x' * 65},1,1\n": "TOO_LONG",
    "node_id,latitude,longitude\nN1,1,1\nN2,1,1\nN1,2,2\n": "row 3, node_id 'N1': the node is in row 1 too",
    "node_id,latitude,longitude\nN1,91,1\n": "row 1, latitude: '91'",
    "node_id,latitude,longitude\nN1,1,-180.1\n": "row 1, longitude: '-180.1'",
    "node_id,latitude,longitude\nN1,1,1\nN2,x,1\n": "row 2, latitude: 'x'",
    "node_id,latitude,longitude,postal_code\nN1,,,110001\nN2,x,1,\n": "row 2, latitude: 'x'",
    "node_id,latitude,longitude\nN1,1,\n": "row 1, longitude: ''",
    "node_id,latitude,longitude\nN1,nan,1\n": "row 1, latitude: 'nan'",
    "node_id,latitude,longitude\nN1,,\n": "row 1, latitude '': is missing",
    "node_id,postal_code\nN1,110001\nN2,\n": "row 2, postal_code '': is missing",
    "node_id,postal_code,orders_per_day\nN1,110001,\nN2,110001,-1\n": "row 2, orders_per_day '-1': NEGATIVE",
    "node_id,postal_code,units_per_day\nN1,110001,1.5\n": "row 1, units_per_day '1.5': FRACTION",
    "node_id,postal_code,day_starts_at\nN1,110001,1440\n": "row 1, day_starts_at '1440': ABOVE_LIMIT",
    "node_id,postal_code,utc_offset_minutes\nN1,110001,east\n": "row 1, utc_offset_minutes 'east': NOT_A_NUMBER",
    "node_id,postal_code\nN1,999999\n": "row 1, postal_code '999999': is not known",
    "node_id,postal_code\n" + "".join(f"N{n},110001\n" for n in range(NODES_MAX + 1)): "257 nodes; there may be 256",
}


@pytest.mark.parametrize(("text", "says"), BAD_NODES.items(), ids=lambda part: part[-30:])
def test_one_wrong_node_stops_the_job_and_names_the_row(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(IntakeError) as caught:
        nodes(tmp_path, text)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_limits_of_days_are_read_and_an_empty_cell_is_none(tmp_path: Path) -> None:
    head = "node_id,postal_code,orders_per_day,units_per_day,day_starts_at,utc_offset_minutes\n"
    read = nodes(tmp_path, head + "N1,110001,40,,900,330\nN2,110001,,0,,-60\nN3,110001,,,,\n")
    assert read.terms.tolist() == [[40, -1, 900, 330], [-1, 0, 0, -60], [-1, -1, 0, 0]]
    assert nodes(tmp_path, "node_id,postal_code\nN1,110001\n").terms.tolist() == [[-1, -1, 0, 0]]


def test_as_many_nodes_as_the_limit_are_taken(tmp_path: Path) -> None:
    text = "node_id,postal_code\n" + "".join(f"N{n},110001\n" for n in range(NODES_MAX))
    assert len(nodes(tmp_path, text).node_id) == NODES_MAX


def test_rows_of_one_cell_are_added_up_and_negative_stock_is_kept(tmp_path: Path) -> None:
    read = stock(tmp_path, "sku,node_id,on_hand\nX,N2,5\nY,N1,-3\nX,N1,1\nX,N2,7.0\nY,N3,0\nX,N1,-4\n")
    assert cells(read) == {("X", 1): 12, ("Y", 0): -3, ("X", 0): -3, ("Y", 2): 0}
    assert (read.negative_rows, read.rows, len(read.rejects)) == (2, 6, 0)
    assert (read.node.dtype, read.on_hand.dtype) == (np.int16, np.int32)
    assert read.sku.to_pylist() == ["X", "X", "Y", "Y"]


BAD_STOCK: list[tuple[str, str, str]] = [
    (",N1,1", "sku", "EMPTY"),
    ("x" * 65 + ",N1,1", "sku", "TOO_LONG"),
    ("X\t,N1,1", "sku", "CONTROL_CHARACTER"),
    ("X,,1", "node_id", "EMPTY"),
    ("X,N9,1", "node_id", "UNKNOWN_NODE"),
    ("X,n1,1", "node_id", "UNKNOWN_NODE"),
    ("X,N1,", "on_hand", "EMPTY"),
    ("X,N1,#REF!", "on_hand", "NOT_A_NUMBER"),
    ("X,N1,1.5", "on_hand", "FRACTION"),
    ("X,N1,-1.5", "on_hand", "FRACTION"),
    (f"X,N1,{UNITS_MAX + 1}", "on_hand", "ABOVE_LIMIT"),
    (f"X,N1,-{UNITS_MAX + 1}", "on_hand", "ABOVE_LIMIT"),
    (",N9,x", "sku", "EMPTY"),
    ("X,N1", "", "WRONG_CELL_COUNT"),
]


@pytest.mark.parametrize(("row", "column", "reason"), BAD_STOCK)
def test_a_bad_stock_row_is_rejected_alone(tmp_path: Path, row: str, column: str, reason: str) -> None:
    read = stock(tmp_path, f"sku,node_id,on_hand\nA,N1,1\n{row}\nA,N1,1\n")
    assert [(r["row"], r["column"], r["reason"]) for r in read.rejects.table().to_pylist()] == [(2, column, reason)]
    assert cells(read) == {("A", 0): 2}


def test_a_stock_file_without_rows_is_no_stock(tmp_path: Path) -> None:
    read = stock(tmp_path, "sku,node_id,on_hand\n")
    assert (cells(read), read.rows) == ({}, 0)


def test_a_cell_cannot_hold_more_than_its_limit(tmp_path: Path) -> None:
    assert cells(stock(tmp_path, f"sku,node_id,on_hand\nX,N1,{UNITS_MAX}\n")) == {("X", 0): UNITS_MAX}
    with pytest.raises(IntakeError, match=f"{UNITS_MAX + 1} units of SKU 'X' at 'N1'"):
        stock(tmp_path, f"sku,node_id,on_hand\nX,N1,{UNITS_MAX}\nX,N1,1\n")


def test_one_figure_is_spread_so_that_nodes_differ_by_one_unit_and_take_turns() -> None:
    read = spread_evenly(pa.array(["A", "B", "C", "D", "E"]), np.array([7, 7, 2, 0, -5]), NODES)
    assert cells(read) == {
        ("A", 0): 3, ("A", 1): 2, ("A", 2): 2,
        ("B", 0): 2, ("B", 1): 3, ("B", 2): 2,
        ("C", 2): 1, ("C", 0): 1,
        ("E", 1): -5,
    }  # fmt: skip
    assert read.negative_rows == 1


@pytest.mark.parametrize("count", [1, 2, 22, 256])
def test_no_unit_is_lost_or_made_in_spreading(count: int) -> None:
    units = np.random.default_rng(count).integers(-3, 1000, 500)
    read = spread_evenly(pa.array([f"S{n}" for n in range(500)]), units, pa.array([f"N{n}" for n in range(count)]))
    total = np.zeros(500, np.int64)
    np.add.at(total, [int(name[1:]) for name in read.sku.to_pylist()], read.on_hand)
    assert (total == units).all()
    assert (read.on_hand != 0).all()
