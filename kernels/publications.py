"""Lines of figures (`write_lines` of kernels/messages.py) as arguments of a command of Redis: SKU, `units:version`, ...

A library would take a microsecond of the interpreter for each. Source of the format: redis.io, "Redis serialization
protocol specification", bulk strings.
"""

import numpy as np

from kernels.keys import Bytes
from kernels.messages import LINE_FEED, TAB, write_number
from kernels.options import U8, kernel, leaf

ARGUMENTS_ROOM = 4  # bytes for each byte of the lines: always enough
_BULK, _COLON, _0, _9, _BLANK, _RETURN = 0x24, 0x3A, 0x30, 0x39, 0x20, 0x0D
_BROKEN = -1


@leaf
def _find(lines: Bytes, sought: int, at: int) -> int:
    """Where the byte is next; lines.size where it is not."""
    while at < lines.size and lines[at] != sought:
        at += 1
    return min(at, lines.size)


@leaf
def _write_head(size: int, out: U8, at: int) -> int:
    """What stands before an argument of so many bytes; returns where it ends."""
    out[at] = _BULK
    return _write_end(out, write_number(np.uint64(size), out, at + 1))


@leaf
def _write_end(out: U8, at: int) -> int:
    out[at], out[at + 1] = _RETURN, LINE_FEED
    return at + 2


@kernel
def write_arguments(lines: Bytes, out: U8) -> tuple[int, int]:
    """Write the SKU, then `units:version`, of each line; returns how many lines there are and the bytes written.

    (-1, 0) where a line is not `SKU TAB units TAB version LF`. out: room of ARGUMENTS_ROOM bytes for each of the lines.
    """
    count, at, first = 0, 0, 0
    while first < lines.size:
        tab = _find(lines, TAB, first)
        second = _find(lines, TAB, tab + 1)
        end = _find(lines, LINE_FEED, second + 1)
        if end == lines.size or second == tab + 1 or end == second + 1:
            return _BROKEN, 0
        at = _write_head(tab - first, out, at)
        for byte in range(first, tab):
            if lines[byte] < _BLANK:
                return _BROKEN, 0
            out[at] = lines[byte]
            at += 1
        at = _write_head(end - tab - 1, out, _write_end(out, at))
        for byte in range(tab + 1, end):
            if byte != second and not _0 <= lines[byte] <= _9:
                return _BROKEN, 0
            out[at] = _COLON if byte == second else lines[byte]
            at += 1
        at = _write_end(out, at)
        count += 1
        first = end + 1
    return count, at
