"""The body of a journal record: a commit's tables as bytes and back. The writer encodes, replay and views decode.

Fixed columns and texts keep Arrow's memory layout, 8-byte aligned, so that reading is wrapping; long columns are
stored narrower where that loses nothing. The byte grammar is in FORMAT.md, the tables in engine/schema.py.
"""

import struct
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import IntEnum
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.schema import CHANNELS, DTYPES, EXCEPTIONS, TABLES, Column, Kind, Table

assert sys.byteorder == "little", "the journal is little-endian and read without conversion"

COMPACT_ROWS_MIN = 64  # below it looking for a narrower form costs more than the bytes it saves


class Encoding(IntEnum):
    """How the values of a column are stored. For texts: how their lengths are. The numbers stand in the journal."""

    PLAIN = 0  # as in memory; for texts Arrow's offsets, from 0
    CONSTANT = 1  # one value, the same in every row
    RANGE = 2  # the first value; each next one is 1 more
    NARROW_U8 = 3
    NARROW_U16 = 4
    NARROW_U32 = 5
    NARROW_I8 = 6
    NARROW_I16 = 7
    NARROW_I32 = 8


NARROW: dict[int, Any] = {
    3: np.dtype(np.uint8), 4: np.dtype(np.uint16), 5: np.dtype(np.uint32),
    6: np.dtype(np.int8), 7: np.dtype(np.int16), 8: np.dtype(np.int32),
}  # fmt: skip
_UNSIGNED = [(3, 0xFF), (4, 0xFFFF), (5, 0xFFFF_FFFF)]
_SIGNED = [(6, 0x7F), (7, 0x7FFF), (8, 0x7FFF_FFFF)]
_PLAIN, _CONSTANT, _RANGE = 0, 1, 2
_TEXT = int(Kind.TEXT)
_INT32 = np.dtype(np.int32)
_ENTRY = struct.Struct("<HBBI")  # of the directory: a table, or one of its columns
_PADDING = [bytes(count) for count in range(8)]

# A column added to a table that older records lack and readers need: (table, column) -> its values from the others.
LIFTS: dict[tuple[int, int], Callable[[Mapping[str, Any], int], Any]] = {
    (CHANNELS.number, 13): lambda _, rows: np.zeros(rows, np.int32),  # buffer_ppm: none
    (CHANNELS.number, 14): lambda _, rows: np.zeros(rows, np.uint8),  # closed: none was
    (EXCEPTIONS.number, 7): lambda _, rows: np.zeros(rows, np.int32),  # buffer_ppm: none
}


class RecordUnreadable(Exception):
    """The body names a table, column, kind or encoding that this program does not know, or does not add up."""


class _Field(NamedTuple):
    number: int
    name: str
    kind: int
    optional: bool
    dtype: Any  # None for a text


class _Plan(NamedTuple):
    table: Table
    fields: tuple[_Field, ...]
    by_number: dict[int, _Field]
    required_count: int


def _field(column: Column) -> _Field:
    dtype = None if column.kind == Kind.TEXT else np.dtype(DTYPES[column.kind])
    return _Field(column.number, column.name, int(column.kind), column.optional, dtype)


def _plan(table: Table) -> _Plan:
    fields = tuple(_field(column) for column in table.columns)
    required_count = sum(not field.optional for field in fields)
    return _Plan(table, fields, {field.number: field for field in fields}, required_count)


_PLANS = {number: _plan(table) for number, table in TABLES.items()}


def encode(tables: Sequence[tuple[Table, Mapping[str, Any]]]) -> list[Any]:
    """The body of one record, as buffers to be written one after the other.

    Per table its columns by name: arrays of exactly DTYPES[kind], C order, equal lengths; pa.StringArray for texts,
    without nulls. Optional columns may be missing or None. ValueError where one of this does not hold.
    """
    entries: list[int] = []
    buffers: list[Any] = [b""]
    for table, columns in tables:
        plan = _PLANS.get(table.number)
        if plan is None or plan.table is not table:
            plan = _plan(table)
        _encode_table(plan, columns, entries, buffers)
    count = len(entries) >> 2
    buffers[0] = struct.pack("<Q" + "HBBI" * count, count, *entries)
    return buffers


def _encode_table(plan: _Plan, columns: Mapping[str, Any], entries: list[int], buffers: list[Any]) -> None:
    place = len(entries)
    rows = -1
    present = 0
    for number, name, kind, optional, dtype in plan.fields:
        values = columns.get(name)
        if values is None:
            if not optional:
                raise ValueError(f"{plan.table.name}.{name} is missing")
            continue
        if rows != len(values):
            if rows >= 0:
                raise ValueError(f"{plan.table.name}.{name} has {len(values)} rows, the table {rows}")
            rows = len(values)
        if dtype is None:
            encoding, length = _encode_text(values, rows, buffers)
        else:
            if values.dtype is not dtype and values.dtype != dtype:
                raise ValueError(f"{plan.table.name}.{name} is {values.dtype}, not {dtype}")
            encoding, stored = (_PLAIN, values) if rows < COMPACT_ROWS_MIN else _compact(values)
            length = _put(stored, stored.nbytes, buffers)
        entries += (number, kind, encoding, length)
        present += 1
    entries[place:place] = (plan.table.number, present, 0, max(rows, 0))


def _put(buffer: Any, length: int, buffers: list[Any]) -> int:
    """Append a buffer, padded to whole 8-byte words; returns their number."""
    buffers.append(buffer)
    if length & 7:
        buffers.append(_PADDING[-length & 7])
    return length + 7 >> 3


