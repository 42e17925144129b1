"""ATS figures as bytes: protobuf for who watches, lines of text for who pulls (proto/allot/v1/availability.proto).

A hundred thousand figures are told at a time; a message object each would take a microsecond of the interpreter. Source
of the format of `Availability`, in a repeated field 1: protobuf.dev, "Encoding".
"""

import numpy as np

from kernels.keys import Bytes, Offsets
from kernels.options import I32, I64, U8, kernel, leaf

FIGURE_BYTES_MAX = 32  # of one figure, beside its text
TAB, LINE_FEED = 0x09, 0x0A
_ZERO, _TEN = np.uint8(0x30), np.uint64(10)
_ROW, _SKU, _UNITS, _VERSION = 0x0A, 0x0A, 0x10, 0x18  # tags: 1 of length, then 1 of length, 2 and 3 varints
_7, _LOW, _MORE = np.uint64(7), np.uint64(0x7F), np.uint64(0x80)


@leaf
def _varint_bytes(value: np.uint64) -> int:
    count = 1
    while value >= _MORE:
        value >>= _7
        count += 1
    return count


@leaf
def _write_varint(value: np.uint64, out: U8, at: int) -> int:
    """Where it ends."""
    while value >= _MORE:
        out[at] = np.uint8(value & _LOW | _MORE)
        value >>= _7
        at += 1
    out[at] = np.uint8(value)
    return at + 1


@leaf
def _figure_bytes(value: np.uint64) -> int:
    return 1 + _varint_bytes(value) if value else 0  # what is zero is left out


@leaf
def _write_figure(tag: int, value: np.uint64, out: U8, at: int) -> int:
    if not value:
        return at
    out[at] = tag
    return _write_varint(value, out, at + 1)


@kernel
def write_figures(offsets: Offsets, data: Bytes, units: I32, versions: I64, out: U8) -> int:
    """Write figures [n] of SKUs, whose texts are a column of n, one after the other; returns the bytes written.

    units and versions: 0 or more. out: room for the texts and FIGURE_BYTES_MAX for each figure.
    """
    at = 0
    for row in range(units.size):
        first, last = offsets[row], offsets[row + 1]
        length = np.uint64(last - first)
        count, version = np.uint64(units[row]), np.uint64(versions[row])
        body = _figure_bytes(count) + _figure_bytes(version)
        if length:
            body += 1 + _varint_bytes(length) + (last - first)
        out[at] = _ROW
        at = _write_varint(np.uint64(body), out, at + 1)
        if length:
            out[at] = _SKU
            at = _write_varint(length, out, at + 1)
            for byte in range(first, last):
                out[at] = data[byte]
                at += 1
        at = _write_figure(_UNITS, count, out, at)
        at = _write_figure(_VERSION, version, out, at)
    return at


@leaf
def write_number(value: np.uint64, out: U8, at: int) -> int:
    """Write its digits; returns where they end."""
    rest, end = value // _TEN, at + 1
    while rest:
        rest //= _TEN
        end += 1
    for place in range(end - 1, at - 1, -1):
        rest = value // _TEN
        out[place] = np.uint8(value - rest * _TEN) + _ZERO
        value = rest
    return end


@kernel
def write_lines(sku: I32, offsets: Offsets, data: Bytes, units: I32, versions: I64, out: U8) -> int:
    """Write figures [n] as lines `SKU TAB units TAB version LF`; returns the bytes written.

    sku: which texts of the column theirs are. out: room for these and FIGURE_BYTES_MAX for each figure.
    """
    at = 0
    for row in range(units.size):
        for byte in range(offsets[sku[row]], offsets[sku[row] + 1]):
            out[at] = data[byte]
            at += 1
        out[at] = TAB
        at = write_number(np.uint64(units[row]), out, at + 1)
        out[at] = TAB
        at = write_number(np.uint64(versions[row]), out, at + 1)
        out[at] = LINE_FEED
        at += 1
    return at


@kernel
def number_lines(first_line: I64, first_part: I64, line: I32) -> None:
    """line [part] is written: which line of its order each part belongs to, from 1.

    first_line [order + 1]: where the lines of each order begin; first_part [line + 1]: likewise their parts.
    """
    for order in range(first_line.size - 1):
        for at in range(first_line[order], first_line[order + 1]):
            for part in range(first_part[at], first_part[at + 1]):
                line[part] = at - first_line[order] + 1
