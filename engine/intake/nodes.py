"""Reads the nodes file: what they are called, where they are, and what they take on a day. Every row must be right: all
orders rest on it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.capacity import DAY_TERM_RANGES, DAY_TERMS, no_day_terms
from engine.intake.postal_codes import LATITUDE_DEGREES_MAX, LONGITUDE_DEGREES_MAX, Places, degrees_e7
from engine.intake.tables import FileTable, IntakeError, need_rows, read_table
from engine.intake.values import ABSENT, text_faults, whole_numbers
from kernels.columns import NODES_MAX

NODE_ID_CHARACTERS_MAX = 64


@dataclass(frozen=True)
class NodeFile:
    """The nodes in file order, 1 to NODES_MAX."""

    node_id: pa.StringArray  # [node], distinct
    latitude_e7: Any  # int32 [node] 1e-7 degrees
    longitude_e7: Any  # int32 [node]
    terms: Any  # int64 [node] as engine.capacity.DAY_TERMS: what each takes on a day


def read_nodes(path: Path, places: Places) -> NodeFile:
    """Column node_id; latitude and longitude in degrees, or postal_code in the rows that leave them empty; and, where
    there are limits, DAY_TERMS: orders and units of a day, minutes after midnight at which it starts, its clock's
    offset.

    Raises IntakeError, naming the row, where a node is there twice, its place is missing, unknown or off the globe, or
    a term is no whole number in its range.
    """
    table = read_table(path, ("node_id",), ("latitude", "longitude", "postal_code", *DAY_TERMS))
    if not ({"latitude", "longitude"} <= table.columns.keys() or "postal_code" in table.columns):
        raise IntakeError(f"{path}: where are the nodes? add columns latitude and longitude, or postal_code")
    need_rows(table)
    if table.rows > NODES_MAX:
        raise IntakeError(f"{path}: {table.rows} nodes; there may be {NODES_MAX}")
    node_id = table.columns["node_id"]
    for reason, failing in text_faults(node_id, NODE_ID_CHARACTERS_MAX):
        for at in np.flatnonzero(failing)[:1]:
            raise _fault(
                table, at, "node_id", f"{reason}; give each node a name of up to {NODE_ID_CHARACTERS_MAX} characters"
            )
    seen: dict[str, int] = {}
    for at, name in enumerate(node_id.to_pylist()):
        if seen.setdefault(name, at) != at:
            raise _fault(table, at, "node_id", f"the node is in row {seen[name] + 1} too; remove one")
    latitude_e7, longitude_e7 = _coordinates(table, places)
    return NodeFile(node_id, latitude_e7, longitude_e7, _terms(table))


def _coordinates(table: FileTable, places: Places) -> tuple[Any, Any]:
    """int32 [node] 1e-7 degrees, twice: of a row's own coordinates, else of its postal code."""
    empty = pa.array([""] * table.rows)
    latitude, longitude, code = (table.columns.get(name, empty) for name in ("latitude", "longitude", "postal_code"))
    latitude_e7, longitude_e7, _, known = places.find(pc.utf8_trim_whitespace(code))
    given = pc.not_equal(pc.binary_join_element_wise(latitude, longitude, ""), "").to_numpy(zero_copy_only=False)
    for at in np.flatnonzero(~given & ~known)[:1]:
        if code[at].as_py():
            raise _fault(table, at, "postal_code", "is not known; give latitude and longitude")
        column = "latitude" if "latitude" in table.columns else "postal_code"
        raise _fault(table, at, column, "is missing; give latitude and longitude, or a postal code")
    rows = np.flatnonzero(given)
    of_row = table.row[rows]
    for out, name, most, texts in (
        (latitude_e7, "latitude", LATITUDE_DEGREES_MAX, latitude),
        (longitude_e7, "longitude", LONGITUDE_DEGREES_MAX, longitude),
    ):
        out[rows] = degrees_e7(table.name, of_row, name, texts.take(pa.array(rows)), most)
    return latitude_e7, longitude_e7


def _terms(table: FileTable) -> Any:
    """int64 [node] as DAY_TERMS; an empty cell is the usual one: no limit, midnight, UTC."""
    terms = no_day_terms(table.rows)
    for at, (name, (low, high)) in enumerate(DAY_TERM_RANGES.items()):
        if name in table.columns:
            values, faults = whole_numbers(table.columns[name], low, high)
            for reason, failing in faults:
                for row in np.flatnonzero(failing)[:1]:
                    raise _fault(table, row, name, f"{reason}; give a whole number from {low} to {high}, or nothing")
            terms[:, at] = np.where(values == ABSENT, terms[:, at], values)
    return terms


def _fault(table: FileTable, at: int, column: str, why: str) -> IntakeError:
    value = table.columns[column][at].as_py()
    return IntakeError(f"{table.name}: row {table.row[at]}, {column} {value[:100]!r}: {why}")
