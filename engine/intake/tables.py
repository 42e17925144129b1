"""Reads a table from CSV, CSV.gz or Parquet by the file's name, every value as text. Every reader here begins so.

Texts, because an error must quote what stands in the file, and because then one set of rules (engine/intake/values.py)
holds for all three kinds. What makes a whole file unusable is an IntakeError; what spoils one row is a reject.
"""

import csv
import gzip
import re
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

HEADER_BYTES_MAX = 1 << 16
ROW_BYTES_MAX = 1 << 28  # of a CSV file
_BLOCK_BYTES = 1 << 22
_GZIP_MAGIC = b"\x1f\x8b"
_WHOLE_FLOAT_MAX = float(1 << 53)


class IntakeError(Exception):
    """A file that cannot be taken; the message, one line, names the file, the place, the value and the mend."""


class MissingColumn(IntakeError):
    """A file without a column that is needed."""

    def __init__(self, message: str, header: Sequence[str]) -> None:
        super().__init__(message)
        self.header = header


class FileKind(Enum):
    CSV = "csv"
    CSV_GZ = "csv.gz"
    PARQUET = "parquet"


@dataclass(frozen=True)
class FileTable:
    """The rows of a file that have as many cells as its header."""

    name: str  # of the file, for messages
    columns: dict[str, pa.StringArray]  # [row] each; nulls are empty texts
    row: Any  # int64 [row] its number in the file, from 1 after the header; empty lines are not counted
    ragged: list[tuple[int, str]]  # the number and text of each row with more or fewer cells
    rows: int  # all of them, ragged ones too


def kind_of(path: Path) -> FileKind:
    """The kind by the end of the name. Raises IntakeError."""
    name = path.name.lower()
    for kind in FileKind:
        if name.endswith("." + kind.value):
            return kind
    raise IntakeError(f"{path}: the kind of a file is told by its name; it must end in .csv, .csv.gz or .parquet")


def read_table(path: Path, needed: Sequence[str], optional: Sequence[str] = ()) -> FileTable:
    """The needed columns, and those optional ones that are there; others are ignored. Raises IntakeError."""
    path = Path(path)
    kind = kind_of(path)
    try:
        if path.is_dir():
            raise IntakeError(f"{path}: is a folder; name a file")
        if path.stat().st_size == 0:
            raise IntakeError(f"{path}: the file is empty; it must have a header with {_listed(needed)}")
        read = _read_parquet if kind is FileKind.PARQUET else _read_csv
        return read(path, needed, optional)
    except FileNotFoundError:
        raise IntakeError(f"{path}: no such file") from None
    except PermissionError:
        raise IntakeError(f"{path}: may not be read; check its permissions") from None
    except OSError as error:
        raise IntakeError(f"{path}: cannot be read: {_one_line(error)}") from None


def need_rows(table: FileTable) -> None:
    """Raises IntakeError where a file that must say something has a header only, or a ragged row."""
    for number, text in table.ragged[:1]:
        raise IntakeError(f"{table.name}: row {number} has more or fewer cells than the header: {text[:100]!r}")
    if table.rows == 0:
        raise IntakeError(f"{table.name}: has a header but no rows")


def _read_csv(path: Path, needed: Sequence[str], optional: Sequence[str]) -> FileTable:
    header = _csv_header(path)
    chosen = _chosen(path, header, needed, optional)
    parsed = _parsed_csv(path, chosen)
    if parsed.ragged and parsed.threads:  # Arrow tells row numbers only when it reads on one thread
        parsed = _parsed_csv(path, chosen, threads=False)
    table, ragged = parsed.table, parsed.ragged
    rows = table.num_rows + len(ragged)
    numbers = np.delete(np.arange(1, rows + 1), [number - 1 for number, _ in ragged])
    if parsed.quotes % 2:
        _refuse_open_quote(path, chosen, numbers, ragged, rows)
    columns = {name: _joined(path, table.column(name)) for name in chosen}
    return FileTable(str(path), columns, numbers, ragged, rows)


class _Parsed(NamedTuple):
    """A CSV file as Arrow reads it."""

    table: pa.Table
    ragged: list[tuple[int, str]]
    quotes: int  # quotation marks in the file: odd where one opens and never closes
    threads: bool


class _QuoteCount:
    """A stream that counts the quotation marks it gives out."""

    closed = False

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.quotes = 0

    def read(self, size: int) -> pa.Buffer:
        data = self._stream.read_buffer(size)
        self.quotes += int(np.count_nonzero(np.frombuffer(data, np.uint8) == ord('"')))
        return data


