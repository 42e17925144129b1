"""Lines of figures (`write_lines` of kernels/messages.py) as texts of MessagePack, which scripts in Redis read fast.

As many arguments would cost the sender, and Redis, more than the writing itself. Source of the format: the
specification of MessagePack, "str format family".
"""

from kernels.keys import Bytes
from kernels.messages import LINE_FEED, TAB
from kernels.options import U8, kernel, leaf

TEXTS_ROOM = 2  # bytes for each byte of the lines: always enough
_TEXT_8, _TEXT_16 = 0xD9, 0xDA  # a text behind its length, in so many bits
_SKU_BYTES_MAX, _FIGURE_BYTES_MAX = 0xFFFF, 0xFF
_COLON, _0, _9, _BLANK = 0x3A, 0x30, 0x39, 0x20
_BROKEN = -1


@leaf
def _find(lines: Bytes, sought: int, at: int) -> int:
    """Where the byte is next; lines.size where it is not."""
    while at < lines.size and lines[at] != sought:
        at += 1
    return min(at, lines.size)


@kernel
def write_texts(lines: Bytes, texts: U8) -> tuple[int, int]:
    """Write the SKU, then `units:version`, of each line; returns how many lines there are and the bytes written.

    (-1, 0) where a line is not `SKU TAB units TAB version LF`. texts: room of TEXTS_ROOM bytes for each of the lines.
    """
    count, at, first = 0, 0, 0
    while first < lines.size:
        tab = _find(lines, TAB, first)
        second = _find(lines, TAB, tab + 1)
        end = _find(lines, LINE_FEED, second + 1)
        size, numbers = tab - first, end - tab - 1
        if end == lines.size or size > _SKU_BYTES_MAX or numbers > _FIGURE_BYTES_MAX:
            return _BROKEN, 0
        texts[at], texts[at + 1], texts[at + 2] = _TEXT_16, size >> 8, size & 0xFF
        at += 3
        for byte in range(first, tab):
            if lines[byte] < _BLANK:
                return _BROKEN, 0
            texts[at] = lines[byte]
            at += 1
        texts[at], texts[at + 1] = _TEXT_8, numbers
        at += 2
        for byte in range(tab + 1, end):
            if byte != second and not _0 <= lines[byte] <= _9:
                return _BROKEN, 0
            texts[at] = _COLON if byte == second else lines[byte]
            at += 1
        count += 1
        first = end + 1
    return count, at
