"""Export: the whole history of a journal as Parquet files, one a table, for those who want to count for themselves.

Streams record by record through engine/history.py, so that memory holds one row group a table. Changes nothing in the
data folder, may run beside a live writer, and ends where the journal ended when it began.
"""

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

from engine.history import NULL_INDEX, NULL_TIME, History, Kind
from engine.journal import JournalStore
from engine.outcomes import Cause, EngineError, Namespace
from kernels.columns import Outcome, Rule, Stage
from kernels.life import Account, Step

ROW_GROUP_ROWS = 100_000

TEXT = pa.string()
WORD = pa.dictionary(pa.int32(), pa.string())
TIME = pa.timestamp("us", tz="UTC")
I32, I64 = pa.int32(), pa.int64()

# Per file its columns: name, type, and what the history's values mean: words of a namespace or of an enum, or the value
# that stands for null.
_Column = tuple[str, pa.DataType, Any]
_ORDER_KEY: tuple[_Column, ...] = (("number", I64, 0), ("channel", WORD, Namespace.CHANNEL), ("order_id", TEXT, None))
FILES: dict[str, tuple[_Column, ...]] = {
    "orders": (
        *_ORDER_KEY, ("sequence", I64, None), ("stamp", TIME, None), ("postal_code", WORD, Namespace.POSTAL_CODE),
        ("outcome", WORD, Outcome), ("is_reservation", pa.bool_(), None), ("expires_at", TIME, 0),
        ("reservation", I64, 0), ("placed_at", TIME, NULL_TIME), ("currency", WORD, Namespace.WORD),
        ("payment_method", WORD, Namespace.WORD), ("service_level", WORD, Namespace.WORD), ("ship_by", TIME, NULL_TIME),
        ("deliver_by", TIME, NULL_TIME), ("customer", TEXT, ""), ("rule", WORD, Rule), ("decided_in", I64, NULL_TIME),
        ("nodes_max", I32, 0), ("ship_complete", pa.bool_(), None),
    ),
    "lines": (
        *_ORDER_KEY, ("line", I32, None), ("sku", WORD, Namespace.SKU), ("quantity", I32, None),
        ("unit_price", I64, NULL_TIME), ("discount", I64, NULL_TIME), ("tax", I64, NULL_TIME),
        ("extra_cost", I64, NULL_TIME),
    ),
    "decisions": (
        *_ORDER_KEY, ("line", I32, None), ("sku", WORD, Namespace.SKU), ("quantity", I32, None),
        ("node_id", WORD, Namespace.NODE), ("stage", WORD, Stage), ("metres", I32, NULL_INDEX), ("sequence", I64, None),
    ),
    "movements": (
        ("sequence", I64, None), ("stamp", TIME, None), ("sku", WORD, Namespace.SKU), ("node_id", WORD, Namespace.NODE),
        ("kind", WORD, Kind), ("quantity", I32, None), ("cause", WORD, Cause), ("reference", I64, 0),
    ),
    "supply": (
        ("sequence", I64, None), ("stamp", TIME, None), ("sku", WORD, Namespace.SKU), ("node_id", WORD, Namespace.NODE),
        ("reference", I64, None), ("quantity", I32, None), ("due_at", TIME, 0), ("cause", WORD, Cause),
    ),
    "promises": (
        ("sequence", I64, None), ("stamp", TIME, None), ("number", I64, None), ("line", I32, None),
        ("sku", WORD, Namespace.SKU), ("quantity", I32, None), ("from_due_at", TIME, 0), ("due_at", TIME, 0),
        ("waiting", pa.bool_(), None), ("cause", WORD, Cause),
    ),
    "steps": (
        ("sequence", I64, None), ("stamp", TIME, None), ("number", I64, None), ("order_number", I64, None),
        ("step", WORD, Step), ("state", I32, None), ("how", WORD, Namespace.WORD), ("node_id", WORD, Namespace.NODE),
        ("line", I32, 0), ("quantity", I32, 0), ("amount", I64, 0), ("at", TIME, 0), ("reference", TEXT, ""),
        ("of_number", I64, 0),
    ),
    "postings": (
        ("sequence", I64, None), ("stamp", TIME, None), ("number", I64, None), ("order_number", I64, None),
        ("account", WORD, Account), ("amount", I64, None), ("currency", WORD, Namespace.WORD),
    ),
}  # fmt: skip
_SOURCE = {"node_id": "node"}  # where the history names a column otherwise