def _parsed_csv(
    path: Path, chosen: Sequence[str] | None, threads: bool = True, block_bytes: int = _BLOCK_BYTES
) -> _Parsed:
    """chosen: the columns to read, as texts; None for all, as Arrow takes them."""
    ragged: list[tuple[int, str]] = []

    def skip(row: Any) -> str:
        ragged.append(((row.number or 2) - 1, row.text))  # Arrow counts the header as row 1
        return "skip"

    compression = "gzip" if kind_of(path) is FileKind.CSV_GZ else None
    undecodable: list[Any] = []
    names = list(chosen or ())
    try:
        with pa.input_stream(str(path), compression=compression) as stream, _unraisable_to(undecodable):
            counted = _QuoteCount(stream)
            table = pyarrow.csv.read_csv(
                counted,
                pyarrow.csv.ReadOptions(use_threads=threads, block_size=block_bytes),
                pyarrow.csv.ParseOptions(invalid_row_handler=skip, newlines_in_values=True),
                pyarrow.csv.ConvertOptions(
                    include_columns=names, column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
                ),
            )
            return _Parsed(table, ragged, counted.quotes, threads)
    except pa.ArrowInvalid as error:
        if "Empty CSV file" in str(error):  # a header without a line end
            return _Parsed(pa.table({name: pa.array([], pa.string()) for name in names}), [], 0, threads)
        if "straddling" in str(error):  # a row longer than a block
            if block_bytes < ROW_BYTES_MAX:
                return _parsed_csv(path, chosen, False, ROW_BYTES_MAX)
            raise IntakeError(
                f"{path}: a row is longer than {ROW_BYTES_MAX >> 20} MiB; does a quotation mark open and never close?"
            ) from None
        is_text = not undecodable and "UTF8" not in str(error)
        if not is_text and threads:
            return _parsed_csv(path, chosen, False, block_bytes)  # to name the row
        raise IntakeError(f"{path}: {_csv_fault(error, is_text)}") from None
    except OSError as error:
        raise IntakeError(f"{path}: {_gzip_fault(path, error)}") from None


@contextmanager
def _unraisable_to(found: list[Any]) -> Iterator[None]:
    """Arrow decodes a ragged row before it asks what to do with it. Where that fails it fails the file, which is right,
    but also reports to the interpreter, which would print a traceback beside our one line."""
    before = sys.unraisablehook
    sys.unraisablehook = found.append
    try:
        yield
    finally:
        sys.unraisablehook = before


def _csv_header(path: Path) -> list[str]:
    """The names in the first line that is not empty."""
    try:
        with gzip.open(path) if kind_of(path) is FileKind.CSV_GZ else open(path, "rb") as file:
            start = file.read(HEADER_BYTES_MAX)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise IntakeError(f"{path}: {_gzip_fault(path, error)}") from None
    lines = start.removeprefix(b"\xef\xbb\xbf").splitlines()
    first = next((line for line in lines if line), b"")
    if not first:
        raise IntakeError(f"{path}: the file is empty; it must begin with a header")
    try:
        return next(csv.reader([first.decode()]))
    except (UnicodeDecodeError, csv.Error):
        raise IntakeError(f"{path}: the header is not UTF-8 text; save the file as CSV in UTF-8") from None


def _chosen(path: Path, header: Sequence[str], needed: Sequence[str], optional: Sequence[str]) -> list[str]:
    """The columns to read. Raises IntakeError where one is missing or is there twice, or the delimiter is wrong."""
    missing = [name for name in needed if name not in header]
    if missing and len(header) == 1:
        for delimiter, word in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
            if delimiter in header[0]:
                raise IntakeError(f"{path}: the columns are separated by {word}; save the file with commas")
    if missing:
        raise MissingColumn(f"{path}: column {_listed(missing)} is missing; there are {_listed(header)}", header)
    chosen = [name for name in (*needed, *optional) if name in header]
    for name in chosen:
        if list(header).count(name) > 1:
            raise IntakeError(f"{path}: column {name} is there twice; remove or rename one")
    return chosen


def _read_parquet(path: Path, needed: Sequence[str], optional: Sequence[str]) -> FileTable:
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            schema = file.schema_arrow
            chosen = _chosen(path, schema.names, needed, optional)
            for name in chosen:
                _refuse_type(path, name, schema.field(name).type)
            table = file.read(chosen)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(error, FileNotFoundError | PermissionError):
            raise
        raise IntakeError(
            f"{path}: is not a whole Parquet file (cut off, or another kind): {_one_line(error)}"
        ) from None
    columns = {name: _checked_text(path, name, _joined(path, table.column(name))) for name in chosen}
    return FileTable(str(path), columns, np.arange(1, table.num_rows + 1), [], table.num_rows)


def _checked_text(path: Path, name: str, values: pa.Array) -> pa.StringArray:
    """Parquet's reader does not look at the bytes of texts, and everything after this rests on their being UTF-8."""
    try:
        values.validate(full=True)
        return as_text(values)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise IntakeError(f"{path}: column {name} is damaged or not UTF-8 text: {_one_line(error)}") from None


