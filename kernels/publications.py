"""Figures of a `WatchAvailabilityResponse` (proto/allot/v1/availability.proto) as texts for a store of keys and values.

A surge brings hundreds of thousands of figures a second; a message object each would take a microsecond of the
interpreter. The inverse of `kernels/messages.py`. Source of the format: protobuf.dev, "Encoding".
"""

import numpy as np

from kernels.keys import Bytes
from kernels.options import I64, U8, kernel, leaf

ROOM = 20  # bytes for each byte of a message: always enough
_FIGURES, _SKU, _UNITS, _VERSION = 0x0A, 0x0A, 0x10, 0x18  # tags of fields: 1 of length, 1 of length, 2 and 3 varints
_ENGINE_ID = 0x32  # a field 6 of length
PAIR_END, LINE_END, FIELDS, ENGINE_FIRST, ENGINE_END, TOLD = 0, 1, 2, 6, 7, 8  # places in `told`, and how many
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5  # wire types
_BROKEN = -1
_COLON, _TAB, _LINE, _END = 0x3A, 0x09, 0x0A, 0x00
_ZERO, _TEN = np.uint8(0x30), np.uint64(10)


@leaf
def _read_varint(message: Bytes, at: int, end: int) -> tuple[int, np.int64]:
    """Where it ends, _BROKEN where it does not; its value."""
    value, shift = np.uint64(0), np.uint64(0)
    while at < end and shift < np.uint64(64):
        byte = np.uint64(message[at])
        value |= (byte & np.uint64(0x7F)) << shift
        at += 1
        if byte < np.uint64(0x80):
            return at, np.int64(value)
        shift += np.uint64(7)
    return _BROKEN, np.int64(0)


@leaf
def _skip(message: Bytes, tag: np.int64, at: int, end: int) -> int:
    """Where the value of a field ends, _BROKEN where it goes on beyond the end."""
    kind = tag & 7
    if kind == _VARINT:
        return _read_varint(message, at, end)[0]
    length = np.int64(8 if kind == _FIXED64 else 4 if kind == _FIXED32 else -1)
    if kind == _LENGTH:
        at, length = _read_varint(message, at, end)
    if at == _BROKEN or length < 0 or length > end - at:
        return _BROKEN
    return int(at + length)


@leaf
def _write_number(value: np.int64, out: U8, at: int) -> int:
    """Where its digits end. 0 or more: without a sign the division is a multiplication."""
    rest, digits = np.uint64(value) // _TEN, 1
    while rest:
        rest //= _TEN
        digits += 1
    rest = np.uint64(value)
    for i in range(at + digits - 1, at - 1, -1):
        tens = rest // _TEN
        out[i] = np.uint8(rest - tens * _TEN) + _ZERO
        rest = tens
    return at + digits


@leaf
def _copy(message: Bytes, first: int, last: int, out: U8, at: int) -> int:
    for i in range(first, last):
        out[at] = message[i]
        at += 1
    return at


@kernel
def write_publication(message: Bytes, pairs: U8, lines: U8, told: I64) -> int:
    """Write the figures of a message as texts; returns how many there are, -1 where the message is broken.

    pairs: `SKU NUL units:version NUL` for each, lines: `SKU TAB units TAB version LF`; SKUs hold no control characters.
    told: int64 [TOLD], the bytes written to both, the other fields from 2 to 5, and where engine_id begins and ends.
    Both have room for ROOM bytes for each of the message.
    """
    told[:] = 0
    at, end = 0, message.size
    count, pair, line = 0, 0, 0
    while at < end:
        at, tag = _read_varint(message, at, end)
        if at == _BROKEN:
            return _BROKEN
        if tag != _FIGURES:
            first = at
            at = _skip(message, tag, at, end)
            if at != _BROKEN and tag & 7 == _VARINT and 2 <= tag >> 3 <= 5:
                told[FIELDS + (tag >> 3) - 2] = _read_varint(message, first, end)[1]
            elif at != _BROKEN and tag == _ENGINE_ID:
                told[ENGINE_FIRST], told[ENGINE_END] = _read_varint(message, first, end)[0], at
            if at == _BROKEN:
                return _BROKEN
            continue
        at, length = _read_varint(message, at, end)
        if at == _BROKEN or length < 0 or length > end - at:
            return _BROKEN
        last = at + length
        first_text, last_text, units, version = 0, 0, np.int64(0), np.int64(0)
        while at < last:
            at, field = _read_varint(message, at, last)
            if at == _BROKEN:
                return _BROKEN
            if field == _SKU:
                at, size = _read_varint(message, at, last)
                if at == _BROKEN or size < 0 or size > last - at:
                    return _BROKEN
                first_text, last_text = at, at + size
                at = last_text
            elif field == _UNITS:
                at, units = _read_varint(message, at, last)
            elif field == _VERSION:
                at, version = _read_varint(message, at, last)
            else:
                at = _skip(message, field, at, last)
            if at == _BROKEN:
                return _BROKEN
        if units < 0 or version < 0:
            return _BROKEN
        pair = _copy(message, first_text, last_text, pairs, pair)
        pairs[pair] = _END
        pair = _write_number(units, pairs, pair + 1)
        pairs[pair] = _COLON
        pair = _write_number(version, pairs, pair + 1)
        pairs[pair] = _END
        pair += 1
        line = _copy(message, first_text, last_text, lines, line)
        lines[line] = _TAB
        line = _write_number(units, lines, line + 1)
        lines[line] = _TAB
        line = _write_number(version, lines, line + 1)
        lines[line] = _LINE
        line += 1
        count += 1
    told[PAIR_END], told[LINE_END] = pair, line
    return count