class ExportFailed(EngineError):
    """The files cannot be written; the message says why."""


def export(
    journal: JournalStore, out_folder: Path, wanted: set[str], progress: Callable[[int, int], None] | None = None
) -> dict[str, int]:
    """Write the wanted of FILES to `<out_folder>/<name>.parquet`; returns the rows of each.

    Files take their names when all are complete and durable; what was there before is replaced. progress: records
    done, and of how many. Raises ExportFailed, and what reading a journal raises.
    """
    unknown = wanted - FILES.keys()
    if unknown:
        raise ExportFailed(f"{', '.join(sorted(unknown))}: no such table; there are {', '.join(FILES)}")
    history = History()
    try:
        out_folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            files = {name: stack.enter_context(_File(out_folder, name, history)) for name in FILES if name in wanted}
            _fill(files, journal, history, progress)
            for file in files.values():
                file.finish()
            for file in files.values():
                file.publish()
    except OSError as error:
        raise ExportFailed(f"{out_folder}: cannot be written: {error.strerror or error}") from error
    return {name: file.rows for name, file in files.items()}


def _fill(
    files: Mapping[str, "_File"], journal: JournalStore, history: History, progress: Callable[[int, int], None] | None
) -> None:
    wanted = frozenset(files)
    last = journal.next_sequence - 1
    if not last:
        return
    for record in journal.read(1):
        for name, columns in history.read(record, wanted):
            files[name].append(columns)
        if progress:
            progress(record.sequence, last)
        if record.sequence == last:  # a writer beside may be faster than this reader
            return


class _File:
    """One Parquet file being written under another name."""

    def __init__(self, folder: Path, name: str, history: History) -> None:
        self.rows = 0
        self._columns = FILES[name]
        self._history = history
        self._path = folder / f"{name}.parquet"
        self._partial = folder / f".{name}.parquet.partial"
        self._schema = pa.schema([(column, type_) for column, type_, _ in self._columns])
        self._pieces: list[Mapping[str, Any]] = []
        self._gathered = 0
        self._writer: Any = None

    def __enter__(self) -> Self:
        words = [name for name, type_, _ in self._columns if type_ is WORD]
        self._writer = pyarrow.parquet.ParquetWriter(
            self._partial, self._schema, compression="zstd", use_dictionary=words
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
        self._partial.unlink(missing_ok=True)

    def append(self, columns: Mapping[str, Any]) -> None:
        """Take rows of one record."""
        count = len(columns[self._schema.names[0]])
        self._pieces.append(columns)
        self._gathered += count
        self.rows += count
        if self._gathered >= ROW_GROUP_ROWS:
            self._flush()

    def finish(self) -> None:
        """Write what is left and the footer, and make the file durable."""
        self._flush()
        self._writer.close()
        with open(self._partial, "rb") as file:
            os.fsync(file.fileno())

    def publish(self) -> None:
        """Give the finished file its name."""
        os.replace(self._partial, self._path)

    def _flush(self) -> None:
        if not self._gathered:
            return
        arrays = [
            self._array([piece[_SOURCE.get(name, name)] for piece in self._pieces], type_, values)
            for name, type_, values in self._columns
        ]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema), row_group_size=ROW_GROUP_ROWS)
        self._pieces, self._gathered = [], 0

    def _array(self, pieces: list[Any], type_: pa.DataType, values: Any) -> pa.Array:
        if type_ is TEXT:
            texts = pa.concat_arrays(pieces)
            return texts if values is None else pa.compute.if_else(pa.compute.equal(texts, values), None, texts)
        figures = np.concatenate(pieces)
        if isinstance(values, Namespace):
            return _words(figures, self._history.texts(values))
        if isinstance(values, type) and issubclass(values, IntEnum):
            members = {member.value: member.name for member in values}
            return _words(figures, pa.array([members.get(i, "") for i in range(max(members) + 1)]))
        nulls = None if values is None else figures == values
        return pa.array(figures, mask=nulls).cast(type_)


def _words(index: Any, texts: pa.StringArray) -> pa.DictionaryArray:
    """A dictionary array of the texts that are used; NULL_INDEX is null."""
    null = index == NULL_INDEX
    known = index[~null]
    used = np.zeros(len(texts), bool)
    used[known] = True
    place = np.cumsum(used, dtype=np.int32) - 1
    out = np.zeros(index.size, np.int32)
    out[~null] = place[known]
    return pa.DictionaryArray.from_arrays(pa.array(out, mask=null), texts.filter(pa.array(used)))
