"""Exported files against the engine they came from: every order, line and unit is there, movements add up to the
stock."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine import export as export_module
from engine.commands import PlaceOrders
from engine.export import FILES, export
from engine.history import History
from engine.journal.segments import Journal
from engine.lifecycle import Action
from engine.outcomes import EngineError
from kernels.columns import Figure, OnShort
from tests import model as m
from tests.driving import SECOND, START, Pair, counted, i16, i32, place, policy, received, reserve, texts

ALL = set(FILES)


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    """Orders, back-orders, a refusal, reservations in every way they end, counts, shipments, returns."""
    policies = [policy(), policy(on_short=OnShort.BACK_ORDER), policy(on_short=OnShort.REFUSE)]
    pair = Pair(nodes=3, skus=3, codes=2, policies=policies, path=tmp_path / "data")
    pair.commit(received("r1", (0, 0, 10), (0, 1, 15), (1, 2, 4)))
    pair.commit(place("o1", (0, 20)), place("o2", (1, 2), (0, 1)), place("o3", (2, 5), channel=2))
    pair.commit(place("o4", (1, 6), channel=1))
    later = START + 100 * SECOND
    pair.commit(*(reserve(f"v{i}", (0, 1), expires_at=later) for i in range(3)), after=SECOND)
    pair.commit(m.Confirm((m.Confirmation("c", "o5", "v0"),)), m.Release((m.Ending("l", "v1"),)))
    pair.commit(received("r2", (1, 1, 4)))
    acts = [("a1", "o1", Action.PICK, 5), ("a2", "o1", Action.SHIP, 3), ("a3", "o1", Action.CANCEL, 1)]
    pair.commit(m.Acts(tuple(m.Act(request, order, action, units) for request, order, action, units in acts)))
    pair.commit(m.Acts((m.Act("a4", "o1", Action.RETURN, 2, restock=2),)))
    pair.commit(counted("k1", (0, 0, 1), (0, 1, 5)))
    pair.commit(after=200 * SECOND)
    return pair


def exported(pair: Pair, folder: Path, what: set[str] = ALL) -> dict[str, list[dict[str, object]]]:
    assert pair.engine.folder is not None
    rows = export(Journal.open(pair.engine.folder.disk, read_only=True), folder, what)
    out = {name: pq.read_table(folder / f"{name}.parquet").to_pylist() for name in what}
    assert rows == {name: len(table) for name, table in out.items()}
    return out


def test_the_movements_add_up_to_the_stock_of_every_cell(pair: Pair, tmp_path: Path) -> None:
    units = {(sku, node): [0, 0, 0] for sku in range(3) for node in range(3)}
    tables = exported(pair, tmp_path / "out")
    reservations = {row["number"] for row in tables["orders"] if row["is_reservation"]}
    for row in tables["movements"]:
        cell = units[int(row["sku"][4:]), int(row["node_id"][5:])]
        kind, quantity = row["kind"], row["quantity"]
        committed = 2 if row["reference"] in reservations else 1
        cell[0] += quantity if kind in ("RECEIVED", "COUNTED", "ADJUSTED", "RESTOCKED") else 0
        cell[0] -= quantity if kind == "SHIPPED" else 0
        cell[committed] += quantity if kind in ("ALLOCATED", "RESERVED") else 0
        cell[committed] -= quantity if kind in ("RELEASED", "SHIPPED") else 0
    for (sku, node), cell in units.items():
        figures = pair.figures(sku, node)
        assert cell == [figures[Figure.ON_HAND], figures[Figure.ALLOCATED], figures[Figure.RESERVED]], (sku, node)


def test_every_order_line_and_unit_is_there(pair: Pair, tmp_path: Path) -> None:
    tables = exported(pair, tmp_path / "out")
    ids = [row["order_id"] for row in tables["orders"]]
    assert ids == ["o1", "o2", "o3", "o4", "v0", "v1", "v2", "o5"]
    refused = tables["orders"][2]
    assert (refused["outcome"], refused["number"]) == ("REFUSED", None)
    assert tables["orders"][7]["reservation"] == tables["orders"][4]["number"]
    assert {row["rule"] for row in tables["orders"]} == {"NEAREST"}
    decided_in = [row["decided_in"] for row in tables["orders"]]
    assert decided_in == [None] * 7 + [tables["orders"][4]["sequence"]]  # the last was a reservation
    assert {row["extra_cost"] for row in tables["lines"]} == {None}
    lines = {(row["order_id"], row["line"]): row["quantity"] for row in tables["lines"]}
    assert lines["o2", 2] == 1
    assert lines["o3", 1] == 5
    decided: dict[tuple[str, int], int] = {}
    for row in tables["decisions"]:
        key = row["order_id"], row["line"]
        decided[key] = decided.get(key, 0) + row["quantity"]
        assert (row["node_id"] is None) == (row["stage"] in ("SHORT", "BACK_ORDERED")) == (row["metres"] is None)
    assert decided == {key: units for key, units in lines.items() if key[0] != "o3"}


def test_the_types_are_those_documented_also_of_an_empty_journal(tmp_path: Path) -> None:
    pair = Pair(path=tmp_path / "data")
    assert exported(pair, tmp_path / "out") == {name: [] for name in ALL}
    for name in ALL:
        schema = pq.read_schema(tmp_path / "out" / f"{name}.parquet")
        assert list(zip(schema.names, schema.types, strict=True)) == [column[:2] for column in FILES[name]]


def test_optional_columns_come_out_as_they_went_in(tmp_path: Path) -> None:
    pair = Pair(path=tmp_path / "data")
    options = {"placed_at": np.array([START - 1, np.iinfo(np.int64).min]), "customer": texts(["c-1", ""])}
    options |= {"unit_price": np.array([999, np.iinfo(np.int64).min]), "currency": i16([-1, -1])}
    first = np.arange(3, dtype=np.int64)
    command = PlaceOrders(texts(["x", "y"]), i16([0, 0]), i32([0, 0]), first, i32([0, 1]), i32([1, 2]), options)
    pair.engine.commit(command, START)
    tables = exported(pair, tmp_path / "out", {"orders", "lines"})
    x, y = tables["orders"]
    assert x["placed_at"].timestamp() * 1e6 == pytest.approx(START - 1, abs=1)
    assert (x["customer"], y["customer"], y["placed_at"], x["currency"]) == ("c-1", None, None, None)
    assert [row["unit_price"] for row in tables["lines"]] == [999, None]


def test_row_groups_are_cut_and_join_again(pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = exported(pair, tmp_path / "whole")
    monkeypatch.setattr(export_module, "ROW_GROUP_ROWS", 2)
    assert exported(pair, tmp_path / "cut") == whole
    assert pq.ParquetFile(tmp_path / "cut" / "movements.parquet").num_row_groups > 3


def test_a_failed_export_leaves_the_older_files_and_nothing_else(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported(pair, tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    pair.commit(received("r9", (0, 0, 1)))
    monkeypatch.setattr(History, "texts", lambda *_: pa.array(["too few"]))
    with pytest.raises((IndexError, ValueError, EngineError)):
        exported(pair, tmp_path / "out")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_a_folder_that_cannot_be_made_is_named(pair: Pair, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EngineError, match="file"):
        exported(pair, tmp_path / "file" / "out")
