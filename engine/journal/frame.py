"""The 64-byte header before everything that is written, and what bytes found later are: whole, torn or damaged.

Segments (segments.py) and single files (container.py) are made of it. The byte grammar is in FORMAT.md.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import xxhash
from numpy.typing import NDArray

HEADER_BYTES = 64  # records start at multiples of it, so that a header never straddles a sector
SECTOR_BYTES = 512  # a disk writes a sector whole or not at all; larger ones are several of these

SEGMENT = int.from_bytes(b"aSeg", "little")
RECORD = int.from_bytes(b"aRec", "little")
SEAL = int.from_bytes(b"aEnd", "little")
FILE = int.from_bytes(b"aOne", "little")

_HEADER = struct.Struct("<IIqqQQQII")
_CHECKSUM = struct.Struct("<Q")
_CHECKED_BYTES = _HEADER.size
_MASK = np.uint64(0xA5C3_96F0_5A3C_690F)  # no text and no column of numbers repeats it
_MASK_BYTES = int(_MASK).to_bytes(8, "little")
_SHORT_BYTES = 8192
_NOTHING = bytes(HEADER_BYTES)
_WINDOW_BYTES = 1 << 20

Fetch = Callable[[int, int], Any]  # (offset, length) -> bytes, fewer at the end of the file
checksum: Callable[[Any], int] = xxhash.xxh3_64_intdigest


class Frame(NamedTuple):
    """The fields of a header, in their order."""

    magic: int
    version: int  # of the format in a segment's header, of the schema elsewhere
    sequence: int  # of the record; the next one in the header of a segment and in a seal
    stamp: int  # microseconds; that of the record before in the header of a segment and in a seal
    length: int  # bytes of the body
    body_checksum: int  # of the body and the zeros up to the next multiple of 64
    previous: int  # checksum of the frame before
    masked: int  # sectors of the body that are written masked, see `mask`
    spare: int
    checksum: int  # of the fields above

    @property
    def extent(self) -> int:
        """Bytes from this header to the next one."""
        return HEADER_BYTES + padded(self.length)


class Place(NamedTuple):
    """What the next frame must follow on."""

    sequence: int
    stamp: int
    previous: int


class Look(NamedTuple):
    """What stands where a frame is expected."""

    frame: Frame | None  # whole and in its place, or None
    fault: str = ""  # why not; empty where the header is all zero, that is where nothing was written
    torn: bool = False  # a crash during the write explains it


def padded(length: int) -> int:
    """Rounded up to a multiple of 64."""
    return length + HEADER_BYTES - 1 & -HEADER_BYTES


def pack(
    magic: int, version: int, place: Place, stamp: int, length: int = 0, body_checksum: int = 0, masked: int = 0
) -> tuple[bytes, Frame]:
    """A header that follows on `place`, as bytes and as fields."""
    fields = (magic, version, place.sequence, stamp, length, body_checksum, place.previous, masked, 0)
    head = _HEADER.pack(*fields)
    own = checksum(head)
    return head + _CHECKSUM.pack(own), Frame._make((*fields, own))


def unpack(raw: Any) -> Frame | None:
    """The header in 64 bytes; None where its checksum is wrong."""
    own = _CHECKSUM.unpack_from(raw, _CHECKED_BYTES)[0]
    return Frame._make((*_HEADER.unpack_from(raw), own)) if checksum(raw[:_CHECKED_BYTES]) == own else None


def joined(buffers: Sequence[Any]) -> tuple[bytearray, int]:
    """The body in one piece, padded with zeros to a multiple of 64, and its length before that.

    One copy, still in cache, costs less than taking checksum and mask piece by piece.
    """
    body = bytearray().join(buffers)
    length = len(body)
    body += bytes(-length % HEADER_BYTES)
    return body, length


def mask(body: bytearray, offset: int) -> int:
    """Change the sectors of a padded body at `offset` of the file that are zero but for one word; returns their number.

    A missing sector is all zero. One flipped byte must never look like that, so no sector is written that has less than
    two words that are not zero. Doing it again gives the first body back.
    """
    if len(body) <= _SHORT_BYTES and not _may_need_mask(body, offset):
        return 0
    return sum(_swap(sectors) for sectors in _sectors(body, offset))


def _may_need_mask(body: bytearray, offset: int) -> bool:
    """A look at a short body that spares it the dozen NumPy calls."""
    for start in range(-offset % SECTOR_BYTES, len(body), SECTOR_BYTES):
        end = min(start + SECTOR_BYTES, len(body))
        if body.count(0, start, end) >= end - start - 8:
            return True
    return _MASK_BYTES in body


def _sectors(body: Any, offset: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """A body as rows of words: its whole sectors, and the last one. The sector that its header is in never counts."""
    words = np.frombuffer(body, np.uint64)[-offset % SECTOR_BYTES // 8 :]
    whole = len(words) // 64
    rest = words[whole * 64 :]
    return words[: whole * 64].reshape(whole, 64), rest.reshape(1 if len(rest) else 0, -1 if len(rest) else 1)


def _swap(sectors: NDArray[np.uint64]) -> int:
    """Exchange sectors that are zero but for one word with ones that are the mask but for one word."""
    if not len(sectors):
        return 0
    first, second = sectors[:, 0], sectors[:, 1]  # one of them is as the rest of the sector
    suspects = np.flatnonzero((first == 0) | (second == 0) | (first == _MASK) | (second == _MASK))
    if not len(suspects):
        return 0
    rows = sectors[suspects]
    changed = (np.count_nonzero(rows, axis=1) < 2) | (np.count_nonzero(rows ^ _MASK, axis=1) < 2)
    sectors[suspects[changed]] ^= _MASK
    return int(np.count_nonzero(changed))


def look(fetch: Fetch, offset: int, size: int, place: Place) -> Look:
    """Read the frame at `offset` of a segment of `size` bytes and judge it.

    A torn write leaves out whole sectors, which were zero before; no frame is written with such a sector. So a frame is
    torn when its header or another of its sectors is all zero; anything else that is not right is damage.
    """
    raw = fetch(offset, HEADER_BYTES) if offset + HEADER_BYTES <= size else b""
    if len(raw) < HEADER_BYTES:
        return Look(None, f"the file ends at byte {size}, where a header is expected")
    if raw == _NOTHING:
        return Look(None, torn=True)
    frame = unpack(raw)
    if frame is None:
        return Look(None, "the checksum of the header is wrong")
    fault = _misplaced(frame, offset, size, place)
    if fault:
        return Look(None, fault)
    if frame.length:
        body = fetch(offset + HEADER_BYTES, padded(frame.length))
        if len(body) < padded(frame.length):
            return Look(None, "the file ends inside the record")
        if checksum(body) != frame.body_checksum:
            missing = sum(int((~sectors.any(axis=1)).sum()) for sectors in _sectors(body, offset + HEADER_BYTES))
            if missing:
                return Look(None, f"{missing} sectors of the record are missing", torn=True)
            return Look(None, "the checksum of the body is wrong")
    return Look(frame)


def _misplaced(frame: Frame, offset: int, size: int, place: Place) -> str:
    if frame.magic not in (RECORD, SEAL):
        return f"a header of unknown kind {frame.magic:#010x}"
    if frame.sequence != place.sequence:
        return f"sequence {frame.sequence} stands here"
    if frame.previous != place.previous:
        return "it does not follow on the record before (checksum chain)"
    if frame.stamp < place.stamp:
        return f"its stamp {frame.stamp} is before {place.stamp}"
    if offset + frame.extent > size:
        return f"the file ends at byte {size}, inside the record"
    return ""


def find_after(fetch: Fetch, offset: int, size: int, sequence: int) -> tuple[int | None, int]:
    """Search the rest of a segment for a whole header of `sequence` or later.

    Returns where it stands, or None, and the end of the last byte that is not zero (`offset` where all are).
    """
    end = offset
    for start in range(offset, size, _WINDOW_BYTES):
        raw = fetch(start, min(_WINDOW_BYTES, size - start))
        data = np.frombuffer(raw, np.uint8)
        words = data[: len(data) & -8].view(np.uint64)
        if not words.any() and not data[len(words) * 8 :].any():
            continue
        end = start + int(np.flatnonzero(data)[-1]) + 1
        firsts = data[: len(data) & -HEADER_BYTES].view(np.uint32)[:: HEADER_BYTES // 4]
        for at in np.flatnonzero((firsts == RECORD) | (firsts == SEAL)).tolist():
            frame = unpack(raw[at * HEADER_BYTES : (at + 1) * HEADER_BYTES])
            if frame is not None and frame.sequence >= sequence:
                return start + at * HEADER_BYTES, end
    return None, end
