"""One Arrow record batch from the bytes of a stranger: read without a copy, and refused before it can do harm.

Before anything is read, the headers of its messages are looked at: how many rows they claim, and that nothing is
compressed, because a few bytes may stand for gigabytes then. After that every offset and text is checked.
"""

import struct
from typing import Any

import pyarrow as pa

from server.errors import Rejection, invalid

_DICTIONARY, _RECORD_BATCH = 2, 3  # MessageHeader of Message.fbs
_HEADER_TYPE, _HEADER = 1, 2  # fields of a Message
_LENGTH, _COMPRESSION = 0, 3  # fields of a RecordBatch
_DATA = 1  # field of a DictionaryBatch
MALFORMED = "MALFORMED_BATCH"


def read_batch(data: bytes, rows_max: int, values_max: int) -> pa.RecordBatch:
    """The one record batch of an Arrow IPC stream. rows_max: of it; values_max: of each dictionary.

    Raises Rejection: BATCH_TOO_LARGE, BATCH_COMPRESSED or MALFORMED_BATCH.
    """
    try:
        _look_at_headers(data, rows_max, values_max)
        with pa.ipc.open_stream(data) as stream:
            batch = stream.read_next_batch()
        batch.validate(full=True)
        _read_names(batch.schema)
    except (pa.ArrowException, struct.error, OSError, ValueError, TypeError, OverflowError, StopIteration) as error:
        raise malformed(f"it is no Arrow IPC stream of one record batch: {str(error)[:200]}") from error
    return batch


def _read_names(fields: Any) -> None:
    """Read the names of columns and their fields; UnicodeDecodeError where one is no text. `validate` passes them."""
    for field in fields:
        if field.name is not None and pa.types.is_struct(field.type):
            _read_names(field.type)
        elif pa.types.is_list(field.type) or pa.types.is_large_list(field.type):
            _read_names([field.type.value_field])


def malformed(message: str, field: str = "batch") -> Rejection:
    """A batch of which nothing is taken."""
    return invalid(field, f"{field}: {message}", MALFORMED)


def _look_at_headers(data: bytes, rows_max: int, values_max: int) -> None:
    batches = 0
    for message in pa.ipc.MessageReader.open_stream(data):
        header = memoryview(message.metadata)
        table = _table(header, 0)
        kind_at = _field(header, table, _HEADER_TYPE)
        kind = header[kind_at] if kind_at else 0
        if kind not in (_DICTIONARY, _RECORD_BATCH):
            continue
        most = rows_max if kind == _RECORD_BATCH else values_max
        batch = _table(header, _field(header, table, _HEADER))
        if kind == _DICTIONARY:
            batch = _table(header, _field(header, batch, _DATA))
        batches += kind == _RECORD_BATCH
        if _field(header, batch, _COMPRESSION):
            raise invalid(
                "batch", "batch: its buffers are compressed: write it without compression", "BATCH_COMPRESSED"
            )
        length_at = _field(header, batch, _LENGTH)
        length = struct.unpack_from("<q", header, length_at)[0] if length_at else 0
        if length > most:
            what = "rows" if kind == _RECORD_BATCH else "values in a dictionary"
            raise invalid("batch", f"batch: {length} {what}, at most {most}: send smaller batches", "BATCH_TOO_LARGE")
    if batches != 1:
        raise malformed(f"{batches} record batches instead of one")


def _table(header: Any, at: int) -> int:
    """Where the table begins that the offset at a place of a flatbuffer points to."""
    return at + int(struct.unpack_from("<I", header, at)[0])


def _field(header: Any, table: int, number: int) -> int:
    """Where a field of a table lies; 0 where it is left out."""
    layout = table - int(struct.unpack_from("<i", header, table)[0])
    (size,) = struct.unpack_from("<H", header, layout)
    if 4 + 2 * number >= size:
        return 0
    (offset,) = struct.unpack_from("<H", header, layout + 4 + 2 * number)
    return table + int(offset) if offset else 0