def _compact(values: NDArray[Any]) -> tuple[int, NDArray[Any]]:
    """The shortest form that gives the same values back."""
    low, high = int(np.minimum.reduce(values)), int(np.maximum.reduce(values))
    if low == high:
        return _CONSTANT, values[:1]
    steps = len(values) - 1
    if high - low == steps and int(values[-1]) - int(values[0]) == steps and (values[1:] - values[:-1] == 1).all():
        return _RANGE, values[:1]
    for encoding, limit in _UNSIGNED if low >= 0 else _SIGNED:
        if high <= limit and low >= -limit - 1:
            narrow = NARROW[encoding]
            if narrow.itemsize < values.itemsize:
                return encoding, values.astype(narrow)
    return _PLAIN, values


def _encode_text(values: Any, rows: int, buffers: list[Any]) -> tuple[int, int]:
    if not isinstance(values, pa.StringArray) or values.null_count:
        raise ValueError("a text column is a pa.StringArray without nulls")
    _, offsets_buffer, data = values.buffers()
    if rows == 0:
        return _PLAIN, _put(bytes(4), 4, buffers)
    offsets = np.frombuffer(offsets_buffer, np.int32, rows + 1, values.offset * 4)
    first, end = int(offsets[0]), int(offsets[-1])
    if rows < COMPACT_ROWS_MIN:
        encoding, stored = _PLAIN, offsets - offsets[0] if first else offsets
    else:
        encoding, stored = _compact(offsets[1:] - offsets[:-1])
        if encoding == _PLAIN:
            stored = offsets - offsets[0]
    length = _put(stored, stored.nbytes, buffers)
    if end > first:
        length += _put(memoryview(data)[first:end], end - first, buffers)
    return encoding, length


def decode(body: memoryview | bytes) -> list[tuple[Table, dict[str, Any]]]:
    """The tables of one record, in their order: arrays of DTYPES[kind] and pa.StringArray, views of `body` where plain.

    Missing optional columns are absent. RecordUnreadable where the body comes from a newer schema or does not add up.
    """
    view = memoryview(body)
    size = len(view)
    if size == 0:
        return []
    count = int.from_bytes(view[:8], "little") if size >= 8 else size
    at = 8 + 8 * count
    if at > size:
        raise RecordUnreadable(f"a directory of {count} entries does not fit into {size} bytes")
    tables = []
    entries = _ENTRY.iter_unpack(view[8:at])
    for table_number, present, _, rows in entries:
        plan = _PLANS.get(table_number)
        if plan is None:
            raise RecordUnreadable(f"table {table_number} is unknown: the record comes from a newer schema")
        columns: dict[str, Any] = {}
        at = _decode_table(plan, islice(entries, present), rows, view, at, columns)
        tables.append((plan.table, columns))
    if at != size:
        raise RecordUnreadable(f"{size - at} bytes left over after the last column")
    return tables


def _decode_table(
    plan: _Plan, entries: Iterator[Any], rows: int, view: memoryview, at: int, columns: dict[str, Any]
) -> int:
    """Fill `columns` from the bytes at `at`; returns where the next table's begin."""
    by_number, size, ndarray = plan.by_number, len(view), np.ndarray
    needed = plan.required_count
    for number, kind, encoding, words in entries:
        field = by_number.get(number)
        if field is None or field[2] != kind:
            raise RecordUnreadable(
                f"column {number} of kind {kind} is unknown in {plan.table.name}: the record comes from a newer schema"
            )
        _, name, _, optional, dtype = field
        end = at + 8 * words
        if end > size:
            raise RecordUnreadable(f"{plan.table.name}.{name} ends after the record")
        if dtype is None:
            columns[name] = _decode_text(view, at, end, rows, encoding)
        elif encoding == _PLAIN:
            columns[name] = ndarray(rows, dtype, view, at)
        else:
            columns[name] = _decode_fixed(view, at, rows, encoding, dtype)
        if not optional:
            needed -= 1
        at = end
    if needed:
        _lift(plan, columns, rows)
    return at


def _decode_fixed(view: memoryview, at: int, rows: int, encoding: int, dtype: Any) -> NDArray[Any]:
    narrow = NARROW.get(encoding)
    if narrow is not None:
        return np.frombuffer(view, narrow, rows, at).astype(dtype)
    if encoding == _CONSTANT:
        return np.full(rows, np.frombuffer(view, dtype, 1, at)[0], dtype)
    if encoding == _RANGE:
        first = int(np.frombuffer(view, dtype, 1, at)[0])
        return np.arange(first, first + rows, dtype=dtype)
    raise RecordUnreadable(f"encoding {encoding} is unknown: the record comes from a newer schema")


def _decode_text(view: memoryview, at: int, end: int, rows: int, encoding: int) -> Any:
    if encoding == _PLAIN:
        stored = 4 * (rows + 1)
        offsets: Any = view[at : at + stored]
        total = int.from_bytes(offsets[-4:], "little")
    else:
        lengths = _decode_fixed(view, at, rows, encoding, _INT32)
        stored = 4 if encoding in (_CONSTANT, _RANGE) else NARROW[encoding].itemsize * rows
        offsets = np.zeros(rows + 1, np.int32)
        np.cumsum(lengths, out=offsets[1:])
        total = int(offsets[-1])
    data = at + (stored + 7 & ~7)
    if data + total > end:
        raise RecordUnreadable("texts end after their column")
    return pa.StringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(view[data : data + total]))


def _lift(plan: _Plan, columns: dict[str, Any], rows: int) -> None:
    """Give an older record the columns that were added since."""
    for field in plan.fields:
        if not field.optional and field.name not in columns:
            lift = LIFTS.get((plan.table.number, field.number))
            if lift is None:
                raise RecordUnreadable(f"{plan.table.name}.{field.name} is missing")
            columns[field.name] = lift(columns, rows)
