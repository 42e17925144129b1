"""Writes a table to CSV, CSV.gz or Parquet by the file's name, batch by batch. Decisions and rejects leave here.

The rows go into a file beside the wanted one, which takes its name only when everything is in it: a reader never sees
half a table, and a failed job leaves the old file as it was. Not fsynced: what is written here can be made again.
"""

import contextlib
import gzip
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from engine.intake.tables import FileKind, IntakeError, bytes_table, holds_byte, kind_of

_BARE = pyarrow.csv.WriteOptions(include_header=False, quoting_style="none")
_QUOTED = pyarrow.csv.WriteOptions(include_header=False, quoting_style="needed")
_GZIP_LEVEL = 1
_NEEDS_QUOTES = bytes_table(b'",\r\n')


class TableWriter:
    """A table being written; a context manager, whose end by an exception leaves nothing behind.

    Raises IntakeError where the folder is missing, not writable or full, and for a name of no known kind.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path = Path(path)
        self.schema = schema
        self.rows = 0
        self._kind = kind_of(self.path)
        self._partial = self.path.with_name(f".{self.path.name}.partial")
        self._file: Any = None
        self._sink: Any = None
        self._parquet: Any = None

    def __enter__(self) -> Self:
        try:
            if self.path.is_dir():
                raise IntakeError(f"{self.path}: is a folder; name a file to write")
            self._open()
        except BaseException as error:  # Ctrl-C too
            self._discard()
            if isinstance(error, OSError):
                raise IntakeError(f"{self.path}: cannot be written: {_why(error)}") from None
            raise
        return self

    def append(self, batch: pa.RecordBatch) -> None:
        """Adds the rows of a batch with the schema's column names; dictionary-encoded texts may stand for texts."""
        rows = pa.table([batch.column(name).cast(type_) for name, type_ in _fields(self.schema)], schema=self.schema)
        self.rows += batch.num_rows
        try:
            if self._parquet is not None:
                self._parquet.write_table(rows)
            else:
                pyarrow.csv.write_csv(rows, self._sink, _QUOTED if _has_quotable(batch) else _BARE)
        except OSError as error:
            raise IntakeError(f"{self.path}: cannot be written: {_why(error)}") from None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._close()
            if error is None:
                os.replace(self._partial, self.path)
        except OSError as failed:
            self._discard()
            if error is None:
                raise IntakeError(f"{self.path}: cannot be written: {_why(failed)}") from None
        if error is not None:
            self._discard()

    def _discard(self) -> None:
        with contextlib.suppress(OSError):  # the reason that is told is the first one
            self._partial.unlink()

    def _open(self) -> None:
        self._file = pa.OSFile(str(self._partial), "wb")
        if self._kind is FileKind.PARQUET:
            self._parquet = pyarrow.parquet.ParquetWriter(self._file, self.schema)
        else:
            self._sink = self._file if self._kind is FileKind.CSV else _gzipped(self._file)
            self._sink.write((",".join(self.schema.names) + "\n").encode())

    def _close(self) -> None:
        for stream in (self._parquet, self._sink, self._file):
            if stream is not None:
                stream.close()


def _fields(schema: pa.Schema) -> list[tuple[str, pa.DataType]]:
    return [(field.name, field.type) for field in schema]


def _has_quotable(batch: pa.RecordBatch) -> bool:
    """Whether a text needs quotes in CSV. Arrow alternatively quotes all: a larger and slower file."""
    for column in batch.columns:
        texts = column.dictionary if pa.types.is_dictionary(column.type) else column
        if pa.types.is_string(texts.type) and holds_byte(texts, _NEEDS_QUOTES):
            return True
    return False


def _gzipped(file: Any) -> Any:
    """Arrow's own gzip stream knows only the highest level, which takes ten times as long. No time stamp: equal rows
    give equal files."""
    return gzip.GzipFile(filename="", mode="wb", compresslevel=_GZIP_LEVEL, fileobj=file, mtime=0)


def _why(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno else str(error)