def _refuse_type(path: Path, name: str, kind: pa.DataType) -> None:
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    known = (
        pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_integer,
        pa.types.is_floating, pa.types.is_decimal, pa.types.is_timestamp, pa.types.is_date, pa.types.is_null,
        pa.types.is_boolean,
    )  # fmt: skip
    if not any(is_kind(inner) for is_kind in known):
        raise IntakeError(f"{path}: column {name} is of type {kind}; it must be text, a number, a time or a flag")


def as_text(values: pa.Array) -> pa.StringArray:
    """Each value as it would stand in CSV: whole floats without a fraction, times in UTC, flags as true and
    false, null as an empty text."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        values = values.dictionary_decode()
        kind = values.type
    if pa.types.is_floating(kind):
        return _float_text(values.cast(pa.float64()))
    if pa.types.is_timestamp(kind):
        # through an integer: drops the zone, whose instants are UTC, without a zone database
        values = values.cast(pa.timestamp("us", kind.tz), safe=False).cast(pa.int64()).cast(pa.timestamp("us"))
    return values.cast(pa.string()).fill_null("")


def _float_text(values: pa.Array) -> pa.StringArray:
    floats = values.fill_null(np.nan).to_numpy(zero_copy_only=False)
    whole = np.isfinite(floats) & (np.abs(floats) < _WHOLE_FLOAT_MAX)
    whole[whole] = floats[whole] == np.floor(floats[whole])
    integers = pa.array(np.where(whole, floats, 0).astype(np.int64)).cast(pa.string())
    other = pc.if_else(pc.is_nan(values.fill_null(np.nan)), "", values.cast(pa.string()))
    return pc.if_else(pa.array(whole), integers, other).fill_null("")


def holds_byte(texts: pa.StringArray, wanted: Any) -> bool:
    """Whether any of the wanted bytes (bool [256]) is in the texts: one pass over their memory, to spare a regex."""
    if len(texts) == 0:
        return False
    _, offset_buffer, data = texts.buffers()
    if data is None:
        return False
    count = texts.offset + len(texts) + 1  # what is beyond may end within an offset
    offsets = np.frombuffer(offset_buffer, np.int32, count)[texts.offset :]
    return bool(wanted[np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]]].any())


def bytes_table(wanted: bytes) -> Any:
    """bool [256], for holds_byte."""
    table = np.zeros(256, np.bool_)
    table[list(wanted)] = True
    return table


def _joined(path: Path, column: pa.ChunkedArray) -> pa.Array:
    try:
        whole = column.combine_chunks()
    except pa.ArrowInvalid:
        whole = column
    if isinstance(whole, pa.ChunkedArray):
        if whole.num_chunks == 1:
            return whole.chunk(0)
        raise IntakeError(f"{path}: a column of it holds more than 2 GiB of text; split the file")
    return whole


def _refuse_open_quote(
    path: Path, chosen: Sequence[str], numbers: Any, ragged: Sequence[tuple[int, str]], rows: int
) -> None:
    """A quotation mark that never closes makes what follows one value, whose rows would be lost without a word.

    Called where the file has an odd number of them. One in the middle of a value is a plain character and no fault, so
    it takes a value that runs over lines as well: anywhere in a column that nobody reads, else in the last row, since a
    column that is read has its own check for line breaks.
    """
    suspects = [number for number, text in ragged if "\n" in text]
    table = _parsed_csv(path, None, threads=False).table
    for name, column in zip(table.column_names, table.columns, strict=True):
        if not pa.types.is_string(column.type) and not pa.types.is_binary(column.type):
            continue
        runs_on = pc.match_substring(column.cast(pa.binary()), b"\n").fill_null(False).combine_chunks()
        found = numbers[runs_on.to_numpy(zero_copy_only=False)]
        suspects += (found[found == rows] if name in chosen else found).tolist()
    if suspects:
        raise IntakeError(
            f"{path}: row {min(suspects)}: a quotation mark opens there and its value runs over lines"
            f"{' to the end of the file' if min(suspects) == rows else ''}; close or remove it"
        )


def _csv_fault(error: Exception, is_text: bool) -> str:
    text = _one_line(error)
    if is_text:
        return f"cannot be read as CSV: {text}"
    row = re.search("Row #([0-9]+)", text)  # Arrow counts the header as row 1, and names the row before it quotes it
    return f"{f'row {int(row[1]) - 1}' if row else 'the file'} is not UTF-8 text; save the file as CSV in UTF-8"


def _gzip_fault(path: Path, error: Exception) -> str:
    if isinstance(error, EOFError) or "runcated" in str(error):
        return "the compressed file is cut off; copy it again"
    with open(path, "rb") as file:
        if file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC:
            return f"the compressed file is damaged, or something stands behind it; copy it again: {_one_line(error)}"
    return f"is not a gzip file, although its name says so: {_one_line(error)}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _listed(names: Iterable[str]) -> str:
    return ", ".join(name if name.strip() == name and name else repr(name) for name in names)
